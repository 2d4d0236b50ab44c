"""Assignments: to names, attributes, items, and several at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gradlint.records import ir
from gradlint.semantics import texts
from gradlint.semantics.builtin import extend, store_item
from gradlint.semantics.evaluated import is_domain
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.scope import Frame
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Instance,
    Items,
    Known,
    Method,
    Namespace,
    Settings,
    Table,
    Value,
)

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator


class Assignments:
    """Stores values."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._core = evaluator
        self._interpretation = evaluator.interpretation

    def assignment(self, node: ir.Assign, frame: Frame) -> None:
        """Run `x = y = value`."""
        if node.value is None:
            return
        operand = self._core.operand(node.value, frame)
        if isinstance(operand.value, Items) and (sum_ := _sum_onto(node)) is not None:
            operand = Operand(self._longer(operand.value, sum_, frame), operand.node)
        for target in node.targets:
            self.assign(target, operand, frame)

    def _longer(self, whole: Items, node: ir.Operation, frame: Frame) -> Items:
        """`x = x + […]`: the list that `x` was goes on, with more behind it."""
        first, second = node.operands
        before = self._core.evaluate(first, frame)
        if not isinstance(before, Items):
            return whole
        added = Items(before.kind, whole.items[len(before.items) :], second)
        method, given = Method(before, "extend", first), Arguments((Operand(added, second),))
        self._interpretation.collected(method, given, self._core.site(first, frame))
        return replace(whole, node=before.node)

    def assign(self, target: ir.Expression, operand: Operand, frame: Frame) -> None:
        """Bind a target, of whatever kind, to a value."""
        value = operand.value
        if isinstance(target, ir.Name):
            self._bind(target.id, value, frame)
        elif isinstance(target, ir.Attribute):
            receiver = self._core.evaluate(target.value, frame)
            changed = self.store(receiver, target.name, operand, self._core.site(target, frame))
            if changed is not None and isinstance(target.value, (ir.Name, ir.Attribute)):
                self.assign(target.value, Operand(changed, target), frame)
        elif isinstance(target, ir.Display):
            self._unpack(target, operand, frame)
        elif isinstance(target, ir.Index):
            self._store_item(target, operand, frame)
        elif isinstance(target, ir.Starred):
            self.assign(target.value, Operand(self._interpretation.unknown((value,)), operand.node), frame)

    def bind(self, name: str, value: Value, frame: Frame) -> None:
        """Run `name := value`; how often a comprehension does that, nobody may know."""
        owner = frame.function()
        self._bind(name, value if owner is frame else self._uncertain(value), owner)

    def _bind(self, name: str, value: Value, frame: Frame) -> None:
        is_shared = name in frame.outer
        frame.variables[name] = self._uncertain(value) if is_shared else value
        if is_shared:
            self._disturb(name, frame.parent)

    def _uncertain(self, value: Value) -> Value:
        """What others may change any time is not known, as far as it is a number or a tensor."""
        is_changing = isinstance(value, Known) or is_domain(value)
        return self._interpretation.unknown((value,)) if is_changing else value

    def _disturb(self, name: str, frame: Frame | None) -> None:
        """A function within bound the variable: it may have run, or not."""
        while frame is not None and name not in frame.variables:
            frame = frame.parent
        if frame is not None:
            frame.variables[name] = self._interpretation.unknown((frame.variables[name],))

    def disturb(self, instance: Instance, names: Iterable[str]) -> None:
        """Some of these attributes may have changed: constants and tensors are not known any more."""
        for name in set(names) & instance.attributes.keys():
            value = instance.attributes[name]
            changed = self._uncertain(value)
            if changed is not value:
                self._core.heap.write(instance.attributes, name, changed)

    def disturb_all(self, instance: Instance) -> None:
        """Any attribute may have changed, those that the class has for all its objects among them."""
        for base in instance.type.lineage():
            for name, value in base.members.items() if isinstance(base, ClassObject) else ():
                if name not in instance.attributes and (changed := self._uncertain(value)) is not value:
                    self._core.heap.write(instance.attributes, name, changed)
        self.disturb(instance, instance.attributes)

    def store(self, receiver: Value, name: str, operand: Operand, site: Site) -> Value | None:
        """Run `receiver.name = value`; what the receiver is then, where that is another value."""
        if isinstance(receiver, Instance) and name:
            self._interpretation.replacing(receiver, name, operand.value)
            self._put(receiver, name, operand, site)
        elif isinstance(receiver, Instance):
            self.disturb_all(receiver)
        elif isinstance(receiver, ClassObject) and name in receiver.members:
            self._core.imported.keep(receiver.members)
            receiver.members[name] = self._interpretation.unknown(())  # who asks next may be any instance
        elif isinstance(receiver, Settings):
            self._core.change(receiver)
            store_item(receiver, Known(name), operand.value)
        return self._interpretation.stored(receiver, name, operand, site)

    def _put(self, receiver: Instance, name: str, operand: Operand, site: Site) -> None:
        """`receiver.name = value`, as the class of the object has it."""
        setter = receiver.type.member(setter_of(name))
        if isinstance(setter, Closure):
            bound = self._core.attributes.bind(setter, receiver)
            self._core.functions.call_closure(bound, Arguments((operand,)), site)
            return
        is_own = receiver.type.member("__setattr__") is None and not _is_descriptor(
            receiver.type.member(name)
        )
        self.write(receiver, name, operand.value if is_own else self._uncertain(operand.value))

    def write(self, receiver: Instance, name: str, value: Value) -> None:
        """`receiver.name = value`; a name that is known in parts may be that of something else as well."""
        if texts.HOLE in name:
            meant = [each for each in receiver.attributes if texts.may_be(name, each)]
            for each in meant:
                self._core.heap.write(
                    receiver.attributes, each, self._core.expressions.join([receiver.attributes[each], value])
                )
            if name in meant:
                return
        self._core.heap.write(receiver.attributes, name, value)

    def _unpack(self, target: ir.Display, operand: Operand, frame: Frame) -> None:
        value = operand.value
        plain = not any(isinstance(item, ir.Starred) for item in target.items)
        if plain and isinstance(value, Items) and not value.open and len(value.items) == len(target.items):
            for item, part in zip(target.items, value.items, strict=True):
                self.assign(item, Operand(part, operand.node), frame)
            return
        if not plain and isinstance(value, Items) and not value.open:
            self._unpack_around(target, value, operand, frame)
            return
        if plain:
            operand = Operand(self._interpretation.unpacked(value, len(target.items)), operand.node)
        for position, item in enumerate(target.items):
            site = self._core.site(operand.node, frame)
            part = self._interpretation.index(operand, Known(position), site)
            self.assign(item, Operand(part, operand.node), frame)

    def _unpack_around(self, target: ir.Display, value: Items, operand: Operand, frame: Frame) -> None:
        """`first, *rest, last = value`."""
        at = next(i for i, item in enumerate(target.items) if isinstance(item, ir.Starred))
        behind = len(target.items) - at - 1
        items = list(value.items)
        split = max(len(items) - behind, at)
        parts = [*items[:at], Items("list", items[at:split], value.node), *items[split:]]
        for item, part in zip(target.items, parts, strict=False):
            if isinstance(item, ir.Starred):
                item = item.value
            self.assign(item, Operand(part, operand.node), frame)

    def _store_item(self, target: ir.Index, operand: Operand, frame: Frame) -> None:
        receiver = self._core.evaluate(target.value, frame)
        index = self._core.evaluate(target.index, frame)
        if isinstance(receiver, (Items, Table)):
            self._core.change(receiver)
            store_item(receiver, index, operand.value)
        elif isinstance(receiver, Namespace):
            self.disturb_all(receiver.of)
        elif isinstance(target.value, (ir.Name, ir.Attribute)):
            parts = Operand(receiver, target.value), Operand(index, target.index)
            changed = self._interpretation.replaced(*parts, operand, self._core.site(target, frame))
            self.assign(target.value, Operand(changed, target), frame)

    def augment(self, node: ir.Augment, frame: Frame) -> None:
        """Run `x += value`."""
        operation = ir.Operation(node.span, node.operator, (node.target, node.value))
        before = self._core.evaluate(node.target, frame)
        if isinstance(before, Items) and before.kind == "list" and node.operator == "iadd":
            added = self._core.evaluate(node.value, frame)
            if not isinstance(added, Items):
                one = self._interpretation.element(added, self._core.site(node.value, frame))
                added = Items("list", [one], node.value, True)
            added_to, given = Method(before, "extend", node.target), Arguments((Operand(added, node.value),))
            self._interpretation.collected(added_to, given, self._core.site(node.target, frame))
            self._core.change(before)
            extend(before, added)
            return
        self.assign(
            node.target, Operand(self._core.expressions.operation(operation, frame), operation), frame
        )


def setter_of(name: str) -> str:
    """What the function behind `@name.setter` is called among the members of a class."""
    return f"{name}.setter"


def _is_descriptor(member: Value | None) -> bool:
    """Whether a member of a class takes what is assigned to its name."""
    return isinstance(member, Instance) and member.type.member("__set__") is not None


def _sum_onto(node: ir.Assign) -> ir.Operation | None:
    """The sum of `x = x + …`."""
    value = node.value
    if not isinstance(value, ir.Operation) or value.operator != "add" or len(node.targets) != 1:
        return None
    (target,), first = node.targets, value.operands[0]
    if isinstance(target, ir.Attribute) and isinstance(first, ir.Attribute) and target.name == first.name:
        target, first = target.value, first.value
    is_same = isinstance(target, ir.Name) and isinstance(first, ir.Name) and target.id == first.id
    return value if is_same else None
