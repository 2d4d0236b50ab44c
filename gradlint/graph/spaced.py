"""Numbers at equal distances, as rates that grow with depth are made: `torch.linspace(0, rate, depth)`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from gradlint.graph.sizes import whole
from gradlint.graph.values import Anything, Drawn, number, tuple_of
from gradlint.records import ir
from gradlint.records.graph import Initial
from gradlint.semantics.interpretation import Arguments
from gradlint.semantics.value import Items, Known, Value

NAMES = frozenset({"torch.linspace", "numpy.linspace"})
_MOST = 256
"""Numbers that are told apart."""
_PLAIN = frozenset({"endpoint", "retstep", "out", "dtype"})
"""Arguments that may make other numbers."""
_ITSELF = frozenset({"cpu", "numpy", "detach", "float", "double", "to", "clone"})


class Spaced(Drawn, frozen=True, eq=False, kw_only=True):
    """A tensor of these numbers, None for those that are not known, made at `node`."""

    numbers: tuple[float | None, ...]
    node: ir.Expression


def made(arguments: Arguments, node: ir.Expression) -> Spaced | None:
    """What `linspace` gives where it is known how many numbers; those from a known start to a known end."""
    if not _PLAIN.isdisjoint(arguments.keywords):
        return None
    given = [arguments.get(0, "start"), arguments.get(1, "end"), arguments.get(2, "steps")]
    start, end, steps = [None if operand is None else number(operand.value) for operand in given]
    if not isinstance(steps, int) or not 0 <= steps <= _MOST:
        return None
    if start is None or end is None:
        return _of([None] * steps, node)
    apart = (end - start) / max(steps - 1, 1)
    return _of([float(start + apart * at) for at in range(steps)], node)


def _of(numbers: Sequence[float | None], node: ir.Expression) -> Spaced:
    return Spaced(Initial("unknown"), (len(numbers),), numbers=tuple(numbers), node=node)


def _single(found: float | None) -> Value:
    """One of the numbers; that it is a tensor does not matter."""
    return Anything() if found is None else Known(found)


def listed(value: Spaced) -> Items:
    """The numbers one by one."""
    return Items("list", [_single(each) for each in value.numbers], value.node)


def item(value: Spaced, at: int) -> Value:
    """One of the numbers, counted from either end."""
    return _single(value.numbers[at]) if -len(value.numbers) <= at < len(value.numbers) else Anything()


def method(value: Spaced, name: str, arguments: Arguments) -> Value | None:
    """A method that hands the numbers on; None where it does something else."""
    if name in _ITSELF:
        return value
    if name == "tolist":
        return listed(value)
    lengths = _lengths(value, arguments) if name == "split" else None
    if lengths is None:
        return None
    ends = pairwise(accumulate(lengths, initial=0))
    return tuple_of([_of(value.numbers[start:end], value.node) for start, end in ends], value.node)


def _lengths(value: Spaced, arguments: Arguments) -> list[int] | None:
    """How many numbers each part has that `split` makes."""
    given = arguments.get(0, "split_size_or_sections")
    if given is None:
        return None
    count = len(value.numbers)
    if isinstance(given.value, Items) and not given.value.open:
        lengths = [whole(item) for item in given.value.items]
        found = [length for length in lengths if length is not None]
        return found if len(found) == len(lengths) and sum(found) == count else None
    size = whole(given.value)
    return None if not size or size < 0 else [min(size, count - at) for at in range(0, count, size)]
