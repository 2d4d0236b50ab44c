"""What objects hold, written so that one way through a branch can be taken back and another tried."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from itertools import count
from typing import Any

from gradlint.semantics.value import Value

Attributes = dict[str, Value]
Change = tuple[Attributes, str, Value | None]
"""A dictionary of attributes, a name in it, and a value (None where it holds none)."""

Changes = dict[tuple[int, str], Change]


CONTENTS = "data"
"""The attribute under which weights hold their numbers: writing it changes nobody's parts."""

_versions = count()


class Heap:
    """Writes to attributes; what was written since a branch began is known.

    `version` changes whenever an object may have got other parts. `disturbed` counts the writes to those
    attributes, by identity, that are `shared` by all who run.
    """

    def __init__(self, shared: Container[int] = ()) -> None:
        self._before: list[Changes] = []
        self._shared = shared
        self.version = next(_versions)
        self.disturbed = 0

    def changed(self) -> None:
        """Something got other parts."""
        self.version = next(_versions)

    def write(self, attributes: Attributes, name: str, value: Value) -> None:
        """`attributes[name] = value`."""
        self.disturbed += id(attributes) in self._shared
        if name != CONTENTS:
            self.changed()
        if self._before:
            self._before[-1].setdefault((id(attributes), name), (attributes, name, attributes.get(name)))
        attributes[name] = value

    def begin(self) -> None:
        """A way through a branch begins."""
        self._before.append({})

    def take_back(self) -> Changes:
        """Everything as it was when the way began; what had become of it is returned."""
        before = self._before.pop()
        if any(name != CONTENTS for _, name in before):
            self.changed()
        after: Changes = {}
        for key, (attributes, name, value) in before.items():
            after[key] = (attributes, name, attributes.get(name))
            if value is None:
                attributes.pop(name, None)
            else:
                attributes[name] = value
        return after

    def merge(self, ends: Sequence[Changes], join: Callable[[list[Value]], Value]) -> None:
        """Go on from where the ways ended, each with what it changed."""
        every: dict[tuple[int, str], Change] = {}
        for end in ends:
            every.update(end)
        for key, (attributes, name, _) in every.items():
            now = attributes.get(name)
            found: list[Any] = [end[key][2] if key in end else now for end in ends]
            values = [value for value in found if value is not None]
            if values:
                merged = join(values) if any(v is not values[0] for v in values) else values[0]
                self.write(attributes, name, merged)
