"""What names of modules hold, and how it is made again what it was when the modules were imported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from msgspec.structs import force_setattr

from gradlint.semantics.value import Collection, Instance, Items, Table, Value

_MOST = 2_000
"""Values in what one name holds that are looked through."""


class Imported:
    """The collections and objects that modules hold: all code sees the same ones.

    What one model puts there is not there for the next, which is judged as if it were the only one. What
    changes while a module is imported stays. `disturbed` counts the other changes.
    """

    def __init__(self) -> None:
        self._held: set[int] = set()
        self._undo: dict[int, Callable[[], None]] = {}
        self._is_importing = False
        self.disturbed = 0

    @property
    def is_changed(self) -> bool:
        """Whether something is not what it was."""
        return bool(self._undo)

    def share(self, value: Value | None) -> None:
        """A name of a module holds `value`."""
        pending, found = [value], 0
        while pending and found < _MOST:
            each = pending.pop()
            found += 1
            if isinstance(each, Instance) and id(each.attributes) not in self._held:
                self._held.add(id(each.attributes))
                pending += each.attributes.values()
            elif isinstance(each, (Items, Table)):
                self._held.add(id(each))
                pending += each.items if isinstance(each, Items) else each.values()

    def changes(self, holder: Collection | dict[Any, Any]) -> None:
        """A collection, or what is in a dictionary of attributes, is about to change."""
        if id(holder) in self._held:
            self.keep(holder)

    def keep(self, holder: Collection | dict[Any, Any]) -> None:
        """Like `changes`, of what is certainly held by a module."""
        if self._is_importing:
            self._undo.pop(id(holder), None)
            return
        self.disturbed += 1
        if id(holder) not in self._undo:
            self._undo[id(holder)] = _restoring(holder)

    def put_back(self) -> None:
        """From now on everything is again what it was."""
        for undo in self._undo.values():
            undo()
        self._undo.clear()

    @contextmanager
    def importing(self) -> Iterator[None]:
        """What runs within the block runs when a module is imported."""
        outer, self._is_importing = self._is_importing, True
        try:
            yield
        finally:
            self._is_importing = outer


def _restoring(holder: Collection | dict[Any, Any]) -> Callable[[], None]:
    """What puts the contents back that there are now."""
    if isinstance(holder, dict):
        return _refilling(holder)
    assert isinstance(holder, (Items, Table))
    contents = (holder.items,) if isinstance(holder, Items) else (holder.entries, holder.others)
    steps, is_open = [_refilling(each) for each in contents], holder.open

    def restore() -> None:
        for step in steps:
            step()
        force_setattr(holder, "open", is_open)

    return restore


def _refilling(holder: list[Value] | dict[Any, Any]) -> Callable[[], None]:
    if isinstance(holder, list):
        return partial(holder.__setitem__, slice(None), list(holder))
    kept = dict(holder)

    def refill() -> None:
        holder.clear()
        holder.update(kept)

    return refill
