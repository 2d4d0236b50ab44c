"""How two values are alike: made in the same way of like inputs, or of the same rows."""

from __future__ import annotations

from gradlint.records.finding import UNMEASURED
from gradlint.semantics.tensor import REARRANGING, Tensor, Witness, is_input, made, origin, same
from gradlint.semantics.value import Value

_DEEPEST = 12
_RESHAPING = frozenset({"unsqueeze", "view", "reshape", "expand", "expand_as", "repeat", "contiguous"})


def interchangeable(first: Value | None, second: Value | None, depth: int = 0) -> bool:
    """Whether two values are equal wherever all rows of all inputs are."""
    if same(first, second):
        return True
    if not isinstance(first, Tensor) or not isinstance(second, Tensor) or depth > _DEEPEST:
        return False
    one, other = first.producer, second.producer
    if one is None or other is None:
        return is_input(first) and is_input(second)
    if one.primitive != other.primitive or one.keywords.keys() != other.keywords.keys():
        return False
    keywords = [(one.keywords[name], other.keywords[name]) for name in one.keywords]
    operands = list(zip(one.operands, other.operands, strict=False))
    if one.primitive in REARRANGING:
        operands = operands[:1]  # how they are laid out makes no difference
    return len(one.operands) == len(other.operands) and all(
        interchangeable(mine.value, theirs.value, depth + 1) for mine, theirs in (*operands, *keywords)
    )


def of_same_rows(first: Value | None, second: Value | None) -> bool:
    """Whether two values hold the rows of one tensor, laid out so that each meets each."""
    mine, theirs = _laid_out(first), _laid_out(second)
    return same(mine, theirs) and not (mine is first and theirs is second)


def _laid_out(value: Value | None) -> Value | None:
    """What `value` is but for its shape."""
    for _ in range(_DEEPEST):
        made = value.producer if isinstance(value, Tensor) else None
        if made is None or made.primitive not in _RESHAPING:
            break
        value = made.value(0)
    return value


def parallel(first: Value | None, second: Value | None) -> Witness:
    """Why the cosine of rows of two values is 1 somewhere.

    Of values that are made in different ways no entry of the battery makes rows parallel, but
    training does.
    """
    if same(first, second) or of_same_rows(first, second):
        return Witness("the cosine of a row with itself", "randn")
    return Witness("a cosine similarity", "equal rows" if interchangeable(first, second) else UNMEASURED)


def is_off_diagonal(value: Value | None) -> bool:
    """Whether something is 0 where a row meets itself and 1 elsewhere: 1 - eye(n), ones with zeros put in."""
    found = made(origin(value), "sub", "rsub", "scatter", "logical_not", "invert")
    if found is None:
        return False
    if found.primitive == "scatter":
        return found.constant(3, "src") == 0 and made(origin(found.value(0)), "ones_like", "ones") is not None
    if found.primitive == "sub" and found.constant(0) != 1:
        return False
    taken = found.value(1, "other") if found.primitive == "sub" else found.value(0)
    return made(origin(taken), "eye") is not None
