"""How often an iteration runs: whether the code says it, or the name by which it is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from msgspec import Struct

from gradlint.graph.callsites import is_known
from gradlint.graph.entries import lowered
from gradlint.graph.occurrences import (
    Definition,
    bindings,
    binds,
    dotted,
    is_of,
    is_read,
    last,
    parts,
    tests,
    walk,
)
from gradlint.records import ir
from gradlint.records.graph import Place
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import Items, Known, Table, Value

_KEEPING = frozenset(
    {
        "range",
        "len",
        "zip",
        "enumerate",
        "reversed",
        "min",
        "max",
        "int",
        "round",
        "abs",
        "sum",
        "list",
        "tuple",
    }
)
"""Functions of Python whose result is known where their arguments are."""
_LOOKUPS = frozenset({"get", "items", "values", "keys", "copy", "pop"})
"""Methods of a table that give what it holds."""
_FARTHEST = 6


class Module(Struct, frozen=True, dict=True):
    """A module's statements, and what its names are once it was imported."""

    body: tuple[ir.Statement, ...]
    value: Callable[[str], Value | None]

    @cached_property
    def calls(self) -> dict[str, list[tuple[ir.Call, tuple[Definition, ...]]]]:
        """The calls in the module by the last name of what is called, each with the definitions around it."""
        found: dict[str, list[tuple[ir.Call, tuple[Definition, ...]]]] = {}
        for node, around in walk(self.body, ()):
            if isinstance(node, ir.Call):
                found.setdefault(last(node.function), []).append((node, around))
        return found

    def around(self, place: Place) -> tuple[ir.Node, tuple[Definition, ...]] | None:
        """The expression that stands at a place, and the definitions around it."""
        nodes = walk(self.body, ())
        return next(((n, around) for n, around in nodes if n.span == place.span and is_read(n)), None)


def module(scope: ModuleScope, value: Callable[[str], Value | None]) -> Module:
    """A module as it is asked how often something in it runs."""
    return Module(tuple(lowered(scope.facts.body, scope)), value)


def undecided(place: Place, here: Module, others: Iterable[Module]) -> str | None:
    """The name that decides how often the iteration at a place runs; None where the code says the number.

    It does where the number is written, chosen from a table that is written, tested against what it may
    be, or handed over by calls that write it, each of those in the module and in `others`.
    """
    found = here.around(place)
    if found is None:
        return ""
    node, around = found
    return _Search((here, *others)).unstated(node, here, around)


