"""What methods of optimizers, scalers, models, parameters and tensors do when code trains.

An object of which nothing is known is taken for what its methods say that it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gradlint.semantics.interpretation import Arguments, Site
from gradlint.semantics.value import Closure, Instance, Partial, Value
from gradlint.training.backward_pass import by_method
from gradlint.training.model_methods import (
    SAME,
    apply,
    clipping,
    forward,
    load,
    mode,
    named_parameters,
    parameters,
    precision,
    requires_grad,
    takes_part,
    to,
)
from gradlint.training.stepping import (
    Meaning,
    add_group,
    after_step,
    get_scale,
    scale,
    step,
    unscale,
    update,
    zero_grad,
)
from gradlint.training.tensor_methods import of_parameters, of_tensor
from gradlint.training.values import (
    BY_CALL,
    BY_METHOD,
    Bound,
    Module,
    Optimizer,
    Parameters,
    Scaler,
    Scheduler,
    Symbol,
    Tensor,
    Tool,
    Weight,
    within,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts


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
        return of_tensor(facts, value, name, arguments, site)
    if isinstance(value, (Parameters, Weight)):
        return of_parameters(facts, value, name, arguments, site)
    special = _METHODS.get(name)
    if special is not None:
        found = special(facts, about, arguments, site)
        if found is not None:
            return found
    if name in SAME:
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
    of = value if isinstance(value, (Symbol, Instance)) else None
    made = facts.symbols.fresh(of, name=BY_METHOD)
    facts.keep(made, arguments.values())
    return made


def _called(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Value:
    """Something unknown is called: a model, a loss, or a function that makes or changes objects."""
    if isinstance(value, Symbol) and value.parent is not None and value.name in _METHODS:
        return facts.method_of(value.parent, value.name, arguments, site)
    if isinstance(value, Symbol) and any(isinstance(part, (Bound, Closure)) for part in within(value, 100)):
        facts.escapes((value,), site)
    changed = [each for each in arguments.values() if takes_part(each)]
    functions = [each for each in arguments.values() if isinstance(each, (Closure, Partial))]
    if changed or functions:
        facts.escapes([*changed, *functions], site)
    if changed or not (arguments.values() or arguments.open):
        made = facts.symbols.fresh(value, name=BY_CALL)
        facts.keep(made, arguments.values())
        return made
    return facts.passes(value, arguments, site)


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


# objects


_METHODS: dict[str, Meaning] = {
    "load_state_dict": load,
    "backward": by_method,
    "manual_backward": by_method,
    "step": step,
    "zero_grad": zero_grad,
    "update": update,
    "scale": scale,
    "unscale_": unscale,
    "get_scale": get_scale,
    "parameters": parameters,
    "named_parameters": named_parameters,
    "train": mode("train"),
    "eval": mode("eval"),
    "requires_grad_": requires_grad,
    "half": precision("half"),
    **dict.fromkeys(("float", "double", "bfloat16"), precision("widen")),
    "to": to,
    "type": to,
    "clip_grad_norm_": clipping("clip_grad_norm_"),
    "clip_grad_value_": clipping("clip_grad_value_"),
    "clip_gradients": clipping("clip_gradients"),
    "forward": forward,
    "add_param_group": add_group,
    "apply": apply,
    "register_step_post_hook": after_step,
}
