"""What the rule about networks written by hand says and claims of each fault."""

from __future__ import annotations

import math

from gradlint.flow.chain import Chain
from gradlint.flow.handwritten import Drawing, Handwritten, Written
from gradlint.records.finding import Claim, Metric
from gradlint.records.graph import Node
from gradlint.rule.depth import times

SHARE = 0.5
"""The share of saturated arguments from which on a layer learns next to nothing."""

GROWTH = 1.5
"""Decades by which a signal may grow through all layers."""

LOSS = 3.0
"""Decades of the gradient that a chain of layers may lose."""

THROUGH_TIME = "the gradient goes through this product at every step of a sequence, and nothing bounds it"
CLIP = "clip the gradient before the step: np.clip(dW, -5, 5, out=dW)"

_LARGE = "logits of 1000"


def is_bad(drawing: Drawing) -> bool:
    """Whether most of an activation is saturated, or the signal grows too much."""
    return drawing.growth >= GROWTH if drawing.share is None else drawing.share >= SHARE


def of_drawing(network: Handwritten, drawing: Drawing) -> tuple[str, Claim]:
    """What weights do as they are drawn."""
    what = "weights that are not centred" if drawing.mean > 0.5 else "weights"
    start, subject = f"{what}, of {drawing.fan_in} inputs,", _subject(network, drawing.node)
    if drawing.share is None:
        growth = drawing.growth
        claim = Claim(Metric.ACTIVATION_SCALE, subject, GROWTH, growth, least=growth)
        return f"{start} let the signal grow by {growth:.1f} decades", claim
    claim = Claim(Metric.SATURATION, subject, SHARE, drawing.share, least=drawing.share)
    bend = drawing.activation.op
    return f"{start} saturate {drawing.share:.0%} of the arguments of {bend}", claim


def of_chain(network: Handwritten, chain: Chain, first: Node) -> tuple[str, Claim]:
    """What a chain of layers leaves of the gradient."""
    predicted = chain.decades.centre
    subject = _subject(network, first)
    claim = Claim(Metric.DEPTH_GAIN, subject, -LOSS, predicted, least=chain.least_loss)
    left = f"{times(predicted)} of the gradient at the first of {chain.layers} layers"
    return f"the activations leave {left} ({predicted:.1f} decades)", claim


def of_softmax(network: Handwritten, written: Written) -> tuple[str, Claim]:
    """What a softmax by hand does to large logits."""
    claim = Claim(Metric.NON_FINITE_VALUE, f"{network.graph.name}:softmax", math.inf, math.nan, _LARGE)
    first = f"; the first logits are of size {written.logits:.0f}" if written.is_close else ""
    return f"exp overflows for large arguments, and the quotient is nan{first}", claim


def _subject(network: Handwritten, node: Node) -> str:
    """A layer by the line on which it is computed."""
    line = node.place.span.line if node.place is not None else 0
    return f"{network.graph.name}:{line}"
