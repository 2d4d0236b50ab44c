"""Values that were rebuilt from a computed one, so that no gradient comes back to what computed it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from gradlint.semantics.interpretation import Operand
from gradlint.semantics.objects import LEAVES
from gradlint.semantics.ops import NON_DIFFERENTIABLE
from gradlint.semantics.tensor import CALL, REARRANGING, Application, Tensor, made, producer
from gradlint.semantics.value import Items, Value

_FAR = 512
SAME = REARRANGING | {"requires_grad_", ".scale", "scale", "either"}
"""Steps that a loss goes through and stays what it is."""

_LINEAR = frozenset({"add", "sub", "mul", "div", "neg", "mean", "sum", "stack", "cat"})
CUTTING = frozenset({"tensor", "as_tensor", "Variable", "detach", "item", "numpy", "tolist", "from_numpy"})
"""Steps past which no gradient comes back."""

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
    for start in _starts(value):
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
    if source is None or not isinstance(source.value, Tensor) or source.value.grad is False:
        return None
    return source if _is_of_torch(source.value, _FAR) else None


def _is_of_torch(value: Value | None, far: int) -> bool:
    """Whether a module or a function of torch stands behind `value`, so that it is a tensor."""
    made = producer(value)
    if made is None or far == 0 or made.primitive in NON_DIFFERENTIABLE:
        return False
    is_certain = made.primitive == CALL or made.form in ("function", "module")
    return is_certain or any(_is_of_torch(operand.value, far // 2) for operand in made.operands)


def _starts(value: Value) -> Iterator[Start]:
    """The values that a loss was put together from by steps which do not hide what it is."""
    pending, seen = [Start(value, True)], set[tuple[int, bool]]()
    while pending and len(seen) < _FAR:
        start = pending.pop()
        key = _number(start.value), start.plain
        if key in seen:
            continue
        seen.add(key)
        maker = producer(start.value)
        if isinstance(start.value, Items):
            pending.extend(Start(item, False) for item in reversed(start.value.items))
        elif maker is None or not _is_passed(maker):
            yield start
        else:
            plain = start.plain and maker.primitive in SAME
            pending.extend(Start(operand, plain) for operand in reversed(passed(maker)))


def _number(value: Value) -> int:
    return value.number if isinstance(value, Tensor) else -id(value)


def _is_passed(maker: Application) -> bool:
    if maker.primitive == "requires_grad_":
        return _is_derived(maker.value(0)) and not _is_blind(maker.value(0))
    return maker.primitive in SAME or maker.primitive in _LINEAR


def passed(maker: Application) -> list[Value]:
    """The operands whose elements a step hands on."""
    if maker.primitive in (".scale", "scale") and len(maker.operands) > 1:
        return [maker.operands[1].value]
    count = 1 if maker.primitive in _FIRST_ONLY else len(maker.operands)
    return [operand.value for operand in maker.operands[:count]]


def _is_blind(value: Value | None) -> bool:
    """Whether `value` was computed by something without a gradient, such as a comparison."""
    maker = producer(value)
    while maker is not None and maker.primitive in SAME | _LINEAR:
        maker = producer(maker.value(0))
    return maker is not None and maker.primitive in NON_DIFFERENTIABLE - CUTTING - LEAVES


def _cut(start: Start) -> Application | None:
    """What cut a start from its own past, if that is worth a gradient."""
    maker = producer(start.value)
    if maker is None or (maker.primitive not in CUTTING and maker.primitive != "requires_grad_"):
        return None
    source = maker.value(0, "data")
    return maker if (_is_derived(source) if start.plain else is_computed(source)) else None


def _is_live(value: Value) -> bool:
    return isinstance(value, Tensor) and value.grad is not False


def _is_derived(value: Value | None) -> bool:
    """Whether `value` is neither a constant nor freshly drawn."""
    return any(
        _is_step(each) or (each.producer is None and bool(each.roots)) for each in _tensors_behind(value)
    )


def is_computed(value: Value | None) -> bool:
    """Whether a gradient-carrying operation stands somewhere behind `value`."""
    return any(map(_is_step, _tensors_behind(value)))


def _is_step(value: Tensor) -> bool:
    return value.producer is not None and value.grad is not False and value.producer.primitive not in LEAVES


def _tensors_behind(value: Value | None) -> Iterator[Tensor]:
    """`value` and all that it was made of."""
    pending, seen = [value], set[int]()
    while pending and len(seen) < _FAR:
        current = pending.pop()
        if isinstance(current, Items):
            pending.extend(current.items)
        elif isinstance(current, Tensor) and id(current) not in seen:
            seen.add(id(current))
            yield current
            if current.producer is not None:
                pending.extend(operand.value for operand in current.producer.operands)
