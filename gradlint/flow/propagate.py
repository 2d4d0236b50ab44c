"""Moments forward, then the norm of the gradient backward, through the graph of a model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from gradlint.flow import (
    arithmetic,
    attention,
    elementwise,
    graphs,
    linear_layers,
    normalisation,
    pooling,
    recurrence,
)
from gradlint.flow.backward import NOTHING, Contribution, Frame, gather, multiplied
from gradlint.flow.fluctuation import strays
from gradlint.flow.initial import Law, law
from gradlint.flow.linear_layers import bias_law, weight_law
from gradlint.flow.moments import STANDARDISED, Moments
from gradlint.flow.tied import looked_up, projected
from gradlint.flow.tokens import prepended
from gradlint.flow.transfer import Effect, effect_of
from gradlint.mathematics.interval import ONE, ZERO, Interval, point
from gradlint.records.graph import ModelGraph, Node
from gradlint.records.losses import LOSSES

TABLES = (arithmetic, attention, elementwise, graphs, linear_layers, normalisation, pooling, recurrence)
"""The modules whose import fills the table of operations."""

ASSUMED_WIDTH = 64
DEVIATION = 0.25
"""Standard deviation of S, in decades, over √β; β sums 1/width over the layers (Hanin 2018)."""

ALIGNED = 6.0
"""The most that a random start adds to the energy along the shared direction; measured are 2.6 … 5.5."""

_FURTHEST = 50.0
_HOMOGENEOUS = frozenset(
    {"linear", "conv1d", "conv2d", "conv3d", "relu", "leaky_relu", "prelu", "rrelu", "identity", "reshape"}
    | {"add", "dropout", "scale", "gelu", "silu", "elu", "celu", "mish", "softplus", "hardswish"}
)
"""Operations that keep a positive factor, as rectifiers of every form do with large signals."""

_WEIGHTED = ("linear", "conv", "bilinear", "embedding", "rnn", "lstm", "gru")
_SUMS = ("add", "sub", "mul")


class GradientFlow(Struct, frozen=True):
    """What a model does to signal and gradient at initialisation; all fields are by node, in order.

    `gradient` is log10 ‖δ‖₂ at the node's output, in decades relative to the last weighted layer on
    its way, or to the model's output where there is no single one. It leaves out what pooling merely
    distributes over more elements; `spread_gradient` counts that too. `laws` holds mean and variance
    of the parameters by path.
    """

    graph: ModelGraph
    moments: tuple[Moments, ...]
    effects: tuple[Effect, ...]
    gradient: tuple[Interval, ...]
    spread_gradient: tuple[Interval, ...]
    laws: dict[str, Law]

    def between(self, first: int, last: int, spreading: bool = False) -> Interval:
        """S = log10(‖δ_first‖₂ / ‖δ_last‖₂) over all paths between two nodes, in decades.

        With `spreading`, what pooling distributes over more elements counts too.
        """
        effects = _spread(self.effects) if spreading else self.effects
        found = _pull(self.graph, effects, {last: ZERO}, first)[first]
        return Interval(found.lo, found.hi + self._aligned(first, last, found.hi))

    def _aligned(self, first: int, last: int, decades: float) -> float:
        """What the direction that all samples come to share adds at most, in decades.

        Homogeneous layers map x to J·x, so the Jacobian has a gain as large as the signal's growth r.
        Where a residual sum keeps the mean that rectifiers make, r outgrows S. The share 1/width of a
        random δ lies that way: log10 √(1 + c·r²/(width·10^(2S))), c being ALIGNED at most.
        """
        numbers = self.path(first, last)
        nodes = [self.graph.nodes[number] for number in numbers]
        if not all(node.op in _HOMOGENEOUS for node in nodes) or not any(n.op == "add" for n in nodes):
            return 0.0
        if not {first, *numbers}.issuperset(number for node in nodes for number in node.inputs):
            return 0.0
        growth = (self.moments[last].second / self.moments[first].second).decades.hi
        if not math.isfinite(growth) or not math.isfinite(decades):
            return 0.0
        excess = min(growth - 2 * decades, 2 * _FURTHEST)
        return math.log10(1 + ALIGNED * 10**excess / self._width(self.graph.nodes[last])) / 2

    def distributed(self, shares: Mapping[int, float]) -> tuple[Interval, ...]:
        """`spread_gradient` where pooling makes so many elements of one, by node."""
        known = {number: point(share) for number, share in shares.items()}
        effects = [replace(e, spreading=known.get(n, e.spreading)) for n, e in enumerate(self.effects)]
        return tuple(_pull(self.graph, _spread(tuple(effects)), _seeds(self.graph)))

    def pulled(self, last: int) -> tuple[Interval, ...]:
        """log10(‖δ‖₂ / ‖δ_last‖₂) at every node, of what comes over `last`, in decades."""
        return tuple(_pull(self.graph, self.effects, {last: ZERO}))

    def deviation(self, first: int, last: int) -> float:
        """The standard deviation of S that finite width makes, in decades.

        DEVIATION·√Σ 1/width, and what comes of a scale that strays where the gain depends on it.
        """
        nodes = [self.graph.nodes[number] for number in (first, *self.path(first, last))]
        own = DEVIATION * math.sqrt(sum(1 / self._width(node) for node in nodes[1:] if is_weighted(node)))
        return math.hypot(own, strays(nodes, self.moments, self.effects, ASSUMED_WIDTH))

    def _width(self, node: Node) -> int:
        return max(self.moments[node.number].width or 0, 0) or ASSUMED_WIDTH

    def path(self, first: int, last: int) -> tuple[int, ...]:
        """The nodes behind `first`, up to and with `last`, that lie between the two."""
        behind = {first}
        for node in self.graph.nodes[first + 1 : last + 1]:
            if not behind.isdisjoint(node.inputs):
                behind.add(node.number)
        before = {last}
        for number in range(last, first, -1):
            if number in before:
                before.update(self.graph.nodes[number].inputs)
        return tuple(sorted((behind & before) - {first}))

    def is_certain(self, first: int, last: int) -> bool:
        """Whether nothing unknown lies between two nodes or decides the signal there."""
        numbers = self.path(first, last)
        return bool(numbers) and all(self.moments[number].is_certain for number in (first, *numbers))


def propagate(
    graph: ModelGraph, input: Moments = STANDARDISED, like: GradientFlow | None = None
) -> GradientFlow:
    """Predict the moments of every node's output, and the gradient there, at initialisation.

    What is known of the same model with other weights, `like`, holds as far as these do not reach.
    """
    effects: list[Effect] = []
    tables = looked_up(graph)
    for node in graph.nodes:
        known = like.effects[node.number] if like is not None else None
        if known is None or like is None or not _is_alike(node, effects, like):
            signals = tuple([effects[number].moments for number in node.inputs])
            related = prepended(graph, node, signals) or projected(node, signals, tables)
            effect = _placed(node, related or _effect(node, signals, input))
            known = known if known == effect else effect
        effects.append(known)
    frozen = tuple(effects)
    seeds = _seeds(graph)
    gradient = tuple(_pull(graph, frozen, seeds))
    is_spread = any(effect.spreading != ONE for effect in frozen)
    return GradientFlow(
        graph,
        tuple([effect.moments for effect in frozen]),
        frozen,
        gradient,
        tuple(_pull(graph, _spread(frozen), seeds)) if is_spread else gradient,
        dict(_laws(graph)),
    )


def _is_alike(node: Node, effects: Sequence[Effect], like: GradientFlow) -> bool:
    """Whether a node and everything that comes into it is as it was."""
    if node is not like.graph.nodes[node.number]:
        return False
    return all(effects[number] is like.effects[number] for number in node.inputs)


def _seeds(graph: ModelGraph) -> dict[int, Interval]:
    return dict.fromkeys((_reference(graph, end) for end in _ends(graph)), ZERO)


def is_weighted(node: Node) -> bool:
    """Whether a layer mixes its input by weights."""
    return node.op.startswith(_WEIGHTED)


def _effect(node: Node, signals: tuple[Moments, ...], input: Moments) -> Effect:
    if node.op == "input":
        return Effect(input, ())
    return effect_of(node, signals)


def _placed(node: Node, effect: Effect) -> Effect:
    """Where no origin came along, the features begin here."""
    if effect.moments.origin is not None:
        return effect
    return replace(effect, moments=replace(effect.moments, origin=node.number))


def _ends(graph: ModelGraph) -> Iterator[int]:
    """Where the gradient starts: at the outputs, or at what goes into the losses that these are made of."""
    for output in graph.outputs:
        losses = list(_losses_behind(graph, output))
        yield from [graph.nodes[loss].inputs[0] for loss in losses] or [output]


def _losses_behind(graph: ModelGraph, output: int) -> Iterator[int]:
    """The losses that an output is made of, with no layer between."""
    pending, seen = [output], set[int]()
    while pending:
        node = graph.nodes[pending.pop()]
        if node.op in LOSSES and node.inputs:
            yield node.number
        elif node.number not in seen and not is_weighted(node):
            pending.extend(node.inputs)
        seen.add(node.number)


def _reference(graph: ModelGraph, output: int) -> int:
    """The last weighted layer before an output, unless paths part before one is found."""
    number = output
    while not is_weighted(graph.nodes[number]):
        inputs = graph.nodes[number].inputs
        if len(inputs) != 1:
            return output
        number = inputs[0]
    return number


def _spread(effects: tuple[Effect, ...]) -> tuple[Effect, ...]:
    """The same effects, with what pooling distributes among the gains."""
    return tuple(
        [
            effect
            if effect.spreading == ONE
            else replace(effect, gains=tuple([gain * effect.spreading for gain in effect.gains]))
            for effect in effects
        ]
    )


def _pull(
    graph: ModelGraph, effects: tuple[Effect, ...], seeds: Mapping[int, Interval], down_to: int = 0
) -> list[Interval]:
    """log10 ‖δ‖₂ at every node, from the seeds back; NOTHING where no gradient arrives."""
    arriving: dict[int, list[Contribution]] = {
        number: [Contribution(value, (number, -1))] for number, value in seeds.items()
    }
    found = [NOTHING] * len(graph.nodes)
    for node in reversed(graph.nodes[down_to:]):
        contributions = arriving.pop(node.number, None)
        if contributions is None:
            continue
        decades, frame = gather(contributions)
        is_settled = node.number != down_to or frame is None
        found[node.number] = decades if is_settled else Interval(-math.inf, decades.hi)
        sink = contributions[0].sink if len(contributions) == 1 else (node.number, -1)
        for slot, number in enumerate(node.inputs):
            part = multiplied(decades, effects[node.number].gains[slot])
            if number >= down_to and part != NOTHING:
                sent = Contribution(part, _sink(node, slot, sink, effects), _frame(node, slot, frame))
                arriving.setdefault(number, []).append(sent)
    return [decades * 0.5 for decades in found]


def _sink(node: Node, slot: int, sink: tuple[int, int], effects: tuple[Effect, ...]) -> tuple[int, int]:
    """Where the path to here parted from others: sums keep both together, mixing layers do not."""
    if node.op in _SUMS:
        return (node.number, -1)
    is_pointwise = effects[node.number].moments.origin == effects[node.inputs[slot]].moments.origin
    return sink if is_pointwise else (node.number, slot)


def _frame(node: Node, slot: int, frame: Frame | None) -> Frame | None:
    return Frame(node.number, slot, len(node.inputs), frame) if node.op == "join" else frame


def _laws(graph: ModelGraph) -> Iterator[tuple[str, Law]]:
    for node in graph.nodes:
        for name, parameter in node.parameters.items():
            yield parameter.path, _law_of(node, name)


def _law_of(node: Node, name: str) -> Law:
    if is_weighted(node) and name == "weight":
        return weight_law(node) or Law()
    if is_weighted(node) and name == "bias":
        return bias_law(node)
    one = {"weight": Law(ZERO, ONE), "bias": Law(ZERO, point(0.0))}.get(name, Law())
    parameter = node.parameters[name]
    shape = tuple([size for size in parameter.shape or () if size is not None])
    return law(parameter, shape or None, one)
