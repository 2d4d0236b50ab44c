"""The order of points while code is read: choices, loops and functions become ways from point to point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gradlint.records.training import Point
from gradlint.training.values import Truth


@dataclass(slots=True)
class _Point:
    event: int | None = None
    decisions: tuple[tuple[int, bool], ...] = ()
    forgets: frozenset[int] = frozenset()
    next: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Choice:
    test: Truth | None
    start: set[int]
    reached: set[int] = field(default_factory=set)
    begun: bool = False


@dataclass(slots=True)
class _Loop:
    born: int
    head: int | None = None
    breaks: set[int] = field(default_factory=set)
    continues: set[int] = field(default_factory=set)


class Order:
    """Which point can follow which; `ends` are those after which the code is being read."""

    def __init__(self) -> None:
        self._points = [_Point()]
        self.ends = {0}
        self.loops: list[frozenset[int]] = []
        self._choices: list[_Choice] = []
        self._open: list[_Loop] = []
        self._returns: list[set[int]] = []
        self._born: dict[int, int] = {}

    def points(self) -> tuple[Point, ...]:
        """All points as records."""
        return tuple([Point(p.event, p.decisions, p.forgets, tuple(p.next)) for p in self._points])

    def happens(self, event: int) -> None:
        """An event comes next."""
        self._point(_Point(event))

    def _point(self, point: _Point) -> int:
        number = len(self._points)
        self._points.append(point)
        for end in sorted(self.ends):
            self._points[end].next.append(number)
        self.ends = {number}
        return number

    @property
    def test(self) -> Truth | None:
        """What the innermost choice depends on."""
        return self._choices[-1].test if self._choices else None

    def chooses(self, test: Truth | None) -> None:
        """A choice begins."""
        self._choices.append(_Choice(test, set(self.ends)))

    def takes(self, position: int) -> None:
        """One of its arms does."""
        choice = self._choices[-1]
        if choice.begun:
            choice.reached |= self.ends
        choice.begun = True
        self.ends = set(choice.start)
        if choice.test is not None and position < 2 and self.ends:
            decisions = tuple(self._decided(choice.test, position == 0))
            self._point(_Point(decisions=decisions))

    def _decided(self, test: Truth, outcome: bool) -> Iterator[tuple[int, bool]]:
        """What follows from the outcome of a test."""
        self._born[test.atom] = test.born
        truth = outcome != test.is_negated
        yield test.atom, truth
        if test.junction == ("and" if truth else "or"):
            for part in test.parts:
                yield from self._decided(part, truth)

    def chosen(self) -> None:
        """The choice ends."""
        choice = self._choices.pop()
        self.ends |= choice.reached

    def enters(self) -> None:
        """A function begins."""
        self._returns.append(set())

    def exits(self) -> None:
        """It ends."""
        self.ends |= self._returns.pop()

    def leaves(self, kind: str) -> None:
        """The way ends here, or goes on behind a loop or function."""
        if kind == "return" and self._returns:
            self._returns[-1] |= self.ends
        elif kind == "break" and self._open:
            self._open[-1].breaks |= self.ends
        elif kind == "continue" and self._open:
            self._open[-1].continues |= self.ends
        self.ends = set()

    def enters_loop(self, born: int) -> None:
        """A loop begins; what is born from here on belongs to one iteration."""
        self._open.append(_Loop(born))

    def iterates(self, often: bool) -> None:
        """An iteration begins, or any number of them, one at least."""
        loop = self._open[-1]
        self.ends |= loop.continues
        loop.continues = set()
        if often:
            loop.head = self._point(_Point())

    def leaves_loop(self) -> None:
        """The loop ends."""
        loop = self._open.pop()
        self.ends |= loop.continues
        if loop.head is not None:
            self._close(loop, loop.head)
        self.ends |= loop.breaks

    def _close(self, loop: _Loop, head: int) -> None:
        """Lead the end of the body back to its head."""
        inside = self._points[head:]
        tests = {atom for point in inside for atom, _ in point.decisions}
        forgets = frozenset([atom for atom in tests if self._born[atom] >= loop.born])
        latch = self._point(_Point(forgets=forgets))
        self._points[latch].next.append(head)
        self.loops.append(frozenset(range(head, latch + 1)))


def outermost_first(loops: Sequence[frozenset[int]]) -> tuple[frozenset[int], ...]:
    """Loops with those around them before them."""
    return tuple(sorted(loops, key=lambda loop: (min(loop), -len(loop))))
