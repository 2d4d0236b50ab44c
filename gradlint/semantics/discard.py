"""Results of which some elements are discarded, while the gradient behind those is nan all the same."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from gradlint.semantics.ops import NON_DIFFERENTIABLE
from gradlint.semantics.point import EVALUATED, OVERFLOWING, branches, loses_gradient, value_at
from gradlint.semantics.tensor import Application, Tensor, facts_of, origin, producer, same
from gradlint.semantics.trace import Trace
from gradlint.semantics.value import Items, Value

_DETECTORS = ("isnan", "isinf", "isfinite")
_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge", "isclose", *_DETECTORS)
_MENDING = ("masked_fill", "index_put")
_SELECTIONS = ("where", "masked_fill", "index_put", "masked_select", "mul")
_NEAR_ZERO = 0.01
_NUMBERS = (0.0, _NEAR_ZERO, 2.0, -2.0, 1.0, -1.0, 0.5, -0.5, 300.0, -300.0, 1000.0, -1000.0)
_LARGE = 100.0
_OTHERS, _APART = 1.3, 0.3
_FAR = 48


class Selection(NamedTuple):
    """`application` keeps the elements of `branch` where `test` is true, or where it is false."""

    application: Application
    branch: Value | None
    test: Value | None
    kept: bool


class Discard(NamedTuple):
    """A discarded element of what is made with `application`, whose operand is `operand` there.

    `condition` is the entry of the input battery that leads there, empty where none is known to.
    """

    application: Application
    selection: Application
    operand: float
    condition: str


class Place(NamedTuple):
    """One element of each tensor on which a test depends; `leaf` is the one that is varied.

    `kept` tells whether the element is kept there, where that can be computed.
    """

    point: dict[int, float]
    leaf: Tensor
    kept: bool | None

    @property
    def element(self) -> float:
        """The element of the leaf."""
        return self.point[self.leaf.number]


def discards(trace: Trace) -> dict[int, Discard]:
    """The first discard of each result, by its number."""
    found: dict[int, Discard] = {}
    for application in trace.differentiated(*_SELECTIONS):
        for selection in _selections(application):
            for discard in _lost(trace, selection):
                found.setdefault(discard.application.number, discard)
    return found


def _selections(a: Application) -> Iterator[Selection]:
    if a.primitive == "where":
        test, chosen, other = branches(a)
        yield Selection(a, chosen, test, True)
        yield Selection(a, other, test, False)
    elif a.primitive == "mul":
        sides = a.value(0), a.value(1, "other")
        for branch, mask in (sides, sides[::-1]):
            if _is_mask(mask):
                yield Selection(a, branch, mask, True)
    else:
        yield Selection(a, a.value(0), a.value(1, "mask"), a.primitive == "masked_select")


def _is_mask(value: Value | None) -> bool:
    """Whether `value` is a truth value, or 1 without one."""
    inverse = producer(value, "sub")
    return facts_of(value).boolean or (inverse is not None and inverse.facts(1, "other").boolean)


def _lost(trace: Trace, selection: Selection) -> Iterator[Discard]:
    """The applications behind the branch whose gradient is nan at elements that are discarded."""
    leaves = _leaves(selection.test)
    if leaves is None or (selection.application.primitive in _MENDING and _detects(selection.test)):
        return
    behind = [
        a for a in _behind(selection.branch) if any(trace.carries_gradient(o.value) for o in a.operands)
    ]
    for leaf in leaves if behind else ():
        places = [_place(selection, leaves, leaf, element) for element in _elements(leaf)]
        if not _is_guard(selection, leaf, places):
            continue
        for application in behind:
            place = _losing(application, [place for place in places if place.kept is False])
            if place is not None:
                operand = loses_gradient(application, place.point)
                assert operand is not None
                yield Discard(application, selection.application, operand, _condition(place))


def _is_guard(selection: Selection, leaf: Tensor, places: list[Place]) -> bool:
    """Whether the test is there because of the leaf: it compares the leaf itself, or keeps what is near 0."""
    if any(place.kept and place.element == _NEAR_ZERO for place in places):
        return True
    return any(place.kept for place in places) and any(
        same(origin(value), leaf) and value_at(bound, {}) is not None
        for value, bound in _compared(selection.test)
    )


def _compared(test: Value | None) -> Iterator[tuple[Value | None, Value | None]]:
    """The two sides of every comparison, in either order."""
    for value in _computed_from(test):
        comparison = producer(value, *_COMPARISONS)
        if comparison is not None:
            sides = comparison.value(0), comparison.value(1, "other")
            yield from (sides, sides[::-1])


def _losing(a: Application, discarded: list[Place]) -> Place | None:
    """Where the gradient is lost though the element is discarded.

    At zero, where something overflows, or wherever elements are discarded: then the test is there
    to keep to the domain. Not at some other point that may never occur.
    """
    lost = [place for place in discarded if loses_gradient(a, place.point) is not None]
    for place in lost:
        if place.element == 0 or (a.primitive in OVERFLOWING and abs(place.element) > _LARGE):
            return place
    return lost[0] if lost and len(lost) == len(discarded) else None


def _elements(leaf: Tensor) -> Iterator[float]:
    if not leaf.facts.boolean:
        yield from (number for number in _NUMBERS if leaf.facts.lo <= number <= leaf.facts.hi)


def _place(selection: Selection, leaves: list[Tensor], leaf: Tensor, element: float) -> Place:
    point = {other.number: _OTHERS + _APART * position for position, other in enumerate(leaves)}
    point |= {other.number: 1.0 for other in leaves if other.facts.boolean} | {leaf.number: element}
    test = value_at(selection.test, point)
    return Place(point, leaf, None if test is None else bool(test) is selection.kept)


def _leaves(test: Value | None) -> list[Tensor] | None:
    """The tensors that a test compares, as far back as elements can be computed; None for no test."""
    found: dict[int, Tensor] = {}
    compares = False
    for value in _computed_from(test):
        made = value.producer
        if made is not None and made.number == value.number and made.primitive in EVALUATED:
            compares = compares or made.primitive in _COMPARISONS
        elif value.roots or made is not None:
            found[value.number] = value
    return list(found.values()) if compares else None


def _computed_from(value: Value | None) -> Iterator[Tensor]:
    """`value` and what it is computed from element by element."""
    pending, seen = [value], set[int]()
    while pending and len(seen) < _FAR:
        current = pending.pop()
        if isinstance(current, Tensor) and current.number not in seen:
            seen.add(current.number)
            yield current
            made = current.producer
            if made is not None and made.number == current.number and made.primitive in EVALUATED:
                pending.extend(operand.value for operand in (*made.operands, *made.keywords.values()))


def _behind(value: Value | None) -> Iterator[Application]:
    """The applications through which a gradient goes back from `value`."""
    pending, seen = [value], set[int]()
    while pending and len(seen) < _FAR:
        current = pending.pop()
        if isinstance(current, Items):
            pending.extend(current.items)
        made = current.producer if isinstance(current, Tensor) and current.grad is not False else None
        if made is not None and id(made) not in seen and made.primitive not in NON_DIFFERENTIABLE:
            seen.add(id(made))
            yield made
            pending.extend(operand.value for operand in (*made.operands, *made.keywords.values()))


def _detects(test: Value | None) -> bool:
    """Whether a test only looks for what is not finite."""
    comparisons = [v.producer for v in _computed_from(test) if producer(v, *_COMPARISONS)]
    return all(
        made.primitive in _DETECTORS or math.isinf(made.facts(1, "other").lo)
        for made in comparisons
        if made is not None
    )


def _condition(place: Place) -> str:
    """The entry of the battery that reaches a place."""
    facts = place.leaf.facts
    if place.element == 0:
        zero = facts.vanishing("") or facts.zero
        return zero.condition if zero is not None else ""
    return "large inputs" if abs(place.element) > _LARGE else "randn"
