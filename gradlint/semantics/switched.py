"""Losses that had lost their graph before gradients were switched on for them again."""

from __future__ import annotations

from gradlint.semantics.severed import CUTTING, SAME, Cut, is_computed, passed
from gradlint.semantics.tensor import CALL, Application, Tensor, producer
from gradlint.semantics.value import Items, Value

_FAR = 64
_Status = Application | bool
"""What cut a value off from what computed it; else whether a gradient may come back through it."""


def switched_on(loss: Value) -> Cut | None:
    """What cut a loss off from its model, where `requires_grad` was set on the loss afterwards.

    That changes nothing of a loss which has a graph: it is done where `backward` complains of none.
    """
    value: Value | None = loss
    while (maker := producer(value)) is not None and maker.primitive in SAME:
        if maker.primitive == "requires_grad_" and maker.constant(1, "requires_grad") is not False:
            status = _status(maker.value(0), _FAR)
            return Cut(status, False) if isinstance(status, Application) else None
        value = passed(maker)[0]
    return None


def _status(value: Value | None, far: int) -> _Status:
    if isinstance(value, Items):
        return _of_all(list(value.items), far)
    if not isinstance(value, Tensor) or value.producer is None:
        return isinstance(value, Tensor) and value.grad is True
    maker, source = value.producer, value.producer.value(0, "data")
    if maker.primitive in CUTTING:
        return maker if is_computed(source) else False
    if value.grad is False:
        return False
    found = _of_all([operand.value for operand in (*maker.operands, *maker.keywords.values())], far)
    return found or maker.primitive == CALL or maker.form == "module"


def _of_all(values: list[Value], far: int) -> _Status:
    """What is computed of several values: a gradient may come back if it may from one of them."""
    if far == 0:
        return True
    found = [_status(value, far - 1) for value in values]
    return True if True in found else next((each for each in found if each), False)
