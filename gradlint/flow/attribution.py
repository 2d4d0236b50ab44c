"""Which nodes on a chain lose or add what it loses or adds."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct

from gradlint.flow.chain import Chain, is_passed_by_all
from gradlint.flow.propagate import GradientFlow
from gradlint.mathematics.interval import Interval
from gradlint.records.graph import ModelGraph, Node

SATURATING = frozenset({"sigmoid", "tanh", "hardsigmoid", "softsign", "softmax", "softmin"})
"""Activations that are flat towards both ends."""

POWERS = frozenset({"pow", "square", "exp"})
"""Activations that grow faster than their argument."""

NORMS = frozenset({"batch_norm", "instance_norm", "layer_norm", "group_norm", "rms_norm"})
"""Layers that bring a signal to a scale of their own."""

FACTORS = frozenset({"scale", "mul", "div"})
"""Products with what is no layer's weight."""

SUMS = frozenset({"add", "sub"})
"""Where the branch of a residual block meets what it was added to."""


class Step(Struct, frozen=True):
    """A node that the whole gradient passes, and what happens to the gradient since the one before.

    `decades` is log10(‖δ_before‖₂ / ‖δ_node‖₂): over the steps of a chain, `lo` adds up to the least
    that S can be and `hi` to the most.
    `is_direct` says that the node alone does it; otherwise paths part behind the node before and
    meet here (a residual block, a gate, attention).
    """

    node: Node
    decades: Interval
    is_direct: bool

    @property
    def op(self) -> str:
        """The operation; the product of a signal with itself is its square."""
        first, *others = self.node.inputs
        return "square" if self.node.op == "mul" and others == [first] else self.node.op


def steps(flow: GradientFlow, chain: Chain) -> tuple[Step, ...]:
    """The steps from the chain's first layer to its last; to where paths meet, if some avoid the last."""
    gradient, ends = flow.gradient, flow.graph.outputs
    if is_passed_by_all(flow.graph, chain.first, chain.last):
        gradient, ends = flow.pulled(chain.last), (chain.last,)
    passing = _ways(flow.graph, chain.first, ends)
    found: list[Step] = []
    before = chain.first
    for number in sorted(passing)[1:]:
        if passing[number] == passing[chain.first]:
            node = flow.graph.nodes[number]
            change = _difference(gradient[before], gradient[number])
            found.append(Step(node, change, passing.keys() & {*node.inputs} == {before}))
            before = number
    return tuple(found)


def _difference(a: Interval, b: Interval) -> Interval:
    """How far the ends of `a` lie above those of `b`, which goes along with it."""
    return Interval(_above(a.lo, b.lo), _above(a.hi, b.hi))


def _above(a: float, b: float) -> float:
    return 0.0 if a == b else a - b


def _ways(graph: ModelGraph, first: int, ends: Collection[int]) -> dict[int, int]:
    """For the nodes from `first` on, how many ways from there to the ends lead over them."""
    arriving = {first: 1}
    for node in graph.nodes[first + 1 :]:
        if ways := sum(arriving.get(number, 0) for number in node.inputs):
            arriving[node.number] = ways
    leaving: dict[int, int] = {}
    for number in sorted(arriving, reverse=True):
        leaving[number] = leaving.get(number, 0) + (number in ends)
        for before in graph.nodes[number].inputs:
            leaving[before] = leaving.get(before, 0) + leaving[number]
    return {number: ways * leaving[number] for number, ways in arriving.items()}
