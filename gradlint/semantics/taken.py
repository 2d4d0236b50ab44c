"""What becomes of the result of a call: whether no gradient ever comes back from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gradlint.records import ir
from gradlint.semantics.bindings import walk

_NUMBERS = frozenset({"item", "detach", "tolist", "numpy"})
_BUILT_IN = frozenset({"float", "int", "bool", "str"})
_PASSING_BACK = frozenset({"backward", "manual_backward", "grad", "step"})


def taken_as_number(node: ir.Node) -> Iterator[ir.Call]:
    """The calls whose results only a number, or a tensor without a graph, is made of at `node`:
    `f(x).item()`, `float(f(x) / n)`.
    """
    if not isinstance(node, ir.Call):
        return
    called = node.function
    if isinstance(called, ir.Attribute) and called.name in _NUMBERS:
        yield from _results(called.value)
    elif isinstance(called, ir.Name) and called.id in _BUILT_IN and len(node.positional) == 1:
        yield from _results(node.positional[0])


def _results(node: ir.Expression) -> Iterator[ir.Call]:
    """The calls that an expression is computed of, not those in their arguments."""
    if isinstance(node, ir.Operation):
        for operand in node.operands:
            yield from _results(operand)
    elif isinstance(node, ir.Call) and isinstance(node.function, ir.Attribute):
        yield from _results(node.function.value)
    elif isinstance(node, ir.Call):
        yield node


def is_of_detached(call: ir.Call) -> bool:
    """Whether all that a function is given is a number or was cut from its graph where it is given."""
    given = [*call.positional, *[keyword.value for keyword in call.keywords]]
    return any(map(_is_detached, given)) and all(
        _is_detached(value) or isinstance(value, ir.Literal) for value in given
    )


def _is_detached(node: ir.Expression) -> bool:
    if isinstance(node, ir.Attribute):
        return node.name == "data"
    called = node.function if isinstance(node, ir.Call) else None
    return isinstance(called, ir.Attribute) and called.name == "detach"


def passing_back(functions: Mapping[str, ir.Function]) -> frozenset[str]:
    """Those of a module's functions that may pass gradients back themselves, or call one that does."""
    named = {name: frozenset(_names(function)) for name, function in functions.items()}
    found = {name for name, names in named.items() if not names.isdisjoint(_PASSING_BACK)}
    while more := {name for name, names in named.items() if not names.isdisjoint(found)} - found:
        found |= more
    return frozenset(found)


def uses_any(function: ir.Function, variables: frozenset[str]) -> bool:
    """Whether a function names one of these variables, which may hold what is trained."""
    return not variables.isdisjoint(_names(function))


def _names(function: ir.Function) -> Iterator[str]:
    for node in walk(function.body):
        if isinstance(node, ir.Name):
            yield node.id
        elif isinstance(node, ir.Attribute):
            yield node.name
