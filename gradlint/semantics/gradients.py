"""Where gradients come to: from what a value is made of, and under which contexts."""

from __future__ import annotations

from collections.abc import Sequence

from gradlint.semantics.tensor import Tensor
from gradlint.semantics.value import Constructed, Items, Known, Reference, Value

_NO_GRAD = frozenset({"torch.no_grad", "torch.inference_mode", "torch.autograd.no_grad"})
_GRAD = frozenset({"torch.enable_grad"})
_SWITCH = "torch.set_grad_enabled"
SWITCHES = _NO_GRAD | _GRAD | {_SWITCH}
"""Contexts that turn gradients on or off."""


def mode_of(context: Value) -> bool | None:
    """Whether a context turns gradients on or off; None when it does neither."""
    name = context.name if isinstance(context, (Constructed, Reference)) else ""
    if name in _NO_GRAD:
        return False
    if name in _GRAD:
        return True
    if name == _SWITCH and isinstance(context, Constructed) and context.positional:
        switch = context.positional[0]
        return bool(switch.value) if isinstance(switch, Known) else None
    return None


def roots_of(values: Sequence[Value]) -> frozenset[str]:
    """The inputs and parameters to which a gradient comes from something made of `values`."""
    found: frozenset[str] = frozenset()
    for value in values:
        if isinstance(value, Tensor):
            if value.grad is not False:
                found = found | value.roots if found else value.roots
        elif isinstance(value, Items):
            found |= roots_of(value.items)
    return found


def gradient_of(values: Sequence[Value]) -> bool | None:
    """Whether something made of `values` carries a gradient."""
    is_free, may_carry = False, False
    for value in values:
        if isinstance(value, Tensor):
            if value.grad is True:
                return True
            is_free = is_free or value.grad is False
            may_carry = may_carry or value.grad is None
        elif not isinstance(value, Known):
            may_carry = True
    return False if is_free and not may_carry else None
