"""Whether the learning rate of an optimizer may begin low and rise."""

from __future__ import annotations

from gradlint.records.training import Event
from gradlint.steps.known import is_adaptive
from gradlint.steps.loop import TrainingLoop

_FALLING = frozenset(
    {
        *("StepLR", "MultiStepLR", "ExponentialLR", "CosineAnnealingLR", "ReduceLROnPlateau"),
        *("CosineAnnealingWarmRestarts", "PolynomialLR"),
    }
)
"""Schedules of torch that begin at the full rate."""

LEAST_RATE = 2e-5


def may_warm_up(loop: TrainingLoop, optimizer: frozenset[int]) -> bool:
    """Whether a schedule may begin low, code may change the rate that an optimizer began with, or training
    goes on from weights that were trained before.
    """
    if any(loop.concerns(event, optimizer) is not False for event in loop.events("load")):
        return True
    touched = loop.events("groups", "escape")
    if any(not optimizer.isdisjoint(event.things) for event in touched):
        return True
    schedules = [thing for thing in loop.training.things if thing.kind == "scheduler"]
    return any(_rises(loop, thing.number) for thing in schedules) or any(
        loop.role(number) == "object" for event in loop.events("schedule") for number in event.things
    )


def _rises(loop: TrainingLoop, number: int) -> bool:
    schedule = loop.thing(number)
    package, _, name = schedule.type.rpartition(".")
    if package.startswith("torch.optim"):
        return name not in _FALLING
    steps = [schedule.settings.get(key) for key in ("warmup_steps", "warmup_ratio")]
    return any(step is None or step for step in steps)


def is_eager(loop: TrainingLoop, optimizer: frozenset[int]) -> bool:
    """Whether an optimizer divides by what it has seen of the gradient from the first step on, at a rate
    above that with which a warm-up begins.
    """
    things = [loop.thing(number) for number in optimizer]
    rates = [thing.settings.get("lr", 1e-3) for thing in things]
    is_high = all(isinstance(rate, float | int) and rate > LEAST_RATE for rate in rates)
    return is_high and all(is_adaptive(t.type) and not t.type.endswith("RAdam") for t in things)


def begins(loop: TrainingLoop, optimizer: frozenset[int]) -> Event | None:
    """The first step of an optimizer."""
    steps = [event for event in loop.events("step") if loop.concerns(event, optimizer)]
    return min(steps, key=lambda event: event.number, default=None)
