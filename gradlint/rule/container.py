"""Fixes that put torch's own container around a collection of Python."""

from __future__ import annotations

from gradlint.records import ir
from gradlint.records.finding import Applicability, Edit, Fix
from gradlint.records.span import Span
from gradlint.semantics.registration import Stray
from gradlint.semantics.trace import ModuleClass
from gradlint.semantics.value import Items


def registered(module: ModuleClass, stray: Stray) -> Fix | None:
    """Store `nn.ModuleList([...])` and its like, where what is stored is written out in place."""
    kind = "Parameter" if stray.are_parameters else "Module"
    shape = "List" if isinstance(stray.collection, Items) else "Dict"
    container = module.construction.spell(f"torch.nn.{kind}{shape}")
    node = stray.store.operand.node
    arguments = _arguments(node)
    if container is None or arguments is None or not stray.fits_container:
        return None
    return Fix(f"use {container}", Applicability.UNSAFE, (Edit(node.span, (container, *arguments)),))


def _arguments(node: ir.Expression) -> tuple[str | Span, ...] | None:
    """The container's arguments in parentheses."""
    if isinstance(node, ir.Display) and node.kind == "tuple" and node.items:
        first, last = node.items[0].span, node.items[-1].span
        return ("([", Span(first.line, first.column, last.end_line, last.end_column), "])")
    if (isinstance(node, ir.Display) and not node.items) or (
        isinstance(node, ir.Dictionary) and not node.values
    ):
        return ("()",)
    is_written_out = isinstance(node, (ir.Display, ir.Dictionary, ir.Comprehension))
    return ("(", node.span, ")") if is_written_out else None
