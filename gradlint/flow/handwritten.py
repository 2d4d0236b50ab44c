"""What is wrong with a network that is written by hand, by what it does to its first iteration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from msgspec import Struct

from gradlint.flow.chain import Chain, longest_chain
from gradlint.flow.initial import Law, law, number
from gradlint.flow.moments import Moments
from gradlint.flow.propagate import GradientFlow, is_weighted, propagate
from gradlint.records.graph import DRAWING, TRANSPOSED, ModelGraph, Node, Parameter, Place

KNEES = {"sigmoid": 6.0, "tanh": 3.0}
"""From which |z| on the slope of an activation is below a hundredth of its largest."""

_RECTIFIED = ("relu", "clamp")
_ON_THE_WAY = frozenset({"add", "shift", "reshape", "expand", "dropout", "scale"})
_ADDING = frozenset({"add", "shift", "select", "reshape", "expand", "neg", "scale", "unknown", "join"})
_BOUNDING = frozenset(
    {"clamp", "minimum", "maximum", "amin", "amax", "min", "max", "norm", "sqrt", "compare", "div", "tanh"}
)
"""Operations with which the size of a gradient is bounded, or at least looked at."""

_STEPS = 3
"""Products with one weight from which on they are those of a sequence."""

_EXPONENT = 88.0
"""The largest logit of which the exponential is finite in single precision."""


class Handwritten(Struct, frozen=True):
    """One function, method or script of the checked file that computes a network with arrays.

    `weights` are the places where its weights are drawn: what a step changes, or an object keeps.
    """

    graph: ModelGraph
    weights: frozenset[Place]


class Drawing(Struct, frozen=True):
    """A layer whose weights, as they are drawn, drive its activation out of its range.

    `share` of the arguments lie beyond the knee of the activation; of ReLU it is None, and `growth` are
    the decades by which the signal grows up to the last layer. `mean` is what the mean of the weights
    has to do with it.
    """

    node: Node
    drawn: Place
    activation: Node
    fan_in: int
    share: float | None
    growth: float
    mean: float


class Written(Struct, frozen=True):
    """A softmax whose exponentials nothing bounds; `logits` is the root mean square that they begin with."""

    node: Node
    logits: float

    @property
    def is_close(self) -> bool:
        """Whether logits of the first iteration overflow in single precision."""
        return self.logits * 3 > _EXPONENT


class Layers(Struct, frozen=True):
    """The layers of a network in the order in which its first iteration uses them."""

    flow: GradientFlow
    first: tuple[Node, ...]


def layers(subject: Handwritten) -> Layers:
    """The first use of every weight, and what becomes of the signal up to the last of them."""
    own = [node for node in _first_uses(subject.graph) if _is_weight(subject, node)]
    forward = _up_to(subject.graph, [_end(subject.graph, node) for node in own])
    keys = set(map(_key, own))
    kept = [node for node in _first_uses(forward) if _key(node) in keys]
    return Layers(propagate(forward), tuple(kept))


def _first_uses(graph: ModelGraph) -> list[Node]:
    first: dict[tuple[Place, object], Node] = {}
    for node in graph.nodes:
        if (key := _key(node)) is not None:
            first.setdefault(key, node)
    return list(first.values())


def _key(node: Node) -> tuple[Place, object] | None:
    """Which of all drawings a layer's weight is."""
    drawn = drawn_at(node)
    return None if drawn is None else (drawn, parameter_of(node).initial.settings.get(DRAWING))


def drawn_at(node: Node) -> Place | None:
    """Where the weight of a layer is drawn."""
    weight = node.parameters.get("weight") if node.op == "linear" else None
    is_random = weight is not None and weight.initial.scheme in ("uniform", "normal", "unknown")
    return weight.initial.place if weight is not None and is_random else None


def _is_weight(subject: Handwritten, node: Node) -> bool:
    """What training changes or an object keeps; else what multiplies data from the right before a bend."""
    is_bent = _activation(subject.graph, node) is not None
    return drawn_at(node) in subject.weights or (node.settings.get("left") is False and is_bent)


