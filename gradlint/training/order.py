"""The order of points while code is read: choices, loops and functions become ways from point to point."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gradlint.records.training import Point
from gradlint.training.values import Truth, negated


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
    position: int = 0
    reached: set[int] = field(default_factory=set)
    begun: bool = False


@dataclass(slots=True)
class _Loop:
    born: int
    head: int | None = None
    breaks: set[int] = field(default_factory=set)
    continues: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Guard:
    """A block behind which code runs however it is left: the ends of ways that leave it, by kind.

    Behind one that a generator yields to, code runs only where no exception does.
    """

    after_raise: bool = True
    left: dict[str, set[int]] = field(default_factory=dict)
    tests: dict[str, Truth] = field(default_factory=dict)


@dataclass(slots=True)
class _Try:
    """The body of a `try` with handlers: the ends of ways that raise."""

    raised: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Call:
    choices: int
    ends: set[int] = field(default_factory=set)
    returned: list[Truth | None] = field(default_factory=list)
    guards: list[Guard] = field(default_factory=list)


_Scope = _Call | _Loop | Guard | _Try


class Order:
    """Which point can follow which; `ends` are those after which the code is being read."""

    def __init__(self, fresh: Callable[[], Truth]) -> None:
        self._fresh = fresh
        self._points = [_Point()]
        self.ends = {0}
        self.loops: list[frozenset[int]] = []
        self._choices: list[_Choice] = []
        self._scopes: list[_Scope] = []
        self._suspended: list[list[_Scope]] = []
        self._born: dict[int, int] = {}
        self._told: set[int] = set()

    def points(self) -> tuple[Point, ...]:
        """All points as records, the last one being where the code ends."""
        end = len(self._points)
        found = [
            Point(p.event, p.decisions, p.forgets, (*p.next, end) if number in self.ends else tuple(p.next))
            for number, p in enumerate(self._points)
        ]
        return (*found, Point())

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
    def loop(self) -> int:
        """What has at least this number is born in the innermost loop."""
        return next((scope.born for scope in reversed(self._scopes) if isinstance(scope, _Loop)), 0)

    @property
    def around(self) -> list[int]:
        """What is born in each loop that is being read has at least this number; the outermost first."""
        return [scope.born for scope in self._scopes if isinstance(scope, _Loop) and scope.born]

    @property
    def test(self) -> Truth | None:
        """What the innermost choice depends on."""
        return self._choices[-1].test if self._choices else None

    def chooses(self, test: Truth | None, catches: bool = False) -> None:
        """A choice begins; where it catches, the first arm may lead to the others wherever it raises."""
        self._choices.append(_Choice(test, set(self.ends)))
        if catches:
            self._scopes.append(_Try())

    def takes(self, position: int) -> None:
        """One of its arms does."""
        choice = self._choices[-1]
        if choice.begun:
            choice.reached |= self.ends
        if position == 1 and self._scopes and isinstance(self._scopes[-1], _Try):
            choice.start |= self._scopes[-1].raised
            self._scopes.pop()
        choice.begun = True
        choice.position = position
        self.ends = set(choice.start)
        if choice.test is not None and position < 2:
            self._decide(choice.test, position == 0)

    def _decide(self, test: Truth, outcome: bool) -> None:
        """From here on a test has this outcome."""
        if self.ends:
            self._point(_Point(decisions=tuple(self._decided(test, outcome))))

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
        self._scopes.append(_Call(len(self._choices)))

    def exits(self) -> Truth | None:
        """It ends; the test by which its first result was returned and not its second, if it has two."""
        call = self._scopes.pop()
        assert isinstance(call, _Call)
        self.ends |= call.ends
        for guard in reversed(call.guards):
            self._let_go(guard)
        return call.returned[0] if len(call.returned) == 2 else None

    def suspends(self, is_block: bool) -> None:
        """A generator yields, to the body of a loop or, as a context, to a block."""
        at = max(i for i, scope in enumerate(self._scopes) if isinstance(scope, _Call))
        self._suspended.append(self._scopes[at:])
        self._scopes[at:] = [Guard(after_raise=False) if is_block else _Loop(0)]

    def resumes(self) -> None:
        """It goes on; not so where a loop over it was left, but always behind a block."""
        receiver = self._scopes.pop()
        self._scopes += self._suspended.pop()
        call = next(scope for scope in reversed(self._scopes) if isinstance(scope, _Call))
        if isinstance(receiver, _Loop):
            self.ends |= receiver.continues
            call.ends |= receiver.breaks
        elif isinstance(receiver, Guard):
            self._gather(receiver)
            call.guards.append(receiver)

    def guards(self) -> None:
        """A block begins behind which code runs however it is left."""
        self._scopes.append(Guard())

    def guarded(self) -> Guard:
        """The code behind it begins."""
        guard = self._scopes.pop()
        assert isinstance(guard, Guard)
        self._gather(guard)
        return guard

    def unguarded(self, guard: Guard) -> None:
        """It ends: the ways that left the block go on where they led."""
        self._let_go(guard)

    def _gather(self, guard: Guard) -> None:
        """Lead all ways out of a block to one place, marked by how they left it."""
        ways = {"": self.ends} | guard.left
        if len(ways) == 1:
            return
        gathered: set[int] = set()
        guard.tests = {kind: self._fresh() for kind in guard.left}
        for kind, ends in ways.items():
            self.ends = ends
            for other, test in guard.tests.items():
                self._decide(test, other == kind)
            gathered |= self.ends
        self.ends = gathered

    def _let_go(self, guard: Guard) -> None:
        for kind, test in guard.tests.items():
            here = set(self.ends)
            self._decide(test, True)
            self.leaves(kind)
            self.ends = here
            self._decide(test, False)

    def leaves(self, kind: str) -> None:
        """The way ends here, or goes on behind a loop or function."""
        for scope in reversed(self._scopes):
            if isinstance(scope, Guard) and (scope.after_raise or kind != "raise"):
                scope.left.setdefault(kind, set()).update(self.ends)
                break
            if isinstance(scope, _Loop) and kind in ("break", "continue"):
                (scope.breaks if kind == "break" else scope.continues).update(self.ends)
                break
            if isinstance(scope, _Try) and kind == "raise":
                scope.raised |= self.ends
                break
            if isinstance(scope, _Call) and kind == "return":
                scope.ends |= self.ends
                scope.returned.append(self._decider(scope))
                break
        self.ends = set()

    def _decider(self, call: _Call) -> Truth | None:
        """The only test on which it depends whether a function returns here, true where it does."""
        open_choices = self._choices[call.choices :]
        if len(open_choices) != 1 or open_choices[0].test is None or open_choices[0].position > 1:
            return None
        test = open_choices[0].test
        return test if open_choices[0].position == 0 else negated(test)

    def enters_loop(self, born: int) -> None:
        """A loop begins; what is born from here on belongs to one iteration."""
        self._scopes.append(_Loop(born))

    def is_in_loop(self, born: int) -> bool:
        """Whether something with this number was born in a loop that is being read."""
        scopes = [*self._scopes, *[scope for suspended in self._suspended for scope in suspended]]
        return any(isinstance(scope, _Loop) and 0 < scope.born <= born for scope in scopes)

    def iterates(self, often: bool) -> None:
        """An iteration begins, or any number of them, one at least."""
        loop = self._scopes[-1]
        assert isinstance(loop, _Loop)
        self.ends |= loop.continues
        loop.continues = set()
        if often:
            loop.head = self._point(_Point())

    def leaves_loop(self, last: Mapping[int, bool]) -> None:
        """The loop ends, in an iteration in which some tests have these outcomes, and only in that."""
        loop = self._scopes.pop()
        assert isinstance(loop, _Loop)
        self.ends |= loop.continues
        if loop.head is not None:
            self._close(loop, loop.head, last)
        self.ends |= loop.breaks

    def _close(self, loop: _Loop, head: int, last: Mapping[int, bool]) -> None:
        """Lead the end of the body back to its head."""
        inside = self._points[head:]
        tests = {atom for point in inside for atom, _ in point.decisions}
        own = frozenset([atom for atom in tests if self._born[atom] >= loop.born])
        telling = [Truth(atom, self._born[atom], not last[atom]) for atom in own & last.keys() - self._told]
        self._told |= own
        ends = set(self.ends)
        for test in telling:
            self._decide(test, False)
        latch = self._point(_Point(forgets=own))
        self._points[latch].next.append(head)
        self.loops.append(frozenset(range(head, latch + 1)))
        if telling:
            self.ends = ends
            for test in telling:
                self._decide(test, True)


def outermost_first(loops: Sequence[frozenset[int]]) -> tuple[frozenset[int], ...]:
    """Loops with those around them before them."""
    return tuple(sorted(loops, key=lambda loop: (min(loop), -len(loop))))
