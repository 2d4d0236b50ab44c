"""What rules say about a call that initialises weights: its claim, its numbers in words, its places."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator

from gradlint.flow.counterfactual import Initialised
from gradlint.flow.faults import LEAST, Fault, Kind, Move
from gradlint.flow.model import Model
from gradlint.records.finding import Claim, Metric, Related
from gradlint.records.graph import Place
from gradlint.records.span import Span
from gradlint.rule.depth import name, times
from gradlint.rule.places import related, within


def blamed(
    model: Model, kind: Kind, described: Callable[[Fault], str]
) -> Iterator[tuple[Span, str, Claim, tuple[Related, ...]]]:
    """The calls of this kind: place in the model's file, message, claim and places beside it."""
    for fault in model.faults:
        if fault.kind is kind:
            first = fault.layers[0]
            span = within(model.graph, *fault.places, first.weight.made, first.node.made)
            message = f"{described(fault)} {_effect(fault.move)} over {_counted(fault)}"
            yield span, message, _claim(model, fault), _hit(model, fault)


def _claim(model: Model, fault: Fault) -> Claim:
    """That gradient or signal change as predicted between the two ends of what the call moves."""
    move = fault.move
    metric = Metric.DEPTH_GAIN if move.is_gradient else Metric.ACTIVATION_SCALE
    subject = f"{model.graph.name}:{name(move.first)}->{name(move.last)}"
    return Claim(metric, subject, LEAST * move.sign, move.value.centre, least=move.least * move.sign)


def _effect(move: Move) -> str:
    """What becomes of gradient or signal, in words and decades."""
    decades = move.value.centre
    what = "gradient" if move.is_gradient else "signal"
    grown, left = f"multiply the {what} by {times(abs(decades))}", f"leave {times(decades)} of the {what}"
    said = grown if move.sign > 0 else left
    return f"{said} ({decades:+.1f} decades)"


def _counted(fault: Fault) -> str:
    """How many layers a call initialises."""
    number = len({layer.weight.path for layer in fault.layers})
    return "a layer" if number == 1 else f"{number} layers"


def spread(fault: Fault) -> str:
    """The root mean square of the weights beside the one that keeps the scale, for the widest layer."""
    layer = max(fault.layers, key=lambda each: each.law.second.centre * each.fan_in * each.second)
    rms, right = math.sqrt(layer.law.second.centre), 1 / math.sqrt(layer.fan_in * layer.second)
    return f"weights of size {rms:.2g}, where {layer.fan_in:.0f} inputs ask for {right:.2g},"


def _hit(model: Model, fault: Fault) -> tuple[Related, ...]:
    """Calls that do the same, and the first and the last layer that are initialised so."""
    ends = [(fault.layers[0], "the first layer"), (fault.layers[-1], "the last layer")]
    main, *others = fault.places
    places: list[tuple[Place | None, str]] = [(place, "initialised alike") for place in others]
    places += [(layer.node.made or layer.weight.made, message) for layer, message in ends]
    return related(model.graph, [each for each in places if each[0] != main])


def gains(fault: Fault) -> str:
    """The gain that most layers are given beside the one that their activation asks for."""
    layer = Counter(_given(each) for each in fault.layers).most_common(1)[0][0]
    given, second, activation = layer
    what = activation or "no activation"
    return f"weights of gain {given:.2g}, where {what} asks for {1 / math.sqrt(second):.2g},"


def _given(layer: Initialised) -> tuple[float, float, str]:
    """Gain, E[φ²] and name of the activation."""
    return abs(layer.gain or 0.0), layer.second, layer.activation


def means(fault: Fault) -> str:
    """The mean of the weights beside their deviation."""
    law = fault.layers[0].law
    return f"weights of mean {law.mean.centre:.2g}, deviation {math.sqrt(law.variance.centre):.2g}"
