"""Values that were looked at, or that stand for something that has changed: nothing is claimed of them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from gradlint.semantics.effects import VIEWS
from gradlint.semantics.interpretation import Operand
from gradlint.semantics.tensor import Tensor, producer
from gradlint.semantics.value import Value

_MOST = 32
"""Values of which so many at most are looked at behind one test."""

_SHAPES = frozenset({"dim", "ndimension", "size", "numel", "nelement", "is_floating_point", "get_device"})


class Guarded:
    """The tensors of one function whose value a test has looked at."""

    def __init__(self) -> None:
        self._numbers: set[int] = set()

    def has(self, value: Value) -> bool:
        """Whether a value is one of them."""
        return isinstance(value, Tensor) and value.number in self._numbers

    def holds(self, number: int, sources: Sequence[Value]) -> bool:
        """Whether the tensor of that number, or one that it is made of, is one of them."""
        return number in self._numbers or any(map(self.has, sources))

    def operands(self, operands: tuple[Operand, ...]) -> tuple[Operand, ...]:
        """Operands as they are behind the tests of their values: nothing is claimed to be reached."""
        return tuple([self._claimless(operand) for operand in operands]) if self._numbers else operands

    def _claimless(self, operand: Operand) -> Operand:
        value = operand.value
        if isinstance(value, Tensor) and value.number in self._numbers and value.facts.claims:
            return Operand(replace(value, facts=value.facts.without_witnesses()), operand.node)
        return operand

    def overwritten(self, value: Value | None) -> None:
        """A tensor is changed in place: what still refers to the old one is as good as guarded."""
        while isinstance(value, Tensor):
            self._numbers.add(value.number)
            made = value.producer
            if made is None or (made.number == value.number and made.primitive not in VIEWS):
                return
            self._numbers.add(made.number)
            value = made.value(0) if made.primitive in VIEWS else None

    def tested(self, value: Value) -> None:
        """What a test looks at is taken as guarded from here on; with an item that is compared, the whole."""
        compared = producer(value)
        wholes = [producer(operand.value) for operand in compared.operands] if compared is not None else []
        self._numbers.update(whole.number for whole in wholes if whole is not None)
        pending, seen = [value], 0
        while pending and seen < _MOST:
            current = pending.pop()
            seen += 1
            if isinstance(current, Tensor):
                self._numbers.add(current.number)
                if current.producer is not None and current.producer.primitive not in _SHAPES:
                    pending.extend(operand.value for operand in current.producer.operands)
