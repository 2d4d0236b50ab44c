"""Operations that are infinite at a point, with what is known of their reaching it."""

from __future__ import annotations

from msgspec import Struct

from gradlint.semantics.interpretation import Operand
from gradlint.semantics.tensor import Application, Tensor, Witness, is_input, made, origin, producer, same
from gradlint.semantics.value import Known, Value

_OPERANDS = {
    "log": (0, "input"),
    "log2": (0, "input"),
    "log10": (0, "input"),
    "log1p": (0, "input"),
    "entr": (0, "input"),
    "reciprocal": (0, "input"),
    "pow": (0, "input"),
    "div": (1, "other"),
    "xlogy": (1, "other"),
}
POLES = tuple(_OPERANDS)
"""The primitives that have a pole: log1p at -1, all others at 0."""

WEIGHTS = "a sum of weights"
"""The reason for which the divisor of a weighted mean is 0."""

_DEVIATIONS = ("std", "var", "std_mean", "var_mean")


class Pole(Struct, frozen=True, eq=False):
    """The pole of an application: the operand that must not be `at`, and why it may be."""

    application: Application
    operand: Operand
    at: int
    witness: Witness | None

    def described(self, predicted: float, of_value: bool) -> str:
        """What becomes of the gradient, or of the result, at the pole."""
        primitive = self.application.primitive
        reason = self.witness.reason if self.witness is not None else "the operand"
        if primitive == "div":
            what, where = "the quotient", f"where its divisor, {reason}, is 0"
        else:
            what = "the reciprocal" if primitive in ("reciprocal", "pow") else primitive
            where = f"at {self.at}, which {reason} reaches"
        if of_value:
            return f"{what} is {'-inf' if primitive.startswith('log') else predicted} {where}"
        return f"the gradient of {what} is {predicted} {where}"


def pole(application: Application) -> Pole | None:
    """The pole of `application`, reached or not; None if it has none."""
    if application.primitive == "pow" and not _is_reciprocal(application):
        return None
    place = _OPERANDS.get(application.primitive)
    operand = application.operand(*place) if place is not None else None
    if operand is None:
        return None
    facts = application.facts(*place) if place is not None else None
    assert facts is not None
    if _is_parameter(operand.value) or (application.primitive == "div" and _is_power(operand.value)):
        return Pole(application, operand, 0, None)
    if application.primitive == "div":
        return Pole(application, operand, 0, facts.zero or _empty_weights(application))
    if application.primitive != "log1p":
        return Pole(application, operand, 0, facts.zero)
    return Pole(application, operand, -1, facts.one if facts.lo == -1 else None)


def root(value: Value | None) -> Application | None:
    """The root that `value` consists of, times a constant: its gradient at 0 is the root's affair."""
    found = producer(origin(value))
    if found is not None and found.primitive in ("mul", "div") and isinstance(found.value(1, "other"), Known):
        return root(found.value(0))
    if found is None or found.primitive not in ("sqrt", "hypot", "pow"):
        return None
    exponent = found.constant(1, "exponent")
    is_root = found.primitive != "pow" or (isinstance(exponent, float) and 0 < exponent < 1)
    return found if is_root else None


def _is_reciprocal(power: Application) -> bool:
    """Whether a power is that of a negative whole number."""
    exponent = power.constant(1, "exponent")
    return isinstance(exponent, (int, float)) and exponent < 0 and exponent == int(exponent)


def _is_parameter(value: Value) -> bool:
    """Whether `value` depends on parameters only, which are not initialised to make it 0."""
    return isinstance(value, Tensor) and bool(value.roots) and all(r.startswith("self.") for r in value.roots)


def _empty_weights(quotient: Application) -> Witness | None:
    """Why the divisor of a weighted mean Σ w·x / Σ w can be 0, where the weights are an input.

    Those of a whole batch hardly ever are.
    """
    summed, weights = made(origin(quotient.value(0)), "sum"), made(origin(quotient.value(1, "other")), "sum")
    product = made(origin(summed.value(0)), "mul") if summed is not None else None
    if product is None or weights is None:
        return None
    weight = origin(weights.value(0))
    if not is_input(weight):
        return None
    if not any(same(origin(operand.value), weight) for operand in product.operands):
        return None
    return Witness(WEIGHTS, "zeros", rare=not weights.has(1, "dim"))


def _is_power(value: Value | None) -> bool:
    """Whether `value` is a power of inputs as such, times a constant: as likely 0 as the inputs are."""
    found = producer(value)
    if found is not None and found.primitive in ("mul", "div"):
        constant = isinstance(found.value(0), Known)
        return _is_power(found.value(1, "other") if constant else found.value(0))
    return found is not None and found.primitive in ("pow", "square", "abs") and _is_plain(found.value(0))


def _is_plain(value: Value | None) -> bool:
    """Whether `value` is an input, a size or a constant as such, or a product of them."""
    found = producer(value)
    if found is None:
        return True
    return found.primitive == "mul" and _is_plain(found.value(0)) and _is_plain(found.value(1, "other"))


def deviation(value: Value | None) -> Application | None:
    """The standard deviation or variance that `value` consists of."""
    return producer(origin(value), *_DEVIATIONS)