class _Search:
    """Follows what an expression is made of, as far as names lead."""

    def __init__(self, modules: tuple[Module, ...]) -> None:
        self._modules = modules
        self._pending: set[tuple[int, str]] = set()

    def unstated(self, node: ir.Node | None, here: Module, around: tuple[Definition, ...]) -> str | None:
        """The first name in an expression of which nothing is written; None where there is none."""
        if node is None or isinstance(node, (ir.Literal, ir.Lambda)):
            return None
        if isinstance(node, ir.Name):
            return self._named(node.id, here, around)
        if isinstance(node, ir.Attribute):
            return self._attribute(node, here, around)
        if isinstance(node, ir.Call):
            return self._called(node, here, around)
        if isinstance(node, ir.Index):
            return self.unstated(node.value, here, around)
        if isinstance(node, ir.Comprehension):
            sources = [generator.iterable for generator in node.generators]
            return self._first(sources, here, around)
        if isinstance(node, ir.Operation) and node.operator == "mul":
            return self._first([n for n in node.operands if not isinstance(n, ir.Display)], here, around)
        if isinstance(node, (ir.Operation, ir.Display, ir.Dictionary, ir.Conditional, ir.Starred)):
            return self._first(parts(node), here, around)
        return ""

    def _first(self, nodes: Iterable[ir.Node], here: Module, around: tuple[Definition, ...]) -> str | None:
        return next((name for n in nodes if (name := self.unstated(n, here, around)) is not None), None)

    def _called(self, node: ir.Call, here: Module, around: tuple[Definition, ...]) -> str | None:
        function = node.function
        if isinstance(function, ir.Name) and function.id in _KEEPING:
            return self._first(node.positional, here, around)
        if isinstance(function, ir.Attribute) and function.name in _LOOKUPS:
            return self.unstated(function.value, here, around)
        return dotted(function)

    def _attribute(self, node: ir.Attribute, here: Module, around: tuple[Definition, ...]) -> str | None:
        """What a class or its methods make of an attribute of their own."""
        cls = next((each for each in around if isinstance(each, ir.Class)), None)
        if (
            cls is None
            or not isinstance(node.value, ir.Name)
            or node.value.id not in ("self", "cls", cls.name)
        ):
            return dotted(node)
        key = (id(cls), node.name)
        if key in self._pending:
            return None
        self._pending.add(key)
        made = [
            (value, inside)
            for value, target, inside in bindings(cls.body, (cls, *around))
            if binds(target, node.name, is_attribute=inside[0] is not cls)
        ]
        names = (self.unstated(value, here, inside) for value, inside in made)
        return next((name for name in names if name is not None), None) if made else dotted(node)

    def _named(self, name: str, here: Module, around: tuple[Definition, ...]) -> str | None:
        """What a variable is: of the innermost function that binds it, or of the module."""
        for at, function in enumerate(around):
            if not isinstance(function, ir.Function):
                continue
            made = [v for v, target, _ in bindings(function.body, ()) if binds(target, name)]
            parameter = next((p for p in function.parameters if p.name == name), None)
            if not made and parameter is None:
                continue
            key = (id(function), name)
            if key in self._pending or len(self._pending) > _FARTHEST:
                return None if key in self._pending else name
            self._pending.add(key)
            if self._is_tested(name, function, here, around[at:]):
                return None
            if parameter is not None and self._handed(function, parameter, around[at + 1 :]) is not None:
                return name
            return self._first(made, here, around[at:])
        value = here.value(name)
        is_written = isinstance(value, (Known, Items, Table)) and is_known(value)
        return None if is_written and not (isinstance(value, Table) and value.open) else name

    def _is_tested(
        self, name: str, function: ir.Function, here: Module, around: tuple[Definition, ...]
    ) -> bool:
        """Whether a function goes on only where a variable, or its length, is one of what is written."""
        for test, operators in tests(function.body):
            for found in [n for n, _ in walk((test,), ()) if isinstance(n, ir.Operation)]:
                ours = [n for n in found.operands if is_of(n, name)]
                rest = [n for n in found.operands if not is_of(n, name)]
                if found.operator in operators and ours and self._first(rest, here, around) is None:
                    return True
        return False

    def _handed(
        self, function: ir.Function, parameter: ir.Parameter, around: tuple[Definition, ...]
    ) -> str | None:
        """What calls hand over, wherever they stand; None where all of them say what."""
        if parameter.kind not in ("plain", "keyword"):
            return parameter.name
        cls = around[0] if around and isinstance(around[0], ir.Class) else None
        is_constructor = cls is not None and function.name == "__init__"
        position = function.parameters.index(parameter) - (cls is not None)
        found = list(self._calls(function, cls if is_constructor else None, is_method=cls is not None))
        for call, here, inside in found:
            given = _given(call, parameter.name, position)
            given = parameter.default if given is None and not _is_open(call) else given
            if given is None or self.unstated(given, here, inside) is not None:
                return parameter.name
        return None if found else parameter.name

    def _calls(
        self, function: ir.Function, cls: ir.Class | None, *, is_method: bool
    ) -> Iterator[tuple[ir.Call, Module, tuple[Definition, ...]]]:
        """The calls of a function, a method of its module, or the constructor of a class."""
        name = function.name if cls is None else cls.name
        for here in self._modules if cls is not None or not is_method else self._modules[:1]:
            yield from [(call, here, inside) for call, inside in here.calls.get(name, ())]
            for call, inside in here.calls.get("__init__", ()) if cls is not None else ():
                if any(isinstance(each, ir.Class) and name in map(last, each.bases) for each in inside[1:2]):
                    yield call, here, inside


def _given(call: ir.Call, name: str, position: int) -> ir.Expression | None:
    """What a call gives for a parameter; None where it does not."""
    for keyword in call.keywords:
        if keyword.name == name:
            return keyword.value
    before = call.positional[: position + 1]
    is_plain = len(before) > position >= 0 and not any(isinstance(n, ir.Starred) for n in before)
    return before[position] if is_plain else None


def _is_open(call: ir.Call) -> bool:
    return any(isinstance(n, ir.Starred) for n in call.positional) or any(
        k.name is None for k in call.keywords
    )
