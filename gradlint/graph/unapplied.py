"""Initialisers of the model's file that leave its weights as they are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import lru_cache

from msgspec import Struct

from gradlint.graph.values import Anything, Choice, Container, Drawn, Layer, Weight, descendants, is_module
from gradlint.graph.writes import last_name, nodes
from gradlint.records import ir
from gradlint.records.graph import Initial, Place, Unapplied
from gradlint.semantics.classes import MODULE_BASES
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import ClassObject, Closure, Instance, Reference, Value

_RANDOM = frozenset(
    {
        *("xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_", "orthogonal_"),
        *("normal_", "uniform_", "trunc_normal_", "sparse_"),
    }
)


_OF_ONE = re.compile(r"^def (\w+)\(\w+(?:\s*:[^,()]*)?\)", re.MULTILINE)
"""The names of functions of one argument."""

_MENTIONED = re.compile(r"(?<![\w.])([^\W\d]\w*)|\.([^\W\d]\w*)\b(?!\s*[(.])")
"""Names that stand for themselves, and attributes that are handed on: no methods."""

_AS_MADE = ("default", "unknown", "empty")


class Copied(Struct, frozen=True):
    """A method that changes a copy of a weight, called where nothing keeps the copy."""

    method: str
    weight: Weight
    place: Place


class Replaced(Struct, frozen=True):
    """A layer that took the place of one whose weight an initialiser had drawn."""

    owner: Instance
    name: str
    layer: Layer
    initial: Initial

    @property
    def is_left(self) -> bool:
        """Whether the new one is still there, as torch made it, in the file of those who drew the old one."""
        weight, drawn = self.layer.attributes.get("weight"), self.initial.place
        is_near = drawn is not None and drawn.path == self.layer.made.path
        if self.initial.scheme in _AS_MADE or not is_near or not isinstance(weight, Weight):
            return False
        return self.owner.attributes.get(self.name) is self.layer and weight.data.initial.scheme == "default"


def without_effect(
    replaced: Sequence[Replaced], copied: Sequence[Copied], paths: Mapping[int, str]
) -> Iterator[Unapplied]:
    """What was drawn for layers that are gone, and what was changed in copies."""
    for each in replaced:
        path = paths.get(id(each.layer))
        if path and each.is_left:
            yield Unapplied(path, "replaced", each.layer.made, f"{path}.weight")
    for copy in copied:
        path = paths.get(id(copy.weight))
        if path:
            yield Unapplied(copy.method, "dropped", copy.place, path)


def draws(function: object) -> bool:
    """Whether a function draws weights at random, as torch names that."""
    if not isinstance(function, ir.Function):
        return False
    calls = [node for node in nodes(function.body) if isinstance(node, ir.Call)]
    return any(last_name(call.function) in _RANDOM and _names_weight(call) for call in calls)


def _names_weight(call: ir.Call) -> bool:
    return any(isinstance(part, ir.Attribute) and part.name == "weight" for part in nodes(call))


def contents(model: Value) -> list[Drawn] | None:
    """What the weights within a module hold; None where some of its parts are not known."""
    found = []
    for _, part in descendants(model):
        attributes = part.attributes.values() if isinstance(part, Instance) else ()
        if any(isinstance(each, (Anything, Choice)) for each in attributes):
            return None
        if isinstance(part, Choice) or (isinstance(part, Container) and part.held.open):
            return None
        if isinstance(part, Weight):
            found.append(part.data)
    return found if is_module(model) else None


def uncalled(cls: ClassObject, ran: Set[int]) -> Iterator[Unapplied]:
    """Methods of a class that draw weights and that nothing in a file names which makes such an object.

    Silent where a base from outside the project may call them, or another file makes the object.
    """
    bases = [base for base in cls.lineage() if isinstance(base, Reference)]
    if any(base.name not in MODULE_BASES or not base.name.startswith("torch.") for base in bases):
        return
    for name, member in cls.members.items():
        function = member.function if isinstance(member, Closure) else None
        if id(function) in ran or not draws(function) or name.startswith("__"):
            continue
        if is_constructed(cls) and not _is_named(cls.scope, name):
            assert isinstance(function, ir.Function)
            yield Unapplied(name, "uncalled", Place(cls.scope.path, function.header))


def callable_later(cls: ClassObject, ran: Set[int]) -> list[Closure]:
    """Methods of a class that draw its weights, that did not run, and that need nothing to be told."""
    return [
        member
        for name, member in cls.members.items()
        if isinstance(member, Closure) and id(member.function) not in ran and not name.startswith("__")
        if _needs_nothing(member.function) and draws(member.function)
    ]


def _needs_nothing(function: ir.Function | ir.Lambda) -> bool:
    """Whether a method can be called without arguments."""
    return all(p.default is not None or p.kind in ("arguments", "keywords") for p in function.parameters[1:])


def unnamed(scope: ModuleScope, text: str) -> Iterator[Unapplied]:
    """Functions of a file that draw weights of a module that they are given, and that it does not name."""
    mentions = Counter(first or second for first, second in _MENTIONED.findall(text))
    for name in dict.fromkeys(_OF_ONE.findall(text)):
        function = _drawing(scope, name) if mentions[name] == 1 else None
        if function is not None:
            yield Unapplied(name, "uncalled", Place(scope.path, function.header))


def _drawing(scope: ModuleScope, name: str) -> ir.Function | None:
    """The one function that the module binds to a name, if it draws weights."""
    bound = [
        s
        for b in scope.bindings.get(name, ())
        for s in (scope.lower(b) if isinstance(b, ir.Omitted) else (b,))
    ]
    function = bound[0] if len(bound) == 1 else None
    return function if isinstance(function, ir.Function) and draws(function) else None


def _everything(scope: ModuleScope) -> Iterator[ir.Node]:
    for statement in scope.facts.body:
        yield from nodes(scope.lower(statement) if isinstance(statement, ir.Omitted) else statement)


def _is_named(scope: ModuleScope, name: str) -> bool:
    """Whether the file uses a name, or text equal to it."""
    return name in _words(scope, id(scope.facts)).named


def is_constructed(cls: ClassObject) -> bool:
    """Whether the file of a class makes an object of it."""
    return cls.definition.name in _words(cls.scope, id(cls.scope.facts)).called


class _Words(Struct, frozen=True):
    """The names that a file uses, texts among them, and those that it calls."""

    named: frozenset[object]
    called: frozenset[str]


@lru_cache(maxsize=8)
def _words(scope: ModuleScope, facts: int) -> _Words:
    """The words of a file with these facts."""
    every = list(_everything(scope))
    named = {last_name(node) for node in every if isinstance(node, (ir.Name, ir.Attribute))}
    texts = {node.value for node in every if isinstance(node, ir.Literal) and isinstance(node.value, str)}
    called = {last_name(node.function) for node in every if isinstance(node, ir.Call)}
    return _Words(frozenset(named | texts), frozenset(called))
