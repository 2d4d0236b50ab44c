"""Functions of single elements: E[φ²] forward and E[φ'²] backward under a Gaussian signal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

from msgspec.structs import replace

from gradlint.flow.moments import UNKNOWN, Moments
from gradlint.flow.transfer import Effect, register, unknown
from gradlint.mathematics.activations import NAMES, Activation, activation
from gradlint.mathematics.gaussian import Statistics, statistics
from gradlint.mathematics.interval import ONE, TOP, ZERO, Interval, hull, point
from gradlint.records.graph import Node

_LEAST, _MOST = 1e-250, 1e250
_LEAST_KEPT = 1e-12
_LARGEST = 1e150
_LARGE = 1e4
_DRAWN = 3.0
"""Standard deviations within which a thousand elements lie."""
_SYMMETRIC = 1e-6
_WIDE = 1e3
_COARSE = tuple([10.0**k for k in range(-6, 7)])
_FINE = tuple([10.0 ** (k / 4) for k in range(-24, 25)])


@register(*sorted(NAMES))
def pointwise(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """E[y²] = E[φ(√q z)²], ‖δ_x‖² = E[φ'(√q z)²]·‖δ_y‖², z ~ N(0, 1) (Poole 2016, Schoenholz 2017).

    Two samples at correlation ρ keep Σ a_k² ρᵏ in common, a_k the Hermite coefficients of φ(√q z).
    """
    function = activation(node.op, node.settings)
    if function is None or not inputs:
        return unknown(inputs)
    x = inputs[0]
    moments, gain = through(function, x)
    return Effect(moments, (gain, *[ZERO] * (len(inputs) - 1)))


@lru_cache(maxsize=1024)
def through(function: Activation, x: Moments) -> tuple[Moments, Interval]:
    """Moments behind an activation, and its gain."""
    if not x.mean.is_finite:
        return _unplaced(function, x)
    laws = [law for second in _scales(x.second) for law in _laws(function, x, second)]
    if any(not abs(one.mean) < _LARGEST for one, _ in laws):
        return _unplaced(function, x)
    results = [
        (one, one.apart(spread) / one.second if one.second > 0 else 1.0)
        for one, kept in laws
        for spread in {min(x.spread.lo / kept, 1.0), min(x.spread.hi / kept, 1.0)}
    ]
    second = hull(*[point(one.second) for one, _ in results])
    gain = hull(*[point(one.slope) for one, _ in results])
    if math.isinf(x.second.hi):
        second = Interval(second.lo, function.bound**2)
        gain = Interval(min(gain.lo, _far(function)), function.steepest**2)
    moments = replace(
        x,
        second=second,
        spread=hull(*[point(share) for _, share in results]).clamped(0.0, 1.0),
        mean=_mean(function, [one for one, _ in results], x),
        is_share=False,
        is_skewed=x.is_skewed or any(one.mean * one.mean > _SYMMETRIC * one.second for one, _ in results),
    )
    return moments, gain


def _laws(function: Activation, x: Moments, second: float) -> Iterator[tuple[Statistics, float]]:
    """The statistics behind `function` of a signal of this second moment, and 1 - mean²/second.

    Behind another activation the signal lies somewhere between a Gaussian, an absolute value of one,
    and a few large positive elements, for which φ is its asymptote.
    """
    for tilt in {x.tilt.lo, x.tilt.hi}:
        kept = max(1 - tilt * tilt, _LEAST_KEPT)
        yield statistics(function, kept * second, tilt * math.sqrt(second)), kept
        if x.is_skewed and math.isinf(function.bound):
            yield statistics(_asymptote(function), kept * second, tilt * math.sqrt(second)), kept
    if x.is_skewed:
        yield statistics(_folded(function), second), 1.0


@lru_cache(maxsize=256)
def _asymptote(function: Activation) -> Activation:
    """The line that φ approaches for large arguments."""
    limit = function.slope(_LARGE)
    return Activation(lambda x: limit * x, lambda x: limit, steepest=abs(limit), is_homogeneous=True)


@lru_cache(maxsize=256)
def _folded(function: Activation) -> Activation:
    """φ(|x|), the activation of a signal that is positive already."""
    value, slope = function.value, function.slope
    return replace(
        function,
        value=lambda x: value(abs(x)),
        slope=lambda x: slope(abs(x)),
        bends=tuple({0.0, *function.bends, *[-bend for bend in function.bends]}),
    )


def _far(function: Activation) -> float:
    """The least gain at an infinite scale: that of a homogeneous function, otherwise none is promised."""
    return statistics(function, 1.0).slope if function.is_homogeneous else 0.0


def _mean(function: Activation, found: list[Statistics], x: Moments) -> Interval:
    if math.isinf(x.second.hi):
        return Interval(-function.bound, function.bound)
    if all(one.mean * one.mean <= _SYMMETRIC * one.second for one in found):
        return ZERO
    return hull(*[point(one.mean) for one in found])


def _unplaced(function: Activation, x: Moments) -> tuple[Moments, Interval]:
    """What holds wherever the argument lies."""
    bound = function.bound
    moments = Moments(
        Interval(0.0, bound**2), Interval(0.0, 1.0), Interval(-bound, bound), x.width, is_certain=x.is_certain
    )
    return moments, Interval(0.0, function.steepest**2)


def _scales(variance: Interval) -> list[float]:
    """Both ends, and numbers between them that are not far from each other where φ has a scale."""
    lo, hi = min(max(variance.lo, _LEAST), _MOST), min(max(variance.hi, _LEAST), _MOST)
    if lo == hi:
        return [lo]
    grid = _COARSE if hi / lo > _WIDE else _FINE
    return [lo, *[q for q in grid if lo < q < hi], math.sqrt(lo) * math.sqrt(hi), hi]


@register("glu")
def glu(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """a·σ(b) of two halves: E[y²] = q·E[σ²], ‖δ_x‖² = (E[σ²] + q·E[σ'²])·‖δ_y‖²."""
    x = inputs[0]
    function = activation("sigmoid", {})
    if function is None:
        return unknown(inputs)
    gate, slope = through(function, x)
    moments = replace(
        x,
        second=x.second * gate.second,
        spread=(ONE - (ONE - x.spread) * (ONE - gate.spread)).clamped(0.0, 1.0),
        mean=x.mean * gate.mean,
        width=x.width // 2 if x.width else None,
        origin=None,
    )
    return Effect(moments, (gate.second + x.second * slope,))


@register("exp")
def exponential(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """E[e^(2x)] = e^(2m + 2v) of x ~ N(m, v), forward and backward; the covariance is e^(2m + v + c).

    What is far out on the normal curve makes most of that where v is large, and does not occur: up to
    `_DRAWN` deviations it is e^(2m + 2v)·Φ(_DRAWN - 2√v). Of what is no normal signal, such as -y², only
    E[e^(2x)] ≥ e^(2m) holds.
    """
    x = inputs[0]
    if not x.mean.is_finite:
        return Effect(replace(UNKNOWN, width=x.width), (TOP,))
    v = x.centred
    if x.is_skewed:
        second = Interval(_exp(x.mean * 2.0).lo, math.inf)
        mean = Interval(_exp(x.mean).lo, math.inf)
    else:
        whole = _exp(x.mean * 2.0 + v * 2.0)
        second = Interval(min(whole.lo, _LARGEST) * _up_to(v.lo), whole.hi)
        mean = _exp(x.mean + v * 0.5)
    spread = (ONE - _exp(-x.variance)).clamped(0.0, 1.0)
    return Effect(replace(x, second=second, spread=spread, mean=mean, is_skewed=True), (second,))


def _up_to(variance: float) -> float:
    """The share of E[e^(2x)], x ~ N(m, variance), that lies within `_DRAWN` deviations."""
    return 0.5 * math.erfc((2 * math.sqrt(max(variance, 0.0)) - _DRAWN) / math.sqrt(2))


def _exp(exponent: Interval) -> Interval:
    lo, hi = (math.exp(end) if end < 700 else math.inf for end in (exponent.lo, exponent.hi))
    return Interval(lo, hi)


@register("maxout")
def maxout(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """The largest of several features: only that one gets the gradient."""
    x = inputs[0]
    moments = Moments(x.second * Interval(0.5, 2.5), x.spread.join(point(0.5)), is_certain=x.is_certain)
    bound = x.second.sqrt.hi
    return Effect(replace(moments, mean=Interval(0.0, 2 * bound)), (ONE,))
