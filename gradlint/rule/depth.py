"""What rules say about the depth of a model: its claim, its numbers in words, its places."""

from __future__ import annotations

from collections.abc import Iterable

from gradlint.flow.chain import Chain
from gradlint.flow.model import Model
from gradlint.records.finding import Claim, Metric, Related
from gradlint.records.graph import Node
from gradlint.rule.places import related

LEAST = 1.0
"""Decades from which on rules about depth speak at all; settings decide what is reported."""

CONFIRMED = 2.0
"""Decades from which on a measured S confirms that a gradient vanishes or explodes; healthy is less."""


def depth_gain(model: Model, chain: Chain) -> Claim:
    """That the gradient at the chain's first layer over that at its last is what the flow predicts."""
    first, last = (model.graph.nodes[number] for number in (chain.first, chain.last))
    predicted = chain.decades.centre
    is_loss = predicted < 0
    return Claim(
        Metric.DEPTH_GAIN,
        f"{model.graph.name}:{name(first)}->{name(last)}",
        -CONFIRMED if is_loss else CONFIRMED,
        predicted,
        least=-chain.least_loss if is_loss else chain.least_growth,
    )


def name(node: Node) -> str:
    """The module that computes a node, or the parameter that it joins to a signal; "input" for an input."""
    paths = [parameter.path for parameter in node.parameters.values()]
    return node.module or next(iter(paths), "input" if node.op == "input" else "")


def ends(model: Model, chain: Chain, *others: tuple[Node, str]) -> tuple[Related, ...]:
    """The chain's first and last layer, and other nodes that explain it, where they are made."""
    nodes = model.graph.nodes
    marked = [(nodes[chain.first], "the first layer"), *others, (nodes[chain.last], "the last layer")]
    return related(model.graph, [(node.made or node.place, message) for node, message in marked])


def times(decades: float) -> str:
    """A factor as people write it, from its decades: "3e-05", "0.02", "400"."""
    if not -300 < decades < 300:
        return f"1e{decades:+.0f}"
    return f"{10**decades:.1g}"


def counted(nodes: Iterable[Node]) -> str:
    """What operations these are and how many: "8 sigmoid", "4 tanh and 2 sigmoid"."""
    found: dict[str, int] = {}
    for node in nodes:
        found[node.op] = found.get(node.op, 0) + 1
    return " and ".join(f"{count} {op}" for op, count in sorted(found.items(), key=lambda each: -each[1]))
