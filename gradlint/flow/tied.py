"""A projection back onto the rows of the embedding that its input was made of."""

from __future__ import annotations

import math
from collections.abc import Set

from msgspec.structs import replace

from gradlint.flow.initial import shape_of
from gradlint.flow.moments import Moments
from gradlint.flow.transfer import Effect, effect_of
from gradlint.mathematics.interval import Interval
from gradlint.records.graph import ModelGraph, Node


def projected(node: Node, signals: tuple[Moments, ...], tables: Set[str]) -> Effect | None:
    """What a linear layer does that has the weight W of an embedding, one of the `tables`, before it.

    As far as its input still is Wᵀa, the outputs W·Wᵀa are larger than those of a weight that had nothing to
    do with it: E[y²] = fan_in·Var(w)·E[x²]·(1 + fan_in/fan_out), for a row meets itself. With no mixing
    on the way that is what comes, with nothing left of the embedding it is the plain product.
    """
    weight = node.parameters.get("weight")
    if node.op != "linear" or not signals or weight is None or weight.path not in tables:
        return None
    effect, shape = effect_of(node, signals), shape_of(node)
    if shape is None or len(shape) != 2 or 0 in shape:
        return effect
    rows, width = shape
    plain = effect.moments
    met = (effect.gains[0] * signals[0].second * (width / rows)).hi
    return replace(effect, moments=_with(plain, Interval(0.0, met), math.sqrt(met / rows)))


def _with(plain: Moments, met: Interval, mean: float) -> Moments:
    """Moments with what a row has in common with itself added to some outputs."""
    second = plain.second + met
    least = plain.variance.lo / second.hi if 0 < second.hi < math.inf else 0.0
    return replace(
        plain,
        second=second,
        spread=plain.spread.join(Interval(least, 1.0)) if met.hi else plain.spread,
        mean=plain.mean + Interval(-mean, mean),
    )


def looked_up(graph: ModelGraph) -> frozenset[str]:
    """The paths of the weights that embeddings look up rows of."""
    held = [node.parameters.get("weight") for node in graph.nodes if node.op == "embedding"]
    return frozenset([weight.path for weight in held if weight is not None]) - {""}
