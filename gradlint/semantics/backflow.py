"""What an infinite gradient becomes on its way back from a value to the inputs."""

from __future__ import annotations

import math

from gradlint.semantics.ops import TRANSFER
from gradlint.semantics.tensor import (
    CALL,
    REARRANGING,
    Application,
    Facts,
    Tensor,
    facts_of,
    is_input,
    producer,
)
from gradlint.semantics.value import Value

_BLOCKING = frozenset(
    {"relu", "relu6", "std", "std_mean", "cdist", "hardsigmoid", "masked_fill", "where", "masked_select"}
)
_LINEAR = REARRANGING | {"sum", "mean", "neg", "cumsum", "clamp", "clamp_min", "nan_to_num"}
_DEEP = 16


def infinite_gradient(value: Value | None, depth: int = 0) -> float | None:
    """What arrives at an input behind `value` if an infinite gradient arrives at it: inf, or nan where
    it meets a slope of 0 or its opposite, or None where a step lets nothing through.
    """
    found = producer(value)
    if found is None or depth > _DEEP:
        return math.inf
    if found.primitive in _BLOCKING:
        return None
    if found.primitive in ("clamp", "clamp_min") and not found.facts(0).claims:
        return None  # only what is beyond the bound reaches it
    if found.primitive in _LINEAR:
        return infinite_gradient(found.value(0), depth + 1)
    if found.primitive == "mul":
        return _through_product(found, depth)
    if found.primitive in ("add", "sub"):
        return _through_sum(found, depth)
    if found.primitive == "div":
        return infinite_gradient(found.value(0), depth + 1)
    return math.nan


def is_followed(value: Value | None, depth: int = 0) -> bool:
    """Whether all steps from the inputs to `value` are known, so that a gradient surely comes through."""
    found = producer(value)
    if found is None:
        return not isinstance(value, Tensor) or is_input(value) or value.grad is False
    if found.primitive == CALL or depth > _DEEP:
        return True
    return found.primitive in TRANSFER and all(is_followed(o.value, depth + 1) for o in found.operands)


def _through_product(found: Application, depth: int) -> float | None:
    factors = (found.value(0), found.value(1, "other"))
    for factor, other in (factors, factors[::-1]):
        if _is_constant(facts_of(other)):
            return infinite_gradient(factor, depth + 1)
    return math.nan


def _through_sum(found: Application, depth: int) -> float | None:
    terms = [value for value in (found.value(0), found.value(1, "other")) if isinstance(value, Tensor)]
    through = [infinite_gradient(term, depth + 1) for term in terms if term.grad is not False]
    if all(gradient is None for gradient in through):
        return None
    return math.nan if len(through) > 1 else through[0]


def _is_constant(facts: Facts) -> bool:
    return facts.lo == facts.hi
