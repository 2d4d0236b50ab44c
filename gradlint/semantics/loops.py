"""Loops: run as often as the code says, or until nothing new comes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from gradlint.records import ir
from gradlint.semantics import counting
from gradlint.semantics.bindings import filled
from gradlint.semantics.evaluated import Generator, nothing_at
from gradlint.semantics.generators import Receiver
from gradlint.semantics.interpretation import Count, Operand, Site
from gradlint.semantics.scope import Frame
from gradlint.semantics.value import (
    Instance,
    Items,
    Known,
    Table,
    Value,
)

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator

Stirred = tuple[dict[str, Value], str, Value]
"""The attributes of an object, the name of one, and its value at the start of any iteration."""


class Loops:
    """Runs loops."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._core = evaluator
        self._interpretation = evaluator.interpretation

    def loop(self, node: ir.Loop, frame: Frame) -> None:
        """Run a `for` or `while` statement."""
        conditions = self._core.conditions
        self._interpretation.loops()
        self._iterations(node, frame)
        self._core.conditions = conditions

    def _iterations(self, node: ir.Loop, frame: Frame) -> None:
        if node.iterable is None or node.target is None:
            most = self._core.expressions.most_iterations
            self._while(node, counting.counts(node, frame, self._core, most), frame)
            return
        iterable = self._core.evaluate(node.iterable, frame)
        if isinstance(iterable, Generator):
            self._drain(node, iterable, frame)
            return
        items, count = self._core.expressions.items(iterable, self._core.site(node.iterable, frame))
        if count == Count.LISTED:
            self._unroll(node, items, frame)
        else:
            self._repeat(node, items[0], count, frame)

    def _while(self, node: ir.Loop, rounds: Sequence[counting.Count] | None, frame: Frame) -> None:
        """Run a loop as often as it counts, as long as nothing else changes what it counts."""
        if rounds is None or not self._unroll(node, [Known(None)] * len(rounds), frame, rounds):
            self._repeat(node, None, self._core.expressions.any_number(None), frame)

    def _unroll(
        self,
        node: ir.Loop,
        items: Sequence[Value],
        frame: Frame,
        rounds: Sequence[counting.Count] = (),
    ) -> bool:
        """Run the body for every item; whether that was all, though something else may change what
        iterations count.
        """
        outer, self._core.rounds = self._core.rounds, self._core.rounds * max(len(items), 1)
        progress, is_counted = self._interpretation.progress(), True
        for done, item in enumerate(self._interpretation.telling(items)):
            if self._ends(node, frame):
                break
            self._interpretation.iterates(often=False)
            if node.target is not None and node.iterable is not None:
                self._core.assignments.assign(node.target, Operand(item, node.iterable), frame)
            self._core.execute(node.body, frame)
            if not frame.alive and frame.jump != "continue":
                break
            frame.alive = True
            if self._interpretation.progress() != progress or self._core.steps > self._core.most:
                break
            agrees = not rounds or counting.agrees(rounds[done], frame, self._core)
            if agrees is None:
                self._core.rounds = outer
                return False
            is_counted = is_counted and agrees
        else:
            if not is_counted and not self._ends(node, frame):
                self._core.rounds = outer
                return False
        self._core.rounds = outer
        self._interpretation.looped()
        if frame.alive:
            self._core.execute(node.otherwise, frame)
        elif frame.jump == "break":
            frame.alive = True
        return True

    def _ends(self, node: ir.Loop, frame: Frame) -> bool:
        """Whether the test of a `while` fails now."""
        if node.test is None:
            return False
        return self._core.branches.truth(self._core.evaluate(node.test, frame)) is False

    def _repeat(self, node: ir.Loop, item: Value | None, count: Count, frame: Frame) -> None:
        """Run the body once for any number of iterations: what it changes is unknown at its start."""
        before = dict(frame.variables)
        if node.test is not None:
            self._interpretation.tested(self._core.evaluate(node.test, frame))
        mark = len(self._core.changed)
        if count > Count.ALIKE:
            self._core.changed.extend(self._filled(node, frame))
            self._core.branches.open_since(mark)
        carried = self._carried(node, frame)
        for name in carried:
            frame.variables[name] = self._forgotten(frame.variables[name], count)
        began = [frame.variables[name] for name in carried]
        stirred = self._stirred(node, count, frame)
        self._interpretation.iterates(often=True)
        if node.test is not None:
            self._interpretation.tested(self._core.evaluate(node.test, frame))
        if item is not None and node.target is not None and node.iterable is not None:
            self._core.assignments.assign(node.target, Operand(item, node.iterable), frame)
        self._core.repeating += 1
        self._core.execute(node.body, frame)
        self._core.repeating -= 1
        self._hand_on(carried, began, frame, stirred)
        self._interpretation.looped()
        if count == Count.ALIKE:
            self._repeated(
                carried, before, self._core.site(node.iterable or node.test or nothing_at(node), frame), frame
            )
        self._leave(before, mark, count, frame)
        self._core.execute(node.otherwise, frame)

    def _carried(self, node: ir.Loop, frame: Frame) -> list[str]:
        """The variables that the body of a loop changes and that are there before it."""
        found = dict.fromkeys(name for each in node.body for name in self._core.statements.bound_by(each))
        return [name for name in found if name in frame.variables]

    def _stirred(self, node: ir.Loop, count: Count, frame: Frame) -> list[Stirred]:
        """The attributes that a loop changes, each as it is at the start of any iteration."""
        found: list[Stirred] = []
        for owner, name in list(self._interpretation.stirred(node.body, frame)):
            value = owner.attributes[name]
            start = self._forgotten(value, count)
            if start is not value:
                self._core.heap.write(owner.attributes, name, start)
                found.append((owner.attributes, name, start))
        return found

    def _hand_on(
        self, names: Sequence[str], began: Sequence[Value], frame: Frame, stirred: Sequence[Stirred] = ()
    ) -> None:
        """An iteration that began with these values of variables and attributes ends."""
        left = [frame.variables.get(name, start) for name, start in zip(names, began, strict=True)]
        left += [attributes.get(name, start) for attributes, name, start in stirred]
        self._interpretation.carried(left, [*began, *[start for _, _, start in stirred]])

    def _repeated(self, names: Sequence[str], before: Mapping[str, Value], site: Site, frame: Frame) -> None:
        """Variables that every iteration of a loop computes anew from what they were."""
        for name in names:
            last = frame.variables.get(name)
            if last is not None and last is not before[name]:
                frame.variables[name] = self._interpretation.repeated(before[name], last, site)

    def _leave(self, before: dict[str, Value], mark: int, count: Count, frame: Frame) -> None:
        """A loop of unknown length ends, before which the variables were these."""
        if count > Count.ALIKE:
            self._core.branches.open_since(mark)
        else:
            filled = [c for c in self._core.changed[mark:] if isinstance(c, Items)]
            self._core.branches.loosen([c for c in filled if self._core.calls.is_open(c.items, count)])
        if count > Count.ALIKE or (not frame.alive and frame.jump in ("return", "raise")):
            frame.variables = self._core.branches.merge([before, frame.variables])
        frame.alive = True

    def _drain(self, node: ir.Loop, generator: Generator, frame: Frame) -> None:
        """Run the body of a loop on whatever a generator yields, where it does.

        Where that is a loop of the generator, what the body changes goes from one iteration to the next.
        """
        outer = self._core.repeating

        def receive(value: Value) -> None:
            assert node.target is not None and node.iterable is not None
            names = self._carried(node, frame) if self._core.repeating > outer else []
            began = [self._forgotten(frame.variables[name], Count.OTHERS) for name in names]
            frame.variables.update(zip(names, began, strict=True))
            stirred = self._stirred(node, Count.OTHERS, frame) if self._core.repeating > outer else []
            self._core.assignments.assign(node.target, Operand(value, node.iterable), frame)
            self._core.execute(node.body, frame)
            frame.alive = frame.alive or frame.jump in ("continue", "break")
            self._hand_on(names, began, frame, stirred)

        self._core.generators.resume(generator, Receiver(receive))
        self._interpretation.looped()
        self._core.execute(node.otherwise, frame)

    def _filled(self, node: ir.Loop, frame: Frame) -> Iterator[Value]:
        """The collections that the body of a loop changes, as far as they have a name."""
        for variable, *attributes in filled(node.body):
            value = frame.lookup(variable)
            for attribute in attributes:
                value = value.attributes.get(attribute) if isinstance(value, Instance) else None
            if value is not None:
                yield value

    def _forgotten(self, value: Value, count: Count) -> Value:
        if isinstance(value, (Table, Instance)) or (isinstance(value, Items) and count == Count.ALIKE):
            return value
        is_anew = self._interpretation.is_ordered and isinstance(value, Items) and value.kind == "tuple"
        if isinstance(value, Items) and not is_anew:
            return Items(value.kind, value.items, value.node, True)
        return self._interpretation.forgotten(value, count)
