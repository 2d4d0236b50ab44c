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
    Metric.STEP_SCALE: "decades of the gradient of a step over that with the remedy: {predicted}",
    Metric.FLUSHED_GRADIENTS: "share of gradients that float16 makes 0: {predicted}",
    Metric.LOST_UPDATES: "share of float16 weights that the first step leaves or breaks: {predicted}",
    Metric.RAISES: "the loop raises an error",
    Metric.KEPT_GRAPHS: "graphs of an iteration that are still held at the end: {predicted}",
    Metric.TRAINED_SHARE: "share of the parameters that are trained: {predicted}",
    Metric.TRAINING_DIFFERENCE: "distance of the trained weights from those with the remedy: {predicted}",
    Metric.UPDATE_RATIO: "decades of an update over the weights: {predicted}",
    Metric.SCHEDULE_LEAD: "rates of the schedule that it is ahead: {predicted}",
}


def prediction(claim: Claim) -> str:
    """What a backward pass is foretold to measure, where, and on which input."""
    phrase = _PHRASES.get(claim.metric, f"{claim.metric.value.replace('-', ' ')}: {{predicted}}")
    is_known = isfinite(claim.predicted) or claim.metric in (Metric.STEP_SCALE, Metric.DEPTH_GAIN)
    number = f"{claim.predicted:.3g}" if is_known else "not finite"
    subject = f" at `{claim.subject}`" if claim.subject else ""
    is_set = claim.rehearsal is not None or claim.condition.startswith(("steps=", "updates="))
    where = "with" if is_set else "on the input"
    condition = f" {where} `{claim.condition}`" if claim.condition else ""
    return phrase.format(predicted=number) + subject + condition
