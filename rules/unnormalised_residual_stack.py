"""GRD104 unnormalised-residual-stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.model import Model
from gradlint.flow.residual import stacks
from gradlint.records.finding import Finding, Severity
from gradlint.rule.depth import LEAST, activation_scale, times
from gradlint.rule.places import related, used_at
from gradlint.rule.rule import Rule


def _net(block: str, *constructor: str, depth: int = 24, init: str = "") -> str:
    """A stack of blocks that compute `block`; `init` draws the weights of a linear layer `m`."""
    applied = f"if isinstance(m, nn.Linear):\n            {init}" if init else "pass"
    lines = "".join(f"        {line}\n" for line in ("self.f = nn.Linear(64, 64)", *constructor))
    return f"""import torch
from torch import nn
from torch.nn import functional as F

class Block(nn.Module):
    def __init__(self):
        super().__init__()
{lines}
    def forward(self, x):
        return {block}

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(32, 64)
        self.layers = nn.Sequential(*[Block() for _ in range({depth})])
        self.head = nn.Linear(64, 10)
        self.apply(self.draw)

    def draw(self, m):
        {applied}

    def forward(self, x):
        return self.head(self.layers(self.first(x)))
"""


_HE = "nn.init.kaiming_normal_(m.weight, nonlinearity='relu')"
_TWO = "self.g = nn.Linear(64, 64)"
_NORM = "self.norm = nn.LayerNorm(64)"
_MLP = "x + self.g(F.relu(self.f(x)))"
_LOOP = """import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, depth=24):
        super().__init__()
        self.first = nn.Conv2d(3, 32, 1)
        self.layers = nn.ModuleList([nn.Conv2d(32, 32, 1) for _ in range(depth)])
        self.head = nn.Linear(32, 10)
        for layer in self.layers:
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")

    def forward(self, x):
        x = self.first(x)
        for layer in self.layers:
            skip = x
            x = layer(x).relu()
            x = skip + x
        return self.head(x.mean((2, 3)))
"""


class UnnormalisedResidualStack(Rule):
    """Residual blocks add to their input what is as large as it, without a norm or a scale.

    ### Why is this bad?
    E[(x + f(x))²] = E[x²] + E[f(x)²]: where f keeps the scale of its input, each block doubles the second
    moment, and the activations grow as √2 to the power of the depth. The gradient grows alike on its way
    back. The first loss is huge, and half precision overflows.

    ### How it is verified
    The root mean square of what the first layer of the last block returns over that of the first block.

    ### When it is fine
    With a norm in front of f or behind the sum, with a last layer that starts at zero (ReZero, Fixup), or
    with a branch scaled by 1/√depth nothing is reported.

    ### Fix safety
    No fix: a norm changes the model.

    ### References
    - Zhang et al.: [Fixup initialization](https://arxiv.org/abs/1901.09321), 2019
    - Bachlechner et al.: [ReZero is all you need](https://arxiv.org/abs/2003.04887), 2020
    - [huangleiBuaa/ONI#1](https://github.com/huangleiBuaa/ONI/issues/1): a residual net without norms
    """

    id = "GRD104"
    name = "unnormalised-residual-stack"
    severity = Severity.WARNING
    help = "normalise the branch's input, start the branch at zero, or scale it by 1/√depth"
    threshold = "activation-decades"
    bad: ClassVar[Mapping[str, str]] = {
        "one layer, ReLU": _net("x + F.relu(self.f(x))", depth=50),
        "He": _net(_MLP, _TWO, init=_HE),
        "in a loop": _LOOP,
        "the other way round": _net("self.g(torch.relu(self.f(x))).add(x)", _TWO, init=_HE),
        "dropout behind the sum": _net(
            "self.drop(self.g(F.relu(self.f(x))) + x)", _TWO, "self.drop = nn.Dropout(0.1)", init=_HE
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "default, two layers": _net(_MLP, _TWO),
        "norm before": _net("x + self.g(F.relu(self.f(self.norm(x))))", _TWO, _NORM, init=_HE),
        "norm behind": _net("self.norm(x + self.g(F.relu(self.f(x))))", _TWO, _NORM, init=_HE),
        "a scale that starts at zero": _net(
            "x + self.a * self.g(F.relu(self.f(x)))", _TWO, "self.a = nn.Parameter(torch.zeros(1))", init=_HE
        ),
        "scale per channel": _net(
            "x + self.a * self.g(F.relu(self.f(x)))",
            _TWO,
            "self.a = nn.Parameter(torch.full((64,), 1e-4))",
            init=_HE,
        ),
        "scaled by the depth": _net("x + self.g(F.relu(self.f(x))) / 24 ** 0.5", _TWO, init=_HE),
        "norm whose weight is zero": _net(
            "x + self.norm(self.g(F.relu(self.f(x))))",
            _TWO,
            "self.norm = nn.BatchNorm1d(64)",
            "nn.init.zeros_(self.norm.weight)",
            init=_HE,
        ),
        "few blocks": _net(_MLP, _TWO, depth=4, init=_HE),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report each stack whose activations grow."""
        for stack in stacks(model.flow):
            if stack.least_growth < LEAST or model.is_initialised_to(1):
                continue
            first, last = (model.graph.nodes[block.layer] for block in (stack.blocks[0], stack.blocks[-1]))
            decades = stack.decades.centre
            grown = f"multiply the activations by {times(decades)} ({decades:+.1f} decades)"
            yield self.finding(
                used_at(model.graph, model.graph.nodes[stack.blocks[0].sum]),
                f"{len(stack.blocks)} residual sums {grown}",
                activation_scale(model, first, last, stack.decades, stack.least_growth),
                related=related(
                    model.graph, [(first.made, "the first block"), (last.made, "the last block")]
                ),
            )
