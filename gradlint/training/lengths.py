"""Which tests of an index tell the last iteration of its loop, as `i == len(loader) - 1` does."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from gradlint.semantics.value import Known, Value
from gradlint.training.values import Symbol, key_of


class _Number(NamedTuple):
    """A number that is so much more than another one, or than 0."""

    base: Hashable
    more: int


class _Index(NamedTuple):
    """What an index is in the first iteration of its loop, if that is known, and in the last.

    `born` is the number of the symbol.
    """

    born: int
    first: int | None
    last: _Number


_ZERO = _Number("0", 0)


class Lengths:
    """Remembers what the indices of loops count up to.

    `last` are the tests that come out in one way in the last iteration, and in the other in all before.
    """

    def __init__(self) -> None:
        self._sums: dict[int, _Number] = {}
        self._indices: dict[Hashable, _Index] = {}
        self._remainders: dict[int, _Number] = {}
        self._ranges: dict[int, tuple[Value, Value]] = {}
        self._products: dict[int, tuple[_Number, ...]] = {}
        self.last: dict[int, bool] = {}

    def spans(self, numbers: Symbol, start: Value, stop: Value) -> None:
        """These are the numbers from one to before another."""
        self._ranges[numbers.number] = start, stop

    def draws(self, index: Symbol, numbers: Value) -> None:
        """An index is one of some numbers."""
        if isinstance(numbers, Symbol) and numbers.number in self._ranges:
            start, stop = self._ranges[numbers.number]
            base, more = self._number(stop)
            first = start.value if isinstance(start, Known) and type(start.value) is int else None
            self._indices[key_of(index)] = _Index(index.number, first, _Number(base, more - 1))

    def counts(self, index: Symbol, length: Value, start: int = 0) -> None:
        """An index counts the iterations of a loop, which has so many, from a number on."""
        base, more = self._number(length)
        self._indices[key_of(index)] = _Index(index.number, start, _Number(base, more + start - 1))

    def is_counted(self, length: Value, since: int, before: int) -> bool:
        """Whether a number is that of the iterations of a loop whose index is born between two others."""
        return self._is_counted(self._number(length), since, before)

    def _is_counted(self, length: _Number, since: int, before: int) -> bool:
        found = [index for index in self._indices.values() if since <= index.born < before]
        return any(
            length == _Number(index.last.base, index.last.more + 1 - (index.first or 0)) for index in found
        )

    def factors(self, product: Value, since: int, before: int) -> int:
        """How many factors a product has beside one number of iterations of such a loop; 0 without."""
        factors = self._products.get(product.number, ()) if isinstance(product, Symbol) else ()
        counted = [factor for factor in factors if self._is_counted(factor, since, before)]
        return len(factors) - 1 if counted else 0

    def computes(self, operator: str, operands: Sequence[Value], made: Symbol) -> None:
        """A number is computed of others."""
        if len(operands) != 2:
            return
        left, right = operands
        if operator == "mod":
            self._divides(left, right, made)
        elif operator == "mul":
            self._products[made.number] = (*self._factors(left), *self._factors(right))
        elif operator in ("add", "sub") and isinstance(right, Known) and type(right.value) is int:
            base, more = self._number(left)
            added = right.value if operator == "add" else -right.value
            self._sums[made.number] = _Number(base, more + added)

    def _divides(self, left: Value, right: Value, made: Symbol) -> None:
        index, divisor = self._index(left), self._number(right)
        if index is not None and index.last.base == divisor.base and index.first in (0, 1):
            missing = divisor.more - index.last.more
            if missing > 0:
                self._remainders[made.number] = index.last
            elif missing == 0 and index.first == 1:
                self._remainders[made.number] = _ZERO

    def tests(self, operator: Hashable, operands: Sequence[Value], atom: int) -> None:
        """A test is made."""
        first, *others = operands
        index = self._index(first)
        last = None if index is None else index.last
        if isinstance(first, Symbol):
            last = self._remainders.get(first.number, last)
        if operator == "truth" and last == _ZERO:
            self.last[atom] = False
        elif last is not None and operator in ("eq", "lt") and self._number(others[0]) == last:
            self.last[atom] = operator == "eq"

    def _index(self, value: Value) -> _Index | None:
        """An index, or a number counted up with it."""
        base, more = self._number(value)
        index = self._indices.get(base)
        if index is None:
            return None
        first = None if index.first is None else index.first + more
        return _Index(index.born, first, _Number(index.last.base, index.last.more + more))

    def _factors(self, value: Value) -> tuple[_Number, ...]:
        known = self._products.get(value.number) if isinstance(value, Symbol) else None
        return known or (self._number(value),)

    def _number(self, value: Value) -> _Number:
        if isinstance(value, Known) and type(value.value) is int:
            return _Number("0", value.value)
        if isinstance(value, Symbol) and value.number in self._sums:
            return self._sums[value.number]
        return _Number(key_of(value), 0)
