"""Which nodes on a chain lose or add what it loses or adds."""

from __future__ import annotations

import math
from collections.abc import Collection

from msgspec import Struct

from gradlint.flow.chain import DEVIATIONS, Chain, is_passed_by_all
from gradlint.flow.propagate import GradientFlow, is_weighted
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
        """The operation, as `operation` names it."""
        return operation(self.node)


def operation(node: Node) -> str:
    """What a node does; the product of a signal with itself is its square."""
    return "square" if node.op == "mul" and len({*node.inputs}) == 1 < len(node.inputs) else node.op


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


class Growth(Struct, frozen=True):
    """What a chain does to the scale of the signal.

    `decades` is log10 of the ratio of root mean squares behind `last` and behind `first`; `deviation`
    its standard deviation over random weights, which a power of k multiplies by k.
    """

    first: Node
    last: Node
    decades: Interval
    deviation: float

    @property
    def least(self) -> float:
        """The decades by which the signal grows at least, three deviations allowed."""
        return self.decades.lo - DEVIATIONS * self.deviation


def growth(flow: GradientFlow, chain: Chain, found: tuple[Step, ...]) -> Growth | None:
    """What becomes of the signal's scale along a chain; None where that is not certain."""
    if not chain.is_certain:
        return None
    first, last = flow.moments[chain.first].second.decades, flow.moments[chain.last].second.decades
    deviation = flow.deviation(chain.first, chain.first)
    for step in found:
        own = flow.deviation(step.node.number - 1, step.node.number) if is_weighted(step.node) else 0.0
        deviation = math.hypot(deviation, own) * _exponent(step)
    nodes = flow.graph.nodes
    return Growth(nodes[chain.first], nodes[chain.last], (last - first) * 0.5, deviation)


def _exponent(step: Step) -> float:
    """The power that an activation raises scales to; an exponential is taken for a cube."""
    exponent = step.node.settings.get("exponent", 2.0) if step.op in POWERS else 1.0
    return 3.0 if step.op == "exp" else float(exponent) if isinstance(exponent, float | int) else 2.0
