"""The table of operations: what each does to the moments of a signal and to the gradient."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from gradlint.flow.moments import UNKNOWN, Moments
from gradlint.mathematics.interval import ONE, TOP, Interval
from gradlint.records.graph import Node


class Effect(Struct, frozen=True):
    """Moments of the result, and per input the gain ‖δ_input‖² / ‖δ_output‖².

    `spreading` is a further factor of the gains that merely distributes the gradient over more
    elements, as average pooling does; predictions leave it out and report it by itself.
    """

    moments: Moments
    gains: tuple[Interval, ...]
    spreading: Interval = ONE


Transfer = Callable[[Node, tuple[Moments, ...]], Effect]

TRANSFER: dict[str, Transfer] = {}

_STEADY = frozenset({"add", "sub", "scale", "reshape", "expand", "identity", "dropout", "select"})
"""Operations that leave no less variance over the features than they say."""


def register(*operations: str) -> Callable[[Transfer], Transfer]:
    """Make a function the meaning of operations; each may have only one."""

    def add(transfer: Transfer) -> Transfer:
        for operation in operations:
            if operation in TRANSFER:
                raise ValueError(f"two transfer functions for {operation}")
            TRANSFER[operation] = transfer
        return transfer

    return add


def effect_of(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """What a node does; nothing is known of an operation that is not in the table, or whose numbers are
    beyond floats or make no sense (a kernel of size 0).
    """
    transfer = TRANSFER.get(node.op)
    if transfer is None:
        return unknown(inputs)
    try:
        effect = transfer(node, inputs)
    except ArithmeticError:
        return unknown(inputs)
    if len(effect.gains) != len(inputs):
        return unknown(inputs)
    if effect.moments.least_centred and node.op not in _STEADY:
        return replace(effect, moments=replace(effect.moments, least_centred=0.0))
    return effect


def unknown(inputs: tuple[Moments, ...]) -> Effect:
    """Nothing is known."""
    return Effect(UNKNOWN, tuple([TOP] * len(inputs)))


def setting(node: Node, key: str, default: float) -> float | None:
    """A number among the settings, torch's default where it is left out, None where not known."""
    value = node.settings.get(key, default)
    return float(value) if isinstance(value, float | int) else None
