"""How much collections hold: what keeps them from growing, or from holding themselves, without end."""

from __future__ import annotations

from collections.abc import Iterable

from gradlint.semantics.value import Constructed, Items, Table, Value

MAX_ITEMS = 10_000
"""Items of one collection that grows, and values in all the collections within another."""

_DEEPEST = 32
"""Collections within collections."""


def size(value: Value) -> int:
    """How many items a collection has; 1 for anything else."""
    if isinstance(value, Items):
        return len(value.items)
    return len(value.entries) + len(value.others) if isinstance(value, Table) else 1


def fits(value: Value, receiver: Value | None = None) -> bool:
    """Whether a collection can hold `value`: not too much is in it, nor too deep, nor `receiver` itself.

    What is held twice counts twice: whoever goes through all of it meets it as often.
    """
    pending, count = [(value, 0)], 0
    while pending:
        current, depth = pending.pop()
        if current is receiver or count > MAX_ITEMS or depth > _DEEPEST:
            return False
        for part in _parts(current):
            if isinstance(part, (Items, Table, Constructed)):
                pending.append((part, depth + 1))
                count += 1 + size(part)
    return True


def _parts(value: Value) -> Iterable[Value]:
    if isinstance(value, Items):
        return value.items
    if isinstance(value, Table):
        return value.values()
    return (*value.positional, *value.keywords.values()) if isinstance(value, Constructed) else ()
