"""Operations that act on every element by itself."""

from __future__ import annotations

import math
from collections.abc import Callable

from msgspec.structs import replace

from gradlint.records.finding import UNMEASURED
from gradlint.semantics.cosine import cosine_of, is_unit
from gradlint.semantics.expansion import is_squared_distance
from gradlint.semantics.likeness import interchangeable, is_off_diagonal, of_same_rows, parallel
from gradlint.semantics.moderate import stays_within
from gradlint.semantics.ops.table import transfer
from gradlint.semantics.tensor import (
    EVERYWHERE,
    NOWHERE,
    SIGMOID,
    Application,
    Facts,
    Witness,
    facts_of,
    is_input,
    made,
    origin,
    producer,
    same,
)
from gradlint.semantics.value import Known, Value

_EXP_LIMIT = 709.0
_UNDERFLOW = 88.0
_ROUNDS_TO_ONE = 16.0
_TANH_IS_ONE = 10.0


def _exp(x: float) -> float:
    return math.exp(x) if x < _EXP_LIMIT else math.inf


def _log(x: float) -> float:
    return math.log(x) if 0 < x < math.inf else (x if x > 0 else -math.inf)


def _times(x: float, y: float) -> float:
    return 0.0 if x == 0 or y == 0 else x * y


def _products(a: Facts, b: Facts) -> tuple[float, float]:
    corners = [_times(x, y) for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
    return min(corners), max(corners)


def _bounded(lo: float, hi: float, one: Witness | None = None) -> Callable[[Application], Facts]:
    def bounded(a: Application) -> Facts:
        return Facts(lo, hi, one=one)

    return bounded


@transfer("relu", "relu6", keeps_zero=True)
def relu(a: Application) -> Facts:
    """max(0, x): zero wherever x is not positive."""
    x = a.facts(0)
    if x.lo >= 0:
        return x
    zero = x.zero or x.vanishing("a ReLU output") or Witness("a ReLU output", "large inputs")
    return Facts(0.0, max(x.hi, 0.0), zero)


@transfer("abs", keeps_zero=True)
def absolute(a: Application) -> Facts:
    """|x|: zero where x is."""
    x = a.facts(0)
    if x.lo >= 0:
        return x
    hi = max(abs(x.lo), abs(x.hi))
    return Facts(0.0, hi, x.zero or x.vanishing("an absolute value"), x.one)


@transfer("square", keeps_zero=True)
def square(a: Application) -> Facts:
    """x²: zero where x is."""
    return _even_power(a.facts(0), 2)


def _power(x: float, exponent: float) -> float:
    """x to the power of a number, for x ≥ 0 or whole exponents."""
    if x == 0:
        return math.inf if exponent < 0 else 0.0
    try:
        return float(x**exponent)
    except OverflowError:
        return math.inf if x > 0 or exponent % 2 == 0 else -math.inf


def _even_power(x: Facts, exponent: float) -> Facts:
    ends = sorted((_power(abs(x.lo), exponent), _power(abs(x.hi), exponent)))
    if x.lo > 0 or x.hi < 0:
        return Facts(ends[0], ends[1], one=x.one)
    return Facts(0.0, ends[1], x.zero or x.vanishing("a square"), x.one, vanishes=x.vanishes)


@transfer("pow")
def power(a: Application) -> Facts | None:
    """x**n for a constant n: monotone for x ≥ 0 and for odd n."""
    x, exponent = a.facts(0), a.constant(1, "exponent")
    if not isinstance(exponent, (int, float)):
        return Facts(0.0) if x.lo > 0 else Facts()
    if exponent == 0:
        return Facts(1.0, 1.0)
    if exponent > 0 and exponent % 2 == 0:
        return _even_power(x, exponent)
    if x.lo >= 0 or (exponent > 0 and exponent % 2 == 1):
        lo, hi = sorted((_power(x.lo, exponent), _power(x.hi, exponent)))
        is_root = exponent > 0
        return Facts(lo, hi, x.zero if is_root else None, x.one, vanishes=x.vanishes if is_root else NOWHERE)
    return Facts(zero=x.zero, vanishes=x.vanishes) if exponent > 0 else Facts()


@transfer("sqrt", keeps_zero=True)
def sqrt(a: Application) -> Facts:
    """√x: zero where x is; at least 1 where x is."""
    x = a.facts(0)
    lo = math.sqrt(x.lo) if 0 < x.lo < math.inf else 0.0
    hi = math.sqrt(x.hi) if 0 <= x.hi < math.inf else math.inf
    return Facts(lo, hi, x.zero, x.one if x.lo >= 0 else None)


@transfer("rsqrt", "reciprocal")
def reciprocal(a: Application) -> Facts:
    """1/√x and 1/x keep the sign; a bounded positive x keeps them away from zero."""
    x = a.facts(0)
    return Facts(0.0) if x.lo >= 0 else Facts()


@transfer("exp", "exp2")
def exp(a: Application) -> Facts:
    """eˣ and 2ˣ are positive: they may underflow but their logarithm is taken for what it is."""
    x, scale = a.facts(0), 1.0 if a.primitive == "exp" else math.log(2)
    return Facts(_exp(scale * x.lo), _exp(scale * x.hi))


@transfer("softplus")
def softplus(a: Application) -> Facts:
    """log(1 + eˣ) > 0."""
    return Facts(0.0)


def _logistic(x: float) -> float:
    return 1 / (1 + _exp(-x)) if x < 0 else 1 - 1 / (1 + _exp(x))


@transfer("sigmoid")
def sigmoid(a: Application) -> Facts:
    """1/(1 + e⁻ˣ): in float32 it rounds to 0 below -88 and to 1 above 17."""
    x = a.facts(0)
    lo, hi = _logistic(x.lo), _logistic(x.hi)
    if stays_within(a.value(0), _ROUNDS_TO_ONE):
        return Facts(lo, hi)
    low, high = Witness(SIGMOID, "large inputs"), Witness("a saturated sigmoid", "large inputs")
    return Facts(lo, hi, low if x.lo < -_UNDERFLOW else None, high if x.hi > _ROUNDS_TO_ONE else None)


@transfer("hardsigmoid")
def hardsigmoid(a: Application) -> Facts:
    """Clipped line: exactly 0 and 1 beyond ±3."""
    x, large = a.facts(0), Witness("a saturated sigmoid", "large inputs")
    return Facts(0.0, 1.0, large if x.lo <= -3 else None, large if x.hi >= 3 else None)


@transfer("softmax", "softmin")
def softmax(a: Application) -> Facts:
    """Probabilities: those of logits 88 below the largest underflow to 0, the largest rounds to 1."""
    x = a.facts(0)
    if x.hi - x.lo <= _ROUNDS_TO_ONE or stays_within(a.value(0), _ROUNDS_TO_ONE / 2):
        return Facts(0.0, 1.0)
    large = Witness("a softmax output", "large inputs")
    return Facts(0.0, 1.0, None if x.hi - x.lo <= _UNDERFLOW else large, large)


@transfer("gumbel_softmax")
def gumbel_softmax(a: Application) -> Facts:
    """Probabilities of logits with noise, or a one-hot choice."""
    x, large = a.facts(0), Witness("a softmax output", "large inputs")
    is_extreme = x.hi - x.lo > _UNDERFLOW or a.has(2, "hard")
    return Facts(0.0, 1.0, large, large) if is_extreme else Facts(0.0, 1.0)


transfer("log_softmax", "logsigmoid")(_bounded(-math.inf, 0.0))
transfer("sin", "softsign", "erf", keeps_zero=True)(_bounded(-1.0, 1.0))
transfer("acos")(_bounded(0.0, math.pi))
transfer("asin", "atan", keeps_zero=True)(_bounded(-math.pi / 2, math.pi / 2))
transfer("atan2")(_bounded(-math.pi, math.pi))
transfer("acosh")(_bounded(0.0, math.inf))
transfer("atanh", "logit", "erfinv", "digamma", "lgamma")(_bounded(-math.inf, math.inf))


@transfer("hardtanh", keeps_zero=True)
def hardtanh(a: Application) -> Facts:
    """min(max(x, -1), 1)."""
    x = a.facts(0)
    if a.has(1, "min_val") or a.has(2, "max_val"):
        return Facts()
    is_cut = x.lo < -1 or x.hi > 1
    one = Witness("a value clamped at ±1", UNMEASURED) if is_cut else x.one
    return Facts(max(min(x.lo, 1.0), -1.0), min(max(x.hi, -1.0), 1.0), x.zero, one)


@transfer("tanh", keeps_zero=True)
def tanh(a: Application) -> Facts:
    """tanh x is monotone, and rounds to ±1 beyond 10."""
    x = a.facts(0)
    is_large = x.hi > _TANH_IS_ONE or x.lo < -_TANH_IS_ONE
    one = Witness("a tanh output", "large inputs") if is_large else None
    return Facts(math.tanh(x.lo), math.tanh(x.hi), one=one)


@transfer("cos")
def cos(a: Application) -> Facts:
    """cos x: 1 where x is 0."""
    return Facts(-1.0, 1.0, one=a.facts(0).vanishing("the cosine of 0"))


@transfer("log", "log2", "log10")
def log(a: Application) -> Facts:
    """log x is monotone."""
    x = a.facts(0)
    scale = {"log2": math.log(2), "log10": math.log(10)}.get(a.primitive, 1.0)
    return Facts(_log(x.lo) / scale, _log(x.hi) / scale)


@transfer("log1p", keeps_zero=True)
def log1p(a: Application) -> Facts:
    """log(1 + x) is monotone and zero where x is."""
    x = a.facts(0)
    lo = math.log1p(x.lo) if -1 < x.lo < math.inf else -math.inf
    hi = math.log1p(x.hi) if -1 < x.hi < math.inf else math.inf
    return Facts(lo, hi, x.zero)


@transfer(
    "expm1", "gelu", "silu", "elu", "selu", "mish", "leaky_relu", "hardswish", "sinh", "tan", keeps_zero=True
)
def unbounded(a: Application) -> Facts:
    """Functions through the origin of which only that is used."""
    return Facts(zero=a.facts(0).zero)


@transfer("cosh")
def cosh(a: Application) -> Facts:
    """cosh x ≥ 1."""
    return Facts(1.0)


@transfer("neg")
def negate(a: Application) -> Facts:
    """-x."""
    x = a.facts(0)
    return replace(x, lo=-x.hi, hi=-x.lo, boolean=False, count=False)


@transfer("add")
def add(a: Application) -> Facts:
    """x + y: zero only where two terms that cannot be negative both are."""
    if a.has(2, "alpha"):
        return Facts()
    x, y = a.facts(0), a.facts(1, "other")
    lo, hi = x.lo + y.lo, x.hi + y.hi
    if math.isnan(lo) or math.isnan(hi):
        return Facts()
    if y.lo == y.hi == 0:
        return x
    if x.lo == x.hi == 0:
        return y
    vanishes = x.vanishes & y.vanishes
    if x.lo >= 0 and y.lo >= 0 and lo == 0:
        return Facts(lo, hi, _both_zero(x, y), vanishes=vanishes)
    if x.lo == -1 and x.one and y.lo == y.hi == 1:
        return Facts(lo, hi, _opposite(x.one), vanishes=vanishes)
    one = x.zero if y.lo == y.hi == 1 else y.zero if x.lo == x.hi == 1 else None
    return Facts(lo, hi, _expanded_distance(a, vanishes), one, vanishes=vanishes)


def _opposite(one: Witness) -> Witness:
    """A witness for -1: what saturates reaches both ends, but nothing in the battery turns rows round."""
    return one if one.condition == "large inputs" else Witness(one.reason, UNMEASURED)


def _both_zero(x: Facts, y: Facts) -> Witness | None:
    """A witness that two values are zero at once."""
    if x.zero is None or y.zero is None:
        return None
    if x.zero.condition == y.zero.condition:
        return x.zero
    return replace(x, vanishes=x.vanishes & y.vanishes).vanishing(x.zero.reason)


def _expanded_distance(a: Application, vanishes: frozenset[str]) -> Witness | None:
    """A witness that ‖x‖² + ‖y‖² - 2⟨x, y⟩ is zero."""
    return (
        Facts(vanishes=vanishes).vanishing("a squared distance")
        if vanishes and is_squared_distance(a)
        else None
    )


def _is_number(value: Value | None) -> bool:
    """Whether `value` may be subtracted from itself: None stands for what is set later."""
    return not isinstance(value, Known) or isinstance(value.value, (int, float))


@transfer("sub")
def subtract(a: Application) -> Facts:
    """x - y: zero where y reaches the bound x of a saturating function, and between extremes."""
    if a.has(2, "alpha"):
        return Facts()
    x, y = a.facts(0), a.facts(1, "other")
    if same(a.value(0), a.value(1, "other")):
        return facts_of(Known(0)) if _is_number(a.value(0)) else Facts()
    lo, hi = x.lo - y.hi, x.hi - y.lo
    if math.isnan(lo) or math.isnan(hi):
        return Facts()
    if _is_range(a):
        return Facts(0.0, hi, Witness("a difference of extremes", "equal rows"), vanishes=_vanishing(a, x, y))
    if _is_below_maximum(a):
        return Facts(lo, 0.0)
    if _is_above_minimum(a):
        least = Witness("the difference of a minimum from itself", "randn")
        return Facts(0.0, hi, least, vanishes=_vanishing(a, x, y) | {"equal rows"})
    if x.lo == x.hi == 1 and y.hi == 1 and y.one:
        return Facts(lo, hi, y.one, Witness(y.zero.reason, y.zero.condition) if y.zero else None)
    if x.lo == x.hi == 1 and y.lo == 0 and y.hi == 1 and y.zero:
        return Facts(lo, hi, None, y.zero)
    if y.lo == y.hi == 1 and x.lo >= 0 and x.one:
        return Facts(lo, hi, x.one)
    if x.boolean and made(origin(a.value(1, "other")), "eye") is not None:
        return Facts(-1.0, 1.0, boolean=True)
    vanishes = _vanishing(a, x, y)
    itself = Witness("the difference of a row from itself", "randn") if "randn" in vanishes else None
    return Facts(lo, hi, itself or _expanded_distance(a, vanishes), vanishes=vanishes)


def _vanishing(a: Application, x: Facts, y: Facts) -> frozenset[str]:
    """When x - y is zero: where both are, where they must be equal, where x is constant and y its mean."""
    first, second = a.value(0), a.value(1, "other")
    if of_same_rows(first, second):
        return EVERYWHERE
    centre = made(second, "mean", "median", "amax", "amin")
    if interchangeable(first, second) or (centre is not None and same(centre.value(0), first)):
        return (x.vanishes & y.vanishes) | {"equal rows"}
    return x.vanishes & y.vanishes


def _is_range(a: Application) -> bool:
    """max(x) - min(x)."""
    top = producer(a.value(0), "max", "amax")
    bottom = producer(a.value(1, "other"), "min", "amin")
    return top is not None and bottom is not None and same(top.value(0), bottom.value(0))


def _is_above_minimum(a: Application) -> bool:
    """x - min(x)."""
    bottom = producer(origin(a.value(1, "other")), "min", "amin")
    return (
        bottom is not None
        and not bottom.has(1, "other")
        and same(origin(bottom.value(0)), origin(a.value(0)))
    )


def _is_below_maximum(a: Application) -> bool:
    """x - max(x), or x - log Σeˣ."""
    top = producer(origin(a.value(1, "other")), "max", "amax", "logsumexp")
    return top is not None and same(origin(top.value(0)), origin(a.value(0)))


@transfer("mul")
def multiply(a: Application) -> Facts:
    """x·y: zero where a factor is."""
    x, y = a.facts(0), a.facts(1, "other")
    if same(a.value(0), a.value(1, "other")):
        return _even_power(x, 2)
    lo, hi = _products(x, y)
    both_bounded = x.hi <= 1 and y.hi <= 1 and x.lo >= 0 and y.lo >= 0
    return Facts(
        lo,
        hi,
        x.zero or y.zero,
        (x.one if both_bounded and y.one else None),
        boolean=_is_mask_of_both(a, x, y),
        vanishes=x.vanishes | y.vanishes,
    )


def _is_mask_of_both(a: Application, x: Facts, y: Facts) -> bool:
    """Whether both factors are 0 or 1, one of them for being a truth value."""
    if not (x.boolean or y.boolean):
        return False
    return all(f.boolean or is_off_diagonal(a.value(*at)) for f, at in ((x, (0,)), (y, (1, "other"))))


@transfer("div")
def divide(a: Application) -> Facts | None:
    """x/y: zero where x is; a product over its factors' norms is a cosine."""
    if a.has(2, "rounding_mode") and a.constant(2, "rounding_mode") is not None:
        return Facts()
    x, y = a.facts(0), a.facts(1, "other")
    if is_unit(a):
        return Facts(-1.0, 1.0, unit=True)
    if (factors := cosine_of(a)) is not None:
        return Facts(-1.0, 1.0, one=parallel(*factors))
    if y.lo > 0:
        reciprocal = Facts(1 / y.hi if y.hi < math.inf else 0.0, 1 / y.lo)
        lo, hi = _products(x, reciprocal)
        return Facts(lo, hi, x.zero, vanishes=x.vanishes)
    lo = 0.0 if x.lo >= 0 and y.lo >= 0 else -math.inf
    hi = 0.0 if x.hi <= 0 and y.lo >= 0 else math.inf
    return Facts(lo, hi, zero=x.zero, vanishes=x.vanishes - y.vanishes)


@transfer("normalize")
def normalize(a: Application) -> Facts:
    """Rows of norm 1 (0 for the zero row: the norm is clamped by eps)."""
    return Facts(-1.0, 1.0, unit=True)


@transfer("cosine_similarity")
def cosine_similarity(a: Application) -> Facts:
    """A cosine: exactly 1 for equal rows."""
    return Facts(-1.0, 1.0, one=parallel(a.value(0, "x1"), a.value(1, "x2")))


@transfer("clamp", "clamp_min", "clamp_max")
def clamp(a: Application) -> Facts:
    """min(max(x, lower), upper)."""
    x, lower, upper = a.facts(0), _lower(a), _upper(a)
    lo, hi = min(max(x.lo, lower.lo), upper.lo), min(max(x.hi, lower.hi), upper.hi)
    keeps_zero = lower.hi <= 0 <= upper.lo
    keeps_one = lower.hi <= (1 if x.lo >= 0 else -1) and upper.lo >= 1
    zero = x.zero if keeps_zero else None
    if keeps_zero and (lower.lo == 0 > x.lo or upper.hi == 0 < x.hi):
        reason = "a value clamped at 0"
        zero = zero or x.vanishing(reason) or Witness(reason, "large inputs")
    one = x.one if keeps_one else None
    if (upper.lo == upper.hi == 1 < x.hi and lower.hi <= 1) or lower.lo == lower.hi == -1 > x.lo:
        one = one or Witness("a value clamped at ±1", "equal rows" if is_input(a.value(0)) else UNMEASURED)
    return Facts(lo, hi, zero, one, vanishes=x.vanishes if keeps_zero else NOWHERE)


def _lower(a: Application) -> Facts:
    """What is known of the lower bound of a clamp; -inf for none."""
    given = a.primitive != "clamp_max" and a.value(1, "min") is not None and not _is_none(a.value(1, "min"))
    return a.facts(1, "min") if given else Facts(-math.inf, -math.inf)


def _upper(a: Application) -> Facts:
    """What is known of the upper bound of a clamp; inf for none."""
    bound = a.value(1 if a.primitive == "clamp_max" else 2, "max") if a.primitive != "clamp_min" else None
    return facts_of(bound) if bound is not None and not _is_none(bound) else Facts(math.inf, math.inf)


def _is_none(value: Value | None) -> bool:
    return isinstance(value, Known) and value.value is None


@transfer("maximum", "fmax")
def maximum(a: Application) -> Facts:
    """max(x, y): positive as soon as one side is."""
    x, y = a.facts(0), a.facts(1, "other")
    lo = max(x.lo, y.lo)
    vanishes = x.vanishes & y.vanishes
    return Facts(lo, max(x.hi, y.hi), _both_zero(x, y) if lo <= 0 else None, vanishes=vanishes)


@transfer("minimum", "fmin")
def minimum(a: Application) -> Facts:
    """min(x, y)."""
    x, y = a.facts(0), a.facts(1, "other")
    return Facts(min(x.lo, y.lo), min(x.hi, y.hi), vanishes=x.vanishes & y.vanishes)


@transfer("hypot")
def hypot(a: Application) -> Facts:
    """√(x² + y²): zero where both are."""
    vanishes = a.facts(0).vanishes & a.facts(1, "other").vanishes
    return replace(Facts(0.0, vanishes=vanishes), zero=Facts(vanishes=vanishes).vanishing("a hypotenuse"))


@transfer("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
def regression_loss(a: Application) -> Facts:
    """A mean of distances, zero where prediction and target are equal."""
    x, y = a.value(0, "input"), a.value(1, "target")
    equal = frozenset({"equal rows"} if interchangeable(x, y) else ())
    vanishes = equal | (a.facts(0, "input").vanishes & a.facts(1, "target").vanishes)
    return Facts(0.0, zero=Facts(vanishes=vanishes).vanishing("a loss without error"), vanishes=vanishes)


@transfer("where")
def where(a: Application) -> Facts | None:
    """One of two values; which one is decided elsewhere, so nothing is claimed to be reached."""
    chosen = a.facts(0) if a.form == "method" else a.facts(1, "input")
    if a.value(1, "condition" if a.form == "method" else "input") is None:
        return None
    return chosen.joined(a.facts(2, "other")).without_witnesses()


@transfer("masked_fill")
def masked_fill(a: Application) -> Facts:
    """x with some elements replaced; nothing is claimed to be reached, but by a mask without its diagonal."""
    if a.facts(0).boolean and a.constant(2, "value") == 0 and made(origin(a.value(1, "mask")), "eye"):
        return Facts(0.0, 1.0, boolean=True)
    return a.facts(0).joined(a.facts(2, "value")).without_witnesses()


@transfer("fill_diagonal")
def fill_diagonal(a: Application) -> Facts:
    """x with another diagonal."""
    x = a.facts(0)
    return Facts(0.0, 1.0, boolean=True) if x.boolean and a.constant(1, "fill_value") == 0 else Facts()


@transfer("index_put")
def index_put(a: Application) -> Facts:
    """x with some elements replaced (operands: x, index, value); nothing is claimed to be reached."""
    return a.facts(0).joined(a.facts(2)).without_witnesses()


@transfer("masked_select")
def masked_select(a: Application) -> Facts:
    """The elements that a mask chooses, which may have chosen them well: nothing is claimed to be reached."""
    return a.facts(0).without_witnesses()


@transfer("nan_to_num")
def nan_to_num(a: Application) -> Facts:
    """x with what is not finite replaced."""
    return a.facts(0).without_witnesses()


@transfer("eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite", "as_bool", differentiable=False)
def comparison(a: Application) -> Facts:
    """A truth value."""
    return Facts(0.0, 1.0, boolean=True, dtype="bool")


@transfer("invert", "and_", "or_", "xor", "isclose", "logical_xor", differentiable=False)
def logical(a: Application) -> Facts:
    """A truth value of truth values."""
    boolean = all(a.facts(i).boolean for i in range(len(a.operands)))
    return Facts(0.0, 1.0, boolean=True, dtype="bool") if boolean else Facts()


@transfer("sign", "sgn", "round", "floor", "ceil", "trunc", "floor_divide", "floordiv", differentiable=False)
def stepwise(a: Application) -> Facts:
    """Piecewise constant: the gradient is zero everywhere."""
    return Facts()


@transfer("xlogy")
def xlogy(a: Application) -> Facts:
    """x·log y, 0 where x is 0."""
    return Facts()
