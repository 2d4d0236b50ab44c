"""Functions written out by hand that torch computes in one step without overflow or cancellation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from gradlint.semantics.interpretation import Operand
from gradlint.semantics.moderate import stays_below
from gradlint.semantics.tensor import Application, Tensor, facts_of, made, origin, producer, same
from gradlint.semantics.trace import Trace
from gradlint.semantics.value import Value

OVERFLOW = 88.0
"""exp(x) is infinite in float32 beyond this, and 1/exp(x) zero."""

_LONGEST = 4
"""How many steps a function may be written out in."""

_OVERFLOWS = "exp overflows, at 88"
_SIGMOID_IS_0 = "the sigmoid rounds to 0, at -88"
_SIGMOID_IS_1 = "the sigmoid rounds to 1, at 17"
_SOFTMAX_IS_0 = "a probability rounds to 0, 88 below the largest logit"


class Fused(Struct, frozen=True, eq=False):
    """That an application computes the function `name` of `operand` (of its negative if `negated`),
    times `factor`.

    `source` is the application whose axis and other arguments the function takes over. `exact`
    tells whether nothing else is computed, so that the function gives the same but for rounding.
    `written` and `breaks` are phrases: how it is written out, and when that has no finite gradient.
    `inner` are the numbers of results on the way that themselves count as written by hand.
    """

    name: str
    operand: Operand
    written: str
    breaks: str = _OVERFLOWS
    negated: bool = False
    factor: Operand | None = None
    source: Application | None = None
    exact: bool = True
    inner: tuple[int, ...] = ()

    @property
    def call(self) -> str:
        """The call that gives the same as `written`, of the x that stands there."""
        return f"{self.name}({'-x' if self.breaks == _SIGMOID_IS_1 else 'x'})"


def fused(application: Application) -> Fused | None:
    """The function that `application` completes by hand, if its operand can be large enough to matter."""
    form = FORMS.get(application.primitive)
    return form(application) if form is not None else None


def written_out(trace: Trace) -> frozenset[int]:
    """The numbers of the results that make up functions written by hand, from operand to function."""
    found: set[int] = set()
    for application in trace.differentiated(*FORMS):
        form = fused(application)
        if form is not None:
            found.update(_steps(application, form, 0))
    return frozenset(found)


def _steps(application: Application, form: Fused, depth: int) -> Iterator[int]:
    yield application.number
    for operand in application.operands if depth < _LONGEST else ():
        step = made(operand.value)
        if step is not None and operand is not form.factor and not same(operand.value, form.operand.value):
            yield from _steps(step, form, depth + 1)


def _is_one(value: Value | None) -> bool:
    facts = facts_of(value)
    return facts.lo == facts.hi == 1


def _exponential(value: Value | None) -> Application | None:
    """The application of exp whose whole result `value` is, where it can overflow."""
    found = made(value, "exp")
    if found is None or not found.operands:
        return None
    return None if stays_below(found.value(0), OVERFLOW) else found


def _one_plus(value: Value | None) -> Application | None:
    """The exp(x) of 1 + exp(x)."""
    sum_ = made(value, "add")
    if sum_ is None or sum_.has(2, "alpha"):
        return None
    for one, other in ((0, 1), (1, 0)):
        if _is_one(sum_.value(one, "other")):
            return _exponential(sum_.value(other, "other"))
    return None


def _quotient(a: Application) -> Fused | None:
    """1/(1 + exp(x)), exp(x)/(1 + exp(x)), exp(x)/Σexp(x), (exp(x) - exp(-x))/(exp(x) + exp(-x))."""
    if a.primitive == "div" and not a.has(2, "rounding_mode"):
        top, bottom = a.operand(0), a.value(1, "other")
    elif a.primitive == "reciprocal" or (a.primitive == "pow" and a.constant(1, "exponent") in (-1, -1.0)):
        top, bottom = None, a.value(0)
    else:
        return None
    if top is None:
        return _logistic(top, bottom)
    forms = (_normalised, _share, _tangent)
    return _logistic(top, bottom) or next((f for form in forms if (f := form(top.value, bottom))), None)


def _logistic(top: Operand | None, bottom: Value | None) -> Fused | None:
    exp = _one_plus(bottom)
    if exp is None:
        return None
    if top is not None and isinstance(top.value, Tensor) and top.value.number == exp.number:
        return Fused("sigmoid", exp.operands[0], "exp(x) / (1 + exp(x))")
    factor = None if top is None or _is_one(top.value) else top
    return Fused("sigmoid", exp.operands[0], "1 / (1 + exp(-x))", negated=True, factor=factor)


def _share(top: Value, bottom: Value | None) -> Fused | None:
    """exp(x) / (exp(x) + …)."""
    exp, sum_ = _exponential(top), made(bottom, "add")
    if exp is None or sum_ is None or not any(same(top, operand.value) for operand in sum_.operands):
        return None
    return Fused("softmax", exp.operands[0], "exp(x) / (exp(x) + ...)", exact=False)


def _normalised(top: Value, bottom: Value | None) -> Fused | None:
    weighted = made(top, "mul")
    exps = [weighted.value(0), weighted.value(1, "other")] if weighted is not None else [top]
    guarded = made(bottom, "add")
    value = bottom if guarded is None else guarded.value(0)
    restored = made(value, "unsqueeze")
    sum_ = made(value if restored is None else restored.value(0), "sum")
    exp = next((found for value in exps if (found := _exponential(value)) is not None), None)
    if sum_ is None or exp is None or not same(sum_.value(0), top):
        return None
    exact = weighted is None and guarded is None and _keeps_axis(sum_, restored)
    return Fused("softmax", exp.operands[0], "exp(x) / sum(exp(x))", source=sum_, exact=exact)


def _keeps_axis(sum_: Application, restored: Application | None) -> bool:
    """Whether a sum keeps its axis, or `restored` puts it back."""
    if restored is None:
        return sum_.constant(2, "keepdim") is True or sum_.constant(2, "keepdims") is True
    axis = restored.constant(1, "dim")
    return axis is not None and axis == sum_.constant(1, "dim")


def _tangent(top: Value, bottom: Value | None) -> Fused | None:
    difference, sum_ = made(top, "sub"), made(bottom, "add")
    if difference is None or sum_ is None:
        return None
    first, second = difference.value(0), difference.value(1, "other")
    if not (same(first, sum_.value(0)) and same(second, sum_.value(1, "other"))):
        return None
    exp, inverse = _exponential(first), _exponential(second)
    if exp is None or inverse is None:
        return None
    negative = made(inverse.value(0), "neg")
    if negative is None or not same(negative.value(0), exp.value(0)):
        return None
    return Fused("tanh", exp.operands[0], "(exp(x) - exp(-x)) / (exp(x) + exp(-x))")


def _probability(value: Value | None) -> Fused | None:
    """The sigmoid or softmax that `value` is, whoever computed it."""
    found = made(value, "sigmoid")
    if found is not None and found.operands:
        return Fused("sigmoid", found.operands[0], "sigmoid(x)", _SIGMOID_IS_0, source=found)
    found = made(value, "softmax")
    if found is not None and found.operands:
        return Fused("softmax", found.operands[0], "softmax(x)", _SOFTMAX_IS_0, source=found)
    found = made(value)
    by_hand = _quotient(found) if found is not None else None
    if found is None or by_hand is None or by_hand.factor is not None:
        return None
    return replace(by_hand, inner=(found.number,))


def _complement(value: Value | None) -> Fused | None:
    """The sigmoid of 1 - sigmoid(x), negated, where it can round to 1."""
    difference = made(value, "sub")
    if difference is None or not _is_one(difference.value(0)):
        return None
    return _negative(difference.value(1, "other"))


def _negative(value: Value | None) -> Fused | None:
    """The sigmoid that `value` is, of the negated operand, where it can round to 1."""
    found = _probability(value)
    if found is None or found.name != "sigmoid" or not (found.inner or facts_of(value).one):
        return None
    return replace(found, negated=not found.negated, written=f"1 - {found.written}", breaks=_SIGMOID_IS_1)


def _logarithm(a: Application) -> Fused | None:
    """log softmax(x), log sigmoid(x), log(1 - sigmoid(x)), log(1 + exp(x)), log Σexp(x)."""
    value = a.value(0)
    found = _of_probability(value) or _of_exponential(value) or _of_item(value)
    if found is not None and a.primitive != "log":
        return replace(found, exact=False)
    return found


def _of_probability(value: Value | None) -> Fused | None:
    found = _complement(value) or _probability(value)
    if found is None or found.name not in _LOGARITHMS:
        return None
    if not (found.inner or facts_of(value).zero):
        return None
    return replace(found, name=_LOGARITHMS[found.name], written=f"log({found.written})")


def _of_exponential(value: Value | None) -> Fused | None:
    exp = _one_plus(value)
    if exp is not None:
        return Fused("softplus", exp.operands[0], "log(1 + exp(x))")
    sum_ = made(value, "sum", "mean")
    exp = _exponential(sum_.value(0)) if sum_ is not None else None
    if sum_ is None or exp is None:
        return None
    written = f"log({sum_.primitive}(exp(x)))"
    return Fused("logsumexp", exp.operands[0], written, source=sum_, exact=sum_.primitive == "sum")


def _of_item(value: Value | None) -> Fused | None:
    """The logarithm of some probabilities of a softmax or sigmoid."""
    whole = producer(origin(value), "softmax", "sigmoid")
    if whole is None:
        return None
    found = _of_probability(Tensor(whole.number, facts_of(value), producer=whole))
    return replace(found, exact=False) if found is not None else None


def _log1p(a: Application) -> Fused | None:
    """log1p(exp(x)), log1p(-sigmoid(x))."""
    exp = _exponential(a.value(0))
    if exp is not None:
        return Fused("softplus", exp.operands[0], "log1p(exp(x))")
    negative = made(a.value(0), "neg")
    found = _negative(negative.value(0)) if negative is not None else None
    return replace(found, name="logsigmoid", written="log1p(-sigmoid(x))") if found is not None else None


_LOGARITHMS = {"sigmoid": "logsigmoid", "softmax": "log_softmax"}

FORMS: dict[str, Callable[[Application], Fused | None]] = {
    "log": _logarithm,
    "log2": _logarithm,
    "log10": _logarithm,
    "log1p": _log1p,
    "div": _quotient,
    "reciprocal": _quotient,
    "pow": _quotient,
}
