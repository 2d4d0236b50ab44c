"""A claim in words."""

from __future__ import annotations

from math import isfinite

from gradlint.records.finding import Claim, Metric

_PHRASES = {
    Metric.NON_FINITE_GRADIENT: "the gradient is not finite",
    Metric.NON_FINITE_VALUE: "the value is not finite",
    Metric.GRADIENT_ARRIVES: "gradient that arrives: {predicted}",
    Metric.REGISTERED_PARAMETERS: "registered parameters: {predicted}",
}


def prediction(claim: Claim) -> str:
    """What a backward pass is foretold to measure, where, and on which input."""
    phrase = _PHRASES.get(claim.metric, f"{claim.metric.value.replace('-', ' ')}: {{predicted}}")
    number = f"{claim.predicted:.3g}" if isfinite(claim.predicted) else "not finite"
    subject = f" at `{claim.subject}`" if claim.subject else ""
    condition = f" on the input `{claim.condition}`" if claim.condition else ""
    return phrase.format(predicted=number) + subject + condition
