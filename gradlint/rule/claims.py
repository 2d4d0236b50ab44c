"""Claims about gradients that are not finite, as the rules about them make them."""

from __future__ import annotations

import math

from gradlint.records.finding import Claim, Metric
from gradlint.semantics.tensor import Tensor
from gradlint.semantics.trace import Trace
from gradlint.semantics.value import Value


def non_finite_gradient(trace: Trace, value: Value | None, predicted: float, condition: str) -> Claim:
    """That the gradient at an input behind `value` is `predicted`, inf or nan."""
    subject = f"{trace.name}:{_source(trace, value)}"
    return Claim(Metric.NON_FINITE_GRADIENT, subject, math.inf, predicted, condition)


def non_finite_value(trace: Trace, predicted: float, condition: str) -> Claim:
    """That the result is `predicted`, inf or nan, though the gradient need not be."""
    return Claim(Metric.NON_FINITE_VALUE, f"{trace.name}:output", math.inf, predicted, condition)


def _source(trace: Trace, value: Value | None) -> str:
    """An input that `value` depends on; a parameter only where there is none."""
    roots = value.roots - trace.arrays if isinstance(value, Tensor) else frozenset()
    return min(roots, key=lambda root: (root.startswith("self."), root), default="")
