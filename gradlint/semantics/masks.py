"""Masks: whether one may cover a whole row, and what a fill with -inf does to a softmax."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gradlint.semantics.interpretation import Operand
from gradlint.semantics.tensor import REARRANGING, Application, Tensor, producer, same
from gradlint.semantics.value import Known, Value

_FAR = 1024
"""How many values behind another are looked at; what was made of several shares it out among them."""

_PASSING = (REARRANGING | {"as_bool", "int", "long", "byte", "detach"}) - {"diag", "diagonal", "sort", "topk"}


class Rows(NamedTuple):
    """Whether some row of a truth value can be true throughout, and whether one can be false throughout;
    `free` tells that it can be any row.
    """

    full: bool
    empty: bool
    free: bool = False

    def inverted(self) -> Rows:
        """The rows of the negation."""
        return Rows(self.empty, self.full, self.free)


FREE = Rows(True, True, True)
NEITHER = Rows(False, False)
"""Of something that comes from outside, and of something that is not understood."""


def rows(value: Value | None, far: int = _FAR) -> Rows:
    """What rows a mask may have; of what is not understood neither kind is claimed."""
    if isinstance(value, Known) and isinstance(value.value, (bool, int, float)):
        return Rows(bool(value.value), not value.value)
    if not isinstance(value, Tensor) or far == 0:
        return NEITHER
    made = value.producer
    if made is None:
        return FREE if any(not root.startswith("self.") for root in value.roots) else NEITHER
    if made.primitive in _PASSING:
        return rows(made.value(0), far - 1)
    rule = _ROWS.get(made.primitive)
    return rule(made, far // (len(made.operands) + 1)) if rule is not None else NEITHER


def _inverted(a: Application, far: int) -> Rows:
    return rows(a.value(0), far).inverted()


def _both(a: Application, far: int) -> Rows:
    x, y = rows(a.value(0), far), rows(a.value(1, "other"), far)
    return Rows(x.full and y.full and (x.free or y.free), x.empty or y.empty, x.free and y.free)


def _any(a: Application, far: int) -> Rows:
    x, y = rows(a.value(0), far), rows(a.value(1, "other"), far)
    return Rows(x.full or y.full, x.empty and y.empty and (x.free or y.free), x.free and y.free)


def _either(a: Application, far: int) -> Rows:
    """One of several masks: where one is not understood, it may be there to keep rows from being covered."""
    found = [rows(operand.value, far) for operand in a.operands]
    return NEITHER if NEITHER in found else Rows(any(r.full for r in found), any(r.empty for r in found))


def _subtracted(a: Application, far: int) -> Rows:
    """1 - mask."""
    return rows(a.value(1, "other"), far).inverted() if a.constant(0) == 1 else NEITHER


def _compared(a: Application, far: int) -> Rows:
    """A comparison with a constant, or of one position with another."""
    other = a.value(1, "other")
    if _is_position(a.value(0)) and _is_position(other):
        return Rows(True, False) if a.primitive in ("le", "ge") else Rows(False, a.primitive in ("lt", "gt"))
    x = rows(a.value(0), far)
    if not isinstance(other, Known):
        is_scalar = isinstance(other, Tensor) and other.producer is None
        return FREE if is_scalar and x == FREE and _is_input(a.value(0)) else NEITHER
    if x == FREE and _is_input(a.value(0)):
        return FREE
    kept = (a.primitive, other.value) in (("eq", 1), ("ne", 0), ("gt", 0), ("gt", 0.5), ("ge", 1))
    turned = (a.primitive, other.value) in (("eq", 0), ("ne", 1), ("lt", 1), ("lt", 0.5), ("le", 0))
    return x if kept else x.inverted() if turned else NEITHER


def _is_input(value: Value | None) -> bool:
    made = producer(value)
    return made is None or (made.primitive in _PASSING and _is_input(made.value(0)))


def _is_position(value: Value | None) -> bool:
    made = producer(value)
    return made is not None and (
        made.primitive == "arange" or (made.primitive in _PASSING and _is_position(made.value(0)))
    )


def _triangle(a: Application, far: int) -> Rows:
    """tril and triu of a mask of ones: the first or the last row may be empty, one row may be full."""
    diagonal = a.constant(1, "diagonal") if a.has(1, "diagonal") else 0
    base = rows(a.value(0), far)
    if not isinstance(diagonal, int) or base != Rows(True, False):
        return NEITHER
    shift = diagonal if a.primitive == "triu" else -diagonal
    return Rows(shift <= 0, shift > 0)


def _constant(full: bool) -> Callable[[Application, int], Rows]:
    return lambda a, far: Rows(full, not full)


def _filled(a: Application, far: int) -> Rows:
    position = 0 if a.primitive == "tensor" else 1
    value = a.constant(position, "fill_value")
    return Rows(bool(value), not value) if isinstance(value, (bool, int, float)) else NEITHER


_ROWS: dict[str, Callable[[Application, int], Rows]] = {
    "invert": _inverted,
    "not": _inverted,
    "sub": _subtracted,
    "and_": _both,
    "mul": _both,
    "or_": _any,
    "add": _any,
    "either": _either,
    "tril": _triangle,
    "triu": _triangle,
    "ones": _constant(True),
    "ones_like": _constant(True),
    "new_ones": _constant(True),
    "zeros": _constant(False),
    "zeros_like": _constant(False),
    "new_zeros": _constant(False),
    "eye": lambda a, far: NEITHER,
    "full": _filled,
    "full_like": _filled,
    "new_full": _filled,
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge"), _compared),
}


class Grounds(IntEnum):
    """Why a row may be covered: the mask is given from outside, two masks are joined that leave
    different places, or a mask of queries is crossed with one of keys.
    """

    GIVEN = 0
    JOINED = 1
    CROSSED = 2


def _grounds(mask: Value | None, far: int = _FAR) -> Grounds:
    """The strongest grounds for which a mask that may cover a row does so."""
    made = producer(mask)
    if made is None or far == 0:
        return Grounds.GIVEN
    own = Grounds.GIVEN
    if made.primitive in ("and_", "or_", "mul", "add") and len(made.operands) == 2:
        first, second = made.value(0), made.value(1)
        if not same(first, second) and same(_base(first), _base(second)):
            own = Grounds.CROSSED
        elif FREE in (rows(first), rows(second)) and rows(first) != rows(second):
            own = Grounds.JOINED
    limit = far // len(made.operands) if len(made.operands) > 1 else far - 1
    return max([own, *[_grounds(operand.value, limit) for operand in made.operands]])


def _base(mask: Value | None) -> Value | None:
    """The mask before it was moved into another shape."""
    made = producer(mask)
    while made is not None and made.primitive in _PASSING:
        mask = made.value(0)
        made = producer(mask)
    return mask


class Fill(Struct, frozen=True, eq=False):
    """`application` puts -inf wherever `mask` is true (false if `inverted`); some row may get it throughout.

    `value` is the expression of -inf. `added` is a term that is added afterwards: unlike the scores
    that were overwritten, it gets the gradient of the row.
    """

    application: Application
    mask: Value
    value: Operand
    added: Tensor | None = None
    grounds: Grounds = Grounds.GIVEN


def fills(value: Value | None, far: int = _FAR) -> Iterator[Fill]:
    """The fills with -inf behind the scores `value` that may leave a row without a finite score."""
    made = producer(value)
    if made is None or far == 0:
        return
    if (found := _fill(made)) is not None:
        mask, filled, scores, covers = found
        if not _is_lowest(filled.value):
            return
        if covers:
            grounds = max(_grounds(mask), Grounds.JOINED if _is_filled(scores, far - 1) else Grounds.GIVEN)
            yield Fill(made, mask, filled, grounds=grounds)
        yield from fills(scores, far - 1)
    elif made.primitive == "add":
        terms = (made.value(0), made.value(1, "other"))
        for term, other in (terms, terms[::-1]):
            for fill in fills(term, far // 3):
                added = other if isinstance(other, Tensor) and _is_trained(other) else fill.added
                yield replace(fill, added=added)
    elif made.primitive in _SCORES:
        yield from fills(made.value(0), far - 1)
    elif made.primitive == "either":
        for operand in made.operands:
            yield from fills(operand.value, far // (len(made.operands) + 1))


def _is_filled(scores: Value | None, far: int) -> bool:
    """Whether there is -inf in the scores already."""
    made = producer(scores)
    if made is None or far == 0:
        return False
    found = _fill(made)
    if found is not None:
        return _is_lowest(found[1].value)
    if made.primitive == "either":
        return all(_is_filled(operand.value, far // 2) for operand in made.operands)
    return made.primitive in _SCORES and _is_filled(made.value(0), far - 1)


_SCORES = (REARRANGING | {"mul", "div", "sub"}) - {"diag", "diagonal", "sort", "topk"}


def _is_trained(value: Tensor) -> bool:
    return value.grad is not False and (value.grad is True or bool(value.roots))


def _fill(a: Application) -> tuple[Value, Operand, Value | None, bool] | None:
    """The mask of a fill, what it fills in, what it keeps, and whether the mask may cover a row."""
    first, second, third = (a.operand(i, name) for i, name in ((0, "condition"), (1, "mask"), (2, "value")))
    if a.primitive == "where":
        second, third = a.operand(1, "input"), a.operand(2, "other")
    if first is None or second is None or third is None:
        return None
    if a.primitive == "where":
        covered = rows(first.value)
        if _is_lowest(second.value):
            return first.value, second, third.value, covered.full
        return first.value, third, second.value, covered.empty
    if a.primitive == "masked_fill" or (a.primitive == "index_put" and _is_mask(second.value)):
        return second.value, third, first.value, rows(second.value).full
    return None


def _is_mask(value: Value) -> bool:
    made = producer(value)
    if isinstance(value, Tensor) and value.facts.boolean:
        return True
    return made is not None and (made.primitive in ("invert", "as_bool") or made.primitive in ("and_", "or_"))


def _is_lowest(value: Value | None) -> bool:
    """Whether `value` is -inf."""
    if isinstance(value, Known):
        return bool(value.value == -math.inf)
    made = producer(value, "tensor", "as_tensor", "full", "full_like", "new_full", "new_tensor", "to")
    return made is not None and any(_is_lowest(operand.value) for operand in made.operands)
