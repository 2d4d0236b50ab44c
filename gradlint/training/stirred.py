"""Which attributes of objects a loop may change, found by the names that its code mentions."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import NamedTuple

from gradlint.records import ir
from gradlint.semantics.bindings import walk
from gradlint.semantics.scope import Frame, ModuleScope
from gradlint.semantics.value import ClassObject, Closure, Instance, ModuleObject, Value
from gradlint.training.values import within

_MOST_VALUES = 2000
_MOST_BODIES = 4000
_DYNAMIC = frozenset({"getattr", "methodcaller"})
_IMPLICIT = frozenset({"__call__", "__enter__", "__exit__", "__iter__", "__next__", "__iadd__"})
"""Methods that run without their name."""

Body = tuple[ir.Statement, ...]


class _Mentions(NamedTuple):
    """The names in a piece of code, and those of the attributes that it assigns to."""

    names: frozenset[str]
    assigned: frozenset[str]


class Stirring:
    """Finds what a loop stirs: its own code, and that of the functions and methods that it may run.

    `look_up` finds what a name of a module means.
    """

    def __init__(self, look_up: Callable[[ModuleScope, str], Value | None]) -> None:
        self._look_up = look_up
        self._mentioned: dict[int, tuple[object, _Mentions]] = {}
        self._changed: dict[Hashable, tuple[object, frozenset[str]]] = {}

    def of(self, body: Body, frame: Frame) -> Iterator[tuple[Instance, str]]:
        """The objects within reach of a frame, with the attributes that a loop over `body` may change."""
        held = list(_held(frame))
        objects = [value for value in held if isinstance(value, Instance)]
        if not objects:
            return
        closures = [value for value in held if isinstance(value, Closure)]
        changed = self._assigned(body, frame, list({id(o.type): o.type for o in objects}.values()), closures)
        for each in objects:
            for name in sorted(changed & each.attributes.keys()):
                yield each, name

    def _assigned(
        self, body: Body, frame: Frame, classes: list[ClassObject], closures: list[Closure]
    ) -> frozenset[str]:
        """The attributes that code assigns to, with all the code behind the names in it."""
        functions = sorted(id(closure.function) for closure in closures)
        key = (id(body), tuple(sorted(map(id, classes))), tuple(functions))
        if key not in self._changed:
            if len(self._changed) >= _MOST_BODIES:
                self._changed.clear()
            reach = _Reach(_methods(classes), self._look_up, self._mentions)
            kept = (body, classes, closures)
            self._changed[key] = kept, reach.assigned(body, frame, closures)
        return self._changed[key][1]

    def _mentions(self, body: object) -> _Mentions:
        if id(body) not in self._mentioned:
            if len(self._mentioned) >= _MOST_BODIES:
                self._mentioned.clear()
            self._mentioned[id(body)] = body, _mentions(body)
        return self._mentioned[id(body)][1]


class _Reach(NamedTuple):
    """Goes from code to the code that it may run."""

    methods: dict[str, list[Closure]]
    look_up: Callable[[ModuleScope, str], Value | None]
    mentions: Callable[[object], _Mentions]

    def assigned(self, body: Body, frame: Frame, closures: Iterable[Closure]) -> frozenset[str]:
        """The attributes that code assigns to, by whatever way."""
        pending: list[tuple[object, Frame]] = [(body, frame), *map(_code, closures)]
        seen: set[int] = set()
        found: set[str] = set()
        while pending:
            code, where = pending.pop()
            if id(code) not in seen:
                seen.add(id(code))
                mentions = self.mentions(code)
                found |= mentions.assigned
                pending += map(_code, self._behind(mentions.names, where))
        return frozenset(found)

    def _behind(self, names: frozenset[str], frame: Frame) -> Iterator[Closure]:
        """The functions that names may mean: methods of the classes, and what stands under them."""
        wanted = self.methods.keys() if names & _DYNAMIC else self.methods.keys() & (names | _IMPLICIT)
        for name in wanted:
            yield from self.methods[name]
        for name in names:
            value = frame.lookup(name) or self.look_up(frame.scope, name)
            if isinstance(value, Closure):
                yield value
            elif isinstance(value, ModuleObject):
                inside = (self.look_up(value.scope, other) for other in names & value.scope.bindings.keys())
                yield from (found for found in inside if isinstance(found, Closure))


def _code(closure: Closure) -> tuple[object, Frame]:
    return closure.function.body, Frame(closure.scope, closure.frame)


def _methods(classes: list[ClassObject]) -> dict[str, list[Closure]]:
    """The methods of classes by name, constructors aside; of each class the one that an object has."""
    found: dict[str, list[Closure]] = {}
    for cls in classes:
        lineage = [base for base in reversed(cls.lineage()) if isinstance(base, ClassObject)]
        members = [pair for base in lineage for pair in base.members.items()]
        own = {name: each for name, each in members if isinstance(each, Closure) and name != "__init__"}
        for name, method in own.items():
            found.setdefault(name, []).append(method)
    return found


def _mentions(body: object) -> _Mentions:
    names: set[str] = set()
    assigned: set[str] = set()
    for node in walk(body):
        if isinstance(node, ir.Name):
            names.add(node.id)
        elif isinstance(node, ir.Attribute):
            names.add(node.name)
        elif isinstance(node, (ir.Assign, ir.Augment)):
            targets = node.targets if isinstance(node, ir.Assign) else (node.target,)
            places = (part for target in targets for part in walk(target))
            assigned.update(part.name for part in places if isinstance(part, ir.Attribute))
    return _Mentions(frozenset(names), frozenset(assigned))


def _held(frame: Frame) -> Iterator[Value]:
    """What the variables of a frame, and of those around it, consist of."""
    seen: set[int] = set()
    around: Frame | None = frame
    while around is not None:
        for value in [*around.variables.values()]:
            for part in within(value, _MOST_VALUES) if id(value) not in seen else ():
                if id(part) not in seen:
                    seen.add(id(part))
                    yield part
        around = around.parent
