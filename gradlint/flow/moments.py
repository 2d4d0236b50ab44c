"""What is known of a signal at initialisation, per element."""

from __future__ import annotations

import math

from msgspec import Struct
from msgspec.structs import replace

from gradlint.mathematics.interval import ONE, TOP, ZERO, Interval, hull, point


class Moments(Struct, frozen=True):
    """Moments of the elements of a signal over random weights, features and samples.

    `second` is E[x²]. `spread` is the share of it that differs between two samples of the batch,
    1 - E[x x'] / E[x²] at the same feature of any two positions: 0 once all samples have collapsed onto each
    other, 1 where nothing is shared. `mean` is the mean over features. `width` is the number of features
    (channels), None where unknown. `origin` is the node whose features these still are, one by one, because
    only functions of single elements lie between. `is_share` says that the elements are shares that sum to
    one, as a softmax makes them; `is_skewed` that an activation made them and no layer mixed them since,
    so that they are far from Gaussian. `is_certain` says that nothing unknown was met on the way.
    `least_centred` is a bound from below of the variance over the features, where more is known of it
    than `second` and `mean` tell.
    """

    second: Interval = ONE
    spread: Interval = ONE
    mean: Interval = ZERO
    width: int | None = None
    origin: int | None = None
    is_share: bool = False
    is_skewed: bool = False
    is_certain: bool = True
    least_centred: float = 0.0

    @property
    def shared(self) -> Interval:
        """E[x x'] of two different samples of the batch at the same feature."""
        return self.second * (ONE - self.spread).clamped(0.0, 1.0)

    @property
    def variance(self) -> Interval:
        """The variance over the batch, which BatchNorm divides by: `second` - `shared`."""
        return self.second * self.spread

    @property
    def tilt(self) -> Interval:
        """`mean` over the root of `second`, which grow together; within -1 … 1."""
        if self.mean == ZERO:
            return ZERO
        if self.mean.lo < 0:
            if self.mean.hi <= 0:
                return -replace(self, mean=-self.mean).tilt
            return Interval(-_tilt(-self.mean.lo, self.second.lo), _tilt(self.mean.hi, self.second.lo))
        lo, hi = _tilt(self.mean.lo, self.second.lo), _tilt(self.mean.hi, self.second.hi)
        return Interval(min(lo, hi), max(lo, hi))

    @property
    def centred(self) -> Interval:
        """The variance over the features, which LayerNorm divides by: `second` - `mean`²."""
        found = self.second * (ONE - self.tilt.square).clamped(0.0, 1.0)
        return Interval(max(found.lo, self.least_centred), max(found.hi, self.least_centred))


def _tilt(mean: float, second: float) -> float:
    if math.isinf(second) or math.isinf(mean):
        return 0.0 if math.isfinite(mean) else 1.0
    return min(mean / math.sqrt(second), 1.0) if second > 0 else float(mean > 0)


STANDARDISED = Moments()
"""An input of mean 0 and variance 1 whose samples have nothing in common."""

UNIT_RANGE = Moments(point(1 / 3), point(0.25), point(0.5))
"""An input uniform on [0, 1], such as a raw image."""

UNKNOWN = Moments(TOP, Interval(0.0, 1.0), Interval(float("-inf"), float("inf")), is_certain=False)
"""A signal of which nothing is known."""


def combined(second: Interval, variance: Interval, mean: Interval, like: Moments) -> Moments:
    """Moments from second moment and variance over the batch; width and certainty as of `like`."""
    return Moments(second, ratio(variance, second), mean, like.width, is_certain=like.is_certain)


def ratio(part: Interval, whole: Interval) -> Interval:
    """The share part/whole of two quantities that grow together, within 0 … 1."""
    ends = Interval(_share(part.lo, whole.lo), _share(part.hi, whole.hi))
    return Interval(min(ends.lo, ends.hi), max(ends.lo, ends.hi))


def _share(part: float, whole: float) -> float:
    if whole == 0 or whole == float("inf"):
        return 1.0
    return min(max(part / whole, 0.0), 1.0)


def either(first: Moments, *others: Moments) -> Moments:
    """One of several signals."""
    every = (first, *others)
    widths = {each.width for each in every}
    return Moments(
        hull(*[each.second for each in every]),
        hull(*[each.spread for each in every]),
        hull(*[each.mean for each in every]),
        first.width if len(widths) == 1 else None,
        is_certain=all(each.is_certain for each in every),
    )
