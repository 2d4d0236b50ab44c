"""What was predicted and measured of a finding, as badges, numbers and a scale."""

from __future__ import annotations

import math
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from gradlint.records.evidence import Evidence, Verdict
from gradlint.records.finding import Claim, Finding, Metric
from gradlint.report.page.markup import element

_CLASSES = {
    Verdict.CONFIRMED: ("bad", "●", "the number lies beyond the bound of the claim"),
    Verdict.REFUTED: ("good", "○", "the number lies clearly on the healthy side"),
    Verdict.INCONCLUSIVE: ("unsure", "◐", "too near to the bound, or not a number"),
    Verdict.NOT_EXERCISED: ("none", "–", "the run does not come past the place"),
    Verdict.COULD_NOT_RUN: ("none", "✕", "the target could not be built or run"),
}
_STATES = {
    "healthy": ("good", "○"),
    "at risk": ("bad", "●"),
    "not judged": ("unsure", "◐"),
    "could not run": ("none", "✕"),
    "skipped": ("none", "–"),
}
_DECADES = frozenset({Metric.DEPTH_GAIN, Metric.ACTIVATION_SCALE, Metric.RECURRENT_GAIN, Metric.STEP_SCALE})
WIDTH, HEIGHT, EDGE = 300, 44, 10


def rank(finding: Finding) -> tuple[int, int]:
    """What is worth reading first comes first: confirmed, unsure, unmeasured, refuted; then by severity."""
    order = (Verdict.CONFIRMED, Verdict.INCONCLUSIVE, Verdict.COULD_NOT_RUN, Verdict.NOT_EXERCISED, None)
    verdict = finding.evidence.verdict if finding.evidence is not None else None
    place = order.index(verdict) if verdict in order else len(order)
    return place, -finding.severity.rank


def badge(finding: Finding) -> Element:
    """The verdict, or the severity of what was not measured."""
    if finding.evidence is None:
        return element("span", finding.severity.value, class_="badge none", title="nothing was measured")
    verdict = finding.evidence.verdict
    name, sign, meaning = _CLASSES[verdict]
    return element("span", f"{sign} {verdict.value}", class_=f"badge {name}", title=meaning)


def state(verdict: str) -> Element | None:
    """The verdict on a model."""
    if verdict not in _STATES:
        return None
    name, sign = _STATES[verdict]
    return element("span", f"{sign} {verdict}", class_=f"badge {name}")


def number(value: float) -> str:
    """Three digits; words for what is no number."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.3g}".replace("-", "−")


def unit(claim: Claim) -> str:
    """The unit of a claim's numbers, with a blank before it."""
    return " decades" if claim.metric in _DECADES else ""


def predicted(finding: Finding) -> str:
    """What was foretold."""
    claim = finding.claim
    if claim is None:
        return "–"
    return f"{number(claim.predicted)}{unit(claim)}" if math.isfinite(claim.predicted) else "not finite"


def measured(finding: Finding) -> str:
    """What was measured, with its spread over the seeds."""
    evidence, claim = finding.evidence, finding.claim
    if evidence is None or evidence.measured is None or claim is None:
        return "–"
    spread = f" ± {evidence.spread:.2g}" if evidence.seeds > 1 and evidence.spread else ""
    return f"{number(evidence.measured)}{spread}{unit(claim)}"


def conditions(evidence: Evidence) -> str:
    """Under which conditions a number was measured."""
    seeds = "1 seed" if evidence.seeds == 1 else f"{evidence.seeds} seeds"
    return f"{seeds}, {evidence.device} {evidence.dtype}"


def scale(finding: Finding) -> Element | None:
    """Bound, prediction and measurement on one line; None where one of them is no number."""
    claim, evidence = finding.claim, finding.evidence
    if claim is None or evidence is None or evidence.measured is None:
        return None
    values = (claim.bound, claim.predicted, evidence.measured)
    if not all(map(math.isfinite, values)):
        return None
    said = f"bound {number(claim.bound)}, predicted {predicted(finding)}, measured {measured(finding)}"
    return element(
        "svg",
        *_scale(claim, evidence.measured),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        class_="scale",
        role="img",
        aria_label=said,
    )


def _scale(claim: Claim, value: float) -> Iterator[Element]:
    low, high = min(0.0, claim.bound, claim.predicted, value), max(0.0, claim.bound, claim.predicted, value)
    room = (high - low) * 0.08 or 1.0

    def x(at: float) -> float:
        return EDGE + (WIDTH - 2 * EDGE) * (at - low + room) / (high - low + 2 * room)

    bound, middle = x(claim.bound), 16
    is_high = claim.predicted >= claim.bound
    start, end = (bound, WIDTH - EDGE) if is_high else (EDGE, bound)
    yield element("rect", x=start, y=4, width=end - start, height=24, class_="risk")
    yield element("line", x1=EDGE, x2=WIDTH - EDGE, y1=middle, y2=middle, class_="zero")
    yield element("line", x1=bound, x2=bound, y1=4, y2=28, class_="bound")
    yield element("circle", cx=x(claim.predicted), cy=middle, r=6.5, class_="ring")
    yield element("circle", cx=x(value), cy=middle, r=3.6, class_="dot")
    anchor = "end" if bound > WIDTH * 0.8 else "start" if bound < WIDTH * 0.2 else "middle"
    yield element("text", f"bound {number(claim.bound)}", x=bound, y=41, class_="tick", text_anchor=anchor)
