"""The ways through a training: which event comes next, under tests that keep their outcome.

A test that is made twice is not decided differently the second time, unless it belongs to another
iteration of a loop. That is what tells `if scaled: … else: …` twice in a row from four ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from gradlint.records.training import Event, Training

Decisions = frozenset[tuple[int, bool]]
State = tuple[int, Decisions]

MOST_OUTCOMES = 100_000
"""Outcomes of tests, summed over the points that they are remembered at, that are told apart. Where there
are more, every iteration of a loop decides anew; where there are still more, nothing is said.
"""

MOST_TESTED = 2_000_000
"""Tests times points of code in which the order of events is looked at."""


class Outcome(Struct, frozen=True):
    """What comes first on the ways from an event: these events, on some ways none (`ends`)."""

    events: frozenset[int]
    ends: bool

    def only(self, *numbers: int) -> bool:
        """Whether, on every way on which anything comes, it is one of these."""
        return bool(self.events) and self.events <= set(numbers)


class Ways:
    """The states that a training passes through, forward and backward."""

    def __init__(self, training: Training) -> None:
        self._training = training
        self._end = len(training.points) - 1
        self._next: dict[State, tuple[State, ...]] = {}
        self._previous: dict[State, list[State]] = {}
        self._at: dict[int, list[State]] = {}
        self._tests = frozenset([atom for point in training.points for atom, _ in point.decisions])
        is_small = len(self._tests) * len(training.points) <= MOST_TESTED
        self.is_known = is_small and self._found(training)

    def _found(self, training: Training) -> bool:
        return self._explore(_forgotten(training)) or self._explore(_renewed(training, self._tests))

    def _explore(self, forgotten: list[frozenset[int]]) -> bool:
        """Follow every way from the beginning, forgetting tests; False where there are too many."""
        for found in (self._next, self._previous, self._at):
            found.clear()
        self._forgotten = forgotten
        self._live = _live(self._training, forgotten)
        pending: list[State] = [self.start]
        left = MOST_OUTCOMES
        while pending:
            state = pending.pop()
            if state in self._next:
                continue
            left -= 1 + len(state[1])
            if left < 0:
                return False
            following = tuple(self._following(state))
            self._next[state] = following
            event = self._training.points[state[0]].event
            if event is not None:
                self._at.setdefault(event, []).append(state)
            for each in following:
                self._previous.setdefault(each, []).append(state)
                pending.append(each)
        return True

    def _following(self, state: State) -> Iterator[State]:
        number, decided = state
        for following in self._training.points[number].next:
            point = self._training.points[following]
            if any((atom, not outcome) in decided for atom, outcome in point.decisions):
                continue
            known = decided | set(point.decisions)
            live, gone = self._live[following], self._forgotten[following]
            yield following, frozenset([d for d in known if live >> d[0] & 1 and d[0] not in gone])

    start: State = (0, frozenset())
    """Where every way begins."""

    def states(self) -> Iterator[State]:
        """Every state that a way leads to: a point, with the tests that are decided there."""
        return iter(self._next)

    def following(self, state: State) -> tuple[State, ...]:
        """The states that can come next."""
        return self._next[state]

    def happens(self, event: int) -> bool:
        """Whether any way leads to an event."""
        return event in self._at

    def first(self, counts: Callable[[Event], bool]) -> Outcome:
        """The first events that count, from the beginning on."""
        return self._search([self.start], self._next.__getitem__, counts, self._end)

    def after(
        self, event: int, counts: Callable[[Event], bool], allows: Callable[[int], bool] = lambda point: True
    ) -> Outcome:
        """The next events that count, on every way from an event on through points that are allowed."""

        def follow(state: State) -> Iterator[State]:
            return (each for each in self._next[state] if allows(each[0]))

        return self._search(self._at.get(event, ()), follow, counts, self._end)

    def after_each(self, event: int, counts: Callable[[Event], bool]) -> tuple[Outcome, ...]:
        """The next events that count, for each combination of tests under which an event happens."""
        starts = self._at.get(event, ())
        return tuple([self._search((start,), self._next.__getitem__, counts, self._end) for start in starts])

    def before(self, event: int, counts: Callable[[Event], bool]) -> Outcome:
        """The last events that count, on every way to an event."""
        return self._search(self._at.get(event, ()), lambda state: self._previous.get(state, ()), counts, 0)

    def _search(
        self,
        starts: Iterable[State],
        follow: Callable[[State], Iterable[State]],
        counts: Callable[[Event], bool],
        end: int,
    ) -> Outcome:
        found: set[int] = set()
        ends = False
        seen: set[State] = set()
        pending = list(starts)
        while pending:
            state = pending.pop()
            ends = ends or state[0] == end
            for each in follow(state):
                event = self._training.points[each[0]].event
                if event is not None and counts(self._training.events[event]):
                    found.add(event)
                elif each not in seen:
                    seen.add(each)
                    pending.append(each)
        return Outcome(frozenset(found), ends)


def _forgotten(training: Training) -> list[frozenset[int]]:
    """For every point the tests that are open again behind it."""
    return [point.forgets for point in training.points]


def _renewed(training: Training, tests: frozenset[int]) -> list[frozenset[int]]:
    """The same where each iteration of a loop decides everything anew."""
    return [
        tests if any(each <= number for each in point.next) else point.forgets
        for number, point in enumerate(training.points)
    ]


def _live(training: Training, forgotten: list[frozenset[int]]) -> list[int]:
    """For every point the tests that may be made again behind it, as a number with a bit for each."""
    points = training.points
    made = [_bits(atom for atom, _ in point.decisions) for point in points]
    kept = [~_bits(each) for each in forgotten]
    live = [0] * len(points)
    is_settled = False
    while not is_settled:
        is_settled = True
        for number in reversed(range(len(points))):
            new = 0
            for each in points[number].next:
                new |= live[each] & kept[each] | made[each]
            if new != live[number]:
                live[number], is_settled = new, False
    return live


def _bits(tests: Iterable[int]) -> int:
    bits = 0
    for test in tests:
        bits |= 1 << test
    return bits
