"""One measurement per metric of a claim: each takes a subject and a place in it, and gives a number.

Units are those of claims: decades for gains and scales, shares from 0 to 1, fan_in · Var(w) for variances.
A place that the run does not come past raises `NotExercisedError`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .observe import Call, Run, observe
from .otherwise import trained_otherwise
from .subject import Subject


class NotExercisedError(Exception):
    """The run did not come past the place that a claim is about."""


class NoGradientError(NotExercisedError):
    """No gradient is at layers with weights as the model is made: a step of descent may bring it there."""


def _calls(run: Run, name: str) -> list[Call]:
    if not run.calls.get(name):
        raise NotExercisedError(f"nothing is computed at {name or 'the model'} in this run")
    return run.calls[name]


def ends(subject: Subject, name: str) -> tuple[str, str]:
    """The first and the last place of a chain; of the longest there is where none is named.

    That is taken to go through the layers with weights in the order of their calls, the head left out.
    A model at whose first layer a gradient of 0 arrives as it is made is judged after steps of descent.
    """
    first, _, last = name.partition("->")
    if name:
        return first, last
    held = [(path, p) for path, p in subject.model().named_parameters() if not nn.parameter.is_lazy(p)]
    weighted = {path.rpartition(".")[0] for path, p in held if p.dim() > 1}
    ran = [(path, c) for path, c in subject.run().order if path in weighted]
    reached = [(path, c) for path, c in ran if c.arrived or c.beside]
    if ran and not reached and not subject.run().outputs:
        raise NoGradientError("no result of the model carries a gradient")
    order = [path for path, call in reached if (call.joined or call).delta]
    is_silent = bool(reached) and not reached[0][1].delta and not subject.updates
    if len(reached) > 2 and (is_silent or len(order) < 3):
        raise NoGradientError("the gradient is 0 at the layers with weights before the head")
    if len(order) < 3:
        raise NotExercisedError("fewer than two layers with weights before the head")
    return order[0], order[-2]


def depth_gain(subject: Subject, name: str) -> float:
    """log10 ‖δ_first‖/‖δ_last‖, in decades.

    Where no chain is named, δ_last of a residual branch is that of the sum that it goes into.
    """
    first, last = ends(subject, name)
    run = subject.run()
    end = _calls(run, last)[-1]
    below = end.joined if end.joined is not None and not name else end
    return log10_ratio(_calls(run, first)[0].delta, below.delta)


def activation_scale(subject: Subject, name: str) -> float:
    """log10 of the root mean square of the last output over that of the first.

    Where that of the stream is asked for, the sum that the last output is added to counts in its place.
    """
    first, last = ends(subject, name)
    run = subject.run()
    end = _calls(run, last)[-1]
    if subject.follows_stream and end.joined is not None:
        end = end.joined
    return log10_ratio(end.rms, _calls(run, first)[0].rms)


def saturation(subject: Subject, name: str) -> float:
    """The largest saturated share among the activations in a module."""
    found = subject.run(subject.many, counts_units=True).saturation
    inside = [share for path, share in found if path == name or not name or path.startswith(f"{name}.")]
    if not inside:
        raise NotExercisedError(f"no saturating activation runs in {name or 'the model'}")
    return max(inside)


def dead_units(subject: Subject, name: str) -> float:
    """The share of a rectifier's units, or of a layer's before one, that no sample of many wakes."""
    found = subject.run(subject.many, counts_units=True)
    rectified = [share for path, share in found.rectified if path == name]
    return max(rectified) if rectified else _calls(found, name)[0].starved


def unique_gradient_rows(subject: Subject, name: str) -> float:
    """The share of different rows of a weight's gradient, after two steps of gradient descent."""
    with subject.set_up():
        return unique_rows(stepped(subject), name)


def stepped(subject: Subject, steps: int = 2) -> nn.Module:
    """The model with gradients, after steps along them."""
    model = subject.descended(steps)
    observe(model, *subject.inputs())
    return model


def unique_rows(model: nn.Module, name: str) -> float:
    """The share of different rows in a weight's gradient, compared to four digits of the largest entry."""
    gradient = _parameter(model, name).grad
    if gradient is None:
        raise NotExercisedError(f"no gradient arrives at {name}")
    rows = gradient.flatten(1)
    scaled = (rows / rows.abs().max().clamp_min(torch.finfo(rows.dtype).tiny) * 1e4).round()
    return len(torch.unique(scaled, dim=0)) / len(rows)


def _parameter(model: nn.Module, name: str) -> torch.Tensor:
    """A parameter, or what a layer computes of others in its place."""
    owner, _, attribute = name.rpartition(".")
    with contextlib.suppress(AttributeError):
        found = getattr(model.get_submodule(owner), attribute)
        if isinstance(found, torch.Tensor):
            return found
    raise NotExercisedError(f"the model holds no parameter {name}")


