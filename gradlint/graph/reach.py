"""Which parameters a gradient reaches, and the steps at which it is lost on the way to the others.

All that is not understood counts as a result that a gradient comes from, so that what is said to get
none gets none whatever that does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gradlint.graph.functions import NOT_DIFFERENTIABLE
from gradlint.graph.recorder import Recorder, frozen
from gradlint.graph.values import Signal, Weight, held_by
from gradlint.records.graph import Node, Parameter, Severed
from gradlint.semantics.value import Value

CUTTING = NOT_DIFFERENTIABLE | {"detach", "compare", "cast_int"}
"""Operations that no gradient comes back through."""


class Reach:
    """One forward pass with its results: `outputs` are returned, `model` keeps others in attributes."""

    def __init__(self, recorder: Recorder, outputs: Iterable[Signal], model: Value | None = None) -> None:
        self._recorder = recorder
        self._outputs = {signal.number for signal in outputs if signal.recorder is recorder}
        kept = held_by([model]) if model is not None else ()
        sinks = {s.number for s in kept if isinstance(s, Signal) and s.recorder is recorder}
        sinks |= {node.number for node in recorder.nodes if node.op == "unknown"} | recorder.escaped
        self._alive = self._behind(self._outputs | sinks, past_cuts=False)
        self._told = self._behind(self._outputs, past_cuts=False)

    def severed(self, weights: Mapping[str, Weight]) -> Iterator[Severed]:
        """The steps that leave some of the parameters, by path, without any gradient."""
        lost = self._lost(weights)
        for number in sorted(self._told) if lost else ():
            node = self._recorder.nodes[number]
            behind = self._parameters(self._behind({number}, past_cuts=True)) & lost.keys()
            if node.op in CUTTING and behind and node.place is not None:
                found = tuple([lost.pop(path) for path in list(lost) if path in behind])
                yield self._cut(node, found)

    def read(self) -> set[str]:
        """The paths of the parameters that some node has, whatever becomes of it."""
        return self._parameters(range(len(self._recorder.nodes)))

    def is_untracked(self, path: str) -> bool:
        """Whether a parameter is only used where no gradient is recorded."""
        nodes = [n for n in self._recorder.nodes if any(p.path == path for p in n.parameters.values())]
        return all(node.number in self._recorder.untracked for node in nodes)

    def is_trained(self, path: str) -> bool:
        """Whether a gradient comes to a parameter."""
        return path in self._parameters(self._alive)

    def _cut(self, node: Node, parameters: tuple[Parameter, ...]) -> Severed:
        assert node.place is not None
        by = str(node.settings.get("by", node.op))
        is_optional = node.number in self._recorder.optional
        is_everything = not self._parameters(self._told)
        return Severed(
            node.op, by, node.place, parameters, is_optional, is_everything, not self._feeds(node.number)
        )

    def _feeds(self, cut: int) -> bool:
        """Whether what a step gives goes on to parameters that a result depends on."""
        learning = [n for n in self._told if n > cut and self._recorder.nodes[n].parameters]
        return any(cut in self._behind({number}, past_cuts=True) for number in learning)

    def _lost(self, weights: Mapping[str, Weight]) -> dict[str, Parameter]:
        """The trained parameters that the outputs depend on and that no gradient reaches."""
        alive = self._parameters(self._alive)
        needed = self._parameters(self._behind(self._outputs, past_cuts=True)) - alive
        return {
            path: frozen(path, weight)
            for path, weight in weights.items()
            if path in needed and weight.takes_gradient and "handed" not in weight.attributes
        }

    def _parameters(self, numbers: Iterable[int]) -> set[str]:
        nodes = self._recorder.nodes
        return {p.path for number in numbers for p in nodes[number].parameters.values() if p.path}

    def _behind(self, numbers: Iterable[int], past_cuts: bool) -> set[int]:
        """The nodes from which something comes to those with these numbers; they are among them."""
        found, pending = set[int](), list(numbers)
        while pending:
            number = pending.pop()
            if number in found:
                continue
            found.add(number)
            node = self._recorder.nodes[number]
            if past_cuts or node.op not in CUTTING:
                pending.extend((*node.inputs, *self._recorder.also.get(number, ())))
        return found
