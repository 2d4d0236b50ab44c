"""What a parameter holds once the model is constructed: mean and variance of its elements."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from msgspec import Struct

from gradlint.mathematics.interval import ANYTHING, TOP, ZERO, Interval, point
from gradlint.records.graph import Initial, Node, Parameter

_TRUNCATION = 2.0


class Law(Struct, frozen=True):
    """Mean and variance of a parameter's elements."""

    variance: Interval = TOP
    mean: Interval = ANYTHING

    @property
    def second(self) -> Interval:
        """E[w²]."""
        return self.variance + self.mean.square


UNKNOWN_LAW = Law()


class Fans(NamedTuple):
    """As torch counts them: the sizes of a weight that its initialisers divide by."""

    fan_in: float
    fan_out: float
    rows: float


def size_of(value: object, dimensions: int) -> int | None:
    """The product of a kernel size or stride, given as a number or once per dimension."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return int(value**dimensions)
    if isinstance(value, tuple) and value and all(isinstance(each, int) for each in value):
        product = math.prod(each for each in value if each is not None)
        return product if len(value) == dimensions else int(product ** (dimensions / len(value)))
    return None


def dimensions_of(op: str) -> int:
    """The number of spatial dimensions that a convolution or pooling is named after."""
    return int(op[-2]) if op[-2:] in ("1d", "2d", "3d") else 2


def number(node: Node, key: str) -> int | None:
    """A whole setting that is known."""
    value = node.settings.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def shape_of(node: Node, name: str = "weight") -> tuple[int, ...] | None:
    """The shape of a layer's parameter, as recorded or from the layer's settings."""
    parameter = node.parameters.get(name)
    if parameter is not None and parameter.shape is not None:
        known = tuple([size for size in parameter.shape if size is not None])
        if len(known) == len(parameter.shape):
            return known
    if name != "weight":
        return None
    if node.op == "linear":
        return _known(number(node, "out_features"), number(node, "in_features"))
    if node.op == "embedding":
        return _known(number(node, "num_embeddings"), number(node, "embedding_dim"))
    return _kernel_shape(node) if node.op.startswith("conv") else None


def _kernel_shape(node: Node) -> tuple[int, ...] | None:
    groups = number(node, "groups") or 1
    inputs, outputs = number(node, "in_channels"), number(node, "out_channels")
    kernel = size_of(node.settings.get("kernel_size"), dimensions_of(node.op))
    if inputs is None or outputs is None:
        return None
    if node.op.startswith("conv_transpose"):
        return _known(inputs, outputs // groups, kernel)
    return _known(outputs, inputs // groups, kernel)


def _known(*sizes: int | None) -> tuple[int, ...] | None:
    known = tuple([size for size in sizes if size is not None])
    return known if len(known) == len(sizes) else None


def fans(shape: tuple[int, ...]) -> Fans | None:
    """torch's `_calculate_fan_in_and_fan_out`: the second and the first size times the kernel."""
    if len(shape) < 2 or 0 in shape:
        return None
    kernel = math.prod(shape[2:])
    return Fans(shape[1] * kernel, shape[0] * kernel, shape[0])


def law(parameter: Parameter, shape: tuple[int, ...] | None, default: Law = UNKNOWN_LAW) -> Law:
    """The law of a parameter; `default` is what the layer's own constructor does."""
    scheme = parameter.initial.scheme
    if scheme == "default":
        found = default
    else:
        settings = parameter.initial.settings
        found = _law(scheme, settings, fans(shape) if shape else None)
    factor = parameter.initial.factor
    return found if factor == 1 else Law(found.variance * factor * factor, found.mean * factor)


def _law(scheme: str, settings: Mapping[str, object], sizes: Fans | None) -> Law:
    try:
        if scheme in _PLAIN:
            return _PLAIN[scheme](settings)
        if scheme in _SCALED and sizes is not None:
            return _centred(_SCALED[scheme](settings, sizes))
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        pass
    return UNKNOWN_LAW


def _centred(variance: float) -> Law:
    return Law(point(variance), ZERO)


def _value(settings: Mapping[str, object], key: str, default: float) -> float:
    value = settings.get(key, default)
    if not isinstance(value, float | int) or math.isnan(value):
        raise TypeError(key)
    return float(value)


def _squared(settings: Mapping[str, object], key: str, default: float) -> float:
    value = _value(settings, key, default)
    return value * value


def _uniform(settings: Mapping[str, object]) -> Law:
    a, b = _value(settings, "a", 0.0), _value(settings, "b", 1.0)
    return Law(point((b - a) * (b - a) / 12), point((a + b) / 2))


def _normal(settings: Mapping[str, object]) -> Law:
    return Law(point(_squared(settings, "std", 1.0)), point(_value(settings, "mean", 0.0)))