def _end(graph: ModelGraph, node: Node) -> int:
    bend = _activation(graph, node)
    return node.number if bend is None else bend.number


def _activation(graph: ModelGraph, node: Node) -> Node | None:
    """The activation that a layer's outputs go into, over sums with a bias."""
    reached = {node.number}
    for other in graph.nodes[node.number + 1 :]:
        if reached.isdisjoint(other.inputs):
            continue
        if other.op in KNEES or other.op == "relu" or _is_rectifier(other) or other.op == "softmax":
            return other
        if other.op in _ON_THE_WAY:
            reached.add(other.number)
    return None


def _is_rectifier(node: Node) -> bool:
    return node.op == "clamp" and node.settings.get("min") == 0


def _up_to(graph: ModelGraph, ends: list[int]) -> ModelGraph:
    """The part of a graph that these nodes depend on."""
    wanted, pending = set[int](), list(ends)
    while pending:
        at = pending.pop()
        if at not in wanted:
            wanted.add(at)
            pending.extend(graph.nodes[at].inputs)
    numbers = {old: new for new, old in enumerate(sorted(wanted))}
    nodes = tuple([_renumbered(graph.nodes[old], numbers) for old in sorted(wanted)])
    used = {number for node in nodes for number in node.inputs}
    outputs = tuple(sorted({numbers[end] for end in ends} - used))
    return ModelGraph(graph.name, graph.place, nodes, outputs)


def _renumbered(node: Node, numbers: dict[int, int]) -> Node:
    inputs = tuple([numbers[old] for old in node.inputs])
    settings, parameters = node.settings, node.parameters
    return Node(
        numbers[node.number], node.op, inputs, settings, parameters, "", node.place, None, node.callers
    )


# faults


def drawings(found: Layers) -> Iterator[Drawing]:
    """The layers whose activations the drawn weights saturate, or whose signal grows from layer to layer."""
    for node in found.first:
        bend, fan = _activation(found.flow.graph, node), number(node, "in_features")
        drawn, weight = drawn_at(node), node.parameters["weight"]
        x = found.flow.moments[node.inputs[0]]
        if bend is None or not fan or drawn is None or not x.is_certain or not x.second.is_finite:
            continue
        held = law(weight, (1, fan))
        if not held.variance.is_finite or not held.mean.is_finite:
            continue
        spread = _arguments(held, fan, x)
        if bend.op in KNEES:
            share = min(beyond(KNEES[bend.op], *each) for each in spread)
            yield Drawing(node, drawn, bend, fan, share, 0.0, _of_mean(held, fan, x))
        elif bend.op in _RECTIFIED:
            growth = _growth(found, node)
            if growth is not None:
                yield Drawing(node, drawn, bend, fan, None, growth, _of_mean(held, fan, x))


def _arguments(held: Law, fan: int, x: Moments) -> list[tuple[float, float]]:
    """Mean and variance of z = Σwx: m·n·E[x], and n·Var(w)·E[x²] + m²·n·Var(x)."""
    m, v = held.mean.centre, held.variance.centre
    ends = itertools.product({x.second.lo, x.second.hi}, {x.mean.lo, x.mean.hi})
    return [(m * fan * mean, fan * (v * second + m**2 * max(second - mean**2, 0.0))) for second, mean in ends]


def _of_mean(held: Law, fan: int, x: Moments) -> float:
    """The share of E[z²] that the mean of the weights makes."""
    m, v = held.mean.centre, held.variance.centre
    second, mean = x.second.centre, x.mean.centre
    shared = m**2 * (max(second - mean**2, 0.0) * fan + (mean * fan) ** 2)
    return shared / (shared + v * fan * second) if shared else 0.0


def beyond(knee: float, mean: float, variance: float) -> float:
    """P(|z| > knee) of a Gaussian."""
    if variance <= 0:
        return float(abs(mean) > knee)
    scale = math.sqrt(2 * variance)
    return 0.5 * (math.erfc((knee - mean) / scale) + math.erfc((knee + mean) / scale))


