"""Guards that come too late: they mend a value, while the gradient behind it is lost already."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from gradlint.semantics.tensor import REARRANGING, Application, Tensor, facts_of, made, producer
from gradlint.semantics.trace import Trace
from gradlint.semantics.value import Known, Value

_CARRIED = REARRANGING | {"mul", "div", "neg", "add", "sub", "sum", "mean", "abs", "square"}
_DETECTORS = frozenset({"isnan", "isinf", "isfinite", "isneginf", "isposinf"})
_LOGICAL = frozenset({"invert", "and_", "or_", "logical_xor"})
_TINY = 1e-3
_DEEP = 5


class LateGuard(Struct, frozen=True, eq=False):
    """`application` mends what another one gave, in the way that `phrase` tells.

    `telling` means that the guard makes no sense unless a value that is not finite is expected.
    """

    application: Application
    phrase: str
    telling: bool


def late_guard(trace: Trace, application: Application) -> LateGuard | None:
    """The guard behind `application`, if there is one."""
    for user in _users(trace, application.number):
        found = _at_once(application, user)
        if found is not None:
            return found
    return next(_later(trace, application.number, 0), None)


def _users(trace: Trace, number: int) -> Iterator[Application]:
    for user in trace.everything:
        if any(isinstance(o.value, Tensor) and o.value.number == number for o in user.operands):
            yield user


def _at_once(application: Application, user: Application) -> LateGuard | None:
    """A bound or a small number that is put on the result itself."""
    if user.primitive in ("clamp", "clamp_min", "clamp_max", "maximum", "minimum", "hardtanh"):
        return _bound(application, user)
    if user.primitive == "add" and not user.has(2, "alpha"):
        return _offset(application, user)
    return None


def _bound(application: Application, user: Application) -> LateGuard | None:
    if application.primitive == "exp":
        upper = facts_of(user.value(1 if user.primitive in ("clamp_max", "minimum") else 2, "max"))
        tells = upper.lo == upper.hi and upper.hi >= 1 / _TINY
        return LateGuard(user, "a bound behind it", True) if tells else None
    lower = facts_of(user.value(1, "min")) if user.primitive not in ("clamp_max", "minimum") else None
    if application.primitive in ("div", "reciprocal"):
        return LateGuard(user, "a bound behind it", False)
    if lower is None:
        return None
    return LateGuard(user, "a bound behind it", lower.lo == lower.hi and lower.hi <= -4)


def _offset(application: Application, user: Application) -> LateGuard | None:
    for operand in user.operands:
        if isinstance(operand.value, Known):
            tiny = facts_of(operand.value)
            if 0 < tiny.lo <= _TINY:
                return LateGuard(user, "the small number added behind it", True)
    return None


def _later(trace: Trace, number: int, depth: int) -> Iterator[LateGuard]:
    """Replacements of what is not finite, of the result or of what is computed from it."""
    if depth > _DEEP:
        return
    for user in _users(trace, number):
        if user.primitive == "nan_to_num" and _is_number(user.value(0), number):
            yield LateGuard(user, "nan_to_num behind it", True)
        elif user.primitive in ("masked_fill", "index_put") and _is_number(user.value(0), number):
            if _detects(user.value(1, "mask"), number, 0):
                yield LateGuard(user, "the replacement behind it", True)
        elif user.primitive in _CARRIED:
            yield from _later(trace, user.number, depth + 1)


def _is_number(value: Value | None, number: int) -> bool:
    return isinstance(value, Tensor) and value.number == number


def _detects(mask: Value | None, number: int, depth: int) -> bool:
    """Whether `mask` tells where the value `number` is not finite."""
    found = producer(mask)
    if found is None or depth > _DEEP:
        return False
    if found.primitive in _LOGICAL:
        return any(_detects(operand.value, number, depth + 1) for operand in found.operands)
    if found.primitive in _DETECTORS:
        return _is_number(found.value(0), number)
    infinite = found.primitive in ("eq", "ne") and abs(facts_of(found.value(1)).lo) == float("inf")
    return (infinite or _differs_from_itself(found)) and _is_number(found.value(0), number)


def _differs_from_itself(found: Application) -> bool:
    return found.primitive == "ne" and made(found.value(0)) is made(found.value(1)) is not None
