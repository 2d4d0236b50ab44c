"""From a measured number to a verdict on the claim that foretold it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from gradlint.records.evidence import Verdict
from gradlint.records.finding import Claim, Metric

SHARES = frozenset(
    {Metric.SATURATION, Metric.DEAD_UNITS, Metric.UNIQUE_GRADIENT_ROWS, Metric.GRADIENT_ARRIVES}
)
NON_FINITE = frozenset({Metric.NON_FINITE_GRADIENT, Metric.NON_FINITE_VALUE})
_SMALL = frozenset({Metric.UNIQUE_GRADIENT_ROWS, Metric.REGISTERED_PARAMETERS})
_CLOSE = 2 / 3
"""From this share of its bound on, in decades, a value is not clearly on the healthy side."""
_CLOSE_SHARE = 0.4
"""The same for shares: 20 % where the bound is 50 %."""


def rises(claim: Claim) -> bool:
    """Whether a claim says that a value is large rather than small."""
    if claim.metric is Metric.GRADIENT_ARRIVES:
        return claim.bound > 0
    return claim.predicted >= claim.bound and claim.metric not in _SMALL


def is_beyond(value: float, claim: Claim) -> bool:
    """Whether a measured value lies on the claim's side of its bound."""
    return value >= claim.bound if rises(claim) else value <= claim.bound


def is_close(value: float, claim: Claim) -> bool:
    """Whether a value on the other side of its bound is too near to it to refute the claim."""
    if (
        not math.isfinite(claim.bound)
        or not claim.bound
        or claim.metric in (*_SMALL, Metric.GRADIENT_ARRIVES)
    ):
        return False
    share = value / claim.bound
    if claim.metric in SHARES:
        return _CLOSE_SHARE <= share < 1
    return _CLOSE <= share < 1 if claim.metric is not Metric.WEIGHT_VARIANCE else False


def verdict(claim: Claim, values: Sequence[float]) -> Verdict:
    """What the values of all seeds together say."""
    if not values:
        return Verdict.COULD_NOT_RUN
    if claim.metric in NON_FINITE:
        return Verdict.REFUTED if all(map(math.isfinite, values)) else Verdict.CONFIRMED
    middle = statistics.median(values)
    if math.isnan(middle):
        return Verdict.INCONCLUSIVE
    if is_beyond(middle, claim):
        return Verdict.CONFIRMED
    return Verdict.INCONCLUSIVE if is_close(middle, claim) else Verdict.REFUTED


def agrees(value: float, claim: Claim) -> bool:
    """Whether a measured value is what was predicted.

    Decades within 0.3 or a tenth; shares within a tenth; variances within 0.3 decades; or anything
    between the mildest value that the prediction leaves possible and as far on its other side.
    """
    if value == claim.predicted:
        return True
    if claim.metric is Metric.WEIGHT_VARIANCE:
        is_known = 0 < value < math.inf and 0 < claim.predicted < math.inf
        return is_known and abs(math.log10(value / claim.predicted)) <= 0.3
    tolerance = 0.1 if claim.metric in SHARES else max(0.3, 0.1 * abs(claim.predicted))
    left = 0.0 if claim.least is None else abs(claim.predicted - claim.least)
    return abs(value - claim.predicted) <= max(tolerance, left)
