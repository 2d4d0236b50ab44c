"""Comparisons with nan, and the fix that asks for nan instead."""

from __future__ import annotations

import math

from gradlint.records import ir
from gradlint.records.finding import Applicability, Edit, Fix
from gradlint.rule.rewrite import call
from gradlint.semantics.classes import is_module
from gradlint.semantics.interpretation import Operand
from gradlint.semantics.ops import TRANSFER
from gradlint.semantics.tensor import Application, producer
from gradlint.semantics.trace import Trace
from gradlint.semantics.value import Known, Value

_NO_TENSORS = frozenset({"item", "tolist", "numpy", "numel", "size", "dim"})
_MAKERS = ("tensor", "as_tensor", "full", "full_like", "new_tensor", "new_full")


def compared(application: Application) -> Operand | None:
    """What is compared with nan, or None if nothing is."""
    first, second = application.operand(0, "input"), application.operand(1, "other")
    if first is None or second is None:
        return None
    for operand, other in ((first, second), (second, first)):
        if _is_nan(other.value):
            return operand
    return None


def _is_nan(value: Value | None) -> bool:
    if isinstance(value, Known):
        return isinstance(value.value, float) and math.isnan(value.value)
    maker = producer(value, *_MAKERS)
    return maker is not None and any(_is_nan(operand.value) for operand in maker.operands)


def use_isnan(trace: Trace, application: Application, operand: Operand) -> Fix | None:
    """Ask whether the operand is nan; None where the place cannot be rewritten."""
    node = application.site.node
    if trace.via is not None or application.form == "in-place" or _is_link(trace, node):
        return None
    if isinstance(node, ir.Call) and (len(node.positional) + len(node.keywords) > 2 or _changes(node)):
        return None
    name, is_sure = _isnan(trace, application, operand)
    if name is None or (name.startswith("math") and application.primitive == "ne"):
        return None
    parts = call(name, [(operand.node.span,)])
    if application.primitive == "ne":
        parts = ("~", *parts)
    applicability = Applicability.SAFE if is_sure else Applicability.UNSAFE
    return Fix(f"use {name}", applicability, (Edit(node.span, parts),))


def _isnan(trace: Trace, application: Application, operand: Operand) -> tuple[str | None, bool]:
    """How to write the function for the kind of value that the operand is, and whether that is known."""
    made = producer(operand.value)
    if made is not None and made.primitive in ("item", "tolist"):
        return trace.spell("math.isnan"), made.primitive == "item"
    if _is_tensor(trace, application, operand):
        return trace.spell("torch.isnan"), True
    spelled = trace.spell("numpy.nan")
    if any(isinstance(o.node, ir.Attribute) and _text(o.node) == spelled for o in application.operands):
        return trace.spell("numpy.isnan"), False
    return trace.spell("torch.isnan"), False


def _text(node: ir.Expression) -> str:
    if isinstance(node, ir.Attribute):
        return f"{_text(node.value)}.{node.name}"
    return node.id if isinstance(node, ir.Name) else ""


def _changes(node: ir.Call) -> bool:
    return isinstance(node.function, ir.Attribute) and node.function.name.endswith("_")


def _is_link(trace: Trace, node: ir.Node) -> bool:
    """Whether the comparison is one of a chain (`a < x == nan`), whose text is the whole chain's."""
    return sum(other.site.node.span == node.span for other in trace.applications) > 1


def _is_tensor(trace: Trace, application: Application, operand: Operand) -> bool:
    """Whether the operand is known to be a tensor: by what made it, or by what is done with it."""
    if application.form == "function":
        return True
    made = producer(operand.value)
    if made is not None and made.primitive in TRANSFER:
        return made.primitive not in _NO_TENSORS
    users = (user for user in trace.users(operand.value) if user is not application)
    if any(user.form == "function" and user.primitive in TRANSFER for user in users):
        return True
    own = trace.function.name if isinstance(trace.function, ir.Function) else ""
    is_input = isinstance(operand.node, ir.Name) and any(
        parameter.name == operand.node.id for parameter in trace.function.parameters
    )
    return is_input and own == "forward" and trace.owner is not None and is_module(trace.owner)
