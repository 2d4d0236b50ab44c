"""Values that were rebuilt from a computed one, so that no gradient comes back to what computed it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from gradlint.semantics.interpretation import Operand
from gradlint.semantics.objects import LEAVES
from gradlint.semantics.ops import NON_DIFFERENTIABLE
from gradlint.semantics.tensor import REARRANGING, Application, Tensor, made, producer
from gradlint.semantics.value import Items, Value

_FAR = 24
_SAME = REARRANGING | {"requires_grad_", ".scale", "scale", "either"}
_LINEAR = frozenset({"add", "sub", "mul", "div", "neg", "mean", "sum", "stack", "cat"})
_CUTTING = frozenset({"tensor", "as_tensor", "Variable", "detach", "item", "numpy", "tolist", "from_numpy"})
_UNDRESSING = ("detach", "item", "cpu", "numpy", "clone", "requires_grad_")
_FIRST_ONLY = frozenset({"div"}) | REARRANGING


class Start(Struct, frozen=True, eq=False):
    """A value at which a graph begins; `plain` if only steps that change no element lead from it."""

    value: Value
    plain: bool


class Cut(Struct, frozen=True, eq=False):
    """`application` made a new start out of a computed value; `whole` if of that alone."""

    application: Application
    whole: bool


def severed(value: Value) -> Cut | None:
    """What cut `value` from the graph of all that computed it, or None if a gradient may come back."""
    found: Cut | None = None
    for start in _starts(value, True, _FAR):
        cut = _cut(start)
        if cut is not None:
            found = found or Cut(cut, start.plain)
        elif _is_live(start.value):
            return None
    return found


def loss_of(backward: Application) -> Value:
    """What a call of backward differentiates: its receiver, or the argument of an accelerator's method."""
    first = backward.operands[0].value
    is_tensor = isinstance(first, Tensor) and first.producer is not None
    return first if is_tensor or len(backward.operands) == 1 else backward.operands[1].value


def original(cut: Application) -> Operand | None:
    """The differentiable value that a cut rebuilt, where it can be named."""
    if cut.primitive == "requires_grad_":
        return None
    source = cut.operand(0, "data")
    while source is not None and (step := made(source.value, *_UNDRESSING)) is not None:
        source = step.operands[0]
    is_live = source is not None and isinstance(source.value, Tensor) and source.value.grad is not False
    return source if is_live else None


def _starts(value: Value, plain: bool, far: int) -> Iterator[Start]:
    """The values that a loss was put together from by steps which do not hide what it is."""
    if isinstance(value, Items):
        for item in value.items:
            yield from _starts(item, False, far - 1)
        return
    maker = producer(value)
    if maker is None or far == 0 or not _is_passed(maker):
        yield Start(value, plain)
        return
    for operand in _passed(maker):
        yield from _starts(operand, plain and maker.primitive in _SAME, far - 1)


def _is_passed(maker: Application) -> bool:
    if maker.primitive == "requires_grad_":
        return maker.value(0) is not None and not _is_blind(maker.value(0))
    return maker.primitive in _SAME or maker.primitive in _LINEAR


def _passed(maker: Application) -> list[Value]:
    if maker.primitive in (".scale", "scale") and len(maker.operands) > 1:
        return [maker.operands[1].value]
    count = 1 if maker.primitive in _FIRST_ONLY else len(maker.operands)
    return [operand.value for operand in maker.operands[:count]]


def _is_blind(value: Value | None) -> bool:
    """Whether `value` was computed by something without a gradient, such as a comparison."""
    maker = producer(value)
    while maker is not None and maker.primitive in _SAME | _LINEAR:
        maker = producer(maker.value(0))
    return maker is not None and maker.primitive in NON_DIFFERENTIABLE - _CUTTING - LEAVES


def _cut(start: Start) -> Application | None:
    """What cut a start from its own past, if that is worth a gradient."""
    maker = producer(start.value)
    if maker is None or (maker.primitive not in _CUTTING and maker.primitive != "requires_grad_"):
        return None
    source = maker.value(0, "data")
    return maker if (_is_derived(source) if start.plain else _is_computed(source, _FAR)) else None


def _is_live(value: Value) -> bool:
    return isinstance(value, Tensor) and value.grad is not False


def _is_derived(value: Value | None) -> bool:
    """Whether `value` is neither a constant nor freshly drawn."""
    if isinstance(value, Items):
        return any(_is_derived(item) for item in value.items)
    maker = producer(value)
    if maker is None:
        return isinstance(value, Tensor) and bool(value.roots)
    return _is_computed(value, _FAR) or any(_is_derived(operand.value) for operand in maker.operands)


def _is_computed(value: Value | None, far: int) -> bool:
    """Whether a gradient-carrying operation stands somewhere behind `value`."""
    if isinstance(value, Items):
        return any(_is_computed(item, far) for item in value.items)
    maker = producer(value)
    if maker is None or far == 0:
        return False
    is_step = isinstance(value, Tensor) and value.grad is not False and maker.primitive not in LEAVES
    return is_step or any(_is_computed(operand.value, far - 1) for operand in maker.operands)
