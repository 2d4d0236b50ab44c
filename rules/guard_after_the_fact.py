"""GRD605 guard-after-the-fact."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Claim, Finding, Related, Severity
from gradlint.rule.claims import guarded_claim, non_finite_gradient
from gradlint.rule.rule import Rule
from gradlint.rule.triggers import EXPONENTIAL, LOGARITHM
from gradlint.semantics.discard import discards
from gradlint.semantics.fused import OVERFLOW, fused
from gradlint.semantics.guards import LateGuard, late_guard
from gradlint.semantics.moderate import stays_below
from gradlint.semantics.poles import POLES, pole
from gradlint.semantics.tensor import Application
from gradlint.semantics.trace import Trace


class GuardAfterTheFact(Rule):
    """A value that is not finite is mended behind the function that made it, where it is too late.

    ### Why is this bad?
    The guard mends the value, so the loss looks healthy. On the way back it hands 0 to the function
    that went wrong, whose slope is infinite there: 0 · inf = nan, and the weights are nan after the
    next step. An epsilon that is added to a logarithm or a quotient does not even mend the value.

    ### How it is verified
    One backward pass on inputs that make the operand 0 or exp overflow: the gradient is nan or inf.

    ### When it is fine
    With the guard inside: log(x.clamp(min=1e-8)), a / (b + 1e-8). A bound counts as a guard only if
    it tells: below -4 behind a logarithm, above 1000 behind exp; ratios may be clipped. What stands
    here is not [unguarded-log](unguarded-log.md) or [degenerate-deviation](degenerate-deviation.md)
    as well. Selections by a mask belong to [nan-through-where](nan-through-where.md), roots of 0 to
    [infinite-gradient-at-zero](infinite-gradient-at-zero.md), log(softmax(x)) and the like, guarded
    behind or not, to [log-of-normalised](log-of-normalised.md).

    ### Fix safety
    There is no fix: where the guard belongs is plain, but not which bound gives the same values.

    ### References
    - [get NaN during backward of "nan_to_num"](https://github.com/pytorch/pytorch/issues/94700)
    - [NaN gradients not properly masked](https://github.com/pytorch/pytorch/issues/17455)
    - [An L2 normalisation whose epsilon guards the value only](https://github.com/keras-team/keras/issues/23075)
    """

    id = "GRD605"
    name = "guard-after-the-fact"
    severity = Severity.WARNING
    help = "guard the operand, in front of the function"
    triggers: ClassVar[Mapping[str, str]] = {
        **LOGARITHM,
        **EXPONENTIAL,
        "nan_to_num": "",
        "1e-": r"(?<=\+ )1e-\d",
    }
    bad: ClassVar[Mapping[str, str]] = {
        "clamped logarithm": (
            "import torch\n\ndef loss(p):\n    return -torch.log(p).clamp(min=-100).mean()\n"
        ),
        "nan_to_num": "import torch\n\ndef ratio(x):\n    return torch.nan_to_num(x / x)\n",
        "epsilon outside": "import torch as t\n\ndef energy(x):\n    return t.log(x.pow(2).sum(-1)) + 1e-8\n",
        "epsilon of a quotient": (
            "def iou(a, b):\n    inter, union = a * b, a + b\n    return inter / union + 1e-6\n"
        ),
        "mended loss": (
            "import torch\n\ndef entropy(x):\n    p = torch.abs(x)\n"
            "    loss = -(p * torch.log(p)).sum(dim=-1).mean()\n"
            "    loss = torch.nan_to_num(loss, nan=0.0)\n    return loss\n"
        ),
        "unit vectors": (
            "import torch\nfrom torch import nn\n\nclass Unit(nn.Module):\n    def forward(self, x):\n"
            "        n = x.norm(dim=-1, keepdim=True)\n        return (x / n).nan_to_num_()\n"
        ),
        "overflow": (
            "import torch\n\ndef scale(log_scale):\n    s = torch.exp(log_scale)\n"
            "    return s.clamp(max=1e4)\n"
        ),
        "negative root": "import torch\n\ndef chord(x):\n    return torch.nan_to_num(torch.sqrt(1 - x))\n",
        "helper": (
            "import torch\n\ndef safe(x):\n    return torch.clamp(x, min=-20.0)\n\ndef loss(x):\n"
            "    return safe(torch.log(x.clamp(min=0))).sum()\n"
        ),
        "reciprocal": (
            "def weights(x):\n    return (1 / x).nan_to_num(posinf=0.0) + x.reciprocal().nan_to_num(0.0)\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "clamp inside": (
            "import torch\n\ndef loss(p):\n    return -torch.log(p.clamp(min=1e-8)).clamp(min=-100).mean()\n"
        ),
        "epsilon inside": (
            "def iou(a, b):\n    inter, union = a * b, a.abs() + b.abs()\n"
            "    return inter / (union + 1e-6) + 1e-6\n"
        ),
        "replaced in front": (
            "import torch\n\ndef clean(x):\n    x = torch.nan_to_num(x, nan=0.0, posinf=1e4, neginf=-1e4)\n"
            "    return torch.log(x.abs() + 1) / 2\n"
        ),
        "clipped ratio": (
            "import torch\n\ndef surrogate(new, old, advantage):\n"
            "    ratio = torch.exp((new - old).clamp(max=20))\n"
            "    return -torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()\n"
        ),
        "bounded exponent": (
            "import torch\n\ndef scale(log_scale):\n"
            "    return torch.exp(log_scale.clamp(-20, 2)).clamp(max=1e4)\n"
        ),
        "positive ratio": "def log_ratio(x):\n    return (1 + x.square()).log().clamp(min=-5)\n",
        "not differentiated": (
            "import torch\n\ndef metric(x):\n    with torch.no_grad():\n"
            "        score = torch.nan_to_num(x / x.sum())\n    return x * score\n"
        ),
        "attention rows": (
            "import torch\n\ndef attention(x, mask: torch.BoolTensor):\n"
            '    weights = torch.softmax(x.masked_fill(mask, float("-inf")), dim=-1)\n'
            "    return torch.nan_to_num(weights)\n"
        ),
    }

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each function that is mended behind and loses the gradient."""
        discarded = discards(trace)
        for application in trace.differentiated(*POLES, "exp", "sqrt"):
            if application.number in discarded or fused(application) is not None:
                continue
            guard = late_guard(trace, application)
            claim = _claim(trace, application, guard) if guard is not None else None
            if guard is not None and claim is not None:
                where = {"exp": "beyond 88", "sqrt": "below 0"}.get(application.primitive, "at 0")
                what = {"div": "the quotient", "reciprocal": "the reciprocal"}.get(application.primitive)
                lost = f"the gradient of {what or application.primitive} is {claim.predicted} {where}"
                message = f"{lost}: {guard.phrase} behind it comes too late"
                related = Related(guard.application.site.node.span, "the guard")
                yield self.finding(application.site.node.span, message, claim, related=(related,))


def _claim(trace: Trace, application: Application, guard: LateGuard) -> Claim | None:
    value, facts = application.value(0), application.facts(0)
    if application.primitive == "exp":
        is_bounded = stays_below(value, OVERFLOW) or not guard.telling
        return None if is_bounded else non_finite_gradient(trace, value, math.nan, "large inputs")
    if application.primitive == "sqrt":
        is_known = facts.zero is not None or facts.lo >= 0 or guard.application.primitive != "nan_to_num"
        return None if is_known else non_finite_gradient(trace, value, math.nan, "randn")
    found = pole(application)
    return guarded_claim(trace, found, guard) if found is not None else None
