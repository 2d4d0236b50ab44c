"""Which values a gradient can come back to: those that something differentiable is made of."""

from __future__ import annotations

from collections.abc import Iterable

from gradlint.semantics.tensor import Tensor
from gradlint.semantics.value import Constructed, Instance, Items, Table, Value

_HOLDING = (Constructed, Instance, Items, Table)


class Flow:
    """The differentiable steps from value to value, in order, and the values that leave our sight."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, set[int]]] = []
        self._left: set[int] = set()
        self._without: set[int] = set()

    def into(self, number: int, sources: Iterable[Value]) -> None:
        """The value `number` is made of `sources`, and a gradient passes."""
        self._steps.append((number, _numbers(sources)))

    def leaves(self, values: Iterable[Value]) -> None:
        """`values` go where they are not followed: there they may be differentiated."""
        self._left |= _numbers(values)

    def leaves_into(self, number: int, values: Iterable[Value]) -> None:
        """`values` go where they are not followed, and the value `number` comes back."""
        numbers = _numbers(values)
        self._left |= numbers
        self._steps.append((number, numbers))

    def without_gradient(self, value: Value) -> None:
        """`value` is used in a way that fails if it carries a gradient."""
        self._without.update(_numbers((value,)))

    def differentiated(self, returned: Value) -> frozenset[int]:
        """The numbers of all values to which a gradient may come back."""
        found = self._left | _numbers((returned,))
        without = self._without - self._left
        for number, sources in reversed(self._steps):
            if number in without:
                without |= sources - self._left
            elif number in found:
                found |= sources
        return frozenset(found - without)


def _numbers(values: Iterable[Value]) -> set[int]:
    """The numbers of the tensors among `values` and within them."""
    found, seen = set[int](), set[int]()
    pending = list(values)
    while pending:
        value = pending.pop()
        if isinstance(value, Tensor):
            found.add(value.number)
        elif isinstance(value, _HOLDING) and id(value) not in seen:
            seen.add(id(value))
            pending.extend(_contents(value))
    return found


def _contents(value: Value) -> Iterable[Value]:
    if isinstance(value, Items):
        return value.items
    if isinstance(value, Table):
        return value.values()
    if isinstance(value, Instance):
        return value.attributes.values()
    assert isinstance(value, Constructed)
    return (*value.positional, *value.keywords.values())
