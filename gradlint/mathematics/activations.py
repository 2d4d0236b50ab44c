"""Every activation function of one variable, with its derivative and the places where it bends."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

from msgspec import Struct

Function = Callable[[float], float]

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


class Activation(Struct, frozen=True, eq=False):
    """A function φ of one variable, its derivative, and what quadrature needs to know of it.

    `bends` are the arguments where φ or φ' jumps. `steepest` is the supremum of |φ'|.
    `is_homogeneous` says φ(c·x) = c·φ(x) for every c > 0. `bound` is the supremum of |φ|. Beyond a
    deviation of `widest` the argument of a periodic function is as good as uniform.
    """

    value: Function
    slope: Function
    bends: tuple[float, ...] = ()
    steepest: float = 1.0
    bound: float = math.inf
    is_homogeneous: bool = False
    widest: float = math.inf


def activation(name: str, settings: Mapping[str, object]) -> Activation | None:
    """The activation `name` with torch's `settings`; None if it is none, or a setting is not known."""
    if name not in _BUILDERS:
        return None
    known = tuple(sorted((key, value) for key, value in settings.items() if key in _SETTINGS))
    return _built(name, known)


@lru_cache(maxsize=256)
def _built(name: str, settings: tuple[tuple[str, object], ...]) -> Activation | None:
    values = dict(settings)
    if None in values.values():
        return None
    try:
        return _BUILDERS[name](values)
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _number(settings: Mapping[str, object], key: str, default: float) -> float:
    value = settings.get(key, default)
    if not isinstance(value, float | int):
        raise TypeError(key)
    return float(value)


