"""Constants that a model computes with in float16, where they are inf or 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from msgspec import Struct

from gradlint.mathematics.half import is_lost, rounded
from gradlint.records.graph import ModelGraph, Node, Place
from gradlint.records.training import Event
from gradlint.steps.loop import TrainingLoop
from gradlint.steps.precision import HALF, autocast_of, computes_in

_CASTING = frozenset(
    {"linear", "matmul", "bmm", "einsum", "conv1d", "conv2d", "conv3d"}
    | {f"conv_transpose{n}d" for n in (1, 2, 3)}
)
"""What autocast computes in float16, whatever it is given."""

_KEEPING = frozenset(
    {
        *("reshape", "select", "expand", "identity", "scale", "shift", "neg", "abs", "clamp", "square"),
        *("dropout", "relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh", "masked"),
        *("add", "sub", "mul", "div", "cat", "stack", "max_pool", "amax", "amin"),
    }
)
"""What autocast computes in the widest type that it is given."""

_UNDEFINED_AT_ZERO = {"log": 0, "rsqrt": 0, "reciprocal": 0, "sqrt": 0, "div": 1}
"""Operations without a value, or without a gradient, where this input is 0."""


class LostConstant(Struct, frozen=True):
    """An operation in float16 with a constant that float16 makes inf or 0, behind a forward pass.

    `since` is the autocast around that, or where the weights became float16; `is_cast` tells which.
    """

    forward: Event
    since: Place
    is_cast: bool
    node: Node
    value: float
    used: Node | None = None

    @property
    def becomes(self) -> float:
        """What the constant is in float16."""
        return rounded(self.value)


def lost_constants(loop: TrainingLoop) -> Iterator[LostConstant]:
    """The constants that are lost in the models of the project that run in float16."""
    for forward in loop.events("forward"):
        since, is_cast = _half_since(loop, forward)
        if since is None or forward.settings.get("method") not in ("forward", "__call__"):
            continue
        for number in forward.things:
            graph = loop.graphs(loop.thing(number))
            if graph is not None and not graph.is_recast:
                yield from _lost(partial(LostConstant, forward, since, is_cast), graph)


def _half_since(loop: TrainingLoop, forward: Event) -> tuple[Place | None, bool]:
    """From where on a forward pass is in float16: the autocast around it, or a change of its weights."""
    region = autocast_of(forward)
    if region is not None:
        return (region.place if computes_in(forward) == HALF else None), True
    halves = [half for half in loop.events("half") if forward.things <= half.things]
    if not halves:
        return None, False
    last = loop.before(forward, lambda e: e.kind in _CHANGING and not forward.things.isdisjoint(e.things))
    is_half = last.only(*[half.number for half in halves])
    return (halves[0].place if is_half else None), False


_CHANGING = frozenset({"half", "widen", "replace", "escape"})


def _lost(found: Callable[..., LostConstant], graph: ModelGraph) -> Iterator[LostConstant]:
    half = in_half(graph)
    for node in graph.nodes:
        if not node.inputs or node.inputs[0] not in half:
            continue
        filled = _constant(node, "value") if node.op == "masked" else None
        if filled is not None and is_lost(filled) and rounded(filled) != 0:
            yield found(node, filled)
        guard = _constant(node, {"shift": "value", "clamp": "min"}.get(node.op, ""))
        if guard is not None and is_lost(guard) and rounded(guard) == 0:
            used = _use(graph, node, half)
            if used is not None:
                yield found(node, guard, used)


def _constant(node: Node, name: str) -> float | None:
    value = node.settings.get(name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _use(graph: ModelGraph, guarded: Node, half: frozenset[int]) -> Node | None:
    """What needs the constant: an operation of what it guards that has no value at 0."""
    for node in graph.nodes:
        position = _UNDEFINED_AT_ZERO.get(node.op)
        if position is not None and node.inputs[position : position + 1] == (guarded.number,):
            return node
    return None


def in_half(graph: ModelGraph) -> frozenset[int]:
    """The nodes whose results are certainly float16, under autocast to it or with such weights."""
    found: set[int] = set()
    for node in graph.nodes:
        keeps = node.op in _KEEPING and "to" not in node.settings and bool(node.inputs)
        if node.op in _CASTING or (keeps and found.issuperset(node.inputs)):
            found.add(node.number)
    return frozenset(found)
