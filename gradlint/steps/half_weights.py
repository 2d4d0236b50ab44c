"""Weights that are float16 while an optimizer changes them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from msgspec import Struct

from gradlint.mathematics.half import is_lost
from gradlint.records.training import Event, Thing
from gradlint.steps.loop import TrainingLoop

_EPSILONS = {"Adam": 1e-8, "AdamW": 1e-8, "NAdam": 1e-8, "RMSprop": 1e-8}
"""What these optimizers of torch add to the root of the mean squared gradient that they divide by."""

FINE = 1e-4
"""The rate up to which Adam and its kin lose a third of their steps and more in float16."""

_CHANGING = ("widen", "freeze", "replace", "add")


class HalfWeights(Struct, frozen=True):
    """Where the weights become float16, what changes them, and the first step that does.

    `epsilon` is what the optimizer divides by at least, None for one that does not divide in float16, as
    torch's fused kernels compute in float32. `is_coarse` says that its steps are large enough for float16.
    """

    half: Event
    optimizer: Thing
    step: Event
    epsilon: float | None
    is_coarse: bool

    @property
    def is_harmful(self) -> bool:
        """Whether steps are lost, divided by zero, or refused by a scaler."""
        return not self.is_coarse or self.divides_by_zero or self.is_refused

    @property
    def is_refused(self) -> bool:
        """Whether a gradient scaler takes the step, which takes no gradients in float16."""
        return bool(self.step.by)

    @property
    def divides_by_zero(self) -> bool:
        """Whether float16 has no number for what the optimizer divides by at least."""
        return self.epsilon is not None and is_lost(self.epsilon)


def half_weights(loop: TrainingLoop, optimizer: frozenset[int]) -> Iterator[HalfWeights]:
    """The changes to float16 of models of which an optimizer of torch then changes all parameters."""
    held = _held(loop, optimizer)
    if held is None:
        return
    for half in loop.events("half"):
        if not half.things <= set(held.owners or ()) or not _is_trained(loop, half, optimizer):
            continue
        after = loop.after(half, loop.about(optimizer, "step", "escape"), partial(_changes, half))
        steps = [loop.event(number) for number in sorted(after.events)]
        found = HalfWeights(half, held, steps[0], _epsilon(held), _is_coarse(held)) if steps else None
        if found is not None and found.is_harmful and all(_is_plain(loop, step, optimizer) for step in steps):
            yield found


def _held(loop: TrainingLoop, optimizer: frozenset[int]) -> Thing | None:
    """An optimizer of torch that holds all parameters of models that are known; None for another."""
    thing = loop.thing(min(optimizer))
    is_known = len(optimizer) == 1 and thing.type.startswith("torch.optim.") and thing.is_whole
    return thing if is_known and thing.owners else None


def _is_trained(loop: TrainingLoop, half: Event, optimizer: frozenset[int]) -> bool:
    """Whether a loss that fills the optimizer's gradients comes from this model."""
    return any(
        loop.fills(backward, optimizer) and any(loop.event(n).things & half.things for n in backward.source)
        for backward in loop.events("backward")
    )


def _changes(half: Event, event: Event) -> bool:
    """Whether an event makes the weights something else than the whole model in float16."""
    return event.kind in _CHANGING and bool(event.things & half.things)


def _is_plain(loop: TrainingLoop, event: Event, optimizer: frozenset[int]) -> bool:
    """Whether an event is a step of the optimizer itself, or of a gradient scaler with it."""
    is_scaled = all(loop.role(number) == "scaler" for number in event.by)
    return event.kind == "step" and is_scaled and event.things <= optimizer


def _is_coarse(optimizer: Thing) -> bool:
    """Whether the steps of an optimizer are of the size of its rate, and that is not a small one."""
    rate = optimizer.settings.get("lr")
    is_small = isinstance(rate, float | int) and rate <= FINE
    return optimizer.type.rpartition(".")[2] in _EPSILONS and not is_small


def _epsilon(optimizer: Thing) -> float | None:
    if optimizer.settings.get("fused", False) not in (False, "None"):
        return None
    default = _EPSILONS.get(optimizer.type.rpartition(".")[2])
    given = optimizer.settings.get("eps", default)
    return float(given) if isinstance(given, (int, float)) else None
