"""What occurs in code: its nodes with the definitions around them, what it binds and insists on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gradlint.records import ir

Definition = ir.Function | ir.Class

_WITHIN = frozenset({"in", "eq", "le", "lt"})
_OUTSIDE = frozenset({"not_in", "ne", "gt", "ge"})


def walk(
    nodes: Iterable[object], around: tuple[Definition, ...]
) -> Iterator[tuple[ir.Node, tuple[Definition, ...]]]:
    """All nodes of code, each with the definitions around it from the innermost outwards."""
    pending = [(node, around) for node in nodes]
    while pending:
        node, inside = pending.pop()
        if isinstance(node, ir.Node):
            yield node, inside
            inside = (node, *inside) if isinstance(node, (ir.Function, ir.Class)) else inside
            pending.extend((getattr(node, field), inside) for field in node.__struct_fields__)
        elif isinstance(node, tuple):
            pending.extend((part, inside) for part in node)


def bindings(
    body: Iterable[object], around: tuple[Definition, ...]
) -> Iterator[tuple[ir.Expression, ir.Expression, tuple[Definition, ...]]]:
    """What code binds: the value, or what is iterated over; the target; the definitions around it."""
    for node, inside in walk(body, around):
        if isinstance(node, ir.Assign) and node.value is not None:
            yield from [(node.value, target, inside) for target in node.targets]
        elif isinstance(node, ir.Augment):
            yield node.value, node.target, inside
        elif (
            isinstance(node, (ir.Loop, ir.Generator))
            and node.target is not None
            and node.iterable is not None
        ):
            yield node.iterable, node.target, inside


def tests(body: Iterable[object]) -> Iterator[tuple[ir.Expression, frozenset[str]]]:
    """What code insists on, each with the operators by which it does."""
    for node, _ in walk(body, ()):
        if isinstance(node, ir.Assert):
            yield node.test, _WITHIN
        elif isinstance(node, ir.Branch) and any(isinstance(each, ir.Raise) for each in node.then):
            yield node.test, _OUTSIDE


def binds(target: ir.Node, name: str, is_attribute: bool = False) -> bool:
    """Whether a target is a variable, or an attribute of the object itself, or has it among its parts."""
    if isinstance(target, (ir.Display, ir.Starred)):
        return any(binds(part, name, is_attribute) for part in parts(target))
    if is_attribute:
        return isinstance(target, ir.Attribute) and target.name == name and dotted(target) == f"self.{name}"
    return isinstance(target, ir.Name) and target.id == name


def is_of(node: ir.Node, name: str) -> bool:
    """Whether an expression is a variable or its length."""
    if isinstance(node, ir.Call) and last(node.function) == "len" and len(node.positional) == 1:
        node = node.positional[0]
    return isinstance(node, ir.Name) and node.id == name


def parts(node: ir.Node) -> list[ir.Node]:
    """What a node is directly made of."""
    fields = [getattr(node, field) for field in node.__struct_fields__]
    found = [part for field in fields for part in (field if isinstance(field, tuple) else (field,))]
    return [part for part in found if isinstance(part, ir.Node)]


def is_read(node: ir.Node) -> bool:
    """Whether a node is an expression that something may iterate over."""
    return isinstance(node, (ir.Name, ir.Attribute, ir.Index, ir.Call, ir.Operation, ir.Comprehension))


def last(node: ir.Node) -> str:
    """The last part of a name: "depth" of `config.depth`."""
    return node.name if isinstance(node, ir.Attribute) else node.id if isinstance(node, ir.Name) else ""


def dotted(node: ir.Node) -> str:
    """A name as it is written: "config.depth"; empty where it is none."""
    if isinstance(node, ir.Attribute):
        front = dotted(node.value)
        return f"{front}.{node.name}" if front else ""
    return node.id if isinstance(node, ir.Name) else ""
