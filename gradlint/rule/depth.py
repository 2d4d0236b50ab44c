"""What rules say about the depth of a model: its claim, its numbers in words, its places."""

from __future__ import annotations

import math
from collections.abc import Iterable

from gradlint.flow.attribution import FACTORS, NORMS
from gradlint.flow.chain import Chain
from gradlint.flow.model import Model
from gradlint.flow.propagate import is_weighted
from gradlint.flow.unrolled import THRESHOLD, Repeated
from gradlint.mathematics.activations import NAMES
from gradlint.mathematics.interval import Interval
from gradlint.records.finding import Claim, Metric, Related
from gradlint.records.graph import Node
from gradlint.records.span import Span
from gradlint.rule.places import related, used_at, within

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


def activation_scale(model: Model, first: Node, last: Node, decades: Interval, least: float) -> Claim:
    """That the root mean square behind `last` over that behind `first` is what the flow predicts."""
    subject = f"{model.graph.name}:{name(first)}->{name(last)}"
    predicted = decades.centre
    bound = math.copysign(CONFIRMED, predicted)
    return Claim(Metric.ACTIVATION_SCALE, subject, bound, predicted, least=math.copysign(least, predicted))


def name(node: Node) -> str:
    """The module that computes a node, or the parameter that it joins to a signal; "input" for an input."""
    paths = [parameter.path for parameter in node.parameters.values()]
    return node.module or next(iter(paths), "input" if node.op == "input" else "")


def ends(model: Model, chain: Chain, *others: tuple[Node, str]) -> tuple[Related, ...]:
    """The chain's first and last layer, and other nodes that explain it, where they are made."""
    nodes = model.graph.nodes
    marked = [(nodes[chain.first], "the first layer"), *others, (nodes[chain.last], "the last layer")]
    return related(model.graph, [(node.made or node.place, message) for node, message in marked])


def initialised_at(model: Model, node: Node) -> Span:
    """Where the initial weight of a layer is chosen: the call that draws it, or the layer's construction."""
    weight = node.parameters.get("weight")
    chosen = weight.initial.place if weight is not None else None
    return within(model.graph, chosen, node.made, node.place, *reversed(node.callers))


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


def layers_of(model: Model) -> str:
    """The layers of a chain in words: how many, of which kind, with what between them."""
    count = 0 if model.chain is None else model.chain.layers
    kinds, _, between = _between(model).partition(" with ")
    return f"{count} {kinds} layers" + (f" with {between}" if between else "")


def _between(model: Model) -> str:
    """The kinds of layers in a chain, and what stands between them: "linear with relu"."""
    kinds = " and ".join(dict.fromkeys(node.op for node in _weighted(model)))
    between = dict.fromkeys(step.node.op for step in model.steps if step.node.op in NAMES | NORMS | FACTORS)
    return kinds + (f" with {' and '.join(between)}" if between else "")


def per_layer(found: Repeated) -> str:
    """What one layer of those that are repeated leaves of the gradient, and how many of them are a risk."""
    each = found.decades / found.layers
    decided = f"; `{found.decided_by}` says how many there are" if found.decided_by else ""
    return (
        f"{_between(found.model)} leaves {times(each)} of the gradient per layer ({each:.2f} decades): "
        f"from {found.times} iterations on, {THRESHOLD:.0f} decades are lost{decided}"
    )


def is_default(model: Model) -> bool:
    """Whether the weights of the chain are all as torch draws them."""
    parameters = [parameter for node in _weighted(model) for parameter in node.parameters.values()]
    return all(parameter.initial.scheme == "default" for parameter in parameters)


def _weighted(model: Model) -> list[Node]:
    first = [] if model.chain is None else [model.graph.nodes[model.chain.first]]
    return first + [step.node for step in model.steps if is_weighted(step.node)]


def worst(model: Model, sign: int) -> Span:
    """Where the layer or factor stands whose step is the largest towards `sign`; the first layer, if none."""
    assert model.chain is not None
    steps = [step for step in model.steps if step.is_direct and step.node.op not in NAMES]
    largest = max(steps, key=lambda step: sign * step.decades.centre, default=None)
    if largest is None or sign * largest.decades.centre <= 0:
        return initialised_at(model, model.graph.nodes[model.chain.first])
    return (
        used_at(model.graph, largest.node)
        if largest.node.op in FACTORS
        else initialised_at(model, largest.node)
    )
