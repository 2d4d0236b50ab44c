"""In which precision a training computes: which passes run in half, and which losses are scaled."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.records.graph import Setting
from gradlint.records.training import Event, Region
from gradlint.steps.loop import TrainingLoop

HALF = "torch.float16"
BRAIN = "torch.bfloat16"
_OFF = (False, "None")
_SCALING = ("step", "unscale")


def autocast_of(event: Event) -> Region | None:
    """The innermost autocast around an event; None where there is none, or one that is not known."""
    known = [region for region in event.regions if region.kind in ("autocast", "unknown")]
    return known[-1] if known and known[-1].kind == "autocast" else None


def computes_in(event: Event) -> Setting:
    """The type that autocast computes an event in where it is on; None where that is not known."""
    region = autocast_of(event)
    return None if region is None or region.settings["enabled"] in _OFF else region.settings["dtype"]


def is_always_on(event: Event) -> bool:
    """Whether the autocast around an event is known to be on."""
    region = autocast_of(event)
    return region is not None and region.settings["enabled"] is True


def passes(loop: TrainingLoop, backward: Event, optimizer: frozenset[int]) -> Iterator[Event]:
    """The forward passes behind a backward pass through which an optimizer's gradients go.

    What is computed without parameters of the optimizer gets no gradient that matters to it.
    """
    for number in backward.source:
        forward = loop.event(number)
        behind = [forward, *[loop.event(each) for each in forward.source]]
        if any(loop.computes(each, optimizer) for each in behind):
            yield forward


def unscaled_half(loop: TrainingLoop, optimizer: frozenset[int]) -> Iterator[tuple[Event, Region, Event]]:
    """The backward passes through float16 that no scaler has to do with, each with its autocast and the
    step that uses its gradients.
    """
    if is_stepped_by_another(loop, optimizer) or any(map(by_hand, loop.events("clip"))):
        return
    for backward in loop.events("backward"):
        half = _half_behind(loop, backward, optimizer)
        after = loop.after(backward, loop.about(optimizer, "step", "unscale", "escape"))
        steps = [loop.event(number) for number in sorted(after.events)]
        if half is not None and steps and all(is_own_step(step, optimizer) for step in steps):
            yield backward, half, steps[0]


def _half_behind(loop: TrainingLoop, backward: Event, optimizer: frozenset[int]) -> Region | None:
    """The autocast to float16 that a backward pass certainly leads an optimizer's gradients through.

    Where it may be off, code with a scaler somewhere is taken to know when.
    """
    is_told = backward.is_certain or backward.settings.get("sometimes")
    if backward.by or not is_told or not loop.fills(backward, optimizer):
        return None
    for forward in passes(loop, backward, optimizer):
        is_on = computes_in(forward) == HALF and (is_always_on(forward) or not has_scaler(loop))
        if is_on and _leads_to(loop, forward, backward, optimizer):
            return autocast_of(forward)
    return None


def _leads_to(loop: TrainingLoop, forward: Event, backward: Event, optimizer: frozenset[int]) -> bool:
    """Whether a backward pass comes first on every way on from a forward pass."""
    counts = loop.filling(optimizer), loop.about(optimizer, "step", "escape")
    return loop.after(forward, *counts).only(backward.number)


def is_stepped_by_another(loop: TrainingLoop, optimizer: frozenset[int]) -> bool:
    """Whether a scaler or a library may do an optimizer's steps, on some way at least."""
    return any(event.by and loop.concerns(event, optimizer) is not False for event in loop.events(*_SCALING))


def has_scaler(loop: TrainingLoop) -> bool:
    """Whether any scaler is used, or made."""
    return any(loop.role(thing.number) == "scaler" for thing in loop.training.things)


def is_own_step(event: Event, optimizer: frozenset[int]) -> bool:
    """Whether an optimizer steps by itself: no scaler does, and no object that holds it."""
    return event.kind == "step" and not event.by and event.things <= optimizer


def by_hand(event: Event) -> bool:
    """Whether gradients are changed by the code itself, which may undo a scale."""
    return event.kind == "clip" and (bool(event.by) or event.settings.get("form") not in CLIPPING)


CLIPPING = frozenset(
    {
        *("clip_grad_norm_", "clip_grad_norm", "clip_grad_value_", "clip_grad_value", "adaptive_clip_grad"),
        *("dispatch_clip_grad", "clamp_", "clip_", "clamp_min_", "clamp_max_", "zero_", "nan_to_num_"),
    }
)
"""Forms of clipping that do not undo a scale."""


def needlessly_scaled(loop: TrainingLoop, backward: Event) -> Region | None:
    """The autocast to bfloat16 behind a scaled loss, where nothing behind it is in float16."""
    scaled_by = [loop.thing(number) for number in backward.by]
    is_on = bool(scaled_by) and all(
        thing.kind == "scaler" and thing.settings.get("enabled", True) is True for thing in scaled_by
    )
    if not is_on or not backward.is_certain or any(True for _ in loop.events("half")):
        return None
    forwards = [loop.event(number) for number in backward.source]
    found = [autocast_of(forward) for forward in forwards if forward.regions]
    brain = [region for region in found if region is not None and region.settings["dtype"] == BRAIN]
    is_known = len(brain) == len([f for f in forwards if any(map(_may_cast, f.regions))])
    return brain[0] if brain and is_known else None


def _may_cast(region: Region) -> bool:
    return region.kind in ("autocast", "unknown")


def raises_under_autocast(loss: Event) -> bool:
    """Whether autocast refuses a loss: binary cross-entropy of probabilities, on a GPU."""
    region = autocast_of(loss)
    if region is None or region.settings["enabled"] is False:
        return False
    device = region.settings["device"]
    is_gpu = device in GPUS or (device is None and region.settings["dtype"] == HALF)
    return is_gpu and loss.settings["loss"] == "binary_cross_entropy"


GPUS = frozenset({"cuda", "xpu", "mps"})
"""The devices whose autocast refuses some functions."""