def sigmoid(x: float) -> float:
    """1/(1 + e⁻ˣ) without overflow."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    e = math.exp(x) if x > -700 else 0.0
    return e / (1 + e)


def _sigmoid_slope(x: float) -> float:
    s = sigmoid(x)
    return s * (1 - s)


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-min(abs(x), 700.0)))


def _density(x: float) -> float:
    return math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi) if abs(x) < 38 else 0.0


def _cumulative(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _tanh_slope(x: float) -> float:
    return 1 - math.tanh(x) ** 2 if abs(x) < 20 else 0.0


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf


def _relu(_: Mapping[str, object]) -> Activation:
    return _leaky(0.0)


def _leaky(a: float) -> Activation:
    return Activation(
        lambda x: x if x > 0 else a * x,
        lambda x: 1.0 if x > 0 else a,
        bends=(0.0,),
        steepest=max(1.0, abs(a)),
        is_homogeneous=True,
    )


def _rrelu(settings: Mapping[str, object]) -> Activation:
    """A negative slope uniform on lower … upper, which acts by its second moment."""
    a, b = _number(settings, "lower", 1 / 8), _number(settings, "upper", 1 / 3)
    return _leaky(math.sqrt((a * a + a * b + b * b) / 3))


def _ramp(lo: float, hi: float) -> Activation:
    """Clamp to lo … hi, either of which may be infinite."""
    return Activation(
        lambda x: min(max(x, lo), hi),
        lambda x: 1.0 if lo < x < hi else 0.0,
        bends=tuple(end for end in (lo, hi) if math.isfinite(end)),
        bound=max(abs(lo), abs(hi)),
    )


def _clamp(settings: Mapping[str, object]) -> Activation:
    lo, hi = _number(settings, "min", -math.inf), _number(settings, "max", math.inf)
    return _leaky(0.0) if (lo, hi) == (0.0, math.inf) else _ramp(lo, hi)


def _hardtanh(settings: Mapping[str, object]) -> Activation:
    return _ramp(_number(settings, "min_val", -1.0), _number(settings, "max_val", 1.0))


def _elu(alpha: float, length: float = 1.0, scale: float = 1.0) -> Activation:
    """scale · (x where x > 0, otherwise alpha·(e^(x/length) - 1))."""
    return Activation(
        lambda x: scale * (x if x > 0 else alpha * math.expm1(x / length)),
        lambda x: scale * (1.0 if x > 0 else alpha / length * _exp(x / length)),
        bends=(0.0,),
        steepest=scale * max(1.0, abs(alpha / length)),
    )


def _celu(settings: Mapping[str, object]) -> Activation:
    alpha = _number(settings, "alpha", 1.0)
    return _elu(alpha, alpha)


def _gelu(settings: Mapping[str, object]) -> Activation:
    if settings.get("approximate", "none") == "tanh":
        return _gelu_tanh()
    return Activation(
        lambda x: x * _cumulative(x), lambda x: _cumulative(x) + x * _density(x), steepest=1.12891
    )


def _gelu_tanh() -> Activation:
    c = math.sqrt(2 / math.pi)

    def slope(x: float) -> float:
        inner = c * (x + 0.044715 * x**3)
        return 0.5 * (1 + math.tanh(inner)) + 0.5 * x * _tanh_slope(inner) * c * (1 + 0.134145 * x * x)

    return Activation(lambda x: 0.5 * x * (1 + math.tanh(c * (x + 0.044715 * x**3))), slope, steepest=1.1291)


def _silu(_: Mapping[str, object]) -> Activation:
    return Activation(lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * sigmoid(-x)), steepest=1.0999)


def _mish(_: Mapping[str, object]) -> Activation:
    def slope(x: float) -> float:
        t = math.tanh(_softplus(x))
        return t + x * (1 - t * t) * sigmoid(x)

    return Activation(lambda x: x * math.tanh(_softplus(x)), slope, steepest=1.0885)


def _soft(settings: Mapping[str, object]) -> Activation:
    beta = _number(settings, "beta", 1.0)
    return Activation(lambda x: _softplus(beta * x) / beta, lambda x: sigmoid(beta * x))


def _softshrink(settings: Mapping[str, object]) -> Activation:
    lam = _number(settings, "lambd", 0.5)
    return Activation(
        lambda x: x - lam if x > lam else x + lam if x < -lam else 0.0,
        lambda x: 1.0 if abs(x) > lam else 0.0,
        bends=(-lam, lam),
    )


def _hardshrink(settings: Mapping[str, object]) -> Activation:
    lam = _number(settings, "lambd", 0.5)
    return Activation(
        lambda x: x if abs(x) > lam else 0.0, lambda x: 1.0 if abs(x) > lam else 0.0, bends=(-lam, lam)
    )


def _threshold(settings: Mapping[str, object]) -> Activation:
    edge, value = _number(settings, "threshold", 0.0), _number(settings, "value", 0.0)
    return Activation(lambda x: x if x > edge else value, lambda x: 1.0 if x > edge else 0.0, bends=(edge,))


def _hardswish(_: Mapping[str, object]) -> Activation:
    return Activation(
        lambda x: x * min(max(x / 6 + 0.5, 0.0), 1.0),
        lambda x: 0.0 if x < -3 else 1.0 if x > 3 else x / 3 + 0.5,
        bends=(-3.0, 3.0),
        steepest=1.5,
    )


def _power(settings: Mapping[str, object]) -> Activation:
    """xᵏ for a natural number k; other powers are not defined on the whole line."""
    k = _number(settings, "exponent", 2.0)
    if k < 1 or k != int(k):
        raise ValueError(k)
    return Activation(
        lambda x: x ** int(k), lambda x: k * x ** int(k - 1), steepest=1.0 if k == 1 else math.inf
    )


def _linear(gain: float) -> Activation:
    return Activation(lambda x: gain * x, lambda x: gain, steepest=abs(gain), is_homogeneous=True)


def _abs(_: Mapping[str, object]) -> Activation:
    return Activation(abs, lambda x: math.copysign(1.0, x), bends=(0.0,), is_homogeneous=True)


_BUILDERS: dict[str, Callable[[Mapping[str, object]], Activation]] = {
    "identity": lambda _: _linear(1.0),
    "neg": lambda _: _linear(-1.0),
    "relu": _relu,
    "relu6": lambda _: _ramp(0.0, 6.0),
    "leaky_relu": lambda settings: _leaky(_number(settings, "negative_slope", 0.01)),
    "prelu": lambda settings: _leaky(_number(settings, "init", 0.25)),
    "rrelu": _rrelu,
    "elu": lambda settings: _elu(_number(settings, "alpha", 1.0)),
    "celu": _celu,
    "selu": lambda _: _elu(SELU_ALPHA, scale=SELU_SCALE),
    "gelu": _gelu,
    "silu": _silu,
    "mish": _mish,
    "softplus": _soft,
    "sigmoid": lambda _: Activation(sigmoid, _sigmoid_slope, steepest=0.25, bound=1.0),
    "logsigmoid": lambda _: Activation(lambda x: -_softplus(-x), lambda x: sigmoid(-x)),
    "hardsigmoid": lambda _: Activation(
        lambda x: min(max(x / 6 + 0.5, 0.0), 1.0),
        lambda x: 1 / 6 if abs(x) < 3 else 0.0,
        bends=(-3.0, 3.0),
        steepest=1 / 6,
        bound=1.0,
    ),
    "erf": lambda _: Activation(
        math.erf,
        lambda x: 2 * math.sqrt(2) * _density(math.sqrt(2) * x),
        steepest=2 / math.sqrt(math.pi),
        bound=1.0,
    ),
    "atan": lambda _: Activation(math.atan, lambda x: 1 / (1 + x * x), bound=math.pi / 2),
    "tanh": lambda _: Activation(math.tanh, _tanh_slope, bound=1.0),
    "hardtanh": _hardtanh,
    "clamp": _clamp,
    "hardswish": _hardswish,
    "softsign": lambda _: Activation(
        lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2, bends=(0.0,), bound=1.0
    ),
    "tanhshrink": lambda _: Activation(lambda x: x - math.tanh(x), lambda x: math.tanh(x) ** 2),
    "softshrink": _softshrink,
    "hardshrink": _hardshrink,
    "threshold": _threshold,
    "square": lambda _: _power({}),
    "pow": _power,
    "abs": _abs,
    "sin": lambda _: Activation(math.sin, math.cos, bound=1.0, widest=4.0),
    "cos": lambda _: Activation(math.cos, lambda x: -math.sin(x), bound=1.0, widest=4.0),
}

_SETTINGS = frozenset(
    {
        "negative_slope", "init", "alpha", "approximate", "beta", "min_val", "max_val", "min", "max",
        "lambd", "threshold", "value", "exponent", "lower", "upper",
    }
)  # fmt: skip

NAMES = frozenset(_BUILDERS)
"""The activations of one variable."""
