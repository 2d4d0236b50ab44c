"""Branches: both ways where the test is not known, and what is the case after them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from gradlint.records import ir
from gradlint.semantics.bindings import walk
from gradlint.semantics.evaluated import MOST_BODIES, nothing_at
from gradlint.semantics.heap import Changes
from gradlint.semantics.scope import Frame
from gradlint.semantics.value import (
    Collection,
    Instance,
    Known,
    Value,
)

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator


class Branches:
    """Runs branches."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._core = evaluator
        self._interpretation = evaluator.interpretation
        self._names_used: dict[int, tuple[object, list[ir.Name | ir.Attribute]]] = {}

    def branch(self, node: ir.Branch, frame: Frame) -> None:
        """Run an `if` statement."""
        test = self._core.evaluate(node.test, frame)
        decided = self.truth(test)
        if decided is not None:
            self._settled(node, decided, frame)
            return
        self._interpretation.tested(test)
        for part in node.test.parts if isinstance(node.test, ir.Unknown) else ():
            self._interpretation.tested(self._core.evaluate(part, frame))
        self.alternatives(node, (node.then, node.otherwise), frame, test)

    def _settled(self, node: ir.Branch, decided: bool, frame: Frame) -> None:
        """Run the arm that was decided on; what follows depends on the test too if the other one leaves."""
        taken, other = (node.then, node.otherwise) if decided else (node.otherwise, node.then)
        by = 0 if _asks_whether_given(node.test) else 1
        self._interpretation.skipped(list(_used(self._named(other), frame)))
        self._core.settled += by
        self._core.execute(taken, frame)
        if not (other and isinstance(other[-1], (ir.Return, ir.Jump))):
            self._core.settled -= by

    def _named(self, body: tuple[ir.Statement, ...]) -> list[ir.Name | ir.Attribute]:
        """The variables and attributes that statements name, found once."""
        known = self._names_used.get(id(body))
        if known is None:
            if len(self._names_used) >= MOST_BODIES:
                self._names_used.clear()
            found = [node for node in walk(body) if isinstance(node, (ir.Name, ir.Attribute))]
            known = self._names_used[id(body)] = (body, found)
        return known[1]

    def truth(self, value: Value) -> bool | None:
        """Whether a test of `value` succeeds, where that is known."""
        return bool(value.value) if isinstance(value, Known) else self._interpretation.truth(value)

    def alternatives(
        self,
        node: ir.Statement,
        bodies: Sequence[tuple[ir.Statement, ...]],
        frame: Frame,
        test: Value | None = None,
    ) -> None:
        """Run each body from here on its own; go on with the join of those that reach their end."""
        before = frame.variables
        conditions = self._core.conditions
        mark, grown, most = len(self._core.changed), len(self._core.grown), self._core.most
        ends: list[dict[str, Value]] = []
        heaps: list[Changes] = []
        jumps: set[str] = set()
        alive: list[int] = []
        arms = self._interpretation.arms(before, self._core.site(nothing_at(node), frame))
        self._interpretation.chooses(test, isinstance(node, ir.Try) and len(bodies) > 1)
        for position, body in enumerate(bodies):
            self._interpretation.takes(position)
            frame.variables = dict(before)
            frame.alive = True
            self._core.conditions = (*conditions, arm_number(node, position))
            self._core.heap.begin()
            self._core.most = min(most, self._core.steps + self._core.budget.arm)
            self._core.execute(body, frame)
            self._core.most = most
            changes = self._core.heap.take_back()
            if arms is not None:
                arms.ends(frame.alive or frame.jump != "raise")
            jumps.add("" if frame.alive else frame.jump)
            if frame.alive:
                alive.append(position)
                ends.append(frame.variables)
                heaps.append(changes)
        settled = arms.settle() if arms is not None else ()
        changed = [*self._core.changed[mark:], *self._core.grown[grown:]]
        self.loosen([each for each in changed if id(each) not in settled])
        self._core.conditions = (
            conditions if len(ends) == len(bodies) else (*conditions, arm_number(node, len(bodies)))
        )
        frame.alive = bool(ends)
        frame.jump = next((kind for kind in ("continue", "break", "return") if kind in jumps), "raise")
        self._interpretation.chosen(alive)
        frame.variables = self.merge(ends) if ends else before
        self._core.heap.merge(heaps, self._core.expressions.join)
        self._interpretation.merged()

    def open_since(self, mark: int) -> None:
        """Of the collections that changed since, how much they hold is not known any more."""
        self.loosen(self._core.changed[mark:])

    def loosen(self, collections: Iterable[Value]) -> None:
        """How much collections hold is not known any more."""
        for collection in collections:
            if isinstance(collection, Collection):
                self._core.imported.changes(collection)
                collection.loosen()

    def merge(self, ends: list[dict[str, Value]]) -> dict[str, Value]:
        """The variables after several ways that reached their end."""
        first, *others = ends
        if not others:
            return first
        merged = dict(first)
        for other in others:
            for name, value in other.items():
                mine = merged.get(name)
                if mine is not value:
                    merged[name] = value if mine is None else self._core.expressions.join([mine, value])
        return merged


def _used(named: Iterable[ir.Name | ir.Attribute], frame: Frame) -> Iterator[Value]:
    """What variables, and attributes of objects among them, hold."""
    for node in named:
        if isinstance(node, ir.Name):
            value = frame.lookup(node.id)
        elif isinstance(node, ir.Attribute) and isinstance(node.value, ir.Name):
            owner = frame.lookup(node.value.id)
            value = owner.attributes.get(node.name) if isinstance(owner, Instance) else None
        else:
            continue
        if value is not None:
            yield value


def _asks_whether_given(test: ir.Expression) -> bool:
    """Whether a test compares with None."""
    if not isinstance(test, ir.Operation) or test.operator not in ("is", "is_not"):
        return False
    return any(isinstance(operand, ir.Literal) and operand.value is None for operand in test.operands)


def arm_number(node: ir.Node, position: int) -> int:
    """A number for one way through a branch; the one past its last arm stands for what follows it."""
    return 8 * id(node) + min(position, 7)
