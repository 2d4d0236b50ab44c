"""Where code keeps some elements of a tensor and discards the others, and what decides it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from gradlint.semantics.point import EVALUATED, Point, branches, value_at
from gradlint.semantics.tensor import Application, Tensor, facts_of, made, origin, producer, same
from gradlint.semantics.value import Value

SELECTIONS = ("where", "masked_fill", "index_put", "masked_select", "mul")
_FILLING = ("where", "masked_fill", "index_put")
_DETECTORS = ("isnan", "isinf", "isfinite")
_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge", "isclose", *_DETECTORS)
_FAR = 48
_DEEPEST = 6


class Selection(NamedTuple):
    """`application` keeps the elements of `branch` where `test` is true, or where it is false."""

    application: Application
    branch: Value | None
    test: Value | None
    kept: bool

    def keeps(self, point: Point) -> bool | None:
        """Whether the element at `point` is kept, where that can be computed."""
        test = value_at(self.test, point)
        return None if test is None else bool(test) is self.kept


def selections(a: Application) -> Iterator[Selection]:
    """What an application of one of `SELECTIONS` selects."""
    if a.primitive == "where":
        test, chosen, other = branches(a)
        yield Selection(a, chosen, test, True)
        yield Selection(a, other, test, False)
    elif a.primitive == "mul":
        sides = a.value(0), a.value(1, "other")
        for branch, other in (sides, sides[::-1]):
            for mask in _masks(other):
                yield Selection(a, branch, mask, True)
    else:
        yield Selection(a, a.value(0), a.value(1, "mask"), a.primitive == "masked_select")


def _masks(value: Value | None, depth: int = 0) -> Iterator[Value | None]:
    """The factors of `value` that are truth values, or 1 without one."""
    inverse, product = made(value, "sub"), made(value, "mul")
    if facts_of(value).boolean or (inverse is not None and inverse.facts(1, "other").boolean):
        yield value
    elif product is not None and depth < _DEEPEST:
        yield from _masks(product.value(0), depth + 1)
        yield from _masks(product.value(1, "other"), depth + 1)


def compared(test: Value | None) -> list[Tensor]:
    """The tensors that a test compares."""
    sides = [operand.value for comparison in _comparisons(test) for operand in comparison.operands]
    return list({v.number: v for v in sides if isinstance(v, Tensor) and _varies(v)}.values())


def leaves(test: Value | None) -> list[Tensor]:
    """What they are computed from, as far back as elements can be computed."""
    return free(test) if any(_comparisons(test)) else []


def free(value: Value | None) -> list[Tensor]:
    """What a value is computed from element by element, as far back as elements can be computed."""
    return [each for each in _computed_from(value) if made(each, *EVALUATED) is None and _varies(each)]


def may_be(value: Tensor, number: float) -> bool:
    """Whether an element of `value` may be `number`, unless what stood there was replaced for being so."""
    filled = made(value, *_FILLING)
    if filled is None:
        return True
    befores = [selection.branch for selection in selections(filled)]
    found = [value_at(value, {each.number: number}) for each in befores if isinstance(each, Tensor)]
    return not found or any(each is None or each == number for each in found)


def settings_behind(value: Tensor) -> list[Tensor]:
    """The settings from which alone `value` is computed element by element, if that is so."""
    found = [part for part in _computed_from(value) if made(part, *EVALUATED) is None]
    return found if all(part.producer is None and _is_set(part) for part in found) else []


def _is_set(value: Tensor) -> bool:
    return all(root.startswith("self.") for root in value.roots)


def _varies(value: Tensor) -> bool:
    return bool(value.roots) or value.producer is not None


def compares_with_constant(test: Value | None, leaf: Tensor) -> bool:
    """Whether a test compares `leaf` itself with something that is known."""
    for comparison in _comparisons(test):
        sides = comparison.value(0), comparison.value(1, "other")
        for value, bound in (sides, sides[::-1]):
            if same(origin(value), leaf) and value_at(bound, {}) is not None:
                return True
    return False


def looks_for_infinity(test: Value | None) -> bool:
    """Whether a test only looks for what is not finite."""
    return all(
        comparison.primitive in _DETECTORS
        or comparison.constant(1, "other") in (math.inf, -math.inf)
        or same(comparison.value(0), comparison.value(1, "other"))
        for comparison in _comparisons(test)
    )


def _comparisons(test: Value | None) -> Iterator[Application]:
    for value in _computed_from(test):
        comparison = producer(value, *_COMPARISONS)
        if comparison is not None:
            yield comparison


def _computed_from(value: Value | None) -> Iterator[Tensor]:
    """`value` and what it is computed from element by element."""
    pending, seen = [value], set[int]()
    while pending and len(seen) < _FAR:
        current = pending.pop()
        if isinstance(current, Tensor) and current.number not in seen:
            seen.add(current.number)
            yield current
            step = made(current, *EVALUATED)
            if step is not None:
                pending.extend(operand.value for operand in (*step.operands, *step.keywords.values()))
