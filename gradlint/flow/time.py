"""Recurrences of a model: one set of weights that is applied to its own result, step after step."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise

from msgspec import Struct

from gradlint.flow.initial import law, number
from gradlint.flow.model import Model
from gradlint.flow.moments import Moments
from gradlint.flow.propagate import GradientFlow, is_weighted
from gradlint.flow.recurrence import recurrent_parameter, step_gain
from gradlint.mathematics.interval import TOP, Interval, point
from gradlint.records.graph import ModelGraph, Node, Parameter

LAYERS = ("rnn", "lstm", "gru")
CELLS = ("rnn_cell", "lstm_cell", "gru_cell")
FEWEST = 3
"""Steps from which on a weight that is used again makes a recurrence."""

LONG = 10
"""Steps from which on a plain layer that is used again is taken for one of a sequence."""

_NORMS = frozenset({"layer_norm", "batch_norm", "rms_norm", "group_norm", "instance_norm"})

_DEVIATION = {"tanh": 0.15, "relu": 0.25, "gated": 0.06}
"""Standard deviation of the decades per step over 1/√width: the same matrix acts at every step.

Gates let most of a state pass without it, where the recurrent weights are as torch draws them.
"""

_GROWING = frozenset(
    {
        *("linear", "add", "sub", "identity", "relu", "leaky_relu", "prelu", "elu", "selu", "gelu", "silu"),
        *("softplus", "select", "cat", "stack", "reshape", "expand", "contiguous", "dropout", "repeat"),
    }
)
"""Operations whose result grows with what they are given, and with it over the steps."""

_POINTWISE = frozenset({"dropout", "identity", "layer_norm", "rms_norm", "relu", "tanh", "linear", "gelu"})
"""Operations behind a layer that leave each step to itself."""


class Recurrence(Struct, frozen=True):
    """A state that is carried over `steps` steps of which only the last is read.

    `decades` is log10(‖∂L/∂h_first‖ / ‖∂L/∂h_last‖), `deviation` its standard deviation over random
    weights. `is_carried` says that the state also passes on without going through the weights, as
    gates let it; `weights` are the matrices that the state goes through, None where one is not known.
    """

    node: Node
    kind: str
    subject: str
    steps: int
    decades: Interval
    deviation: float
    is_carried: bool
    weights: tuple[Parameter, ...]

    @property
    def mildest(self) -> float:
        """The decades that are left when chance is three standard deviations on the side of health."""
        margin = 3 * self.deviation
        lo, hi = self.decades.lo - margin, self.decades.hi + margin
        return hi if hi < 0 else max(lo, 0.0)


def recurrences(model: Model) -> Iterator[Recurrence]:
    """The recurrences of a model whose number of steps is known and of which the last step is read."""
    for node in model.graph.nodes:
        if node.op in LAYERS and (found := _layer(model, node)) is not None:
            yield found
    yield from _loops(model)


# layers


def _layer(model: Model, node: Node) -> Recurrence | None:
    steps = number(node, "steps")
    if steps is None or node.settings.get("bidirectional") or not reads_last(model.graph, node):
        return None
    x = model.flow.moments[node.inputs[0]]
    if not x.is_certain or steps < FEWEST:
        return None
    decades = carried_decades(node, x, steps)
    if not math.isfinite(decades.lo) or not math.isfinite(decades.hi):
        return None
    layers = range(number(node, "num_layers") or 1)
    weights = [recurrent_parameter(node, "weight_hh", layer) for layer in layers]
    deviation = (steps - 1) * _per_step(node, number(node, "hidden_size"))
    subject = f"{model.graph.name}:{node.module}"
    held = tuple([weight for weight in weights if weight is not None])
    return Recurrence(node, node.op, subject, steps, decades, deviation, node.op != "rnn", held)


def carried_decades(node: Node, x: Moments, steps: int) -> Interval:
    """(T - 1)·log10 of the gain per step; with L layers, over C(T + L - 2, L - 1) ways at most."""
    layers = number(node, "num_layers") or 1
    gains = [step_gain(node, x, layer) for layer in range(layers)]
    if any(gain == TOP for gain in gains):
        return TOP
    ways = math.log10(math.comb(steps + layers - 2, layers - 1))
    least = max(gain.lo for gain in gains)
    most = max(gain.hi for gain in gains)
    extra = Interval(0.5 * ways, ways)
    return point(steps - 1.0) * Interval(math.log10(least), math.log10(most)) + extra


def _per_step(node: Node, width: int | None) -> float:
    relu = node.settings.get("nonlinearity") == "relu"
    kind = "gated" if _is_gated(node) else "relu" if relu else "tanh"
    return _DEVIATION[kind] / math.sqrt(width or 64)


def _is_gated(node: Node) -> bool:
    """Whether gates carry the state of a layer or cell on, and its recurrent weights are torch's own."""
    held = [each for name, each in node.parameters.items() if name.startswith("weight_hh")]
    return node.op.startswith(("lstm", "gru")) and all(each.initial.scheme == "default" for each in held)


