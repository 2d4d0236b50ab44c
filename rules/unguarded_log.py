"""GRD604 unguarded-log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Finding, Metric, Severity
from gradlint.rule.claims import pole_claim, severity
from gradlint.rule.keep_away import keep_away
from gradlint.rule.rule import Rule
from gradlint.rule.triggers import DIVISOR, LOGARITHM
from gradlint.semantics.discard import discards
from gradlint.semantics.fused import fused
from gradlint.semantics.guards import late_guard
from gradlint.semantics.poles import POLES, deviation, pole, root
from gradlint.semantics.trace import Trace


class UnguardedLog(Rule):
    """A logarithm, a division or a reciprocal of something that reaches 0.

    ### Why is this bad?
    log'(x) = 1/x and (a/x)' = -a/x², so at 0 the gradient is infinite, and nan as soon as it meets
    the zero slope behind it. Norms of zero vectors, counts of empty masks, ranges of constant data and
    means of probabilities reach exactly 0, if only in one batch; that one turns every weight into nan.

    ### How it is verified
    One backward pass on the inputs that make the operand 0: the gradient is nan or infinite. Where
    the step behind blocks the gradient (ReLU, a standard deviation) the result itself is infinite.

    ### When it is fine
    With an epsilon or a clamp inside, after a test of the operand, and for what is positive by
    construction (exp, softplus, sums of probabilities, norms of parameters). The norm of what layers
    compute is hardly ever 0: a note. Not reported twice are log(softmax(x)) and its kin
    [log-of-normalised](log-of-normalised.md), division by a deviation
    [degenerate-deviation](degenerate-deviation.md), a guard behind the division
    [guard-after-the-fact](guard-after-the-fact.md), roots, and what is divided by them,
    [infinite-gradient-at-zero](infinite-gradient-at-zero.md), what a mask discards
    [nan-through-where](nan-through-where.md).

    ### Fix safety
    Unsafe: the small number changes the result a little, and how small it may be depends on the
    scale of the data. 1e-8 vanishes in float16.

    ### References
    - [Gradient of zero norm is nan](https://github.com/pytorch/pytorch/issues/2421)
    - [x.grad should be 0 but get NaN after x/0](https://github.com/pytorch/pytorch/issues/4132)
    - [A masked mean over an empty mask](https://github.com/MhLiao/DB/issues/14)
    """

    id = "GRD604"
    name = "unguarded-log"
    severity = Severity.WARNING
    help = "keep the operand away from 0: add a small number to it or clamp it from below"
    triggers: ClassVar[Mapping[str, str]] = {**LOGARITHM, **DIVISOR}
    bad: ClassVar[Mapping[str, str]] = {
        "unit vectors": "def unit(x):\n    y = 2 * x\n    y /= x.norm(dim=-1, keepdim=True)\n    return y\n",
        "masked mean": (
            "import torch\n\ndef masked_mean(x, mask: torch.BoolTensor):\n    total = (x * mask).sum()\n"
            "    return total / mask.sum()\n"
        ),
        "range": "def scaled(x):\n    low, high = x.min(), x.max()\n    return (x - low) / (high - low)\n",
        "peak": "def normalised(wave):\n    wave = wave / wave.abs().max()\n    return wave\n",
        "unused class": (
            "import torch.nn.functional as F\n\ndef balance(x):\n"
            "    share = F.softmax(x, dim=-1).mean(dim=0)\n    return -share.log().mean()\n"
        ),
        "complement": (
            "import torch as t\n\ndef unlikely(x):\n    p = t.softmax(x, -1)\n"
            "    return -t.log(1 - p).sum() - t.log1p(-p).sum()\n"
        ),
        "squashed policy": (
            "import torch\nfrom torch import nn\n\nclass Policy(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n        self.mean = nn.Linear(4, 4)\n\n    def forward(self, x):\n"
            "        action = torch.tanh(self.mean(x))\n"
            "        return torch.log(1 - action.pow(2)).sum(-1)\n"
        ),
        "weighted mean": (
            "import torch\n\ndef loss(pred, target, weight):\n"
            "    error = torch.abs(pred - target) * weight\n    return error.sum() / weight.sum()\n"
        ),
        "entropy of a product": (
            "import torch\n\ndef entropy(x):\n    p = torch.softmax(x, -1) * torch.sigmoid(x)\n"
            "    return torch.special.entr(p).sum() - torch.xlogy(p, p).sum()\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "epsilon inside": (
            "import torch\n\ndef guarded(x):\n"
            "    return x / (x.norm(dim=-1, keepdim=True) + 1e-8) + torch.log(x.abs() + 1e-6)\n"
        ),
        "clamp": (
            "import torch\n\ndef masked_mean(x, mask: torch.BoolTensor):\n"
            "    return (x * mask).sum() / mask.sum().clamp(min=1) + x.norm().clamp_min(1e-6).log()\n"
        ),
        "torch's own": (
            "import torch.nn.functional as F\n\ndef unit(x):\n"
            "    return F.normalize(x, dim=-1, eps=1e-6) + F.layer_norm(x, x.shape[-1:])\n"
        ),
        "positive": (
            "import torch\n\ndef density(x):\n    scale = torch.nn.functional.softplus(x) + 1e-3\n"
            "    return -torch.log(scale) - x / scale\n"
        ),
        "sum of probabilities": (
            "def expected(x):\n    p = x.softmax(-1)\n"
            "    return (p * x).sum(-1) / p.sum(-1) + p.amax(-1).log()\n"
        ),
        "tested": "def share(x):\n    total = x.abs().sum()\n    return x / total if total > 0 else x\n",
        "mended first": (
            "def unit(x):\n    norm = x.norm(dim=-1, keepdim=True).detach()\n    norm[norm == 0] = 1\n"
            "    return x / norm\n"
        ),
        "parameters": (
            "import torch\nfrom torch import nn\n\nclass WeightNorm(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n        self.v = nn.Parameter(torch.ones(4, 4))\n\n"
            "    def forward(self, x):\n        return x @ (self.v / self.v.norm(dim=1, keepdim=True))\n"
        ),
        "not differentiated": (
            "def top(x):\n    print(x.detach().norm().log())\n    return x * 2, (x / x.norm()).argmax()\n"
        ),
    }
    fixed: ClassVar[Mapping[str, str]] = {
        "unit vectors": bad["unit vectors"].replace("True)", "True) + 1e-8"),
        "masked mean": bad["masked mean"].replace("mask.sum()", "mask.sum().clamp(min=1)"),
        "range": bad["range"].replace("high - low)", "high - low + 1e-8)"),
        "peak": bad["peak"].replace("wave.abs().max()", "(wave.abs().max() + 1e-8)"),
        "unused class": bad["unused class"].replace("-share.log()", "-(share + 1e-8).log()"),
        "complement": bad["complement"].replace("1 - p)", "1 - p + 1e-8)"),
        "squashed policy": bad["squashed policy"].replace("pow(2))", "pow(2) + 1e-8)"),
        "weighted mean": bad["weighted mean"].replace("weight.sum()", "(weight.sum() + 1e-8)"),
        "entropy of a product": bad["entropy of a product"]
        .replace("entr(p)", "entr(p + 1e-8)")
        .replace("xlogy(p, p)", "xlogy(p, p + 1e-8)"),
    }

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each pole that is reached and that no other rule owns."""
        discarded = discards(trace)
        for application in trace.differentiated(*POLES):
            found = pole(application)
            if found is None or found.witness is None or deviation(found.operand.value) is not None:
                continue
            if application.number in discarded or fused(application) or root(found.operand.value):
                continue
            if late_guard(trace, application) is None:
                claim = pole_claim(trace, found, found.witness.condition)
                message = found.described(claim.predicted, claim.metric is Metric.NON_FINITE_VALUE)
                place, fix = application.site.node.span, keep_away(trace, found)
                yield self.finding(place, message, claim, severity=severity(found.witness), fix=fix)
