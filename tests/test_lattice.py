"""The laws of intervals: a lattice under join, and arithmetic that contains every result."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gradlint.mathematics.interval import ANYTHING, TOP, Interval, hull, point

ENDS = st.floats(-1e12, 1e12) | st.sampled_from([-math.inf, math.inf, 0.0, 1.0, -1.0])


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    lo, hi = sorted((draw(ENDS), draw(ENDS)))
    assume(lo < math.inf and hi > -math.inf)
    return Interval(lo, hi)


@st.composite
def members(draw: st.DrawFn) -> tuple[Interval, float]:
    interval = draw(intervals())
    return interval, draw(st.floats(max(interval.lo, -1e12) + 0.0, min(interval.hi, 1e12) + 0.0))


def _holds(interval: Interval, value: float) -> bool:
    slack = 1e-9 * abs(value)
    return interval.widened(slack).contains(value)


@given(intervals(), intervals(), intervals())
def test_join_is_a_semilattice(a: Interval, b: Interval, c: Interval) -> None:
    assert a.join(a) == a
    assert a.join(b) == b.join(a) == hull(a, b)
    assert a.join(b).join(c) == a.join(b.join(c))
    assert a.join(b).contains(a) and a.join(b).contains(b)
    assert a.contains(b) == (a.join(b) == a)
    assert ANYTHING.contains(a)


@pytest.mark.parametrize("operation", [operator.add, operator.sub, operator.mul])
@given(a=members(), b=members())
def test_arithmetic_contains_every_result(
    operation: Callable[..., object], a: tuple[Interval, float], b: tuple[Interval, float]
) -> None:
    result, value = operation(a[0], b[0]), operation(a[1], b[1])
    assert isinstance(result, Interval) and isinstance(value, float)
    assert _holds(result.widened(1e-9 * (abs(a[1]) + abs(b[1]))), value)


@given(members(), members())
def test_division_contains_every_quotient(a: tuple[Interval, float], b: tuple[Interval, float]) -> None:
    assume(abs(b[1]) > 1e-290)
    assert _holds(a[0] / b[0], a[1] / b[1])


@given(members())
def test_functions_contain_every_value(a: tuple[Interval, float]) -> None:
    interval, value = a
    assert _holds(interval.square, value * value)
    assert interval.square.lo >= 0
    assert ANYTHING - ANYTHING == -ANYTHING and -interval == point(0.0) - interval
    if value >= 0:
        assert _holds(interval.sqrt, math.sqrt(value))
    if value > 0:
        assert interval.decades.widened(1e-9).contains(math.log10(value))


@given(intervals(), intervals(), intervals(), intervals())
def test_arithmetic_is_monotone(a: Interval, b: Interval, c: Interval, d: Interval) -> None:
    wide, other = a.join(c), b.join(d)
    for operation in (operator.add, operator.sub, operator.mul):
        assert operation(wide, other).contains(operation(a, b))
    assert wide.square.contains(a.square)
    assert wide.sqrt.contains(a.sqrt)
    assert wide.decades.contains(a.decades)


@given(intervals())
def test_the_middle_lies_inside(a: Interval) -> None:
    assert a.contains(a.centre)
    assert a.is_finite == (abs(a.lo) < math.inf and abs(a.hi) < math.inf)
    assert TOP.contains(a.clamped(0.0, math.inf))


def test_what_is_zero_stays_zero() -> None:
    assert point(0.0) * TOP == point(0.0)
    assert point(0.0).decades == point(-math.inf)
    assert TOP.inverse == TOP
    assert point(math.inf).inverse == point(0.0)
    assert ANYTHING - ANYTHING == ANYTHING
