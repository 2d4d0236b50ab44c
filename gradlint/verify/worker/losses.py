"""How much of its gradient a loss leaves to a sample that is confidently wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import nn

from .metrics import NotExercisedError

F = nn.functional
FAR = 10.0
"""The size of the logits at the two classes that the model mistakes for one another."""
_OVER_CLASSES = ("cross_entropy", "nll_loss", "kl_div")


def _activation(name: str) -> Callable[[torch.Tensor], torch.Tensor]:
    if name == "softmax":
        return lambda z: z.softmax(-1)
    if name == "log_softmax":
        return lambda z: z.log_softmax(-1)
    found = getattr(torch, name, None) or getattr(F, name, None)
    if name in ("", "identity"):
        return lambda z: z
    if found is None:
        raise NotExercisedError(f"torch has no activation {name}")
    return cast(Callable[[torch.Tensor], torch.Tensor], found)


def slope(loss: str, a: torch.Tensor, z: torch.Tensor) -> float:
    """∂L/∂z₀ of the loss, summed, for the target that is 1 at class 0."""
    target = torch.zeros_like(a)
    target[..., 0] = 1
    if loss in ("cross_entropy", "nll_loss"):
        target = target.argmax(-1)
    total = getattr(F, loss)(a, target, reduction="sum")
    if loss == "multilabel_soft_margin_loss":
        total = total * a.shape[-1]
    (gradient,) = torch.autograd.grad(total, z, allow_unused=True)
    return 0.0 if gradient is None else float(gradient.reshape(-1)[0])


def loss_gradient(name: str, classes: int) -> float:
    """The share |∂L/∂z_t| / |∂L*/∂z_t| of the loss of an activation, in double precision."""
    activation, _, loss = name.partition("->")
    if not hasattr(F, loss):
        raise NotExercisedError(f"torch has no loss {loss}")
    values = [-FAR, FAR, *[0.0] * (classes - 2)][:classes]
    z = torch.tensor([values], dtype=torch.float64, requires_grad=True)
    by_element = activation not in ("softmax", "log_softmax") and loss not in _OVER_CLASSES
    fused = slope("binary_cross_entropy_with_logits" if by_element else "cross_entropy", z, z)
    return abs(slope(loss, _activation(activation)(z), z) / fused)
