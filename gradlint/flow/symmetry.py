"""Layers whose units all start equal and, with equal weights behind them, all get one gradient.

Swapping two units changes nothing where their weights and biases are equal and the next layer weighs
them equally: then the gradients of their weights are equal too, and every step keeps it so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from msgspec import Struct

from gradlint.flow.initial import number
from gradlint.records.graph import ModelGraph, Node

_MIXING = ("linear", "conv1d", "conv2d", "conv3d")
_PER_UNIT = frozenset(
    {
        *("relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish", "softplus"),
        *("sigmoid", "logsigmoid", "hardsigmoid", "tanh", "hardtanh", "hardswish", "softsign"),
        *("identity", "scale", "shift", "square", "reshape", "max_pool", "avg_pool", "adaptive_avg_pool"),
    }
)
"""What treats all units alike: not dropout, which draws for each one."""

_CONSTANT = frozenset({"constant", "zeros", "ones"})


class Twins(Struct, frozen=True):
    """A layer with equal units and the layer that weighs them equally; `units` where known."""

    layer: Node
    next: Node
    units: int | None


def twins(graph: ModelGraph) -> Iterator[Twins]:
    """The hidden layers whose units stay equal, in order."""
    uses = Counter(p.path for node in graph.nodes for p in node.parameters.values())
    constant = {p.path for p in graph.parameters if p.is_trained and p.initial.scheme in _CONSTANT}
    equal = {path for path in constant if uses[path] == 1}
    consumers: list[list[Node]] = [[] for _ in graph.nodes]
    for node in graph.nodes:
        for before in node.inputs:
            consumers[before].append(node)
    for node in graph.nodes:
        units = number(node, "out_features") or number(node, "out_channels")
        bias = node.parameters.get("bias")
        if units == 1 or not _weighs_equally(node, equal) or (bias is not None and bias.path not in equal):
            continue
        behind = _behind(node, consumers, set(graph.outputs))
        if behind is not None and all(_weighs_equally(each, equal) for each in behind):
            yield Twins(node, behind[0], units)


def _weighs_equally(node: Node, equal: set[str]) -> bool:
    weight = node.parameters.get("weight")
    is_whole = node.settings.get("groups", 1) == 1
    return node.op in _MIXING and is_whole and weight is not None and weight.path in equal


def _behind(node: Node, consumers: list[list[Node]], outputs: set[int]) -> list[Node] | None:
    """The layers that mix the units of `node` next; None where anything else does something with them."""
    found, pending = [], [node]
    while pending:
        current = pending.pop()
        if current.number in outputs or not consumers[current.number]:
            return None
        for consumer in consumers[current.number]:
            if consumer.op in _MIXING:
                found.append(consumer)
            elif consumer.op in _PER_UNIT:
                pending.append(consumer)
            else:
                return None
    return found
