"""Expectations of an activation of a Gaussian variable, by quadrature between the places where it bends."""

from __future__ import annotations

import math
from array import array
from functools import lru_cache
from itertools import pairwise
from operator import mul
from typing import NamedTuple

from msgspec import Struct

from gradlint.mathematics.activations import Activation

_ORDER = 8
_HERMITE = 10
_ROOTS = tuple(pairwise([math.sqrt(k) for k in range(_HERMITE + 2)]))
_REACH = 9
_FAR = 40.0
_LARGEST = 1e140
_STEPS_PER_DECADE = 8
_NEAR_A_ROW = 1e-6
_LEAST, _MOST = -8.0, 12.0
_NEAR_ZERO = (0.5, 1.5, 3.0, 6.0, 12.0)


class Statistics(Struct, frozen=True):
    """Moments of φ(u), u ~ N(m, v): `mean` = E[φ], `second` = E[φ²], `slope` = E[φ'²].

    `powers` are the squared coefficients a_k², k = 1 …, of φ(m + √v z) in normalised Hermite
    polynomials, so that the covariance of φ at two Gaussian variables of correlation ρ is Σ a_k² ρᵏ.
    What the sum leaves out, `tail`, goes with the power `degree`, chosen so that the derivative at
    ρ = 1, which is v·E[φ'²], is exact too.
    """

    mean: float
    second: float
    slope: float
    powers: tuple[float, ...]
    tail: float
    degree: float

    def apart(self, spread: float) -> float:
        """E[φ²] - E[φ(u)φ(u')] for two variables of correlation 1 - `spread`."""
        if spread >= 1:
            return max(self.second - self.mean * self.mean, 0.0)
        log = math.log1p(-max(spread, 0.0))
        terms = [-math.expm1(k * log) * power for k, power in enumerate(self.powers, 1)]
        return sum(terms) - math.expm1(self.degree * log) * self.tail


class Squares(NamedTuple):
    """Of φ² and φ'² at N(0, v), over what they are on average: variance, covariance, variance."""

    value: float
    both: float
    slope: float


LINEAR = Squares(2.0, 0.0, 0.0)
"""Of φ(u) = u."""


def squares(activation: Activation, variance: float) -> Squares:
    """E[φ⁴]/E[φ²]² - 1, E[φ²φ'²]/(E[φ²]·E[φ'²]) - 1, E[φ'⁴]/E[φ'²]² - 1: the nearest row of the table."""
    decades = min(max(math.log10(variance), _LEAST), _MOST) if variance > 0 else _LEAST
    return _squares_at(activation, 0 if activation.is_homogeneous else round(decades * _STEPS_PER_DECADE))


@lru_cache(maxsize=1024)
def _squares_at(activation: Activation, step: int) -> Squares:
    points = _points(activation.bends, 0.0, 10 ** (step / _STEPS_PER_DECADE / 2))
    values = [activation.value(u) ** 2 for u in points.arguments]
    slopes = [activation.slope(u) ** 2 for u in points.arguments]
    second, steep = (sum(map(mul, points.weights, each)) for each in (values, slopes))
    if not (0 < second < _LARGEST and 0 < steep < _LARGEST):
        return LINEAR
    parts = ((values, values, second * second), (values, slopes, second * steep), (slopes, slopes, steep**2))
    return Squares(*[sum(map(mul, points.weights, map(mul, a, b))) / by - 1 for a, b, by in parts])


def statistics(activation: Activation, variance: float, mean: float = 0.0) -> Statistics:
    """The moments of `activation` at N(mean, variance); interpolated where the mean is zero."""
    variance = min(max(variance, 1e-300), 1e300, activation.widest**2)
    if mean * mean > _FAR**2 * variance:
        return _linearised(activation, variance, mean)
    if mean * mean > 1e-4 * variance:
        rounded = round(math.log10(variance) * 32) / 32
        ratio = round(mean / math.sqrt(variance) * 16) / 16
        return _shifted(activation, rounded, ratio)
    if activation.is_homogeneous:
        return _scaled(_at(activation, 0), variance)
    return _interpolated(activation, math.log10(variance))


