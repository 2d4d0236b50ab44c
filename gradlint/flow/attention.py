"""Softmax, products of two signals, and attention, which is near-uniform at initialisation."""

from __future__ import annotations

from msgspec.structs import replace

from gradlint.flow.initial import number
from gradlint.flow.moments import Moments
from gradlint.flow.transfer import Effect, register, setting, unknown
from gradlint.mathematics.interval import ONE, TOP, ZERO, Interval, point
from gradlint.records.graph import Node

_MOST_TOKENS = 4096
_HEAD = Interval(16.0, 256.0)
"""The features of one attention head where they are not known."""


@register("softmax", "softmin")
def softmax(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """Shares that sum to one. The Jacobian diag(p) - p·pᵀ has no eigenvalue above 1/2.

    Followed by a product with values, the gain is counted per token, there and here together.
    """
    x = inputs[0]
    second = point(1 / x.width**2).join(ONE) if x.width else Interval(0.0, 1.0)
    moments = replace(
        x, second=second, spread=Interval(0.0, 1.0), mean=Interval(0.0, 1.0), is_share=True, origin=None
    )
    return Effect(moments, (Interval(0.0, 0.25),))


@register("gumbel_softmax")
def gumbel_softmax(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """softmax((x + g)/τ), g drawn from Gumbel(0, 1): the Jacobian is at most 1/(2τ).

    What is made hard passes the gradient of what is soft (Jang 2017).
    """
    tau, effect = setting(node, "tau", 1.0), softmax(node, inputs)
    if not tau:
        return unknown(inputs)
    return Effect(effect.moments, (effect.gains[0] * (1 / tau**2),))


@register("log_softmax")
def log_softmax(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """x - logsumexp(x): δ - p·Σδ, within a factor of two of δ for scores of moderate scale."""
    x = inputs[0]
    moments = replace(x, second=Interval(x.second.lo, float("inf")), origin=None)
    return Effect(replace(moments, mean=Interval(float("-inf"), 0.0)), (Interval(0.5, 2.0),))


@register("matmul", "bmm", "einsum")
def matmul(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """Averages of values where one operand holds shares, otherwise scores of `width` products."""
    if len(inputs) != 2:
        return unknown(inputs)
    a, b = inputs
    if a.is_share or b.is_share:
        shares, values = (a, b) if a.is_share else (b, a)
        averaged = _mixture(values)
        moments = replace(averaged, is_certain=shares.is_certain and values.is_certain)
        weight, value = Interval(0.0, values.second.hi), Interval(1 / _MOST_TOKENS, 1.0)
        return Effect(moments, (weight, value) if a.is_share else (value, weight))
    known = number(node, "products")
    size = Interval(1.0, float(a.width)) if a.width else Interval(1.0, float(_MOST_TOKENS))
    size = size if known is None else point(float(known))
    moments = Moments(
        a.second * b.second * size,
        Interval(0.0, 1.0),
        is_certain=a.is_certain and b.is_certain,
    )
    return Effect(moments, (b.second * size, a.second * size))


def _mixture(values: Moments) -> Moments:
    """Averages over the tokens of a sample: they keep what is shared, and the rest in part."""
    second = values.shared.join(values.second)
    return replace(
        values, second=Interval(second.lo, values.second.hi), spread=Interval(0.0, 1.0), origin=None
    )


@register("attention")
def attention(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """Near-uniform at initialisation (Noci 2022): ‖δ_v‖² between 1/n and 1 of ‖δ‖².

    Scores of variance scale²·d·E[q²]·E[k²] pass scale²·d·E[v²]·E[k²] to the query, and vanish with n.
    """
    if len(inputs) < 3:
        return unknown(inputs)
    query, key, value = inputs[:3]
    scale = setting(node, "scale", 0.0)
    dimension = number(node, "head_dim")
    size = ONE if scale == 0.0 else _HEAD if dimension is None else point(float(dimension))
    squared = TOP if scale is None else ONE if scale == 0.0 else size * scale * scale
    bound = value.second * squared
    moments = replace(_mixture(value), is_certain=all(each.is_certain for each in inputs[:3]))
    gains = (
        Interval(0.0, (bound * key.second).hi),
        Interval(0.0, (bound * query.second).hi),
        Interval(1 / _MOST_TOKENS, 1.0),
    )
    return Effect(moments, (*gains, *[ZERO] * (len(inputs) - 3)))