def _truncated(settings: Mapping[str, object]) -> Law:
    """The ends a = -2, b = 2 are absolute: at a small std nothing is cut off."""
    mean, std = _value(settings, "mean", 0.0), _value(settings, "std", 1.0)
    lo, hi = _value(settings, "a", -_TRUNCATION), _value(settings, "b", _TRUNCATION)
    if std == 0:
        return Law(ZERO, point(min(max(mean, lo), hi)))
    left, right = max((lo - mean) / std, -40.0), min((hi - mean) / std, 40.0)
    mass = 0.5 * (math.erf(right / math.sqrt(2)) - math.erf(left / math.sqrt(2)))
    f, g = _density(left), _density(right)
    shift = (f - g) / mass
    variance = std * std * (1 + (left * f - right * g) / mass - shift * shift)
    return Law(point(variance), point(mean + std * shift))


def _density(x: float) -> float:
    return math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _constant(settings: Mapping[str, object]) -> Law:
    return Law(ZERO, point(_value(settings, "val", 0.0)))


def gain(nonlinearity: object, a: float = 0.0) -> float:
    """torch's `calculate_gain`."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + a * a))
    gains = {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75, "sigmoid": 1.0, "linear": 1.0}
    name = str(nonlinearity)
    return 1.0 if name.startswith("conv") else gains[name]


def _kaiming(settings: Mapping[str, object], sizes: Fans) -> float:
    """gain²/fan."""
    nonlinearity = settings.get("nonlinearity", "leaky_relu")
    if nonlinearity not in ("leaky_relu", "tanh", "relu", "selu", "sigmoid", "linear"):
        raise ValueError(nonlinearity)
    fan = sizes.fan_out if settings.get("mode", "fan_in") == "fan_out" else sizes.fan_in
    return gain(nonlinearity, _value(settings, "a", 0.0)) ** 2 / fan


def _xavier(settings: Mapping[str, object], sizes: Fans) -> float:
    """2·gain²/(fan_in + fan_out)."""
    return 2 * _squared(settings, "gain", 1.0) / (sizes.fan_in + sizes.fan_out)


def _orthogonal(settings: Mapping[str, object], sizes: Fans) -> float:
    """Orthonormal along the shorter side: gain²/max(rows, columns)."""
    return _squared(settings, "gain", 1.0) / max(sizes.rows, sizes.fan_in)


def _eye(settings: Mapping[str, object], sizes: Fans) -> float:
    """E[w²] of ones on the diagonal; its mean is left out, because the outputs do not mix the inputs."""
    kernel = sizes.fan_out / sizes.rows
    inputs = sizes.fan_in / kernel
    return min(sizes.rows, inputs) / (sizes.rows * inputs * kernel)


def _sparse(settings: Mapping[str, object], sizes: Fans) -> float:
    """A share of zeros, the rest normal."""
    return (1 - _value(settings, "sparsity", math.nan)) * _squared(settings, "std", 0.01)


_PLAIN: dict[str, Callable[[Mapping[str, object]], Law]] = {
    "uniform": _uniform,
    "normal": _normal,
    "trunc_normal": _truncated,
    "constant": _constant,
    "zeros": lambda _: Law(ZERO, ZERO),
    "ones": lambda _: Law(ZERO, point(1.0)),
}
_SCALED: dict[str, Callable[[Mapping[str, object], Fans], float]] = {
    "kaiming_uniform": _kaiming,
    "kaiming_normal": _kaiming,
    "xavier_uniform": _xavier,
    "xavier_normal": _xavier,
    "orthogonal": _orthogonal,
    "eye": _eye,
    "dirac": _eye,
    "sparse": _sparse,
}


def default_weight(op: str, shape: tuple[int, ...] | None) -> Law:
    """What a layer's own constructor gives its weight."""
    if op == "embedding":
        return _centred(1.0)
    sizes = fans(shape) if shape else None
    return UNKNOWN_LAW if sizes is None else _centred(1 / (3 * sizes.fan_in))


def sizeless(initial: Initial) -> Law:
    """The law of fan_in·w where a layer's sizes are not known, of initialisers that divide by the fan-in.

    It is 1/3 by default, gain² after He; an orthogonal weight passes at most gain².
    """
    scheme, settings = initial.scheme, initial.settings
    if scheme == "default":
        found = _centred(1 / 3)
    elif scheme == "zeros" or (scheme.startswith("kaiming") and settings.get("mode", "fan_in") == "fan_in"):
        found = _law(scheme, settings, Fans(1.0, 1.0, 1.0))
    elif scheme == "orthogonal":
        found = Law(_law(scheme, settings, Fans(1.0, 1.0, 1.0)).variance.join(ZERO), ZERO)
    else:
        return UNKNOWN_LAW
    return Law(found.variance * initial.factor * initial.factor, ZERO)


default_bias = default_weight
"""A linear layer's bias is uniform on ±1/√fan_in, which has the variance of its weight."""


def recurrent(hidden: int | None) -> Law:
    """Every weight and bias of torch's recurrent layers: uniform on ±1/√hidden."""
    return UNKNOWN_LAW if not hidden else _centred(1 / (3 * hidden))
