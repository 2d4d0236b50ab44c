"""What a function's own text says of its variables: which it binds, and which mean one thing throughout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache

from msgspec.structs import astuple

from gradlint.records import ir
from gradlint.records.facts import CHANGING
from gradlint.semantics.scope import target_names


class _Same:
    """A function, equal only to itself and not to another with the same text."""

    __slots__ = ("function",)

    def __init__(self, function: ir.Function | ir.Lambda) -> None:
        self.function = function

    def __hash__(self) -> int:
        return id(self.function)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.function is self.function


def changes(function: ir.Function | ir.Lambda) -> Counter[str]:
    """How often each variable of `function` is bound or changed in place, parameters included."""
    return _changes(_Same(function))


@lru_cache(maxsize=8)
def _changes(same: _Same) -> Counter[str]:
    found = Counter(parameter.name for parameter in same.function.parameters)
    for node in walk(same.function.body):
        found.update(_changed(node))
    return found


def walk(node: object) -> Iterator[ir.Node]:
    """Every node in `node`, which may be one or a tuple of them, as they stand in the text."""
    pending = [node]
    while pending:
        current = pending.pop()
        if isinstance(current, tuple):
            pending.extend(current[::-1])
        elif isinstance(current, ir.Node):
            yield current
            pending.extend(astuple(current)[:0:-1])


def named_within(node: ir.Node) -> Iterator[str]:
    """The variables that expressions of a statement bind, those of functions within aside."""
    pending: list[object] = [node]
    while pending:
        current = pending.pop()
        if isinstance(current, tuple):
            pending.extend(current)
        elif isinstance(current, ir.Node) and not isinstance(current, (ir.Function, ir.Class, ir.Lambda)):
            if isinstance(current, ir.Walrus):
                yield current.name
            pending.extend(astuple(current)[1:])


def filled(body: tuple[ir.Statement, ...]) -> Iterator[list[str]]:
    """The collections that `body` may put something in, as a variable and the attributes from there."""
    for node in walk(body):
        if isinstance(node, ir.Call) and isinstance(node.function, ir.Attribute):
            changed = [node.function.value] if node.function.name in CHANGING else []
        elif isinstance(node, ir.Assign):
            changed = [target.value for target in node.targets if isinstance(target, ir.Index)]
        elif isinstance(node, ir.Augment):
            changed = [node.target.value if isinstance(node.target, ir.Index) else node.target]
        else:
            changed = []
        for expression in changed:
            path = _path(expression)
            if path:
                yield path


def stored(function: ir.Function) -> Iterator[str]:
    """The attributes of its first parameter that a method assigns to."""
    receiver = function.parameters[0].name if function.parameters else ""
    for node in _own(function.body):
        if isinstance(node, ir.Assign):
            targets = [part for target in node.targets for part in _flat(target)]
        else:
            targets = [node.target] if isinstance(node, ir.Augment) else []
        for target in targets:
            if _path(target)[:-1] == [receiver]:
                yield _path(target)[1]


def _flat(target: ir.Expression) -> Iterator[ir.Expression]:
    if isinstance(target, ir.Display):
        for item in target.items:
            yield from _flat(item)
    else:
        yield target.value if isinstance(target, ir.Starred) else target


def returns_argument(function: ir.Function | ir.Lambda) -> bool:
    """Whether a function gives back its first argument, whatever else it does."""
    if isinstance(function, ir.Lambda) or not function.parameters:
        return False
    first = function.parameters[0].name
    returned = [node.value for node in _own(function.body) if isinstance(node, ir.Return)]
    return bool(returned) and all(isinstance(value, ir.Name) and value.id == first for value in returned)


def _own(body: Iterable[ir.Statement | ir.Handler]) -> Iterator[ir.Statement | ir.Handler]:
    """The statements in `body`, without those of functions and classes within."""
    for node in body:
        yield node
        if isinstance(node, (ir.Branch, ir.Loop, ir.With, ir.Try, ir.Handler)):
            for field in node.__struct_fields__[1:]:
                part = getattr(node, field)
                if isinstance(part, tuple) and field != "items":
                    yield from _own(part)


def _path(node: ir.Expression) -> list[str]:
    """The words of `a.b.c`; none for anything else."""
    if isinstance(node, ir.Attribute):
        before = _path(node.value)
        return [*before, node.name] if before else []
    return [node.id] if isinstance(node, ir.Name) else []


def is_repeatable(node: ir.Expression, once: Counter[str]) -> bool:
    """Whether evaluating `node` again gives the same at little cost: variables bound once, literals
    and operators.
    """
    if isinstance(node, ir.Name):
        return once[node.id] == 1
    if isinstance(node, ir.Operation) and node.operator != "matmul":
        return all(is_repeatable(operand, once) for operand in node.operands)
    return isinstance(node, ir.Literal)


def _changed(node: ir.Node) -> Iterator[str]:
    if isinstance(node, ir.Assign):
        for target in node.targets:
            yield from _targets(target)
    elif isinstance(node, ir.Augment):
        yield from _targets(node.target)
    elif (isinstance(node, ir.Loop) and node.target is not None) or (
        isinstance(node, ir.Item) and node.target is not None
    ):
        yield from target_names(node.target)
    elif isinstance(node, ir.Walrus):
        yield node.name
    elif isinstance(node, ir.Import):
        yield from (binding.name for binding in node.bindings)
    elif isinstance(node, (ir.Function, ir.Class)):
        yield node.name
    elif isinstance(node, ir.Delete):
        for target in node.targets:
            yield from target_names(target)
    elif isinstance(node, ir.Call):
        yield from _changed_in_place(node)


def _targets(target: ir.Expression) -> Iterator[str]:
    yield from target_names(target)
    while isinstance(target, (ir.Index, ir.Attribute)):
        target = target.value
        if isinstance(target, ir.Name):
            yield target.id


def _changed_in_place(call: ir.Call) -> Iterator[str]:
    """The variable in `x.add_(1)`."""
    function = call.function
    if (
        isinstance(function, ir.Attribute)
        and function.name.endswith("_")
        and isinstance(function.value, ir.Name)
    ):
        yield function.value.id
