"""Initialisations that move signal or gradient by decades, and which rule speaks of each.

Of one defect one rule speaks: where the code that initialises the weights is to blame, those about
initialisation; those about depth where torch's defaults are, or the architecture.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import Enum

from msgspec import Struct

from gradlint.flow.chain import DEVIATIONS, Chain, deepest, longest_chain
from gradlint.flow.counterfactual import Initialised, bypassed, sources, with_weights, written
from gradlint.flow.propagate import GradientFlow, is_weighted, propagate
from gradlint.mathematics.interval import Interval
from gradlint.records.graph import Initial, ModelGraph, Node, Place

LEAST = 1.0
"""Decades from which on an initialisation is named at all."""

SPOKEN = 1.5
"""Decades from which on rules about initialisation speak, unless set otherwise."""

_NORMS = frozenset({"batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm", "normalize"})

_HELD = frozenset({"parameter", "constant"})


class Kind(str, Enum):
    """What is wrong with an initialisation."""

    UNCENTRED = "uncentred"
    MISMATCHED = "mismatched"
    UNSCALED = "unscaled"
    VANISHING = "vanishing"


class Move(Struct, frozen=True):
    """A quantity between two nodes, and by how much an initialisation moves it, in decades.

    `is_gradient` tells S from the scale of the output of `last` over that of `first`. `value` is the
    quantity as it is, `shift` its difference to what it would be.
    """

    is_gradient: bool
    first: Node
    last: Node
    value: Interval
    shift: Interval
    deviation: float

    @property
    def sign(self) -> int:
        """1 for growth, -1 for loss."""
        return 1 if self.shift.centre > 0 else -1

    @property
    def least(self) -> float:
        """The decades that are certainly there and certainly the initialisation's doing.

        None where the better half of them would be there all the same.
        """
        if 2 * self.shift.centre * self.sign < self.value.centre * self.sign:
            return 0.0
        ends = [end for x in (self.value, self.shift) for end in (x.lo * self.sign, x.hi * self.sign)]
        return max(min(ends) - DEVIATIONS * self.deviation, 0.0)


class Fault(Struct, frozen=True):
    """A way to initialise weights, the layers that are given it, and the worst that it does."""

    kind: Kind
    layers: tuple[Initialised, ...]
    move: Move

    @property
    def places(self) -> list[Place]:
        """The calls that write these weights, the one that writes most first."""
        found = Counter(layer.weight.initial.place for layer in self.layers)
        return [place for place, _ in found.most_common() if place is not None]

    @property
    def is_spoken_of(self) -> bool:
        """Whether a rule about initialisation reports it by default."""
        return self.move.least >= SPOKEN


def faults(flow: GradientFlow, chain: Chain | None) -> Iterator[Fault]:
    """The initialisations of a model that move signal or gradient by a decade or more."""
    for layers in written(flow.graph):
        fault = _fault(flow, chain, layers)
        if fault is not None:
            yield fault


def _fault(flow: GradientFlow, chain: Chain | None, layers: list[Initialised]) -> Fault | None:
    grown = [move for initials in _centrings(layers) if (move := _worst(flow, chain, initials)) is not None]
    grown = [move for move in grown if move.sign > 0]
    if grown:
        return Fault(Kind.UNCENTRED, tuple(layers), max(grown, key=lambda move: move.least))
    if all(each.has_gain for each in layers):
        right = {each.weight.path: each.regained for each in layers}
        return _judged(flow, chain, layers, {path: new for path, new in right.items() if new}, True)
    return _judged(flow, chain, layers, {each.weight.path: each.critical for each in layers}, False)


def _judged(
    flow: GradientFlow,
    chain: Chain | None,
    layers: list[Initialised],
    initials: Mapping[str, Initial],
    is_gain: bool,
) -> Fault | None:
    """What the initials would change; a loss counts only where no other way leads around the layers.

    Nor does a gain: what it adds to a way around grows with any gain there is. For a growth only weights
    are to blame that are too large.
    """
    if _reach(layers) < LEAST:
        return None
    move = _worst(flow, chain, initials)
    if move is not None and (is_gain or move.sign < 0):
        layers = [each for each in layers if not bypassed(flow.graph, each.node)]
        paths = {each.weight.path for each in layers}
        move = _worst(flow, chain, {path: new for path, new in initials.items() if path in paths})
    if move is None or (move.sign > 0 and _excess(layers) < LEAST):
        return None
    kind = Kind.MISMATCHED if is_gain else Kind.UNSCALED if move.sign > 0 else Kind.VANISHING
    return Fault(kind, tuple(layers), move)


def _centrings(layers: list[Initialised]) -> Iterator[dict[str, Initial]]:
    """Weights around 0 instead: of the same variance; of the right one, where the mean does most.

    A unit gets Var·Σx² from the variance, and mean²·(Σx)² from the mean, which is fan_in times as much
    of signals that are positive.
    """
    aside = [each for each in layers if each.law.mean.lo * each.law.mean.hi > 0]
    yield {each.weight.path: each.centred for each in aside}
    if aside and all(each.law.mean.square.lo * each.fan_in > each.law.variance.hi for each in aside):
        yield {each.weight.path: each.critical for each in aside}


def _reach(layers: list[Initialised]) -> float:
    """The most decades by which all these layers together can be off."""
    return sum(map(abs, _decades(layers)))


def _excess(layers: list[Initialised]) -> float:
    """The most decades by which those layers whose weights are too large can make a signal grow."""
    return sum(max(decades, 0.0) for decades in _decades(layers))


def _decades(layers: list[Initialised]) -> list[float]:
    """By how much each layer multiplies the scale of a signal, in decades."""
    scales = [each.fan_in * each.second * each.law.second.centre for each in layers]
    return [0.5 * math.log10(scale) for scale in scales if scale > 0]


def _worst(flow: GradientFlow, chain: Chain | None, initials: Mapping[str, Initial]) -> Move | None:
    """The quantity that other initials would move most, from a decade on."""
    if not initials:
        return None
    other = propagate(with_weights(flow.graph, initials), like=flow)
    moves = [*_gradient(flow, other, chain), *_scale(flow, other)]
    return max((move for move in moves if move.least >= LEAST), key=lambda move: move.least, default=None)


def _gradient(flow: GradientFlow, other: GradientFlow, chain: Chain | None) -> Iterator[Move]:
    """S over the longest chain."""
    if chain is None or not chain.is_certain:
        return
    changed = longest_chain(other)
    if changed is not None:
        first, last = (flow.graph.nodes[number] for number in (chain.first, chain.last))
        shift = _shift(chain.decades, changed.decades)
        yield Move(True, first, last, chain.decades, shift, chain.deviation)


def _scale(flow: GradientFlow, other: GradientFlow) -> Iterator[Move]:
    """The scale of what comes out, where it grows; of what the head is given, where it is lost."""
    graph = flow.graph
    layers = deepest(graph)
    for number in {*layers[-2:-1], *_heads(graph)}:
        first = next(sources(graph, number), None)
        if first is None or not flow.is_certain(first.number, number) or _is_redrawn(first, other):
            continue
        value, changed = (_ratio(each, first.number, number) for each in (flow, other))
        deviation = flow.deviation(first.number, number)
        move = Move(False, first, graph.nodes[number], value, _shift(value, changed), deviation)
        if _leads_to(graph, number, layers[-1]) if move.sign < 0 else number in _heads(graph):
            yield move


def _is_redrawn(first: Node, other: GradientFlow) -> bool:
    """Whether a table, against which the scale is measured, is drawn otherwise itself."""
    return first.parameters != other.graph.nodes[first.number].parameters


def _heads(graph: ModelGraph) -> list[int]:
    """The layers whose outputs leave the model as they are, or through functions of single elements."""
    found = [_layer_before(graph, output) for output in graph.outputs]
    return [number for number in found if number is not None]


def _leads_to(graph: ModelGraph, number: int, head: int) -> bool:
    """Whether nothing but functions of single elements lies between a layer and the head."""
    return _layer_before(graph, graph.nodes[head].inputs[0]) == number


def _layer_before(graph: ModelGraph, number: int) -> int | None:
    """The layer whose output a node is, but for functions of single elements and biases."""
    while not is_weighted(node := graph.nodes[number]):
        signals = [each for each in node.inputs if graph.nodes[each].op not in _HELD]
        if len(signals) != 1 or node.op in _NORMS:
            return None
        number = signals[0]
    return number


def _ratio(flow: GradientFlow, first: int, last: int) -> Interval:
    """log10 of the ratio of two root mean squares."""
    return (flow.moments[last].second.decades - flow.moments[first].second.decades) * 0.5


def _shift(value: Interval, other: Interval) -> Interval:
    """The difference of two predictions that what is not known moves alike."""
    if not (value.is_finite and other.is_finite):
        return value - other
    ends = (value.lo - other.lo, value.hi - other.hi)
    return Interval(min(ends), max(ends))
