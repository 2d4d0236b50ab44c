"""GRD601 infinite-gradient-at-zero."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Finding, Fix, Severity
from gradlint.rule.claims import non_finite_gradient, severity
from gradlint.rule.epsilon import add_epsilon
from gradlint.rule.rule import Rule
from gradlint.semantics.backflow import infinite_gradient
from gradlint.semantics.discard import discards
from gradlint.semantics.tensor import SIGMOID, Application, Facts, Witness
from gradlint.semantics.trace import Trace

_USED = r"(?=\s*[(,)\]}#\n]|\s+as\b|\s*$)"
_NO_COUNT = "".join(f"(?<!{name})(?<!{name} )" for name in ("dim", "size", "model", "channels", r"numel\(\)"))


class InfiniteGradientAtZero(Rule):
    """A root or fractional power is taken of something that can be exactly 0.

    ### Why is this bad?
    (√x)' = 1/(2√x) is infinite at 0, and so is the derivative of xᵖ for p < 1. The step behind (a
    square, a variance, |x|) has slope 0 there, and inf · 0 = nan: one zero difference, as every row
    has from itself, turns the gradient of the batch into nan. An epsilon behind the root is too late.

    ### How it is verified
    One backward pass on the input that makes the operand 0 (zeros, equal rows, large inputs for what
    saturates): the gradient at the input is nan, or inf where nothing stands between.

    ### When it is fine
    With an epsilon inside the root or a clamp from below by a positive number; after a test of the
    operand; where the result is only compared or logged. `x.norm()`, `torch.linalg.vector_norm`,
    `torch.cdist`, `torch.dist` and `x.std()` define their gradient at 0 as 0; ReLU lets nothing through.
    The norm of what layers compute is a note: it is hardly ever 0; so is a sigmoid's output, which is 0 below
    -103 only, where no gradient drives it. A root behind `torch.where` or a
    mask belongs to [nan-through-where](nan-through-where.md).

    ### Fix safety
    Unsafe: the epsilon changes the result near 0 (√1e-8 = 1e-4), and 1e-8 vanishes in float16.

    ### References
    - [Calling Tensor.sqrt() should add a small value](https://github.com/pyg-team/pytorch_geometric/issues/2559)
    - [Request to avoid loss to NaN](https://github.com/ronghuaiyang/arcface-pytorch/issues/91)
    - [MseLossBackward returned nan](https://discuss.pytorch.org/t/94875)
    """

    id = "GRD601"
    name = "infinite-gradient-at-zero"
    severity = Severity.ERROR
    help = "add a small number inside the root, or use torch's norm, dist or cdist"
    triggers: ClassVar[Mapping[str, str]] = {
        "sqrt": rf"(?<!math\.)(?<!np\.)(?<!numpy\.)(?:(?<![\w\"'/-])|(?<=\Wr))sqrt_?{_USED}",
        "hypot": rf"(?<!math\.)(?<!np\.)(?<!numpy\.)hypot_?{_USED}",
        "**": rf"{_NO_COUNT}\*\*=?\s*\(?\s*-?\s*(?:\d*\.\d|\d+\s*/)",
        "pow": r"(?<!math\.)(?<!np\.)(?<!numpy\.)pow_?\s*\([^()]*(?:\([^()]*\)[^()]*)*?-?(?:\d*\.\d|\d\s*/)",
    }
    bad: ClassVar[Mapping[str, str]] = {
        "norm by hand": "import torch\n\ndef norm(x):\n    return torch.sqrt(torch.sum(x ** 2, dim=-1))\n",
        "distance of embeddings": (
            "import torch.nn as nn\n\nclass Siamese(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh())\n\n"
            "    def forward(self, a, b):\n        d = self.net(a) - self.net(b)\n"
            "        return (d * d).sum(dim=1) ** 0.5\n"
        ),
        "all pairs": "def pairs(x):\n    d = x[:, None] - x[None]\n    return d.pow(2).sum(-1).sqrt()\n",
        "expanded square": (
            "def distances(x, y):\n    xx, yy = x.pow(2).sum(1, keepdim=True), y.pow(2).sum(1)\n"
            "    return (xx + yy - 2 * x @ y.t()).clamp(min=0).sqrt()\n"
        ),
        "root mean squared error": (
            "import torch\nfrom torch import nn\n\nclass RootLoss(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n        self.mse = nn.MSELoss()\n\n"
            "    def forward(self, output, target):\n"
            "        return torch.sqrt(self.mse(output, target)) + 1e-8\n"
        ),
        "layer norm": (
            "import torch as t\n\ndef normed(x):\n    variance = x.var(-1, keepdim=True, unbiased=False)\n"
            "    return (x - x.mean(-1, keepdim=True)) * t.rsqrt(variance)\n"
        ),
        "helper and branch": (
            "from torch import sqrt as root\n\ndef scale(v, half):\n"
            "    return root(v) if half else v.pow(1 / 2)\n\n"
            "def signed(x):\n    return x.sign() * scale(x.abs(), len(x) > 3)\n"
        ),
        "root of a probability": "def root(x):\n    return x.softmax(dim=-1).sqrt()\n",
        "clamp at zero": "def root(x):\n    return x.clamp(min=0).sqrt()\n",
        "hypotenuse": "import torch\n\ndef edge(x, y):\n    return torch.hypot(x, y).mean()\n",
    }
    good: ClassVar[Mapping[str, str]] = {
        "epsilon inside": "import torch\n\ndef norm(x):\n    return torch.sqrt((x ** 2).sum(-1) + 1e-8)\n",
        "clamp inside": "def norm(x):\n    return x.pow(2).sum(-1).clamp(min=1e-6) ** 0.5\n",
        "norms of torch": (
            "import torch\n\ndef norms(x, y):\n    far = torch.cdist(x, y).mean() + torch.dist(x, y)\n"
            "    return x.norm(dim=-1).sum() + torch.linalg.vector_norm(y) + x.std(-1).mean() + far\n"
        ),
        "nothing comes through": "def spread(x):\n    return x.std(-1) ** 0.5 + x.relu().sum(-1).sqrt()\n",
        "tested": "def norm(x):\n    d = (x ** 2).sum()\n    return d.sqrt() if d > 0 else d\n",
        "filled in first": (
            "def distances(x):\n    d = (x[:, None] - x[None]).pow(2).sum(-1)\n"
            "    same = d.eq(0).float()\n    return (d + same * 1e-12).sqrt() * (1 - same)\n"
        ),
        "never zero": "def offset(x):\n    return (x ** 2 + 1).sqrt() + (x.abs() + 1).pow(-0.5)\n",
        "only compared": (
            "def near(x, y):\n    inside = ((x - y) ** 2).sum(-1).sqrt() < 1\n"
            "    return (x - y).abs().sum(-1) * inside\n"
        ),
        "detached": "def rescale(x):\n    return x / (x.square().mean().sqrt().detach() + 1)\n",
    }
    fixed: ClassVar[Mapping[str, str]] = {
        "norm by hand": bad["norm by hand"].replace("dim=-1)", "dim=-1) + 1e-8"),
        "clamp at zero": "def root(x):\n    return (x.clamp(min=0) + 1e-8).sqrt()\n",
    }

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each root whose operand reaches 0."""
        elsewhere = discards(trace)
        for application in trace.differentiated("sqrt", "rsqrt", "pow", "hypot"):
            zero, written = _reached(application), _written(application)
            value = application.value(0, "input")
            slope = infinite_gradient(value) if application.primitive != "hypot" else math.nan
            if zero is None or slope is None or not written or application.number in elsewhere:
                continue
            claim = non_finite_gradient(trace, value, slope, zero.condition)
            message = f"the gradient of {written} is infinite at 0, which {zero.reason} reaches"
            place, fix = application.site.node.span, _fix(application)
            yield self.finding(place, message, claim, severity=_severity(zero), fix=fix)


def _severity(zero: Witness) -> Severity | None:
    """A note where 0 is hardly ever reached: there the gradient of a sigmoid's root vanishes as well."""
    return Severity.NOTE if zero.reason == SIGMOID else severity(zero)


def _reached(a: Application) -> Witness | None:
    """Why the operand, or both of two, are 0 somewhere."""
    x = a.facts(0, "input")
    if a.primitive == "hypot":
        return Facts(vanishes=x.vanishes & a.facts(1, "other").vanishes).vanishing("the origin")
    return x.zero


def _written(a: Application) -> str:
    """The function, or nothing where its gradient at 0 is finite or it is a reciprocal."""
    power = a.constant(1, "exponent")
    if a.primitive != "pow":
        return a.primitive
    return f"x**{power:.3g}" if isinstance(power, float) and power < 1 and power % 1 else ""


def _fix(a: Application) -> Fix | None:
    """An epsilon, unless that is no remedy: for two operands, or one that rounding makes negative."""
    return add_epsilon(a) if a.primitive != "hypot" and a.facts(0, "input").lo >= 0 else None
