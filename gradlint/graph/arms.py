"""Lists of layers that the ways through a branch continue differently."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from gradlint.graph.values import Container, Layer, is_module
from gradlint.records.graph import Place
from gradlint.semantics.value import Instance, Items, Value

Join = Callable[[Sequence[Value]], Value]


class _List:
    """A list as it was before a branch, and what each way through that put behind."""

    def __init__(self, items: Items) -> None:
        self.items = items
        self.before = tuple(items.items)
        self.tails: list[list[Value]] = []
        self.is_continued = True
        """Whether every way only put more behind what was there."""

    def ends(self, is_left: bool) -> None:
        """A way ends, by an error where nothing is left of it; the list is what it was before."""
        now, count = self.items.items, len(self.before)
        kept = len(now) >= count and all(a is b for a, b in zip(now, self.before, strict=False))
        self.is_continued = self.is_continued and kept and not self.items.open
        if self.is_continued:
            self.tails += [now[count:]] if is_left else []
            del now[count:]

    def settle(self, join: Join, place: Place) -> bool:
        """Put one item for each place where a way put one; whether it is known how many there are."""
        is_known = self.is_continued and self._are_alike()
        if is_known:
            longest = max((len(tail) for tail in self.tails), default=0)
            self.items.items.extend(self._either(at, join, place) for at in range(longest))
        else:
            self.items.items.extend(each for tail in self.tails for each in tail)
        return is_known

    def _are_alike(self) -> bool:
        """Whether all ways put as many items, or modules, for which one that does nothing may stand."""
        if len({len(tail) for tail in self.tails}) < 2:
            return True
        return all(is_module(item) for tail in self.tails for item in tail)

    def _either(self, at: int, join: Join, place: Place) -> Value:
        nothing = Layer("Identity", {}, {}, place)
        found = [tail[at] if at < len(tail) else nothing for tail in self.tails]
        return found[0] if all(each is found[0] for each in found) else join(found)


class Arms:
    """What becomes of the lists that variables and the attributes of objects in them hold."""

    def __init__(self, variables: Mapping[str, Value], join: Join, place: Place) -> None:
        self._join, self._place = join, place
        found = {id(items): items for value in variables.values() for items in _lists(value)}
        self._lists = [_List(items) for items in found.values()]

    def ends(self, is_left: bool) -> None:
        """A way through the branch ends, by an error where nothing is left of it."""
        for each in self._lists:
            each.ends(is_left)

    def settle(self) -> frozenset[int]:
        """All ways ended; the lists of which it is known how many items they hold, by identity."""
        return frozenset([id(each.items) for each in self._lists if each.settle(self._join, self._place)])


def _lists(value: Value, depth: int = 1) -> Iterator[Items]:
    """The lists of which all is known that a value is, or that an object or a container holds."""
    if isinstance(value, Items) and value.kind == "list" and not value.open:
        yield value
    elif isinstance(value, Container) and isinstance(value.held, Items):
        yield from _lists(value.held)
    elif isinstance(value, Instance) and depth:
        for part in value.attributes.values():
            yield from _lists(part, depth - 1)
