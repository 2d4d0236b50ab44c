"""The gradients of one optimizer: where they are computed, used and zeroed, and what lies between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from gradlint.records.training import Event, Thing
from gradlint.steps.loop import TrainingLoop
from gradlint.steps.ways import Outcome

Counts = Callable[[Event], bool]


class Broken(NamedTuple):
    """A backward pass, the step that follows it in some iterations, and where the others zero it."""

    backward: Event
    step: Event
    zero: Event


class Gradients:
    """What happens to the gradients of the parameters that one optimizer holds.

    `optimizer` are the numbers of the things that it may be. A predicate counts an event that *may* be
    about these gradients, a list has events that certainly are.
    """

    def __init__(self, loop: TrainingLoop, optimizer: frozenset[int]) -> None:
        self.loop = loop
        self.optimizer = optimizer
        self.filling = loop.filling(optimizer)
        self.steps = {e.number: e for e in loop.events("step") if e.things and e.things <= optimizer}
        self.filled = {e.number: e for e in loop.events("backward") if loop.fills(e, optimizer)}

    def about(self, *kinds: str) -> Counts:
        """Whether an event is of these kinds and may be about these gradients."""
        return self.loop.about(self.optimizer, *kinds)

    def around(self, event: Event, others: Iterable[Event], *counting: Counts) -> Outcome:
        """What comes first after an event, of what one of these counts, while a loop around it goes on.

        It is around one of the others as well: of such loops the innermost in which anything comes.
        """
        counts = _any_of(counting)
        found = Outcome(frozenset(), False)
        for points in self.loop.shared(event, others):
            found = self.loop.ways.after(event.number, counts, points.__contains__)
            if found.events:
                break
        return found

    def used(self) -> dict[int, Event]:
        """The backward passes that certainly lead to a step before the gradients are zeroed, at the latest in
        the iteration that a remainder tells; what is left over at the end of the loop is another matter.
        """
        stops = self.about("step", "zero", "escape")
        counted = {backward.number for backward, _ in self.accumulated()}
        return {
            n: e
            for n, e in self.filled.items()
            if n in counted or self.loop.after(e, stops).only(*self.steps)
        }

    # zeros

    def may_zero(self, event: Event) -> bool:
        """Whether an event may zero any of these gradients: it is about them, or of what is not known."""
        if event.kind != "zero":
            return False
        open_things = {n for n in event.things if self.loop.thing(n).kind in ("object", "parameters")}
        held = {owner for n in open_things for owner in self.loop.thing(n).owners or (n,)}
        unknown = any(self.loop.thing(n).kind == "object" and self.loop.role(n) != "optimizer" for n in held)
        return unknown or self.about("zero")(event)

    def zeroing(self, event: Event) -> bool:
        """Whether an event certainly zeroes all of these gradients."""
        if event.kind != "zero" or not event.is_certain:
            return False
        if event.things <= self.optimizer:
            return True
        held = self.loop.owners(self.optimizer)
        given = {owner for n in event.things for owner in self._all_of(self.loop.thing(n))}
        within = given.union(*[self.loop.thing(owner).parts for owner in given])
        return held <= within if held is not None else bool(given) and len(self.loop.optimizers) == 1

    def _all_of(self, thing: Thing) -> tuple[int, ...]:
        """The models all of whose parameters a thing is, or has."""
        if thing.kind == "parameters":
            return (thing.owners or ()) if thing.is_whole else ()
        return (thing.number,) if self.loop.role(thing.number) == "model" else ()

    def writing(self, event: Event) -> bool:
        """Whether an event may fill these gradients: a backward pass, or code that writes them."""
        return self.filling(event) or (is_written(event) and self.about("zero", "clip", "escape")(event))

    def kept(self) -> Iterator[tuple[Event, Event]]:
        """Steps whose gradients are still there when a backward pass adds to them, each with that pass."""
        used = self.used()
        for step in self.steps.values():
            first = self.around(step, used.values(), self.may_zero, self.about("escape"), self.filling)
            if first.only(*used):
                last = self.loop.before(step, self.filling).events & used.keys() or first.events
                yield step, used[min(last)]

    # steps that find nothing

    def idle(self) -> Iterator[tuple[Event, Event]]:
        """Steps that certainly find no gradients, each with where these were zeroed last."""
        for step in self.steps.values():
            last = self.loop.before(step, self._strays, self.writing, self.zeroing)
            zeros = [n for n in last.events if self.zeroing(self.loop.event(n))]
            if last.only(*zeros) and not step.settings.keys() & {"closure", "given"}:
                yield self.loop.event(max(zeros)), step

    def _strays(self, event: Event) -> bool:
        """Whether an event is a backward pass that no other optimizer certainly gets its gradients from."""
        others = [other for other in self.loop.optimizers if other != self.optimizer]
        return event.kind == "backward" and not any(self.loop.fills(event, other) for other in others)

    def forgotten(self) -> Iterator[tuple[Event, Event]]:
        """Steps of an optimizer whose models nothing ever backpropagates through, though they run in the
        same loop, each with such a pass; none where other code might.
        """
        loop, held = self.loop, self.loop.owners(self.optimizer)
        others = any(self.writing(e) or e.kind in ("backward", "lend") for e in loop.training.events)
        if not held or others or any(loop.thing(n).kind != "optimizer" for n in self.optimizer):
            return
        own = {n for owner in held for n in (owner, *loop.thing(owner).parts)}
        passes = [
            e
            for e in loop.events("forward")
            if e.things & own and all(r.kind == "autocast" for r in e.regions)
        ]
        for step in self.steps.values():
            if step.settings.keys() & {"closure", "given"}:
                continue
            beside = [e for e in passes if loop.together(step, [e])]
            if beside:
                yield beside[0], step

    def broken(self) -> Iterator[Broken]:
        """Backward passes that a step follows in some of the iterations that a remainder tells apart, while
        all others zero what they computed.
        """
        for backward in self.filled.values():
            for atom in self.loop.training.periodic:
                yes, no = (self._where(backward, atom, outcome) for outcome in (True, False))
                for one, other in ((yes, no), (no, yes)):
                    steps, zeros = one.events & self.steps.keys(), self._zeros(other)
                    if one.only(*steps) and other.only(*zeros):
                        yield Broken(backward, self.loop.event(min(steps)), self._within(backward, zeros))

    def restarted(self) -> Iterator[Broken]:
        """Backward passes of a part of a loss in a loop that zeroes what each computed before the next, and
        that runs to its end before a step follows.
        """
        for backward in self.filled.values():
            inside = self.loop.around(backward)
            if backward.settings.get("divided") is not True or not self._runs_out(inside):
                continue
            first = self.loop.after(backward, self.writing, self.may_zero, self.about("step", "escape"))
            inner = {n for n in first.events if self.loop.point(self.loop.event(n)) in inside}
            zeros, steps = inner.intersection(self._zeros(first)), first.events - inner
            given = any(self.loop.event(n).settings.keys() & {"closure", "given"} for n in steps)
            if zeros and steps and zeros == inner and steps <= self.steps.keys() and not given:
                yield Broken(backward, self.loop.event(min(steps)), self.loop.event(min(zeros)))

    def _runs_out(self, inside: frozenset[int]) -> bool:
        """Whether a loop is left nowhere but at the end of an iteration."""
        points = self.loop.training.points
        left = {point for point in inside if not inside.issuperset(points[point].next)}
        return bool(inside) and left == {max(inside)}

    def _within(self, backward: Event, zeros: list[int]) -> Event:
        """The first of events that are in the loop around a backward pass; they come before all others."""
        around = self.loop.around(backward)
        return min(map(self.loop.event, zeros), key=lambda e: (self.loop.point(e) not in around, e.number))

    def accumulated(self) -> Iterator[tuple[Event, Event]]:
        """Backward passes of which several, as a remainder tells, make one step: each with that step."""
        for backward in self.filled.values():
            for atom in self.loop.training.periodic:
                yes, no = (self._where(backward, atom, outcome) for outcome in (True, False))
                for one, other in ((yes, no), (no, yes)):
                    steps = one.events & self.steps.keys()
                    more = other.events & self.filled.keys()
                    if more and one.only(*steps) and other.only(*more, *self._zeros(other)):
                        yield backward, self.loop.event(min(steps))

    def _zeros(self, outcome: Outcome) -> list[int]:
        return [n for n in outcome.events if self.zeroing(self.loop.event(n))]

    def _where(self, backward: Event, atom: int, outcome: bool) -> Outcome:
        """What becomes of gradients in iterations in which a test has an outcome."""
        points = self.loop.training.points
        return self.loop.ways.after(
            backward.number,
            _any_of((self.zeroing, self.filling, self.about("step", "escape"))),
            lambda point: (atom, not outcome) not in points[point].decisions,
        )


def gradients_of(loop: TrainingLoop) -> Iterator[Gradients]:
    """The gradients of every optimizer; none where the code could not be read."""
    for optimizer in loop.optimizers if loop.is_readable else ():
        yield Gradients(loop, optimizer)


def is_written(event: Event) -> bool:
    """Whether gradients may get other values than those they had, or 0."""
    form = str(event.settings.get("form", ""))
    by_hand = form == "assigned" or (form.endswith("_") and not form.startswith("clip_grad"))
    return event.kind == "escape" or (event.kind == "zero" and not event.is_certain) or by_hand


def _any_of(counting: tuple[Counts, ...]) -> Counts:
    return lambda event: any(counts(event) for counts in counting)
