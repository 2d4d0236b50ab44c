"""GRD208 zero-weight-chain."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.model import Model
from gradlint.flow.starvation import starved, woken
from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.records.graph import Node, Parameter
from gradlint.rule.depth import name
from gradlint.rule.places import related, within
from gradlint.rule.rule import Rule

_STEPS = 2
"""So many steps without any gradient are reported: then three weights are zero, one behind the other."""

_NOTHING = -30.0
"""Decades below which nothing is left, in float32 and in float64."""


def _net(*constructor: str, forward: str = "return self.head(self.body(x))", rest: str = "") -> str:
    """A model with these lines in its constructor; `rest` stands behind its methods."""
    head = "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n\n"
    head += "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    body = "".join(f"        {line}\n" for line in constructor)
    return f"{head}{body}\n    def forward(self, x):\n        {forward}\n{rest}"


def _stack(depth: int, act: str = "nn.ReLU()") -> tuple[str, ...]:
    """A perceptron of so many hidden layers, `head` behind them."""
    layers = f"self.body = nn.Sequential(*[m for _ in range({depth}) for m in (nn.Linear(16, 16), {act})])"
    return (layers, "self.head = nn.Linear(16, 4)")


_ZERO = ("for m in self.body:", "    if isinstance(m, nn.Linear):", "        nn.init.zeros_(m.weight)")
_INIT = """
    def _init(self, m):
        if isinstance(m, nn.Linear):
            nn.init.constant_(m.weight, 0)
            nn.init.constant_(m.bias, 0.1)
"""
_PARTS = ("self.a, self.b, self.c = (nn.Linear(16, 16) for _ in range(3))",)
_ALL = ("for m in (self.a, self.b, self.c):", "    m.weight.data.zero_()")


class ZeroWeightChain(Rule):
    """Three or more weights that follow one another are all zero: the first ones get no gradient.

    ### Why is this bad?
    A layer whose weights are 0 passes no gradient on: δ_before = Wᵀ·δ. The last of several moves with the
    first step, where a bias gives it something to weigh, the one before it with the second. With two of
    them the loss still curves downwards; with three or more neither gradient nor curvature leads away, and
    what the output owes to the input is a product of as many small numbers. Plain descent rests there for
    hundreds of steps; Adam, whose steps do not shrink with the gradient, gets away sooner.

    ### How it is verified
    The gradient at the first of these layers over that at the last, after one step of gradient descent:
    it is exactly zero.

    ### When it is fine
    One zero layer, or two: the output layer, the last layer of a branch, one matrix of a LoRA pair. Zeros
    that a residual path leads around, since the gradient takes that way. Where biases are zero as well,
    nothing ever moves, of which [another rule](symmetric-init.md) speaks.

    ### Fix safety
    No fix is offered: which scale is right depends on the activation.

    ### References
    - Kawaguchi 2016, [Deep Learning without Poor Local Minima](https://arxiv.org/abs/1605.07110): from three
      weight matrices on there are saddles whose Hessian has no negative eigenvalue, at zero for one
    - Goodfellow et al. 2016, Deep Learning, section 8.4: initial parameters must break the symmetry
    """

    id = "GRD208"
    name = "zero-weight-chain"
    severity = Severity.WARNING
    help = "draw the weights at random, for example with nn.init.kaiming_normal_, and leave zeros to biases"
    bad: ClassVar[Mapping[str, str]] = {
        "hidden layers": _net(*_stack(3), *_ZERO),
        "all layers, through apply": _net(*_stack(2, "nn.Tanh()"), "self.apply(self._init)", rest=_INIT),
        "deeper": _net(*_stack(5, "nn.GELU()"), *_ZERO),
        "by name": _net(
            *_stack(3, "nn.SiLU()"),
            "for name, p in self.named_parameters():",
            "    if 'weight' in name:",
            "        p.data.fill_(0.0)",
        ),
        "convolutions": _net(
            "self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(),",
            "    nn.Conv2d(8, 8, 3), nn.ReLU())",
            "self.head = nn.Linear(8, 4)",
            "for m in self.body:",
            "    if isinstance(m, nn.Conv2d):",
            "        nn.init.constant_(m.weight, 0.0)",
            forward="return self.head(self.body(x).mean((2, 3)))",
        ),
        "within a branch": _net(
            *_PARTS, *_ALL, forward="return x + self.c(F.relu(self.b(F.relu(self.a(x)))))"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "one hidden layer": _net(*_stack(3), "nn.init.zeros_(self.body[2].weight)"),
        "two layers": _net(*_stack(2), *_ZERO),
        "zero biases": _net(
            *_stack(3),
            "for name, p in self.named_parameters():",
            "    if 'bias' in name:",
            "        nn.init.zeros_(p)",
        ),
        "ends of branches": _net(
            *_PARTS,
            *_ALL,
            forward="x = x + F.relu(self.a(x))\n        x = x + F.relu(self.b(x))\n"
            "        return x + F.relu(self.c(x))",
        ),
        "a path around": _net(
            *_PARTS, *_ALL, forward="return self.a(x) + self.b(F.relu(x)) + self.c(F.tanh(x))"
        ),
        "frozen": _net(
            *_PARTS, *_ALL, "self.requires_grad_(False)", forward="return self.c(self.b(self.a(x)))"
        ),
        "drawn afterwards": _net(
            *_stack(3), *_ZERO, "for p in self.body.parameters():", "    nn.init.normal_(p, std=0.3)"
        ),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report the weight that waits longest for its first gradient."""
        stages = woken(model.graph)
        if len(stages) <= _STEPS or not stages[-1] or starved(model.graph) or model.is_initialised_elsewhere:
            return
        node, weight = stages[-1][0]
        row = [(node, weight), *_behind(model, node, stages)]
        if len(row) <= _STEPS:
            return
        subject = f"{model.graph.name}:{name(node)}->{name(row[-1][0])}"
        yield self.finding(
            within(model.graph, weight.initial.place, weight.made, node.made),
            f"{len(row)} weights in a row start at zero: {weight.path} gets no gradient"
            f" in the first {len(row) - 1} steps",
            Claim(Metric.DEPTH_GAIN, subject, _NOTHING, -math.inf, "updates=1"),
            related=related(model.graph, [(part.made, f"{part.path} is zero") for _, part in row]),
        )


def _behind(
    model: Model, node: Node, stages: list[list[tuple[Node, Parameter]]]
) -> Iterator[tuple[Node, Parameter]]:
    """Of every earlier stage, from the latest on, a weight behind the one before it."""
    for stage in reversed(stages[:-1]):
        after = [each for each in stage if model.flow.path(node.number, each[0].number)]
        if after:
            node, _ = after[0]
            yield after[0]
