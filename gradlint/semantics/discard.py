"""Results of which some elements are discarded, while the gradient behind those is nan all the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gradlint.records.finding import UNMEASURED
from gradlint.records.once import once_each
from gradlint.semantics.ops import NON_DIFFERENTIABLE
from gradlint.semantics.point import OVERFLOWING, Point, loses_gradient
from gradlint.semantics.selection import (
    SELECTIONS,
    Selection,
    compared,
    compares_with_constant,
    leaves,
    looks_for_infinity,
    may_be,
    selections,
    settings_behind,
)
from gradlint.semantics.tensor import Application, Tensor
from gradlint.semantics.trace import Trace
from gradlint.semantics.value import Items, Value

_MENDING = ("masked_fill", "index_put")
_NEAR_ZERO = 0.01
_NUMBERS = (0.0, _NEAR_ZERO, 2.0, -2.0, 1.0, -1.0, 0.5, -0.5, 300.0, -300.0, 1000.0, -1000.0)
_LARGE = 100.0
_OTHERS, _APART = 1.3, 0.3
_FAR = 48


class Discard(NamedTuple):
    """A discarded element of what is made with `application`, whose operand is `operand` there.

    `condition` is the entry of the input battery that leads there.
    """

    application: Application
    selection: Application
    operand: float
    condition: str


class Place(NamedTuple):
    """One element of each tensor on which a test depends; `leaf` is the one that is varied.

    `kept` tells whether the element is kept there, where that can be computed.
    """

    point: Point
    leaf: Tensor
    kept: bool | None

    @property
    def element(self) -> float:
        """The element of the leaf."""
        return self.point[self.leaf.number]


@once_each
def discards(trace: Trace) -> dict[int, Discard]:
    """The first discard of each result, by its number."""
    found: dict[int, Discard] = {}
    for application in trace.differentiated(*SELECTIONS):
        for selection in selections(application):
            for discard in _lost(trace, selection):
                found.setdefault(discard.application.number, discard)
    return found


def _lost(trace: Trace, selection: Selection) -> Iterator[Discard]:
    """The applications behind the branch whose gradient is nan at elements that are discarded."""
    if selection.application.primitive in _MENDING and looks_for_infinity(selection.test):
        return
    behind = [
        a for a in _behind(selection.branch) if any(trace.carries_gradient(o.value) for o in a.operands)
    ]
    for tensors in (compared(selection.test), leaves(selection.test)) if behind else ():
        for leaf in tensors:
            found = list(_lost_at(selection, behind, leaf, list(_places(selection, tensors, leaf))))
            if found:
                yield from found
                return


def _lost_at(
    selection: Selection, behind: list[Application], leaf: Tensor, places: list[Place]
) -> Iterator[Discard]:
    """Those whose gradient is nan because of one of the tensors that the test compares."""
    if not _is_guard(selection, leaf, places):
        return
    discarded = [place for place in places if place.kept is False]
    for application in behind:
        place = _losing(application, discarded)
        if place is not None:
            operand = loses_gradient(application, place.point)
            assert operand is not None
            yield Discard(application, selection.application, operand, _condition(place))


def _is_guard(selection: Selection, leaf: Tensor, places: list[Place]) -> bool:
    """Whether the test is there because of the leaf: it keeps what is near 0, or compares the leaf itself."""
    if any(place.kept and place.element == _NEAR_ZERO for place in places):
        return True
    return any(place.kept for place in places) and compares_with_constant(selection.test, leaf)


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


def _places(selection: Selection, tensors: list[Tensor], leaf: Tensor) -> Iterator[Place]:
    """The leaf at several numbers while the others stay; for a test for nan, everything at 0 as well."""
    others = _spread(tensors)
    masks = {other.number: 1.0 for other in tensors if other.facts.boolean}
    points = [
        {**others, **masks, leaf.number: number}
        for number in _NUMBERS
        if leaf.facts.lo <= number <= leaf.facts.hi and leaf.number not in masks and may_be(leaf, number)
    ]
    if looks_for_infinity(selection.test):
        points.append({**dict.fromkeys(others, 0.0), **masks})
    for point in points:
        yield Place(point, leaf, selection.keeps(point))


def _spread(tensors: list[Tensor]) -> dict[int, float]:
    """A number of its own for each tensor; what is computed from settings alone follows from theirs."""
    found: dict[int, float] = {}
    for position, tensor in enumerate(tensors):
        for free in settings_behind(tensor) or [tensor]:
            number = free.facts.typical
            found[free.number] = _OTHERS + _APART * position if number is None else number
    return found


def _behind(value: Value | None) -> Iterator[Application]:
    """The applications through which a gradient goes back from `value`."""
    pending, seen = [value], set[int]()
    while pending and len(seen) < _FAR:
        current = pending.pop()
        if isinstance(current, Items):
            pending.extend(current.items)
        step = current.producer if isinstance(current, Tensor) and current.grad is not False else None
        if step is not None and id(step) not in seen and step.primitive not in NON_DIFFERENTIABLE:
            seen.add(id(step))
            yield step
            pending.extend(operand.value for operand in (*step.operands, *step.keywords.values()))


def _condition(place: Place) -> str:
    """The entry of the battery that reaches a place."""
    facts = place.leaf.facts
    if place.element == 0:
        zero = facts.vanishing("") or facts.zero
        return zero.condition if zero is not None else UNMEASURED
    return "large inputs" if abs(place.element) > _LARGE else "randn"
