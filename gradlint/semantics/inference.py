"""Functions that only code without gradients calls."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from gradlint.records import ir
from gradlint.records.once import once_each
from gradlint.semantics.bindings import walk
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.taken import is_of_detached, passing_back, taken_as_number, uses_any
from gradlint.semantics.trace import is_untracked
from gradlint.semantics.value import ClassObject

_UNBOUND = ("staticmethod", "classmethod")
_BLOCKS = ("body", "then", "otherwise", "final")


class OwnNaming(NamedTuple):
    """A method of the same object that is named within another one, and whether nothing is trained there."""

    method: str
    within: str
    at_inference: bool


class Naming(NamedTuple):
    """A name within a top-level function or a method, and whether no gradient is recorded there.

    `is_cut` tells that it is called and no gradient comes back from what it gives there.
    """

    name: str
    function: str
    untracked: bool
    is_cut: bool = False
    is_attribute: bool = False


def without_gradients(scope: ModuleScope, function: str, is_method: bool = False) -> bool:
    """Whether a private or top-level function of a module is named in it, but nowhere where gradients are
    recorded and come back to it.
    """
    used = _used(scope)
    functions = used.functions
    if not _is_own_affair(function, {} if is_method else functions):
        return False
    pending, seen = [function], {function}
    while pending:
        name = pending.pop()
        places = [n for n in used.namings.get(name, ()) if not (n.is_attribute and name in functions)]
        if not places:
            return False
        for place in places:
            is_cut = place.is_cut and name in functions and name not in used.trained
            if place.untracked or is_cut or place.function in seen:
                continue
            if not _is_own_affair(place.function, functions):
                return False
            seen.add(place.function)
            pending.append(place.function)
    return True


class Used(NamedTuple):
    """The functions of a module, those that pass gradients back, and where what is named."""

    functions: dict[str, ir.Function]
    trained: frozenset[str]
    namings: dict[str, list[Naming]]


@lru_cache(maxsize=1)
def _used(scope: ModuleScope) -> Used:
    body = _whole(scope)
    functions = {s.name: s for s in body if isinstance(s, ir.Function)}
    cut = frozenset(map(id, _cut(body, functions)))
    namings: dict[str, list[Naming]] = {}
    for naming in _namings(body, "", False, cut):
        if naming.name != naming.function:
            namings.setdefault(naming.name, []).append(naming)
    return Used(functions, passing_back(functions), namings)


def _is_own_affair(function: str, functions: Mapping[str, ir.Function]) -> bool:
    """Whether a function is called by nobody but its module, as far as that can be seen."""
    return function in functions or (function.startswith("_") and not function.startswith("__"))


def _whole(scope: ModuleScope) -> tuple[ir.Statement, ...]:
    """The statements of a module, with what its facts leave out."""
    return tuple(
        [
            each
            for statement in scope.facts.body
            for each in (scope.lower(statement) if isinstance(statement, ir.Omitted) else (statement,))
        ]
    )


def _cut(body: tuple[ir.Statement, ...], functions: Mapping[str, ir.Function]) -> Iterator[ir.Expression]:
    """The names of functions at calls from which no gradient comes back."""
    variables = _variables(body)
    for node in walk(body):
        yield from (call.function for call in taken_as_number(node))
        if isinstance(node, ir.Call) and isinstance(node.function, ir.Name) and is_of_detached(node):
            called = functions.get(node.function.id)
            if called is not None and not uses_any(called, variables):
                yield node.function


def _variables(body: tuple[ir.Statement, ...]) -> frozenset[str]:
    """The names that a module assigns to, outside of its functions and classes."""
    code = tuple([s for s in body if not isinstance(s, (ir.Function, ir.Class))])
    assigned = [t for node in walk(code) if isinstance(node, ir.Assign) for t in node.targets]
    return frozenset([name.id for name in walk(tuple(assigned)) if isinstance(name, ir.Name)])


def _namings(node: object, function: str, untracked: bool, cut: Container[int]) -> Iterator[Naming]:
    if isinstance(node, tuple):
        for item in node:
            yield from _namings(item, function, untracked, cut)
        return
    if not isinstance(node, ir.Node):
        return
    if isinstance(node, ir.Class):
        yield from _namings_of_class(node, function, untracked, cut)
        return
    if isinstance(node, ir.Name):
        yield Naming(node.id, function, untracked, id(node) in cut)
    elif isinstance(node, ir.Attribute):
        yield Naming(node.name, function, untracked, is_attribute=True)
    elif isinstance(node, ir.Function):
        function = function or node.name
        untracked = untracked or any(map(is_untracked, node.decorators))
    elif isinstance(node, ir.With):
        untracked = untracked or any(is_untracked(item.context) for item in node.items)
    for field in node.__struct_fields__:
        if field != "span":
            yield from _namings(getattr(node, field), function, untracked, cut)


def _namings_of_class(cls: ir.Class, within: str, untracked: bool, cut: Container[int]) -> Iterator[Naming]:
    """A public method is told apart from the function of the same name."""
    untracked = untracked or _passes_back_itself(cls)
    yield from _namings((cls.bases, cls.keywords, cls.decorators), within, untracked, cut)
    for statement in cls.body:
        method = statement.name if isinstance(statement, ir.Function) else "_"
        method = "" if method.startswith("_") else f"{cls.name}.{method}"
        yield from _namings(statement, within or method, untracked, cut)


def _passes_back_itself(cls: ir.Class) -> bool:
    """Whether a class is a function with a backward pass of its own, of which torch records nothing."""
    bases = {getattr(base, "id", getattr(base, "name", "")) for base in cls.bases}
    static = {method.name for method in cls.body if isinstance(method, ir.Function) and _is_static(method)}
    return "Function" in bases and {"forward", "backward"} <= static


def _is_static(method: ir.Function) -> bool:
    return any(isinstance(each, ir.Name) and each.id in _UNBOUND for each in method.decorators)


@once_each
def inference_only(cls: ClassObject) -> frozenset[str]:
    """The methods that a class, or a base of it, names only under `if not self.training`, without gradients
    or in another such method.
    """
    bodies = [base.definition.body for base in cls.lineage() if isinstance(base, ClassObject)]
    if not any(map(_may_ask, bodies)):
        return frozenset()
    namings = [naming for body in bodies for naming in _own_namings(body, "", False)]
    kept = {n.method for n in namings if not n.method.startswith("__")} - {"forward"}
    while lost := kept & {n.method for n in namings if not n.at_inference and n.within not in kept}:
        kept -= lost
    found = kept & {n.method for n in namings if n.at_inference}
    while more := (kept - found) & {n.method for n in namings if n.within in found}:
        found |= more
    return frozenset(found)


def _may_ask(body: tuple[ir.Statement, ...]) -> bool:
    return _asks_for_training(body) or any(
        isinstance(method, ir.Function) and _leaves_out_gradients(method) for method in body
    )


def _leaves_out_gradients(node: ir.Function | ir.With) -> bool:
    contexts = node.decorators if isinstance(node, ir.Function) else [item.context for item in node.items]
    return any(map(is_untracked, contexts))


def _asks_for_training(body: tuple[ir.Statement, ...]) -> bool:
    return any(
        (isinstance(statement, ir.Branch) and _tests_training(statement.test) is not None)
        or (isinstance(statement, ir.With) and _leaves_out_gradients(statement))
        or any(_asks_for_training(getattr(statement, block, ())) for block in _BLOCKS)
        for statement in body
    )


def _own_namings(node: object, within: str, at_inference: bool) -> Iterator[OwnNaming]:
    if isinstance(node, tuple):
        for item in node:
            yield from _own_namings(item, within, at_inference)
            at_inference = at_inference or _leaves_when_training(item)
    elif isinstance(node, ir.Branch):
        trains = _tests_training(node.test)
        yield from _own_namings(node.test, within, at_inference)
        yield from _own_namings(node.then, within, at_inference or trains is False)
        yield from _own_namings(node.otherwise, within, at_inference or trains is True)
    elif isinstance(node, ir.Node):
        if _is_own(node):
            yield OwnNaming(node.name, within, at_inference)  # type: ignore[attr-defined]
        elif isinstance(node, (ir.Function, ir.With)):
            at_inference = at_inference or _leaves_out_gradients(node)
            within = within or getattr(node, "name", "")
        for field in node.__struct_fields__[1:]:
            yield from _own_namings(getattr(node, field), within, at_inference)


def _leaves_when_training(node: object) -> bool:
    """Whether what follows a statement is for inference: `if self.training: return`."""
    if not isinstance(node, ir.Branch):
        return False
    trains = _tests_training(node.test)
    arm = node.then if trains else node.otherwise if trains is False else ()
    return bool(arm) and isinstance(arm[-1], (ir.Return, ir.Raise))


def _tests_training(test: ir.Expression) -> bool | None:
    """Whether a branch is for training (True) or not (False); None if it tests something else."""
    if isinstance(test, ir.Operation) and test.operator == "not":
        inner = _tests_training(test.operands[0])
        return None if inner is None else not inner
    return True if _is_own(test) and getattr(test, "name", "") == "training" else None


def _is_own(node: object) -> bool:
    """Whether a node is an attribute of the object itself, or of what it is as one of a base."""
    if not isinstance(node, ir.Attribute):
        return False
    called = node.value.function if isinstance(node.value, ir.Call) else None
    if isinstance(called, ir.Name):
        return called.id == "super"
    return isinstance(node.value, ir.Name) and node.value.id == "self"
