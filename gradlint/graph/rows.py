"""What `zip`, `enumerate` and their like give where not everything is known item by item."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradlint.graph.values import Anything, Drawn, Signal
from gradlint.records import ir
from gradlint.semantics.value import Items, Known, Value

Element = Callable[[Value], Value]
"""One item of an iteration over a value."""


def rows(name: str, values: Sequence[Value], node: ir.Expression, element: Element) -> Items | None:
    """The items of `name(*values)` for a builtin that goes through its arguments, else None."""
    if name == "zip" and values:
        return _zipped(values, node, element)
    if not values or isinstance(values[0], (Known, Anything)):
        return None
    if name == "enumerate":
        return Items("list", [Items("tuple", [Anything(), element(values[0])], node)], node, True)
    if name in ("list", "tuple", "reversed", "sorted", "iter"):
        return Items("tuple" if name == "tuple" else "list", [element(values[0])], node, True)
    return None


def _zipped(values: Sequence[Value], node: ir.Expression, element: Element) -> Items:
    """Rows of a tensor, an input or an unknown number of them beside a list are as many as that list has."""
    closed = [len(value.items) for value in values if isinstance(value, Items) and not value.open]
    others = [value for value in values if not (isinstance(value, Items) and not value.open)]
    if not closed or not all(isinstance(value, (Signal, Items, Drawn, Anything)) for value in others):
        return Items("list", [Items("tuple", [element(value) for value in values], node)], node, True)
    made: list[Value] = []
    for position in range(min(closed)):
        row = [v.items[position] if isinstance(v, Items) and not v.open else element(v) for v in values]
        made.append(Items("tuple", row, node))
    return Items("list", made, node)
