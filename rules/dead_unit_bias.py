"""GRD107 dead-unit-bias."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.model import Model
from gradlint.flow.rectified import Rectified, rectified
from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.rule.places import enclosing, related, used_at, within
from gradlint.rule.rule import Rule

_FEW, _MANY = 256, 10_000
"""Samples: of a large batch, for the prediction; of many, for its mildest end."""

_HEAD = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n\nclass Net(nn.Module):\n"


def _net(*constructor: str, forward: str = "self.b(F.relu(self.a(x)))") -> str:
    """A model of two layers, with these lines in its constructor."""
    lines = ("super().__init__()", "self.a, self.b = nn.Linear(32, 64), nn.Linear(64, 4)", *constructor)
    body = "    def __init__(self):\n" + "".join(f"        {line}\n" for line in lines)
    return f"{_HEAD}{body}\n    def forward(self, x):\n        return {forward}\n"


def _layers(activation: str, bias: float) -> str:
    """The same as a sequence, with biases set through apply."""
    return (
        f"{_HEAD}    def __init__(self):\n        super().__init__()\n"
        f"        self.net = nn.Sequential(nn.Linear(32, 64), {activation}, nn.Linear(64, 4))\n"
        "        self.apply(self._init)\n\n    @staticmethod\n    def _init(m):\n"
        f"        if isinstance(m, nn.Linear):\n            nn.init.constant_(m.bias, {bias})\n\n"
        "    def forward(self, x):\n        return self.net(x)\n"
    )


class DeadUnitBias(Rule):
    """A negative bias keeps the units of a ReLU at zero for every sample.

    ### Why is this bad?
    Where z ~ N(b, σ²) stays below 0, ReLU gives 0 and its derivative is 0: the weights of such a unit get
    no gradient from any sample and never change. Of n samples none wakes a share Φ(-b/σ)ⁿ of the units.

    ### How it is verified
    The share of units that are 0 for every one of many samples.

    ### When it is fine
    With a bias that is small against the deviation of what it is added to; with activations that pass a
    gradient below 0 (leaky ReLU, GELU, SiLU); before a norm, which takes the bias away; at the output, where
    a negative bias states how rare a class is.

    ### Fix safety
    No fix is offered: the bias may be meant to make activations sparse, at a smaller size.

    ### References
    - Lu et al. 2020, [Dying ReLU and initialization](https://arxiv.org/abs/1903.06733)
    """

    id = "GRD107"
    name = "dead-unit-bias"
    severity = Severity.WARNING
    threshold = "dead-share"
    help = "start the bias at 0 or slightly above"
    bad: ClassVar[Mapping[str, str]] = {
        "constant": _net("nn.init.constant_(self.a.bias, -10.0)"),
        "filled in place": _net("self.a.bias.data.fill_(-5)", forward="self.b(self.a(x).relu())"),
        "layer through apply": _layers("nn.ReLU()", -4.0),
        "own parameter": _net(
            "self.shift = nn.Parameter(torch.full((64,), -6.0))",
            forward="self.b(torch.relu(self.a(x) + self.shift))",
        ),
        "number": _net(forward="self.b(F.relu(self.a(x) - 8.0))"),
        "bias of a norm": _net(
            "self.norm = nn.BatchNorm1d(64)",
            "nn.init.constant_(self.norm.bias, -6.0)",
            forward="self.b(F.relu(self.norm(self.a(x))))",
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "default": _net(),
        "small": _layers("nn.ReLU()", -0.1),
        "leaky": _layers("nn.LeakyReLU(0.1)", -4.0),
        "GELU": _net("nn.init.constant_(self.a.bias, -1.0)", forward="self.b(F.gelu(self.a(x)))"),
        "norm behind": _net(
            "self.norm = nn.BatchNorm1d(64)",
            "nn.init.constant_(self.a.bias, -10.0)",
            forward="self.b(F.relu(self.norm(self.a(x))))",
        ),
        "output": _net("nn.init.constant_(self.b.bias, -4.6)", forward="self.b(F.relu(self.a(x))).sigmoid()"),
        "large weights": _net(
            "nn.init.normal_(self.a.weight, std=2.0)", "nn.init.constant_(self.a.bias, -5.0)"
        ),
        "positive": _net("nn.init.constant_(self.a.bias, 10.0)"),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report rectifiers that keep units at 0 over many samples."""
        for found in rectified(model.flow):
            least = found.dead(_MANY)
            if least > 0.1:
                yield self._reported(model, found, least)

    def _reported(self, model: Model, found: Rectified, least: float) -> Finding:
        graph, source = model.graph, found.source
        share = found.dead(_FEW)
        subject = found.rectifier.module or source.module or enclosing(graph, source)
        claim = Claim(Metric.DEAD_UNITS, f"{graph.name}:{subject}", 0.5, share, least=least)
        bias = source.parameters.get("bias")
        place = bias.initial.place if bias is not None else None
        span = used_at(graph, source) if place is None else within(graph, place, source.made)
        mean, deviation = _two_digits(found.mean), _two_digits(found.deviation)
        message = f"mean {mean} at deviation {deviation} keeps {share:.0%} of the units at 0"
        others = related(graph, [(found.rectifier.place, "these units")])
        return self.finding(span, message, claim, related=others)


def _two_digits(x: float) -> str:
    """A number other than 0 with two digits that count, or all of those before the point."""
    return f"{x:.{max(0, 1 - math.floor(math.log10(abs(x))))}f}"
