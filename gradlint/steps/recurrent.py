"""Which models that a loop trains are recurrent: by their layers, their forward pass, or the loop itself."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from gradlint.flow.model import Model
from gradlint.flow.time import (
    CELLS,
    LAYERS,
    Recurrence,
    is_rectified,
    keeps_lengths,
    recurrences,
    repeated,
)
from gradlint.records.graph import ModelGraph, Place
from gradlint.records.training import Event, Thing
from gradlint.steps.known import is_adaptive, is_descent
from gradlint.steps.loop import TrainingLoop

_TORCH = {"RNN": "rnn", "LSTM": "lstm", "GRU": "gru"}
LOST = 3.0
"""Decades over all steps from which on a recurrence is said to lose its gradient, unless set otherwise."""

_SHOWN = {"rnn": "nn.RNN", "lstm": "nn.LSTM", "gru": "nn.GRU"}


class Recurrent(Struct, frozen=True):
    """A recurrence that is trained: its kind ("rnn", "lstm", "gru" or "written"), the model, the place.

    `is_growing` says that nothing bounds its state: it is bent by ReLU, or not at all.
    """

    kind: str
    model: Thing
    place: Place | None = None
    is_growing: bool = False

    @property
    def is_gated(self) -> bool:
        """Whether gates let its state, and with it the gradient, pass."""
        return self.kind in ("lstm", "gru")

    @property
    def shown(self) -> str:
        """How a message calls it."""
        return _SHOWN.get(self.kind, "a recurrence")


def descending(loop: TrainingLoop) -> Iterator[frozenset[int]]:
    """The optimizers whose steps are known, and the parameters that code moves along their gradients."""
    for optimizer in loop.optimizers:
        if all(is_adaptive(type) or is_descent(type) for type in map(loop.type, optimizer)):
            yield optimizer
    for step in loop.events("step"):
        if step.settings.get("form") == "manual" and step.things:
            yield step.things


def trained_recurrence(loop: TrainingLoop, backward: Event, optimizer: frozenset[int]) -> Recurrent | None:
    """A recurrence through which a backward pass leads and whose weights an optimizer holds, plain first."""
    forwards = [loop.event(number) for number in sorted(backward.source)]
    found = [r for event in forwards for r in _of_event(loop, backward, event, optimizer)]
    return min(found, key=lambda each: each.is_gated, default=None)


def _of_event(
    loop: TrainingLoop, backward: Event, forward: Event, optimizer: frozenset[int]
) -> Iterator[Recurrent]:
    for number in sorted(forward.things):
        if not _holds(loop, optimizer, number):
            continue
        thing = loop.thing(number)
        yield from _of_model(loop, thing)
        if _is_repeated(loop, forward, backward):
            graph = loop.graphs(thing)
            if graph is not None and any(node.op in ("linear", *CELLS) for node in graph.nodes):
                yield Recurrent(_kind_of(graph), thing, forward.place)


def vanishes(loop: TrainingLoop, found: Recurrent) -> bool:
    """Whether next to nothing of the gradient comes back through any recurrence of a model, for certain."""
    graph = loop.graphs(found.model)
    if graph is None:
        return False
    lost = {each.node.number for each in recurrences(Model(graph)) if _is_lost(each)}
    return bool(lost) and all(node.number in lost for node in graph.nodes if node.op in LAYERS)


def _is_lost(found: Recurrence) -> bool:
    return found.mildest <= -LOST and not found.is_carried and not any(map(keeps_lengths, found.weights))


def _holds(loop: TrainingLoop, optimizer: frozenset[int], model: int) -> bool:
    """Whether an optimizer certainly holds all parameters of a model."""
    owners = loop.owners(optimizer) or frozenset()
    return any(model == owner or model in loop.thing(owner).parts for owner in owners)


def _of_model(loop: TrainingLoop, thing: Thing) -> Iterator[Recurrent]:
    for part in (thing, *map(loop.thing, sorted(thing.parts))):
        module, _, name = part.type.rpartition(".")
        if part.kind == "model" and module.startswith("torch.nn") and name in _TORCH:
            yield Recurrent(_TORCH[name], thing, part.place, part.settings.get("nonlinearity") == "relu")
    graph = loop.graphs(thing)
    if graph is not None:
        yield from _of_graph(graph, thing)


def _of_graph(graph: ModelGraph, thing: Thing) -> Iterator[Recurrent]:
    for node in graph.nodes:
        if node.op in LAYERS and all(parameter.is_trained for parameter in node.parameters.values()):
            yield Recurrent(node.op, thing, node.made or node.place, is_rectified(node))
    for found in repeated(graph):
        node = found.node
        kind = node.op.removesuffix("_cell") if node.op in CELLS else "written"
        yield Recurrent(kind, thing, node.place, found.is_growing)


def _is_repeated(loop: TrainingLoop, forward: Event, backward: Event) -> bool:
    """Whether a loop around a forward pass, but not around the backward pass, hands its state on."""
    return any(
        carry.settings["state"] in forward.states
        and forward.number in carry.source
        and loop.point(backward) not in loop.around(carry)
        for carry in loop.events("carry")
    )


def _kind_of(graph: ModelGraph) -> str:
    """Of a model that is one step: gated where it is a gated cell."""
    cells = {node.op.removesuffix("_cell") for node in graph.nodes if node.op in CELLS}
    return min(cells, key=lambda kind: kind in ("lstm", "gru"), default="written")


def is_risky(found: Recurrent, optimizer: str, rate: object, backward: Event) -> bool:
    """Whether the loss blows up in few steps: measured on models of 64 states and 50 or 200 steps.

    An adaptive step is as long as its rate, whatever the gradient: it takes only a state that nothing
    bounds beyond where it was.
    """
    given = rate if isinstance(rate, float | int) else 0.0
    if is_adaptive(optimizer):
        return found.is_growing and given >= 0.05
    return given >= 1.0 or backward.settings.get("reduction") == "sum" or not found.is_gated
