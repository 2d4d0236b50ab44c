"""Messages along the edges of a graph: rows that are looked up, and reduced to the nodes they go to."""

from __future__ import annotations

from msgspec.structs import replace

from gradlint.flow.moments import Moments
from gradlint.flow.transfer import Effect, register, unknown
from gradlint.mathematics.interval import TOP, ZERO, Interval
from gradlint.records.graph import Node

_SHARE = Interval(0.0, 1.0)


@register("gather")
def gather(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """y_e = x_j(e): rows as they are, some often, others never; their gradients add up to anything."""
    return Effect(replace(inputs[0], origin=None), (TOP, *[ZERO] * (len(inputs) - 1)))


@register("scatter")
def scatter(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """Of d messages to a node, d unknown and 0 for some, y = Σx/d: E[y²] ≤ E[x²] and
    ‖δ_x‖² = Σ ‖δ_i‖²/d_i ≤ ‖δ_y‖². Nothing is promised of the size of other reductions.
    """
    if node.settings.get("reduce") != "mean":
        return unknown(inputs)
    x = inputs[0]
    moments = replace(x, second=x.second * _SHARE, spread=_SHARE, mean=x.mean * _SHARE, origin=None)
    return Effect(moments, (_SHARE, *[ZERO] * (len(inputs) - 1)))
