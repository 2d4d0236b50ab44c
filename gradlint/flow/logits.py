"""Scores of queries and keys on their way into a softmax."""

from __future__ import annotations

import math
from collections.abc import Iterator

from msgspec import Struct

from gradlint.flow.initial import number
from gradlint.flow.propagate import GradientFlow
from gradlint.mathematics.interval import Interval, point
from gradlint.records.graph import Node

_PASSING = frozenset({"masked", "shift", "reshape", "dropout", "identity", "select", "expand"})


class Logits(Struct, frozen=True):
    """A softmax over products of `features` numbers each; `deviation` of its inputs along a row."""

    softmax: Node
    product: Node
    features: int
    factor: float
    deviation: Interval


def attention_logits(flow: GradientFlow) -> Iterator[Logits]:
    """The softmaxes over matrix products of two signals, as far as their scale is known."""
    for node in flow.graph.nodes:
        found = _product(flow, node.inputs[0]) if node.op == "softmax" and node.inputs else None
        if found is None:
            continue
        product, factor = found
        features = number(product, "products")
        if features is not None and flow.moments[product.number].is_certain:
            variance = _variance(flow, product) * float(features) * factor**2
            yield Logits(node, product, features, factor, variance.sqrt)


def _product(flow: GradientFlow, start: int) -> tuple[Node, float] | None:
    """The product behind what keeps its elements, and the factor that is applied on the way."""
    factor = 1.0
    node = flow.graph.nodes[start]
    while node.op not in ("matmul", "bmm", "einsum"):
        by = node.settings.get("factor") if node.op == "scale" else 1.0
        if node.op not in (*_PASSING, "scale") or not isinstance(by, (int, float)) or len(node.inputs) != 1:
            return None
        factor *= by
        node = flow.graph.nodes[node.inputs[0]]
    return (node, factor) if len(node.inputs) == 2 else None


def _variance(flow: GradientFlow, product: Node) -> Interval:
    """E[q²]·Var[k] of one feature: what all keys have in common moves no share of a row."""
    query, key = (flow.moments[n] for n in product.inputs)
    kept = (point(1.0) - key.tilt.square).clamped(0.0, 1.0)
    own = key.second * kept * key.spread.clamped(0.0, 1.0)
    return query.second * own if not math.isnan(own.lo) else Interval(0.0, math.inf)
