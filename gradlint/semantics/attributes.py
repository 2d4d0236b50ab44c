"""Attributes and items: of objects, classes, modules, collections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradlint.records import ir
from gradlint.semantics import bystanders, constants
from gradlint.semantics.evaluated import SOURCES, Super
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.scope import Frame
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Instance,
    Items,
    Known,
    Method,
    ModuleObject,
    Namespace,
    Partial,
    Record,
    Reference,
    Settings,
    Table,
    Value,
)

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator

_NAMED = {"values": 0, "indices": -1}
"""Where the named results of max, sort, topk … stand in the tuple."""


class Attributes:
    """Reads attributes and items."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._core = evaluator
        self._interpretation = evaluator.interpretation

    def attribute_expression(self, node: ir.Attribute, frame: Frame) -> Value:
        """The value of `x.name`."""
        value = self._core.evaluate(node.value, frame)
        if isinstance(value, Instance) and node.name in value.attributes:
            return value.attributes[node.name]
        return self.attribute(Operand(value, node.value), node.name, self._core.site(node, frame))

    def attribute(self, receiver: Operand, name: str, site: Site) -> Value:
        """`receiver.name`."""
        value = receiver.value
        if isinstance(value, Reference):
            last = value.name.rpartition(".")[2]
            return Known(last) if name == "__name__" else constants.resolve(f"{value.name}.{name}")
        if isinstance(value, ModuleObject):
            return self._module_attribute(value, name)
        if isinstance(value, Instance):
            return self._instance_attribute(receiver, value, name, site)
        if isinstance(value, ClassObject):
            member = Known(value.definition.name) if name == "__name__" else value.member(name)
            return member if member is not None else self._interpretation.of_class(value, name, site)
        if isinstance(value, Super):
            return self._super_attribute(value, name, site)
        if isinstance(value, Items) and value.kind == "tuple" and name in _NAMED and value.items:
            return value.items[_NAMED[name]]
        if isinstance(value, Record) and name in value.names:
            return value.items[value.names[name]]
        if isinstance(value, Settings) and (name in value.entries or not hasattr(dict, name)):
            return value.entries.get(name) or self._interpretation.unknown(())
        if isinstance(value, (Items, Table, Namespace, *SOURCES)) or (
            isinstance(value, Known) and (isinstance(value.value, str) or name == "item")
        ):
            return Method(value, name, receiver.node)
        if isinstance(value, Partial):
            return self._of_partial(value, name)
        if isinstance(value, Closure) and name == "__name__" and isinstance(value.function, ir.Function):
            return Known(value.function.name)
        if isinstance(value, Closure) and name == "cache_clear" and self._core.functions.cache.size(value):
            return Method(value, name, receiver.node)
        if isinstance(value, (Closure, Known)):
            return self._interpretation.unknown((value,))
        return self._interpretation.attribute(receiver, name, site)

    def _of_partial(self, partial: Partial, name: str) -> Value:
        if name == "func":
            return partial.function
        if name == "keywords":
            return Table(dict(partial.keywords), partial.node)
        return self._interpretation.unknown((partial,))

    def _module_attribute(self, module: ModuleObject, name: str) -> Value:
        value = self._core.lookup.module_name(module.scope, name)
        if value is None:
            inner = self._core.resolve(f"{module.scope.name}.{name}", module.scope)
            value = ModuleObject(inner) if inner is not None else None
        return value if value is not None else self._interpretation.unknown(())

    def _instance_attribute(self, receiver: Operand, instance: Instance, name: str, site: Site) -> Value:
        found = instance.attributes.get(name)
        if found is not None:
            return found
        if name == "__dict__":
            return Namespace(instance)
        member = instance.type.member(name)
        if isinstance(member, Closure):
            return self.bound_member(member, instance, site)
        if member is not None:
            return member
        return self._interpretation.attribute(receiver, name, site)

    def bound_member(self, member: Closure, instance: Value, site: Site) -> Value:
        """What a member of a class is for an object of it."""
        for decorator in getattr(member.function, "decorators", ()):
            name = decorator.id if isinstance(decorator, ir.Name) else getattr(decorator, "name", "")
            if name == "staticmethod":
                return member
            if name in ("property", "cached_property"):
                found = self._core.functions.call_closure(self.bind(member, instance), Arguments(), site)
                if name == "cached_property" and isinstance(instance, Instance):
                    self._core.heap.write(instance.attributes, getattr(member.function, "name", ""), found)
                return found
        return self.bind(member, instance)

    def _super_attribute(self, value: Super, name: str, site: Site) -> Value:
        for base in _behind(value.owner, value.receiver):
            member = base.members.get(name) if isinstance(base, ClassObject) else None
            if isinstance(member, Closure):
                return self.bind(member, value.receiver)
        return Method(value, name, site.node)

    def bound(self, member: Closure, receiver: Value) -> Closure:
        """A method of an object; static ones stay functions."""
        names = [getattr(node, "id", "") for node in getattr(member.function, "decorators", ())]
        return member if "staticmethod" in names else self.bind(member, receiver)

    def bind(self, closure: Closure, receiver: Value) -> Closure:
        """A method with the object that it is called on."""
        return Closure(closure.function, closure.scope, closure.frame, receiver, closure.owner)

    def index(self, node: ir.Index, frame: Frame) -> Value:
        """The value of `x[i]`."""
        if _is_own_module(node):
            return ModuleObject(frame.scope)
        receiver = self._core.operand(node.value, frame)
        index = self._core.evaluate(node.index, frame)
        value = receiver.value
        if isinstance(value, (ModuleObject, Items, Table)):
            index = self._interpretation.chosen_key(index)
        if isinstance(value, ModuleObject) and isinstance(index, Known) and isinstance(index.value, str):
            return self._module_attribute(value, index.value)
        if isinstance(value, (Items, Table)) and isinstance(index, Known):
            if isinstance(value, Table):
                self._core.registries.fill(value, index.value)
            found = _item(value, index.value)
            if found is not None:
                return found
        activation = bystanders.item(value, index, node)
        if activation is not None:
            return activation
        if isinstance(value, (Reference, ClassObject)):
            return value  # a generic type with its parameters
        return self._interpretation.index(receiver, index, self._core.site(node, frame))

    def slice(self, node: ir.Slice, frame: Frame) -> Value:
        """The value of `i:j:k`."""
        bounds = [
            self._core.evaluate(part, frame) if part is not None else Known(None)
            for part in (node.lower, node.upper, node.step)
        ]
        known = [bound.value for bound in bounds if isinstance(bound, Known)]
        return Known(("slice", *known)) if len(known) == len(bounds) else self._interpretation.unknown(bounds)


def _behind(owner: ClassObject, receiver: Value) -> list[Value]:
    """The classes that `super()` looks in, in the order of the object's own class."""
    lineage = receiver.type.lineage() if isinstance(receiver, Instance) else owner.lineage()
    at = next(
        (i for i, base in enumerate(lineage) if getattr(base, "definition", 0) is owner.definition), None
    )
    return owner.lineage()[1:] if at is None else lineage[at + 1 :]


def _is_own_module(node: ir.Index) -> bool:
    """Whether an expression is `sys.modules[__name__]`."""
    owner, index = node.value, node.index
    return (
        isinstance(index, ir.Name)
        and index.id == "__name__"
        and isinstance(owner, ir.Attribute)
        and owner.name == "modules"
        and isinstance(owner.value, ir.Name)
        and owner.value.id == "sys"
    )


def _item(value: Items | Table, key: Any) -> Value | None:
    try:
        if isinstance(value, Table):
            return value.entries.get(key)
        if isinstance(key, int) and not value.open:
            return value.items[key]
        if isinstance(key, tuple) and key[:1] == ("slice",) and not value.open:
            return Items(value.kind, value.items[slice(*key[1:])], value.node)
    except (IndexError, TypeError, ValueError):
        pass
    return None
