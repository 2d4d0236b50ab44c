"""Training that is switched off: by a block without gradients, by evaluation mode, by frozen parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gradlint.records.training import Event, Region, Thing
from gradlint.steps.gradients import Gradients, gradients_of
from gradlint.steps.loop import TrainingLoop
from gradlint.steps.ways import Outcome

_UNTRACKED = frozenset({"no_grad", "inference_mode"})
_MODAL_LAYERS = (
    *("BatchNorm", "LazyBatchNorm", "SyncBatchNorm", "InstanceNorm", "LazyInstanceNorm", "RReLU"),
    *("Dropout", "AlphaDropout", "FeatureAlphaDropout", "Transformer", "MultiheadAttention"),
    *("RNN", "LSTM", "GRU"),
)
"""Layers that may do something else in evaluation mode than in training."""

_CONTAINERS = frozenset({"Sequential", "ModuleList", "ModuleDict"})

_MODAL = ("batch_norm", "dropout", "instance_norm", "alpha_dropout")


class Disabled(NamedTuple):
    """Where training is switched off, how, and what shows it."""

    event: Event
    reason: str
    ends: tuple[tuple[Event, str], ...]


def disabled_in(loop: TrainingLoop) -> Iterator[Disabled]:
    """What certainly keeps a loop from training, or from training in the mode that it begins in."""
    for of in gradients_of(loop):
        yield from _untracked(of)
        yield from _switched_off(of)
        yield from _evaluating(of)
        yield from _frozen(of)


def _untracked(of: Gradients) -> Iterator[Disabled]:
    """A loss comes from the optimizer's models by passes without gradients alone."""
    loop, owners = of.loop, of.loop.owners(of.optimizer)
    for backward in loop.events("backward") if owners and not _trains_tensors(loop) else ():
        passes = [loop.event(number) for number in sorted(backward.cut)]
        models = {number for each in passes for number in each.things}
        is_all = all(any(loop.is_same(owner, model) for model in models) for owner in owners or ())
        is_cut = passes and not backward.source and backward.is_certain and not backward.states
        if is_cut and is_all and all(_is_untracked(each) for each in passes):
            reason = "the forward pass runs without gradients, and the loss has none to pass back"
            yield Disabled(passes[0], reason, ((backward, "passed back here"),))


def _switched_off(of: Gradients) -> Iterator[Disabled]:
    """Gradients are switched off behind the trained pass of an iteration, and stay so into the next."""
    loop = of.loop
    passes = {n: loop.event(n) for each in of.used().values() for n in each.source}
    for off in loop.events("gradients"):
        if off.settings.get("enabled") is not False or any(map(_decides_gradients, off.regions)):
            continue
        again = of.around(off, passes.values(), lambda e: e.kind in _SWITCHING or e.number in passes)
        trained = [passes[number] for number in sorted(again.events & passes.keys())]
        if again.only(*passes) and not any(_decides_gradients(r) for each in trained for r in each.regions):
            reason = "gradients are not switched on again: the next iteration trains nothing"
            yield Disabled(off, reason, ((trained[0], "trains here"),))


_SWITCHING = frozenset({"gradients", "escape"})


def _decides_gradients(region: Region) -> bool:
    """Whether a block may switch gradients on or off, which ends with it."""
    return region.kind == "unknown" or region.kind.endswith(("grad", "mode"))


def _trains_tensors(loop: TrainingLoop) -> bool:
    """Whether an optimizer holds what no pass calls: a tensor, that a loss may be computed of directly."""
    called = {number for event in loop.events("forward") for number in event.things}
    held = {number for optimizer in loop.optimizers for number in loop.owners(optimizer) or ()}
    return any(loop.thing(number).kind == "object" for number in held - called)


def _is_untracked(event: Event) -> bool:
    modes = [region.kind for region in event.regions if region.kind.endswith(("grad", "mode"))]
    return bool(modes) and modes[-1] in _UNTRACKED


def _evaluating(of: Gradients) -> Iterator[Disabled]:
    """Evaluation mode begins behind the trained pass of an iteration, and lasts into the next."""
    loop = of.loop
    trained = {n: loop.event(n) for each in of.used().values() for n in each.source}
    for mode in loop.events("eval"):
        passes = {n: e for n, e in trained.items() if _is_about(loop, e, mode)}
        if passes and all(_has_modes(loop, loop.thing(number)) for number in mode.things):
            again = _again(of, mode, passes)
            if again is not None:
                reason = "evaluation mode is not left again: all but the first iteration train in it"
                yield Disabled(mode, reason, ((again, "trains here"),))


def _again(of: Gradients, mode: Event, passes: dict[int, Event]) -> Event | None:
    """The trained pass to which every way around a loop leads from evaluation mode on, where the first
    iteration reaches it in training mode.
    """
    loop = of.loop
    changes = ("train", "escape", "set")
    again = of.around(mode, passes.values(), lambda e: e.kind in changes or e.number in passes)
    trained = passes[min(passes)]
    first = loop.before(trained, lambda e: e.kind in ("train", "eval") and _may_be_about(loop, trained, e))
    is_left = not again.only(*passes) or not first.events <= {mode.number} | _trains(loop)
    return None if is_left or not _begins(loop, first) else passes[min(again.events)]


def _trains(loop: TrainingLoop) -> set[int]:
    return {event.number for event in loop.events("train")}


def _begins(loop: TrainingLoop, first: Outcome) -> bool:
    """Whether the first iteration trains in training mode."""
    return first.ends or bool(first.events & _trains(loop))


def _is_about(loop: TrainingLoop, forward: Event, mode: Event) -> bool:
    return any(loop.is_same(one, other) for one in forward.things for other in mode.things)


def _may_be_about(loop: TrainingLoop, forward: Event, mode: Event) -> bool:
    return any(loop.is_same(one, other) is not False for one in forward.things for other in mode.things)


def _has_modes(loop: TrainingLoop, model: Thing) -> bool:
    """Whether a model may do something else in evaluation mode than in training."""
    graph = loop.graphs(model)
    if graph is not None:
        return any(node.op.startswith(_MODAL) for node in graph.nodes)
    kind = model.type.rpartition(".")[2] if model.type.startswith("torch.nn.") else ""
    parts = [part for part in map(loop.thing, model.parts) if part.kind == "model"]
    if kind in _CONTAINERS and parts:
        return any(_has_modes(loop, part) for part in parts)
    return not kind or kind in _CONTAINERS or kind.startswith(_MODAL_LAYERS)


def _frozen(of: Gradients) -> Iterator[Disabled]:
    """Every parameter that the optimizer holds is frozen when the loss is passed back."""
    loop = of.loop
    changes = ("freeze", "thaw", "replace", "add", "escape", "set", "make")
    for backward in of.used().values():
        last = loop.before(backward, lambda e: e.kind in changes)
        freezes = [n for n in last.events if _freezes_all(of, loop.event(n))]
        if freezes and last.only(*freezes) and not last.ends:
            reason = "every parameter that the optimizer holds is frozen"
            yield Disabled(loop.event(max(freezes)), reason, ((backward, "trained here"),))


def _freezes_all(of: Gradients, event: Event) -> bool:
    """Whether an event freezes all that the optimizer holds."""
    owners = of.loop.owners(of.optimizer)
    things = [of.loop.thing(number) for number in event.things]
    frozen = {owner for thing in things if thing.is_whole for owner in thing.owners or ()}
    inside = frozen.union(*[of.loop.thing(owner).parts for owner in frozen])
    return event.kind == "freeze" and bool(owners) and owners is not None and owners <= inside
