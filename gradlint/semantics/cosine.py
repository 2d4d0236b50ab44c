"""Quotients that are a unit vector or a cosine, however they are written and guarded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gradlint.semantics.tensor import Application, facts_of, made, origin, producer, same
from gradlint.semantics.value import Value

_TINY = 1e-3
_DEEPEST = 4
_PRODUCTS = ("matmul", "dot", "inner", "vdot")


class Quotient(NamedTuple):
    """A numerator over all the factors that it is divided by."""

    numerator: Value | None
    divisors: list[Value | None]


def is_unit(a: Application) -> bool:
    """Whether a division computes x / ‖x‖."""
    return same(_normed(a.value(1, "other")), origin(a.value(0)))


def cosine_of(a: Application) -> tuple[Value | None, Value | None] | None:
    """The x and y whose cosine ⟨x, y⟩ / (‖x‖ ‖y‖) a division computes."""
    quotient = _quotient(a)
    factors = _multiplied(quotient.numerator)
    normed = [_normed(divisor) for divisor in quotient.divisors]
    if len(factors) != 2 or len(normed) != 2 or None in normed:
        return None
    if _paired(factors, normed) or _paired(factors, normed[::-1]):
        return factors[0], factors[1]
    return None


def _paired(first: Sequence[Value | None], second: Sequence[Value | None]) -> bool:
    return all(map(same, first, second))


def _quotient(a: Application, depth: int = 0) -> Quotient:
    inner = made(origin(a.value(0)), "div")
    divisors = _divisors(a.value(1, "other"))
    if inner is None or depth == _DEEPEST:
        return Quotient(a.value(0), divisors)
    first = _quotient(inner, depth + 1)
    return Quotient(first.numerator, [*first.divisors, *divisors])


def _divisors(value: Value | None, depth: int = 0) -> list[Value | None]:
    product = made(origin(_unguarded(value)), "mul", "matmul")
    if product is None or depth == _DEEPEST:
        return [value]
    factors = product.value(0), product.value(1, "other")
    return [divisor for factor in factors for divisor in _divisors(factor, depth + 1)]


def _multiplied(value: Value | None) -> list[Value | None]:
    """The x and y of ⟨x, y⟩."""
    total = made(origin(value), "sum")
    found = made(origin(total.value(0)), "mul") if total is not None else made(origin(value), *_PRODUCTS)
    return [origin(operand.value) for operand in found.operands] if found is not None else []


def _normed(value: Value | None) -> Value | None:
    """The x of ‖x‖, with or without a small number that keeps it from 0."""
    value = origin(_unguarded(origin(value)))
    norm = producer(value, "norm")
    if norm is not None:
        order = norm.constant(1, "p") or norm.constant(1, "ord")
        return origin(norm.value(0)) if order in (None, 2, "fro") else None
    root = made(value, "sqrt") or _square_root(value)
    total = made(origin(_unguarded(root.value(0))), "sum") if root is not None else None
    square = made(total.value(0), "pow", "square", "mul") if total is not None else None
    if square is None or (square.primitive == "pow" and square.constant(1, "exponent") != 2):
        return None
    return origin(square.value(0))


def _square_root(value: Value | None) -> Application | None:
    power = made(value, "pow")
    return power if power is not None and power.constant(1, "exponent") == 0.5 else None


def _unguarded(value: Value | None) -> Value | None:
    """What a small number was added to, or was taken for the least value of."""
    guard = made(value, "add", "clamp", "clamp_min", "maximum")
    if guard is None or guard.has(2, "alpha" if guard.primitive == "add" else "max"):
        return value
    bound = guard.value(1, "other" if guard.primitive in ("add", "maximum") else "min")
    facts = facts_of(bound)
    tiny = facts.lo if facts.lo == facts.hi else facts.typical
    return guard.value(0) if tiny is not None and 0 <= tiny <= _TINY else value
