"""Gates of LSTMs: which of them a piece of a bias belongs to."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from gradlint.flow.initial import law, number
from gradlint.flow.moments import STANDARDISED
from gradlint.flow.recurrence import forget_bias, recurrent_parameter
from gradlint.flow.time import carried_decades
from gradlint.mathematics.interval import Interval
from gradlint.records.graph import ModelGraph, Node, Parameter, Piece

GATES = ("input", "forget", "cell", "output")
"""Quarters of an LSTM's weights and biases, in torch's order."""


class WrongGate(Struct, frozen=True):
    """A piece of a bias that opens a gate other than the forget gate, which stays closed."""

    node: Node
    piece: Piece
    gate: str
    hidden: int

    def decades(self, steps: int) -> Interval:
        """What is left of the gradient after so many steps of standardised input."""
        return carried_decades(self.node, STANDARDISED, steps)


def wrong_gates(graph: ModelGraph, least: float) -> Iterator[WrongGate]:
    """Pieces of biases whose mean is `least` or more, of layers whose forget bias is below that."""
    seen: set[str] = set()
    for node in graph.nodes:
        if node.op not in ("lstm", "lstm_cell") or node.module in seen:
            continue
        seen.add(node.module)
        found = next(
            (f for layer in range(number(node, "num_layers") or 1) for f in _of(node, layer, least)), None
        )
        if found is not None:
            yield found


def _of(node: Node, layer: int, least: float) -> Iterator[WrongGate]:
    hidden = number(node, "hidden_size")
    if not hidden or forget_bias(node, layer).hi >= least:
        return
    for name in ("bias_ih", "bias_hh"):
        parameter = recurrent_parameter(node, name, layer)
        for piece in parameter.pieces if parameter is not None else ():
            gate = _gate(piece, hidden)
            if gate is not None and law(Parameter("", None, piece.initial), None).mean.lo >= least:
                yield WrongGate(node, piece, gate, hidden)


def _gate(piece: Piece, hidden: int) -> str | None:
    """The one gate other than the forget gate that a piece lies in, or None."""
    if piece.start is None or piece.stop is None or piece.stop <= piece.start:
        return None
    first, last = piece.start // hidden, (piece.stop - 1) // hidden
    return GATES[first] if first == last and first != 1 and first < len(GATES) else None
