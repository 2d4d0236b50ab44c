"""A training as rules see it: what is done to each optimizer, and what comes before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import product

from gradlint.records.graph import ModelGraph
from gradlint.records.training import Event, Thing, Training
from gradlint.steps.ways import Outcome, Ways

Graphs = Callable[[Thing], ModelGraph | None]


class TrainingLoop:
    """One function, method or script of the checked file that trains, with what it calls.

    `graphs` gives the graph of a model of the project, where it can be read.
    """

    def __init__(self, training: Training, graphs: Graphs = lambda thing: None) -> None:
        self.training = training
        self.graphs = graphs

    @cached_property
    def ways(self) -> Ways:
        """Every order in which the events can happen."""
        return Ways(self.training)

    @property
    def is_readable(self) -> bool:
        """Whether the code was read to its end and the ways through it are known."""
        return self.training.is_whole and self.ways.is_known

    def events(self, *kinds: str) -> Iterator[Event]:
        """The events of these kinds that can happen."""
        found = [event for kind in set(kinds) for event in self._happening.get(kind, ())]
        yield from found if len(kinds) == 1 else sorted(found, key=lambda event: event.number)

    @cached_property
    def _happening(self) -> dict[str, list[Event]]:
        """The events that can happen, by their kinds."""
        found: dict[str, list[Event]] = {}
        for event in self.training.events:
            if self.ways.happens(event.number):
                found.setdefault(event.kind, []).append(event)
        return found

    def after(self, event: Event, *counting: Callable[[Event], bool]) -> Outcome:
        """What comes first after an event, of what one of these counts."""
        return self.ways.after(event.number, lambda e: any(counts(e) for counts in counting))

    def before(self, event: Event, *counting: Callable[[Event], bool]) -> Outcome:
        """What came last before an event, of what one of these counts."""
        return self.ways.before(event.number, lambda e: any(counts(e) for counts in counting))

    def event(self, number: int) -> Event:
        """An event by its number."""
        return self.training.events[number]

    def thing(self, number: int) -> Thing:
        """An object by its number."""
        return self.training.things[number]

    @cached_property
    def _points(self) -> dict[int, int]:
        return {point.event: n for n, point in enumerate(self.training.points) if point.event is not None}

    def point(self, event: Event) -> int:
        """The point at which an event happens."""
        return self._points[event.number]

    def around(self, event: Event) -> frozenset[int]:
        """The points of the innermost loop around an event; none outside of loops."""
        return self.together(event, (event,))

    def together(self, event: Event, others: Iterable[Event]) -> frozenset[int]:
        """The points of the innermost loop around an event and one of others; none outside of loops."""
        return next(iter(self.shared(event, others)), frozenset())

    def shared(self, event: Event, others: Iterable[Event]) -> list[frozenset[int]]:
        """The points of each loop around an event and one of others, from the innermost out."""
        beside = {self.point(other) for other in others}
        loops = [points for points in self.training.loops if self.point(event) in points and points & beside]
        return sorted(loops, key=len)

    # roles

    @cached_property
    def _roles(self) -> dict[int, str]:
        roles = {thing.number: thing.kind for thing in self.training.things}
        stepped: set[int] = set()
        for event in self.training.events:
            for number, role in self._said(event):
                if roles[number] == "object":
                    roles[number] = role
            if event.kind == "step" and not event.by:
                stepped |= {number for number in event.things if roles[number] == "object"}
        zeroed = {n for event in self.training.events if event.kind == "zero" for n in event.things}
        engines = {n for event in self.training.events if event.kind == "backward" for n in event.by}
        engines |= {n for event in self.training.events if event.kind == "forward" for n in event.things}
        open_steps = {number for number in stepped - engines if roles[number] == "object"}
        optimizers = open_steps & zeroed
        if not optimizers and len(open_steps) == 1 and "optimizer" not in roles.values():
            optimizers = open_steps
        roles |= dict.fromkeys(optimizers, "optimizer")
        return roles | {n: "model" for n in self._called() if roles[n] == "object"}

    def _called(self) -> Iterator[int]:
        """What is used as a model: it is called, has parameters, or a mode."""
        for event in self.training.events:
            if event.kind in ("forward", "train", "eval", "half"):
                yield from event.things
        for thing in self.training.things:
            yield from thing.owners or ()

    def _said(self, event: Event) -> Iterator[tuple[int, str]]:
        """What an event says of objects of which nothing is known."""
        if event.kind == "update":
            yield from ((number, "scaler") for number in event.things)
        if event.kind in ("step", "unscale") or (event.kind == "backward" and event.settings.get("scaled")):
            yield from ((number, "scaler") for number in event.by)
        if event.kind in ("step", "unscale") and event.by:
            yield from ((number, "optimizer") for number in event.things)

    def role(self, number: int) -> str:
        """What an object is, by its class or by what is done with it."""
        return self._roles[number]

    @cached_property
    def optimizers(self) -> tuple[frozenset[int], ...]:
        """The optimizers, each with those that stand for it in other branches."""
        groups: list[set[int]] = []
        for event in self.training.events:
            held = {n for n in event.things if self._roles[n] == "optimizer"}
            if not held or event.kind == "escape":
                continue
            touching = [group for group in groups if group & held]
            groups = [group for group in groups if not group & held]
            groups.append(held.union(*touching))
        return tuple(frozenset(group) for group in groups)

    def type(self, number: int) -> str:
        """The qualified name of an object's class, empty where that is not known."""
        return self.thing(number).type

    # relations; None where they are not known

    def owners(self, optimizer: frozenset[int]) -> frozenset[int] | None:
        """The models whose parameters an optimizer holds."""
        found = [self.thing(number).owners for number in optimizer]
        if any(owners is None for owners in found):
            return None
        return frozenset(owner for owners in found for owner in owners or ())

    def called_within(self, owner: int) -> tuple[int, ...]:
        """The parts of a model that are called, where it never is as a whole, nor can be read so."""
        called = {number for event in self.events("forward") for number in event.things}
        if owner in called or self.graphs(self.thing(owner)) is not None:
            return ()
        return tuple(sorted(self.thing(owner).parts & called))

    def is_same(self, one: int, other: int) -> bool | None:
        """Whether two models have parameters in common: they are one, or one is part of the other."""
        first, second = self.thing(one), self.thing(other)
        if one == other or other in first.parts or one in second.parts:
            return True
        if one in second.copied or other in first.copied:
            return False
        return None if "object" in (first.kind, second.kind) else False

    def concerns(self, event: Event, optimizer: frozenset[int]) -> bool | None:
        """Whether an event is about an optimizer, or about parameters that it holds."""
        if event.settings.get("reach") == "anything":
            return None
        found: set[bool | None] = set()
        for number in event.things:
            thing = self.thing(number)
            if number in optimizer:
                found.add(True)
            elif self.role(number) == "optimizer":
                found.add(self._holds_the_same(thing, optimizer))
            elif self.role(number) in ("scaler", "scheduler"):
                found.add(bool(thing.parts & optimizer))
            else:
                is_open = event.kind == "zero" and self.role(number) == "object"
                shared = self._shares(thing, optimizer)
                found.add(None if is_open and shared is False else shared)
        return _any(found)

    def _holds_the_same(self, other: Thing, optimizer: frozenset[int]) -> bool | None:
        """Whether another optimizer holds the same parameters, as one that is made anew for each run does."""
        mine = [self.thing(number) for number in optimizer]
        owners = {owner for thing in mine for owner in thing.owners or ()} & set(other.owners or ())
        if not owners:
            return False
        return True if other.is_whole and all(thing.is_whole for thing in mine) else None

    def _shares(self, thing: Thing, optimizer: frozenset[int]) -> bool | None:
        """Whether an optimizer holds parameters of a model, or of what owns these parameters."""
        if thing.parts & optimizer:
            return True
        if self.role(thing.number) == "object":
            inside = [self.thing(n) for n in thing.parts if self.role(n) == "model"]
            return _any({self._shares(part, optimizer) for part in inside}) if inside else False
        owners = self.owners(optimizer)
        mine = thing.owners if thing.kind == "parameters" else (thing.number,)
        if owners is None or mine is None:
            return self._only(optimizer)
        return self._overlap(mine, owners)

    def _overlap(self, some: Iterable[int], others: Iterable[int]) -> bool | None:
        """Whether any of some models has parameters in common with one of others."""
        return _any({self.is_same(one, other) for one, other in product(some, others)})

    def _only(self, optimizer: frozenset[int]) -> bool | None:
        """Whether there is no other optimizer that something could belong to."""
        return True if len(self.optimizers) == 1 else None

    def fills(self, backward: Event, optimizer: frozenset[int]) -> bool | None:
        """Whether a backward pass gives gradients to parameters that an optimizer holds."""
        owners = self.owners(optimizer)
        models = self._passed(backward)
        if owners is None or not models:
            return self._only(optimizer)
        found = self._overlap(models, owners)
        is_open = found and not backward.is_certain and self._fills_another(backward, optimizer)
        return None if is_open else found

    def _fills_another(self, backward: Event, optimizer: frozenset[int]) -> bool:
        """Whether a backward pass may be meant for another optimizer."""
        models = self._passed(backward)
        others = [self.owners(other) or () for other in self.optimizers if other != optimizer]
        return any(self._overlap(models, owners) for owners in others)

    def _passed(self, backward: Event) -> frozenset[int]:
        """The models that the gradient of a backward pass goes through."""
        return frozenset([n for number in backward.source for n in self.event(number).things])

    def computes(self, forward: Event, optimizer: frozenset[int]) -> bool | None:
        """Whether a forward pass computes with parameters that an optimizer holds."""
        owners = self.owners(optimizer)
        if owners is None:
            return self._only(optimizer)
        return self._overlap(forward.things, owners)

    def scaled(self, optimizer: frozenset[int]) -> Iterator[Event]:
        """The backward passes that certainly give an optimizer gradients which bear a scaler's scale."""
        for backward in self.events("backward"):
            if self.fills(backward, optimizer) and any(self.role(n) == "scaler" for n in backward.by):
                yield backward

    def unscaled(self, event: Event, optimizer: frozenset[int]) -> Event | None:
        """Where the gradients of an optimizer are unscaled next: by a call, or in the scaler's step."""
        found = self.after(event, self.about(optimizer, "unscale", "step")).events
        return self.event(min(found)) if found and all(self.event(n).by for n in found) else None

    # what is counted

    def about(self, optimizer: frozenset[int], *kinds: str) -> Callable[[Event], bool]:
        """Whether an event is of these kinds and may be about an optimizer."""
        return lambda event: event.kind in kinds and self.concerns(event, optimizer) is not False

    def filling(self, optimizer: frozenset[int]) -> Callable[[Event], bool]:
        """Whether an event is a backward pass that may give an optimizer gradients."""
        return lambda event: event.kind == "backward" and self.fills(event, optimizer) is not False

    def may_bound(self, optimizer: frozenset[int]) -> bool:
        """Whether anything may clip, or change by a hook, the gradients that an optimizer is given."""
        return any(map(self.about(optimizer, "clip", "hook"), self.events("clip", "hook")))


def _any(found: set[bool | None]) -> bool | None:
    return True if True in found else (None if None in found else False)
