"""Elementwise code at one point: what a value is, and whether a gradient is, when a leaf is a number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from gradlint.semantics.tensor import REARRANGING, Application, Tensor
from gradlint.semantics.value import Known, Value

Point = Mapping[int, float]
"""The numbers of tensors with what one element of each is; others are not known."""
_Known = dict[int, float | None]
"""A point, with what was computed from it on the way."""

_LARGEST_EXPONENT = 88.7
_FAR = 40
_IDENTITY = REARRANGING | {"as_bool", "detach", "int", "long"}
_NAN = math.nan
_ORDERS = frozenset({"lt", "le", "gt", "ge"})
_PRODUCTS_OF_ZERO: dict[str, tuple[list[float | None], ...]] = {
    "mul": ([0.0, None], [None, 0.0]),
    "div": ([0.0, None],),
}


def value_at(value: Value | None, point: Point) -> float | None:
    """An element of `value` at `point` as float32 computes it, or None where that is not known."""
    return _at(value, dict(point), _FAR)


def _at(value: Value | None, known: _Known, far: int) -> float | None:
    if isinstance(value, Known):
        return float(value.value) if isinstance(value.value, (int, float)) else None
    if not isinstance(value, Tensor) or far == 0:
        return None
    if value.number in known:
        return known[value.number]
    a = value.producer
    if a is None or a.number != value.number:
        return value.facts.typical
    known[value.number] = found = _made_at(a, known, far - 1)
    return found


def _made_at(a: Application, known: _Known, far: int) -> float | None:
    """An element of what `a` makes."""
    if a.primitive in _IDENTITY:
        return _at(a.value(0), known, far)
    if a.primitive in _CHOICES:
        return _CHOICES[a.primitive](a, known, far)
    function = _FUNCTIONS.get(a.primitive)
    if function is None or a.has(2, "alpha") or a.has(2, "rounding_mode"):
        return None
    found = [_at(operand.value, known, far) for operand in (*a.operands, *a.keywords.values())]
    if found in _PRODUCTS_OF_ZERO.get(a.primitive, ()):
        return 0.0  # whatever the other is
    operands = [number for number in found if number is not None]
    if a.primitive in _ORDERS and any(math.isnan(number) for number in operands):
        return None  # whichever it is, the test is not there for it
    return _computed(function, operands) if len(operands) == len(found) else None


def _computed(function: Callable[..., float], operands: list[float]) -> float | None:
    try:
        return float(function(*operands))
    except TypeError:
        return None
    except OverflowError:
        return math.inf
    except ValueError:
        return _NAN


def _where(a: Application, known: _Known, far: int) -> float | None:
    condition, chosen, other = branches(a)
    test = _at(condition, known, far)
    return None if test is None else _at(chosen if test else other, known, far)


def branches(a: Application) -> tuple[Value | None, Value | None, Value | None]:
    """The condition of a `where`, and what it chooses from."""
    if a.form == "method":
        return a.value(1, "condition"), a.value(0), a.value(2, "other")
    return a.value(0, "condition"), a.value(1, "input"), a.value(2, "other")


def _filled(a: Application, known: _Known, far: int) -> float | None:
    test = _at(a.value(1, "mask"), known, far)
    return None if test is None else _at(a.value(2, "value") if test else a.value(0), known, far)


def _selected(a: Application, known: _Known, far: int) -> float | None:
    """The element, unless it is left out."""
    return _at(a.value(0), known, far) if _at(a.value(1, "mask"), known, far) else None


def _clamped(a: Application, known: _Known, far: int) -> float | None:
    upper = 1 if a.primitive == "clamp_max" else 2
    number = _at(a.value(0), known, far)
    if number is None:
        return None
    bounds = [(None, max) if a.primitive == "clamp_max" else (a.value(1, "min"), max)]
    bounds.append((None, min) if a.primitive == "clamp_min" else (a.value(upper, "max"), min))
    for bound, choose in bounds:
        if bound is None or (isinstance(bound, Known) and bound.value is None):
            continue
        limit = _at(bound, known, far)
        if limit is None:
            return None
        number = choose(number, limit)
    return number


def _created(number: float) -> Callable[[Application, _Known, int], float | None]:
    return lambda a, known, far: number


def _divide(x: float, y: float) -> float:
    if y == 0:
        return _NAN if x == 0 or math.isnan(x) else math.copysign(math.inf, x)
    return x / y


def _log(x: float) -> float:
    return -math.inf if x == 0 else math.log(x)


def _exp(x: float) -> float:
    return math.inf if x > _LARGEST_EXPONENT else math.exp(x)


def _power(x: float, y: float) -> float:
    if x == 0 and y < 0:
        return math.inf
    result = x**y
    return _NAN if isinstance(result, complex) else float(result)


_CHOICES: dict[str, Callable[[Application, _Known, int], float | None]] = {
    "where": _where,
    "masked_fill": _filled,
    "index_put": _filled,
    "masked_select": _selected,
    "clamp": _clamped,
    "clamp_min": _clamped,
    "clamp_max": _clamped,
    "ones_like": _created(1.0),
    "zeros_like": _created(0.0),
}

_FUNCTIONS: dict[str, Callable[..., float]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": _divide,
    "neg": lambda x: -x,
    "abs": abs,
    "sign": lambda x: (x > 0) - (x < 0),
    "square": lambda x: x * x,
    "pow": _power,
    "sqrt": math.sqrt,
    "rsqrt": lambda x: _divide(1.0, math.sqrt(x)),
    "reciprocal": lambda x: _divide(1.0, x),
    "exp": _exp,
    "expm1": lambda x: _exp(x) - 1,
    "log": _log,
    "log2": lambda x: _log(x) / math.log(2),
    "log10": lambda x: _log(x) / math.log(10),
    "log1p": lambda x: _log(1 + x),
    "sigmoid": lambda x: _divide(1.0, 1 + _exp(-x)),
    "tanh": math.tanh,
    "sin": math.sin,
    "cos": math.cos,
    "acos": math.acos,
    "asin": math.asin,
    "atanh": math.atanh,
    "acosh": math.acosh,
    "relu": lambda x: max(x, 0.0),
    "maximum": max,
    "minimum": min,
    "eq": lambda x, y: x == y,
    "ne": lambda x, y: x != y,
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
    "isnan": math.isnan,
    "isinf": math.isinf,
    "isfinite": math.isfinite,
    "isclose": lambda x, y: abs(x - y) <= 1e-8,
    "invert": lambda x: not x,
    "and_": lambda x, y: bool(x) and bool(y),
    "or_": lambda x, y: bool(x) or bool(y),
    "logical_xor": lambda x, y: bool(x) != bool(y),
    "xor": lambda x, y: bool(x) != bool(y),
}

POLES: dict[str, Callable[[float], bool]] = {
    "log": lambda x: x == 0,
    "log2": lambda x: x == 0,
    "log10": lambda x: x == 0,
    "log1p": lambda x: x == -1,
    "sqrt": lambda x: x <= 0,
    "rsqrt": lambda x: x <= 0,
    "reciprocal": lambda x: x == 0,
    "div": lambda x: x == 0,
    "xlogy": lambda x: x == 0,
    "exp": lambda x: x > _LARGEST_EXPONENT,
    "expm1": lambda x: x > _LARGEST_EXPONENT,
    "acos": lambda x: abs(x) >= 1,
    "asin": lambda x: abs(x) >= 1,
    "erfinv": lambda x: abs(x) >= 1,
    "atanh": lambda x: abs(x) == 1,
    "acosh": lambda x: -1 <= x <= 1,
    "logit": lambda x: x <= 0 or x >= 1,
}
"""Where 0 times the derivative is nan."""

EVALUATED = frozenset({*_FUNCTIONS, *_CHOICES, *_IDENTITY})
"""The primitives that are computed element by element."""

OVERFLOWING = frozenset({"exp", "expm1"})


def loses_gradient(a: Application, point: Point) -> float | None:
    """The operand of `a` at `point`, if a gradient of 0 from above comes out of it as nan."""
    number = value_at(a.value(1 if a.primitive in ("div", "xlogy") else 0, "other"), point)
    if number is None or (a.primitive == "logit" and a.has(1, "eps")):
        return None
    pole = POLES.get(a.primitive)
    if a.primitive == "pow":
        exponent = a.constant(1, "exponent")
        pole = _power_pole(exponent) if isinstance(exponent, (int, float)) else None
    return number if pole is not None and pole(number) else None


def _power_pole(exponent: float) -> Callable[[float], bool]:
    whole = float(exponent).is_integer()
    return lambda x: (x == 0 and exponent < 1 and exponent != 0) or (x < 0 and not whole)
