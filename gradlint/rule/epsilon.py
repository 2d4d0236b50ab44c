"""The fix that keeps an operand away from zero: a small number added inside the function."""

from __future__ import annotations

from gradlint.records import ir
from gradlint.records.finding import Applicability, Edit, Fix
from gradlint.rule.rewrite import Parts, enclosed
from gradlint.semantics.tensor import Application

EPSILON = "1e-8"
_SUMS = frozenset({"add", "sub", "mul", "truediv", "floordiv", "mod", "matmul", "pow", "neg"})


def add_epsilon(application: Application, name: str = "input") -> Fix | None:
    """Add an epsilon to the first operand; None where that is not written at the application."""
    operand = application.operand(0, name)
    whole = application.site.node
    if operand is None or not whole.span.contains(operand.node.span) or not _is_written(application):
        return None
    edit = Edit(operand.node.span, _increased(operand.node, application.form != "function"))
    return Fix(f"add {EPSILON} to the operand", Applicability.UNSAFE, (edit,))


def _is_written(application: Application) -> bool:
    """Whether the application stands there as such, and does not change its operand in place."""
    node = application.site.node
    if isinstance(node, ir.Call):
        function = node.function
        name = function.name if isinstance(function, ir.Attribute) else ""
        return not name.endswith("_") and not any(isinstance(p, ir.Starred) for p in node.positional)
    return isinstance(node, ir.Operation) and application.form == "operator"


def _increased(node: ir.Expression, is_receiver: bool) -> Parts:
    """The text of node + epsilon; a receiver or a base that is an operation has parentheses already."""
    addition = f" + {EPSILON}"
    if isinstance(node, ir.Operation) and node.operator in _SUMS:
        return (node.span, addition)
    parts = (*enclosed(node), addition)
    return ("(", *parts, ")") if is_receiver else parts
