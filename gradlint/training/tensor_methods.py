"""What methods of tensors and of parameters do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gradlint.semantics.interpretation import Arguments, Site
from gradlint.semantics.value import Known, Value
from gradlint.training.backward_pass import backward, divided
from gradlint.training.forms import of_function, reduced
from gradlint.training.model_methods import SAME, switch
from gradlint.training.settings import arguments_of
from gradlint.training.stepping import Meaning, step, unscale, update, zero_grad
from gradlint.training.values import (
    Parameters,
    Tensor,
    Weight,
    has_tensors,
    tensors,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts


_DETACHED = frozenset({"detach", "detach_", "numpy", "tolist", "item", "argmax", "long", "int", "bool"})


_NO_TENSOR = frozenset({"item", "tolist", "numpy", "size", "dim", "numel", "backward"})


BOUNDS = frozenset({"clamp", "clip", "clamp_max", "clamp_min", "minimum", "maximum"})
"""Functions and methods that bound a tensor and give the result."""


_OF_OTHERS: dict[str, Meaning] = {
    "step": step,
    "zero_grad": zero_grad,
    "update": update,
    "unscale_": unscale,
}
"""Methods that no tensor has: it is something else."""


def attribute_of_tensor(facts: TrainingFacts, value: Tensor, name: str) -> Value:
    """`tensor.grad`, `tensor.data`, `outputs.loss`, `x.shape` …"""
    if name == "grad":
        return Tensor(gradient=Parameters((value,), False))
    if name == "data":
        return Tensor(gradient=value.gradient, cut=value.passes | value.cut)
    if name in ("shape", "device", "dtype", "ndim", "requires_grad", "grad_fn", "is_cuda", "is_leaf"):
        return facts.symbols.derived(("attribute", name), (value,))
    return value


def of_tensor(facts: TrainingFacts, value: Tensor, name: str, arguments: Arguments, site: Site) -> Value:
    """What a method of a tensor does."""
    if name == "backward":
        return backward(facts, value, arguments, site)
    if value.gradient is not None and name.endswith("_"):
        return _gradient_changed(facts, value, value.gradient, name, arguments, site)
    if name == "register_hook":
        hook = arguments.get(0, "hook")
        facts.hooked(Known(None) if hook is None else hook.value, Parameters((value,), False), site)
        return facts.symbols.fresh()
    if name in _OF_OTHERS:
        return _OF_OTHERS[name](facts, value, arguments, site) or Known(None)
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


def of_parameters(
    facts: TrainingFacts, value: Parameters | Weight, name: str, arguments: Arguments, site: Site
) -> Value:
    """What a method of parameters, or of one of them, does."""
    of = value.of if isinstance(value, Weight) else value
    if name == "register_hook" or name.startswith("register_post_accumulate"):
        hook = arguments.get(0, "hook")
        facts.hooked(Known(None) if hook is None else hook.value, of, site)
        return facts.symbols.fresh()
    if name == "requires_grad_":
        return switch(facts, of, arguments, site)
    if isinstance(value, Weight) and name.endswith("_") and _has_gradient(arguments):
        facts.recorder.note("step", site, (of,), settings={"form": "manual"})
    if name.endswith("_") or name in SAME or name == "data":
        return value
    return facts.symbols.fresh()


def _has_gradient(arguments: Arguments) -> bool:
    return any(t.gradient is not None for value in arguments.values() for t in tensors(value))
