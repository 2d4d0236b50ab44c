"""GRD607 degenerate-deviation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.rule.claims import non_finite_gradient, non_finite_value, pole_claim
from gradlint.rule.keep_away import keep_away
from gradlint.rule.rule import Rule
from gradlint.rule.triggers import DEVIATION
from gradlint.semantics.discard import discards
from gradlint.semantics.guards import late_guard
from gradlint.semantics.poles import POLES, deviation, pole
from gradlint.semantics.single import Single, single
from gradlint.semantics.tensor import Application
from gradlint.semantics.trace import Trace


class DegenerateDeviation(Rule):
    """A standard deviation or variance is divided by although it can be 0, or taken of one element.

    ### Why is this bad?
    Constant data have deviation 0: a padded row, a dead channel, a batch whose rewards are all the
    same. Dividing by it gives inf or nan, and so does the gradient. The unbiased estimate divides
    by n - 1, so for one element it is 0 / 0: the result and the gradient are nan, and no epsilon
    behind it helps.

    ### How it is verified
    One backward pass on constant rows, or with a mask that selects nothing: the gradient at the
    input, or the result, is nan or infinite.

    ### When it is fine
    `x / (x.std() + eps)` divides by something positive, and std itself has gradient 0 at constant
    input. With `unbiased=False` (`correction=0`) one element has deviation 0. An axis is taken to
    hold one element only where the code says so: a slice or a mask, not a batch that might be small.
    The root of a variance belongs to [infinite-gradient-at-zero](infinite-gradient-at-zero.md),
    what is mended behind the division to [guard-after-the-fact](guard-after-the-fact.md), norms and
    other divisors to [unguarded-log](unguarded-log.md).

    ### Fix safety
    Unsafe: an epsilon is added to the divisor, which changes the result a little. For a single
    element there is no fix, since nothing says what its deviation should be.

    ### References
    - [The deviation of a minibatch of one advantage is nan](https://github.com/jolibrain/wheatley/pull/93)
    - [torch.std: division by max(0, N - correction)](https://docs.pytorch.org/docs/stable/generated/torch.std.html)
    """

    id = "GRD607"
    name = "degenerate-deviation"
    severity = Severity.WARNING
    help = "add a small number to the deviation before dividing by it"
    triggers: ClassVar[Mapping[str, str]] = DEVIATION
    bad: ClassVar[Mapping[str, str]] = {
        "standardised": "def standardise(x):\n    return (x - x.mean()) / x.std()\n",
        "scaled rows": "import torch\n\ndef scaled(x):\n    return x / torch.std(x, dim=-1, keepdim=True)\n",
        "layer norm": (
            "import torch\nfrom torch import nn\n\nclass Norm(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n        self.gain = nn.Parameter(torch.ones(4))\n\n"
            "    def forward(self, x):\n"
            "        std, mean = torch.std_mean(x, dim=-1, keepdim=True, unbiased=False)\n"
            "        return self.gain * ((x - mean) / std)\n"
        ),
        "precision": (
            "import torch as t\n\ndef precision(x):\n    variance = t.var(x, dim=0)\n"
            "    return t.reciprocal(variance).sum() - variance.log().mean()\n"
        ),
        "helper": (
            "def whiten(values, spread):\n    values = values - values.mean(0)\n    values /= spread\n"
            "    return values\n\ndef advantages(x):\n    return whiten(x, x.std(0))\n"
        ),
        "one column": "def spread(x):\n    return x[:, :1].std(dim=1)\n",
        "lengths": (
            "import torch\n\ndef pooled(x, lengths: torch.LongTensor):\n"
            "    return torch.stack([row[:n].std(dim=0) for row, n in zip(x, lengths.flatten())])\n"
        ),
        "new axis": "def spread(x):\n    return x.unsqueeze(0).var(0) + x[..., 0:1].std(-1).mean()\n",
    }
    good: ClassVar[Mapping[str, str]] = {
        "epsilon": "def standardise(x):\n    return (x - x.mean()) / (x.std() + 1e-6)\n",
        "clamp": (
            "import torch\n\ndef scaled(x):\n    return x / torch.std(x, -1, keepdim=True).clamp(min=1e-5)\n"
        ),
        "root of a variance with epsilon": (
            "def norm(x):\n    var = x.var(-1, unbiased=False, keepdim=True)\n"
            "    return (x - x.mean(-1, keepdim=True)) / (var + 1e-5).sqrt()\n"
        ),
        "deviation as such": "def hinge(x):\n    return (1 - x.std(dim=0)).relu().mean() + x.var()\n",
        "biased": (
            "def spread(x):\n    one = x[:, :1].std(dim=1, unbiased=False)\n"
            "    return one + x[:, :1].var(1, correction=0) + x.std(-1, False)\n"
        ),
        "many columns": (
            "def spread(x):\n    return x[:, 1:3].std(dim=1) + x[:, :2].std(dim=1) + x[:, :1].std(dim=0)\n"
        ),
        "tested": "def scaled(x):\n    std = x.std()\n    return x / std if std > 0 else x\n",
        "constant": (
            "import torch\n\ndef noisy(x):\n    noise = torch.randn(8)\n"
            "    return x * (noise / noise.std()).sum()\n"
        ),
    }
    fixed: ClassVar[Mapping[str, str]] = {
        "standardised": bad["standardised"].replace("x.std()", "(x.std() + 1e-8)"),
        "scaled rows": bad["scaled rows"].replace(
            "torch.std(x, dim=-1, keepdim=True)", "(torch.std(x, dim=-1, keepdim=True) + 1e-8)"
        ),
        "layer norm": bad["layer norm"].replace("/ std", "/ (std + 1e-8)"),
        "precision": bad["precision"]
        .replace("reciprocal(variance)", "reciprocal(variance + 1e-8)")
        .replace("- variance.log()", "- (variance + 1e-8).log()"),
    }

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report divisions by a deviation that is 0, and deviations of one element."""
        discarded = discards(trace)
        for application in trace.differentiated(*POLES):
            found = pole(application)
            if found is None or found.witness is None or deviation(found.operand.value) is None:
                continue
            if application.number not in discarded and late_guard(trace, application) is None:
                claim = pole_claim(trace, found, found.witness.condition)
                message = found.described(claim.predicted, claim.metric is Metric.NON_FINITE_VALUE)
                yield self.finding(application.site.node.span, message, claim, fix=keep_away(trace, found))
        for application in trace.differentiated("std", "var", "std_mean", "var_mean"):
            reason = single(application) if _is_unbiased(application) else None
            if reason is not None:
                name = application.primitive.removesuffix("_mean")
                message = f"{name} divides by n - 1, which is 0 for {reason.reason}"
                help = "pass unbiased=False, or leave single elements out"
                claim = _claim(trace, application, reason)
                yield self.finding(application.site.node.span, message, claim, help=help)


def _is_unbiased(a: Application) -> bool:
    switches = [a.constant(1), a.constant(2, "unbiased"), a.constant(9, "unbiased")]
    return not any(switch is False for switch in switches) and a.constant(9, "correction") in (None, 1)


def _claim(trace: Trace, application: Application, reason: Single) -> Claim:
    if reason.masked:
        return non_finite_value(trace, math.nan, "all masked")
    return non_finite_gradient(trace, application.value(0), math.nan, "randn" if reason.always else "")
