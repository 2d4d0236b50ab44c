"""Axes that may hold a single element."""

from __future__ import annotations

from typing import NamedTuple

from gradlint.records import ir
from gradlint.semantics.interpretation import Operand
from gradlint.semantics.tensor import Application, made

_REDUCTIONS = ("sum", "mean", "amax", "amin", "max", "min", "norm", "std", "var", "logsumexp")


class Single(NamedTuple):
    """Why an axis holds one element: always, or for some lengths or masks."""

    reason: str
    always: bool = False
    masked: bool = False


def single(application: Application) -> Single | None:
    """Why a reduction may run over a single element; None if nothing says so."""
    operand = application.operand(0, "input")
    if operand is None:
        return None
    axis = application.constant(1, "dim")
    if made(operand.value, "masked_select") is not None and (axis == 0 or not application.has(1, "dim")):
        return Single("a selection by a mask", masked=True)
    if not isinstance(axis, int) or isinstance(axis, bool):
        return None
    added = made(operand.value, "unsqueeze")
    if added is not None and added.constant(1, "dim") == axis:
        return Single("an axis that was just added", True)
    kept = made(operand.value, *_REDUCTIONS)
    if kept is not None and kept.constant(1, "dim") == axis and kept.constant(2, "keepdim") is True:
        return Single("an axis that was just reduced", True)
    return _of_slice(operand, axis)


def _of_slice(operand: Operand, axis: int) -> Single | None:
    """The slice of an index that the axis is, where its length is 1 or only known when the code runs."""
    index = operand.node.index if isinstance(operand.node, ir.Index) else None
    if index is None:
        return None
    parts: list[ir.Expression] = list(index.items) if isinstance(index, ir.Display) else [index]
    slices = _axes(parts) if axis >= 0 else _axes(parts[::-1]) if _is_ellipsis(parts[0]) else []
    position = axis if axis >= 0 else -axis - 1
    return _length(slices[position]) if position < len(slices) else None


def _axes(parts: list[ir.Expression]) -> list[ir.Slice]:
    """The slices that are axes of the result, up to the first part of which that is not sure."""
    found = []
    for part in parts:
        if isinstance(part, ir.Slice):
            found.append(part)
        elif not isinstance(part, (ir.Name, ir.Literal)) or _is_new_axis(part):
            break
    return found


def _is_ellipsis(part: ir.Expression) -> bool:
    return isinstance(part, ir.Unknown) and part.kind == "ellipsis"


def _is_new_axis(part: ir.Expression) -> bool:
    return isinstance(part, ir.Literal) and part.value is None


def _length(part: ir.Slice) -> Single | None:
    lower = 0 if part.lower is None else _number(part.lower)
    if lower is None or lower < 0 or part.step is not None or part.upper is None:
        return None
    upper = _number(part.upper)
    if upper is None:
        return Single("a slice of variable length") if isinstance(part.upper, ir.Name) else None
    return Single("a slice of length 1", True) if upper - lower == 1 else None


def _number(node: ir.Expression) -> int | None:
    return node.value if isinstance(node, ir.Literal) and isinstance(node.value, int) else None
