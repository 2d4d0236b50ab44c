"""Functions under `functools.cache`: what is called again with the same gives the same object."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from gradlint.records import ir
from gradlint.semantics.interpretation import Arguments
from gradlint.semantics.scope import Frame
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Instance,
    Items,
    Known,
    ModuleObject,
    Partial,
    Reference,
    Value,
)

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator

_CACHING = frozenset({"functools.cache", "functools.lru_cache"})

_TIMELESS = (Known, Reference, ModuleObject, ClassObject, Closure, Partial)
"""Values of which two cannot be told apart: it makes no difference whether they are made anew."""


class Cache:
    """Objects that cached functions gave, until the next model begins."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._known: dict[Hashable, tuple[Value, Arguments]] = {}
        self._caching: dict[int, tuple[ir.Function | ir.Lambda, bool]] = {}

    def key(self, closure: Closure, arguments: Arguments) -> Hashable | None:
        """What calls of a cached function have in common that give one object; None for other calls.

        As in Python, an argument that is given by name is another than one by position.
        """
        if arguments.open or not self._is_cached(closure):
            return None
        receiver = None if closure.receiver is None else id(closure.receiver)
        positional = [_identity(operand.value) for operand in arguments.positional]
        named = [_identity(operand.value) for operand in arguments.keywords.values()]
        if None in positional or None in named:
            return None
        return id(closure.function), receiver, tuple(positional), tuple(arguments.keywords), tuple(named)

    def found(self, key: Hashable | None) -> Value | None:
        """What a call with this key gave, if it was made."""
        return None if key is None or key not in self._known else self._known[key][0]

    def put(self, key: Hashable | None, value: Value, arguments: Arguments) -> None:
        """A call with this key gave `value`; its arguments are kept, so that they stay the only ones."""
        if key is not None and not isinstance(value, _TIMELESS):
            self._evaluator.imported.keep(self._known)
            self._known[key] = value, arguments

    def _is_cached(self, closure: Closure) -> bool:
        function = closure.function
        if not getattr(function, "decorators", ()):
            return False
        if id(function) not in self._caching:
            self._caching[id(function)] = function, any(self._decorators(closure))
        return self._caching[id(function)][1]

    def _decorators(self, closure: Closure) -> list[bool]:
        """For every decorator, whether it is one that caches."""
        nodes = [
            node.function if isinstance(node, ir.Call) else node
            for node in getattr(closure.function, "decorators", ())
        ]
        found = [self._evaluator.evaluate(node, Frame(closure.scope, closure.frame)) for node in nodes]
        return [isinstance(value, Reference) and value.name in _CACHING for value in found]


def _identity(value: Value) -> Hashable | None:
    """What two arguments have in common that are equal; None where that is not known."""
    if isinstance(value, Known):
        return (type(value.value), value.value) if isinstance(value.value, Hashable) else None
    if isinstance(value, Reference):
        return value.name
    if isinstance(value, Items) and value.kind == "tuple" and not value.open:
        items = [_identity(item) for item in value.items]
        return None if None in items else tuple(items)
    return id(value) if isinstance(value, (ClassObject, Closure, Instance, ModuleObject)) else None
