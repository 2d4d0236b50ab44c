"""Findings about what comes before a loss: where they stand, and what they claim."""

from __future__ import annotations

from gradlint.flow.objective import Objective
from gradlint.mathematics.loss_gradient import gradient_left
from gradlint.records.finding import Claim, Metric, Related
from gradlint.records.graph import Node, Place
from gradlint.records.span import Span
from gradlint.rule.places import related, used_at

ASSUMED_CLASSES = 10
"""Where the number of classes is not known."""


def placed(objective: Objective, before: Node, loss: Node) -> tuple[Span, tuple[Related, ...]]:
    """Where the checked file is to be changed: at what comes before the loss, if that is its own, else
    at the loss; the other place stands beside it.
    """
    graph = objective.graph
    own = [place for place in (before.made, before.place) if place and place.path == graph.place.path]
    if own:
        return own[0].span, related(graph, [(loss.place, f"what `{loss.op}` takes")])
    return used_at(graph, loss), related(graph, [(_origin(before), f"where `{before.op}` is applied")])


def _origin(node: Node) -> Place | None:
    return node.made or node.place


def loss_gradient(objective: Objective, before: Node, loss: str) -> Claim:
    """That next to nothing is left of the gradient where a sample is confidently wrong."""
    classes = objective.classes(before) or ASSUMED_CLASSES
    left = gradient_left(before.op, loss, classes)
    subject = f"{objective.graph.name}:{before.op}->{loss}"
    return Claim(Metric.LOSS_GRADIENT, subject, 0.1, left, f"classes={classes}")
