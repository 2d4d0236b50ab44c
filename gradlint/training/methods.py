"""What methods of optimizers, scalers, models, parameters and tensors do when code trains.

An object of which nothing is known is taken for what its methods say that it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gradlint.semantics.interpretation import Arguments, Operand, Site, known
from gradlint.semantics.value import Closure, Instance, Known, Partial, Reference, Value
from gradlint.training.forms import of_function, reduced
from gradlint.training.holding import held, is_parameters, parameters_of
from gradlint.training.settings import arguments_of
from gradlint.training.values import (
    SCALE,
    Bound,
    Either,
    Module,
    Optimizer,
    Parameters,
    Scaler,
    Scheduler,
    Symbol,
    Tensor,
    Tool,
    Weight,
    has_tensors,
    options,
    tensors,
    within,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts

_SAME = frozenset(
    {
        *(
            "to",
            "cuda",
            "cpu",
            "float",
            "double",
            "bfloat16",
            "type",
            "train",
            "eval",
            "half",
            "share_memory",
        ),
        *("requires_grad_", "apply", "contiguous", "compile", "xpu", "npu", "to_empty", "tie_weights"),
        *("gradient_checkpointing_enable", "unsqueeze", "squeeze", "view", "reshape", "clone", "pin_memory"),
    }
)
"""Methods that give the object itself, or one that is trained as the same."""

_READING = frozenset(
    {
        *("state_dict", "load_state_dict", "extra_repr", "size", "dim", "numel", "get_lr", "get_last_lr"),
        *("get_scale", "is_enabled", "named_modules", "modules", "children", "named_children", "buffers"),
        *("named_buffers", "register_buffer", "save_pretrained", "log", "log_dict", "add_scalar", "info"),
        *("print", "save", "debug", "warning", "format", "items", "keys", "values", "get", "append"),
        *("set_postfix", "set_description", "update_postfix", "write", "add_scalars", "watch", "is_cuda"),
    }
)
"""Methods that leave alone what they are given."""

_DETACHED = frozenset({"detach", "detach_", "numpy", "tolist", "item", "argmax", "long", "int", "bool"})
_NO_TENSOR = frozenset({"item", "tolist", "numpy", "size", "dim", "numel", "backward"})
_MODELS = (Module, Instance, Symbol)
BOUNDS = frozenset({"clamp", "clip", "clamp_max", "clamp_min", "minimum", "maximum"})
"""Functions and methods that bound a tensor and give the result."""


def call_method(
    facts: TrainingFacts,
    value: Value,
    name: str,
    arguments: Arguments,
    site: Site,
    about: Value | None = None,
) -> Value:
    """`value.name(…)`; the events are about `about`, where that may be one of several."""
    about = value if about is None else about
    if isinstance(value, Tensor):
        return _of_tensor(facts, value, name, arguments, site)
    if isinstance(value, (Parameters, Weight)):
        return _of_parameters(facts, value, name, arguments, site)
    special = _METHODS.get(name)
    if special is not None:
        found = special(facts, about, arguments, site)
        if found is not None:
            return found
    if name in _SAME:
        return about
    if isinstance(value, Module):
        return facts.passes(value, arguments, site, name, about)
    return _unknown_method(facts, value, name, arguments, site)


def _unknown_method(facts: TrainingFacts, value: Value, name: str, arguments: Arguments, site: Site) -> Value:
    if name == "__call__":
        return _called(facts, value, arguments, site)
    if isinstance(value, (Optimizer, Scaler, Scheduler)):
        if name not in _READING:
            facts.escapes((value, *arguments.values()), site)
        return facts.symbols.fresh(value)
    given = facts.mixed(arguments.values())
    if name == "detach_":
        facts.recorder.note("detach", site, (value,))
    if given.passes:
        facts.recorder.note("lend", site, source=given.passes)
        return replace(given, is_certain=False, is_divided=None)
    if name not in _READING:
        facts.escapes(arguments.values(), site)
    made = facts.symbols.fresh(value if isinstance(value, Symbol) else None)
    facts.keep(made, arguments.values())
    return made


def _called(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Value:
    """Something unknown is called: a model, a loss, or a function that makes or changes objects."""
    if isinstance(value, Symbol) and value.parent is not None and value.name in _METHODS:
        return facts.method_of(value.parent, value.name, arguments, site)
    if isinstance(value, Symbol) and any(isinstance(part, (Bound, Closure)) for part in within(value, 100)):
        facts.escapes((value,), site)
    changed = [each for each in arguments.values() if _takes_part(each)]
    functions = [each for each in arguments.values() if isinstance(each, (Closure, Partial))]
    if changed or functions:
        facts.escapes([*changed, *functions], site)
    if changed or not (arguments.values() or arguments.open):
        made = facts.symbols.fresh(value)
        facts.keep(made, arguments.values())
        return made
    return facts.passes(value, arguments, site)


def _takes_part(value: Value) -> bool:
    return is_parameters(value) or any(
        isinstance(option, (Optimizer, Scaler, Scheduler, Module, Instance, Bound))
        for option in options(value)
    )


def is_meant(name: str) -> bool:
    """Whether a method of this name means something for training."""
    return name in _METHODS


def is_method(value: Value, name: str) -> bool:
    """Whether an attribute of an optimizer, a tensor … is a method that means something."""
    if isinstance(value, Tensor):
        return name in ("backward", "register_hook") or (name.endswith("_") and name[:1] != "_")
    if isinstance(value, (Parameters, Weight)):
        return name in ("register_hook", "requires_grad_")
    if isinstance(value, Tool):
        return name in value.profile.methods
    return isinstance(value, (Optimizer, Scaler, Scheduler)) and name in _METHODS


# tensors


def attribute_of_tensor(facts: TrainingFacts, value: Tensor, name: str) -> Value:
    """`tensor.grad`, `tensor.data`, `outputs.loss`, `x.shape` …"""
    if name == "grad":
        return Tensor(gradient=Parameters((value,), False))
    if name == "data":
        return Tensor(gradient=value.gradient, cut=value.passes | value.cut)
    if name in ("shape", "device", "dtype", "ndim", "requires_grad", "grad_fn", "is_cuda", "is_leaf"):
        return facts.symbols.derived(("attribute", name), (value,))
    return value


def _of_tensor(facts: TrainingFacts, value: Tensor, name: str, arguments: Arguments, site: Site) -> Value:
    if name == "backward":
        return backward(facts, value, arguments, site)
    if value.gradient is not None and name.endswith("_"):
        return _gradient_changed(facts, value, value.gradient, name, arguments, site)
    if name == "register_hook":
        hook = arguments.get(0, "hook")
        facts.hooked(Known(None) if hook is None else hook.value, Parameters((value,), False), site)
        return facts.symbols.fresh()
    if name in ("step", "zero_grad", "update", "unscale_"):
        return _METHODS[name](facts, value, arguments, site) or Known(None)
    if name in _NO_TENSOR:
        return facts.symbols.fresh()
    if name == "detach_":
        facts.recorder.note("detach", site, source=value.passes, states=value.states)
    if name in _DETACHED or name == "requires_grad_":
        return value if name == "requires_grad_" else Tensor(cut=value.passes | value.cut)
    if name in BOUNDS and value.gradient is not None:
        facts.bounded += 1
    given = (value, *arguments.values())
    mixed = replace(facts.mixed(given), form=of_function(name, given))
    if name in ("div", "div_", "mul", "mul_", "true_divide") and not any(
        map(has_tensors, arguments.values())
    ):
        return divided(mixed)
    return reduced(mixed, name, given)


def divided(value: Tensor) -> Tensor:
    """A tensor after multiplication with a number."""
    return replace(value, is_divided=True)


def backward(
    facts: TrainingFacts, loss: Value, arguments: Arguments, site: Site, by: Value | None = None
) -> Value:
    """A backward pass from a loss, or several."""
    mixed = facts.mixed((loss,))
    scaled = () if mixed.scaled is None else (mixed.scaled,)
    settings = arguments_of(arguments, ("gradient", "retain_graph", "create_graph"))
    settings["divided"] = mixed.is_divided
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


def _gradient_changed(
    facts: TrainingFacts, value: Tensor, of: Parameters, name: str, arguments: Arguments, site: Site
) -> Value:
    """`p.grad.zero_()`, `p.grad.clamp_(…)`, `p.grad.mul_(…)`."""
    if name in ("detach_", "requires_grad_"):
        return value
    kind = "zero" if name in ("zero_", "fill_") else "clip"
    settings = {**arguments_of(arguments, ("min", "max")), "form": name}
    facts.recorder.note(kind, site, (of,), settings=settings)
    return value


def _of_parameters(
    facts: TrainingFacts, value: Parameters | Weight, name: str, arguments: Arguments, site: Site
) -> Value:
    of = value.of if isinstance(value, Weight) else value
    if name == "register_hook" or name.startswith("register_post_accumulate"):
        hook = arguments.get(0, "hook")
        facts.hooked(Known(None) if hook is None else hook.value, of, site)
        return facts.symbols.fresh()
    if name == "requires_grad_":
        return _switch(facts, of, arguments, site)
    if isinstance(value, Weight) and name.endswith("_") and _has_gradient(arguments):
        facts.recorder.note("step", site, (of,), settings={"form": "manual"})
    if name.endswith("_") or name in _SAME or name == "data":
        return value
    return facts.symbols.fresh()


def _has_gradient(arguments: Arguments) -> bool:
    return any(t.gradient is not None for value in arguments.values() for t in tensors(value))


# objects

Result = Value | None
Meaning = Callable[["TrainingFacts", Value, Arguments, Site], Result]


def _backward(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`loss.backward()`, `accelerator.backward(loss)`, `self.manual_backward(loss)`."""
    loss = arguments.get(0, "loss") or arguments.get(0, "tensor")
    if loss is None or known(loss) is not None:
        return backward(facts, value, arguments, site)
    return backward(facts, loss.value, Arguments((), arguments.keywords), site, value)


