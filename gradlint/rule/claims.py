"""Claims about gradients that are not finite, as the rules about them make them."""

from __future__ import annotations

import math

from gradlint.records.finding import Claim, Metric
from gradlint.semantics.backflow import infinite_gradient
from gradlint.semantics.poles import Pole
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


def pole_claim(trace: Trace, pole: Pole, condition: str) -> Claim:
    """What an application does to the gradient at its pole; to the result, where nothing gets behind."""
    operands = [pole.operand.value]
    if pole.application.primitive == "div":
        operands.append(pole.application.operands[0].value)
    for value in operands:
        predicted = infinite_gradient(value)
        if predicted is not None and trace.carries_gradient(value):
            return non_finite_gradient(trace, value, predicted, condition)
    return non_finite_value(trace, math.nan if pole.application.primitive == "div" else math.inf, condition)


def _source(trace: Trace, value: Value | None) -> str:
    """An input that `value` depends on; a parameter only where there is none."""
    roots = value.roots - trace.arrays if isinstance(value, Tensor) else frozenset()
    return min(roots, key=lambda root: (root.startswith("self."), root), default="")
