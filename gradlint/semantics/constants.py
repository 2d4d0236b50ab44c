"""Constants: names from outside the project that stand for numbers, and arithmetic on what is known."""

from __future__ import annotations

import builtins
import math
import operator
import re
from collections.abc import Callable
from typing import Any

from gradlint.records import ir
from gradlint.semantics.value import Known, Reference, Value

_NUMBERS = {
    f"{module}.{name}": value
    for module in ("math", "torch", "numpy", "cmath")
    for name, value in {"inf": math.inf, "nan": math.nan, "pi": math.pi, "e": math.e, "tau": math.tau}.items()
} | {"numpy.NaN": math.nan, "numpy.NAN": math.nan, "numpy.Inf": math.inf}

LARGEST = 2**60
"""Larger whole numbers are not followed, so that none can outgrow time, memory or a float."""

LONGEST = 1000
"""Longer texts are not put together."""

_STAR_MODULES = frozenset({"torch", "torch.nn", "torch.nn.functional", "torch.optim", "math"})


def resolve(name: str) -> Value:
    """The number that the qualified `name` stands for, or a reference to it."""
    number = _NUMBERS.get(name)
    return Reference(name) if number is None else Known(number)


def exports(module: str, name: str) -> bool:
    """Whether `from module import *` may bind `name`; only modules of the field are known."""
    if module == "math":
        return hasattr(math, name) and not name.startswith("_")
    return module in _STAR_MODULES and not name.startswith("_") and not is_builtin(name)


def is_builtin(name: str) -> bool:
    """Whether `name` is one of Python's builtins."""
    return hasattr(builtins, name)


def _power(base: Any, exponent: Any) -> Any:
    if abs(exponent) > 128:
        raise OverflowError
    return base**exponent


_FOLD: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "pow": _power,
    "neg": operator.neg,
    "pos": operator.pos,
    "not": operator.not_,
    "and_": operator.and_,
    "or_": operator.or_,
    "xor": operator.xor,
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "is": operator.is_,
    "is_not": operator.is_not,
    "and": lambda *values: next((value for value in values if not value), values[-1]),
    "or": lambda *values: next((value for value in values if value), values[-1]),
}
_FOLD |= {name: _FOLD[plain] for name, plain in ir.IN_PLACE.items() if plain in _FOLD}
_NUMERIC_ONLY = frozenset(
    {"add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "neg", "pos", *ir.IN_PLACE}
)


def fold(name: str, values: list[Any]) -> Known | None:
    """The result of an operator on constants, or None where it is not worth or not safe to know."""
    function = _FOLD.get(name)
    if function is None:
        return None
    if name in ("add", "iadd") and all(isinstance(value, str) for value in values):
        return Known("".join(values)) if sum(map(len, values)) <= LONGEST else None
    if name == "mod" and isinstance(values[0], str):
        return _formatted(*values)
    if name in _NUMERIC_ONLY and not all(isinstance(value, (int, float)) for value in values):
        return None
    try:
        result = function(*values)
    except (ArithmeticError, ValueError, TypeError):
        return None
    return known(result)


def _formatted(pattern: str, value: Any) -> Known | None:
    """`pattern % value`; None where numbers in the pattern might make it long."""
    if not isinstance(value, (str, int, float)) or re.search(r"\d{3}", pattern):
        return None
    try:
        found = pattern % value
    except (TypeError, ValueError, OverflowError):
        return None
    return Known(found) if len(found) <= LONGEST else None


def text(parts: list[Any]) -> Known | None:
    """What a string with `parts` filled in is, or None where that is not worth knowing."""
    if not all(isinstance(part, (str, int, float, bool)) for part in parts):
        return None
    found = "".join(map(str, parts))
    return Known(found) if len(found) <= LONGEST else None


def known(result: object) -> Known | None:
    """The constant, unless it is of a kind or a size that nothing here reckons with."""
    if isinstance(result, complex) or (isinstance(result, int) and abs(result) > LARGEST):
        return None
    if isinstance(result, range) and max(abs(result.start), abs(result.stop)) > LARGEST:
        return None
    return Known(result)
