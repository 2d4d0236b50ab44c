"""How a gradient scaler is used: which gradients bear its scale, and in which order it is called."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from gradlint.records.training import Event
from gradlint.steps.loop import TrainingLoop
from gradlint.steps.precision import by_hand, is_own_step

FIRST_SCALE = 65536.0
"""What a `GradScaler` of torch begins with."""


Pair = tuple[Event, Event]
"""What is wrong with the use of a scaler: an event, and the other one that makes it wrong."""


def scalers(loop: TrainingLoop) -> frozenset[int]:
    """The scalers that scale a loss and may be on."""
    made = {n for event in loop.events("backward") if event.settings.get("scaled") for n in event.by}
    return frozenset([n for n in made if loop.thing(n).settings.get("enabled") is not False])


def decades(loop: TrainingLoop, backward: Event) -> float | None:
    """log10 of the scale that a loss bears at first; None where it is not known."""
    found = {loop.thing(n).settings.get("init_scale", FIRST_SCALE) for n in backward.by}
    scale = found.pop() if len(found) == 1 else None
    return math.log10(scale) if isinstance(scale, (int, float)) and scale > 0 else None


def stepped_scaled(loop: TrainingLoop, optimizer: frozenset[int]) -> Iterator[Pair]:
    """The steps that an optimizer does itself with gradients that bear a scale."""
    if any(map(by_hand, loop.events("clip"))):
        return
    known = scalers(loop)
    for backward in loop.scaled(optimizer):
        after = loop.after(backward, loop.about(optimizer, "unscale", "step", "zero", "escape"))
        steps = [loop.event(number) for number in sorted(after.events)]
        is_past = all(is_own_step(e, optimizer) and not e.settings.get("unscales") for e in steps)
        if backward.by <= known and steps and is_past:
            yield steps[0], backward


def stepped_past(loop: TrainingLoop, optimizer: frozenset[int]) -> Iterator[Pair]:
    """The steps that an optimizer does itself, also on inf, behind a call that unscales."""
    for unscale in _calls(loop, optimizer, "unscale"):
        after = loop.after(unscale, loop.about(optimizer, "unscale", "step", "zero", "escape"))
        steps = [loop.event(number) for number in sorted(after.events)]
        if steps and not after.ends and all(e.kind == "step" and not e.by for e in steps):
            yield steps[0], unscale


def clipped_scaled(loop: TrainingLoop, optimizer: frozenset[int]) -> Iterator[Pair]:
    """The clipping of gradients that certainly bear a scale, by a threshold that does not: all ways from
    a backward pass lead to it, or all ways to it come from one.
    """
    found = {clip.number: (clip, backward) for clip, backward in _clipped_after(loop, optimizer)}
    found |= {
        pair[0].number: pair for pair in _clipped_before(loop, optimizer) if pair[0].number not in found
    }
    yield from found.values()


def _clipped_before(loop: TrainingLoop, optimizer: frozenset[int]) -> Iterator[Pair]:
    """Clipping before which the last that happens to the gradients is a scaled backward pass."""
    scaled = {backward.number: backward for backward in loop.scaled(optimizer)}
    others = loop.about(optimizer, "unscale", "step", "zero", "escape")
    for clip in loop.events("clip") if scaled else ():
        if by_hand(clip) or clip.settings.get("threshold") == "scaled":
            continue
        last = loop.before(clip, others, loop.filling(optimizer), lambda e: e.kind == "clip" and by_hand(e))
        if loop.concerns(clip, optimizer) and last.only(*scaled):
            yield clip, scaled[max(last.events)]


def _clipped_after(loop: TrainingLoop, optimizer: frozenset[int]) -> Iterator[Pair]:
    """Clipping that comes first after a scaled backward pass."""
    stops = loop.about(optimizer, "unscale", "clip", "step", "escape")
    for backward in loop.scaled(optimizer):
        first = loop.after(backward, lambda e: stops(e) and e.settings.get("threshold") != "scaled")
        events = [loop.event(number) for number in sorted(first.events)]
        clips = [event for event in events if event.kind == "clip"]
        if clips == events and clips and not any(map(by_hand, clips)):
            yield clips[0], backward


def clipped_past_library(loop: TrainingLoop, optimizer: frozenset[int]) -> Iterator[Pair]:
    """The clipping by torch's own functions that comes first after a library has gone back from a loss that
    it scales, as it does in float16: its own clipping would unscale.
    """
    stops = loop.about(optimizer, "unscale", "clip", "step", "escape")
    for backward in filter(loop.filling(optimizer), loop.events("backward")):
        if backward.settings.get("scales") is not True:
            continue
        events = [loop.event(number) for number in loop.after(backward, stops).events]
        if events and all(event.kind == "clip" and not event.by and not by_hand(event) for event in events):
            yield min(events, key=lambda event: event.number), backward


def unscaled_by_library(loop: TrainingLoop, optimizer: frozenset[int]) -> Iterator[Pair]:
    """The backward passes from a loss that nothing scales, each with the step that follows, in which a
    library unscales.
    """
    if any(map(by_hand, loop.events("clip"))):
        return
    for backward in loop.events("backward"):
        is_told = backward.is_certain or backward.settings.get("sometimes")
        if backward.by or not is_told or not loop.fills(backward, optimizer):
            continue
        after = loop.after(backward, loop.about(optimizer, "unscale", "step", "zero", "escape"))
        steps = [loop.event(number) for number in sorted(after.events)]
        if steps and all(is_own_step(e, optimizer) and e.settings.get("unscales") for e in steps):
            yield backward, steps[0]


def never_updated(loop: TrainingLoop, optimizer: frozenset[int]) -> Iterator[Pair]:
    """The scaler's steps after which its next call for the same optimizer comes without an update."""
    for step in _calls(loop, optimizer, "step"):
        later = loop.after(step, _of_scaler(loop, step, optimizer)).events
        found = [loop.event(number) for number in sorted(later)]
        if found and all(event.kind in ("step", "unscale") for event in found):
            yield step, found[0]


