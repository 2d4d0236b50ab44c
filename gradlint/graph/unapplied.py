"""Initialisers of the model's file that leave its weights as they are."""

from __future__ import annotations

from collections.abc import Iterator, Set

from gradlint.graph.values import Anything, Choice, Container, Drawn, Weight, descendants, is_module
from gradlint.graph.writes import last_name, nodes
from gradlint.records import ir
from gradlint.records.graph import Place, Unapplied
from gradlint.semantics.classes import MODULE_BASES
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import ClassObject, Closure, Instance, Reference, Value

_RANDOM = frozenset(
    {
        *("xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_", "orthogonal_"),
        *("normal_", "uniform_", "trunc_normal_", "sparse_"),
    }
)


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
        if _is_constructed(cls) and not _is_named(cls.scope, name):
            assert isinstance(function, ir.Function)
            yield Unapplied(name, "uncalled", Place(cls.scope.path, function.header))


def _everything(scope: ModuleScope) -> Iterator[ir.Node]:
    for statement in scope.facts.body:
        yield from nodes(scope.lower(statement) if isinstance(statement, ir.Omitted) else statement)


def _is_named(scope: ModuleScope, name: str) -> bool:
    """Whether the file uses a name, or text equal to it."""
    return any(
        (isinstance(node, (ir.Name, ir.Attribute)) and last_name(node) == name)
        or (isinstance(node, ir.Literal) and node.value == name)
        for node in _everything(scope)
    )


def _is_constructed(cls: ClassObject) -> bool:
    """Whether the file makes an object of the class."""
    calls = [node for node in _everything(cls.scope) if isinstance(node, ir.Call)]
    return any(last_name(call.function) == cls.definition.name for call in calls)
