"""States that an iteration leaves to the next with the graph of its forward pass."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from gradlint.records.graph import ModelGraph
from gradlint.records.training import Event
from gradlint.steps.loop import TrainingLoop

_CUTS = frozenset({"detach", "unknown", "argmax", "round", "sign", "compare", "one_hot", "cast_int"})


class Carried(Struct, frozen=True):
    """A forward pass that is given what it gave before, and the backward pass that goes back through it.

    `is_retained` says that the backward pass keeps the graph on purpose.
    """

    forward: Event
    backward: Event
    is_retained: bool


def carried(loop: TrainingLoop) -> Iterator[Carried]:
    """The states of a loop that hang on the graph of an earlier iteration when the next one uses them."""
    for carry in loop.events("carry"):
        inside = loop.around(carry)
        if not carry.is_certain or any(loop.point(e) in inside for e in loop.events("detach")):
            continue
        forwards = [loop.event(number) for number in sorted(carry.source)]
        for forward in forwards:
            if _is_given(forward, carry) and loop.point(forward) in inside:
                yield from _through(loop, forward, inside)


def _is_given(forward: Event, carry: Event) -> bool:
    """Whether a forward pass is given a state as it was left, in the same loop or in one within it."""
    stems = forward.settings.get("stems")
    return isinstance(stems, tuple) and carry.settings["state"] in stems


def _through(loop: TrainingLoop, forward: Event, inside: frozenset[int]) -> Iterator[Carried]:
    """The first backward pass of the same loop that goes through a forward pass which is given a state."""
    for backward in loop.events("backward"):
        if forward.number in backward.source and loop.point(backward) in inside:
            is_retained = backward.settings.get("retain_graph") is True
            if _hands_on(loop, forward) or (is_retained and _is_unknown(loop, forward)):
                yield Carried(forward, backward, is_retained)
                return


def _is_unknown(loop: TrainingLoop, forward: Event) -> bool:
    return all(loop.thing(number).kind == "object" for number in forward.things)


def _hands_on(loop: TrainingLoop, forward: Event) -> bool:
    """Whether a gradient passes from what the model gives to the state that it is given."""
    if forward.settings.get("detaches") or not forward.things:
        return False
    for thing in map(loop.thing, forward.things):
        graph = loop.graphs(thing)
        if graph is None and not thing.type.startswith("torch.nn."):
            return False
        if graph is not None and not _reaches(graph, forward):
            return False
    return True


def _reaches(graph: ModelGraph, forward: Event) -> bool:
    """Whether the state that a forward pass is given goes into every output of the model.

    An argument with a default is no input of the graph; it is taken to be used.
    """
    at = forward.settings["at"]
    inputs = [node for node in graph.nodes if node.op == "input"]
    reached = {n.number for n in inputs if at in (n.settings["index"], n.settings["name"])}
    if not reached and forward.settings["is_optional"]:
        return not any(node.op in _CUTS - {"unknown"} for node in graph.nodes)
    for node in graph.nodes:
        if node.op not in _CUTS and not reached.isdisjoint(node.inputs):
            reached.add(node.number)
    return bool(graph.outputs) and reached.issuperset(graph.outputs)
