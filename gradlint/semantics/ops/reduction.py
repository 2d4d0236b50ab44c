"""Operations that reduce over elements, and products of matrices."""

from __future__ import annotations

import math

from gradlint.semantics.ops.table import transfer
from gradlint.semantics.tensor import Application, Facts, Tensor, Witness

_NAMED = {"a square": "a sum of squares", "an absolute value": "a sum of absolute values"}


def _is_axis_like(a: Application, position: int) -> bool:
    """Whether an operand can be an axis or an order: not something that depends on an input."""
    value = a.value(position)
    return not (isinstance(value, Tensor) and value.roots and value.grad is not False)


@transfer("sum", "nansum")
def total(a: Application) -> Facts | None:
    """Σx: of terms that cannot be negative it is zero where all are."""
    if a.form == "method" and not _is_axis_like(a, 1):
        return None
    x = a.facts(0)
    if x.boolean:
        return Facts(0.0, zero=Witness("a count", "all masked"), count=True)
    if x.lo >= 0:
        zero = None if _is_softmax(x) else _named(x.zero)
        return Facts(x.lo, math.inf, zero)
    return Facts(hi=0.0 if x.hi <= 0 else math.inf)


def _named(zero: Witness | None) -> Witness | None:
    return zero and Witness(_NAMED.get(zero.reason, zero.reason), zero.condition)


@transfer(
    "mean", "nanmean", "cumsum", "avg_pool1d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_avg_pool1d"
)
def average(a: Application) -> Facts | None:
    """Means and running sums keep the sign."""
    if a.form == "method" and not _is_axis_like(a, 1):
        return None
    x = a.facts(0)
    if x.boolean:
        return Facts(0.0, 1.0, Witness("a share", "all masked"))
    hi = math.inf if a.primitive == "cumsum" and x.hi > 0 else x.hi
    return Facts(x.lo, hi, _named(x.zero) if x.lo >= 0 else None)


@transfer("amax", "amin", "max", "min", "median", "values")
def extreme(a: Application) -> Facts | None:
    """An extreme lies in the interval of the elements."""
    x = a.facts(0)
    if len(a.operands) > 1 and isinstance(a.value(1), Tensor) and a.primitive in ("max", "min"):
        y = a.facts(1)
        return Facts(min(x.lo, y.lo), max(x.hi, y.hi))
    zero = None if a.primitive in ("max", "amax") and _is_softmax(x) else x.zero
    return Facts(x.lo, x.hi, zero, x.one)


def _is_softmax(x: Facts) -> bool:
    """Whether the elements are probabilities of a softmax: they sum to 1, and one is not small."""
    return x.hi == 1 and x.zero is not None and x.zero.reason == "a softmax output"


@transfer("norm")
def norm(a: Application) -> Facts | None:
    """‖x‖ ≥ 0: zero for the zero vector."""
    if a.form == "method" and not _is_axis_like(a, 1):
        return None
    return Facts(0.0, zero=Witness("a norm", "zeros"))


@transfer("cdist", "pairwise_distance")
def distance(a: Application) -> Facts:
    """A distance: zero between equal rows."""
    return Facts(0.0, zero=Witness("a distance", "equal rows"))


@transfer("std")
def deviation(a: Application) -> Facts | None:
    """A standard deviation: zero for constant input."""
    if a.form == "method" and not _is_axis_like(a, 1):
        return None
    return Facts(0.0, zero=Witness("a standard deviation", "equal rows"))


@transfer("var")
def variance(a: Application) -> Facts | None:
    """A variance: zero for constant input."""
    if a.form == "method" and not _is_axis_like(a, 1):
        return None
    return Facts(0.0, zero=Witness("a variance", "equal rows"))


@transfer("count_nonzero", differentiable=False)
def count_nonzero(a: Application) -> Facts:
    """A number of elements: zero if there are none."""
    return Facts(0.0, zero=Witness("a count", "all masked"), count=True)


@transfer(
    "any", "all", "argmax", "argmin", "numel", "size", "dim", "item", "tolist", "numpy", differentiable=False
)
def untracked(a: Application) -> Facts:
    """Results that carry no gradient and of which nothing else is known."""
    return Facts()


@transfer("matmul", "dot", "inner", "vdot", "einsum")
def product(a: Application) -> Facts:
    """Sums of products: of unit rows a cosine, of one vector with itself a sum of squares."""
    first = 1 if a.primitive == "einsum" else 0
    x, y = a.facts(first), a.facts(first + 1)
    if x.unit and y.unit:
        return Facts(-1.0, 1.0, one=Witness("a cosine similarity", "equal rows"))
    return Facts(0.0 if x.lo >= 0 and y.lo >= 0 else -math.inf)


@transfer("logsumexp")
def logsumexp(a: Application) -> Facts:
    """log Σ eˣ, computed safely."""
    return Facts()


@transfer("prod", "cumprod")
def multiplied(a: Application) -> Facts:
    """Πx keeps being non-negative and is zero where a factor is."""
    x = a.facts(0)
    return Facts(0.0 if x.lo >= 0 else -math.inf, math.inf if x.hi > 1 else max(x.hi, 0.0), x.zero)
