"""Values that are one of several: what calling one does, and what is known of any of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradlint.semantics.interpretation import Arguments, Site
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Instance,
    Known,
    Partial,
    Reference,
    Value,
)
from gradlint.training.methods import call_method
from gradlint.training.values import (
    Bound,
    Context,
    Either,
    Module,
    Optimizer,
    Parameters,
    Scaler,
    Scheduler,
    Symbol,
    Tensor,
    options,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts


CALLED = (Closure, ClassObject, Instance, Reference, Partial, Bound)


_SINGLE = (Optimizer, Scaler, Scheduler, Module, Symbol, Parameters, Context)


def of_options(facts: TrainingFacts, value: Either, name: str, arguments: Arguments, site: Site) -> Value:
    """Each of two objects in turn, where a test says which; None has no methods."""
    alike = {type(option) for option in options(value)}
    if name == "__call__" and alike & set(CALLED):
        return _called_either(facts, value, arguments, site)
    if len(value.options) != 2 or value.test is None or (len(alike) == 1 and alike <= set(_SINGLE)):
        return _of_first(facts, value, name, arguments, site)
    facts.recorder.order.chooses(value.test)
    results = []
    for position, option in enumerate(value.options):
        facts.recorder.order.takes(position)
        if isinstance(option, Known) and option.value is None:
            facts.recorder.order.leaves("raise")
            continue
        results.append(facts.method_of(option, name, arguments, site))
    facts.recorder.order.chosen()
    facts.merging = value.test if len(results) == 2 else None
    result = facts.evaluator.join(results) if results else facts.symbols.fresh()
    facts.merging = None
    return value if name.endswith("_") else result


def _called_either(facts: TrainingFacts, value: Either, arguments: Arguments, site: Site) -> Value:
    """One of several functions is called."""
    facts.recorder.order.chooses(value.test if len(value.options) == 2 else None)
    results = []
    for position, option in enumerate(value.options):
        facts.recorder.order.takes(position)
        results.append(facts.method_of(option, "__call__", arguments, site))
    facts.recorder.order.chosen()
    facts.merging = value.test if len(results) == 2 else None
    result = facts.evaluator.join(results)
    facts.merging = None
    return result


def _of_first(facts: TrainingFacts, value: Either, name: str, arguments: Arguments, site: Site) -> Value:
    first = next(options(value))
    return call_method(facts, first, name, arguments, site, about=value)


def joined(values: Sequence[Tensor]) -> Tensor | None:
    """What is known of one of several tensors; None where they bear different scales."""
    first, *others = values
    if any(other.scaled is not first.scaled for other in others):
        return None
    divided = {value.is_divided for value in values}
    return Tensor(
        frozenset().union(*[value.passes for value in values]),
        frozenset().union(*[value.states for value in values]),
        all(value.is_certain and bool(value.passes) == bool(first.passes) for value in values),
        divided.pop() if len(divided) == 1 else None,
        first.scaled,
        first.gradient if all(value.gradient is not None for value in values) else None,
        first.reduction if all(value.reduction == first.reduction for value in values) else "",
        frozenset().union(*[value.cut for value in values]),
        first.form if all(value.form == first.form for value in values) else "",
        all(value.is_certain or value.is_sometimes for value in values) and not any(map(_is_cut, values)),
    )


def _is_cut(value: Tensor) -> bool:
    """Whether no gradient leads from a tensor to what it is computed of."""
    return not value.passes and bool(value.states or value.cut)
