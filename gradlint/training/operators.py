"""Operators of Python where code trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gradlint.semantics.interpretation import Operand, Site
from gradlint.semantics.value import (
    Value,
)
from gradlint.training.backward_pass import divided
from gradlint.training.forms import of_operator, summed
from gradlint.training.values import (
    has_tensors,
    tensors,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts


def applied(facts: TrainingFacts, name: str, operands: tuple[Operand, ...], site: Site) -> Value:
    """Arithmetic on tensors, tests of everything else."""
    values = [operand.value for operand in operands]
    if not any(map(has_tensors, values)):
        return facts.symbols.operator(name, operands)
    if name in ("and", "or", "not", "is", "is_not", "in", "not_in"):
        return facts.symbols.fresh()
    plain = [value for value in values if not list(tensors(value))]
    mixed = replace(facts.mixed(values), form=of_operator(name, values), reduction=summed(name, values))
    if name in ("add", "iadd", "sub", "isub") and mixed.states and mixed.passes:
        facts.recorder.note(
            "keep",
            site,
            source=mixed.passes,
            states=mixed.states,
            is_certain=mixed.is_certain,
            settings={"loss": any(t.reduction for value in values for t in tensors(value))},
        )
    if name in ("truediv", "itruediv", "mul", "imul") and plain and mixed.is_divided is False:
        return divided(mixed)
    return mixed
