"""Sums that are a squared distance written out: ‖x‖² + ‖y‖² - 2⟨x, y⟩."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gradlint.semantics.tensor import Application, made, origin, same
from gradlint.semantics.value import Value

_DEEPEST = 8


class Term(NamedTuple):
    """A summand without its constant factor."""

    factor: float
    value: Value | None


def is_squared_distance(a: Application) -> bool:
    """Whether an addition or subtraction computes ‖x‖² + ‖y‖² - 2⟨x, y⟩."""
    terms = _summands(a, 1.0, 0)
    if len(terms) != 3:
        return False
    squares = [_squared(term.value) for term in terms if term.factor == 1]
    products = [_factors(term) for term in terms if term.factor != 1]
    if len(products) != 1 or None in squares:
        return False
    return _paired(squares, products[0]) or _paired(squares, products[0][::-1])


def _paired(first: Sequence[Value | None], second: Sequence[Value | None]) -> bool:
    return len(first) == len(second) == 2 and all(map(same, first, second))


def _squared(value: Value | None) -> Value | None:
    """The x of Σx²."""
    total = made(origin(value), "sum")
    found = made(total.value(0), "pow", "square", "mul") if total is not None else None
    if found is None or (found.primitive == "pow" and found.constant(1, "exponent") != 2):
        return None
    if found.primitive == "mul" and not same(found.value(0), found.value(1, "other")):
        return None
    return origin(found.value(0))


def _factors(term: Term) -> list[Value | None]:
    """The x and y of -2⟨x, y⟩, wherever the 2 stands."""
    found = made(origin(term.value), "matmul")
    if found is None:
        return []
    parts = [_scaled(Term(1.0, origin(operand.value))) for operand in found.operands]
    factor = term.factor
    for part in parts:
        factor *= part.factor
    return [origin(part.value) for part in parts] if factor == -2 else []


def _summands(a: Application, factor: float, depth: int) -> list[Term]:
    second = -factor if a.primitive == "sub" else factor
    first, other = Term(factor, a.value(0)), Term(second, a.value(1, "other"))
    return [*_split(first, depth), *_split(other, depth)]


def _split(term: Term, depth: int) -> list[Term]:
    term = _scaled(term)
    found = made(term.value, "add", "sub")
    if found is None or depth > _DEEPEST or found.has(2, "alpha"):
        return [term]
    return _summands(found, term.factor, depth + 1)


def _scaled(term: Term) -> Term:
    """The term with constant factors of its value moved to its own."""
    found = made(term.value, "mul", "neg")
    if found is None:
        return term
    if found.primitive == "neg":
        return _scaled(Term(-term.factor, found.value(0)))
    for number, other in ((0, 1), (1, 0)):
        constant = found.constant(number, "other")
        if isinstance(constant, (int, float)):
            return _scaled(Term(term.factor * constant, found.value(other, "other")))
    return term
