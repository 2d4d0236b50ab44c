"""What becomes of a softmax whose rows may be masked as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradlint.records import ir
from gradlint.records.finding import Applicability, Claim, Edit, Fix, Severity
from gradlint.rule.claims import non_finite_gradient, non_finite_value
from gradlint.semantics.masks import Fill, Grounds
from gradlint.semantics.tensor import REARRANGING, Application, sources
from gradlint.semantics.trace import Trace

CONDITION = "all masked"
_OVERWRITING = ("nan_to_num", "masked_fill", "where", "isnan", "isfinite", "index_put")
_PASSING = REARRANGING | {"dropout"}
_MULTIPLYING = ("matmul", "mul", "einsum")

_ROWS = {
    Grounds.GIVEN: (Severity.NOTE, "a row that the mask covers as a whole"),
    Grounds.JOINED: (Severity.WARNING, "a row that two masks cover together"),
    Grounds.CROSSED: (Severity.ERROR, "every row of a masked query"),
}


def is_considered(trace: Trace, fill: Fill) -> bool:
    """Whether the code asks of the mask how much it covers."""
    mask = sources(fill.mask)
    return any(a.primitive in ("any", "all") and sources(a.value(0)) & mask for a in trace.everything)


def is_overwritten(trace: Trace, made: Application) -> bool:
    """Whether what is not a number is overwritten in a result, or in what passes it on."""
    return any(user.primitive in _OVERWRITING for user in _passed_on(trace, made))


def weigh(softmax: Application, fill: Fill, is_late: bool) -> tuple[Severity, str]:
    """How bad a fill is, and what it does; `is_late` if the nan is overwritten afterwards, in vain."""
    severity, rows = _ROWS[fill.grounds]
    message = f"{softmax.primitive} is nan in {rows}"
    if is_late:
        return Severity.ERROR, f"{message}, and so is its gradient in spite of overwriting"
    return severity, message


def finite(trace: Trace, fill: Fill) -> Fix | None:
    """The smallest finite number in place of -inf, where the scores have a name."""
    if fill.application.site.path != trace.scope.path:
        return None
    finfo = trace.spell("torch.finfo")
    scores = fill.application.operands[0].node
    if finfo is None or fill.application.primitive != "masked_fill" or not isinstance(scores, ir.Name):
        return None
    edit = Edit(fill.value.node.span, (f"{finfo}(", scores.span, ".dtype).min"))
    return Fix("fill with the smallest finite number", Applicability.UNSAFE, (edit,))


def claim(trace: Trace, softmax: Application, fill: Fill) -> Claim:
    """Where the gradient becomes nan: at a term added, or at what the weights multiply."""
    if fill.added is not None:
        return non_finite_gradient(trace, fill.added, math.nan, CONDITION)
    for user in _passed_on(trace, softmax):
        if user.primitive in _MULTIPLYING:
            for operand in user.operands:
                other = operand.value
                if trace.carries_gradient(other) and softmax.number not in sources(other):
                    return non_finite_gradient(trace, other, math.nan, CONDITION)
    return non_finite_value(trace, math.nan, CONDITION)


def _passed_on(trace: Trace, made: Application) -> Iterator[Application]:
    """The applications to a result, or to the same elements in another shape."""
    pending, seen = [made.number], {made.number}
    while pending:
        for user in trace.uses.of(pending.pop()):
            yield user
            if user.primitive in _PASSING and user.number not in seen:
                seen.add(user.number)
                pending.append(user.number)
