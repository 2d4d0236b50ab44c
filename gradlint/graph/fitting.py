"""Which classes of a module fit a parameter that is used as a class of layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gradlint.records import ir
from gradlint.semantics.bindings import walk
from gradlint.semantics.classes import is_module
from gradlint.semantics.value import ClassObject, Closure, Instance, Value

_MOST = 4
"""Of more classes than these none is meant."""


def is_asked_as_class(parameter: ir.Parameter, closure: Closure) -> frozenset[str]:
    """The attributes that the constructor of a model reads of one of its parameters: `block.expansion`."""
    function = closure.function
    is_constructor = isinstance(closure.receiver, Instance) and is_module(closure.receiver.type)
    if not is_constructor or not isinstance(function, ir.Function) or function.name != "__init__":
        return frozenset()
    read = [node for node in walk(function.body) if isinstance(node, ir.Attribute)]
    return frozenset(n.name for n in read if isinstance(n.value, ir.Name) and n.value.id == parameter.name)


def fitting(asked: frozenset[str], classes: Iterable[Value], without: Value | None) -> list[Value]:
    """The classes of layers that state all attributes that are asked of one; none where they are many."""
    own = without.type if isinstance(without, Instance) else None
    found = [cls for cls in _modules(classes) if cls is not own and all(_states(cls, name) for name in asked)]
    return list(found) if len(found) <= _MOST else []


def _modules(values: Iterable[Value]) -> Iterator[ClassObject]:
    for value in values:
        if isinstance(value, ClassObject) and is_module(value):
            yield value


def _states(cls: ClassObject, name: str) -> bool:
    """Whether a class itself, not its objects, has an attribute that is no method."""
    member = cls.member(name)
    return member is not None and not isinstance(member, Closure)
