"""What code that a forward pass does not run names of a model: it may train, update or use that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

from gradlint.graph.values import children, prefixes
from gradlint.records import ir
from gradlint.records.graph import Place
from gradlint.records.span import Span
from gradlint.semantics.bindings import walk
from gradlint.semantics.classes import is_module as is_module_class
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import ClassObject, Instance, Value

Ran = Collection[tuple[str, Span]]
"""The functions that ran, by file and place."""

_DYNAMIC = frozenset({"getattr", "__dict__", "_modules", "_parameters", "children", "named_children"})
_HOOKS = frozenset({"register_forward_hook", "register_forward_pre_hook"})


class Elsewhere:
    """The names that the code of some modules uses outside of the functions that ran."""

    def __init__(self, scopes: Iterable[ModuleScope], ran: Ran, classes: Sequence[ClassObject]) -> None:
        self._ran = ran
        self._classes = classes
        self._own: dict[tuple[str, Span], set[str]] = defaultdict(set)
        self._others: set[str] = set()
        for scope in scopes:
            for statement in scope.facts.body:
                self._read(scope.lower(statement) if isinstance(statement, ir.Omitted) else statement, scope)

    def names(self, path: str, model: Instance) -> bool:
        """Whether one of the attributes that lead to a part of the model is named."""
        return any(self._is_named(owner, name) for owner, name in _way(path, model))

    def names_last(self, path: str, model: Instance) -> bool:
        """Whether the attribute that holds a part, in the innermost object around it, is named."""
        *_, (owner, name) = _way(path, model)
        return self._is_named(owner, name)

    def _is_named(self, owner: Instance, name: str) -> bool:
        return name in self._others or any(name in self._own[place] for place in self._places(owner))

    def reaches(self, model: Instance) -> bool:
        """Whether parts of the object may be used by code that does not name them."""
        return any(self._own[place] & _DYNAMIC for place in self._places(model))

    def hooks(self) -> bool:
        """Whether outputs of layers are given to functions beside the forward pass."""
        return bool(self._others & _HOOKS)

    def _places(self, owner: Value) -> list[tuple[str, Span]]:
        """The classes that say what an object is, and those that derive from one of them."""
        own = _project_classes(owner)
        related = [cls for cls in self._classes if any(base in own for base in cls.lineage())]
        return [(cls.scope.path, cls.definition.span) for cls in (*own, *related)]

    def _read(self, node: object, scope: ModuleScope, cls: ir.Class | None = None, own: str = "") -> None:
        if isinstance(node, tuple):
            for item in node:
                self._read(item, scope, cls, own)
        elif isinstance(node, ir.Class):
            self._read(node.body, scope, node, "")
        elif isinstance(node, ir.Function):
            if (scope.path, node.span) not in self._ran:
                first = node.parameters[0].name if node.parameters else ""
                self._read((node.parameters, node.body), scope, cls, own or (first if cls else ""))
        elif isinstance(node, ir.Node):
            self._note(node, scope, cls, own)
            for field in node.__struct_fields__[1:]:
                self._read(getattr(node, field), scope, cls, own)

    def _note(self, node: ir.Node, scope: ModuleScope, cls: ir.Class | None, own: str) -> None:
        if isinstance(node, ir.Attribute):
            is_own = cls is not None and isinstance(node.value, ir.Name) and node.value.id == own
            (self._own[scope.path, cls.span] if is_own and cls is not None else self._others).add(node.name)
        elif isinstance(node, ir.Literal) and isinstance(node.value, str):
            self._others.add(node.value)
        elif cls is not None and _looks_up(node):
            self._own[scope.path, cls.span].add("getattr")


def _looks_up(node: ir.Node) -> bool:
    """Whether an attribute is read by a name that is not written out."""
    if not isinstance(node, ir.Call) or not isinstance(node.function, ir.Name) or len(node.positional) < 2:
        return False
    return node.function.id == "getattr" and not isinstance(node.positional[1], ir.Literal)


def attribute_of(path: str, model: Instance) -> str:
    """The attribute that holds a part, in the innermost object around it."""
    *_, (_, name) = _way(path, model)
    return name


def assigned_at(path: str, model: Instance) -> Place | None:
    """Where the attribute that holds a part, in the innermost object around it, is written."""
    *_, (owner, name) = _way(path, model)
    for cls in _project_classes(owner):
        for node in walk(cls.definition.body):
            if isinstance(node, ir.Assign) and node.value is not None:
                for target, value in _assigned(node.targets, node.value):
                    if isinstance(target, ir.Attribute) and target.name == name:
                        return Place(cls.scope.path, value.span)
    return None


def _assigned(
    targets: Sequence[ir.Expression], value: ir.Expression
) -> Iterator[tuple[ir.Expression, ir.Expression]]:
    """What an assignment writes, item by item, each with what is written there."""
    for target in targets:
        if not isinstance(target, ir.Display):
            yield target, value
            continue
        is_pairwise = isinstance(value, ir.Display) and len(value.items) == len(target.items)
        values = value.items if is_pairwise and isinstance(value, ir.Display) else [value] * len(target.items)
        yield from zip(target.items, values, strict=True)


def scopes_of(model: Instance, paths: Iterable[str]) -> list[ModuleScope]:
    """The modules in which the classes stand that lead to parts of a model."""
    owners = [model, *(owner for path in paths for owner, _ in _way(path, model))]
    classes = [cls for owner in owners for cls in _project_classes(owner)]
    return list({cls.scope.path: cls.scope for cls in classes}.values())


def _way(path: str, model: Value) -> Iterator[tuple[Instance, str]]:
    """The objects of the project on the way to a part, each with the attribute that leads on."""
    owner: Value | None = model
    for name in path.split("."):
        if isinstance(owner, Instance):
            yield owner, name
        owner = dict(children(owner)).get(name) if owner is not None else None


def is_within_another(path: str, model: Instance) -> bool:
    """Whether a part belongs to an object of the project within the model."""
    return any(owner is not model for owner, _ in _way(path, model))


def _project_classes(owner: Value) -> list[ClassObject]:
    if not isinstance(owner, Instance) or not is_module_class(owner.type):
        return []
    return [base for base in owner.type.lineage() if isinstance(base, ClassObject)]


def unused_parts(idle: Collection[str], held: Collection[str]) -> dict[str, list[str]]:
    """The largest parts of a model that hold nothing but idle parameters, with the paths of these."""
    busy = {prefix for path in held if path not in idle for prefix in prefixes(path)}
    found: dict[str, list[str]] = defaultdict(list)
    for path in idle:
        whole = next(prefix for prefix in prefixes(path) if prefix not in busy)
        found[whole].append(path)
    return found
