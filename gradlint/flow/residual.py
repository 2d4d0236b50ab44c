"""Residual stacks: sums of a signal and what layers make of it, one on top of another."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from gradlint.flow.chain import DEVIATIONS
from gradlint.flow.propagate import GradientFlow, is_weighted
from gradlint.mathematics.activations import NAMES
from gradlint.mathematics.interval import Interval
from gradlint.records.graph import ModelGraph, Node

_CARRIERS = NAMES | {
    "reshape",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "scale",
    "max_pool",
    "avg_pool",
}
"""What a signal may pass between two blocks of one stack."""


class Block(Struct, frozen=True):
    """x + f(x): the node of x, the first layer with weights in f, and the sum."""

    trunk: int
    layer: int
    sum: int


class Stack(Struct, frozen=True):
    """Blocks of which each takes what the one before returns.

    `decades` is log10 of the ratio of root mean squares behind the first layer of the last block and
    behind that of the first, so that a norm in front of f counts; `deviation` its standard deviation.
    """

    blocks: tuple[Block, ...]
    decades: Interval
    deviation: float
    is_certain: bool

    @property
    def least_growth(self) -> float:
        """The decades by which activations grow at least, three deviations allowed."""
        return self.decades.lo - DEVIATIONS * self.deviation if self.is_certain else float("-inf")


def stacks(flow: GradientFlow) -> Iterator[Stack]:
    """The residual stacks of a model, of two blocks or more."""
    chains: dict[int, tuple[Block, ...]] = {}
    for block in _blocks(flow.graph):
        below = chains.pop(_carried(flow.graph, block.trunk), ())
        chains[block.sum] = (*below, block)
    for blocks in chains.values():
        if len(blocks) > 1:
            yield _measured(flow, blocks)


def _measured(flow: GradientFlow, blocks: tuple[Block, ...]) -> Stack:
    first, last = blocks[0].layer, blocks[-1].layer
    grown = (flow.moments[last].second.decades - flow.moments[first].second.decades) * 0.5
    return Stack(blocks, grown, flow.deviation(first, last), flow.is_certain(first, last))


def _blocks(graph: ModelGraph) -> Iterator[Block]:
    for node in graph.nodes:
        if node.op in ("add", "sub") and len(node.inputs) == 2:
            for trunk, branch in (node.inputs, node.inputs[::-1]):
                layer = _first_layer(graph, trunk, branch)
                if layer is not None:
                    yield Block(trunk, layer.number, node.number)
                    break


def _first_layer(graph: ModelGraph, trunk: int, branch: int) -> Node | None:
    """The first layer with weights on a way from `trunk` to `branch`, if all such ways lead over layers."""
    plain, behind = {trunk}, {trunk}
    layers: list[Node] = []
    for node in graph.nodes[trunk + 1 : branch + 1]:
        if behind.isdisjoint(node.inputs):
            continue
        behind.add(node.number)
        if is_weighted(node):
            layers.append(node)
        elif not plain.isdisjoint(node.inputs):
            plain.add(node.number)
    return layers[0] if layers and branch in behind and branch not in plain else None


def _carried(graph: ModelGraph, number: int) -> int:
    """The sum that a signal comes from, if nothing but carriers lies between; otherwise the signal."""
    node = graph.nodes[number]
    while node.op in _CARRIERS and len(node.inputs) == 1:
        node = graph.nodes[node.inputs[0]]
    return node.number