def unscaled_again(loop: TrainingLoop, optimizer: frozenset[int]) -> Iterator[Pair]:
    """The calls that unscale gradients after which, sooner or later, they are unscaled again.

    Where some iterations step and update, and others do not, all of them must unscale.
    """
    for unscale in _calls(loop, optimizer, "unscale"):
        counts = _of_scaler(loop, unscale, optimizer)
        ways = loop.ways.after_each(unscale.number, counts)
        found = [[loop.event(number) for number in sorted(way.events)] for way in ways]
        again = [[event for event in way if event.kind == "unscale"] for way in found]
        is_known = all(event.kind != "escape" for way in found for event in way)
        if is_known and again and all(again) and (again == found or _always(loop, unscale, optimizer)):
            yield again[0][0], unscale


def _always(loop: TrainingLoop, unscale: Event, optimizer: frozenset[int]) -> bool:
    """Whether gradients are unscaled after every backward pass before there is another."""
    counts = loop.filling(optimizer), loop.about(optimizer, "unscale", "step", "escape")
    return all(
        all(loop.event(number).kind == "unscale" for number in found.events) and found.events
        for found in [loop.after(backward, *counts) for backward in loop.scaled(optimizer)]
    )


def _calls(loop: TrainingLoop, optimizer: frozenset[int], kind: str) -> Iterator[Event]:
    """The calls of a known scaler for an optimizer that is the same in every iteration."""
    known = scalers(loop)
    if len(optimizer) > 1 or any(loop.thing(number).is_fleeting for number in optimizer):
        return
    for event in loop.events(kind):
        if len(event.by) == 1 and event.by <= known and event.things == optimizer:
            yield event


def _of_scaler(loop: TrainingLoop, call: Event, optimizer: frozenset[int]) -> Callable[[Event], bool]:
    """Whether an event is a call of the same scaler that concerns an optimizer, or may be one."""

    def counts(event: Event) -> bool:
        if event.kind == "update":
            return bool(event.things & call.by)
        if event.kind == "escape":
            touched = event.things.union(*[loop.thing(number).parts for number in event.things])
            return bool(touched & (call.by | optimizer))
        return event.kind in ("step", "unscale") and loop.concerns(event, optimizer) is not False

    return counts
