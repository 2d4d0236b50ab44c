"""The layers of a run, each with what was predicted of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from gradlint.flow.propagate import GradientFlow
from gradlint.mathematics.interval import Interval
from gradlint.records.evidence import LayerFlow
from gradlint.verify.pooled import shares
from gradlint.verify.worker.protocol import Layer

_VAGUE = 1.0
"""From this width on, in decades, a prediction is none."""


def layers(flow: GradientFlow | None, run: Sequence[Layer]) -> Iterator[LayerFlow]:
    """The layers that ran, with what was predicted of each, call by call."""
    predicted = _predicted(flow, run) if flow is not None else {}
    zero = _reference(run, predicted)
    calls: dict[str, int] = defaultdict(int)
    for layer in run:
        known = predicted.get(layer.module, [])
        number = calls[layer.module]
        calls[layer.module] += 1
        line, scale, gradient = known[number] if number < len(known) else (layer.line, None, None)
        own = layer.gradient - zero if layer.gradient is not None and zero is not None else None
        yield LayerFlow(layer.module, layer.kind, line, scale, layer.scale, gradient, own)


def _predicted(
    flow: GradientFlow, run: Sequence[Layer]
) -> dict[str, list[tuple[int, float | None, float | None]]]:
    """Line, scale and gradient of every call of a module, by its path; pooling distributes as it did."""
    gradients = flow.distributed(shares(flow, run))
    found: dict[str, list[tuple[int, float | None, float | None]]] = defaultdict(list)
    for node in flow.graph.nodes:
        if node.module:
            place = node.made or node.place
            line = place.span.line if place is not None else 0
            scale = flow.moments[node.number].second.sqrt.decades
            found[node.module].append((line, _known(scale), _known(gradients[node.number])))
    return found


def _known(found: Interval) -> float | None:
    """The middle of what is predicted, where that says something."""
    return found.centre if found.is_finite and found.hi - found.lo < _VAGUE else None


def _reference(
    run: Sequence[Layer], predicted: dict[str, list[tuple[int, float | None, float | None]]]
) -> float | None:
    """The measured gradient where the predicted one is 0 decades: at the last layer with weights."""
    zeros = {path for path, calls in predicted.items() if any(gradient == 0.0 for _, _, gradient in calls)}
    at_zero = [layer.gradient for layer in run if layer.module in zeros and layer.gradient is not None]
    found = at_zero or [layer.gradient for layer in run if layer.gradient is not None]
    return found[-1] if found else None
