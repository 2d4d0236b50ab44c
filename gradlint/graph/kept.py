"""Attributes that hand the graph of one forward pass on to the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gradlint.graph.recorder import Recorder
from gradlint.graph.values import signals
from gradlint.semantics.value import Instance, Value

_CUTS = frozenset(
    {
        *("detach", "unknown", "join", "repeat", "argmax", "round", "sign", "floor", "compare", "one_hot"),
        "cast_int",
    }
)

Attributes = list[tuple[Instance, dict[str, Value]]]


def attributes(parts: Iterable[Value]) -> Attributes:
    """The attributes of a model's parts as they are now."""
    return [(part, dict(part.attributes)) for part in parts if isinstance(part, Instance)]


def written(before: Attributes) -> dict[str, frozenset[int]]:
    """The attributes to which tensors were written since, each with the nodes that it holds."""
    return {
        name: frozenset([signal.number for signal in signals(value)])
        for part, old in before
        for name, value in part.attributes.items()
        if value is not old.get(name) and next(signals(value), None) is not None
    }


def used(recorder: Recorder, outputs: Sequence[int], held: dict[str, frozenset[int]]) -> Iterator[str]:
    """The attributes that the outputs of a later pass hang on by a gradient."""
    behind = set(_behind(recorder, outputs))
    for name, numbers in held.items():
        if numbers & behind and any(_is_trained(recorder, number) for number in _behind(recorder, numbers)):
            yield name


def _behind(recorder: Recorder, numbers: Iterable[int]) -> Iterator[int]:
    """Nodes and what gradients from them reach."""
    pending, seen = list(numbers), set[int]()
    while pending:
        number = pending.pop()
        if number not in seen and recorder.nodes[number].op not in _CUTS:
            seen.add(number)
            yield number
            pending.extend(recorder.nodes[number].inputs)


def _is_trained(recorder: Recorder, number: int) -> bool:
    return any(parameter.is_trained for parameter in recorder.nodes[number].parameters.values())
