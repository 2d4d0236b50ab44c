"""What methods of optimizers, schedules and scalers do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.value import Closure, Instance, Known, Partial, Value
from gradlint.training.holding import held, parameters_of
from gradlint.training.paces import pace_of
from gradlint.training.settings import arguments_of
from gradlint.training.values import (
    PREPARED,
    SCALE,
    Module,
    Optimizer,
    Scaler,
    Scheduler,
    Symbol,
    Tensor,
    options,
    tensors,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts


Result = Value | None


Meaning = Callable[["TrainingFacts", Value, Arguments, Site], Result]


def may_be(value: Value, *kinds: type) -> bool:
    """Whether a value is one of these kinds, or may be."""
    return any(isinstance(option, kinds) for option in options(value))


def _may_be_optimizer(value: Value) -> bool:
    return any(isinstance(option, (Optimizer, Symbol)) for option in options(value))


def step(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`optimizer.step()`, `optimizer.step(closure)`, `scaler.step(optimizer)`, `scheduler.step()`."""
    operand = arguments.get(0, "closure") or arguments.get(0, "optimizer")
    given = operand.value if operand is not None else None
    if isinstance(value, Instance):
        return None
    kind = "schedule" if may_be(value, Scheduler) else "step"
    if isinstance(given, (Closure, Partial)):
        facts.evaluator.call(given, Arguments(), site)
        facts.recorder.note(kind, site, (value,), settings={"closure": True})
    elif given is not None and _may_be_optimizer(given) and not may_be(value, Optimizer, Scheduler):
        facts.recorder.note(kind, site, (given,), by=(value,))
    else:
        settings = arguments_of(arguments, ("given",)) | pace_of(facts, value)
        if all(map(_is_prepared, options(value))):
            settings["unscales"] = True
        facts.recorder.note(kind, site, (value,), settings=settings)
    for option in (each for of in (value, given) if of is not None for each in options(of)):
        if isinstance(option, Optimizer) and _AFTER_STEP in option.attributes:
            facts.method_of(
                option.attributes[_AFTER_STEP], "__call__", Arguments((Operand(option, site.node),)), site
            )
    return facts.symbols.fresh()


def _is_prepared(value: Value) -> bool:
    found = value.attributes.get(PREPARED) if isinstance(value, (Optimizer, Symbol)) else None
    return isinstance(found, Known) and found.value is True


_AFTER_STEP = "(after step)"


def after_step(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`optimizer.register_step_post_hook(hook)`, with `hook(optimizer, args, kwargs)`."""
    hook = arguments.get(0, "hook")
    for option in options(value):
        if isinstance(option, Optimizer) and hook is not None:
            facts.evaluator.heap.write(option.attributes, _AFTER_STEP, hook.value)
    return facts.symbols.fresh() if may_be(value, Optimizer) else None


def zero_grad(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`optimizer.zero_grad()`, `model.zero_grad()`."""
    models = [option for option in options(value) if isinstance(option, (Module, Instance))]
    things = tuple([parameters_of(option) for option in models]) if models else (value,)
    facts.recorder.note("zero", site, things, settings=arguments_of(arguments, ("set_to_none",)))
    return Known(None)


def update(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`scaler.update()`."""
    if not may_be(value, Scaler, Symbol, Tensor) or arguments.positional:
        return None
    facts.recorder.note("update", site, (value,))
    return Known(None)


def scale(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`scaler.scale(loss)`, also of several losses."""
    loss = arguments.get(0, "outputs")
    if loss is None or not may_be(value, Scaler, Symbol):
        return None
    mixed = facts.mixed((loss.value,))
    scaled = list(tensors(loss.value))
    reduction = scaled[0].reduction if len(scaled) == 1 else ""
    return replace(mixed, scaled=value, is_certain=mixed.is_certain and bool(scaled), reduction=reduction)


def get_scale(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`scaler.get_scale()`."""
    return facts.symbols.fresh(value, SCALE)


def unscale(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`scaler.unscale_(optimizer)`."""
    optimizer = arguments.get(0, "optimizer")
    if optimizer is not None:
        facts.recorder.note("unscale", site, (optimizer.value,), by=(value,))
    return value


def add_group(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`optimizer.add_param_group(…)`."""
    group = arguments.get(0, "param_group")
    things = held(group.value) if group is not None else None
    facts.recorder.note("add", site, (value,), by=() if things is None else (things,))
    return Known(None)
