"""Gradients of single functions and methods, under the conditions that claims about them name."""

from __future__ import annotations

import inspect
import itertools
import math
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from .battery import BATTERY, FLOAT_SHAPES, mask_shapes
from .construct import recipe, resolve
from .fit import NoInputError, annotated
from .forms import BOOL, FLOAT, INT, Form
from .metrics import NotExercisedError
from .observe import tensors
from .protocol import Argument, Question
from .recipes import NotBuiltError
from .subject import exact

GRADIENT, VALUE = "non-finite-gradient", "non-finite-value"
_MISFITS = (RuntimeError, ValueError, IndexError, TypeError, AttributeError, KeyError, AssertionError)


@dataclass(frozen=True)
class Outcome:
    """Gradients by the name of the input or parameter, and the tensors of the output."""

    gradients: dict[str, torch.Tensor]
    values: list[torch.Tensor]


@dataclass
class Callee:
    """A function, or a method of an object, with forms of its inputs for which it runs."""

    function: Callable[..., Any]
    owner: Any = None
    forms: dict[str, Form] = field(default_factory=dict)
    arguments: list[Argument] = field(default_factory=list)

    def parameters(self) -> dict[str, torch.Tensor]:
        """The parameters of the object, as claims name them."""
        named = self.owner.named_parameters() if isinstance(self.owner, nn.Module) else ()
        return {f"self.{name}": p for name, p in named}

    def gives_gradient(self, name: str) -> bool:
        """Whether `name` is an input of numbers, or a parameter of the object."""
        return name in self.parameters() or (name in self.forms and self.forms[name].kind == FLOAT)

    def run(self, condition: str, variant: int) -> Outcome:
        """One forward pass, and the backward pass of a random projection of the output."""
        numbers, masks = BATTERY[condition][variant]
        with exact(1, torch.float32):
            inputs = {name: _filled(form, numbers, masks) for name, form in self.forms.items()}
            sources = {n: x for n, x in inputs.items() if isinstance(x, torch.Tensor) and x.requires_grad}
            sources.update(self.parameters())
            for source in sources.values():
                source.grad = None
            values = _outputs(self.function(**inputs))
            parts: list[Any] = [(v * torch.randn(v.shape)).sum() for v in values if v.requires_grad]
            if parts:
                torch.autograd.backward(torch.stack(parts).sum())
        gradients = {name: source.grad for name, source in sources.items() if source.grad is not None}
        return Outcome(gradients, [value.detach() for value in values])


def _outputs(value: Any) -> list[torch.Tensor]:
    found = [value] if isinstance(value, torch.Tensor) and value.is_complex() else tensors(value)
    return [torch.view_as_real(v) if v.is_complex() else v for v in found]


def _filled(form: Form, numbers: Any, masks: Any) -> Any:
    if form.kind == FLOAT:
        return numbers(form.shape).requires_grad_()
    if form.kind == BOOL:
        return masks(form.shape)
    if form.kind == INT:
        return torch.arange(math.prod(form.shape)).reshape(form.shape) % form.high
    return form.draw(torch.float32)


def callee(module: types.ModuleType, name: str, arguments: list[Argument], seconds: float) -> Callee:
    """The function called `name` with inputs for which it runs.

    Raises `NotBuiltError`, and `NoInputError` where no input does.
    """
    first, _, member = name.partition(".")
    found = resolve(module, first)
    if isinstance(found, type):
        with exact(0, torch.float32):
            made = recipe(module, first, arguments, seconds, kind=found)
            owner = made.make()
        callee = Callee(getattr(owner, member or "forward"), owner, arguments=made.arguments())
    elif callable(found):
        callee = Callee(found)
    else:
        raise NotBuiltError(f"{name} is no function")
    callee.forms = _fitting(callee)
    return callee


def _fitting(callee: Callee) -> dict[str, Form]:
    """The first forms of numbers, masks and indices with which a function runs."""
    error: BaseException | None = None
    for shape, has_masks in itertools.product(FLOAT_SHAPES, (True, False)):
        for other in mask_shapes(shape):
            callee.forms = dict(_forms(callee.function, shape, other, has_masks))
            try:
                callee.run("randn", 0)
            except _MISFITS as misfit:
                error = error or misfit
            else:
                return callee.forms
    raise NoInputError(f"no input was found with which it runs: {error}")


def _forms(
    function: Any, shape: tuple[int, ...], other: tuple[int, ...], has_masks: bool
) -> Iterator[tuple[str, Form]]:
    """The form of every input; of those that are called masks, truth values where these are tried."""
    for name, p in inspect.signature(function).parameters.items():
        if p.default is not p.empty or p.kind not in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
            continue
        text = str(p.annotation)
        is_mask = has_masks and "mask" in name and p.annotation is p.empty
        if "Bool" in text or is_mask:
            yield name, Form(BOOL, other)
        elif "Long" in text:
            yield name, Form(INT, other, shape[-1])
        else:
            yield name, annotated(p.annotation, name) or Form(FLOAT, shape)


def measure(question: Question, callee: Callee) -> float:
    """The worst of the gradient or value that a claim is about: nan, infinite, or its largest size."""
    conditions = list(BATTERY) if question.condition in ("", "any") else [question.condition]
    if any(condition not in BATTERY for condition in conditions):
        raise NotExercisedError(f"no input of the battery meets the condition {question.condition!r}")
    if question.metric == GRADIENT and not callee.gives_gradient(question.subject):
        raise NotExercisedError("the gradient is at nothing that the function is given")
    if question.condition == "all masked" and all(form.kind != BOOL for form in callee.forms.values()):
        raise NotExercisedError("no input is known to be a mask")
    worst = 0.0
    for condition in conditions:
        for variant in range(len(BATTERY[condition])):
            value = _worst(question, callee.run(condition, variant))
            if not math.isfinite(value):
                return value
            worst = max(worst, value)
    return worst


def _worst(question: Question, outcome: Outcome) -> float:
    if question.metric == VALUE:
        return max((_size(value, question.predicted) for value in outcome.values), default=0.0, key=_order)
    gradient = outcome.gradients.get(question.subject)
    return 0.0 if gradient is None else _size(gradient, question.predicted)


def _order(value: float) -> float:
    return value if math.isfinite(value) else math.inf


def _size(value: torch.Tensor, predicted: float) -> float:
    """nan or infinity where there is any, the predicted one first; else the largest size."""
    has_nan, has_inf = bool(value.isnan().any()), bool(value.isinf().any())
    if has_nan and (math.isnan(predicted) or not has_inf):
        return math.nan
    if has_inf:
        return math.inf
    return float(value.abs().max()) if value.numel() else 0.0
