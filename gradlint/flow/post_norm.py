"""Transformers whose norms stand behind the residual sums, on the main path."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.records.graph import ModelGraph, Node

_NORMS = frozenset({"layer_norm", "rms_norm"})
_PASSED = frozenset({"dropout", "drop_path", "identity", "reshape", "contiguous"})
_ATTENTION = frozenset({"attention", "softmax"})


def post_norm_layers(graph: ModelGraph) -> tuple[Node, ...]:
    """The norms behind the attention of each layer: norm(x + attention(x)), x being a norm's result.

    The first layer's x may be anything. A sum that something beside its norm reads is that of a pre-norm
    layer, where the main path is not normalised.
    """
    readers: dict[int, list[Node]] = {}
    for node in graph.nodes:
        for number in node.inputs:
            readers.setdefault(number, []).append(node)
    found = [norm for norm in graph.nodes if norm.op in _NORMS and _is_behind_attention(graph, norm, readers)]
    joined = [norm for norm in found if _skip(graph, norm, _NORMS) is not None]
    return tuple(found) if len(joined) >= len(found) - 1 else ()


def _is_behind_attention(graph: ModelGraph, norm: Node, readers: dict[int, list[Node]]) -> bool:
    added = _source(graph, norm.inputs[0]) if norm.inputs else None
    if added is None or added.op != "add" or len(added.inputs) != 2:
        return False
    if any(reader.op not in _NORMS | _PASSED for reader in readers.get(added.number, ())):
        return False
    skip = _skip(graph, norm)
    return skip is not None and bool(_ATTENTION & set(_ops_between(graph, skip, added)))


def _source(graph: ModelGraph, number: int) -> Node:
    """A node, past what leaves its values as they are."""
    node = graph.nodes[number]
    while node.op in _PASSED and len(node.inputs) == 1:
        node = graph.nodes[node.inputs[0]]
    return node


def _skip(graph: ModelGraph, norm: Node, ops: frozenset[str] = frozenset()) -> Node | None:
    """What goes past the attention into the sum before a norm: the earlier of the two, and of these ops."""
    added = _source(graph, norm.inputs[0])
    first, second = sorted([_source(graph, number) for number in added.inputs], key=lambda node: node.number)
    is_joined = first.number in _behind(graph, first.number, second.number) and first is not second
    return first if is_joined and (not ops or first.op in ops) else None


def _behind(graph: ModelGraph, first: int, last: int) -> frozenset[int]:
    """The nodes on the ways from `first` to `last`, both included; empty where there are none."""
    return frozenset(_ways(graph, first, last))


def _ways(graph: ModelGraph, first: int, last: int) -> Iterator[int]:
    reached = {first}
    for node in graph.nodes[first + 1 : last + 1]:
        if not reached.isdisjoint(node.inputs):
            reached.add(node.number)
    pending = [last] if last in reached else []
    seen = set(pending)
    while pending:
        number = pending.pop()
        yield number
        inner = [each for each in graph.nodes[number].inputs if each in reached and each not in seen]
        seen.update(inner)
        pending.extend(inner)


def _ops_between(graph: ModelGraph, first: Node, last: Node) -> Iterator[str]:
    for number in _behind(graph, first.number, last.number):
        yield graph.nodes[number].op
