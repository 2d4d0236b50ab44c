"""Layers that mix their inputs by random weights: linear, convolutions, embedding."""

from __future__ import annotations

from msgspec.structs import replace

from gradlint.flow.initial import (
    UNKNOWN_LAW,
    Law,
    default_bias,
    default_weight,
    dimensions_of,
    law,
    number,
    shape_of,
    size_of,
    sizeless,
)
from gradlint.flow.moments import Moments, combined
from gradlint.flow.transfer import Effect, register, setting, unknown
from gradlint.mathematics.interval import ONE, TOP, ZERO, Interval, point
from gradlint.records.graph import Initial, Node

_ANY_BIAS = Interval(0.0, 1 / 3)
_SMALLEST_MAP = 8
"""Pixels per side below which a map is not expected to be padded again and again."""


def weight_law(node: Node) -> Law | None:
    """The law of a layer's weight; None if the layer lacks one."""
    parameter = node.parameters.get("weight")
    shape = shape_of(node)
    default = default_weight(node.op, shape)
    return default if parameter is None else law(parameter, shape, default)


def bias_law(node: Node) -> Law:
    """The law of a layer's bias, which is zero where the layer has none."""
    parameter = node.parameters.get("bias")
    if parameter is None:
        is_absent = node.settings.get("bias") is False or bool(node.parameters)
        return Law(ZERO, ZERO) if is_absent else _default_bias(node)
    return law(parameter, shape_of(node, "bias"), _default_bias(node))


def _default_bias(node: Node) -> Law:
    """1/(3·fan_in), of any fan-in where that is not known."""
    found = default_bias(node.op, shape_of(node))
    return Law(_ANY_BIAS, ZERO) if found == UNKNOWN_LAW else found


def _scaled(node: Node) -> tuple[Law, float] | None:
    """The law of the weight and the fan-in; where sizes are not known, that of fan_in·w for a fan-in of 1."""
    weight, fan = weight_law(node), fan_in(node)
    if weight is not None and fan is not None:
        return weight, fan
    if node.op.startswith("conv_transpose"):
        return None
    parameter = node.parameters.get("weight")
    found = sizeless(Initial() if parameter is None else parameter.initial)
    return None if found == UNKNOWN_LAW else (found, 1.0)


def fan_in(node: Node) -> float | None:
    """How many inputs an output adds up; a transposed convolution with stride s adds C_in·kᵈ/sᵈ."""
    if node.op == "linear":
        shape = shape_of(node)
        return number(node, "in_features") or (shape[1] if shape and len(shape) > 1 else None)
    shape = shape_of(node)
    if shape is None or len(shape) < 2:
        return None
    kernel = 1
    for size in shape[2:]:
        kernel *= size
    if not node.op.startswith("conv_transpose"):
        return float(shape[1] * kernel)
    stride = size_of(node.settings.get("stride", 1), dimensions_of(node.op))
    return None if not stride else shape[0] / (number(node, "groups") or 1) * kernel / stride


def width_of(node: Node) -> int | None:
    """The number of features that a layer makes."""
    known = number(node, "out_features") or number(node, "out_channels") or number(node, "embedding_dim")
    shape = shape_of(node)
    if known is not None or shape is None or node.op.startswith("conv_transpose"):
        return known
    return shape[1] if node.op == "embedding" else shape[0]


