"""Weights that code of the model's file may write though the construction of the model did not run it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

from msgspec import Struct

from gradlint.records import ir
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import ClassObject, Closure

_EVERYTHING = frozenset({"apply", "load_state_dict", "_load_from_state_dict"})
_PARTS = frozenset(
    {"parameters", "named_parameters", "modules", "named_modules", "children", "named_children"}
)
_HARMLESS = frozenset({"requires_grad_", "zero_grad_", "detach_", "share_memory_"})

Chain = tuple[str, ...]


class Writes(Struct, frozen=True):
    """The weights that functions may write.

    `chains` are the attributes that lead to them, the outermost object left out (`self.fc.weight` is
    fc, weight); `everything` where a function goes over all parts of something.
    """

    chains: frozenset[Chain] = frozenset()
    everything: bool = False

    def reach(self, path: str) -> bool:
        """Whether the weight at `path` may be among them."""
        words = tuple([word for word in path.split(".") if not word.isdigit()])
        return self.everything or any(words[-len(chain) :] == chain for chain in self.chains)


class Writers:
    """What the code of a file writes; each function is read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], tuple[ir.Function, Writes]] = {}

    def forget(self) -> None:
        """Give back what is only kept because it may be asked for again."""
        self._known.clear()

    def elsewhere(self, scope: ModuleScope, classes: Sequence[ClassObject], ran: Set[int]) -> Writes:
        """What functions of the file write that did not run: methods of `classes`, functions outside classes.

        Of other classes only what they write in objects that they are given counts.
        """
        own = [function for cls in classes for function in _methods(cls) if id(function) not in ran]
        outside, others = _definitions(scope)
        known = {id(cls.definition) for cls in classes}
        reader = _Reader(frozenset(scope.imports))
        found = [self._of(f, "", reader) for f in (*own, *outside) if id(f) not in ran]
        for definition in others:
            if id(definition) not in known:
                methods = [each for each in definition.body if isinstance(each, ir.Function)]
                found += [self._of(method, _self(method), reader) for method in methods]
        statements = [s for s in scope.facts.body if not isinstance(s, (ir.Function, ir.Class, ir.Omitted))]
        found.append(reader.read(tuple(statements), ""))
        chains = frozenset[Chain]().union(*[writes.chains for writes in found])
        return Writes(chains, any(writes.everything for writes in found))

    def _of(self, function: ir.Function, without: str, reader: _Reader) -> Writes:
        key = (id(function), without)
        if key not in self._known:
            self._known[key] = (function, reader.read(function.body, without))
        return self._known[key][1]


def _methods(cls: ClassObject) -> Iterator[ir.Function]:
    for member in cls.members.values():
        if isinstance(member, Closure) and isinstance(member.function, ir.Function):
            yield member.function


def _definitions(scope: ModuleScope) -> tuple[list[ir.Function], list[ir.Class]]:
    """The functions and the classes at the top level of a module."""
    found = [statement for name in list(scope.bindings) for statement in scope.binding(name)]
    functions = [statement for statement in found if isinstance(statement, ir.Function)]
    return functions, [statement for statement in found if isinstance(statement, ir.Class)]


def _self(function: ir.Function) -> str:
    return function.parameters[0].name if function.parameters else ""


class _Reader:
    """Finds writes by what they look like; what is passed on to code of one's own may be written."""

    def __init__(self, imports: frozenset[str]) -> None:
        self._imports = imports

    def read(self, node: object, without: str) -> Writes:
        """The writes in `node`, those through the variable `without` left out."""
        chains = set()
        everything = False
        for part in nodes(node):
            for target in self._targets(part):
                root, chain = _chain(target)
                if chain and root != (without or None):
                    chains.add(chain)
            everything = everything or (self._spreads(part) and not without)
        return Writes(frozenset(chains), everything)

    def _targets(self, node: ir.Node) -> Iterator[ir.Expression]:
        if isinstance(node, ir.Assign):
            yield from node.targets
        elif isinstance(node, ir.Augment):
            yield node.target
        elif isinstance(node, ir.Call):
            if is_in_place(last_name(node.function)) and isinstance(node.function, ir.Attribute):
                yield node.function.value
            if self._may_write(node.function):
                yield from node.positional
                yield from [keyword.value for keyword in node.keywords]

    def _may_write(self, function: ir.Expression) -> bool:
        name = last_name(function)
        return is_in_place(name) or (_chain(function)[0] not in self._imports and name not in _PURE)

    def _spreads(self, node: ir.Node) -> bool:
        if isinstance(node, ir.Call):
            return last_name(node.function) in _EVERYTHING
        if not isinstance(node, ir.Loop) or node.iterable is None:
            return False
        calls = [part for part in nodes(node.iterable) if isinstance(part, ir.Call)]
        writes = [part for part in nodes(node.body) if isinstance(part, ir.Call)]
        return any(last_name(call.function) in _PARTS for call in calls) and any(
            is_in_place(last_name(call.function)) or self._may_write(call.function) for call in writes
        )


_PURE = frozenset({"print", "len", "isinstance", "super", "str", "repr", "type", "hasattr", "getattr", "id"})


def nodes(node: object) -> Iterator[ir.Node]:
    """A node and all within it, or all within a tuple of nodes."""
    pending = [node]
    while pending:
        part = pending.pop()
        if isinstance(part, tuple):
            pending.extend(part)
        elif isinstance(part, ir.Node):
            yield part
            pending.extend(getattr(part, field) for field in part.__struct_fields__[1:])


def is_in_place(name: str) -> bool:
    """Whether a function or method of that name writes what it is given, as torch names them."""
    return name.endswith("_") and not name.endswith("__") and name not in _HARMLESS


def last_name(node: ir.Expression) -> str:
    """The last word of a dotted name."""
    if isinstance(node, ir.Attribute):
        return node.name
    return node.id if isinstance(node, ir.Name) else ""


def _chain(node: ir.Expression) -> tuple[str | None, Chain]:
    """The variable that a dotted expression starts from, and the attributes behind it."""
    names: list[str] = []
    while isinstance(node, (ir.Attribute, ir.Index)):
        if isinstance(node, ir.Attribute) and node.name != "data":
            names.append(node.name)
        node = node.value
    return (node.id if isinstance(node, ir.Name) else None), tuple(reversed(names))
