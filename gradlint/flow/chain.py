"""The stretch of a model over which its gradient is judged: from its first layer to that before the head."""

from __future__ import annotations

import math

from msgspec import Struct

from gradlint.flow.propagate import GradientFlow, is_weighted
from gradlint.mathematics.interval import Interval
from gradlint.records.graph import ModelGraph, Node

DEVIATIONS = 3.0
"""How many standard deviations of S over random weights a judgement leaves room for."""

BYPASSED = 2.0
"""By how many decades less than the sum that it goes into a branch gets that the gradient goes round."""


class Chain(Struct, frozen=True):
    """Weighted layers from `first` to `last` (numbers of nodes) and what is left of the gradient.

    `decades` is S = log10(‖δ_first‖₂ / ‖δ_last‖₂), without what pooling merely distributes;
    `deviation` its standard deviation over random weights, in decades; `layers` how many there are.
    """

    first: int
    last: int
    layers: int
    decades: Interval
    deviation: float
    is_certain: bool

    @property
    def least_loss(self) -> float:
        """The decades that the gradient loses at least, three deviations allowed; below 0 if it may grow."""
        return -self.decades.hi - DEVIATIONS * self.deviation if self.is_certain else -math.inf

    @property
    def least_growth(self) -> float:
        """The decades by which the gradient grows at least, three deviations allowed."""
        return self.decades.lo - DEVIATIONS * self.deviation if self.is_certain else -math.inf


def longest_chain(flow: GradientFlow) -> Chain | None:
    """The longest chain of weighted layers before the head; None where there are fewer than two."""
    return _over(flow, _carrying(flow, deepest(flow.graph)[:-1]))


def chain_to_head(flow: GradientFlow) -> Chain | None:
    """From the first weighted layer on the deepest way to the head, with it; None where they are one."""
    return _over(flow, deepest(flow.graph))


def _over(flow: GradientFlow, layers: list[int]) -> Chain | None:
    if len(layers) < 2:
        return None
    first, last = layers[0], layers[-1]
    deviation, is_certain = flow.deviation(first, last), flow.is_certain(first, last)
    return Chain(first, last, len(layers), _decades(flow, first, last), deviation, is_certain)


def _carrying(flow: GradientFlow, layers: list[int]) -> list[int]:
    """The layers from the first to the last one that the gradient does not go round.

    Where a residual branch begins at zero or is scaled down (ReZero, LayerScale, a norm that begins
    at zero), hardly anything comes to the layers within, and that does not tell what the stream carries.
    """
    sums = _sums(flow.graph)
    carrying = [number for number in layers if not _is_bypassed(flow, number, sums.get(number))]
    return layers[layers.index(carrying[0]) : layers.index(carrying[-1]) + 1] if carrying else []


def _is_bypassed(flow: GradientFlow, layer: int, joined: int | None) -> bool:
    """Whether a layer's gradient is surely smaller than where its branch joins another signal."""
    return joined is not None and flow.gradient[layer].hi < flow.gradient[joined].lo - BYPASSED


def _sums(graph: ModelGraph) -> dict[int, int]:
    """For every node whose signal goes one way only, the first sum with another signal on that way."""
    following: dict[int, list[Node]] = {}
    for node in graph.nodes:
        for number in node.inputs:
            following.setdefault(number, []).append(node)
    sums: dict[int, int] = {}
    for number in range(len(graph.nodes) - 1, -1, -1):
        after = following.get(number, [])
        if len(after) != 1:
            continue
        if _is_sum(graph, after[0], number):
            sums[number] = after[0].number
        elif after[0].number in sums:
            sums[number] = sums[after[0].number]
    return sums


def _is_sum(graph: ModelGraph, node: Node, term: int) -> bool:
    """Whether a node adds a signal to one of its inputs, `term`."""
    others = {graph.nodes[other].op for other in node.inputs if other != term}
    return node.op in ("add", "sub") and others.isdisjoint({"parameter", "buffer", "constant"})


def deepest(graph: ModelGraph) -> list[int]:
    """The weighted layers on the deepest way through a model, the head last."""
    depths = _depths(graph)
    head = max(range(len(depths)), key=lambda number: depths[number], default=-1)
    return _traced(graph, depths, head) if head >= 0 else []


def _decades(flow: GradientFlow, first: int, last: int) -> Interval:
    """S: what comes from `last` to `first`; where some paths avoid `last`, the ratio of all that comes.

    What comes by the state that a recurrent layer ends with is no part of the gradient at its outputs, and
    against that as large as the sequence is short.
    """
    if not is_passed_by_all(flow.graph, first, last):
        return flow.gradient[first] - flow.gradient[last]
    found = flow.between(first, last)
    return Interval(found.lo, math.inf) if _hands_on_state(flow.graph, last) else found


def _hands_on_state(graph: ModelGraph, layer: int) -> bool:
    """Whether the last state of a recurrent layer leads to an output, and its outputs do too."""
    after = [node for node in graph.nodes[layer + 1 :] if layer in node.inputs]
    ways = {node.settings.get("state") is True for node in after if _leads_out(graph, node.number)}
    return ways == {True, False} or (True in ways and layer in graph.outputs)


def _leads_out(graph: ModelGraph, number: int) -> bool:
    behind = {number}
    for node in graph.nodes[number + 1 :]:
        if not behind.isdisjoint(node.inputs):
            behind.add(node.number)
    return not behind.isdisjoint(graph.outputs)


def is_passed_by_all(graph: ModelGraph, first: int, last: int) -> bool:
    """Whether every way from `first` to an output leads over `last`."""
    behind = {first}
    for node in graph.nodes[first + 1 :]:
        if node.number != last and not behind.isdisjoint(node.inputs):
            behind.add(node.number)
    return behind.isdisjoint(graph.outputs)


def _depths(graph: ModelGraph) -> list[int]:
    """For every node, over how many weighted layers a signal has come there at most."""
    depths: list[int] = []
    for node in graph.nodes:
        before = max([depths[number] for number in node.inputs], default=0)
        depths.append(before + is_weighted(node))
    return depths


def _traced(graph: ModelGraph, depths: list[int], last: int) -> list[int]:
    """The weighted layers on the deepest way to `last`, in order.

    Of ways that are equally deep the last one is taken: the values of an attention, not its queries,
    to which hardly any gradient goes through the softmax.
    """
    layers: list[int] = []
    number: int | None = last
    while number is not None:
        node = graph.nodes[number]
        if is_weighted(node):
            layers.append(number)
        number = max(reversed(node.inputs), key=lambda before: depths[before], default=None)
    return layers[::-1]
