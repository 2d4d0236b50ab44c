"""Guards that come too late: they mend a value, while the gradient behind it is lost already."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from gradlint.semantics.poles import POLES
from gradlint.semantics.tensor import REARRANGING, Application, facts_of
from gradlint.semantics.trace import Trace
from gradlint.semantics.value import Known

_CARRIED = REARRANGING | {"mul", "div", "neg", "add", "sub", "sum", "mean", "abs", "square"}
_ROOTED = frozenset({"log", "log2", "log10", "sqrt", "rsqrt", "pow"})
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
    for user in trace.uses.of(application.number):
        found = _at_once(trace, application, user)
        if found is not None:
            return found
    return next(_later(trace, application.number), None)


def _at_once(trace: Trace, application: Application, user: Application) -> LateGuard | None:
    """A bound or a small number that is put on the result itself."""
    if user.primitive in ("clamp", "clamp_min", "clamp_max", "maximum", "minimum", "hardtanh"):
        return _bound(application, user)
    is_offset = user.primitive == "add" and application.primitive in POLES and not user.has(2, "alpha")
    if is_offset and not _serves_another(trace, application, user):
        return _offset(application, user)
    return None


def _serves_another(trace: Trace, application: Application, offset: Application) -> bool:
    """Whether a small number keeps a logarithm or root of a quotient away from 0, not the quotient itself."""
    users = list(trace.uses.of(offset.number))
    is_taken = any(user.primitive in _ROOTED and user.value(0, "input") is not None for user in users)
    return application.primitive == "div" and is_taken


def _bound(application: Application, user: Application) -> LateGuard | None:
    if application.primitive == "exp":
        upper = facts_of(user.value(1 if user.primitive in ("clamp_max", "minimum") else 2, "max"))
        tells = upper.lo == upper.hi and upper.hi >= 1 / _TINY
        return LateGuard(user, "the bound", True) if tells else None
    if user.primitive in ("clamp_max", "minimum") or not application.primitive.startswith("log"):
        return None
    lower = facts_of(user.value(1, "min"))
    return LateGuard(user, "the bound", lower.lo == lower.hi and lower.hi <= -4)


def _offset(application: Application, user: Application) -> LateGuard | None:
    for operand in user.operands:
        if isinstance(operand.value, Known):
            tiny = facts_of(operand.value)
            if 0 < tiny.lo <= _TINY:
                return LateGuard(user, "the epsilon", True)
    return None


def _later(trace: Trace, number: int) -> Iterator[LateGuard]:
    """Replacements of what is not finite, in the result or in what is computed from it."""
    numbers, seen = [number], {number}
    for _ in range(_DEEP):
        users = [user for number in numbers for user in trace.uses.of(number)]
        yield from (LateGuard(user, "nan_to_num", True) for user in users if user.primitive == "nan_to_num")
        carried = {user.number for user in users if user.primitive in _CARRIED}
        numbers = sorted(carried - seen)
        seen |= carried
