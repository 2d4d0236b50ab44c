"""Operations that move elements about, and those that only look at them."""

from __future__ import annotations

import math

from msgspec.structs import replace

from gradlint.semantics.ops.table import transfer
from gradlint.semantics.tensor import REARRANGING, Application, Facts, Witness, facts_of
from gradlint.semantics.value import Items


@transfer(*sorted(REARRANGING))
def same_elements(a: Application) -> Facts:
    """The same elements in another shape, order, type or place."""
    facts = a.facts(0)
    if facts.boolean and a.primitive in ("to", "float", "double", "half", "bfloat16"):
        return replace(facts, dtype="")
    return facts


@transfer("detach", "Variable", differentiable=False)
def detach(a: Application) -> Facts:
    """The same values without their history."""
    return a.facts(0)


@transfer("int", "long", differentiable=False)
def integer(a: Application) -> Facts:
    """The same values rounded towards zero."""
    x = a.facts(0)
    lo = math.floor(x.lo) if 0 < x.lo < math.inf else x.lo
    hi = math.ceil(x.hi) if -math.inf < x.hi < 0 else x.hi
    return replace(x, lo=lo, hi=hi, zero=None, one=None)


@transfer("short", "byte", differentiable=False)
def small_integer(a: Application) -> Facts:
    """Large values come out as any others."""
    return Facts()


@transfer("cat", "stack")
def joined(a: Application) -> Facts:
    """Elements of all parts."""
    parts = a.value(0, "tensors")
    if not isinstance(parts, Items) or not parts.items:
        return Facts()
    facts = facts_of(parts.items[0])
    for part in parts.items[1:]:
        facts = facts.joined(facts_of(part))
    return facts


@transfer("triu", "tril", "pad", keeps_zero=True)
def zeroed(a: Application) -> Facts:
    """Some elements are replaced by zero."""
    x = a.facts(0)
    return Facts(min(x.lo, 0.0), max(x.hi, 0.0), boolean=x.boolean)


@transfer("dropout", "dropout1d", "dropout2d", "dropout3d", keeps_zero=True)
def dropout(a: Application) -> Facts:
    """Some elements are zero, the others grow."""
    x = a.facts(0)
    lo = 0.0 if x.lo >= 0 else float("-inf")
    return Facts(lo, zero=Witness("a dropped element", "any") if x.zero else None)


@transfer("alpha_dropout")
def alpha_dropout(a: Application) -> Facts:
    """Some elements take the value of a saturated SELU."""
    return Facts()


@transfer(
    "arange",
    "linspace",
    "logspace",
    "eye",
    "full",
    "zeros",
    "ones",
    "empty",
    "randn",
    "randint",
    "randperm",
    "zeros_like",
    "ones_like",
    "full_like",
    "empty_like",
    "randn_like",
    "new",
    "new_empty",
    "new_zeros",
    "new_ones",
    "new_full",
    "new_tensor",
    "one_hot",
    "bincount",
    "nonzero",
    "searchsorted",
    "bucketize",
    "unique",
    "tensor",
    "as_tensor",
    "from_numpy",
    "bernoulli",
    "multinomial",
    "triu_indices",
    "tril_indices",
    "hann_window",
    "hamming_window",
    "torch.nn.Parameter",
    differentiable=False,
)
def created(a: Application) -> Facts:
    """New data: no gradient flows into it."""
    return Facts()


RANDOM = frozenset(
    {
        "alpha_dropout",
        "bernoulli",
        "dropout",
        "dropout1d",
        "dropout2d",
        "dropout3d",
        "empty",
        "empty_like",
        "gumbel_softmax",
        "multinomial",
        "normal",
        "rand",
        "rand_like",
        "randint",
        "randn",
        "randn_like",
        "randperm",
    }
)
"""Primitives that give something else each time."""


@transfer("rand", "rand_like", differentiable=False)
def uniform(a: Application) -> Facts:
    """Uniform on [0, 1): zero is drawn once in 2²⁴ float32 elements."""
    return Facts(0.0, 1.0)


_WITH_INDICES = frozenset({"sort", "topk", "cummax", "cummin", "kthvalue", "mode"})


@transfer("indices", differentiable=False)
def indices(a: Application) -> Facts:
    """Where the elements were found."""
    return Facts()


def indices_of(a: Application, key: object) -> str | None:
    """The primitive of the second output of an operation that also tells where it found its elements."""
    if key not in (1, "indices"):
        return None
    along_axis = a.primitive in ("max", "min", "median") and isinstance(a.constant(1, "dim"), int)
    return "indices" if a.primitive in _WITH_INDICES or along_axis else None


def moment_of(primitive: str, key: object) -> str | None:
    """The primitive of one output of std_mean and var_mean."""
    if primitive not in ("std_mean", "var_mean") or key not in (0, 1):
        return None
    return "mean" if key == 1 else primitive.removesuffix("_mean")
