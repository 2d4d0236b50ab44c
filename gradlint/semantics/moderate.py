"""Values that are kept small on purpose, though how small may not be known."""

from __future__ import annotations

import math

from gradlint.semantics.maxima import is_maximum
from gradlint.semantics.point import value_at
from gradlint.semantics.selection import free
from gradlint.semantics.tensor import (
    REARRANGING,
    Application,
    Facts,
    Tensor,
    facts_of,
    is_input,
    producer,
)
from gradlint.semantics.value import Value

_CLAMPS = frozenset({"clamp", "clamp_max", "minimum", "fmin", "hardtanh"})
_FOLLOWED = REARRANGING | {"detach", "mean", "amax", "amin", "masked_fill"}
_DEEP = 8
_PROBES = (-1e4, -300.0, -1.0, 0.0, 1.0, 300.0, 1e4)
"""Elements at which code is computed that tests their sign."""


def stays_below(value: Value | None, limit: float) -> bool:
    """Whether `value` does not exceed `limit`, or someone saw to it: it is clamped, reduced by its
    maximum, or a bounded value times a number that is not computed from the inputs.
    """
    return _is_kept(value, limit, True, 0)


def stays_within(value: Value | None, limit: float) -> bool:
    """Whether neither `value` nor its negative exceeds `limit`, as for `stays_below`."""
    return _is_kept(value, limit, False, 0)


def _is_kept(value: Value | None, limit: float, only_above: bool, depth: int) -> bool:
    facts = facts_of(value)
    if facts.hi <= limit and (only_above or facts.lo >= -limit):
        return True
    if facts.typical is not None:
        return abs(facts.typical) <= limit
    found = producer(value)
    if found is None or depth > _DEEP:
        return False
    if found.primitive in _CLAMPS or (only_above and _is_shifted(found)):
        return True
    if only_above and depth == 0 and _computes_below(value, limit):
        return True
    parts: tuple[Value | None, ...] = ()
    if found.primitive in ("mul", "div"):
        parts = _scaled(found)
    elif found.primitive == "sub" and only_above and found.facts(1, "other").lo >= -limit:
        parts = (found.value(0),)
    elif found.primitive in ("add", "sub"):
        parts = (found.value(0), found.value(1, "other"))
    elif found.primitive in _FOLLOWED:
        parts = (found.value(0),)
    return bool(parts) and all(
        _is_bounded(facts_of(part)) or _is_kept(part, limit, only_above, depth + 1) for part in parts
    )


def _computes_below(value: Value | None, limit: float) -> bool:
    """Whether `value` is computed of one number by tests and arithmetic, and large for no large number."""
    leaves = free(value)
    if len(leaves) != 1:
        return False
    found = [value_at(value, {leaves[0].number: number}) for number in _PROBES]
    return all(each is not None and each <= limit for each in found)


def _scaled(found: Application) -> tuple[Value | None, ...]:
    """What a setting scales in a product or a quotient."""
    first, second = found.value(0), found.value(1, "other")
    if _is_setting(second) or (found.primitive == "div" and is_input(second)):
        return (first,)
    return (second,) if found.primitive == "mul" and _is_setting(first) else ()


def _is_shifted(found: Application) -> bool:
    """x - max(x), whatever the maximum is taken of."""
    return found.primitive == "sub" and is_maximum(found.value(1, "other"))


def _is_bounded(facts: Facts) -> bool:
    return -math.inf < facts.lo and facts.hi < math.inf


def _is_setting(value: Value | None) -> bool:
    """Whether `value` is not known and not computed from inputs: a temperature, a learned scale."""
    return isinstance(value, Tensor) and all(root.startswith("self.") for root in value.roots)
