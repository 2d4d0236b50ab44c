"""Claims about gradients that are not finite, as the rules about them make them."""

from __future__ import annotations

import math

from msgspec.structs import replace

from gradlint.records.finding import Claim, Metric, Severity
from gradlint.semantics.backflow import infinite_gradient, is_followed
from gradlint.semantics.guards import LateGuard
from gradlint.semantics.poles import WEIGHTS, Pole
from gradlint.semantics.tensor import Tensor, Witness, facts_of
from gradlint.semantics.trace import Trace
from gradlint.semantics.value import Value


def non_finite_gradient(trace: Trace, value: Value | None, predicted: float, condition: str) -> Claim:
    """That the gradient at an input behind `value` is `predicted`, inf or nan."""
    subject = f"{trace.name}:{_source(trace, value)}"
    return Claim(Metric.NON_FINITE_GRADIENT, subject, math.inf, predicted, condition)


def non_finite_value(trace: Trace, predicted: float, condition: str) -> Claim:
    """That the result is `predicted`, inf or nan, though the gradient need not be."""
    return Claim(Metric.NON_FINITE_VALUE, f"{trace.name}:output", math.inf, predicted, condition)


def pole_claim(trace: Trace, pole: Pole, condition: str) -> Claim:
    """What an application does to the gradient at its pole; to the result, where nothing gets behind."""
    operand = pole.operand.value
    divided = pole.application.value(0) if pole.application.primitive == "div" else None
    if pole.witness is not None and pole.witness.reason == WEIGHTS:
        return non_finite_gradient(trace, _unweighted(divided, operand), math.nan, condition)
    candidates = [operand]
    if divided is not None:
        is_plain = infinite_gradient(divided) == math.inf and not _shared(trace, divided, operand)
        candidates = [divided, operand] if is_plain else [operand, divided]
    for value in candidates:
        predicted = infinite_gradient(value)
        if predicted is not None and trace.carries_gradient(value):
            if value is operand and divided is not None and condition == "zeros":
                predicted = math.nan  # what is divided is 0 as well
            return non_finite_gradient(trace, value, predicted, condition)
    return non_finite_value(trace, math.inf if divided is None else math.nan, condition)


def severity(witness: Witness) -> Severity | None:
    """A note where the point is hardly ever reached; None for the severity of the rule."""
    return Severity.NOTE if witness.rare else None


def _unweighted(divided: Value | None, weights: Value) -> Value | None:
    """The dividend of a weighted mean as it depends on what is averaged."""
    if isinstance(divided, Tensor) and isinstance(weights, Tensor):
        return replace(divided, roots=(divided.roots - weights.roots) or divided.roots)
    return divided


def _shared(trace: Trace, first: Value, second: Value) -> bool:
    """Whether a gradient comes to one input through both values."""
    values = (first, second)
    if not all(isinstance(value, Tensor) and trace.carries_gradient(value) for value in values):
        return False
    roots = [value.roots for value in values if isinstance(value, Tensor)]
    return bool(roots[0] & roots[1])


def guarded_claim(trace: Trace, pole: Pole, guard: LateGuard) -> Claim | None:
    """What is left of the gradient at a pole behind which `guard` mends the value; None if it is whole."""
    facts = facts_of(pole.operand.value)
    is_plausible = guard.telling and facts.lo < 0 <= facts.hi and is_followed(pole.operand.value)
    if pole.witness is None and not is_plausible:
        return None
    condition = pole.witness.condition if pole.witness is not None else "zeros"
    claim = pole_claim(trace, pole, condition)
    if claim.metric is not Metric.NON_FINITE_GRADIENT or guard.application.primitive == "add":
        return claim if claim.metric is Metric.NON_FINITE_GRADIENT else None
    return replace(claim, predicted=math.nan)


def _source(trace: Trace, value: Value | None) -> str:
    """An input that `value` depends on; a parameter only where there is none."""
    roots = value.roots - trace.arrays if isinstance(value, Tensor) else frozenset()
    return min(roots, key=lambda root: (root.startswith("self."), root), default="")
