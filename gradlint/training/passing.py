"""Forward passes: a model is called, and gives a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.records.graph import Setting
from gradlint.semantics.interpretation import Arguments, Site
from gradlint.semantics.value import (
    Value,
)
from gradlint.training.models import is_optional
from gradlint.training.torch_calls import loss_of
from gradlint.training.values import (
    Module,
    Tensor,
    options,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts


def passed(
    facts: TrainingFacts,
    model: Value,
    arguments: Arguments,
    site: Site,
    name: str = "forward",
    about: Value | None = None,
) -> Tensor:
    """A model is called, or one of several (`about`) of which it is the first: its output."""
    loss = loss_of(facts, model, arguments, site) if isinstance(model, Module) else None
    if loss is not None:
        return loss
    given = facts.mixed(arguments.values())
    settings: dict[str, Setting] = {"method": name}
    if any(map(facts.models.keeps, options(model))):
        settings["keeps"] = True
    if given.states:
        settings |= facts.taken(arguments)
        settings["detaches"] = any(map(facts.models.detaches, options(model)))
        settings["is_optional"] = any(is_optional(each, settings.get("at")) for each in options(model))
    number = facts.recorder.note(
        "forward",
        site,
        (model if about is None else about,),
        source=given.passes,
        states=given.states,
        settings=settings,
        cut=given.cut,
    )
    if not facts.is_tracked:
        return Tensor(is_certain=not facts.is_aside, cut=given.cut | {number})
    return Tensor(given.passes | {number}, given.states, given.is_certain, cut=given.cut)
