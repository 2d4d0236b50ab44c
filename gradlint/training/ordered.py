"""The order in which training code runs, and the blocks that it runs in."""

from __future__ import annotations

from collections.abc import Sequence

from gradlint.records import ir
from gradlint.records.span import Span
from gradlint.semantics.interpretation import Interpretation, Site
from gradlint.semantics.value import Closure, Reference, Value
from gradlint.training.order import Guard
from gradlint.training.recorder import Recorder
from gradlint.training.symbols import Symbols
from gradlint.training.values import Context, Either, Truth, options

_UNTRACKED = frozenset({"no_grad", "inference_mode"})
_MOST_EVENTS = 1 << 32
NOWHERE = Span(1, 1, 1, 1)


class Ordered(Interpretation):
    """Records in which order events can happen, as the evaluator tells of branches, loops and functions."""

    is_ordered = True

    def __init__(self) -> None:
        self.symbols = Symbols()
        self._recorders = 0
        self.recorder = self.fresh_recorder()
        self.merging: Truth | None = None
        self._aside = 0
        self._choices: list[tuple[bool | None, int]] = []

    def fresh_recorder(self) -> Recorder:
        """A recorder whose events are told from those of all others."""
        self._recorders += 1
        return Recorder(self.symbols.fresh_test, self._recorders * _MOST_EVENTS)

    def begin(self) -> None:
        """Forget the events of one entry before another is run."""
        self.recorder = self.fresh_recorder()
        self._choices.clear()

    def turns_aside(self) -> object:
        """Nothing happens while a name is looked up."""
        before, self.recorder = self.recorder, self.fresh_recorder()
        self._aside += 1
        return before

    def returns_to(self, before: object) -> None:
        """Things happen again."""
        assert isinstance(before, Recorder)
        self.recorder = before
        self._aside -= 1

    @property
    def is_aside(self) -> bool:
        """Whether a name is looked up, out of the order in which code runs."""
        return self._aside > 0

    @property
    def is_tracked(self) -> bool:
        """Whether what is computed here carries gradients."""
        if self._aside:
            return False
        modes = [context.kind for context in self.recorder.regions if context.kind.endswith(("grad", "mode"))]
        return not modes or modes[-1] not in _UNTRACKED

    def enter(self, context: Value) -> None:
        """A block in which torch works in another way."""
        self.recorder.regions.append(_region(context))

    def leave(self, context: Value) -> None:
        """It ends."""
        self.recorder.regions.pop()

    # order

    def chooses(self, test: Value | None, catches: bool = False) -> None:
        """A branch."""
        truth = None if test is None else self.symbols.truth(test)
        self._choices.append((None if truth is None else self.symbols.by_default(truth), 0))
        self.recorder.order.chooses(truth, catches)

    def takes(self, position: int) -> None:
        """One of its arms."""
        outcome, _ = self._choices[-1]
        self._choices[-1] = outcome, position
        self.recorder.order.takes(position)

    @property
    def is_by_default(self) -> bool:
        """Whether a run that is told nothing but its defaults may come here."""
        return all(outcome is None or outcome is (position == 0) for outcome, position in self._choices)

    def chosen(self, alive: Sequence[int]) -> None:
        """The end of the branch: values that differ depend on its test."""
        test = self.recorder.order.test
        self.merging = test if list(alive) == [0, 1] else None
        self._choices.pop()
        self.recorder.order.chosen()

    def merged(self) -> None:
        """What follows depends on it no more."""
        self.merging = None

    def loops(self) -> None:
        """A loop."""
        self.recorder.order.enters_loop(self.symbols.count + 1)

    def iterates(self, often: bool) -> None:
        """One of its iterations."""
        self.recorder.order.iterates(often)

    def looped(self) -> None:
        """Its end."""
        self.recorder.order.leaves_loop(self.symbols.lengths.last)

    def leaves(self, kind: str) -> None:
        """A jump."""
        self.recorder.order.leaves(kind)

    def enters(self, closure: Closure) -> None:
        """A function."""
        self.recorder.order.enters()

    def exits(self, closure: Closure) -> None:
        """Its end: which of two values it returned may depend on a test."""
        self.merging = self.recorder.order.exits()

    def suspends(self, is_block: bool) -> None:
        """A generator gives way to what it yields to."""
        self.recorder.order.suspends(is_block)

    def resumes(self) -> None:
        """And goes on."""
        self.recorder.order.resumes()

    def guards(self) -> None:
        """A block behind which code runs."""
        self.recorder.order.guards()

    def guarded(self) -> object:
        """That code."""
        return self.recorder.order.guarded()

    def unguarded(self, guard: object) -> None:
        """Its end."""
        assert isinstance(guard, Guard)
        self.recorder.order.unguarded(guard)

    def entered(self, context: Value) -> Value:
        """Most contexts give themselves."""
        return context if not isinstance(context, Context) else self.symbols.fresh()

    def not_understood(self, reason: str) -> None:
        """What comes after work has run out is not known."""
        if reason != "recursion":
            self.recorder.is_whole = False


def _region(context: Value) -> Context:
    """The block that a context manager opens; where it is one of two, it may be open or not."""
    found = [option for option in options(context) if isinstance(option, Context) and option.kind != "null"]
    if isinstance(context, Context):
        return context
    if isinstance(context, Reference):
        return Context(context.name.rpartition(".")[2], {}, Site(ir.Literal(NOWHERE, None), ""))
    if not found:
        return Context("unknown", {}, Site(ir.Literal(NOWHERE, None), ""))
    if isinstance(context, Either):
        return Context(found[0].kind, {**found[0].settings, "enabled": None}, found[0].site)
    return found[0]
