"""A learned token that is put before the others of a sequence, and outputs that are read at one position."""

from __future__ import annotations

from msgspec.structs import replace

from gradlint.flow.moments import Moments, either
from gradlint.flow.transfer import Effect
from gradlint.mathematics.interval import Interval
from gradlint.records.graph import ModelGraph, Node

_MOST_TOKENS = 1024
_KEEPING = frozenset({"expand", "reshape", "add"})
_ANY, _MOST = Interval(0.0, 1.0), Interval(0.5, 1.0)
_ATTENDED = Interval(1 / _MOST_TOKENS, 1.0)
"""‖δ‖² of n tokens over that of the one that is read: attention gives each a share of 1/n of it."""


def prepended(graph: ModelGraph, node: Node, signals: tuple[Moments, ...]) -> Effect | None:
    """What joining tokens along the sequence does, where one of them is a parameter of shape (1, k, width).

    The others make the moments and get the better half of ‖δ‖², or what attention hands on if the output is
    read at one position.
    """
    if node.op != "cat" or node.settings.get("dim") != 1 or len(signals) < 2:
        return None
    learned = [_token(graph, number) for number in node.inputs]
    widths = {x.width for x, token in zip(signals, learned, strict=True) if token is None}
    if len(widths) != 1 or not any(learned) or any(token not in (None, *widths) for token in learned):
        return None
    rest = _ATTENDED if _reads_one(graph, node.number) else _MOST
    gains = tuple([rest if token is None else _ANY for token in learned])
    most = either(*[x for x, token in zip(signals, learned, strict=True) if token is None])
    return Effect(replace(most, origin=None), gains)


def _token(graph: ModelGraph, number: int) -> int | None:
    """The width of a parameter that is a token for every sample; None for anything else."""
    node = graph.nodes[number]
    while node.op in _KEEPING and len(node.inputs) == 1:
        node = graph.nodes[node.inputs[0]]
    shapes = [parameter.shape for parameter in node.parameters.values()] if node.op == "parameter" else []
    shape = shapes[0] if shapes else None
    return shape[2] if shape is not None and len(shape) == 3 and shape[0] == 1 else None


def _reads_one(graph: ModelGraph, after: int) -> bool:
    """Whether something behind a node takes one position of the sequence, for every sample."""
    places = [n.settings.get("at") for n in graph.nodes[after + 1 :] if n.op == "select"]
    return any(
        isinstance(at, tuple) and len(at) == 2 and at[0] is None and isinstance(at[1], int) for at in places
    )
