"""Fixes for attributes that were meant to be `requires_grad`."""

from __future__ import annotations

from gradlint.records import ir
from gradlint.records.finding import Applicability, Edit, Fix
from gradlint.records.span import Span
from gradlint.semantics.value_facts import StoredAttribute


def spelt(store: StoredAttribute) -> Fix:
    """`p.requires_grad = ...` for another attribute."""
    end = store.site.node.span.end
    name = Span(end.line, end.column - len(store.name), end.line, end.column)
    return Fix("use requires_grad", Applicability.UNSAFE, (Edit(name, ("requires_grad",)),))


def called(store: StoredAttribute) -> Fix | None:
    """`module.requires_grad_(...)` for an assignment that stands on one line."""
    target, value = store.site.node, store.operand.node
    if not isinstance(target, ir.Attribute) or target.span.line != value.span.line:
        return None
    whole = Span(target.span.line, target.span.column, value.span.end_line, value.span.end_column)
    parts = (target.value.span, ".requires_grad_(", value.span, ")")
    return Fix("call requires_grad_", Applicability.UNSAFE, (Edit(whole, parts),))
