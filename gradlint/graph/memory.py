"""What constructors and functions gave for arguments that come again: models repeat their blocks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

from msgspec import Struct

from gradlint.graph.construct import copied
from gradlint.graph.values import Anything, Choice, Drawn, Layer, Weight, held_by
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
    """A result with what it was made from, and the traces of the call.

    `held` are the layers and weights among the arguments, `changes` what became of them: the place in `held`,
    the name of an attribute, and its new value.
    """

    result: Value
    target: Value
    arguments: Arguments
    traces: Traces
    held: tuple[Layer | Weight, ...] = ()
    changes: tuple[tuple[int, str, Value], ...] = ()


class Memory:
    """Results by target and arguments.

    What is given out is a copy, in which objects among the arguments stay themselves, and layers and weights
    among them change as they did. A call that changed other arguments is not remembered. Of an `outer` one it
    takes over what does not rest on how often a loop of unknown length is run.
    """

    def __init__(self, outer: Memory | None = None) -> None:
        self._known: dict[Hashable, Remembered] = {}
        self._running: set[Hashable] = set()
        self._outer = outer

    def recall(
        self,
        target: Closure | ClassObject,
        arguments: Arguments,
        run: Callable[[], tuple[Value, Traces | None]],
        write: Callable[[dict[str, Value], str, Value], None],
    ) -> tuple[Value, Traces | None]:
        """The result of a call and its traces, where that is remembered; `run` makes it, with None for the
        latter where it did something that a copy would not. What calls itself with the very same
        arguments gives anything. Attributes are changed by `write`.
        """
        key, held = _key(target, arguments)
        if key is None:
            return run()[0], None
        known = self._remembered(key)
        if known is not None:
            for position, name, value in known.changes:
                write(held[position].attributes, name, value)
            return _copied(known.result, arguments, zip(known.held, held, strict=True)), known.traces
        if key in self._running:
            return Anything("recursion"), None
        before = [dict(each.attributes) for each in held]
        self._running.add(key)
        try:
            result, traces = run()
        finally:
            self._running.discard(key)
        if traces is not None and not _closes_over(result):
            changes = _changes(before, held)
            if changes is not None and _key(target, arguments, before)[0] == key:
                kept = _copied(result, arguments, zip(held, held, strict=True))
                self._known[key] = Remembered(kept, target, arguments, traces, tuple(held), changes)
        return result, None

    def _remembered(self, key: Hashable) -> Remembered | None:
        known = self._known.get(key)
        if known is None and self._outer is not None:
            known = self._outer._remembered(key)
            return None if known is not None and known.traces.uncounted else known
        return known

    def forget(self) -> None:
        """Give back what is only kept because it may be asked for again."""
        self._known.clear()


def _changes(
    before: Sequence[dict[str, Value]], held: Sequence[Layer | Weight]
) -> tuple[tuple[int, str, Value], ...] | None:
    """What became of layers and weights; None where that cannot be done to others."""
    found = []
    for position, (old, each) in enumerate(zip(before, held, strict=True)):
        new = each.attributes
        if old.keys() - new.keys():
            return None
        found += [(position, name, value) for name, value in new.items() if old.get(name) is not value]
    return tuple(found) if all(isinstance(value, (Known, Drawn)) for _, _, value in found) else None


def _closes_over(result: Value) -> bool:
    """Whether a function within sees variables of the call, which a copy would not have."""
    return any(isinstance(value, Closure) and value.frame is not None for value in held_by([result]))


def _copied(value: Value, arguments: Arguments, held: Iterable[tuple[Value, Value]]) -> Value:
    """A copy in which arguments stay themselves; of two in `held` the second takes the place of the first."""
    same: dict[int, Value] = {id(each): each for each in _objects(arguments.values())}
    return copied(value, same | {id(old): new for old, new in held})


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


def _key(
    target: Closure | ClassObject, arguments: Arguments, contents: Sequence[dict[str, Value]] | None = None
) -> tuple[Hashable | None, list[Layer | Weight]]:
    """What calls have in common that give the same, None where that is not known, and the layers and
    weights among the arguments. With `contents` these are compared as they were before.
    """
    identity = id(target.function) if isinstance(target, Closure) else id(target)
    comparison = _Comparison(contents)
    of = comparison.of
    try:
        positional = tuple([of(operand.value, 0) for operand in arguments.positional])
        keywords = tuple([(name, of(operand.value, 0)) for name, operand in arguments.keywords.items()])
        key = (identity, positional, keywords, arguments.open, arguments.certain)
        hash(key)
    except (_NotComparable, TypeError):
        return None, []
    return key, comparison.held


class _Comparison:
    """Says of values what others must have in common with them; an object that comes again is named.

    `held` are the layers and weights that were met, in order.
    """

    def __init__(self, contents: Sequence[dict[str, Value]] | None = None) -> None:
        self._left = _MOST_COMPARED
        self._met: set[int] = set()
        self._contents = contents
        self._positions: dict[int, int] = {}
        self.held: list[Layer | Weight] = []

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
        if type(value) is Weight or type(value) is Layer:
            return self._held(value, depth)
        if type(value) is Drawn and not value.pieces:
            drawn = value.initial
            return Drawn, drawn.scheme, tuple(drawn.settings.items()), drawn.factor, drawn.place, value.shape
        raise _NotComparable

    def _held(self, value: Layer | Weight, depth: int) -> Hashable:
        """What a layer or a weight is, and holds: another one may stand in its place."""
        position = self._positions.setdefault(id(value), len(self.held))
        if position < len(self.held):
            return Weight, position
        if self._contents is not None and position >= len(self._contents):
            raise _NotComparable  # the call put it there
        self.held.append(value)
        inside = value.attributes if self._contents is None else self._contents[position]
        contents = tuple([(name, self.of(item, depth)) for name, item in inside.items()])
        if isinstance(value, Weight):
            return Weight, value.is_trained, contents
        parts = tuple([(name, self.of(part, depth)) for name, part in value.parts.items()])
        return Layer, value.type, tuple(value.settings.items()), contents, parts
