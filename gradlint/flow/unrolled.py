"""Layers that a constructor repeats how often is not known: what each does, and how many are too many."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from gradlint.flow.propagate import is_weighted
from gradlint.records.graph import Place

if TYPE_CHECKING:
    from gradlint.flow.model import Model

THRESHOLD = 3.0
"""Decades that are lost where depth counts as a risk."""

_PROBES = (12, 48)
_STEADY = 4
"""Iterations over which what each of them does is averaged, at the end of those that are looked at."""
_FEW = 2
"""Places in one constructor that are looked at."""


class Repeated(Struct, frozen=True):
    """Layers that are repeated at `place`, so that each iteration loses `decades` of the gradient (below 0).

    From `times` iterations on, as in `model`, THRESHOLD decades are lost at least; `layers` are those with
    weights in one iteration, `decided_by` names what gives their number.
    """

    place: Place
    decades: float
    layers: int
    times: int
    model: Model
    decided_by: str = ""


def losing(model: Model) -> Iterator[Repeated]:
    """The iterations of unknown number in a model's constructor each of which surely loses gradient."""
    graph = model.graph
    if not graph.uncounted or graph.reasons or sum(map(is_weighted, graph.nodes)) < 2:
        return
    if _loss(model) >= THRESHOLD:
        return
    for place in graph.uncounted[:_FEW]:
        deepened = lru_cache(partial(model.deepened, place))
        found = _judged(place, deepened) if _loss(deepened(2)) > max(_loss(model), 0.0) else None
        decided_by = model.undecided(place) if found is not None else None
        if found is not None and decided_by is not None:
            yield replace(found, decided_by=decided_by)


def _judged(place: Place, deepened: Callable[[int], Model | None]) -> Repeated | None:
    """What iterations at one place do; `deepened` gives the model with so many of them."""
    most = _enough(lambda times: _loss(deepened(times)))
    if most is None:
        return None
    times = bisect_left(range(most), THRESHOLD, key=lambda times: _loss(deepened(times)) if times else 0.0)
    model, decades, layers = deepened(times), *_each(deepened(most), deepened(most - _STEADY))
    if model is None or not layers or not decades < 0:
        return None
    return Repeated(place, decades, layers, times, model)


def _enough(loss: Callable[[int], float]) -> int | None:
    """So many iterations that the threshold is passed."""
    for times in _PROBES:
        lost = loss(times)
        if lost >= THRESHOLD:
            return times
        if lost <= 0:
            return None
    return None


def _each(deep: Model | None, before: Model | None) -> tuple[float, int]:
    """The decades that one iteration loses, 0 where it may lose none, and its layers with weights."""
    if deep is None or before is None or deep.chain is None or before.chain is None:
        return 0.0, 0
    ends = (deep.chain.decades.lo - before.chain.decades.lo, deep.chain.decades.hi - before.chain.decades.hi)
    layers, rest = divmod(deep.chain.layers - before.chain.layers, _STEADY)
    return (sum(ends) / 2 / _STEADY, layers) if max(ends) < 0 and not rest else (0.0, 0)


def _loss(model: Model | None) -> float:
    """The decades that are surely lost."""
    return -math.inf if model is None or model.chain is None else model.chain.least_loss
