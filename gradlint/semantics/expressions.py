"""Operations, displays, comprehensions: expressions that are made of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradlint.records import ir
from gradlint.semantics import constants
from gradlint.semantics.branches import arm_number
from gradlint.semantics.builtin import distinct
from gradlint.semantics.evaluated import Generator
from gradlint.semantics.extent import MAX_ITEMS, size
from gradlint.semantics.generators import Receiver
from gradlint.semantics.interpretation import Count, Operand, Site
from gradlint.semantics.scope import Frame
from gradlint.semantics.value import (
    Closure,
    Items,
    Known,
    Table,
    Value,
)

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator

_DEEPEST_JOIN = 4
"""How many collections within collections are joined item by item."""


_CONSTANT = frozenset({"ellipsis", "capture", "bytes", "complex"})
"""Expressions that do nothing, whatever they are."""


class Expressions:
    """Evaluates expressions that are made of others."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._core = evaluator
        self._interpretation = evaluator.interpretation

    def literal(self, node: ir.Literal, frame: Frame) -> Value:
        """The value of a constant."""
        return Known(node.value)

    def _junction(self, node: ir.Operation, frame: Frame) -> Value:
        """`and` and `or`: what stands behind an operand is only reached past a test of it."""
        operands: list[Operand] = []
        for part in node.operands:
            if operands:
                self._interpretation.tested(operands[-1].value)
            operand = self._core.operand(part, frame)
            decided = self._core.branches.truth(operand.value)
            decides = decided is (node.operator == "or")
            if decides or part is node.operands[-1] or decided is None:
                operands.append(operand)
            if decides:
                break
        if len(operands) == 1 or _settles(operands[-1].value, node.operator):
            return operands[-1].value
        return self._interpretation.operator(node.operator, tuple(operands), self._core.site(node, frame))

    def operation(self, node: ir.Operation, frame: Frame) -> Value:
        """The value of `x + y`, `not x`, `x < y` …"""
        if node.operator in ("and", "or"):
            return self._junction(node, frame)
        operands = tuple([self._core.operand(operand, frame) for operand in node.operands])
        if all(isinstance(operand.value, Known) for operand in operands):
            folded = constants.fold(node.operator, [operand.value.value for operand in operands])  # type: ignore[attr-defined]
            if folded is not None:
                return folded
        if node.operator == "add" and all(isinstance(o.value, Items) for o in operands):
            first, second = (operand.value for operand in operands)
            assert isinstance(first, Items) and isinstance(second, Items)
            if size(first) + size(second) > MAX_ITEMS:
                return self._interpretation.unknown((first, second))
            return Items(first.kind, [*first.items, *second.items], node, first.open or second.open)
        repeated = _repeated(node, operands) if node.operator == "mul" else None
        if repeated is not None:
            return repeated
        return self._interpretation.operator(node.operator, operands, self._core.site(node, frame))

    def conditional(self, node: ir.Conditional, frame: Frame) -> Value:
        """The value of `x if test else y`."""
        test = self._core.evaluate(node.test, frame)
        decided = self._core.branches.truth(test)
        if decided is not None:
            self._core.settled += 1
            value = self._core.evaluate(node.then if decided else node.otherwise, frame)
            self._core.settled -= 1
            return value
        self._interpretation.tested(test)
        before = self._core.conditions
        values = []
        self._interpretation.chooses(test)
        for position, arm in enumerate((node.then, node.otherwise)):
            self._core.conditions = (*before, arm_number(node, position))
            self._interpretation.takes(position)
            values.append(self._core.evaluate(arm, frame))
        self._core.conditions = before
        self._interpretation.chosen((0, 1))
        joined = self.join(values)
        self._interpretation.merged()
        return joined

    def display(self, node: ir.Display, frame: Frame) -> Value:
        """The value of `[x, y]`, `(x, y)` or `{x, y}`."""
        if node.kind in ("string", "text"):
            parts = [self._core.evaluate(item, frame) for item in node.items]
            known = node.kind == "text" and all(isinstance(part, Known) for part in parts)
            found = constants.text([part.value for part in parts]) if known else None  # type: ignore[attr-defined]
            if found is None and node.kind == "text":
                return self._interpretation.text(parts)
            return found if found is not None else self._interpretation.unknown(())
        items: list[Value] = []
        is_open = False
        for item in node.items:
            if not isinstance(item, ir.Starred):
                items.append(self._core.contained(self._core.evaluate(item, frame)))
                continue
            value = self._core.calls.evaluated_items(item.value, frame)
            if isinstance(value, Items) and len(items) + size(value) <= MAX_ITEMS:
                items.extend(value.items)
                is_open = is_open or value.open
            else:
                items.append(self._interpretation.element(value, self._core.site(item, frame)))
                is_open = True
        return Items(node.kind, distinct(items) if node.kind == "set" else items, node, is_open)

    def dictionary(self, node: ir.Dictionary, frame: Frame) -> Value:
        """The value of `{x: y}`."""
        entries: dict[Any, Value] = {}
        others: list[Value] = []
        is_open = False
        for key, value_node in zip(node.keys, node.values, strict=True):
            value = self._core.contained(self._core.evaluate(value_node, frame))
            known_key = self._core.evaluate(key, frame) if key is not None else value
            if key is not None and isinstance(known_key, Known):
                entries[known_key.value] = value
            elif isinstance(value, Table) and key is None:
                entries.update(value.entries)
                others.extend(value.others)
                is_open = is_open or value.open
            else:
                others.extend([value] if key is not None else [])
                is_open = True
        return Table(entries, node, is_open, others)

    def comprehension(self, node: ir.Comprehension, frame: Frame) -> Value:
        """The value of a comprehension, or a generator."""
        inner = Frame(frame.scope, frame, closure=frame.closure, is_comprehension=True)
        found: list[Value] = []
        is_open = self._core.calls.is_open(found, self._generate(node, 0, inner, found))
        if node.kind == "dict":
            return _table_of(node, found, is_open)
        if node.kind == "generator":
            return self._interpretation.lazily(Items("list", found, node, is_open))
        return Items(node.kind, distinct(found) if node.kind == "set" else found, node, is_open)

    def _generate(self, node: ir.Comprehension, depth: int, frame: Frame, found: list[Value]) -> Count:
        """Evaluate the element for every binding of the generators; how many of them there are."""
        if depth == len(node.generators):
            if node.key is not None:
                found.append(self._core.evaluate(node.key, frame))
            found.append(self._core.contained(self._core.evaluate(node.element, frame)))
            return Count.LISTED
        generator = node.generators[depth]
        items, count = self._iterate(generator.iterable, frame)
        outer, self._core.rounds = self._core.rounds, self._core.rounds * max(len(items), 1)
        for item in items:
            self._core.assignments.assign(generator.target, Operand(item, generator.iterable), frame)
            kept = self._kept(generator.conditions, frame)
            if kept is not False:
                inner = self._generate(node, depth + 1, frame, found)
                count = max(count, inner, Count.LISTED if kept else Count.OTHERS)
        self._core.rounds = outer
        return count

    def _kept(self, conditions: Sequence[ir.Expression], frame: Frame) -> bool | None:
        """Whether an item passes the conditions of a comprehension; None where that is not known."""
        kept: bool | None = True
        for condition in conditions:
            test = self._core.evaluate(condition, frame)
            self._interpretation.tested(test)
            truth = self._core.branches.truth(test)
            if truth is False:
                return False
            kept = kept if truth else None
        return kept

    def _iterate(self, node: ir.Expression, frame: Frame) -> tuple[Sequence[Value], Count]:
        """The items that iterating over `node` gives, and how many there are of them."""
        return self.items(self._core.evaluate(node, frame), self._core.site(node, frame))

    def items(self, iterable: Value, site: Site) -> tuple[Sequence[Value], Count]:
        """The items of an iterable, or one that stands for all, and how many there are."""
        if isinstance(iterable, Generator):
            yielded: list[Value] = []
            self._core.generators.resume(iterable, Receiver(yielded.append))
            iterable = Items("list", yielded, site.node, True)
        iterable = self._interpretation.items(iterable) or iterable
        most = self.most_iterations
        if isinstance(iterable, Items) and not iterable.open and len(iterable.items) <= most:
            return list(iterable.items), Count.LISTED
        if isinstance(iterable, Items) and iterable.items:
            listed = self._interpretation.listed(iterable, site)
            if listed is not None:
                return listed, Count.LISTED
            return [self.join(iterable.items)], self.any_number(iterable)
        if isinstance(iterable, Table) and not iterable.open and len(iterable.entries) <= most:
            return [Known(key) for key in iterable.entries], Count.LISTED
        if isinstance(iterable, Known) and isinstance(iterable.value, (range, str)):
            if len(iterable.value) <= most:
                return [Known(item) for item in iterable.value], Count.LISTED
            return [self._interpretation.unknown(())], Count.OTHERS
        element, times = (
            self._interpretation.element(iterable, site),
            self._interpretation.assumed(iterable, site),
        )
        return ([element], self.any_number(iterable)) if times is None else ([element] * times, Count.LISTED)

    @property
    def most_iterations(self) -> int:
        """How many iterations of the loop that begins may be run one by one."""
        return min(self._core.budget.unrolled, self._core.budget.rounds // self._core.rounds)

    def any_number(self, iterable: Value | None) -> Count:
        """How an item stands for others of which the number is not known."""
        return Count.ALIKE if self._interpretation.is_counted_once(iterable) else Count.OTHERS

    def lambda_(self, node: ir.Lambda, frame: Frame) -> Value:
        """The value of `lambda …`."""
        closure = Closure(node, frame.scope, frame)
        self._core.nested.append(closure)
        return closure

    def walrus(self, node: ir.Walrus, frame: Frame) -> Value:
        """The value of `x := y`."""
        operand = self._core.operand(node.value, frame)
        self._core.assignments.bind(node.name, operand.value, frame)
        return operand.value

    def opaque(self, node: ir.Unknown, frame: Frame) -> Value:
        """The value of an expression that is not modelled."""
        values = [self._core.evaluate(part, frame) for part in node.parts]
        if node.kind not in _CONSTANT:
            self._interpretation.not_understood(node.kind)
        return self._interpretation.unknown(values)

    def spread(self, node: ir.Starred, frame: Frame) -> Value:
        """The value of `*x` where nothing takes its items."""
        return self._interpretation.unknown((self._core.evaluate(node.value, frame),))

    def join(self, values: Sequence[Value], depth: int = 0) -> Value:
        """One of several values, which one is not known; collections of equal length item by item."""
        first = values[0]
        if all(value is first for value in values[1:]):
            return first
        if isinstance(first, Known) and all(
            isinstance(v, Known) and type(v.value) is type(first.value) and v.value == first.value
            for v in values
        ):
            return first
        if depth < _DEEPEST_JOIN and _are_alike(values) and self._core.affords(size(first)):
            assert isinstance(first, Items)
            columns = zip(*[value.items for value in values], strict=True)  # type: ignore[attr-defined]
            joined = [self.join(column, depth + 1) for column in columns]
            return Items(first.kind, joined, first.node, first.open)
        return self._interpretation.join(values)


def _table_of(node: ir.Comprehension, found: Sequence[Value], is_open: bool) -> Table:
    """The dictionary that a comprehension makes of keys and values in turn."""
    pairs = list(zip(found[::2], found[1::2], strict=True))
    entries: dict[Any, Value] = {key.value: value for key, value in pairs if isinstance(key, Known)}
    others = [value for key, value in pairs if not isinstance(key, Known)]
    return Table(entries, node, is_open or bool(others), others)


def _are_alike(values: Sequence[Value]) -> bool:
    """Whether all are collections with equally many items."""
    sizes = {len(value.items) if isinstance(value, Items) else -1 for value in values}
    return len(sizes) == 1 and -1 not in sizes


def _settles(value: Value, operator: str) -> bool:
    """Whether `… and value` is false, or `… or value` true, whatever stands in front."""
    if not isinstance(value, Known):
        return False
    return not value.value if operator == "and" else value.value is True


def _repeated(node: ir.Expression, operands: Sequence[Operand]) -> Items | None:
    """`[a, b] * n` or `n * [a, b]`, where that is known and not too long."""
    for first, second in (operands, operands[::-1]):
        items, count = first.value, second.value
        if not isinstance(items, Items) or not isinstance(count, Known) or type(count.value) is not int:
            continue
        if size(items) * max(count.value, 0) <= MAX_ITEMS:
            return Items(items.kind, items.items * count.value, node, items.open)
    return None
