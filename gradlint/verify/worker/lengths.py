"""How long a sequence among the values of an attempt should be, by the error that it ended in."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .blame import Line, mentions

_LONGEST = 64
"""So many elements of a sequence."""


ENTRY = "first"
"""The name of the only entry of a dict that is made up."""


def of_sizes(text: str, slots: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Of two sizes that a message says do not fit: what is one of them is given the other."""
    for a, b in stated_sizes(text):
        for before, after in ((b, a), (a, b)):
            alike = [slot for slot, value in slots.items() if type(value) is int and value == before]
            yield from ({slot: after} for slot in alike if "." not in slot)


def stated_sizes(text: str) -> Iterator[tuple[int, int]]:
    """The sizes that a message says do not fit: what was given, and what is wanted."""
    for pattern in _PAIRS:
        found = re.search(pattern, text)
        if found:
            yield int(found["a"]), int(found["b"])


_PAIRS = (
    r"tensor a \((?P<a>\d+)\) must match the size of tensor b \((?P<b>\d+)\)",
    r"Expected size (?P<a>\d+) but got size (?P<b>\d+)",
    r"to have (?P<b>\d+) channels, but got (?P<a>\d+)",
    r"\(\d+x(?P<a>\d+) and (?P<b>\d+)x\d+\)",
    r"should contain (?P<a>\d+) elements not (?P<b>\d+)",
    r"[Ee]xpected (?P<b>\d+),? (?:but )?got (?P<a>\d+)",
    r"size mismatch.*?\[\d+ x (?P<a>\d+)\].*?\[(?P<b>\d+) x",
    r"expected .*?\[\d+, (?P<b>\d+)\].*?got.*?\[\d+, (?P<a>\d+)\]",
    r"batch2 tensor to be: \[\d+, (?P<b>\d+)\] but got: \[\d+, (?P<a>\d+)\]",
    r"normalized_shape=\[(?P<b>\d+)\].* got input of size\[.*?(?P<a>\d+)\]",
)


def expected(text: str) -> int | None:
    """How many elements a message says are expected."""
    found = re.search(r"expected (?:at least )?(\d+)", text)
    return int(found[1]) if found else None


def of_another_length(text: str, line: Line, slot: str, value: Any) -> Iterator[Any]:
    """The sequence made longer or shorter; nothing where the line reads only places that it has."""
    item = value[0] if len(value) else 4
    read = _read(line, slot.rpartition(".")[2])
    if 0 < read <= len(value):
        return
    count = expected(text) or read
    for length in [count] if count else [len(value) + 1, len(value) + 2, 2, 8]:
        yield type(value)([item] * length)


def _read(line: Line, name: str) -> int:
    """How many elements are needed for the places that a line reads of a sequence; 0 where it reads none."""
    places = [
        node.slice.value
        for node in (ast.walk(line.tree) if line.tree is not None else ())
        if isinstance(node, ast.Subscript)
        and mentions(node.value, name)
        and isinstance(node.slice, ast.Constant)
    ]
    return max([place + 1 for place in places if isinstance(place, int)], default=0)


def of_lengths(line: Line, slot: str, value: Any) -> Iterator[Any]:
    """Sequences of as many elements as the line compares their length with."""
    name = slot.rpartition(".")[2]
    for node in ast.walk(line.tree) if line.tree is not None else ():
        if isinstance(node, ast.Compare) and is_length(node.left, name):
            for other in node.comparators:
                yield from _of_length(other, line, value)


def is_length(node: ast.AST, name: str) -> bool:
    """Whether a node asks for the length of what has a name, or of anything where none is given."""
    is_length = isinstance(node, ast.Call) and ast.unparse(node.func) == "len"
    return is_length and (not name or mentions(node, name))


def _of_length(node: ast.AST, line: Line, value: Any) -> Iterator[Any]:
    try:
        count = line.value(node)
    except Exception:
        return
    item = value[0] if isinstance(value, (list, tuple)) and value else value
    if isinstance(count, int) and 0 < count < _LONGEST:
        yield [item] * count
