"""What rules say of steps behind which no gradient comes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from gradlint.flow.model import Model
from gradlint.records.finding import Claim, Metric, Related
from gradlint.records.graph import Parameter, Severed
from gradlint.rule.places import related

READING = frozenset({"detach", "item", "tolist", "numpy"})
"""Operations that take the numbers out of a tensor and leave its history behind."""


def severed(model: Model, reading: bool) -> Iterator[Severed]:
    """The steps in the model's own file that lose the gradient whatever its settings are.

    With `reading` those that drop the history of a tensor, else those that have no derivative.
    """
    for each in model.graph.severed:
        is_own = each.place.path == model.graph.place.path
        if is_own and not each.is_optional and (each.op in READING) == reading:
            yield each


def no_gradient(model: Model, parameter: Parameter) -> Claim:
    """That a backward pass from all that the model returns leaves a parameter without a gradient."""
    return Claim(Metric.GRADIENT_ARRIVES, f"{model.graph.name}:{parameter.path}", 0.0, 0.0)


def named(parameters: Sequence[Parameter]) -> str:
    """The first of some parameters, and how many more there are."""
    more = len(parameters) - 1
    rest = f" and {more} more parameter{'s' if more > 1 else ''}" if more else ""
    return f"{parameters[0].path}{rest}"


def made(model: Model, parameters: Collection[Parameter]) -> tuple[Related, ...]:
    """Where the first few of some parameters are made."""
    places = dict.fromkeys(parameter.made for parameter in parameters)
    return related(model.graph, [(place, "gets no gradient") for place in list(places)[:3]])