@register("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def linear(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """E[y²] = fan_in·Var(w)·E[x²] + Var(b), ‖δ_x‖² = fan_in·Var(w)·‖δ_y‖² (He 2015, eq. 7 and 13).

    Weights of mean m ≠ 0 add m²·E[(Σx)²], where fan_in²·mean² ≤ E[(Σx)²] ≤ fan_in²·E[x²], and pass
    between m²·fan_in·‖δ‖² and m²·fan_in·fan_out·‖δ‖² backward. Zero padding makes what is
    shared differ between the edges and the middle of a map. Where initialisers divide by the fan-in, no
    size needs to be known.
    """
    scaled = _scaled(node)
    if not inputs or scaled is None:
        return unknown(inputs)
    (weight, fan), x = scaled, inputs[0]
    border = _border(node)
    centred = weight.variance * fan * border
    width = width_of(node)
    at_edges = x.shared * Interval(0.0, 1 - border.lo)
    gain, second, variance = centred, centred * x.second, centred * (x.variance + at_edges)
    if weight.mean != ZERO:
        m2 = weight.mean.square
        least = x.centred * fan + x.mean.square * fan**2
        second += m2 * least.join(x.second * fan**2)
        variance += m2 * Interval(fan, fan**2) * x.variance
        gain += m2 * Interval(fan, fan * (width or fan))
    mean = weight.mean * fan * x.mean
    mean, second = _biased(bias_law(node), mean, second)
    result = replace(combined(second, variance, mean, x), width=width)
    return Effect(result, (gain, *[ZERO] * (len(inputs) - 1)))


def _biased(bias: Law, mean: Interval, second: Interval) -> tuple[Interval, Interval]:
    if bias.mean == ZERO:
        return mean, second + bias.variance
    cross = mean * bias.mean * 2.0
    total = (second + bias.second + cross).clamped(0.0, float("inf"))
    return mean + bias.mean, total


def _border(node: Node) -> Interval:
    """The share of a kernel that lies on the map rather than beyond its edges: 1 - d·reach/side."""
    kernel = _first(node.settings.get("kernel_size"))
    padding, stride = node.settings.get("padding", 0), _first(node.settings.get("stride", 1)) or 1
    if kernel is None and node.op != "linear" and padding not in (0, (0, 0)):
        return Interval(0.25, 1.0)
    if kernel is None or node.settings.get("padding_mode", "zeros") != "zeros":
        return ONE
    p = kernel // 2 if padding == "same" else _first(padding) or 0
    reach = min(p * (p + 1) / kernel, kernel / 4)
    if node.op.startswith("conv_transpose") and 2 * p < kernel - stride:
        reach = (kernel - stride) / stride
    return Interval(max(1 - dimensions_of(node.op) * reach / _SMALLEST_MAP, 0.25), 1.0)


def _first(value: object) -> int | None:
    if isinstance(value, tuple):
        return _first(value[0])
    return value if isinstance(value, int) else None


@register("bilinear")
def bilinear(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """y = x₁ᵀ W x₂: E[y²] = I₁·I₂·Var(w)·E[x₁²]·E[x₂²]; Var(w) = 1/(3·I₁) by default."""
    first, second = number(node, "in1_features"), number(node, "in2_features")
    if len(inputs) != 2 or not first or not second:
        return unknown(inputs)
    parameter = node.parameters.get("weight")
    default = Law(point(1 / (3 * first)), ZERO)
    weight = default if parameter is None else law(parameter, shape_of(node), default)
    scale = weight.second * float(first * second)
    a, b = inputs
    moments = Moments(
        scale * a.second * b.second,
        Interval(0.0, 1.0),
        width=width_of(node),
        is_certain=a.is_certain and b.is_certain,
    )
    return Effect(moments, (scale * b.second, scale * a.second))


@register("embedding")
def embedding(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """Rows of the weight, N(0, 1) by default; different tokens share nothing; indices get no gradient."""
    weight = weight_law(node)
    if weight is None:
        return unknown(inputs)
    moments = combined(weight.second, weight.variance, weight.mean, Moments(width=width_of(node)))
    return Effect(moments, tuple([ZERO] * len(inputs)))


@register("dropout", "dropout1d", "dropout2d", "dropout3d", "drop_path")
def dropout(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """x·mask/(1 - p): E[x²] and ‖δ‖² grow by 1/(1 - p), the mean stays, masks are not shared."""
    p = setting(node, "p", 0.5)
    keep = Interval(0.5, 1.0) if p is None else point(max(1 - p, 0.0))
    x = inputs[0]
    gain = keep.inverse if keep.lo > 0 else TOP
    spread = (ONE - (ONE - x.spread).clamped(0.0, 1.0) * keep).clamped(0.0, 1.0)
    moments = replace(x, second=x.second * gain, spread=spread)
    return Effect(moments, (gain if keep.hi > 0 else ZERO,))


@register("alpha_dropout", "feature_alpha_dropout")
def alpha_dropout(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """Keeps mean and variance: a·(x kept, else α'), a² = 1/((1 - p)(1 + p·α'²)), α' = -1.758."""
    p = setting(node, "p", 0.5)
    keep = Interval(0.5, 1.0) if p is None else point(max(1 - p, 0.0))
    drop = (ONE - keep).clamped(0.0, 1.0)
    return Effect(inputs[0], ((ONE + drop * 1.7580993408473766**2).inverse,))
