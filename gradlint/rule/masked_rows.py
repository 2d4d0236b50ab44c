"""What becomes of a softmax whose rows may be masked as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradlint.records.finding import Claim
from gradlint.rule.claims import non_finite_gradient, non_finite_value
from gradlint.semantics.masks import Fill
from gradlint.semantics.tensor import REARRANGING, Application, Tensor, sources
from gradlint.semantics.trace import Trace

CONDITION = "all masked"
_OVERWRITING = ("nan_to_num", "masked_fill", "where", "isnan", "isfinite", "index_put")
_PASSING = REARRANGING | {"dropout"}
_MULTIPLYING = ("matmul", "mul", "einsum")


def is_considered(trace: Trace, fill: Fill) -> bool:
    """Whether the code asks of the mask how much it covers."""
    mask = sources(fill.mask)
    return any(a.primitive in ("any", "all") and sources(a.value(0)) & mask for a in trace.everything)


def is_overwritten(trace: Trace, made: Application) -> bool:
    """Whether what is not a number is overwritten in a result, or in what passes it on."""
    return any(user.primitive in _OVERWRITING for user in _passed_on(trace, made))


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
    pending = [made]
    while pending:
        number = pending.pop().number
        for user in trace.everything:
            if any(isinstance(o.value, Tensor) and o.value.number == number for o in user.operands):
                yield user
                if user.primitive in _PASSING:
                    pending.append(user)
