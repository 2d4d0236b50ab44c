"""Pull ‖δ‖² back through a graph, in decades, and add up what the consumers of a node send."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from gradlint.mathematics.interval import ZERO, Interval, hull

NOTHING = Interval(-math.inf, -math.inf)
"""The decades of no gradient at all."""


class Frame(Struct, frozen=True):
    """The gradient came through one input of a join: it is there only if that input was taken."""

    join: int
    slot: int
    slots: int
    outer: Frame | None = None

    @property
    def depth(self) -> int:
        """How many joins lie on the way."""
        return 1 + (self.outer.depth if self.outer else 0)


class Contribution(Struct, frozen=True):
    """log10 ‖δ‖² that one consumer sends, and where it left for the element-wise path to here."""

    decades: Interval
    sink: tuple[int, int]
    frame: Frame | None = None


def gather(contributions: Sequence[Contribution]) -> tuple[Interval, Frame | None]:
    """The sum of what arrives; of what came through different inputs of a join, one or the other."""
    by_frame: dict[Frame | None, list[Contribution]] = {}
    for each in contributions:
        by_frame.setdefault(each.frame, []).append(each)
    sums = {frame: _summed(each) for frame, each in by_frame.items()}
    while frames := [frame for frame in sums if frame is not None]:
        inner = max(frames, key=lambda frame: frame.depth)
        siblings = [frame for frame in frames if frame.join == inner.join and frame.outer == inner.outer]
        is_complete = len(siblings) == inner.slots
        if len(sums) == 1 and not is_complete:
            return sums[inner], inner
        value = hull(*[sums.pop(frame) for frame in siblings])
        if not is_complete:
            value = Interval(-math.inf, value.hi)
        before = sums.get(inner.outer)
        sums[inner.outer] = value if before is None else add(before, value)
    return sums[None], None


def _summed(contributions: Sequence[Contribution]) -> Interval:
    by_sink: dict[tuple[int, int], list[Interval]] = {}
    for each in contributions:
        by_sink.setdefault(each.sink, []).append(each.decades)
    return _folded([_folded(parts, related) for parts in by_sink.values()], add)


def _folded(parts: Iterable[Interval], operation: Callable[[Interval, Interval], Interval]) -> Interval:
    total: Interval | None = None
    for part in parts:
        total = part if total is None else operation(total, part)
    return NOTHING if total is None else total


def add(a: Interval, b: Interval) -> Interval:
    """log10(10ᵃ + 10ᵇ): gradients that have nothing in common."""
    return Interval(_add(a.lo, b.lo), _add(a.hi, b.hi))


def _add(a: float, b: float) -> float:
    high, low = max(a, b), min(a, b)
    if math.isinf(high) or low == -math.inf:
        return high
    return high + math.log10(1 + 10 ** max(low - high, -300.0))


def related(a: Interval, b: Interval) -> Interval:
    """log10 (10^(a/2) ± 10^(b/2))²: two functions of the same gradient, in phase or against it."""
    top = 2 * _add(a.hi / 2, b.hi / 2)
    gap = max(a.lo - b.hi, b.lo - a.hi)
    if gap <= 0 or math.isinf(gap):
        return Interval(max(a.lo, b.lo) if math.isinf(gap) and gap > 0 else -math.inf, top)
    return Interval(max(a.lo, b.lo) + 2 * math.log10(1 - 10 ** (-gap / 2)), top)


def multiplied(decades: Interval, gain: Interval) -> Interval:
    """log10 of a gradient times a gain; a gain of zero leaves nothing of any gradient."""
    if gain == ZERO or decades == NOTHING:
        return NOTHING
    factor = gain.decades
    lo = -math.inf if -math.inf in (decades.lo, factor.lo) else decades.lo + factor.lo
    return Interval(lo, decades.hi + factor.hi)
