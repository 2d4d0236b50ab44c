"""Operations that reduce over elements, and products of matrices."""

from __future__ import annotations

import math

from msgspec.structs import replace

from gradlint.records.finding import UNMEASURED
from gradlint.semantics.likeness import parallel
from gradlint.semantics.ops.table import transfer
from gradlint.semantics.tensor import (
    CALL,
    TOP,
    Application,
    Facts,
    Tensor,
    Witness,
    made,
    origin,
    producer,
)
from gradlint.semantics.value import Constructed, Value

_SUM = "a sum of terms of one sign"
_MENDING = ("masked_select", "index_put", "masked_fill", "where", "clamp_min", "maximum")
"""Primitives by which a zero row may have been seen to."""

_FEATURES = "computed features"
_ORDERS = frozenset({"lt", "le", "gt", "ge"})
_EQUAL_ROWS = frozenset({"equal rows"})
_NAMED = {"a square": "a sum of squares", "an absolute value": "a sum of absolute values"}


def _is_axis_like(a: Application, position: int) -> bool:
    """Whether an operand can be an axis or an order: not something that depends on an input."""
    value = a.value(position)
    return not (isinstance(value, Tensor) and value.roots and value.grad is not False)


@transfer("sum", "nansum", keeps_zero=True)
def total(a: Application) -> Facts | None:
    """Σx: of terms that cannot be negative it is zero where all are."""
    if a.form == "method" and not _is_axis_like(a, 1):
        return None
    x = a.facts(0)
    if x.boolean:
        is_rare = not a.has(1, "dim") and _is_given(a.value(0))
        return Facts(0.0, zero=Witness("a count", "all masked", is_rare), count=True)
    if _is_product_of_unit_rows(a):
        factors = made(a.value(0), "mul")
        assert factors is not None
        return Facts(-1.0, 1.0, one=parallel(factors.value(0), factors.value(1, "other")))
    if x.lo >= 0:
        zero = _across_softmax(a) if _is_softmax(x) else _all_zero(a, x) or _squared_features(a)
        return Facts(x.lo, math.inf, zero)
    return Facts(hi=0.0 if x.hi <= 0 else math.inf)


def _is_given(mask: Value | None) -> bool:
    """Whether a mask is an input as such, or made of lengths: it hardly ever covers a whole batch."""
    found = producer(origin(mask))
    while found is not None and found.primitive == "as_bool" and found.facts(0).boolean:
        found = producer(origin(found.value(0)))
    if found is None:
        return True
    sides = [origin(found.value(0)), origin(found.value(1, "other"))]
    return found.primitive in _ORDERS and any(made(side, "arange") is not None for side in sides)


def _squared_features(a: Application) -> Witness | None:
    """A witness, if a weak one, that the squares of something that is computed are 0 all at once."""
    square = made(a.value(0), "square", "pow")
    squared = square.value(0) if square is not None else None
    if not isinstance(squared, Tensor) or squared.facts != TOP or _is_own(squared):
        return None
    return Witness(f"a sum of squares of {_FEATURES}", UNMEASURED, True)


def _is_own(value: Tensor) -> bool:
    """Whether nothing but parameters makes `value`."""
    return all(root.startswith("self.") for root in value.roots)


def _is_product_of_unit_rows(a: Application) -> bool:
    factors = made(a.value(0), "mul")
    return (
        factors is not None and a.has(1, "dim") and factors.facts(0).unit and factors.facts(1, "other").unit
    )


def _across_softmax(a: Application) -> Witness | None:
    """A witness that all probabilities of one class are 0: of a reduction over another axis than theirs."""
    softmax = made(a.value(0), "softmax")
    if softmax is None or not a.has(1, "dim"):
        return None
    own, other = softmax.constant(1, "dim"), a.constant(1, "dim")
    if not isinstance(own, int) or not isinstance(other, int) or own == other:
        return None
    differ = (own < 0) == (other < 0) or {own, other} == {0, -1}
    return Witness("a mean of softmax outputs", "large inputs") if differ else None


def _all_zero(a: Application, x: Facts) -> Witness | None:
    """A witness that all of the elements that are taken together are 0: those of a row, or of all rows."""
    every_row = x.vanishes - {"randn"}
    zero = x.vanishing(_SUM) if a.has(1, "dim") else replace(x, vanishes=every_row).vanishing(_SUM)
    return zero and Witness(_NAMED.get(zero.reason, zero.reason), zero.condition)


@transfer(
    "mean",
    "nanmean",
    "cumsum",
    "avg_pool1d",
    "avg_pool2d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool1d",
    keeps_zero=True,
)
def average(a: Application) -> Facts | None:
    """Means and running sums keep the sign."""
    if a.form == "method" and not _is_axis_like(a, 1):
        return None
    x = a.facts(0)
    if x.boolean:
        return Facts(0.0, 1.0, Witness("a share", "all masked"))
    zero = (_across_softmax(a) if _is_softmax(x) else _all_zero(a, x)) if x.lo >= 0 else None
    if a.primitive != "cumsum":
        return Facts(x.lo, x.hi, zero)
    return Facts(x.lo if x.lo >= 0 else -math.inf, x.hi if x.hi <= 0 else math.inf, zero)


