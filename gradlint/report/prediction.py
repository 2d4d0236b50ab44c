"""A claim in words."""

from __future__ import annotations

from math import isfinite

from gradlint.records.finding import Claim, Metric

_PHRASES = {
    Metric.NON_FINITE_GRADIENT: "the gradient is not finite",
    Metric.NON_FINITE_VALUE: "the value is not finite",
    Metric.GRADIENT_ARRIVES: "gradient that arrives: {predicted}",
    Metric.REGISTERED_PARAMETERS: "registered parameters: {predicted}",
    Metric.DEPTH_GAIN: "decades of gradient from last to first: {predicted}",
    Metric.ACTIVATION_SCALE: "decades of growth of the activations: {predicted}",
    Metric.SATURATION: "share in saturation: {predicted}",
    Metric.DEAD_UNITS: "share of dead units: {predicted}",
    Metric.UNIQUE_GRADIENT_ROWS: "share of different rows in the gradient: {predicted}",
    Metric.WEIGHT_VARIANCE: "fan_in · variance of the weight: {predicted}",
    Metric.LOSS_GRADIENT: "share of the gradient that the true class gets: {predicted}",
    Metric.RECURRENT_GAIN: "decades of gradient from the last to the first step: {predicted}",
}


def prediction(claim: Claim) -> str:
    """What a backward pass is foretold to measure, where, and on which input."""
    phrase = _PHRASES.get(claim.metric, f"{claim.metric.value.replace('-', ' ')}: {{predicted}}")
    number = f"{claim.predicted:.3g}" if isfinite(claim.predicted) else "not finite"
    subject = f" at `{claim.subject}`" if claim.subject else ""
    condition = f" on the input `{claim.condition}`" if claim.condition else ""
    return phrase.format(predicted=number) + subject + condition
