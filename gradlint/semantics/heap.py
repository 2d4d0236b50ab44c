"""What objects hold, written so that one way through a branch can be taken back and another tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from gradlint.semantics.imported import Imported
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

    `version` changes whenever an object may have got other parts.
    """

    def __init__(self, imported: Imported) -> None:
        self._before: list[Changes] = []
        self._created: list[dict[int, Attributes]] = []
        self._imported = imported
        self.version = next(_versions)

    def changed(self) -> None:
        """Something got other parts."""
        self.version = next(_versions)

    @property
    def is_branching(self) -> bool:
        """Whether what is written may be taken back."""
        return bool(self._before)

    def creates(self, attributes: Attributes) -> None:
        """An object with these attributes is new: what is written there concerns no other way.

        A way may end with an object that it made, and leave it to the caller as it is.
        """
        if self._created:
            self._created[-1][id(attributes)] = attributes

    def write(self, attributes: Attributes, name: str, value: Value) -> None:
        """`attributes[name] = value`."""
        self._imported.changes(attributes)
        if name != CONTENTS:
            self.changed()
        if self._before:
            self._before[-1].setdefault((id(attributes), name), (attributes, name, attributes.get(name)))
        attributes[name] = value

    def begin(self) -> None:
        """A way through a branch begins."""
        self._before.append({})
        self._created.append({})

    def take_back(self) -> Changes:
        """Everything as it was when the way began; what had become of it is returned."""
        before, created = self._before.pop(), self._created.pop()
        if self._created:
            self._created[-1].update(created)
        if any(name != CONTENTS for _, name in before):
            self.changed()
        after: Changes = {}
        for key, (attributes, name, value) in before.items():
            if id(attributes) in created:
                continue
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
