"""One way through a training that comes back to where it was: what happens before, and then in each round."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from gradlint.records.training import Event
from gradlint.steps.loop import TrainingLoop
from gradlint.steps.ways import State

PERIOD = 4
"""Iterations that a step is taken to be made of, where a remainder tells them apart."""

_ASIDE = ("hook", "drop", "freeze", "half", "replace", "clip")
"""Events that loops over parameters are made for."""

_MOST_STATES = 20_000
"""States that are looked at, all searches for one way together; where that is not enough, there is none."""
_MOST_WANTED = 10


class Lasso(NamedTuple):
    """The events before the first round, and those of one."""

    before: tuple[Event, ...]
    cycle: tuple[Event, ...]


def lasso(loop: TrainingLoop, required: Sequence[Event], wanted: Sequence[Event] = ()) -> Lasso | None:
    """A way on which all required events happen again and again, with as many wanted ones as there can be.

    Those that
    lie outside of the loop in which the training is happen before. Without a loop a round is
    the whole function, which is called again. None where no way leads past them all.
    """
    search = _Search(loop, required)
    found = search.run(required)
    kept = list(required)
    for event in wanted[:_MOST_WANTED]:
        better = search.run([*kept, event]) if found is not None and event not in found.cycle else None
        if better is not None:
            found = better
            kept.append(event)
    return found


class _Search:
    def __init__(self, loop: TrainingLoop, required: Sequence[Event]) -> None:
        self._loop, self._ways = loop, loop.ways
        self._left = _MOST_STATES
        anchors = [event for event in required if event.kind not in _ASIDE] or required
        points = {loop.point(event) for event in anchors}
        around = [each for each in loop.training.loops if each & points]
        self._points = min(
            around, key=lambda each: (-len(each & points), len(each)), default=frozenset[int]()
        )

    def run(self, events: Sequence[Event]) -> Lasso | None:
        """A way past these events."""
        inside = [e for e in events if self._loop.point(e) in self._points]
        outside = [e for e in events if self._loop.point(e) not in self._points]
        if not self._points:
            path = self._path([self._ways.start], outside, lambda s: s[0] == self._end, lambda s: True)
            return None if path is None else Lasso((), tuple(self._events(path)))
        found = (self._around(head, outside, inside) for head in self._heads() if self._left > 0)
        return next((lasso for lasso in found if lasso is not None), None)

    def _around(self, head: State, outside: Sequence[Event], inside: Sequence[Event]) -> Lasso | None:
        """A way to a state past events, and from there back to it past others."""
        before = self._path([self._ways.start], outside, lambda s: s == head, lambda s: True)
        cycle = self._path([head], inside, lambda s: s == head, lambda s: s[0] in self._points)
        if before is None or cycle is None:
            return None
        return Lasso(tuple(self._events(before[:-1])), tuple(self._repeated(cycle)))

    @property
    def _end(self) -> int:
        return len(self._loop.training.points) - 1

    def _heads(self) -> Iterator[State]:
        """The states at the first point of the loop."""
        first = min(self._points)
        yield from (state for state in self._ways.states() if state[0] == first)

    def _path(
        self,
        starts: Iterable[State],
        events: Sequence[Event],
        ends: Callable[[State], bool],
        allows: Callable[[State], bool],
    ) -> list[State] | None:
        """The shortest way of at least one step to an end past all of these events."""
        bits = {self._loop.point(event): 1 << n for n, event in enumerate(events)}
        whole = (1 << len(events)) - 1
        first = [(state, bits.get(state[0], 0)) for state in starts]
        came: dict[tuple[State, int], tuple[State, int] | None] = dict.fromkeys(first)
        pending = deque(first)
        while pending and self._left > 0:
            self._left -= 1
            state, seen = node = pending.popleft()
            for following in filter(allows, self._ways.following(state)):
                new = (following, seen | bits.get(following[0], 0))
                if ends(following) and new[1] == whole:
                    return [*_back(came, node), following]
                if new not in came:
                    came[new] = node
                    pending.append(new)
        return None

    def _events(self, states: Iterable[State]) -> Iterator[Event]:
        points = self._loop.training.points
        for state in states:
            number = points[state[0]].event
            if number is not None:
                yield self._loop.event(number)

    def _repeated(self, cycle: list[State]) -> Iterator[Event]:
        """A round; where a remainder decides about some of its events, as many iterations as make one."""
        events = list(self._events(cycle[1:]))
        periodic = self._loop.training.periodic
        is_decided = any(
            atom in periodic for state in cycle for atom, _ in self._loop.training.points[state[0]].decisions
        )
        often = {e.number for e in events if not is_decided or not self._is_avoidable(e, cycle)}
        if len(often) == len(events) or not any(e.kind == "backward" and e.number in often for e in events):
            yield from events
            return
        first = next(n for n, e in enumerate(events) if e.kind == "backward" and e.number in often)
        for iteration in range(PERIOD):
            for n, event in enumerate(events):
                is_due = iteration == 0 if n < first else iteration == PERIOD - 1
                if event.number in often or is_due:
                    yield event

    def _is_avoidable(self, event: Event, cycle: list[State]) -> bool:
        """Whether a remainder may lead around an event in a round that is the same else."""
        points, periodic = self._loop.training.points, self._loop.training.periodic
        taken = {d for state in cycle for d in points[state[0]].decisions if d[0] not in periodic}
        avoided = self._loop.point(event)

        def allows(state: State) -> bool:
            others = any((atom, not outcome) in taken for atom, outcome in points[state[0]].decisions)
            return state[0] in self._points and state[0] != avoided and not others

        head = cycle[0]
        return self._path([head], [], lambda s: s[0] == head[0], allows) is not None


def _back(came: dict[tuple[State, int], tuple[State, int] | None], node: tuple[State, int]) -> list[State]:
    path = [node[0]]
    while (previous := came[node]) is not None:
        node = previous
        path.append(node[0])
    return path[::-1]
