"""Layers that divide a signal by its own scale."""

from __future__ import annotations

import math

from msgspec.structs import replace

from gradlint.flow.initial import Law, law, number
from gradlint.flow.moments import Moments, combined, ratio
from gradlint.flow.transfer import Effect, register, setting, unknown
from gradlint.mathematics.interval import ONE, TOP, ZERO, Interval, point
from gradlint.records.graph import Node

_EPS = 1e-5
_WITHIN_SAMPLE = 0.8
"""The least share of the variance over the batch that one sample's map alone is taken to have."""

_FEW = 8
"""Members of a group from which on the gain of a small group is bounded."""


def _affine(node: Node) -> tuple[Law, Law]:
    """The laws of scale and shift: 1 and 0 unless initialised otherwise."""
    weight, bias = node.parameters.get("weight"), node.parameters.get("bias")
    one, zero = Law(ZERO, ONE), Law(ZERO, ZERO)
    return (
        one if weight is None else law(weight, weight_shape(node, "weight"), one),
        zero if bias is None else law(bias, weight_shape(node, "bias"), zero),
    )


def weight_shape(node: Node, name: str) -> tuple[int, ...] | None:
    """The shape of a parameter where every size is known."""
    shape = node.parameters[name].shape
    known = tuple([size for size in shape or () if size is not None])
    return known if shape is not None and len(known) == len(shape) else None


def _divided(node: Node, x: Moments, scale: Interval, centre: bool) -> Effect:
    """(x - its mean)/√(scale + eps)·weight + bias, with the gain weight²/(scale + eps)."""
    eps = setting(node, "eps", _EPS)
    divisor = scale + point(_EPS if eps is None else eps)
    weight, bias = _affine(node)
    gain = weight.second / divisor
    second = weight.second * ratio(scale, divisor)
    mean = ZERO if centre else x.mean / divisor.sqrt * weight.mean
    if bias.variance == ZERO and bias.mean == ZERO:
        return Effect(replace(x, second=second, mean=mean, is_share=False), (gain,))
    result = combined(second + bias.second, second * x.spread, mean + bias.mean, x)
    return Effect(result, (gain,))


@register("batch_norm")
def batch_norm(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """‖δ_x‖² = ‖δ_y‖²/Var over the batch (Yang 2019): what the samples share is removed.

    Behind ReLU the variance is (1 - 1/π)·E[x²], hence a gain of π/(π - 1) per block.
    """
    return _divided(node, replace(inputs[0], spread=ONE), inputs[0].variance, centre=True)


@register("instance_norm")
def instance_norm(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """As BatchNorm over the map of one sample, which varies at most as much as the batch does."""
    variance = inputs[0].variance * Interval(_WITHIN_SAMPLE, 1.0)
    return _divided(node, replace(inputs[0], spread=ONE), variance, centre=True)


@register("layer_norm")
def layer_norm(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """‖δ_x‖² = ‖δ_y‖²/Var over the features; what samples share, they share afterwards."""
    x = inputs[0]
    centred = x.centred
    if not centred.is_finite:
        centred = TOP
    spread = x.spread if x.mean == ZERO else ratio(x.variance, centred).join(x.spread)
    return _divided(node, replace(x, spread=spread), centred, centre=True)


@register("group_norm")
def group_norm(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """As LayerNorm within each group; one channel per group is instance normalisation.

    The scale of a group of m features varies: E[1/s²] raises the gain to at most (m - 2)/(m - 3).
    """
    groups = number(node, "num_groups")
    width = inputs[0].width or number(node, "num_channels")
    if groups and width and groups >= width:
        return instance_norm(node, inputs)
    effect = layer_norm(node, inputs)
    members = (width or 0) / (groups or 1)
    if members <= _FEW:
        return replace(effect, gains=(effect.gains[0] * Interval(1.0, (_FEW - 2) / (_FEW - 3)),))
    return replace(effect, gains=(effect.gains[0] * Interval(1.0, (members - 2) / (members - 3)),))


@register("rms_norm")
def rms_norm(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """‖δ_x‖² = ‖δ_y‖²/E[x²]."""
    return _divided(node, inputs[0], inputs[0].second, centre=False)


@register("local_response_norm")
def local_response_norm(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """x/(k + α·mean of x²)^β, near k^-β for torch's small α."""
    k, beta, alpha = setting(node, "k", 1.0), setting(node, "beta", 0.75), setting(node, "alpha", 1e-4)
    x = inputs[0]
    if k is None or beta is None or alpha is None or k <= 0 or not x.second.is_finite:
        return Effect(replace(x, second=TOP, mean=_signed(TOP)), (TOP,))
    gain = Interval((k + alpha * x.second.hi) ** (-2 * beta), (k + alpha * x.second.lo) ** (-2 * beta))
    return Effect(replace(x, second=x.second * gain, mean=x.mean * gain.sqrt), (gain,))


@register("normalize")
def normalize(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """x/‖x‖ of n features: E[y²] = 1/n, ‖δ_x‖² = ‖δ_y‖²/(n·E[x²])."""
    x = inputs[0]
    share = point(1 / x.width) if x.width else Interval(0.0, 1.0)
    gain = share / x.second
    mean = _signed(share) if x.mean != ZERO else ZERO
    return Effect(replace(x, second=share, mean=mean, origin=None), (gain,))


@register("cosine_similarity")
def cosine_similarity(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """x·y/(‖x‖‖y‖) of n features: ‖δ_x‖² = ‖δ‖²·(1 - cos²)/(n·E[x²]), E[cos²] = 1/n for independent ones."""
    moments = Moments(Interval(0.0, 1.0), Interval(0.0, 1.0), Interval(-1.0, 1.0), width=1)
    gains = [(point(1 / x.width) if x.width else ONE) / x.second * Interval(0.0, 1.0) for x in inputs]
    return Effect(replace(moments, is_certain=all(x.is_certain for x in inputs)), tuple(gains))


@register("pairwise_distance")
def pairwise_distance(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """‖x - y‖₂ of n features: E[d²] = n·E[(x - y)²], and its gradient is a vector of length 1."""
    if setting(node, "p", 2.0) != 2.0 or len(inputs) != 2:
        return unknown(inputs)
    x, y = inputs
    size = float(x.width or y.width or 0)
    apart = ((x.variance + y.variance) * Interval(0.0, 2.0)) + (x.shared + y.shared) * Interval(0.0, 2.0)
    second = apart * (point(size) if size else Interval(1.0, math.inf))
    moments = Moments(second, Interval(0.0, 1.0), _signed(second), width=1)
    return Effect(replace(moments, is_certain=x.is_certain and y.is_certain and bool(size)), (ONE, ONE))


def _signed(second: Interval) -> Interval:
    """Where a mean lies of which only the second moment is known."""
    bound = math.sqrt(second.hi)
    return Interval(-bound, bound)
