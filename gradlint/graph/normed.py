"""Normalisations that are written by hand: x·rsqrt(mean(x²) + eps) and its like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gradlint.records.graph import Node

_MOST_CASTS = 4
"""Casts in a row that are looked through."""


class Normed(NamedTuple):
    """The layer that the code amounts to, the node that it is applied to, its eps, and what multiplies it."""

    op: str
    of: int
    eps: float
    by: int | None = None


class _Measured(NamedTuple):
    """What a divisor is the root of: the mean square or the variance of a node's features."""

    of: int
    is_centred: bool
    eps: float


def normalised(nodes: Sequence[Node], op: str, first: int, second: int) -> Normed | None:
    """What `first·second` or `first/second` amounts to where the second is the scale of the first.

    The features are the last dimension. Less its mean, a signal has the variance as its mean square.
    """
    ways = [(first, _root(nodes, second))] if op == "div" else []
    if op == "mul":
        ways = [(first, _inverse_root(nodes, second)), (second, _inverse_root(nodes, first))]
    for signal, root in ways:
        found = None if root is None else _divided(nodes, signal, root)
        if found is not None:
            return found
    return None


def _divided(nodes: Sequence[Node], signal: int, root: _Measured) -> Normed | None:
    """A signal, or a multiple of it, divided by its own scale."""
    of, plain = _without_cast(nodes, signal), _before_centring(nodes, signal)
    if _alike(nodes, root.of, of):
        if plain is not None:
            return Normed("layer_norm", plain, root.eps)
        return None if root.is_centred else Normed("rms_norm", of, root.eps)
    if root.is_centred and root.of == plain:
        return Normed("layer_norm", plain, root.eps)
    if nodes[of].op == "mul" and len(nodes[of].inputs) == 2:
        for each, factor in (nodes[of].inputs, nodes[of].inputs[::-1]):
            found = _divided(nodes, each, root) if nodes[factor].op == "parameter" else None
            if found is not None and found.by is None:
                return found._replace(by=factor)
    return None


def _inverse_root(nodes: Sequence[Node], number: int) -> _Measured | None:
    """What a factor is 1/√ of."""
    node = nodes[_without_cast(nodes, number)]
    if node.op == "scale" and node.settings.get("factor") == 1.0:
        node = nodes[_without_cast(nodes, node.inputs[0])]
    if node.op == "rsqrt" or (node.op == "pow" and node.settings.get("exponent") == -0.5):
        return _square(nodes, node.inputs[0])
    return _root(nodes, node.inputs[0]) if node.op == "reciprocal" else None


def _root(nodes: Sequence[Node], number: int) -> _Measured | None:
    """What a divisor is √ of; an eps beside the root is as if its square stood under it."""
    number = _without_cast(nodes, number)
    eps, inner = _shifted(nodes, number)
    node = nodes[inner]
    if node.op == "std" and _is_over_features(node):
        return _Measured(_without_cast(nodes, node.inputs[0]), True, eps * eps)
    if node.op == "sqrt" or (node.op == "pow" and node.settings.get("exponent") == 0.5):
        found = _square(nodes, node.inputs[0])
        return None if found is None else found._replace(eps=found.eps + eps * eps)
    return None


def _square(nodes: Sequence[Node], number: int) -> _Measured | None:
    """The mean of squares, or the variance, with what is added to it."""
    eps, inner = _shifted(nodes, _without_cast(nodes, number))
    node = nodes[inner]
    if not _is_over_features(node):
        return None
    over = _without_cast(nodes, node.inputs[0])
    if node.op == "var":
        return _Measured(over, True, eps)
    squared = _squared(nodes, over) if node.op == "mean" else None
    return None if squared is None else _Measured(squared, False, eps)


def _squared(nodes: Sequence[Node], number: int) -> int | None:
    """What is squared."""
    node = nodes[number]
    if node.op == "square" or (node.op == "pow" and node.settings.get("exponent") == 2):
        return _without_cast(nodes, node.inputs[0])
    if node.op == "mul" and len(node.inputs) == 2:
        first, second = _operands(nodes, node)
        return first if _alike(nodes, first, second) else None
    return None


def _before_centring(nodes: Sequence[Node], number: int) -> int | None:
    """What a signal was before its mean over the features was taken from it."""
    node = nodes[_without_cast(nodes, number)]
    if node.op != "sub" or len(node.inputs) != 2:
        return None
    first, second = _operands(nodes, node)
    mean = nodes[second]
    is_own = mean.op == "mean" and _is_over_features(mean) and _without_cast(nodes, mean.inputs[0]) == first
    return first if is_own else None


def _alike(nodes: Sequence[Node], first: int, second: int) -> bool:
    """Whether two nodes are one, or the same difference written twice."""
    one, other = nodes[first], nodes[second]
    return first == second or (
        one.op == other.op == "sub" and _operands(nodes, one) == _operands(nodes, other)
    )


def _operands(nodes: Sequence[Node], node: Node) -> list[int]:
    return [_without_cast(nodes, each) for each in node.inputs]


def _shifted(nodes: Sequence[Node], number: int) -> tuple[float, int]:
    """A positive number that is added to a node, and the node."""
    node = nodes[number]
    value = node.settings.get("value") if node.op == "shift" else None
    if isinstance(value, (int, float)) and value >= 0:
        return float(value), _without_cast(nodes, node.inputs[0])
    return 0.0, number


def _is_over_features(node: Node) -> bool:
    """Whether a node reduces the last dimension, and keeps it with one element."""
    return node.settings.get("dim") in (-1, (-1,)) and node.settings.get("keepdim") is True


def _without_cast(nodes: Sequence[Node], number: int) -> int:
    """A node before it was turned into another type."""
    for _ in range(_MOST_CASTS):
        if nodes[number].op != "reshape" or "to" not in nodes[number].settings:
            break
        number = nodes[number].inputs[0]
    return number
