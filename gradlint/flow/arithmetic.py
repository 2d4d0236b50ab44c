"""Sums, products and concatenations of signals, constants and bare parameters."""

from __future__ import annotations

import math

from msgspec.structs import replace

from gradlint.flow.elementwise import through
from gradlint.flow.initial import law
from gradlint.flow.moments import UNKNOWN, Moments, combined, either, ratio
from gradlint.flow.transfer import Effect, register, setting, unknown
from gradlint.mathematics.activations import activation
from gradlint.mathematics.interval import ANYTHING, ONE, TOP, ZERO, Interval, point
from gradlint.records.graph import Node

_KURTOSIS = 3.0


@register("add", "sub")
def add(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """E[(a + b)²] = E[a²] + E[b²] + 2·E[a]·E[b] of unrelated signals; the gradient passes to both.

    The variance over the features is the sum of both, also where their means are not known.

    Where both are functions of the same elements, it lies between (√E[a²] ± √E[b²])².
    """
    if len(inputs) != 2:
        return unknown(inputs)
    factor = setting(node, "alpha", 1.0)
    a, b = inputs
    if factor is None:
        return unknown(inputs)
    b = _scaled(b, -factor if node.op == "sub" else factor)
    if a.origin is not None and a.origin == b.origin:
        return Effect(_related(a, b), (ONE, point(factor * factor)))
    cross = a.mean * b.mean * 2.0
    second = (a.second + b.second + cross).clamped(0.0, math.inf)
    result = combined(second, a.variance + b.variance, a.mean + b.mean, _like(a, b))
    least = min(a.centred.lo + b.centred.lo, second.hi)
    result = replace(result, is_skewed=a.is_skewed or b.is_skewed, least_centred=least)
    return Effect(result, (ONE, point(factor * factor)))


def _like(a: Moments, b: Moments) -> Moments:
    """Width and certainty of what two broadcast operands make."""
    widths = {width for width in (a.width, b.width) if width not in (None, 1)}
    width = widths.pop() if len(widths) == 1 else None
    return Moments(width=width, is_certain=a.is_certain and b.is_certain)


def _related(a: Moments, b: Moments) -> Moments:
    r, s = a.second.sqrt, b.second.sqrt
    second = Interval((r - s).square.lo, (r + s).square.hi)
    return replace(_like(a, b), second=second, spread=Interval(0.0, 1.0), mean=a.mean + b.mean)


def _scaled(x: Moments, factor: float) -> Moments:
    least = x.least_centred * factor * factor
    return replace(x, second=x.second * factor * factor, mean=x.mean * factor, least_centred=least)


@register("mul")
def multiply(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """E[(ab)²] = E[a²]·E[b²], ‖δ_a‖² = E[b²]·‖δ‖² of unrelated signals (gates, masks, layer scales).

    Where both are functions of the same elements, E[(ab)²] ≤ 3·E[a²]·E[b²] of Gaussian ones. Both
    factors the same, it is a square, whose gain stands at the first one.
    """
    if len(inputs) != 2:
        return unknown(inputs)
    if node.inputs[:1] == node.inputs[1:] and (square := activation("square", {})) is not None:
        moments, gain = through(square, inputs[0])
        return Effect(moments, (gain, ZERO))
    a, b = inputs
    common = (ONE - a.spread) * (ONE - b.spread)
    moments = replace(
        _like(a, b),
        second=a.second * b.second,
        spread=(ONE - common).clamped(0.0, 1.0),
        mean=a.mean * b.mean,
    )
    if a.origin is not None and a.origin == b.origin:
        around = Interval(0.0, _KURTOSIS)
        bound = (moments.second * around).sqrt.hi
        moments = replace(
            moments, second=moments.second * around, spread=Interval(0.0, 1.0), mean=Interval(-bound, bound)
        )
        return Effect(moments, (b.second * around, a.second * around))
    return Effect(moments, (b.second, a.second))


@register("div")
def divide(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """By a constant it is a product; otherwise E[1/b²] ≥ 1/E[b²] is all that is known."""
    if len(inputs) != 2:
        return unknown(inputs)
    a, b = inputs
    is_constant = b.mean.lo == b.mean.hi and b.second == b.mean.square
    scale = b.second.inverse if is_constant else Interval(b.second.inverse.lo, math.inf)
    mean = a.mean / b.mean if is_constant else (ZERO if a.mean == ZERO else ANYTHING)
    moments = replace(_like(a, b), second=a.second * scale, spread=Interval(a.spread.lo, 1.0), mean=mean)
    if is_constant:
        moments = replace(moments, spread=a.spread)
    return Effect(moments, (scale, ZERO if is_constant else TOP))


@register("scale")
def scale(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """A constant factor: E[y²] = c²·E[x²], ‖δ_x‖² = c²·‖δ_y‖²."""
    factor = setting(node, "factor", math.nan)
    if factor is None or math.isnan(factor):
        return unknown(inputs)
    return Effect(_scaled(inputs[0], factor), (point(factor * factor),))


@register("shift")
def shift(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """A constant summand: E[y²] = E[x²] + 2·c·E[x] + c², and the samples share it."""
    value = setting(node, "value", math.nan)
    x = inputs[0]
    if value is None or math.isnan(value):
        return Effect(replace(UNKNOWN, width=x.width), (ONE,))
    second = (x.second + x.mean * (2 * value) + point(value * value)).clamped(0.0, math.inf)
    moments = replace(x, second=second, spread=ratio(x.variance, second), mean=x.mean + point(value))
    return Effect(moments, (ONE,))


@register("function")
def function(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """What a forward pass without gradient gave, behind it a backward pass that may do anything."""
    return Effect(replace(inputs[0], origin=None), (ZERO, *[TOP] * (len(inputs) - 1)))


@register("cat", "stack")
def concatenate(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """Moments are averages by width; each input gets its share of ‖δ‖²."""
    if not inputs:
        return unknown(inputs)
    given = node.settings.get("sizes")
    sizes = given if isinstance(given, tuple) else (None,) * len(inputs)
    widths = [size or each.width for size, each in zip(sizes, inputs, strict=True)]
    total = sum(width or 0 for width in widths)
    is_along_features = node.op == "cat" and node.settings.get("dim", 0) in (1, -1, -3)
    if None in widths or total == 0 or not is_along_features:
        width = widths[0] if not is_along_features else None
        shares = [Interval(0.0, 1.0) if len(inputs) > 1 else ONE for _ in inputs]
        return Effect(replace(either(*inputs), width=width, origin=None), tuple(shares))
    parts = [point((width or 0) / total) for width in widths]
    second, variance, mean = ZERO, ZERO, ZERO
    for part, each in zip(parts, inputs, strict=True):
        second, variance = second + part * each.second, variance + part * each.variance
        mean += part * each.mean
    like = Moments(width=total, is_certain=all(each.is_certain for each in inputs))
    return Effect(combined(second, variance, mean, like), tuple(parts))


@register("join")
def join(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """One of several signals; which one gets the gradient is settled where they come from."""
    if not inputs:
        return unknown(inputs)
    return Effect(replace(either(*inputs), origin=None), tuple([ONE] * len(inputs)))


@register("constant")
def constant(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """One number everywhere."""
    value = setting(node, "value", math.nan)
    if value is None or math.isnan(value):
        return Effect(UNKNOWN, ())
    return Effect(Moments(point(value * value), ZERO, point(value)), ())


@register("parameter")
def parameter(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """A bare parameter: the same for all samples, and for all positions unless it is a table of them."""
    entry = node.parameters.get("value")
    if entry is None:
        return Effect(UNKNOWN, ())
    shape = tuple([size for size in entry.shape or () if size is not None])
    known = shape if entry.shape is not None and len(shape) == len(entry.shape) else None
    held = law(entry, known)
    is_known = held.second.is_finite
    return Effect(Moments(held.second, _apart(entry.shape), held.mean, is_certain=is_known), ())


def _apart(shape: tuple[int | None, ...] | None) -> Interval:
    """The share that differs between samples, at any two positions: that of a table with rows for each."""
    is_table = shape is None or len([size for size in shape if size != 1]) > 1
    return Interval(0.0, 1.0) if is_table else ZERO


@register("buffer")
def buffer(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """Stored numbers of which nothing is known."""
    return Effect(UNKNOWN, tuple([ZERO] * len(inputs)))
