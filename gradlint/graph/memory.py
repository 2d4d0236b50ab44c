"""What constructors and functions gave for arguments that come again: models repeat their blocks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

from msgspec import Struct

from gradlint.graph.construct import copied
from gradlint.graph.values import Anything, Choice, held_by
from gradlint.records.graph import Place
from gradlint.semantics.classes import is_module
from gradlint.semantics.interpretation import Arguments
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Collection,
    Instance,
    Items,
    Known,
    ModuleObject,
    Partial,
    Reference,
    Table,
    Value,
)

_DEEPEST = 6
_MOST_COMPARED = 2_000
"""Values within the arguments of one call that are compared."""


class _NotComparable(Exception):  # noqa: N818
    """A value is not known to be the same as any other."""


class Traces(Struct, frozen=True):
    """What a call leaves beside its result: files and names that were looked up, functions that ran,
    why it was not followed to its end, the objects of the project that it made, and where a loop of unknown
    length made something.
    """

    consulted: frozenset[tuple[str, str]] = frozenset()
    ran: frozenset[int] = frozenset()
    unread: tuple[str, ...] = ()
    constructed: tuple[tuple[ClassObject, Arguments], ...] = ()
    uncounted: tuple[Place, ...] = ()


class Remembered(Struct, frozen=True):
    """A result with what it was made from, and the traces of the call."""

    result: Value
    target: Value
    arguments: Arguments
    traces: Traces


class Memory:
    """Results by target and arguments.

    What is given out is a copy, in which objects among the arguments stay themselves. A call that
    changed its arguments is not remembered.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, Remembered] = {}
        self._running: set[Hashable] = set()

    def recall(
        self,
        target: Closure | ClassObject,
        arguments: Arguments,
        run: Callable[[], tuple[Value, Traces | None]],
    ) -> tuple[Value, Traces | None]:
        """The result of a call and its traces, where that is remembered; `run` makes it, with None for the
        latter where it did something that a copy would not. What calls itself with the very same
        arguments gives anything.
        """
        key = _key(target, arguments)
        known = self._known.get(key) if key is not None else None
        if known is not None:
            return _copied(known.result, arguments), known.traces
        if key is None:
            return run()[0], None
        if key in self._running:
            return Anything("recursion"), None
        self._running.add(key)
        try:
            result, traces = run()
        finally:
            self._running.discard(key)
        if traces is not None and _key(target, arguments) == key and not _closes_over(result):
            self._known[key] = Remembered(_copied(result, arguments), target, arguments, traces)
        return result, None

    def forget(self) -> None:
        """Give back what is only kept because it may be asked for again."""
        self._known.clear()


def _closes_over(result: Value) -> bool:
    """Whether a function within sees variables of the call, which a copy would not have."""
    return any(isinstance(value, Closure) and value.frame is not None for value in held_by([result]))


def _copied(value: Value, arguments: Arguments) -> Value:
    return copied(value, {id(each): each for each in _objects(arguments.values())})


def _objects(values: Sequence[Value], depth: int = 0) -> Iterator[Value]:
    """What has an identity among values and within them."""
    for value in values:
        if isinstance(value, (Instance, Collection)) and depth < _DEEPEST:
            yield value
            yield from _objects(_within(value), depth + 1)


def _within(value: Instance | Collection) -> Sequence[Value]:
    if isinstance(value, Instance):
        return list(value.attributes.values())
    if isinstance(value, Items):
        return value.items
    return value.values() if isinstance(value, Table) else ()


def _key(target: Closure | ClassObject, arguments: Arguments) -> Hashable | None:
    """What calls have in common that give the same; None where that is not known."""
    identity = id(target.function) if isinstance(target, Closure) else id(target)
    of = _Comparison().of
    try:
        positional = tuple([of(operand.value, 0) for operand in arguments.positional])
        keywords = tuple([(name, of(operand.value, 0)) for name, operand in arguments.keywords.items()])
        key = (identity, positional, keywords, arguments.open, arguments.certain)
        hash(key)
    except (_NotComparable, TypeError):
        return None
    return key


class _Comparison:
    """Says of values what others must have in common with them; an object that comes again is named."""

    def __init__(self) -> None:
        self._left = _MOST_COMPARED
        self._met: set[int] = set()

    def of(self, value: Value, depth: int) -> Hashable:
        """What is the same in all values that cannot be told from this one."""
        self._left -= 1
        if isinstance(value, Known):
            return type(value.value), value.value
        if isinstance(value, Reference):
            return value.name
        if isinstance(value, (ModuleObject, ClassObject)):
            return id(value)
        if isinstance(value, Anything):
            return Anything, value.reason
        if depth < _DEEPEST and self._left > 0:
            return self._composed(value, depth + 1)
        raise _NotComparable

    def _composed(self, value: Value, depth: int) -> Hashable:
        of = self.of
        if isinstance(value, Closure) and value.receiver is None and value.frame is None:
            return id(value.function)
        if isinstance(value, Items):
            return value.kind, value.open, tuple([of(item, depth) for item in value.items])
        if isinstance(value, Table):
            others = tuple([of(item, depth) for item in value.others])
            return value.open, tuple([(key, of(item, depth)) for key, item in value.entries.items()]), others
        if isinstance(value, Partial):
            named = tuple([(name, of(item, depth)) for name, item in value.keywords.items()])
            return of(value.function, depth), tuple([of(item, depth) for item in value.positional]), named
        if isinstance(value, Choice):
            return Choice, tuple([of(option, depth) for option in value.options])
        if isinstance(value, Instance) and not is_module(value.type):
            if id(value) in self._met:
                return id(value)
            self._met.add(id(value))
            return id(value), tuple([(name, of(item, depth)) for name, item in value.attributes.items()])
        raise _NotComparable
