"""States that a model keeps in its own attributes from one forward pass to the next, with their graph."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from gradlint.records.training import Event
from gradlint.steps.loop import TrainingLoop

_CALLS = ("forward", "__call__")


class Kept(Struct, frozen=True):
    """A forward pass that uses what the one before left in an attribute, and a backward pass behind it."""

    name: str
    forward: Event
    backward: Event


def kept(loop: TrainingLoop) -> Iterator[Kept]:
    """The forward passes of a loop that go on from the graph of the iteration before."""
    for forward in [event for event in loop.events("forward") if event.settings.get("keeps")]:
        inside = loop.around(forward)
        things = [loop.thing(number) for number in forward.things]
        if not inside or len(things) != 1 or things[0].place is None or _is_other(forward):
            continue
        graph = loop.graphs(things[0])
        for backward in loop.events("backward") if graph is not None and graph.kept else ():
            is_within = loop.point(backward) in inside and forward.number in backward.source
            if is_within and _is_repeated(loop, forward, backward, inside):
                assert graph is not None
                yield Kept(graph.kept[0], forward, backward)
                break


def _is_repeated(loop: TrainingLoop, forward: Event, backward: Event, inside: frozenset[int]) -> bool:
    """Whether a backward pass follows and, in the same loop, the next forward pass, with nothing done to
    the model between.
    """

    def matters(event: Event) -> bool:
        is_about = not event.things.isdisjoint(forward.things)
        return is_about and event.kind in ("forward", "set", "escape", "replace")

    first = loop.after(forward, matters, lambda event: event.number == backward.number)
    second = loop.after(backward, matters)
    again = [event for event in map(loop.event, second.events) if loop.point(event) in inside]
    is_left = all(event.kind == "forward" and not _is_other(event) for event in again)
    return first.only(backward.number) and is_left and forward in again


def _is_other(event: Event) -> bool:
    """Whether an event is a call of another method of a model, which may change its state."""
    return event.settings.get("method") not in _CALLS
