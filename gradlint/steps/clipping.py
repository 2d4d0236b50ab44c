"""Clipping that no step feels: after it, before the backward pass, of other gradients or of none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gradlint.records.training import Event
from gradlint.steps.gradients import Gradients, gradients_of
from gradlint.steps.loop import TrainingLoop

LOOSE = 1e3
"""A norm, or a value, from which on clipping is for the sake of its result, or of nothing."""


class Misplaced(NamedTuple):
    """Clipping that has no effect, why, and what shows it."""

    clip: Event
    reason: str
    ends: tuple[tuple[Event, str], ...]


def clipping_of(loop: TrainingLoop) -> Iterator[Misplaced]:
    """The clipping in a loop that certainly has no effect on any step."""
    every = list(gradients_of(loop))
    for clip in loop.events("clip") if every else ():
        found = _given(loop, clip) or _ordered(loop, clip, every)
        if found is not None:
            yield found


def bound(event: Event) -> float | None:
    """The norm or value to which gradients are clipped, where it is a constant."""
    for name in ("max_norm", "clip_value", "max", "clip_val"):
        found = event.settings.get(name)
        if isinstance(found, (int, float)) and not isinstance(found, bool):
            return float(found)
        if isinstance(found, str) and found in ("math.inf", "numpy.inf", "torch.inf"):
            return float("inf")
    return None


def _given(loop: TrainingLoop, clip: Event) -> Misplaced | None:
    """Clipping that is given something else than parameters."""
    given = clip.settings.get("given")
    called = {number for event in loop.events("forward") for number in event.things}
    owners = {owner for number in clip.things for owner in loop.thing(number).owners or ()}
    if given == "module" or (given == "object" and owners and owners <= called):
        return Misplaced(clip, "clipping is given the module, over which it cannot iterate", ())
    if given == "spent":
        return Misplaced(
            clip, "the generator that is clipped was run through before: nothing is left of it", ()
        )
    return None


def _ordered(loop: TrainingLoop, clip: Event, every: list[Gradients]) -> Misplaced | None:
    """Clipping at the wrong time, or of the wrong model."""
    about = [loop.concerns(clip, of.optimizer) for of in every]
    if about and not any(found is not False for found in about):
        return _of_others(loop, clip, every)
    if None in about or not is_bounding(clip):
        return None
    found = [
        _late(of, clip) or _early(of, clip) for of, is_about in zip(every, about, strict=True) if is_about
    ]
    return found[0] if found and None not in found else None


def _of_others(loop: TrainingLoop, clip: Event, every: list[Gradients]) -> Misplaced | None:
    """Parameters are clipped that no optimizer holds, between a backward pass and a step."""
    for of in every:
        step = loop.after(clip, of.about("step"), of.writing).events & of.steps.keys()
        fill = loop.before(clip, of.about("step"), of.writing).events & of.filled.keys()
        if step and fill:
            reason = "clipping leaves out the parameters that the optimizer holds"
            return Misplaced(clip, reason, ((loop.event(min(step)), "steps here"),))
    return None


def _late(of: Gradients, clip: Event) -> Misplaced | None:
    """The gradients were used by a step, and are zeroed before the next, or should be."""
    loop = of.loop
    before = loop.before(clip, of.about("step"), of.writing, of.zeroing)
    after = loop.after(clip, of.about("step"), of.writing, of.zeroing)
    begin = loop.ways.first(lambda e: of.about("step")(e) or of.writing(e) or of.zeroing(e))
    follows = after.events | (begin.events if after.ends else frozenset())
    zeros = [number for number in follows if of.zeroing(loop.event(number))]
    reason = "gradients are clipped after the step that used them"
    if not before.only(*of.steps):
        return None
    ends = ((of.steps[max(before.events)], "used here"),)
    if follows and follows <= set(zeros):
        return Misplaced(clip, reason, (*ends, (loop.event(min(zeros)), "zeroed here")))
    is_refilled = after.events and after.events <= of.filled.keys()
    left = {step.number for step, _ in of.kept()} if is_refilled else set()
    return Misplaced(clip, reason, ends) if before.events & left else None


def _early(of: Gradients, clip: Event) -> Misplaced | None:
    """The gradients are zero, and are computed before the next step."""
    loop = of.loop
    before = loop.before(clip, of.about("step"), of.writing, of.zeroing)
    after = loop.after(clip, of.about("step"), of.writing, of.zeroing)
    zeros = [number for number in before.events if of.zeroing(loop.event(number))]
    if before.only(*zeros) and after.only(*of.filled):
        ends = ((loop.event(max(zeros)), "zeroed here"), (of.filled[min(after.events)], "computed only here"))
        return Misplaced(clip, "gradients are clipped before the backward pass computes them", ends)
    return None


def is_bounding(clip: Event) -> bool:
    """Whether this bounds gradients, and does not merely change, or measure them."""
    form = str(clip.settings.get("form", ""))
    size = bound(clip)
    return form.startswith(("clip", "clamp", "dispatch", "adaptive")) and (size is None or size < LOOSE)