def exact(activation: Activation, variance: float, mean: float = 0.0) -> Statistics:
    """The moments of `activation` at N(mean, variance) by quadrature."""
    return _quadrature(activation, mean, math.sqrt(variance))


def _linearised(activation: Activation, variance: float, mean: float) -> Statistics:
    """Of a variable that hardly varies."""
    value, slope = activation.value(mean), activation.slope(mean) ** 2
    powers = (variance * slope, *[0.0] * (_HERMITE - 1))
    return Statistics(value, value * value + variance * slope, slope, powers, 0.0, _HERMITE + 1.0)


@lru_cache(maxsize=8192)
def _shifted(activation: Activation, decades: float, ratio: float) -> Statistics:
    deviation = 10 ** (decades / 2)
    return _quadrature(activation, ratio * deviation, deviation)


@lru_cache(maxsize=8192)
def _at(activation: Activation, step: int) -> Statistics:
    return _quadrature(activation, 0.0, 10 ** (step / _STEPS_PER_DECADE / 2))


def _scaled(one: Statistics, q: float) -> Statistics:
    """Of a homogeneous function, from its moments at variance 1."""
    powers = tuple([q * power for power in one.powers])
    return Statistics(math.sqrt(q) * one.mean, q * one.second, one.slope, powers, q * one.tail, one.degree)


def _interpolated(activation: Activation, decades: float) -> Statistics:
    """Cubic interpolation in log q; powers of q outside the table."""
    if decades < _LEAST:
        return _beyond(activation, _LEAST, decades - _LEAST, 1, activation.value(0.0))
    if decades > _MOST:
        return _beyond(activation, _MOST, decades - _MOST, -1, 0.0)
    position = decades * _STEPS_PER_DECADE
    if abs(position - round(position)) < _NEAR_A_ROW:
        return _at(activation, round(position))
    base = math.floor(position)
    t = position - base
    rows = [_at(activation, base + offset) for offset in (-1, 0, 1, 2)]
    weights = (
        -t * (t - 1) * (t - 2) / 6,
        (t + 1) * (t - 1) * (t - 2) / 2,
        -(t + 1) * t * (t - 2) / 2,
        (t + 1) * t * (t - 1) / 6,
    )
    second = _geometric([row.second for row in rows], weights)
    shares = [
        second * max(_mixed([row.powers[k] / (row.second or 1.0) for row in rows], weights), 0.0)
        for k in range(_HERMITE)
    ]
    mean = math.sqrt(second) * _mixed([row.mean / math.sqrt(row.second or 1.0) for row in rows], weights)
    slope = _geometric([row.slope for row in rows], weights)
    return _completed(mean, second, slope, tuple(shares), 10**decades)


def _beyond(activation: Activation, end: float, distance: float, inner: int, limit: float) -> Statistics:
    """φ is `limit` plus a power of its argument, which the last two rows of the table show."""
    step = int(end * _STEPS_PER_DECADE)
    last, before = _at(activation, step), _at(activation, step + inner)
    per_step = _STEPS_PER_DECADE * abs(distance)
    growth = _growth(sum(last.powers) + last.tail, sum(before.powers) + before.tail, per_step)
    steeper = _growth(last.slope, before.slope, per_step)
    mean = limit + math.sqrt(growth) * (last.mean - limit)
    powers = tuple([growth * power for power in last.powers])
    tail = growth * last.tail
    second = mean * mean + sum(powers) + tail
    return Statistics(mean, second, steeper * last.slope, powers, tail, last.degree)


def _growth(last: float, before: float, steps: float) -> float:
    """(last/before) to the power of `steps`, steps being counted away from the table."""
    if last <= 0 or before <= 0:
        return 1.0
    return float(10.0 ** min(math.log10(last / before) * steps, 300.0))


def _mixed(values: list[float], weights: tuple[float, ...]) -> float:
    return sum(value * weight for value, weight in zip(values, weights, strict=True))


