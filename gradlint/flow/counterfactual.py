"""The same model with some weights initialised otherwise, to tell what an initialisation alone does."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from gradlint.flow.initial import Law, gain
from gradlint.flow.linear_layers import fan_in, weight_law
from gradlint.mathematics.activations import NAMES, activation
from gradlint.mathematics.gaussian import statistics
from gradlint.records.graph import Initial, ModelGraph, Node, Parameter

_DRAWN = frozenset({"normal", "uniform", "trunc_normal"})
_GAINED = frozenset({"xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal"})
_TRANSPARENT = frozenset(
    {
        *("add", "sub", "identity", "neg", "scale", "shift", "reshape", "select", "dropout", "dropout1d"),
        *("dropout2d", "dropout3d", "alpha_dropout", "batch_norm", "layer_norm", "rms_norm", "group_norm"),
        *("instance_norm", "max_pool", "avg_pool", "masked"),
    }
)
"""Operations between a layer and its activation."""

_FUNCTIONS = NAMES - {"identity", "neg", "abs", "clamp"}


class Initialised(Struct, frozen=True):
    """A layer whose weight an initialiser wrote, and the activation that follows ("" for none)."""

    node: Node
    weight: Parameter
    law: Law
    fan_in: float
    activation: str
    second: float
    """E[φ(z)²] of that activation for z ~ N(0, 1); 1 where there is none."""

    @property
    def is_drawn(self) -> bool:
        """Whether the code names the scale itself: normal, uniform."""
        return self.weight.initial.scheme in _DRAWN

    @property
    def has_gain(self) -> bool:
        """Whether the initialiser divides by the fans and multiplies by a gain."""
        return self.weight.initial.scheme in _GAINED

    @property
    def gain(self) -> float | None:
        """The gain that the initialiser was given, None where it is not known."""
        initial = self.weight.initial
        if initial.scheme.startswith("kaiming"):
            a, nonlinearity = (
                initial.settings.get("a", 0.0),
                initial.settings.get("nonlinearity", "leaky_relu"),
            )
            known = isinstance(a, float | int) and isinstance(nonlinearity, str)
            return (
                gain(nonlinearity, float(a)) * initial.factor
                if known and isinstance(a, float | int)
                else None
            )
        given = initial.settings.get("gain", 1.0)
        return float(given) * initial.factor if isinstance(given, float | int) else None

    @property
    def critical(self) -> Initial:
        """fan_in·Var(w) = 1/E[φ²], which keeps the scale of the signal (He 2015; Poole 2016)."""
        return Initial("normal", {"std": 1 / math.sqrt(self.fan_in * self.second)})

    @property
    def centred(self) -> Initial:
        """The same variance without the mean."""
        return Initial("normal", {"std": math.sqrt(self.law.variance.centre)})

    @property
    def regained(self) -> Initial | None:
        """The same initialiser with the gain 1/√E[φ²] of the activation that follows."""
        given = self.gain
        if not given:
            return None
        initial = self.weight.initial
        return replace(initial, factor=initial.factor / (abs(given) * math.sqrt(self.second)))


def written(graph: ModelGraph) -> Iterator[list[Initialised]]:
    """The layers of a model whose weights are trained and known, those together that are drawn alike."""
    found: dict[tuple[object, ...], list[Initialised]] = {}
    consumers = _consumers(graph)
    for node in graph.nodes:
        weight = node.parameters.get("weight")
        if weight is None or weight.initial.place is None or not _is_judged(node, weight):
            continue
        held, fan = weight_law(node), fan_in(node)
        if held is None or not fan or not held.second.is_finite or held.second.hi == 0:
            continue
        name, second = _following(node, consumers)
        layer = Initialised(node, weight, held, fan, name, second)
        initial = weight.initial
        recipe = (initial.scheme, tuple(sorted(initial.settings.items())), initial.factor)
        found.setdefault(recipe, []).append(layer)
    yield from found.values()


def _is_judged(node: Node, weight: Parameter) -> bool:
    is_mixing = node.op == "linear" or node.op.startswith("conv")
    is_known = weight.initial.scheme in _DRAWN | _GAINED
    return is_mixing and is_known and weight.is_trained and bool(weight.path)


def _consumers(graph: ModelGraph) -> dict[int, list[Node]]:
    found: dict[int, list[Node]] = {}
    for node in graph.nodes:
        for number in dict.fromkeys(node.inputs):
            found.setdefault(number, []).append(node)
    return found


def _following(node: Node, consumers: Mapping[int, list[Node]]) -> tuple[str, float]:
    """The nearest activation behind a layer, and its E[φ²]; nothing where another layer comes first."""
    pending, seen = [node.number], {node.number}
    for number in pending:
        for consumer in consumers.get(number, ()):
            if consumer.op in _FUNCTIONS:
                function = activation(consumer.op, consumer.settings)
                second = statistics(function, 1.0).second if function is not None else 1.0
                return consumer.op, second or 1.0
            if consumer.op in _TRANSPARENT and consumer.number not in seen:
                seen.add(consumer.number)
                pending.append(consumer.number)
    return "", 1.0


def with_weights(graph: ModelGraph, initials: Mapping[str, Initial]) -> ModelGraph:
    """The model with the weights at these paths initialised like this."""
    nodes = tuple([_renewed(node, initials) for node in graph.nodes])
    return replace(graph, nodes=nodes)


def _renewed(node: Node, initials: Mapping[str, Initial]) -> Node:
    if not any(each.path in initials for each in node.parameters.values()):
        return node
    renewed = {
        name: replace(each, initial=initials.get(each.path, each.initial))
        for name, each in node.parameters.items()
    }
    return replace(node, parameters=renewed)


def bypassed(graph: ModelGraph, node: Node) -> bool:
    """Whether what comes before a node also reaches what comes behind it on another way."""
    before, behind = _ancestors(graph, node.number), {node.number}
    around: set[int] = set(before)
    for each in graph.nodes:
        number = each.number
        if number in before or number == node.number:
            continue
        is_around = not around.isdisjoint(each.inputs)
        if not behind.isdisjoint(each.inputs):
            if is_around:
                return True
            behind.add(number)
        elif is_around:
            around.add(number)
    return False


def _ancestors(graph: ModelGraph, number: int) -> set[int]:
    """The nodes that carry a signal to a node."""
    found = {number}
    for each in range(number, -1, -1):
        if each in found:
            found.update(graph.nodes[each].inputs)
    found.discard(number)
    return found


def sources(graph: ModelGraph, number: int) -> Iterator[Node]:
    """Where the signal of a node begins: embeddings, or else inputs."""
    every = [graph.nodes[each] for each in sorted(_ancestors(graph, number))]
    tables = [node for node in every if node.op == "embedding"]
    yield from tables or [node for node in every if node.op == "input"]
