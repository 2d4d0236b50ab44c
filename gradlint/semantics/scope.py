"""Where names live: modules of the project and the frames of running functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from gradlint.records import ir
from gradlint.records.facts import FileFacts
from gradlint.records.span import Span
from gradlint.semantics.value import Closure, Value


@dataclass(slots=True, eq=False)
class Frame:
    """The variables of one activation of a function, a class body or a comprehension.

    `alive` until a statement leaves the body; `jump` says which kind did. `outer` are the variables
    that belong to a function around this one though they are bound here. What `:=` binds within a
    comprehension belongs to the function.
    """

    scope: ModuleScope
    parent: Frame | None = None
    variables: dict[str, Value] = field(default_factory=dict)
    closure: Closure | None = None
    returned: list[Value] = field(default_factory=list)
    alive: bool = True
    jump: str = ""
    outer: set[str] = field(default_factory=set)
    is_comprehension: bool = False

    def function(self) -> Frame:
        """The frame of the function, class or module that a comprehension stands in."""
        frame = self
        while frame.is_comprehension and frame.parent is not None:
            frame = frame.parent
        return frame

    def lookup(self, name: str) -> Value | None:
        """The value of `name` in this frame or one that encloses it."""
        frame: Frame | None = self
        while frame is not None:
            found = frame.variables.get(name)
            if found is not None:
                return found
            frame = frame.parent
        return None


@dataclass(slots=True, eq=False)
class ModuleScope:
    """The names of one module. Each is lowered and evaluated when it is first asked for.

    `read` lowers what the facts left out.
    """

    path: str
    name: str
    facts: FileFacts
    read: Callable[[ir.Omitted], tuple[ir.Statement, ...]]
    is_package: bool = False
    _lowered: dict[Span, tuple[ir.Statement, ...]] = field(default_factory=dict)
    _values: dict[object, dict[str, Value | None]] = field(default_factory=dict)
    _bindings: dict[str, tuple[ir.Statement | ir.Binding, ...]] | None = None
    stars: list[ir.Binding] = field(default_factory=list)
    _imports: dict[str, tuple[ir.Binding, ...]] | None = None

    def values_under(self, interpretation: object) -> dict[str, Value | None]:
        """What the names are that were evaluated so far, as one interpretation understands them."""
        return self._values.setdefault(interpretation, {})

    def lower(self, omitted: ir.Omitted) -> tuple[ir.Statement, ...]:
        """What the facts left out at one place, always the same objects."""
        known = self._lowered.get(omitted.span)
        if known is None:
            known = self._lowered[omitted.span] = self.read(omitted)
        return known

    @property
    def bindings(self) -> dict[str, tuple[ir.Statement | ir.Binding, ...]]:
        """For every name, the statements that may have bound it last."""
        if self._bindings is None:
            self._bindings = {}
            for name, statement in _bound(self.facts.body, self.stars.append):
                self._bindings[name] = statement
        return self._bindings

    @property
    def imports(self) -> dict[str, tuple[ir.Binding, ...]]:
        """For every name that an import may have bound last, the imports that may have."""
        if self._imports is None:
            found = {
                name: tuple([s for s in statements if isinstance(s, ir.Binding)])
                for name, statements in self.bindings.items()
            }
            self._imports = {name: imports for name, imports in found.items() if imports}
        return self._imports

    def replace_facts(self, facts: FileFacts) -> None:
        """Take facts in which more of the same module is lowered."""
        self.facts = facts
        self._lowered.clear()
        self._bindings = None
        self._imports = None
        self.stars.clear()

    def binding(self, name: str) -> tuple[ir.Statement | ir.Binding, ...]:
        """The statements that may have bound `name` last, lowered now if they were left out."""
        found = self.bindings.get(name, ())
        if any(isinstance(statement, ir.Omitted) for statement in found):
            omitted = [statement for statement in found if isinstance(statement, ir.Omitted)]
            body = tuple([statement for each in omitted for statement in self.lower(each)])
            lowered = dict(_bound(body, self.stars.append)).get(name, ())
            found = (*(s for s in found if not isinstance(s, ir.Omitted)), *lowered)
            self.bindings[name] = found
        return found

    @property
    def package(self) -> str:
        """The dotted name of the package that relative imports start from."""
        return self.name if self.is_package else self.name.rpartition(".")[0]


def absolute_module(binding: ir.Binding, scope: ModuleScope) -> str:
    """The dotted name of the module that a binding of `scope` imports from."""
    if not binding.level:
        return binding.module
    package = scope.package.split(".")
    kept = package[: len(package) - binding.level + 1]
    return ".".join([*kept, *([binding.module] if binding.module else [])])


Bound = tuple[str, tuple[ir.Statement | ir.Binding, ...]]


def _bound(body: Iterable[ir.Statement], star: Callable[[ir.Binding], None]) -> Iterator[Bound]:
    """Each name that `body` binds with the statements that may be responsible, in order."""
    for statement in body:
        if isinstance(statement, ir.Import):
            for binding in statement.bindings:
                if binding.member == "*":
                    star(binding)
                else:
                    yield binding.name, (binding,)
        elif isinstance(statement, (ir.Function, ir.Class)):
            yield statement.name, (statement,)
        elif isinstance(statement, ir.Omitted):
            for name in statement.names:
                yield name, (statement,)
        elif isinstance(statement, ir.Assign) and statement.value is not None:
            yield from _targets(statement.targets, statement)
        elif isinstance(statement, ir.Augment):
            yield from _targets([statement.target], statement)
        elif isinstance(statement, ir.Branch):
            yield from _alternatives((statement.then, statement.otherwise), star)
        elif isinstance(statement, ir.Try):
            bodies = [statement.body, *[handler.body for handler in statement.handlers]]
            yield from _alternatives(bodies, star)
            yield from _bound((*statement.otherwise, *statement.final), star)
        elif isinstance(statement, ir.With):
            targets = [item.target for item in statement.items if item.target is not None]
            yield from _targets(targets, statement)
            yield from _bound(statement.body, star)
        elif isinstance(statement, ir.Loop):
            yield from _targets([statement.target] if statement.target is not None else [], statement)
            yield from _alternatives((statement.body, statement.otherwise), star)


def _targets(targets: Iterable[ir.Expression], statement: ir.Statement) -> Iterator[Bound]:
    for target in targets:
        for name in target_names(target):
            yield name, (statement,)


def _alternatives(
    bodies: Iterable[tuple[ir.Statement, ...]], star: Callable[[ir.Binding], None]
) -> Iterator[Bound]:
    found: dict[str, tuple[ir.Statement | ir.Binding, ...]] = {}
    for body in bodies:
        for name, statements in dict(_bound(body, star)).items():
            found[name] = (*found.get(name, ()), *statements)
    yield from found.items()


def target_names(target: ir.Expression) -> Iterator[str]:
    """The variables that an assignment to `target` binds."""
    if isinstance(target, ir.Name):
        yield target.id
    elif isinstance(target, ir.Display):
        for item in target.items:
            yield from target_names(item)
    elif isinstance(target, ir.Starred):
        yield from target_names(target.value)


def assigned(body: Iterable[ir.Statement]) -> set[str]:
    """The variables that running `body` may bind or change, nested definitions aside."""
    found: set[str] = set()
    for statement in body:
        if isinstance(statement, ir.Assign):
            for target in statement.targets:
                found.update(target_names(target))
        elif isinstance(statement, ir.Augment):
            found.update(target_names(statement.target))
        elif isinstance(statement, (ir.Function, ir.Class)):
            found.add(statement.name)
        elif isinstance(statement, ir.Import):
            found.update(binding.name for binding in statement.bindings)
        elif isinstance(statement, ir.Branch):
            found |= assigned(statement.then) | assigned(statement.otherwise)
        elif isinstance(statement, ir.Loop):
            if statement.target is not None:
                found.update(target_names(statement.target))
            found |= assigned(statement.body) | assigned(statement.otherwise)
        elif isinstance(statement, ir.With):
            for item in statement.items:
                if item.target is not None:
                    found.update(target_names(item.target))
            found |= assigned(statement.body)
        elif isinstance(statement, ir.Try):
            for part in (statement.body, statement.otherwise, statement.final):
                found |= assigned(part)
            for handler in statement.handlers:
                found |= assigned(handler.body)
    return found
