"""The form of a loss that a generator may minimise, as far as its logarithm saturates.

A tensor's form is "" (anything), "-x", "1-p", "log(1-p)", also with weights above 0, averaged or summed,
"zeros", or "against zeros": what binary cross-entropy with zeros as its target, or softplus, gives, which
is -log(1-p) of the probability.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from gradlint.semantics.value import Known, Value
from gradlint.training.values import Tensor, has_tensors, options

_KEPT = frozenset({"mean", "sum", "squeeze", "view", "reshape", "flatten", "to", "float", "clone"})
_ENTROPIES = frozenset({"binary_cross_entropy", "binary_cross_entropy_with_logits", "BCELoss"})
_NEGATED = {"": "-x", "-x": "", "log(1-p)": "against zeros", "against zeros": "log(1-p)"}


def of_operator(name: str, values: Sequence[Value]) -> str:
    """The form of what an operator gives."""
    plain = [_number(value) for value in values]
    forms = [_form(value) for value in values]
    if name == "neg":
        return _NEGATED.get(forms[0], "")
    if name == "sub" and plain[0] == 1 and forms[1] == "":
        return "1-p"
    if name in ("add", "sub") and len(values) == 2 and plain[1] is not None:
        return forms[0] if forms[0] != "-x" else ""
    if name in ("mul", "truediv") and len(values) == 2:
        return _weighted(forms, plain)
    return ""


def _weighted(forms: list[str], plain: list[float | None]) -> str:
    """A form after a multiplication with a number."""
    by = [number for number in plain if number is not None]
    form = forms[0] if plain[0] is None else forms[1]
    if len(by) != 1 or form not in _NEGATED or not by[0]:
        return ""
    return form if by[0] > 0 else _NEGATED[form]


def of_function(name: str, values: Sequence[Value]) -> str:
    """The form of what a function of torch, or a method of the first value, gives."""
    first = _form(values[0]) if values else ""
    if name in ("zeros", "zeros_like"):
        return "zeros"
    if name in ("full", "full_like", "fill_"):
        return "zeros" if _number(values[-1]) == 0 else ""
    if name in _KEPT:
        return first
    if name == "log":
        return "log(1-p)" if first == "1-p" else ""
    if name == "logsigmoid":
        return "log(1-p)" if first == "-x" else ""
    if name == "softplus":
        return "against zeros" if first == "" and len(values) == 1 else ""
    if name in _ENTROPIES or name == "BCEWithLogitsLoss":
        return "against zeros" if len(values) > 1 and _form(values[1]) == "zeros" and first == "" else ""
    return ""


def reduced(made: Tensor, name: str, values: Sequence[Value]) -> Tensor:
    """What a function made of values, with how it sums up where it is the mean or sum of all of the one."""
    first = values[0] if len(values) == 1 else None
    is_open = isinstance(first, Tensor) and first.reduction in ("", "none")
    return replace(made, reduction=name) if is_open and name in ("mean", "sum") else made


def summed(name: str, values: Sequence[Value]) -> str:
    """How what an operator gives sums up over a batch: as its only tensor does, or the terms of a loss."""
    terms = [value for value in values if has_tensors(value)]
    found = {value.reduction if isinstance(value, Tensor) else "" for value in terms}
    if len(terms) > 1 and name not in ("add", "iadd", "sub", "isub"):
        return ""
    return found.pop() if len(found) == 1 else "none" if "none" in found else "unknown"


def _form(value: Value) -> str:
    found = {each.form if isinstance(each, Tensor) else "" for each in options(value)}
    return found.pop() if len(found) == 1 else ""


def _number(value: Value) -> float | None:
    is_number = isinstance(value, Known) and isinstance(value.value, int | float)
    return float(value.value) if isinstance(value, Known) and is_number else None