def _growth(found: Layers, node: Node) -> float | None:
    """Decades by which the signal grows from a layer's input to the last layer's output, at the least."""
    last = found.first[-1]
    before, after = found.flow.moments[node.inputs[0]], found.flow.moments[last.number]
    if last.number <= node.number or not after.is_certain or after.second.lo <= 0 or before.second.hi <= 0:
        return None
    return 0.5 * math.log10(after.second.lo / before.second.hi)


def chain(found: Layers) -> Chain | None:
    """The longest chain of layers, where each weight is used once."""
    weighted = [node for node in found.flow.graph.nodes if is_weighted(node)]
    return longest_chain(found.flow) if len(weighted) == len(found.first) else None


def softmaxes(subject: Handwritten) -> Iterator[Written]:
    """Softmax by hand without the largest taken off, of what layers compute."""
    behind: set[int] = set()
    moments: GradientFlow | None = None
    for node in subject.graph.nodes:
        if node.op == "linear" or not behind.isdisjoint(node.inputs):
            behind.add(node.number)
        if node.op == "softmax" and node.settings.get("guarded") is False and node.inputs[0] in behind:
            moments = moments or propagate(subject.graph)
            second = moments.moments[node.inputs[0]].second
            yield Written(node, math.sqrt(second.lo) if second.is_finite else 0.0)


def through_time(subject: Handwritten) -> Iterator[Node]:
    """Products with the transpose of a trained weight that a gradient goes through at every step, unbounded.

    A loop carries the product, and adds up the gradient of a weight of the same signal; or the products
    with one weight follow one another.
    """
    graph = subject.graph
    carried = [_behind(graph, last) for _, last in graph.states]
    sums = {number for node in carried if node.op == "matmul" for number in node.inputs}
    back = [node for node in carried if _goes_back(subject, node) and not sums.isdisjoint(node.inputs)]
    for node in {found.place: found for found in (*back, *_one_after_another(subject))}.values():
        if not _is_bounded(graph, node.number):
            yield node


def _behind(graph: ModelGraph, number: int) -> Node:
    """What a value was computed by, sums and parts aside."""
    node = graph.nodes[number]
    while node.op in _ADDING and node.inputs:
        node = graph.nodes[node.inputs[-1]]
    return node


def _goes_back(subject: Handwritten, node: Node) -> bool:
    """Whether a product takes a gradient to where it came from: the weight is square, and transposed."""
    size = number(node, "in_features")
    is_square = size is not None and size == number(node, "out_features")
    return is_square and node.settings.get(TRANSPOSED) is True and drawn_at(node) in subject.weights


def _one_after_another(subject: Handwritten) -> Iterator[Node]:
    """Products with the transpose of one weight, each made of the one before."""
    by_weight: dict[object, list[Node]] = {}
    for node in subject.graph.nodes:
        if _goes_back(subject, node):
            by_weight.setdefault(_key(node), []).append(node)
    for found in by_weight.values():
        pairs = itertools.pairwise(found)
        if len(found) >= _STEPS and all(b.number in _after(subject.graph, a.number) for a, b in pairs):
            yield found[0]


def _after(graph: ModelGraph, number: int) -> set[int]:
    """All that is made of a node."""
    reached = {number}
    for node in graph.nodes[number + 1 :]:
        if not reached.isdisjoint(node.inputs):
            reached.add(node.number)
    return reached


def _is_bounded(graph: ModelGraph, number: int) -> bool:
    """Whether anything that is made of a gradient, or it is made of, is clipped or divided by its size."""
    made = _after(graph, min(graph.nodes[number].inputs, default=number))
    return any(graph.nodes[other].op in _BOUNDING for other in made - {number})


def parameter_of(node: Node) -> Parameter:
    """The weight of a layer."""
    return node.parameters["weight"]
