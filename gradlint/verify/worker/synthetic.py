"""Made-up data for training loops: inputs, losses, and the sizes of what they give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from .company import BATCH, STEPS, WIDTH, Recurrent
from .fields import Fields
from .fit import Fitted
from .observe import size, tensors

F = nn.functional


def drawn(
    model: nn.Module, fitted: Fitted | None, device: str, batch: int
) -> tuple[list[Any], dict[str, Any]]:
    """Random inputs of a model, in the forms that were found for it or as a stand-in takes them."""
    if fitted is None:
        return [_of_stand_in(model).to(device)], {}
    positional, named = fitted.draw(batch, torch.float32)
    return [_plain(x, device) for x in positional], {name: _plain(x, device) for name, x in named.items()}


def _of_stand_in(model: nn.Module) -> torch.Tensor:
    if isinstance(model, Recurrent):
        return torch.randn(STEPS, BATCH, WIDTH)
    width = next((layer.in_features for layer in model.modules() if isinstance(layer, nn.Linear)), WIDTH)
    return torch.randn(BATCH, width)


def _plain(value: Any, device: str) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().to(device)
    if isinstance(value, Fields):
        return Fields({name: _plain(each, device) for name, each in value.items()})
    return [_plain(each, device) for each in value] if isinstance(value, list) else value


def loss_of(out: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """Cross-entropy against random classes along the last axis; of a single output the squared error."""
    logits = out.float().flatten(0, -2) if out.dim() > 1 else out.float().unsqueeze(0)
    generator = torch.Generator().manual_seed(logits.shape[0])
    if logits.shape[-1] < 2:
        target = torch.randn(logits.shape, generator=generator).to(logits.device)
        return F.mse_loss(logits, target, reduction=reduction)
    classes = torch.randint(0, logits.shape[-1], (logits.shape[0],), generator=generator).to(logits.device)
    return F.cross_entropy(logits, classes, reduction=reduction)


def judged(out: torch.Tensor, form: str, logit: float) -> torch.Tensor:
    """A loss of samples that are judged with logits of this mean: log(1 - p), -log p, or the judge's own."""
    logits = out.float().mean(-1)
    logits = logits - logits.detach().mean() + logit
    if form == "-log(1-p)":
        return F.softplus(logits).mean()
    return -F.softplus(logits).mean() if form == "log(1-p)" else F.softplus(-logits).mean()


def first(value: Any) -> torch.Tensor:
    """The first tensor of numbers in what a model gives."""
    found = tensors(value)
    if not found:
        raise TypeError("the model gives no tensor of floating point")
    return found[0]


def is_float(value: Any) -> bool:
    """Whether a value is a tensor of floating point."""
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def norm(values: Sequence[torch.Tensor]) -> float:
    """‖·‖₂ of several tensors together; infinite where one is not finite."""
    total = math.hypot(*[float(size(v.detach().float())) for v in values])
    return math.inf if math.isnan(total) else total


def detached(value: Any) -> Any:
    """A tensor, or several in tuples and lists, without their graph."""
    if isinstance(value, torch.Tensor):
        return value.detach()
    return type(value)(map(detached, value)) if isinstance(value, (tuple, list)) else value
