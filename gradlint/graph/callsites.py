"""With what arguments a file constructs its models: its code is run as far as it makes objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from msgspec import Struct
from msgspec.structs import astuple

from gradlint.graph.construct import copied
from gradlint.graph.interpret import GraphFacts, Sought
from gradlint.graph.values import Anything
from gradlint.records import ir
from gradlint.semantics.classes import is_module as is_module_class
from gradlint.semantics.evaluate import EXHAUSTED, Evaluator
from gradlint.semantics.interpretation import Arguments, Budget
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import ClassObject, Closure, Items, Table, Value

_BUDGET = Budget(unrolled=256, rounds=1024, steps=6_000, arm=2_500, objects=2000, recursion=4)
_FARTHEST = 3
"""Callers of callers of callers that are looked at."""
_MOST = 4
"""Definitions that are run for one class."""
_CALLERS = 2
"""Functions among them that stand equally far."""
_DEEPEST = 4

_ASKING = frozenset({"isinstance", "issubclass", "super"})
"""Functions that are told a class and make nothing of it."""

Given = Mapping[str, Value]


class Construction(Struct, frozen=True, eq=False):
    """One call of a class, its arguments by the names of the constructor's parameters."""

    definition: ir.Class
    given: Given


class CallSites:
    """Finds how the classes of a file are constructed in it."""

    def __init__(self, evaluator: Evaluator, facts: GraphFacts) -> None:
        self._evaluator = evaluator
        self._facts = facts
        self._mentions: dict[str, list[tuple[ir.Statement, frozenset[str]]]] = {}
        self._found: dict[int, list[Construction]] = {}

    def forget(self) -> None:
        """Give back what is only kept because it may be asked for again."""
        self._mentions.clear()
        self._found.clear()

    def learn(self, cls: ClassObject, made: Iterable[tuple[ClassObject, Arguments]]) -> None:
        """A class was constructed, and made these objects: it is not run again for what it makes."""
        self._found[id(cls.definition)] = [
            _construction(part, arguments) for part, arguments in made if is_module_class(part)
        ]

    def given(self, cls: ClassObject, without: frozenset[str] = frozenset()) -> Given:
        """What a class is constructed with where most is known of it.

        Arguments that are not known are left to their defaults. Where some are chosen otherwise
        (`without`), only what is still required is looked for.
        """
        required = _required(cls) - without
        if not required:
            return {}
        best: Given = {}
        for distance, ring in enumerate(self._users(cls)):
            wanted = Sought(cls.definition, partial(_is_enough, cls, required)) if not distance else None
            was_made = False
            for statement in ring:
                for made in self._constructions(statement, cls.scope, wanted):
                    if made.definition is cls.definition:
                        was_made = True
                        if _known(made, required) > len(best.keys() & required):
                            best = {name: value for name, value in made.given.items() if is_known(value)}
                if required <= best.keys() or (not was_made and EXHAUSTED in self._facts.unread):
                    break
            if was_made:
                break
        names = required if without else best.keys()
        return {name: copied(value) for name, value in best.items() if name in names}

    def _users(self, cls: ClassObject) -> Iterator[list[ir.Statement]]:
        """The statements of the module that name a class; those that name these, and so on."""
        found: list[ir.Statement] = [cls.definition]
        names, count = {cls.definition.name}, 0
        for _ in range(_FARTHEST):
            ring = self._naming(names, cls.scope, found)
            found += ring
            names = {s.name for s in ring if isinstance(s, (ir.Function, ir.Class))}
            outer = self._callers([s for s in ring if isinstance(s, ir.Function)], cls.scope)
            others = [s for s in ring if not isinstance(s, ir.Function)]
            chosen = [*outer[:_CALLERS], *sorted(others, key=lambda s: isinstance(s, ir.Class))]
            yield chosen[: _MOST - count]
            count += len(chosen)

    def _naming(
        self, names: set[str], scope: ModuleScope, without: Sequence[ir.Statement]
    ) -> list[ir.Statement]:
        return [
            statement
            for statement, mentioned in self._statements(scope)
            if names & mentioned and not any(statement is each for each in without)
        ]

    def _callers(self, functions: list[ir.Statement], scope: ModuleScope) -> list[ir.Statement]:
        """The functions that call these, or call what calls them: they know with what.

        What nothing calls stands for itself.
        """
        found = functions
        for _ in range(_FARTHEST):
            outer: list[ir.Statement] = []
            for function in found:
                callers = self._naming({getattr(function, "name", "")}, scope, [*functions, *outer])
                outer += [c for c in callers if isinstance(c, ir.Function)] or [function]
            if outer == found:
                break
            found = outer
        return found

    def _statements(self, scope: ModuleScope) -> list[tuple[ir.Statement, frozenset[str]]]:
        if scope.path not in self._mentions:
            lowered = [
                each
                for statement in scope.facts.body
                for each in (scope.lower(statement) if isinstance(statement, ir.Omitted) else (statement,))
            ]
            self._mentions[scope.path] = [
                (_bound(scope, each), frozenset(_names(each)))
                for each in lowered
                if not isinstance(each, ir.Import)
            ]
        return self._mentions[scope.path]

    def _constructions(
        self, statement: ir.Statement, scope: ModuleScope, sought: Sought | None
    ) -> list[Construction]:
        """What a statement of the module makes when it is run on its own, a class when it is constructed.

        Where one class is sought, code outside of classes is only followed to that.
        """
        if sought is not None and not isinstance(statement, ir.Class):
            return self._run(statement, scope, sought)
        key = id(statement)
        if key not in self._found:
            self._found[key] = []  # ends cycles
            self._found[key] = self._run(statement, scope)
        return self._found[key]

    def _run(
        self, statement: ir.Statement, scope: ModuleScope, sought: Sought | None = None
    ) -> list[Construction]:
        evaluator, facts = self._evaluator, self._facts
        value = evaluator.module_name(scope, getattr(statement, "name", ""))
        given = self.given(value) if isinstance(value, ClassObject) else {}
        facts.begin()
        with evaluator.limited(_BUDGET), facts.watching(sought) as made:
            if isinstance(value, ClassObject):
                evaluator.instantiate(value, given)
            elif isinstance(value, Closure):
                evaluator.run(value)
            elif not isinstance(statement, (ir.Function, ir.Class)):
                evaluator.run(Closure(_function(statement), scope))
        return [_construction(cls, arguments) for cls, arguments in made if is_module_class(cls)]


