"""Operations that re-arrange, choose, repeat or pool elements."""

from __future__ import annotations

import math
from functools import lru_cache

from msgspec.structs import replace

from gradlint.flow.initial import dimensions_of, number, size_of
from gradlint.flow.moments import Moments
from gradlint.flow.transfer import Effect, register
from gradlint.mathematics.interval import ANYTHING, ONE, ZERO, Interval, point
from gradlint.records.graph import Node

_LARGEST_MAP = 1e6
_UNKNOWN_WINDOW = 9


@register("reshape", "expand", "pixel_shuffle", "pixel_unshuffle", "contiguous")
def rearrange(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """The same elements elsewhere; a repeated element adds up gradients that share nothing."""
    factor = number(node, "upscale_factor") or number(node, "downscale_factor")
    x = inputs[0]
    if node.op.startswith("pixel"):
        x = replace(x, width=_shuffled(node.op, x.width, factor), origin=None)
    return Effect(x, (ONE, *[ZERO] * (len(inputs) - 1)))


def _shuffled(op: str, width: int | None, factor: int | None) -> int | None:
    if width is None or factor is None:
        return None
    return width // factor**2 if op == "pixel_shuffle" else width * factor**2


@register("select")
def select(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """A part of the elements; the others get no gradient from here."""
    parts, x = number(node, "parts"), inputs[0]
    width = x.width // parts if x.width and parts else None
    return Effect(replace(x, width=width, origin=None), (ONE, *[ZERO] * (len(inputs) - 1)))


@register("pad")
def pad(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """Zeros around a map lower the mean over its elements a little; the gradient there is lost."""
    x = inputs[0]
    share = Interval(0.6, 1.0)
    return Effect(replace(x, second=x.second * share, mean=x.mean * share), (share,))


@register("upsample")
def upsample(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """Nearest repeats each element; interpolation averages neighbours, which share `shared` at least."""
    x = inputs[0]
    if node.settings.get("mode", "nearest") == "nearest":
        return Effect(x, (ONE,))
    return Effect(_averaged(x, Interval(0.3, 1.0)), (Interval(0.3, 1.0),))


def _averaged(x: Moments, left: Interval) -> Moments:
    """Averages of elements: what is not shared keeps the part `left`."""
    variance = x.variance * left
    second = x.second * (ONE - x.spread * (ONE - left)).clamped(0.0, 1.0)
    low = _share(variance.lo, x.shared.hi)
    high = x.spread.hi
    return replace(x, second=second, spread=Interval(min(low, high), high))


def _share(part: float, rest: float) -> float:
    if math.isinf(rest) or part + rest == 0:
        return 0.0
    return 1.0 if math.isinf(part) else part / (part + rest)


@register("avg_pool")
def avg_pool(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """‖δ_x‖² = ‖δ_y‖²/kᵈ, which only distributes it; unshared parts of neighbours average out, to 1/kᵈ."""
    window = size_of(node.settings.get("kernel_size"), dimensions_of(node.op))
    if window is None:
        return _averaging(inputs[0], Interval(1 / _LARGEST_MAP, 1.0), len(inputs))
    stride = size_of(node.settings.get("stride"), dimensions_of(node.op)) or window
    spreading = point(min(1 / stride, 1.0))
    effect = _averaging(inputs[0], Interval(1 / window, 1.0), len(inputs))
    return Effect(effect.moments, (point(stride / window), *effect.gains[1:]), spreading)


@register("adaptive_avg_pool", "mean")
def mean(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """An average over a number of elements that is not known, at most a million."""
    return _averaging(inputs[0], Interval(1 / _LARGEST_MAP, 1.0), len(inputs))


def _averaging(x: Moments, left: Interval, inputs: int) -> Effect:
    return Effect(_averaged(x, left), (ONE, *[ZERO] * (inputs - 1)), left)


@register("max_pool", "adaptive_max_pool", "max", "min", "amax", "amin", "lp_pool")
def max_pool(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """‖δ_x‖² = ‖δ_y‖². The largest of m lies between that of equal and of independent elements."""
    known = size_of(node.settings.get("kernel_size"), dimensions_of(node.op))
    growth, apart = _largest(min(known or _UNKNOWN_WINDOW, 64))
    x = inputs[0]
    second = x.second * Interval(1.0, growth)
    bound = second.sqrt.hi
    mean = Interval(-bound, bound) if node.op in ("min", "amin") else x.mean.join(point(bound))
    moments = replace(x, second=second, spread=x.spread * Interval(apart, 1.0), mean=mean)
    return Effect(moments, (ONE, *[ZERO] * (len(inputs) - 1)))


@lru_cache(maxsize=64)
def _largest(m: int) -> tuple[float, float]:
    """Of the largest of m independent N(0, 1), rectified or not: E[max²] / E[x²], and what is left of
    the share of E[x²] that two samples do not have in common."""
    plain, rectified = _expectations(m, -9.0), _expectations(m, 0.0)
    base = _expectations(1, 0.0)
    growth = max(plain[1], rectified[1] / base[1])
    kept = (1 - rectified[0] ** 2 / rectified[1]) / (1 - base[0] ** 2 / base[1])
    return growth, min(1 - plain[0] ** 2 / plain[1], kept)


def _expectations(m: int, least: float) -> tuple[float, float]:
    """E[y] and E[y²] of y = max(z_1 … z_m, least), by the midpoint rule."""
    step = 0.02
    first = second = 0.0
    for i in range(900):
        z = -9 + (i + 0.5) * step
        density = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
        weight = step * m * density * (0.5 * math.erfc(-z / math.sqrt(2))) ** (m - 1)
        y = max(z, least)
        first += weight * y
        second += weight * y * y
    return first, second


@register("max_unpool")
def max_unpool(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """One element of a window of kᵈ, zeros elsewhere: E[y²] = E[x²]/kᵈ, ‖δ_x‖² = ‖δ_y‖²/kᵈ."""
    dimensions, x = dimensions_of(node.op), inputs[0]
    stride = size_of(node.settings.get("stride"), dimensions)
    window = stride or size_of(node.settings.get("kernel_size"), dimensions)
    share = Interval(1 / _UNKNOWN_WINDOW**2, 1.0) if window is None else point(1 / window)
    moments = replace(x, second=x.second * share, mean=x.mean * share, spread=x.spread.join(ONE))
    return Effect(moments, (share, *[ZERO] * (len(inputs) - 1)))


@register("fold")
def fold(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """Sums of up to m = (k/s)² overlapping patches: ‖δ_x‖² ≤ m·‖δ_y‖², E[y²] from E[x²] to m²·E[x²]."""
    kernel, stride = size_of(node.settings.get("kernel_size"), 2), size_of(node.settings.get("stride", 1), 2)
    x = inputs[0]
    overlap = _LARGEST_MAP if kernel is None or not stride else max(kernel / stride, 1.0)
    least = ONE if kernel is None or not stride else point(min(kernel / stride, 1.0))
    second = x.second * least.join(point(overlap**2))
    bound = second.sqrt.hi
    moments = replace(
        x, second=second, spread=x.spread.join(ONE), mean=Interval(-bound, bound), width=None, origin=None
    )
    return Effect(moments, (least.join(point(overlap)), *[ZERO] * (len(inputs) - 1)))


@register("sum", "prod", "norm", "var", "std")
def reduction(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """Over a number of elements that is not known: nothing is promised of scale and gain."""
    x = inputs[0]
    top = Interval(0.0, math.inf)
    moments = Moments(top, Interval(0.0, 1.0), ANYTHING, is_certain=False)
    gain = x.second.inverse.join(top) if node.op != "sum" else Interval(1.0, math.inf)
    return Effect(moments, (gain, *[ZERO] * (len(inputs) - 1)))


@register("detach", "argmax", "round", "sign", "floor", "compare", "one_hot", "cast_int")
def severed(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """No gradient passes."""
    x = inputs[0] if inputs else Moments()
    if node.op == "detach":
        return Effect(x, tuple([ZERO] * len(inputs)))
    bound = Interval(0.0, 1.0) if node.op in ("sign", "compare", "one_hot") else Interval(0.0, math.inf)
    moments = Moments(bound, Interval(0.0, 1.0), ANYTHING, x.width, is_certain=bound.is_finite)
    if bound.is_finite:
        moments = replace(moments, mean=Interval(-1.0, 1.0))
    return Effect(moments, tuple([ZERO] * len(inputs)))
