"""What happens while training code is read, until it is frozen into a record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import structs

from gradlint.records.graph import Place, Setting
from gradlint.records.span import Span
from gradlint.records.training import Event, Region, Thing, Training
from gradlint.semantics.classes import is_module
from gradlint.semantics.interpretation import Site
from gradlint.semantics.value import Instance, Value
from gradlint.training.order import Order, outermost_first
from gradlint.training.settings import constant
from gradlint.training.values import (
    Context,
    Copy,
    Module,
    Optimizer,
    Parameters,
    Scaler,
    Scheduler,
    Symbol,
    Tool,
    Truth,
    options,
    within,
)

_NOWHERE = Place("", Span(1, 1, 1, 1))
_MOST_EVENTS = 2000
"""Code in which more happens is not judged: what may follow what grows with the square."""


class Recorder:
    """Events in the order in which code makes them, and the objects that they are about.

    Numbers of events begin at `first`, so that values which another recorder's events have left behind
    are not taken for results of its own.
    """

    def __init__(self, fresh: Callable[[], Truth], first: int = 0) -> None:
        self._first = first
        self.order = Order(fresh)
        self.regions: list[Context] = []
        self.is_whole = True
        self._events: list[tuple[Event, tuple[Value, ...], tuple[Value, ...]]] = []
        self._things: dict[int, tuple[int, Value]] = {}
        self._fleeting: set[int] = set()

    def note(
        self,
        kind: str,
        site: Site,
        things: Iterable[Value] = (),
        *,
        source: frozenset[int] = frozenset(),
        by: Iterable[Value] = (),
        is_certain: bool = True,
        states: frozenset[int] = frozenset(),
        settings: Mapping[str, Setting] | None = None,
        cut: frozenset[int] = frozenset(),
    ) -> int:
        """An event happens; its number."""
        number = self._first + len(self._events)
        regions = tuple([Region(c.kind, place_of(c.site), c.settings) for c in self.regions])
        callers = tuple([Place(caller.path, caller.node.span) for caller in site.callers])
        event = Event(
            number,
            kind,
            place_of(site),
            source=source,
            is_certain=is_certain,
            states=states,
            settings=dict(settings or {}),
            regions=regions,
            callers=callers,
            cut=cut,
        )
        about = tuple([option for thing in things for option in options(thing)])
        doers = tuple([option for thing in by for option in options(thing)])
        for value in (*about, *doers):
            self._number(value)
        self._events.append((event, about, doers))
        self.order.happens(number - self._first)
        return number

    def add(self, kind: str, site: Site, settings: Mapping[str, Setting]) -> None:
        """Say more of the last event, where it is of this kind and place."""
        if self._events:
            event, about, doers = self._events[-1]
            if event.kind == kind and event.place == place_of(site):
                told = structs.replace(event, settings={**event.settings, **settings})
                self._events[-1] = (told, about, doers)

    def last(self, kind: str, site: Site) -> tuple[Value, ...]:
        """What the last event is about, if it is of this kind and place, and of nothing computed before."""
        event, about, _ = self._events[-1] if self._events else (None, (), ())
        if event is None or event.kind != kind or event.source | event.cut:
            return ()
        return about if event.place == place_of(site) else ()

    def leave(self, state: int, passes: frozenset[int], states: frozenset[int], is_certain: bool) -> None:
        """An iteration leaves this to the next in a variable."""
        number = self._first + len(self._events)
        own = self._own(passes)
        event = Event(
            number,
            "carry",
            self._events[max(own)][0].place if own else _NOWHERE,
            source=passes,
            is_certain=is_certain,
            states=states | {state},
            settings={"state": state},
        )
        self._events.append((event, (), ()))
        self.order.happens(number - self._first)

    def _own(self, passes: frozenset[int]) -> frozenset[int]:
        """The positions of the events among these that are of this recorder."""
        positions = [number - self._first for number in passes]
        return frozenset([position for position in positions if 0 <= position < len(self._events)])

    def has(self, *kinds: str) -> bool:
        """Whether an event of one of these kinds has happened."""
        return any(event.kind in kinds for event, _, _ in self._events)

    def _number(self, value: Value) -> int:
        """The number of an object, which it gets with those that it holds."""
        known = self._things.get(id(value))
        if known is not None:
            return known[0]
        number = len(self._things)
        self._things[id(value)] = (number, value)
        if isinstance(value, Symbol) and self.order.is_in_loop(value.born):
            self._fleeting.add(number)
        for held in _held(value):
            self._number(held)
        return number

    def freeze(self, name: str, place: Place, periodic: Iterable[int] = ()) -> Training:
        """What was recorded."""
        things = tuple([self._thing(number, value) for number, value in list(self._things.values())])
        events = tuple(
            [
                Event(
                    event.number - self._first,
                    event.kind,
                    event.place,
                    frozenset(self._numbers(about)),
                    self._own(event.source),
                    frozenset(self._numbers(doers)),
                    event.is_certain,
                    event.states,
                    event.settings,
                    event.regions,
                    event.callers,
                    self._own(event.cut),
                )
                for event, about, doers in self._events
            ]
        )
        loops = outermost_first(self.order.loops)
        points = self.order.points()
        made = {atom for point in points for atom, _ in point.decisions}
        is_whole = self.is_whole and len(events) <= _MOST_EVENTS
        return Training(
            name, place, things, events, points, loops, frozenset(made.intersection(periodic)), is_whole
        )

    def _numbers(self, values: Sequence[Value]) -> Iterator[int]:
        for value in values:
            yield self._number(value)

    def _thing(self, number: int, value: Value) -> Thing:
        inside = {self._things[id(part)][0] for part in within(value) if id(part) in self._things}
        parts = frozenset(inside - {number})
        if isinstance(value, Optimizer):
            owners, is_whole = self._owners(value.held)
            place = place_of(value.site)
            return Thing(number, "optimizer", value.type, place, value.settings, owners, is_whole)
        if isinstance(value, Parameters):
            owners, is_whole = self._owners(value)
            return Thing(number, "parameters", owners=owners, is_whole=is_whole)
        if isinstance(value, Scaler):
            return Thing(number, "scaler", value.type, place_of(value.site), value.settings)
        if isinstance(value, Scheduler):
            changed = next((self._number(option) for option in options(value.optimizer)), None)
            place = place_of(value.site)
            return Thing(number, "scheduler", value.type, place, value.settings, optimizer=changed)
        if isinstance(value, Module):
            defined = None if value.cls is None else value.cls.scope.path
            settings = {name: constant(given) for name, given in value.attributes.items()}
            known: dict[str, Setting] = {name: given for name, given in settings.items() if given is not None}
            return Thing(
                number, "model", value.type, place_of(value.site), known, parts=parts, defined=defined
            )
        if isinstance(value, Instance):
            cls = value.type
            kind = "model" if is_module(cls) else "object"
            return Thing(number, kind, cls.definition.name, parts=parts, defined=cls.scope.path)
        if isinstance(value, Tool):
            return Thing(number, "object", value.type, place_of(value.site))
        made_by = value.type if isinstance(value, Symbol) else ""
        copied = self._copied(value) if isinstance(value, Copy) else frozenset[int]()
        is_fleeting = number in self._fleeting
        return Thing(number, "object", made_by, parts=parts, copied=copied, is_fleeting=is_fleeting)

    def _copied(self, copy: Copy) -> frozenset[int]:
        """The objects that a copy was made of, with what is in them; none where it shares parts with them."""
        if any(map(copy.gives, within(copy.original))) or not all(map(copy.keeps, copy.attributes.values())):
            return frozenset()
        return frozenset([self._things[id(p)][0] for p in within(copy.original) if id(p) in self._things])

    def _owners(self, held: Parameters) -> tuple[tuple[int, ...] | None, bool]:
        if held.owners is None:
            return None, held.is_whole
        return tuple([self._number(owner) for owner in held.owners]), held.is_whole


def _held(value: Value) -> Iterator[Value]:
    """The objects that an event about `value` is about as well."""
    if isinstance(value, Optimizer):
        yield from value.held.owners or ()
    elif isinstance(value, Parameters):
        yield from value.owners or ()
    elif isinstance(value, Scheduler):
        yield from options(value.optimizer)
    elif isinstance(value, Module) and value.cls is None:
        yield from (part for part in value.attributes.values() if isinstance(part, Module))


def place_of(site: Site) -> Place:
    """Where a site is."""
    return Place(site.path, site.node.span)
