"""What rules say about recurrences: the claim, and where a recurrence stands."""

from __future__ import annotations

import math

from gradlint.flow.model import Model
from gradlint.flow.time import Recurrence
from gradlint.mathematics.interval import Interval
from gradlint.records.finding import Claim, Metric
from gradlint.records.span import Span
from gradlint.rule.places import made_at, within

LEAST = 1.0
"""Decades from which on rules about recurrences speak at all; settings decide what is reported."""

ROUNDED = 24 * math.log10(2)
"""Decades from which on float32 rounds away what the first step adds to weights that all steps share."""

CONFIRMED = 3.0
"""Decades over all steps from which on a measurement confirms that a gradient vanishes or explodes."""


def recurrent_gain(found: Recurrence) -> Claim:
    """That the gradient at the first step over that at the last is what the flow predicts."""
    return gain_over(found.decades, found.subject, found.steps, abs(found.mildest))


def gain_over(decades: Interval, subject: str, steps: int, least: float | None = None) -> Claim:
    """That so many decades are lost or gained over the steps, `least` of them in any case."""
    predicted = decades.centre
    bound = -CONFIRMED if predicted < 0 else CONFIRMED
    least = max(-decades.hi, decades.lo, 0.0) if least is None else least
    return Claim(Metric.RECURRENT_GAIN, subject, bound, predicted, f"steps={steps}", least)


def is_rounded_away(found: Recurrence) -> bool:
    """Whether the last step's share of the weights' gradient surely leaves nothing of the first one's."""
    return found.mildest <= -ROUNDED


def place_of(model: Model, found: Recurrence) -> Span:
    """Where the recurrent weights get their values, or else the layer is made."""
    written = [weight.initial.place for weight in found.weights if weight.initial.scheme != "default"]
    if any(place is not None for place in written):
        return within(model.graph, *written)
    return made_at(model.graph, found.node)
