"""Which classes of the project are worth an object when training is read."""

from __future__ import annotations

from gradlint.semantics.classes import is_module as is_module_class
from gradlint.semantics.classes import is_optimizer
from gradlint.semantics.value import (
    ClassObject,
    Instance,
    Known,
    Reference,
)
from gradlint.training.models import Models
from gradlint.training.profiles import hooks
from gradlint.training.tools import profile_of_class
from gradlint.training.torch_calls import is_loss_layer
from gradlint.training.values import (
    Tensor,
)

_STEPS = frozenset(
    {
        *("backward", "zero_grad", "clip_grad_norm_", "clip_grad_value_", "unscale_", "manual_backward"),
        *("GradScaler", "configure_optimizers", "optim"),
    }
)
"""Names by which code is known to train."""

_REFUSED = frozenset({"BCELoss", "binary_cross_entropy"})
"""Losses of torch that autocast refuses."""


def is_worth_constructing(models: Models, cls: ClassObject) -> bool:
    """Whether an object's own methods may train, or hold what is trained."""
    if is_optimizer(cls) or profile_of_class(cls) is not None:
        return False
    if is_module_class(cls):
        is_hooked = any(cls.member(name) is not None for name in hooks())
        return is_hooked or models.names(cls, _STEPS | _REFUSED)
    return not any(isinstance(base, Reference) for base in cls.lineage()) or trains(models, cls)


def trains(models: Models, cls: ClassObject) -> bool:
    """Whether a class names what only training code does."""
    return models.names(cls, _STEPS)


def is_loss(models: Models, target: Instance) -> bool:
    """Whether a module is made of losses of torch that autocast may refuse, and of no other layers."""
    layers = [part for part in target.attributes.values() if not isinstance(part, (Known, Tensor))]
    return models.names(target.type, _REFUSED) and all(map(is_loss_layer, layers))
