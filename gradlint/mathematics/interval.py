"""Intervals of extended real numbers, the lattice that every prediction lives in."""

from __future__ import annotations

import math

from msgspec import Struct


class Interval(Struct, frozen=True):
    """All numbers from `lo` to `hi`, both included; infinite ends are allowed.

    Arithmetic contains every result of the operands' numbers. Zero times infinity is zero here: an
    infinite end stands for "no bound is known", and what is certainly zero stays so.
    """

    lo: float
    hi: float

    def __add__(self, other: Interval) -> Interval:
        return Interval(_sum(self.lo, other.lo, -math.inf), _sum(self.hi, other.hi, math.inf))

    def __neg__(self) -> Interval:
        return Interval(-self.hi, -self.lo)

    def __sub__(self, other: Interval) -> Interval:
        return self + -other

    def __mul__(self, other: Interval | float) -> Interval:
        if not isinstance(other, Interval):
            other = point(other)
        corners = (
            _product(self.lo, other.lo),
            _product(self.lo, other.hi),
            _product(self.hi, other.lo),
            _product(self.hi, other.hi),
        )
        return Interval(min(corners), max(corners))

    __rmul__ = __mul__

    def __truediv__(self, other: Interval | float) -> Interval:
        return self * (other if isinstance(other, Interval) else point(other)).inverse

    @property
    def inverse(self) -> Interval:
        """1/x; without bound towards a zero that lies inside or at an end."""
        if self.lo < 0 < self.hi:
            return ANYTHING
        if self.hi <= 0 and self.lo < 0:
            return -((-self).inverse)
        return Interval(_reciprocal(self.hi), _reciprocal(self.lo))

    @property
    def square(self) -> Interval:
        """x², which is tighter than x·x where zero is inside."""
        ends = (_product(self.lo, self.lo), _product(self.hi, self.hi))
        return Interval(0.0 if self.lo < 0 < self.hi else min(ends), max(ends))

    @property
    def sqrt(self) -> Interval:
        """√x of the part that is not negative."""
        return Interval(math.sqrt(max(self.lo, 0.0)), math.sqrt(max(self.hi, 0.0)))

    @property
    def decades(self) -> Interval:
        """log10 of the part that is not negative; -inf for zero."""
        return Interval(_log10(self.lo), _log10(self.hi))

    @property
    def centre(self) -> float:
        """The number in the middle; an end where the other one is infinite."""
        if self.lo == self.hi:
            return self.lo
        if math.isinf(self.lo):
            return 0.0 if math.isinf(self.hi) else self.hi
        return self.lo if math.isinf(self.hi) else self.lo / 2 + self.hi / 2

    @property
    def is_finite(self) -> bool:
        """Whether both ends are known."""
        return not (math.isinf(self.lo) or math.isinf(self.hi))

    def join(self, other: Interval) -> Interval:
        """The smallest interval that holds both."""
        return Interval(min(self.lo, other.lo), max(self.hi, other.hi))

    def contains(self, other: Interval | float) -> bool:
        """Whether a number, or all of another interval, lies inside."""
        if isinstance(other, Interval):
            return self.lo <= other.lo and other.hi <= self.hi
        return self.lo <= other <= self.hi

    def widened(self, margin: float) -> Interval:
        """Both ends moved outwards by `margin`."""
        return Interval(self.lo - margin, self.hi + margin)

    def clamped(self, lo: float, hi: float) -> Interval:
        """The interval with both ends moved into lo … hi."""
        return Interval(min(max(self.lo, lo), hi), min(max(self.hi, lo), hi))


def point(value: float) -> Interval:
    """One number."""
    return Interval(value, value)


def hull(*intervals: Interval) -> Interval:
    """The smallest interval that holds all of at least one."""
    return Interval(min(each.lo for each in intervals), max(each.hi for each in intervals))


def _sum(a: float, b: float, unbounded: float) -> float:
    total = a + b
    return unbounded if math.isnan(total) else total


def _product(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b


def _reciprocal(x: float) -> float:
    if x == 0:
        return math.inf
    try:
        return 1 / x
    except OverflowError:  # pragma: no cover
        return math.inf


def _log10(x: float) -> float:
    if x <= 0:
        return -math.inf
    return math.inf if x == math.inf else math.log10(x)


ZERO = point(0.0)
ONE = point(1.0)
ANYTHING = Interval(-math.inf, math.inf)
TOP = Interval(0.0, math.inf)
"""Nothing is known of a number that is not negative: a second moment, a gain."""
