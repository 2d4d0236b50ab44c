"""Parameters that are trained and that no optimizer holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gradlint.records.training import Event
from gradlint.steps.adversarial import left_out
from gradlint.steps.gradients import Counts, Gradients, gradients_of
from gradlint.steps.loop import TrainingLoop


class Missed(NamedTuple):
    """Where parameters are left out, how, and where the optimizer steps without them."""

    event: Event
    reason: str
    step: Event


def missed_in(loop: TrainingLoop) -> Iterator[Missed]:
    """What the optimizers of a loop certainly leave out."""
    every = list(gradients_of(loop))
    for of in every:
        yield from _replaced(of)
    if every and all(loop.owners(of.optimizer) is not None for of in every):
        yield from _orphaned(loop, every)
        for backward, step in left_out(loop):
            yield Missed(backward, "no optimizer holds what made the samples that are judged here", step)


def _replaced(of: Gradients) -> Iterator[Missed]:
    """A module is put into a model after the optimizer was given the model's parameters."""
    loop = of.loop
    for event in loop.events("replace"):
        if not event.by & of.optimizer or _is_held(loop, event):
            continue
        steps = loop.after(event, of.about("step", "add", "escape"))
        if steps.only(*of.steps) and not any(loop.events("add")):
            name = event.settings.get("name")
            reason = f"{name} is put into the model after the optimizer was given its parameters"
            yield Missed(event, reason, of.steps[min(steps.events)])


def _is_held(loop: TrainingLoop, event: Event) -> bool:
    """Whether an optimizer may hold the new module by itself, or nothing is known of it."""
    new = {number for number in event.by if loop.role(number) != "optimizer"}
    held = [loop.owners(optimizer) for optimizer in loop.optimizers]
    unknown = any(owners is None for owners in held)
    return unknown or not new or any(new & (owners or frozenset()) for owners in held)


def _orphaned(loop: TrainingLoop, every: list[Gradients]) -> Iterator[Missed]:
    """A backward pass gives gradients to models of which no optimizer holds any, and a step follows."""
    steps = {number: step for of in every for number, step in of.steps.items()}
    for backward in loop.events("backward"):
        certain = (backward.is_certain or backward.settings.get("sometimes")) and backward.source
        carries = [e for e in loop.events("carry") if e.settings["state"] in backward.states]
        if not certain or not _is_told(backward, carries):
            continue
        if any(loop.fills(each, of.optimizer) is not False for of in every for each in (backward, *carries)):
            continue
        if _passes_held(loop, backward, every) or _is_given_weights(loop, backward):
            continue
        first = loop.after(backward, *(of.about("step", "zero", "escape") for of in every), *_writing(every))
        if first.only(*steps):
            reason = "no optimizer holds a parameter of what is trained here"
            yield Missed(backward, reason, steps[min(first.events)])


def _is_told(backward: Event, carries: list[Event]) -> bool:
    """Whether it is known of all states that a loss hangs on what iterations leave in them."""
    told = {carry.settings["state"] for carry in carries if carry.is_certain and carry.source}
    return all(carry.states <= told for carry in carries) and backward.states <= told


def _passes_held(loop: TrainingLoop, backward: Event, every: list[Gradients]) -> bool:
    """Whether a model that an optimizer may hold runs before, and the loss may come from it.

    What runs before a loop has no graph left when the loop goes back for a second time.
    """
    inside = frozenset[int]() if backward.settings.get("retain_graph") else loop.around(backward)
    owners = [owner for of in every for owner in loop.owners(of.optimizer) or ()]
    held = {
        event.number
        for event in loop.events("forward")
        if (not inside or loop.point(event) in inside)
        and any(loop.is_same(model, owner) is not False for model in event.things for owner in owners)
    }
    steps = {number for of in every for number in of.steps}
    last = loop.before(backward, lambda event: event.number in held | steps)
    return not last.events & held <= backward.cut


def _is_given_weights(loop: TrainingLoop, backward: Event) -> bool:
    """Whether a model behind a loss is given weights in every iteration: others are trained in its place."""
    models = {n for number in backward.source for n in loop.event(number).things}
    inside = loop.around(backward)
    return any(e.things & models and loop.point(e) in inside for e in loop.events("load"))


def _writing(every: list[Gradients]) -> list[Counts]:
    return [of.writing for of in every]
