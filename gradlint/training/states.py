"""What one iteration of a loop leaves to the next, and what tensors are computed of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gradlint.records.graph import Setting
from gradlint.semantics.interpretation import Arguments, Count, Operand, Site
from gradlint.semantics.scope import Frame
from gradlint.semantics.value import ClassObject, Closure, Instance, Items, Known, Partial, Reference, Value
from gradlint.training.ordered import Ordered
from gradlint.training.stirred import Body, Stirring
from gradlint.training.values import (
    Bound,
    Context,
    Either,
    Module,
    Optimizer,
    Parameters,
    Scaler,
    Scheduler,
    Symbol,
    Tensor,
    Tool,
    tensors,
    within,
)


class Stateful(Ordered):
    """Follows variables that a loop carries from iteration to iteration."""

    def __init__(self) -> None:
        super().__init__()
        self._states: dict[int, int] = {}
        self._stirring = Stirring(lambda scope, name: self.evaluator.module_name(scope, name))

    def stirred(self, body: Body, frame: Frame) -> Iterator[tuple[Instance, str]]:
        """What a loop changes of the objects that it can reach."""
        return self._stirring.of(body, frame)

    def begin(self) -> None:
        """Forget the states of one entry before another is run."""
        super().begin()
        self._states.clear()

    def mixed(self, values: Iterable[Value]) -> Tensor:
        """A tensor that is computed of `values`."""
        found = [tensor for value in values for tensor in tensors(value)]
        states = frozenset([s.number for value in values for s in self._states_in(value)])
        states = states.union(*[tensor.states for tensor in found])
        cut = frozenset[int]().union(*[tensor.cut for tensor in found])
        if not self.is_tracked:
            return Tensor(cut=cut.union(*[tensor.passes for tensor in found]))
        divided = {tensor.is_divided for tensor in found if tensor.passes}
        return Tensor(
            frozenset().union(*[tensor.passes for tensor in found]),
            states,
            all(tensor.is_certain for tensor in found),
            divided.pop() if len(divided) == 1 else (None if divided else False),
            next((tensor.scaled for tensor in found if tensor.scaled is not None), None),
            next((tensor.gradient for tensor in found if tensor.gradient is not None), None),
            cut=cut,
            is_sometimes=all(tensor.is_certain or tensor.is_sometimes for tensor in found),
        )

    def _states_in(self, value: Value) -> list[Symbol]:
        return [s for s in within(value, 100) if isinstance(s, Symbol) and s.number in self._states]

    def taken(self, arguments: Arguments) -> dict[str, Setting]:
        """Which state a call is given as it was left, by its number, and at which position or name.

        Of several it is that of the innermost loop. `stems` are all that are given at this position, with
        the states of the loops around in which they began.
        """
        positional: list[tuple[int | str, Operand]] = list(enumerate(arguments.positional))
        operands = (*positional, *arguments.keywords.items())
        found = [(number, at) for at, operand in operands for number in self._itself(operand.value)]
        if not found:
            return {}
        number, at = max(found, key=lambda each: each[0])
        stems = [stem for each, there in found if there == at for stem in self._stem(each)]
        return {"state": number, "at": at, "stems": tuple(stems)}

    def _stem(self, number: int) -> Iterator[int]:
        """A state, and those of the loops around it that it is in the first iteration."""
        while number in self._states:
            yield number
            number = self._states[number]

    def _itself(self, value: Value) -> Iterator[int]:
        """The states that a value is, or consists of, for certain."""
        if isinstance(value, Symbol) and value.number in self._states:
            yield value.number
        elif isinstance(value, Items) and not value.open:
            for item in value.items:
                yield from self._itself(item)
        elif isinstance(value, Tensor) and value.is_certain:
            yield from value.states

    def forgotten(self, value: Value, count: Count) -> Value:
        """Objects stay what they are; what else a loop changes is a state of it."""
        if isinstance(
            value,
            (Optimizer, Scaler, Scheduler, Module, Instance, Closure, Context, Parameters, Reference, Tool),
        ):
            return value
        if isinstance(value, (ClassObject, Partial, Bound)):
            return value
        if isinstance(value, Either) and not any(isinstance(o, (Known, Tensor)) for o in value.options):
            return value
        if isinstance(value, Items) and not all(map(_is_state, value.items)):
            return Items(value.kind, value.items, value.node, True)
        made = self.symbols.fresh()
        self._states[made.number] = value.number if isinstance(value, Symbol) else -1
        return made

    def carried(self, values: Sequence[Value], before: Sequence[Value]) -> None:
        """States that keep the graph of one iteration into the next."""
        for value, start in zip(values, before, strict=True):
            if isinstance(start, Items) and value is not start and not _goes_on(value, start):
                self.recorder.note("release", Site(start.node, ""))
            if isinstance(start, Symbol) and value is not start and start.number in self._states:
                self.symbols.counts(value)
                mixed = self.mixed((value,))
                is_certain = mixed.is_certain and self._hangs(value)
                self.recorder.leave(start.number, mixed.passes, mixed.states, is_certain)

    def _hangs(self, value: Value) -> bool:
        """Whether a value hangs on a forward pass, or is a state as it was, whichever it is."""
        if isinstance(value, Either):
            return all(map(self._hangs, value.options))
        if isinstance(value, Items) and value.items:
            return all(map(self._hangs, value.items))
        if isinstance(value, Tensor):
            return bool(value.passes)
        return isinstance(value, Symbol) and value.number in self._states


def _goes_on(value: Value, before: Items) -> bool:
    """Whether a list is another one with more behind it."""
    is_same = isinstance(value, Items) and value.node is before.node
    return is_same and len(value.items) > len(before.items)  # type: ignore[attr-defined]


def _is_state(value: Value) -> bool:
    """Whether a value can be part of what a recurrent model is given: a tensor, or nothing known."""
    return isinstance(value, (Tensor, Symbol)) or (
        isinstance(value, Items) and all(map(_is_state, value.items))
    )