def _step(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`optimizer.step()`, `optimizer.step(closure)`, `scaler.step(optimizer)`, `scheduler.step()`."""
    operand = arguments.get(0, "closure") or arguments.get(0, "optimizer")
    given = operand.value if operand is not None else None
    if isinstance(value, Instance):
        return None
    kind = "schedule" if _is(value, Scheduler) else "step"
    if isinstance(given, (Closure, Partial)):
        facts.evaluator.call(given, Arguments(), site)
        facts.recorder.note(kind, site, (value,), settings={"closure": True})
    elif given is not None and _may_be_optimizer(given) and not _is(value, Optimizer, Scheduler):
        facts.recorder.note(kind, site, (given,), by=(value,))
    else:
        facts.recorder.note(kind, site, (value,), settings=arguments_of(arguments, ("given",)))
    for option in (each for of in (value, given) if of is not None for each in options(of)):
        if isinstance(option, Optimizer) and _AFTER_STEP in option.attributes:
            facts.method_of(
                option.attributes[_AFTER_STEP], "__call__", Arguments((Operand(option, site.node),)), site
            )
    return facts.symbols.fresh()


_AFTER_STEP = "(after step)"


def _after_step(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`optimizer.register_step_post_hook(hook)`, with `hook(optimizer, args, kwargs)`."""
    hook = arguments.get(0, "hook")
    for option in options(value):
        if isinstance(option, Optimizer) and hook is not None:
            facts.evaluator.heap.write(option.attributes, _AFTER_STEP, hook.value)
    return facts.symbols.fresh() if _is(value, Optimizer) else None


def _apply(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`model.apply(function)` calls it with every part, which are not told apart."""
    function = arguments.get(0, "fn")
    if function is None or not _is(value, *_MODELS):
        return None
    part = Operand(facts.symbols.fresh(value), site.node)
    facts.method_of(function.value, "__call__", Arguments((part,)), site)
    return value


def _is(value: Value, *kinds: type) -> bool:
    return any(isinstance(option, kinds) for option in options(value))


def _may_be_optimizer(value: Value) -> bool:
    return any(isinstance(option, (Optimizer, Symbol)) for option in options(value))


def _zero_grad(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    models = [option for option in options(value) if isinstance(option, (Module, Instance))]
    things = tuple([parameters_of(option) for option in models]) if models else (value,)
    facts.recorder.note("zero", site, things, settings=arguments_of(arguments, ("set_to_none",)))
    return Known(None)


def _update(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    if not _is(value, Scaler, Symbol, Tensor) or arguments.positional:
        return None
    facts.recorder.note("update", site, (value,))
    return Known(None)


def _scale(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`scaler.scale(loss)`, also of several losses."""
    loss = arguments.get(0, "outputs")
    if loss is None or not _is(value, Scaler, Symbol):
        return None
    mixed = facts.mixed((loss.value,))
    scaled = list(tensors(loss.value))
    reduction = scaled[0].reduction if len(scaled) == 1 else ""
    return replace(mixed, scaled=value, is_certain=mixed.is_certain and bool(scaled), reduction=reduction)


def _get_scale(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    return facts.symbols.fresh(value, SCALE)


def _unscale(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    optimizer = arguments.get(0, "optimizer")
    if optimizer is not None:
        facts.recorder.note("unscale", site, (optimizer.value,), by=(value,))
    return value


def _parameters(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    return parameters_of(value, drawn=facts.symbols.fresh().number) if _is(value, *_MODELS) else None


def _named_parameters(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    return parameters_of(value, is_named=True) if _is(value, *_MODELS) else None


def _mode(kind: str) -> Meaning:
    def change(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
        flag = arguments.get(0, "mode")
        if not _is(value, *_MODELS):
            return None
        if kind == "train" and flag is not None and known(flag) is None:
            return value
        facts.recorder.note("eval" if known(flag) is False else kind, site, (value,))
        return value

    return change


def _requires_grad(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    return _switch(facts, parameters_of(value), arguments, site) and value


def _switch(facts: TrainingFacts, of: Parameters, arguments: Arguments, site: Site) -> Value:
    """`requires_grad_(flag)`."""
    flag = arguments.get(0, "requires_grad")
    if flag is None or known(flag) is not None:
        facts.recorder.note("freeze" if known(flag) is False else "thaw", site, (of,))
    return of


HALVES = frozenset({"torch.float16", "torch.half"})
_WIDER = frozenset({"torch.float32", "torch.float", "torch.float64", "torch.double", "torch.bfloat16"})


def _precision(kind: str) -> Meaning:
    """`model.half()`, `model.float()`: the parameters change their type."""

    def change(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
        if not _is(value, *_MODELS):
            return None
        facts.recorder.note(kind, site, (value,))
        return value

    return change


def _to(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    names = {given.name for given in arguments.values() if isinstance(given, Reference)}
    kind = "half" if names & HALVES else "widen" if names & _WIDER else ""
    if _is(value, *_MODELS) and kind:
        facts.recorder.note(kind, site, (value,))
    return value


def _clip(name: str) -> Meaning:
    """`accelerator.clip_grad_norm_(parameters, 1.0)`, `fabric.clip_gradients(model, optimizer, …)`,
    `model.clip_grad_norm_(1.0)` of a sharded model.
    """

    def clip(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
        first = arguments.get(0, "parameters") or arguments.get(0, "model")
        settings = {**arguments_of(arguments, ("", "max_norm")), "form": name}
        optimizers = [given for given in arguments.values() if _is(given, Optimizer)]
        if optimizers:
            facts.recorder.note("clip", site, optimizers, by=(value,), settings=settings)
        elif first is not None and _takes_part_or_symbol(first):
            things = held(first.value) or parameters_of(first.value)
            facts.recorder.note("clip", site, (things,), by=(value,), settings=settings)
        else:
            settings = {**arguments_of(arguments, ("max_norm",)), "form": name}
            facts.recorder.note("clip", site, (parameters_of(value),), settings=settings)
        return Tensor()

    return clip


def _takes_part_or_symbol(operand: Operand) -> bool:
    return _takes_part(operand.value) or isinstance(operand.value, (Symbol, Either))


def _forward(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    return facts.passes(value, arguments, site) if _is(value, *_MODELS) else None


def _add_group(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    group = arguments.get(0, "param_group")
    things = held(group.value) if group is not None else None
    facts.recorder.note("add", site, (value,), by=() if things is None else (things,))
    return Known(None)


def _load(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    if _is(value, Module, Instance):
        facts.recorder.note("load", site, (value,))
    return facts.symbols.fresh()


_METHODS: dict[str, Meaning] = {
    "load_state_dict": _load,
    "backward": _backward,
    "manual_backward": _backward,
    "step": _step,
    "zero_grad": _zero_grad,
    "update": _update,
    "scale": _scale,
    "unscale_": _unscale,
    "get_scale": _get_scale,
    "parameters": _parameters,
    "named_parameters": _named_parameters,
    "train": _mode("train"),
    "eval": _mode("eval"),
    "requires_grad_": _requires_grad,
    "half": _precision("half"),
    **dict.fromkeys(("float", "double", "bfloat16"), _precision("widen")),
    "to": _to,
    "type": _to,
    "clip_grad_norm_": _clip("clip_grad_norm_"),
    "clip_grad_value_": _clip("clip_grad_value_"),
    "clip_gradients": _clip("clip_gradients"),
    "forward": _forward,
    "add_param_group": _add_group,
    "apply": _apply,
    "register_step_post_hook": _after_step,
}