def reads_last(graph: ModelGraph, node: Node) -> bool:
    """Whether of all the steps that a recurrent layer returns, the model uses only the last."""
    if node.number in graph.outputs:
        return False
    time = 1 if node.settings.get("batch_first") else 0
    consumers = [other for other in graph.nodes if node.number in other.inputs]
    return bool(consumers) and all(_takes_last(graph, node, other, time) for other in consumers)


def _takes_last(graph: ModelGraph, before: Node, node: Node, time: int) -> bool:
    if node.op == "select":
        return node.settings.get("state") is True or _is_last(node, time)
    if node.op in LAYERS and node.inputs[0] == before.number:
        return node.settings.get("batch_first") is (time == 1) and reads_last(graph, node)
    if node.op not in _POINTWISE or node.number in graph.outputs:
        return False
    consumers = [other for other in graph.nodes if node.number in other.inputs]
    return bool(consumers) and all(_takes_last(graph, node, other, time) for other in consumers)


def _is_last(node: Node, time: int) -> bool:
    at = node.settings.get("at")
    return isinstance(at, tuple) and len(at) > time and at[time] == -1


# loops


def _loops(model: Model) -> Iterator[Recurrence]:
    """Weights that are applied to their own result, step after step; of one loop only the first."""
    graph, covered = model.graph, set[int]()
    for chain in _chains(graph):
        first, last = chain[0], chain[-1]
        if first in covered or not is_passed(graph, first, last):
            continue
        covered.update(model.flow.path(first, last), chain)
        found = _loop(model, chain)
        if found is not None:
            yield found


class Repeated(Struct, frozen=True):
    """The first node of weights that a loop applies to their own result, and what it passes in a step."""

    node: Node
    passed: tuple[Node, ...]

    @property
    def is_growing(self) -> bool:
        """Whether nothing bounds the state: no operation that it passes saturates, gates or normalises."""
        return all(node.op in _GROWING or is_rectified(node) for node in self.passed)


def is_rectified(node: Node) -> bool:
    """Whether a recurrent layer or cell of torch bends its state by ReLU, which does not bound it."""
    return node.op in ("rnn", "rnn_cell") and node.settings.get("nonlinearity") == "relu"


def repeated(graph: ModelGraph) -> Iterator[Repeated]:
    """The weights that a loop applies to their own result, LONG times or as a cell's.

    A layer with a norm beside it is shared over depth rather than over time.
    """
    yield from _endless(graph)
    for first, second, *others in _chains(graph):
        node = graph.nodes[first]
        between = {graph.nodes[number].op for number in range(first, second)}
        if node.op in CELLS or (len(others) + 2 >= LONG and between.isdisjoint(_NORMS)):
            passed = [graph.nodes[number] for number in _between(graph, first, second)]
            yield Repeated(node, tuple(passed))


def _endless(graph: ModelGraph) -> Iterator[Repeated]:
    """The weights through which a loop of unknown length passes a state on, with a part of a sequence.

    A layer out of a list is taken for another one in every iteration.
    """
    for start, end in graph.states:
        read = [graph.nodes[n] for n in sorted(_before(graph, end))]
        begun = [start] if start >= 0 else [n.number for n in read if n.op == "unknown" and not n.inputs]
        states = {n for first in begun for n in _between(graph, first, end)}
        is_fed = any(node.op == "select" and node.number not in states for node in read)
        found = [node for node in read if _passes_on(node, states)] if is_fed else []
        passed = [graph.nodes[number] for number in sorted(states.difference(begun))]
        yield from (Repeated(node, tuple(passed)) for node in found[:1])


def _passes_on(node: Node, states: Collection[int]) -> bool:
    is_listed = any(part.isdigit() for part in node.module.split("."))
    return node.op in CELLS or (node.number in states and node.op == "linear" and not is_listed)


def _before(graph: ModelGraph, end: int) -> Iterator[int]:
    """A node and all that it depends on."""
    reached = {end}
    for node in reversed(graph.nodes[: end + 1]):
        if node.number in reached:
            reached.update(node.inputs)
            yield node.number