def _geometric(values: list[float], weights: tuple[float, ...]) -> float:
    if min(values) <= 1e-300:
        return max(_mixed(values, weights), 0.0)
    return math.exp(_mixed([math.log(value) for value in values], weights))


def _completed(
    mean: float, second: float, slope: float, powers: tuple[float, ...], variance: float
) -> Statistics:
    tail = max(second - mean * mean - sum(powers), 0.0)
    rest = slope * variance - sum(k * power for k, power in enumerate(powers, 1))
    degree = min(max(rest / tail, _HERMITE + 1.0), 1e6) if tail > 1e-12 * second else _HERMITE + 1.0
    return Statistics(mean, second, slope, powers, tail, degree)


class _Points(Struct, frozen=True):
    """Arguments of φ with their weights, density included; `polynomials` hold, for k = 1 …, the weights
    times the normalised Hermite polynomials h_k at them.
    """

    arguments: array[float]
    weights: array[float]
    polynomials: tuple[array[float], ...]


def _quadrature(activation: Activation, mean: float, deviation: float) -> Statistics:
    points = _points(activation.bends, mean, deviation)
    values = list(map(activation.value, points.arguments))
    slopes = list(map(activation.slope, points.arguments))
    first = sum(map(mul, points.weights, values))
    second = sum(map(mul, points.weights, map(mul, values, values)))
    steep = sum(map(mul, points.weights, map(mul, slopes, slopes)))
    powers = tuple([sum(map(mul, each, values)) ** 2 for each in points.polynomials])
    return _completed(first, max(second, first * first), steep, powers, deviation * deviation)


@lru_cache(maxsize=192)
def _points(bends: tuple[float, ...], mean: float, deviation: float) -> _Points:
    """The same for all functions that bend at the same places."""
    nodes = _nodes(bends, mean, deviation)
    weights = array("d", [weight for _, weight in nodes])
    arguments = array("d", [mean + deviation * z for z, _ in nodes])
    before, now = [0.0] * len(nodes), list(weights)
    polynomials = []
    for root, following in _ROOTS[:_HERMITE]:
        rows = zip(nodes, before, now, strict=True)
        before, now = now, [(z * h - root * g) / following for (z, _), g, h in rows]
        polynomials.append(array("d", now))
    return _Points(arguments, weights, tuple(polynomials))


def _nodes(bends: tuple[float, ...], mean: float, deviation: float) -> list[tuple[float, float]]:
    """Points z and weights, density included, on panels that end where φ bends or is steep."""
    centre = -mean / deviation
    places = {float(z) for z in range(-_REACH, _REACH + 1, 2)}
    places |= {centre + sign * c / deviation for c in _NEAR_ZERO for sign in (-1, 1)}
    places |= {(bend - mean) / deviation for bend in bends} | {centre}
    edges = sorted(place for place in places if -_REACH <= place <= _REACH)
    return [
        (z, half * w * math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi))
        for lo, hi in pairwise(edges)
        if (half := (hi - lo) / 2) > 0
        for t, w in _legendre(_ORDER)
        for z in ((lo + hi) / 2 + half * t,)
    ]


@lru_cache(maxsize=4)
def _legendre(order: int) -> tuple[tuple[float, float], ...]:
    """Points and weights of Gauss-Legendre quadrature on -1 … 1, by Newton's method."""
    found = []
    for i in range(order):
        x = math.cos(math.pi * (i + 0.75) / (order + 0.5))
        for _ in range(50):
            value, derivative = _legendre_polynomial(order, x)
            x -= value / derivative
        found.append((x, 2 / ((1 - x * x) * derivative**2)))
    return tuple(found)


def _legendre_polynomial(order: int, x: float) -> tuple[float, float]:
    before, now = 1.0, x
    for k in range(2, order + 1):
        before, now = now, ((2 * k - 1) * x * now - (k - 1) * before) / k
    return now, order * (x * now - before) / (x * x - 1)
