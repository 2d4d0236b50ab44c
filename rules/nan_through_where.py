"""GRD602 nan-through-where."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Finding, Related, Severity
from gradlint.rule.claims import non_finite_gradient
from gradlint.rule.rule import Rule
from gradlint.semantics.discard import discards
from gradlint.semantics.fused import written_out
from gradlint.semantics.trace import Trace

_MASKING = r"(?:\]|\)\s*(?:\*|\.(?:float|double|to|type|type_as)\b))"
"""What follows a comparison that becomes an index or a factor."""

_HOW = {"index_put": "the assignment", "masked_select": "the index", "mul": "the mask"}


class NanThroughWhere(Rule):
    """A condition discards the elements at which a function breaks, and its gradient breaks all the same.

    ### Why is this bad?
    `torch.where(x > 0, x.log(), 0)` computes both branches everywhere, and so does the way back: the
    branch that was not chosen receives the gradient 0, log multiplies it by 1/x, and 0 · inf = nan
    at every x = 0. The result looks right; one such element makes the whole gradient nan. Masks that
    are multiplied onto a result, filled into it or used as its index act in the same way.

    ### How it is verified
    One backward pass on an input that the condition discards (zeros, random or large numbers): the
    gradient at the input is nan.

    ### When it is fine
    Where the operand is made harmless before the function sees it: a second `where` inside, a clamp,
    an epsilon, elements selected by an index first. Nothing is reported unless the condition tells
    that the bad operand is expected: its test is evaluated at 0, at ±1, ±2 and beyond exp's range.

    ### Fix safety
    There is no fix: the harmless operand depends on the function.

    ### References
    - [Gradients of torch.where with inf or nan](https://github.com/pytorch/pytorch/issues/23395)
    - [torch.where produces nan in backward](https://github.com/pytorch/pytorch/issues/68425)
    - [NaN from the inactive sqrt branch](https://github.com/pytorch/pytorch/issues/187297)
    - [NaN gradients in the off branch](https://github.com/Ciela-Institute/caustics/pull/83)
    """

    id = "GRD602"
    name = "nan-through-where"
    severity = Severity.ERROR
    help = "make the operand harmless where the result is discarded: select inside the function as well"
    triggers: ClassVar[Mapping[str, str]] = {
        "where": r"(?<!np\.)(?<!numpy\.)(?<!jnp\.)where\s*\(",
        "masked_fill": r"masked_fill_?\s*\(",
        "masked_select": "",
        **{f" {sign} ": rf" {sign} [\w.\-()]+?{_MASKING}" for sign in ("<", ">", "<=", ">=", "==", "!=")},
        **{f".{n}(": rf"\.{n}\([^()\n]*\){_MASKING}" for n in ("lt", "gt", "le", "ge", "eq", "ne")},
    }
    bad: ClassVar[Mapping[str, str]] = {
        "log": "import torch\n\ndef f(x):\n    return torch.where(x > 0, x.log(), torch.zeros_like(x))\n",
        "root of negative numbers": (
            "from torch import sqrt, where\n\ndef f(x):\n    root = sqrt(x)\n"
            "    return where(x >= 0, root, -x)\n"
        ),
        "division": "import torch\n\ndef ratio(x, y):\n    return torch.where(y == 0, 0.0, x / y)\n",
        "unit vectors": (
            "import torch as t\n\ndef unit(x):\n    size = x.norm(dim=-1, keepdim=True)\n"
            "    return (x / size).where(size > 1e-6, t.zeros_like(x))\n"
        ),
        "sinc": (
            "import torch\n\ndef sinc(x, eps=1e-4):\n    angle = x.abs()\n    series = 1 - angle ** 2 / 6\n"
            "    return torch.where(angle < eps, series, torch.sin(angle) / angle)\n"
        ),
        "overflow": "import torch\n\ndef elu(x):\n    return torch.where(x > 0, x, torch.exp(x) - 1)\n",
        "gamma curve": (
            "import torch\n\ndef to_srgb(x):\n    bright = 1.055 * x ** (1 / 2.4) - 0.055\n"
            "    return torch.where(x > 0.0031308, bright, 12.92 * x)\n"
        ),
        "mask as a factor": (
            "import torch\n\ndef entropy(p):\n    mask = (p > 0).float()\n"
            "    return -(mask * p * torch.log(p)).sum()\n"
        ),
        "filled": "def f(x):\n    return (1 / x).masked_fill(x == 0, 0.0)\n",
        "assigned": "def f(x):\n    y = x.log()\n    y[x <= 0] = 0\n    return y\n",
        "indexed": "import torch\n\ndef f(x):\n    return torch.acos(x)[x.abs() < 1].sum()\n",
        "test of the result": (
            "import torch\n\ndef unit(x):\n    y = x / x.norm(dim=-1, keepdim=True)\n"
            "    return torch.where(torch.isnan(y), torch.zeros_like(y), y)\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "second where": (
            "import torch\n\ndef f(x):\n    safe = torch.where(x > 0, x, 1)\n"
            "    return torch.where(x > 0, safe.log(), 0)\n"
        ),
        "clamp": "import torch\n\ndef f(x):\n    return torch.where(x > 0, x.clamp(min=1e-6).log(), 0)\n",
        "shifted where it is 0": (
            "import torch\n\ndef ratio(x, y):\n    zero = (y.abs() < 1e-3).float()\n"
            "    return (1 - zero) * x / (y + zero)\n"
        ),
        "filled first": (
            "def f(x):\n    y = x.masked_fill(x == 0, 1)\n    return y.log().masked_fill(x == 0, 0)\n"
        ),
        "indexed first": "import torch\n\ndef f(x):\n    return torch.log(x[x > 0.1]).sum()\n",
        "assigned from a selection": (
            "import torch\n\ndef f(x):\n    y = torch.zeros_like(x)\n    y[x > 0.1] = x[x > 0.1].log()\n"
            "    return y\n"
        ),
        "finite branch": "import torch\n\ndef f(x):\n    return torch.where(x > 0, x, torch.sigmoid(x))\n",
        "bounded exponent": (
            "import torch\n\ndef elu(x):\n    return torch.where(x > 0, x, torch.exp(x.clamp(max=0)) - 1)\n"
        ),
        "another condition": (
            "import torch\n\ndef f(x, mask: torch.BoolTensor):\n"
            "    return torch.where(mask, (1 + x ** 2).log(), x)\n"
        ),
        "epsilon": "import torch\n\ndef f(x):\n    return (x > 0) * torch.sqrt(x.relu() + 1e-8)\n",
        "only for inference": (
            "import torch\n\nclass Head(torch.nn.Module):\n    def forward(self, x):\n"
            "        if self.training:\n            return x * 2\n        return self.decode(x.detach())\n\n"
            "    def decode(self, x):\n        scores = torch.sqrt(x)\n        return scores[scores > 0]\n"
        ),
    }

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each function whose gradient is nan at what is discarded."""
        owned = written_out(trace)
        for discard in discards(trace).values():
            application = discard.application
            if application.number in owned:
                continue
            operand = next(o.value for o in application.operands if trace.carries_gradient(o.value))
            claim = non_finite_gradient(trace, operand, math.nan, discard.condition)
            how = _HOW.get(discard.selection.primitive, discard.selection.primitive)
            message = (
                f"the gradient of {application.primitive} is nan where its operand is {discard.operand:.3g}, "
                f"although {how} discards the result there"
            )
            related = Related(discard.selection.site.node.span, "discarded here")
            span = application.site.node.span
            yield self.finding(span, message, claim, related=(related,))
