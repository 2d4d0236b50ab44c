"""Learning rates that are beyond what an optimizer's steps can bear."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from math import prod, sqrt
from typing import NamedTuple

from gradlint.records.training import Event, Thing, is_default
from gradlint.steps.gradients import Gradients
from gradlint.steps.known import is_descent

_ADAPTIVE = (
    *("Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop"),
    *("FusedAdam", "Adam8bit", "AdamW8bit"),
)
_MOST = dict.fromkeys(_ADAPTIVE, 0.1) | {"SGD": 10.0, "ASGD": 10.0}
"""From which rate on a step is too long, by kinds of optimizers: a hundred times what is usual."""


class Hasty(NamedTuple):
    """What an optimizer may be that steps a network too far, its rate, and where it steps."""

    optimizer: Thing
    rate: float
    step: Event


def hasty(of: Gradients) -> Iterator[Hasty]:
    """The optimizers that certainly step a network too far, wherever they are chosen.

    A rate by default, where one of several optimizers is chosen, may be that of another.
    """
    for optimizer in map(of.loop.thing, sorted(of.optimizer)) if of.steps and not _is_scheduled(of) else ():
        rate, is_chosen = _rate(optimizer), len(of.optimizer) > 1 and is_default(optimizer.settings, "lr")
        if rate is not None and not is_chosen and not _is_bounded(of, optimizer) and _is_network(of, rate):
            yield Hasty(optimizer, rate, of.steps[min(of.steps)])


def _rate(optimizer: Thing) -> float | None:
    """A learning rate that is too high for the kind of optimizer; None for others."""
    rate = optimizer.settings.get("lr")
    most = _MOST.get(optimizer.type.rpartition(".")[2])
    if most is None or isinstance(rate, bool) or not isinstance(rate, (int, float)):
        return None
    return float(rate) if rate >= most else None


def _is_network(of: Gradients, rate: float) -> bool:
    """Whether the optimizer holds a model with several layers of weights, each behind another, of which one
    at least begins with weights that a few steps at this rate replace.
    """
    held = of.loop.owners(of.optimizer) or ()
    for network in [each for owner in held for each in (owner, *of.loop.called_within(owner))]:
        layers = [shape for shape in _weights(of, network) if len(shape) >= 2]
        if len(layers) >= 3 and any(map(partial(_is_replaced, rate), layers)):
            return True
    return False


def _weights(of: Gradients, owner: int) -> Iterator[Sequence[int | None]]:
    """The shapes of the trained parameters of a model, outputs first: by its graph, or by its layers."""
    model = of.loop.thing(owner)
    graph = of.loop.graphs(model)
    if graph is not None:
        yield from (p.shape or () for p in graph.parameters if p.is_trained)
    elif model.type == "torch.nn.Sequential" and not _is_frozen(of, owner):
        parts = [of.loop.thing(number) for number in sorted(model.parts)]
        yield from (_shape(part) for part in parts if part.type in _LAYERS)


_LAYERS = {
    "torch.nn.Linear": 0,
    "torch.nn.Conv1d": 1,
    "torch.nn.Conv2d": 2,
    "torch.nn.Conv3d": 3,
}
"""Layers with a weight, and in how many dimensions they go along what they are given."""


def _shape(layer: Thing) -> list[int | None]:
    """The shape of a layer's weight, as far as its arguments say."""
    told = layer.settings
    inputs = told.get("(0)", told.get("in_channels", told.get("in_features")))
    width = told.get("(2)", told.get("kernel_size"))
    extent = [width if isinstance(width, int) else None] * _LAYERS[layer.type]
    return [None, inputs if isinstance(inputs, int) else None, *extent]


def _is_frozen(of: Gradients, owner: int) -> bool:
    """Whether some of a model's parameters may not be trained."""
    return any(of.loop.is_same(owner, n) is not False for e in of.loop.events("freeze") for n in e.things)


def _is_replaced(rate: float, shape: Sequence[int | None]) -> bool:
    """Whether a step of about the rate is half as long as the weights of a layer, 1/√n for n inputs, or more;
    true where their number is not known.
    """
    inputs = [size for size in shape[1:] if size is not None]
    return len(inputs) < len(shape) - 1 or rate * sqrt(prod(inputs)) >= 0.5


def _is_bounded(of: Gradients, optimizer: Thing) -> bool:
    """Whether clipping may bound the steps, as it does where these are as long as the gradient."""
    return is_descent(optimizer.type) and of.loop.may_bound(of.optimizer)


def _is_scheduled(of: Gradients) -> bool:
    """Whether the rate may change: by a schedule, or by code that is not known."""
    schedules = any(of.loop.events("schedule")) or any(t.kind == "scheduler" for t in of.loop.training.things)
    return schedules or any(map(of.about("escape"), of.loop.events("escape")))
