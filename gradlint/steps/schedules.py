"""Schedules of learning rates: when they are stepped, and what pace their numbers are meant for."""

from __future__ import annotations

from collections.abc import Iterator
from math import log10
from typing import NamedTuple

from msgspec.structs import replace

from gradlint.records.training import Event, Thing
from gradlint.steps.gradients import Gradients, gradients_of
from gradlint.steps.loop import TrainingLoop

_BATCHES = 250
"""Batches in all epochs, at least; a schedule that is spent within so few is one of epochs."""

_SPENT = -4.0
"""Decades: below that share of the first learning rate, a schedule has stopped training."""


class Misordered(NamedTuple):
    """Where a schedule is stepped, what is wrong with that, where it shows, and its lead.

    `said` is what is there. `lead` counts the rates of the schedule that it is ahead after 20 steps of the
    optimizer within one epoch: 1, or 19 too many, or as many too few; 0 where that does not show.
    """

    schedule: Event
    step: Event
    reason: str
    said: str = "the optimizer steps here"
    lead: int = 0


def schedules_of(loop: TrainingLoop) -> Iterator[Misordered]:
    """The schedules in a loop that certainly are stepped too early or at the wrong pace."""
    for of in gradients_of(loop):
        for event in loop.events("schedule"):
            schedule = _only(loop, event)
            if schedule is None or schedule.optimizer not in of.optimizer:
                continue
            found = _early(of, event) or _hurried(of, event, schedule)
            found = found or _slow(of, event, schedule) or _of_a_library(of, event, schedule)
            found = found or _at_two_paces(of, event)
            if found is not None:
                yield found


def _only(loop: TrainingLoop, event: Event) -> Thing | None:
    """The schedule that an event is about, where there is one."""
    things = [loop.thing(number) for number in event.things]
    return things[0] if len(things) == 1 and things[0].kind == "scheduler" else None


def _early(of: Gradients, event: Event) -> Misordered | None:
    """In a loop, the schedule is stepped before the optimizer has made its first step."""
    loop = of.loop
    about = of.about("step", "escape")
    first = loop.ways.first(lambda each: each.number == event.number or about(each))
    late = of.around(event, of.steps.values(), about)
    if first.only(event.number) and late.only(*of.steps):
        reason = "the schedule is stepped before the optimizer, and skips its first learning rate"
        return Misordered(event, of.steps[min(late.events)], reason, lead=1)
    return None


def _beside(of: Gradients, event: Event) -> Event | None:
    """The step of the optimizer that shares the innermost loop with a schedule, within a loop of epochs, and
    that the schedule is stepped after each time.
    """
    loop = of.loop
    points = loop.around(event)
    outer = any(points < each for each in loop.training.loops)
    beside = [s for s in of.steps.values() if outer and loop.around(s) == points]
    next_of = [loop.after(s, lambda e: e.number == event.number or e.number in of.steps) for s in beside]
    return beside[0] if beside and all(found.only(event.number) for found in next_of) else None


def decay(schedule: Thing, steps: int) -> float | None:
    """Decades that a schedule takes off the learning rate in so many steps; None where it is not known."""
    settings, kind = schedule.settings, schedule.type.rpartition(".")[2]
    gamma = settings.get("gamma", 0.1 if kind == "StepLR" else None)
    if isinstance(gamma, bool) or not isinstance(gamma, (int, float)) or not 0 < gamma < 1:
        return None
    if kind == "ExponentialLR":
        return steps * log10(gamma)
    size = settings.get("step_size")
    if kind == "StepLR" and isinstance(size, int) and size > 0:
        return steps // size * log10(gamma)
    return None


def _hurried(of: Gradients, event: Event, schedule: Thing) -> Misordered | None:
    """A decay over epochs is stepped with every batch."""
    step = _beside(of, event)
    if step is not None and event.settings.get("pace") == "hurried":
        reason = "the schedule lasts as many steps as there are epochs, and is stepped with every batch"
        return Misordered(event, step, reason, lead=19)
    lost = decay(schedule, _BATCHES)
    if step is None or lost is None or lost >= _SPENT:
        return None
    reason = f"stepped with every batch, the schedule takes {-lost:.1f} decades off the rate in {_BATCHES}"
    return Misordered(event, step, reason, lead=19)


def _at_two_paces(of: Gradients, event: Event) -> Misordered | None:
    """A schedule is stepped with every batch and, always, once more before or behind those of an epoch."""
    if _beside(of, event) is None:
        return None
    for other in of.loop.events("schedule"):
        if other.things == event.things and _is_beside(of.loop, event, other):
            reason = "the schedule is stepped with every batch, and with every epoch once more"
            return Misordered(event, other, reason, "stepped again here")
    return None


def _is_beside(loop: TrainingLoop, inner: Event, outer: Event) -> bool:
    """Whether all ways out of an event's loop, or all ways into it, lead past another in a loop around."""
    inside = loop.around(inner)
    if loop.point(outer) in inside or not inside < loop.around(outer):
        return False
    found = [
        search(inner, lambda event: event.number == outer.number) for search in (loop.after, loop.before)
    ]
    return any(each.events and not each.ends for each in found)


def _slow(of: Gradients, event: Event, schedule: Thing) -> Misordered | None:
    """A cycle that counts batches is stepped once per epoch."""
    loop = of.loop
    is_cycle = schedule.type.endswith(".OneCycleLR") and "steps_per_epoch" in schedule.settings
    if not is_cycle and event.settings.get("pace") != "slow":
        return None
    points = loop.around(event)
    within = [s for s in of.steps.values() if loop.point(s) in points and loop.around(s) < points]
    if not within or len(within) < len(of.steps):
        return None
    reason = "a cycle over all batches is stepped once per epoch, and ends within its warm-up"
    if not is_cycle:
        reason = "the schedule lasts as many steps as there are batches, and is stepped once per epoch"
    return Misordered(event, within[0], reason, lead=-19)


_PACES = {
    "hurried": "the schedule lasts as many steps as there are epochs, and is told to step with every batch",
    "slow": "the schedule lasts as many steps as there are batches, and is stepped with every epoch",
}


def _of_a_library(of: Gradients, event: Event, schedule: Thing) -> Misordered | None:
    """A library steps the schedule at another pace than the library itself has told its length in."""
    reason, steps = _PACES.get(str(event.settings.get("pace"))), list(of.steps.values())
    if event.settings.get("pace") == "beyond":
        length, epochs = schedule.settings.get("total_steps"), event.settings.get("epochs")
        reason = f"a cycle of {length} steps is stepped with every epoch, {epochs} times in all"
    if reason is None or not steps or not steps[0].settings.get("automatic") or schedule.place is None:
        return None
    return Misordered(replace(event, place=schedule.place, callers=()), steps[0], reason, "trained here")