@transfer("amax", "amin", "max", "min", "median", "values")
def extreme(a: Application) -> Facts | None:
    """An extreme lies in the interval of the elements."""
    x = a.facts(0)
    if len(a.operands) > 1 and isinstance(a.value(1), Tensor) and a.primitive in ("max", "min"):
        y = a.facts(1)
        return Facts(min(x.lo, y.lo), max(x.hi, y.hi), vanishes=x.vanishes & y.vanishes)
    zero = x.vanishing("a maximum") if a.primitive in ("max", "amax") and x.lo >= 0 else x.zero
    return Facts(x.lo, x.hi, zero, x.one, vanishes=x.vanishes)


def _is_softmax(x: Facts) -> bool:
    """Whether the elements are probabilities of a softmax: they sum to 1, and one is not small."""
    return x.hi == 1 and x.zero is not None and x.zero.reason == "a softmax output"


@transfer("norm", keeps_zero=True)
def norm(a: Application) -> Facts | None:
    """‖x‖ ≥ 0: zero for the zero vector."""
    if a.form == "method" and not _is_axis_like(a, 1):
        return None
    x = a.facts(0)
    is_mended = producer(origin(a.value(0)), *_MENDING) is not None
    is_told = x.lo >= 0 and not x.vanishes and (x.zero is None or x.hi == 1)
    if is_mended or is_told or not x.lo <= 0 <= x.hi:
        return Facts(0.0)
    is_rare = not (x.zero or _may_be_padding(a.value(0)))
    unmeasured = Witness(f"the norm of {_FEATURES}" if is_rare else "a norm", UNMEASURED, is_rare)
    return Facts(0.0, zero=x.vanishing("a norm") or unmeasured)


def _may_be_padding(value: Value | None) -> bool:
    """Whether `value` is looked up in an embedding whose row for padding is 0."""
    found = producer(origin(value), CALL)
    module = found.value(0) if found is not None else None
    return isinstance(module, Constructed) and "padding_idx" in module.keywords


@transfer("cdist")
def distance(a: Application) -> Facts:
    """A distance: zero between equal rows."""
    x, y = a.facts(0), a.facts(1, "x2")
    can_meet = x.lo <= y.hi and y.lo <= x.hi
    return Facts(0.0, zero=Witness("a distance", "equal rows") if can_meet else None)


@transfer("pairwise_distance")
def shifted_distance(a: Application) -> Facts:
    """‖x - y + ε‖: not zero between equal rows."""
    return Facts(0.0)


@transfer("std", keeps_zero=True)
def deviation(a: Application) -> Facts | None:
    """A standard deviation: zero for constant input."""
    if a.form == "method" and not _is_axis_like(a, 1):
        return None
    return Facts(0.0, zero=Witness("a standard deviation", "equal rows"), vanishes=_EQUAL_ROWS)


@transfer("var", keeps_zero=True)
def variance(a: Application) -> Facts | None:
    """A variance: zero for constant input."""
    if a.form == "method" and not _is_axis_like(a, 1):
        return None
    return Facts(0.0, zero=Witness("a variance", "equal rows"), vanishes=_EQUAL_ROWS)


@transfer("count_nonzero", differentiable=False)
def count_nonzero(a: Application) -> Facts:
    """A number of elements: zero if there are none."""
    x = a.facts(0)
    return Facts(0.0, zero=Witness("a count", "all masked") if x.lo <= 0 <= x.hi else None, count=True)


@transfer(
    "any",
    "all",
    "argmax",
    "argsort",
    "argwhere",
    "histc",
    "isin",
    "argmin",
    "numel",
    "size",
    "dim",
    "item",
    "tolist",
    "numpy",
    differentiable=False,
)
def untracked(a: Application) -> Facts:
    """Results that carry no gradient and of which nothing else is known."""
    return Facts()


@transfer("matmul", "dot", "inner", "vdot", "einsum", "linear")
def product(a: Application) -> Facts:
    """Sums of products, zero where either factor is: of unit rows a cosine."""
    first = 1 if a.primitive == "einsum" else 0
    if a.primitive == "linear" and a.has(2, "bias"):
        return Facts()
    x, y = a.facts(first), a.facts(first + 1)
    vanishes = x.vanishes | y.vanishes
    if x.unit and y.unit:
        return Facts(-1.0, 1.0, one=parallel(a.value(first), a.value(first + 1)), vanishes=vanishes)
    return Facts(0.0 if x.lo >= 0 and y.lo >= 0 else -math.inf, vanishes=vanishes)


@transfer("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def convolution(a: Application) -> Facts:
    """Sums of products; without a bias zero where the signal is."""
    return Facts() if a.has(2, "bias") else Facts(vanishes=a.facts(0).vanishes)


@transfer(
    "stft",
    "istft",
    "view_as_real",
    "view_as_complex",
    "imag",
    "interpolate",
    "torch.fft.fft",
    "torch.fft.rfft",
    keeps_zero=True,
)
def linear_map(a: Application) -> Facts:
    """Linear in the first operand, so zero where that is."""
    return Facts()


@transfer("logsumexp")
def logsumexp(a: Application) -> Facts:
    """log Σ eˣ, computed safely."""
    return Facts()


@transfer("prod", "cumprod", keeps_zero=True)
def multiplied(a: Application) -> Facts:
    """Πx is zero where a factor is, not negative if no factor is, and stays within ±1."""
    x = a.facts(0)
    hi = 1.0 if x.lo >= -1 and x.hi <= 1 else math.inf
    return Facts(0.0 if x.lo >= 0 else -hi, hi, x.zero)