def gradient_arrives(subject: Subject, name: str) -> float:
    """1 where a gradient that is not all zero arrives at a parameter, or at any, in two steps."""
    with subject.set_up():
        named = dict(stepped(subject).named_parameters())
    if name == "parameters":
        return sum(p.grad is not None and bool(p.grad.any()) for p in named.values()) / max(len(named), 1)
    gradients = [p.grad for path, p in named.items() if name in ("", path)]
    if not gradients:
        raise NotExercisedError(f"the model holds no parameter {name}".rstrip())
    arrives = any(gradient is not None and bool(gradient.any()) for gradient in gradients)
    if not arrives and trained_otherwise(subject, [name]):
        raise NotExercisedError(f"{name} is trained otherwise: by forward itself, or behind an estimator")
    return float(arrives)


@contextmanager
def _filled_memory() -> Iterator[None]:
    """torch fills memory that it hands out as it is with nan.

    `torch.use_deterministic_algorithms` would import the compiler first, which takes more than a second.
    """
    before = torch.are_deterministic_algorithms_enabled()
    _set_deterministic(True)
    try:
        yield
    finally:
        _set_deterministic(before)


_set_deterministic = torch._C._set_deterministic_algorithms


def weight_variance(subject: Subject, name: str) -> float:
    """fan_in · Var(w); infinite where nothing wrote some of the memory, which torch fills for this."""
    with subject.set_up(), _filled_memory():
        weight = _parameter(subject.model(), name).detach()
    if not weight.isfinite().all():
        return math.inf
    return float(weight.var()) * (weight[0].numel() if weight.dim() > 1 else 1)


def recurrent_gain(subject: Subject, name: str) -> float:
    """log10 ‖∂L/∂h_first‖/‖∂L/∂h_last‖ over the steps of a recurrent layer."""
    with subject.set_up():
        model = subject.model()
        states = unrolled(model.get_submodule(name)) if name in dict(model.named_modules()) else []
        run = observe(model, *subject.inputs())
    deltas = [math.hypot(*[part.delta for part in state]) for state in states]
    deltas = deltas or [call.delta for call in _calls(run, name)]
    return log10_ratio(deltas[0], deltas[-1])


def unrolled(module: nn.Module) -> list[list[Call]]:
    """Let a recurrent layer run step by step from now on; the states that it will have passed on.

    The last layer's state of a step is the very tensor that is its output.
    """
    states: list[list[Call]] = []
    if not isinstance(module, nn.RNNBase):
        return states
    whole, axis = type(module).forward, 1 if module.batch_first else 0

    def forward(x: Any, state: Any = None) -> Any:
        outputs = []
        for part in x.split(1, axis):
            y, state = whole(module, part, state)
            below, *cells = state if isinstance(state, tuple) else (state,)
            states.append([Run().call(t) for t in (y, below[:-1], *cells) if t.numel()])
            hidden = torch.cat([below[:-1], y.transpose(0, axis)])
            state = (hidden, *cells) if cells else hidden
            outputs.append(y)
        return torch.cat(outputs, axis), state

    module.forward = forward
    return states


def registered_parameters(subject: Subject, name: str) -> float:
    """How many of the parameters in an attribute the model itself knows of."""
    with subject.set_up():
        model = subject.model()
    inside = list(_parameters_in(getattr(model, name, None)))
    if not inside:
        raise NotExercisedError(f"the attribute {name} holds no parameters")
    known = {id(p) for p in model.parameters()}
    return float(sum(id(p) in known for p in inside))


def _parameters_in(value: Any) -> Iterator[torch.Tensor]:
    """The parameters in modules and collections, as deep as they are nested."""
    if isinstance(value, nn.Module):
        yield from value.parameters()
    elif isinstance(value, nn.Parameter):
        yield value
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            yield from _parameters_in(item)
    elif isinstance(value, dict):
        yield from _parameters_in(list(value.values()))


def log10_ratio(above: float, below: float) -> float:
    """Decades between two sizes; infinite where one of them is 0, nan where both are."""
    if not above or not below:
        return -math.inf if below else math.inf if above else math.nan
    return math.log10(above) - math.log10(below)


METRICS: dict[str, Callable[[Subject, str], float]] = {
    "depth-gain": depth_gain,
    "activation-scale": activation_scale,
    "saturation": saturation,
    "dead-units": dead_units,
    "unique-gradient-rows": unique_gradient_rows,
    "weight-variance": weight_variance,
    "recurrent-gain": recurrent_gain,
    "gradient-arrives": gradient_arrives,
    "registered-parameters": registered_parameters,
}
WITHOUT_INPUTS = frozenset({"registered-parameters", "weight-variance"})
"""The metrics for which nothing is run."""
SHARES = frozenset({"saturation", "dead-units", "unique-gradient-rows", "gradient-arrives"})
