"""Pooling over a size that the code does not say: what a run tells of it, and numbers that rest on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gradlint.flow.propagate import GradientFlow
from gradlint.mathematics.activations import NAMES
from gradlint.records.finding import Claim, Metric
from gradlint.verify.plan import place_of, spreading
from gradlint.verify.worker.protocol import Answer, Layer, Reply

_KEEPING = frozenset({"reshape", "dropout", "identity", "scale", "batch_norm", "layer_norm", "add"})
"""Operations that give as many elements as they take."""


def needs_sizes(flow: GradientFlow | None, claims: Sequence[Claim]) -> bool:
    """Whether the sizes of a run say more of a claim about depth than the code does."""
    return flow is not None and bool(_unknown(flow)) and any(c.metric is Metric.DEPTH_GAIN for c in claims)


def settled(reply: Reply, claims: Sequence[Claim], flow: GradientFlow | None) -> Reply:
    """The reply with gains over depth less what pooling distributed in the run, not what was assumed."""
    if flow is None or not reply.layers or not needs_sizes(flow, claims):
        return reply
    gradients = flow.distributed(shares(flow, reply.layers))
    answers = []
    for claim, answer in zip(claims, reply.answers, strict=True):
        name = place_of(claim)
        is_gain = claim.metric is Metric.DEPTH_GAIN
        wrong = spreading(flow, name) - spreading(flow, name, gradients) if is_gain else 0.0
        answers.append(_moved(answer, wrong) if wrong else answer)
    return replace(reply, answers=answers)


def _moved(answer: Answer, by: float) -> Answer:
    return replace(answer, values=[value + by for value in answer.values])


def shares(flow: GradientFlow, run: Sequence[Layer]) -> dict[int, float]:
    """What pooling over a size that the code does not say made of one element, by its node.

    1 where the run does not tell: then nothing is distributed.
    """
    elements = {layer.module: layer.elements for layer in run if layer.module}
    found = {}
    for number in _unknown(flow):
        before, behind = _before(flow, number, elements), _behind(flow, number, elements)
        found[number] = min(behind / before, 1.0) if before and behind else 1.0
    return found


def _before(flow: GradientFlow, number: int, elements: Mapping[str, int]) -> int:
    """The elements that go into a node: those of the nearest module before it; 0 where that is not known."""
    nodes = flow.graph.nodes
    node = nodes[nodes[number].inputs[0]]
    while node.module not in elements and node.op in NAMES | _KEEPING and node.inputs:
        node = nodes[node.inputs[0]]
    return elements.get(node.module, 0)


def _behind(flow: GradientFlow, number: int, elements: Mapping[str, int]) -> int:
    """The elements that a node gives: its own as a module, or those that the next linear layer takes."""
    node = flow.graph.nodes[number]
    if node.module in elements and elements[node.module] != _before(flow, number, elements):
        return elements[node.module]
    for after in flow.graph.nodes[number + 1 :]:
        if number in after.inputs and after.op in NAMES | _KEEPING:
            number = after.number
        elif number in after.inputs:
            sizes = [after.settings.get(name) for name in ("in_features", "out_features")]
            taken, given = [size if isinstance(size, int) else 0 for size in sizes]
            return elements.get(after.module, 0) * taken // given if given else 0
    return 0


def _unknown(flow: GradientFlow) -> list[int]:
    return [n for n, effect in enumerate(flow.effects) if effect.spreading.lo != effect.spreading.hi]
