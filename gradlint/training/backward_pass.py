"""Backward passes, from a loss or by an object that makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gradlint.semantics.interpretation import Arguments, Site, known
from gradlint.semantics.value import Known, Value
from gradlint.training.configuration import half_of
from gradlint.training.settings import arguments_of
from gradlint.training.stepping import Result
from gradlint.training.values import (
    Tensor,
    Tool,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts


def backward(
    facts: TrainingFacts, loss: Value, arguments: Arguments, site: Site, by: Value | None = None
) -> Value:
    """A backward pass from a loss, or several."""
    mixed = facts.mixed((loss,))
    scaled = () if mixed.scaled is None else (mixed.scaled,)
    settings = arguments_of(arguments, ("gradient", "retain_graph", "create_graph"))
    settings["divided"] = mixed.is_divided
    if isinstance(by, Tool) and half_of(facts, by) == "torch.float16":
        settings["scales"] = True
    settings["sometimes"] = mixed.is_sometimes and not mixed.is_certain
    settings["form"] = loss.form if isinstance(loss, Tensor) else ""
    if mixed.scaled is not None:
        settings["scaled"] = True
    settings["reduction"] = loss.reduction if isinstance(loss, Tensor) else None
    facts.recorder.note(
        "backward",
        site,
        () if isinstance(loss, Tensor) else (loss,),
        source=mixed.passes,
        by=scaled if by is None else (by,),
        is_certain=mixed.is_certain and isinstance(loss, Tensor),
        states=mixed.states,
        settings=settings,
        cut=mixed.cut,
    )
    return Known(None)


def by_method(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`loss.backward()`, `accelerator.backward(loss)`, `self.manual_backward(loss)`."""
    loss = arguments.get(0, "loss") or arguments.get(0, "tensor")
    if loss is None or known(loss) is not None:
        return backward(facts, value, arguments, site)
    return backward(facts, loss.value, Arguments((), arguments.keywords), site, value)


def divided(value: Tensor) -> Tensor:
    """A tensor after multiplication with a number."""
    return replace(value, is_divided=True)
