"""Functions that train: run with a small model and random data up to their first backward pass."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .guesses import guess
from .metrics import NotExercisedError
from .subject import exact

_WIDTH = 16
_BATCH = 8
_MODEL = re.compile(
    r"(.*_)?(model|net|network|encoder|decoder|backbone|module|critic|actor|policy|generator)\Z"
)
_INPUTS = re.compile(r"(.*_)?(x|inputs?|data|batch|images?|features?|states?|samples?)\Z")
_TARGETS = re.compile(r"(.*_)?(y|targets?|labels?|truth|gt)\Z")
_LOSS = re.compile(r"(.*_)?(criterion|loss_?(fn|func|function)?|objective)\Z")
_LOADER = re.compile(r"(.*_)?(loader|dataloader|dataset|batches|iterator|data_loader)\Z")
_OPTIMIZER = re.compile(r"(.*_)?(optim|optimizer|opt)\Z")


class _Reached(BaseException):
    """The first backward pass is done."""


class _Accelerator:
    """What frameworks wrap backward with: the loss goes backward as it is."""

    def backward(self, loss: Any, *rest: Any, **named: Any) -> None:
        """Go backward from a loss."""
        loss.backward()

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **named: given[0] if len(given) == 1 else given


class _Holder:
    """What holds a model and what trains it as attributes: the first argument of a method."""

    def __init__(self, model: nn.Module, targets: str) -> None:
        self._known = model, targets

    def __getattr__(self, name: str) -> Any:
        return _value(name, inspect.Parameter.empty, *self._known)


def gradient_arrives(function: Callable[..., Any]) -> float:
    """The share of the model's parameters at which a gradient arrives in the function's backward pass.

    Where it goes backward nowhere, in one of the model after the function.
    """
    errors: list[Exception] = []
    for targets in ("as the output", "class numbers", "class numbers as well"):
        model = nn.Sequential(nn.Linear(_WIDTH, _WIDTH), nn.Tanh(), nn.Linear(_WIDTH, _WIDTH))
        with exact(0, torch.float32), _until_backward():
            try:
                function(**dict(_given(function, model, targets)))
                model(torch.randn(_BATCH, _WIDTH)).square().sum().backward()
            except _Reached:
                pass
            except Exception as error:
                if "does not require grad" in str(error):
                    return 0.0
                errors.append(error)
                continue
        held = list(model.parameters())
        return sum(p.grad is not None and bool(p.grad.any()) for p in held) / len(held)
    raise NotExercisedError(f"it does not run with a small model: {type(errors[0]).__name__}: {errors[0]}")


@contextmanager
def _until_backward() -> Iterator[None]:
    """The first backward pass ends what is running."""
    original = torch.autograd.backward

    def last(*given: Any, **named: Any) -> None:
        original(*given, **named)
        raise _Reached

    torch.autograd.backward = last
    try:
        yield
    finally:
        torch.autograd.backward = original


def _given(function: Callable[..., Any], model: nn.Module, targets: str) -> Iterator[tuple[str, Any]]:
    for name, p in inspect.signature(function).parameters.items():
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
            yield name, _value(name, p.annotation, model, targets)


def _value(name: str, annotation: Any, model: nn.Module, targets: str) -> Any:
    x = torch.randn(_BATCH, _WIDTH)
    y = torch.randn(_BATCH, _WIDTH) if targets == "as the output" else torch.randint(0, _WIDTH, (_BATCH,))
    if _MODEL.match(name):
        return model
    if _OPTIMIZER.match(name):
        return torch.optim.SGD(model.parameters(), lr=0.1)
    if _LOSS.match(name):
        return nn.MSELoss() if targets == "as the output" else nn.CrossEntropyLoss()
    if _LOADER.match(name):
        return [(x, y), (x, y)]
    if _TARGETS.match(name):
        return y
    if _INPUTS.match(name):
        return x
    if name in ("accelerator", "fabric", "scaler", "engine"):
        return _Accelerator()
    if name == "self":
        return _Holder(model, targets)
    return guess(name, annotation)
