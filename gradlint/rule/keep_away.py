"""The fix that keeps an operand away from 0."""

from __future__ import annotations

from gradlint.records import ir
from gradlint.records.finding import Applicability, Edit, Fix
from gradlint.rule.rewrite import enclosed, plus
from gradlint.semantics.poles import Pole
from gradlint.semantics.tensor import facts_of
from gradlint.semantics.trace import Trace

_EPSILON = "1e-8"


def keep_away(trace: Trace, pole: Pole) -> Fix | None:
    """Add a small number to the operand; clamp it at 1 where it counts something."""
    application, node = pole.application, pole.operand.node
    span = application.site.node.span
    if trace.via is not None or application.site.callers or pole.at != 0 or not span.contains(node.span):
        return None
    if not isinstance(node, ir.Name | ir.Attribute | ir.Call | ir.Index | ir.Operation):
        return None
    if facts_of(pole.operand.value).count:
        parts = (*enclosed(node), ".clamp(min=1)")
        return Fix("clamp the count at 1", Applicability.UNSAFE, (Edit(node.span, parts),))
    parts = plus(node, _EPSILON, _is_argument(application.site.node, node))
    return Fix(f"add {_EPSILON}", Applicability.UNSAFE, (Edit(node.span, parts),))


def _is_argument(place: ir.Node, node: ir.Expression) -> bool:
    """Whether `node` stands alone: between the commas of a call, or behind an augmented assignment."""
    if isinstance(place, ir.Call):
        return any(argument is node for argument in (*place.positional, *[k.value for k in place.keywords]))
    return isinstance(place, ir.Operation) and place.operator in ir.IN_PLACE
