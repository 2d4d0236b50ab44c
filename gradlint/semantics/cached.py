"""Functions under `functools.cache`: what is called again with the same gives the same object."""

from __future__ import annotations

import math
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
    Reference,
    Value,
)

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator

_CACHING = frozenset({"functools.cache", "functools.lru_cache"})

_DEFAULT = 128
"""Results that `functools.lru_cache` keeps where nothing else is said."""

Key = tuple[int, Hashable]
"""A function, and what a call of it has in common with others that give the same object."""


class Cache:
    """Objects that cached functions gave, until the next model begins."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._known: dict[Key, tuple[Value, Arguments]] = {}
        self._sizes: dict[int, tuple[ir.Function | ir.Lambda, float]] = {}

    def key(self, closure: Closure, arguments: Arguments) -> Key | None:
        """What calls of a cached function have in common that give one object; None for other calls.

        As in Python, an argument that is given by name is another than one by position.
        """
        if arguments.open or not self.size(closure):
            return None
        receiver = None if closure.receiver is None else id(closure.receiver)
        positional = [_identity(operand.value) for operand in arguments.positional]
        named = [_identity(operand.value) for operand in arguments.keywords.values()]
        if None in positional or None in named:
            return None
        given = receiver, tuple(positional), tuple(arguments.keywords), tuple(named)
        return id(closure.function), given

    def found(self, key: Key | None) -> Value | None:
        """What a call with this key gave, if it was made and is not forgotten."""
        if key is None or key not in self._known:
            return None
        self._evaluator.imported.keep(self._known)
        found = self._known[key] = self._known.pop(key)
        return found[0]

    def put(self, key: Key | None, value: Value, arguments: Arguments) -> None:
        """A call with this key gave `value`; its arguments are kept, so that they stay the only ones. What
        was asked for longest ago makes room.
        """
        if key is None:
            return
        self._evaluator.imported.keep(self._known)
        self._known[key] = value, arguments
        kept = [each for each in self._known if each[0] == key[0]]
        if len(kept) > self._sizes[key[0]][1]:
            del self._known[kept[0]]

    def clear(self, closure: Closure) -> None:
        """Run `function.cache_clear()`."""
        self._evaluator.imported.keep(self._known)
        for key in [key for key in self._known if key[0] == id(closure.function)]:
            del self._known[key]

    def size(self, closure: Closure) -> float:
        """How many results are kept of a function at most: none of those that are not cached."""
        function = closure.function
        if not getattr(function, "decorators", ()):
            return 0
        if id(function) not in self._sizes:
            frame = Frame(closure.scope, closure.frame)
            sizes = [self._size(node, frame) for node in getattr(function, "decorators", ())]
            self._sizes[id(function)] = function, max(sizes)
        return self._sizes[id(function)][1]

    def _size(self, node: ir.Expression, frame: Frame) -> float:
        """How many results a decorator keeps."""
        maker = self._evaluator.evaluate(node.function if isinstance(node, ir.Call) else node, frame)
        if not isinstance(maker, Reference) or maker.name not in _CACHING:
            return 0
        if maker.name == "functools.cache" or not isinstance(node, ir.Call):
            return math.inf if maker.name == "functools.cache" else _DEFAULT
        named = [keyword.value for keyword in node.keywords if keyword.name == "maxsize"]
        given = (
            self._evaluator.evaluate([*node.positional, *named][0], frame)
            if node.positional or named
            else Known(_DEFAULT)
        )
        if not isinstance(given, Known) or given.value is None:
            return math.inf
        return max(given.value, 0) if isinstance(given.value, int) else _DEFAULT


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