def _is_enough(cls: ClassObject, required: frozenset[str], arguments: Arguments) -> bool:
    """Whether a call gives a class all that it requires."""
    return _known(_construction(cls, arguments), required) == len(required)


def is_known(value: Value, depth: int = _DEEPEST) -> bool:
    """Whether something can be made of a value: no part of it is just anything."""
    if isinstance(value, Items):
        return not value.open and (not depth or all(is_known(item, depth - 1) for item in value.items))
    return not isinstance(value, Anything)


def _known(made: Construction, required: frozenset[str]) -> int:
    return sum(name in required and is_known(value) for name, value in made.given.items())


def _required(cls: ClassObject) -> frozenset[str]:
    """The parameters of a constructor without defaults."""
    init = cls.member("__init__")
    parameters = init.function.parameters[1:] if isinstance(init, Closure) else ()
    return frozenset(p.name for p in parameters if p.default is None and p.kind in ("plain", "keyword"))


def _construction(cls: ClassObject, arguments: Arguments) -> Construction:
    """The arguments of one call by name."""
    init = cls.member("__init__")
    parameters = init.function.parameters[1:] if isinstance(init, Closure) else ()
    positional = [operand.value for operand in arguments.positional]
    rest = {name: operand.value for name, operand in arguments.keywords.items()}
    if arguments.open:
        del positional[arguments.certain :]
    given: dict[str, Value] = {}
    for parameter in parameters:
        if parameter.kind == "arguments":
            node = ir.Display(parameter.span, "tuple", ())
            given[parameter.name] = Items("tuple", positional, node, arguments.open)
            positional = []
        elif parameter.kind == "keywords":
            table = ir.Dictionary(parameter.span, (), ())
            given[parameter.name] = Table(dict(rest), table, arguments.open)
        elif parameter.kind == "plain" and positional:
            given[parameter.name] = positional.pop(0)
        elif parameter.name in rest:
            given[parameter.name] = rest.pop(parameter.name)
    return Construction(cls.definition, given)


def _bound(scope: ModuleScope, statement: ir.Statement) -> ir.Statement:
    """The very statement that the module's names were evaluated from."""
    if not isinstance(statement, (ir.Function, ir.Class)):
        return statement
    same = [s for s in scope.binding(statement.name) if isinstance(s, type(statement))]
    return next((s for s in same if s.span == statement.span), statement)


def _function(statement: ir.Statement) -> ir.Function:
    """A statement of a module as a function, so that it can be run on its own."""
    return ir.Function(statement.span, "", (), (statement,), (), False, statement.span)


def _names(statement: ir.Statement) -> Iterator[str]:
    """The variables that code reads to call them or to hand them on, wherever in it.

    What only says of which kind something is, makes nothing: bases, annotations, tests of a type.
    """
    pending: list[object] = [statement]
    while pending:
        node = pending.pop()
        if isinstance(node, tuple):
            pending.extend(node)
        elif isinstance(node, ir.Name):
            yield node.id
        elif isinstance(node, ir.Node):
            pending.extend(_used(node))


def _used(node: ir.Node) -> tuple[object, ...]:
    """The parts of a piece of code that may make something."""
    if isinstance(node, ir.Class):
        return node.keywords, node.body, node.decorators
    if isinstance(node, ir.Parameter):
        return (node.default,)
    if isinstance(node, ir.Assign):
        return node.targets, node.value
    if isinstance(node, ir.Call) and isinstance(node.function, ir.Name) and node.function.id in _ASKING:
        return node.positional[:1] if node.function.id != "super" else ()
    return astuple(node)[1:]
