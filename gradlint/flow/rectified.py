"""Rectifiers whose units no sample reaches."""

from __future__ import annotations

import math
from collections.abc import Iterator

from msgspec import Struct

from gradlint.flow.propagate import GradientFlow
from gradlint.records.graph import Node

_RECTIFIERS = ("relu", "relu6")
_PASSING = frozenset({"reshape", "identity", "dropout", "select"})


class Rectified(Struct, frozen=True):
    """A rectifier with the node that makes its input: N(`mean`, `deviation`²), mean below 0."""

    rectifier: Node
    source: Node
    mean: float
    deviation: float

    def dead(self, samples: int) -> float:
        """The share of units that are 0 for so many samples: Φ(-mean/deviation)ⁿ."""
        awake = 0.5 * math.erfc(-self.mean / (self.deviation * math.sqrt(2)))
        return float((1 - awake) ** samples)


def rectified(flow: GradientFlow) -> Iterator[Rectified]:
    """The rectifiers whose input is known to be about Gaussian with a mean below 0, at its mildest."""
    for node in flow.graph.nodes:
        if node.op not in _RECTIFIERS:
            continue
        source = flow.graph.nodes[node.inputs[0]]
        x = flow.moments[source.number]
        deviation = x.centred.hi
        if x.is_certain and not x.is_skewed and x.mean.hi < 0 and 0 < deviation < math.inf:
            yield Rectified(node, _source(flow, source), x.mean.hi, math.sqrt(deviation))


def _source(flow: GradientFlow, node: Node) -> Node:
    while node.op in _PASSING and node.inputs:
        node = flow.graph.nodes[node.inputs[0]]
    return node
