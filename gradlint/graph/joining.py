"""One of several values, where paths of a model's code come together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gradlint.graph.python import is_callable
from gradlint.graph.values import Choice, Drawn, OneOf, Signal, Weight, number
from gradlint.records import ir
from gradlint.records.graph import Initial
from gradlint.semantics.interpretation import Site
from gradlint.semantics.value import Items, Known, Table, Value

if TYPE_CHECKING:
    from gradlint.graph.interpret import GraphFacts

_MOST_OPTIONS = 64
"""Modules or functions of which one is chosen; of more than these nothing is known."""


class Joining:
    """Joins what the branches of a condition leave."""

    def __init__(self, facts: GraphFacts) -> None:
        self._facts = facts

    def join(self, values: Sequence[Value]) -> Value:
        """One of several: a node that is either input, a choice of modules, or anything."""
        distinct = list({id(value): value for value in values}.values())
        real = [value for value in distinct if not (isinstance(value, Known) and value.value is None)]
        if any(isinstance(value, Signal) for value in real):
            return self._either_signal(real)
        if len(real) > 1 and all(isinstance(value, Table) for value in real):
            joined = self._either_table([value for value in real if isinstance(value, Table)])
            if joined is not None:
                return joined
        if len(real) > 1 and all(isinstance(v, Items) and v.kind == "tuple" and not v.open for v in real):
            return self._either_tuple([value for value in real if isinstance(value, Items)])
        if real and all(is_callable(value) for value in real):
            options = {id(option): option for option in _options(distinct)}
            if len(options) <= _MOST_OPTIONS:
                return Choice(tuple(options.values()))
        if real and all(isinstance(value, (Drawn, Weight)) for value in real):
            return self._either_data(real)
        return self._facts.unknown(values)

    def _either_signal(self, found: Sequence[Value]) -> Value:
        """A branch may also leave a number or a fresh tensor where another one leaves a signal."""
        first = next(value for value in found if isinstance(value, Signal))
        recorder = self._facts.recorder
        place = recorder.nodes[first.number].place if first.recorder is recorder else None
        if not all(isinstance(v, (Signal, Drawn, Weight)) or number(v) is not None for v in found):
            return self._facts.unknown(found)
        if place is None:
            return self._either([v for v in found if isinstance(v, Signal)])
        site = Site(ir.Literal(place.span, None), place.path)
        return self._either([recorder.signal(value, site) for value in found])

    def _either_table(self, found: Sequence[Table]) -> Table | None:
        first = found[0]
        if any(table.open or table.others or table.entries.keys() != first.entries.keys() for table in found):
            return None
        joined = {key: self._facts.evaluator.join([t.entries[key] for t in found]) for key in first.entries}
        return Table(joined, first.node)

    def _either_tuple(self, found: Sequence[Items]) -> Items:
        """Results of which some end earlier than others: what is behind an end is that of the longer ones."""
        longest = max(found, key=lambda items: len(items.items))
        columns = [[i.items[at] for i in found if at < len(i.items)] for at in range(len(longest.items))]
        return Items("tuple", [self._facts.evaluator.join(column) for column in columns], longest.node)

    def _either(self, found: Sequence[Signal]) -> Value:
        recorder = self._facts.recorder
        numbers = {signal.number: signal for signal in found if signal.recorder is recorder}
        if len(numbers) < 2:
            return found[0]
        node = recorder.nodes[max(numbers)]
        site = Site(ir.Literal(node.place.span, None), node.place.path) if node.place is not None else None
        if site is None:
            return recorder.unknown("a branch", list(numbers.values()))
        return recorder.emit("join", list(numbers.values()), site)

    def _either_data(self, found: Sequence[Value]) -> Value:
        data = [value.data if isinstance(value, Weight) else value for value in found]
        first = data[0]
        assert isinstance(first, Drawn)
        same = all(
            isinstance(other, Drawn) and (other.initial, other.pieces) == (first.initial, first.pieces)
            for other in data
        )
        pieces = first.pieces if same else ()
        shape = first.shape if all(isinstance(d, Drawn) and d.shape == first.shape for d in data) else None
        initial_ = first.initial if same else Initial("unknown")
        weight = next((value for value in found if isinstance(value, Weight)), None)
        self._facts.recorder.hand_out(found)
        return (
            Drawn(initial_, shape, pieces)
            if weight is None
            else OneOf({"data": Drawn(initial_, shape, pieces)}, weight.made, options=tuple(found))
        )


def _options(values: Sequence[Value]) -> Iterator[Value]:
    for value in values:
        yield from value.options if isinstance(value, Choice) else (value,)