def _between(graph: ModelGraph, first: int, last: int) -> Iterator[int]:
    """The nodes on the ways from one to another."""
    needed = set(_before(graph, last))
    reached = {first}
    for node in graph.nodes[first + 1 : last + 1]:
        if node.number in needed and not reached.isdisjoint(node.inputs):
            reached.add(node.number)
    yield from reached if last in reached else ()


def _chains(graph: ModelGraph) -> Iterator[list[int]]:
    """The nodes that use one weight, where each depends on the one before."""
    users: dict[str, list[int]] = {}
    for node in graph.nodes:
        key = _weight_of(node)
        if key:
            users.setdefault(key, []).append(node.number)
    for numbers in users.values():
        if len(numbers) >= FEWEST and _is_chain(graph, numbers):
            yield numbers


def _weight_of(node: Node) -> str:
    if node.op in CELLS:
        parameter = node.parameters.get("weight_hh")
    elif node.op == "linear":
        parameter = node.parameters.get("weight")
    else:
        return ""
    return parameter.path if parameter is not None else ""


def _is_chain(graph: ModelGraph, numbers: list[int]) -> bool:
    return all(_depends(graph, later, before) for before, later in pairwise(numbers))


def _depends(graph: ModelGraph, later: int, before: int, without: Iterable[int] = ()) -> bool:
    """Whether a node depends on an earlier one, by a way that leaves out some nodes."""
    reached, out = {before}, set(without)
    for node in graph.nodes[before + 1 : later + 1]:
        if node.number not in out and not reached.isdisjoint(node.inputs):
            reached.add(node.number)
    return later in reached


def is_passed(graph: ModelGraph, first: int, last: int) -> bool:
    """Whether every way from `first` to an output leads over `last`."""
    behind = {first}
    for node in graph.nodes[first + 1 :]:
        if node.number != last and not behind.isdisjoint(node.inputs):
            behind.add(node.number)
    return behind.isdisjoint(graph.outputs)


def _loop(model: Model, chain: list[int]) -> Recurrence | None:
    flow, node = model.flow, model.graph.nodes[chain[0]]
    first, last = chain[0], chain[-1]
    decades = flow.between(first, last)
    if not flow.is_certain(first, last) or not (math.isfinite(decades.lo) and math.isfinite(decades.hi)):
        return None
    between = chain[1:-1]
    is_carried = node.op in CELLS[1:] or _depends(model.graph, last, first, between)
    deviation = (len(chain) - 1) * _deviation(flow, first, chain[1])
    kind = node.op if node.op in CELLS else "written"
    subject = f"{model.graph.name}:{node.module or _weight_of(node)}"
    weights = _weights(flow, first, chain[1])
    return Recurrence(node, kind, subject, len(chain), decades, deviation, is_carried, weights)


def _deviation(flow: GradientFlow, first: int, second: int) -> float:
    """Of the decades per step; where ReLU or nothing bends the state, chance plays a larger part."""
    nodes = [flow.graph.nodes[number] for number in flow.path(first, second)]
    cell = nodes[-1]
    bends = {node.op for node in nodes} | {str(cell.settings.get("nonlinearity", ""))}
    is_bent = bends & {"tanh", "sigmoid", "lstm_cell", "gru_cell"}
    kind = "gated" if _is_gated(cell) else "tanh" if is_bent else "relu"
    width = flow.moments[first].width or number(cell, "hidden_size")
    return _DEVIATION[kind] / math.sqrt(width or 64)


def _weights(flow: GradientFlow, first: int, second: int) -> tuple[Parameter, ...]:
    nodes = [flow.graph.nodes[number] for number in flow.path(first, second)]
    found = [
        node.parameters.get("weight_hh") or node.parameters.get("weight")
        for node in nodes
        if is_weighted(node)
    ]
    return tuple([weight for weight in found if weight is not None])


def keeps_lengths(weight: Parameter) -> bool:
    """Whether a square matrix is orthogonal or the identity, or near it."""
    initial = weight.initial
    if initial.scheme not in ("orthogonal", "eye"):
        return False
    gain = initial.settings.get("gain", 1.0)
    return isinstance(gain, float | int) and 0.8 <= gain * initial.factor <= 1.25


def radius(weight: Parameter) -> float | None:
    """The spectral radius of a large random square matrix: √(n·Var(w)) (circular law)."""
    shape = tuple([size for size in weight.shape or () if size is not None])
    held = law(weight, shape or None)
    if len(shape) != 2 or not held.variance.is_finite:
        return None
    return math.sqrt(held.variance.hi * shape[1])
