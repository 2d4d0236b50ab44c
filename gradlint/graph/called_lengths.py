"""How long the sequences are that a file gives to its own models, where every call of one says it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec.structs import replace

from gradlint.graph.entries import is_definition, lowered, text_of
from gradlint.graph.interpret import GraphFacts
from gradlint.graph.values import layers_in
from gradlint.records import ir
from gradlint.records.graph import ModelGraph, Node, Place
from gradlint.semantics.evaluate import EXHAUSTED, Evaluator
from gradlint.semantics.interpretation import Budget
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import ClassObject, Closure, Value

_LAYERS = frozenset({"rnn", "lstm", "gru"})

_WORD = re.compile(r"[^\W\d]\w*")

_BUDGET = Budget(unrolled=16, rounds=256, steps=10_000, objects=2000, recursion=6)

Steps = Mapping[Place, int]


def unmeasured(graph: ModelGraph) -> frozenset[Place]:
    """Where a class makes recurrent layers of its own whose number of steps is not known."""
    found = [node for node in graph.nodes if node.op in _LAYERS and node.settings.get("steps") is None]
    return frozenset([n.made for n in found if n.made is not None and _is_within(n.made, graph.place)])


def _is_within(place: Place, whole: Place) -> bool:
    first, last = whole.span.line, whole.span.end_line
    return place.path == whole.path and first <= place.span.line <= place.span.end_line <= last


def measured(graph: ModelGraph, steps: Steps) -> ModelGraph:
    """The same model where so many steps go into the layers that are made at these places."""
    return replace(graph, nodes=tuple([_measured(node, steps) for node in graph.nodes]))


def _measured(node: Node, steps: Steps) -> Node:
    count = steps.get(node.made) if node.made is not None and node.op in _LAYERS else None
    if count is None or node.settings.get("steps") is not None:
        return node
    return replace(node, settings={**node.settings, "steps": count})


class CalledLengths:
    """Runs what of a file may call a model, and sees how many steps its recurrent layers make."""

    def __init__(self, facts: GraphFacts, evaluator: Evaluator) -> None:
        self._facts = facts
        self._evaluator = evaluator

    def steps(self, cls: ClassObject, text: str, layers: Collection[Place]) -> Steps:
        """The steps of recurrent layers by where they are made, as far as all calls agree.

        Nothing where the model is a part of another one, or goes where its calls are not seen.
        """
        lines, scope = text.split("\n"), cls.scope
        names = frozenset({cls.definition.name, *self._holders(scope, layers)})
        naming = [s for s in scope.facts.body if not names.isdisjoint(_WORD.findall(text_of(s, lines)))]
        if any(_is_other(s, cls, lines) for s in naming):
            return {}
        self._facts.followed.clear()
        try:
            found = [node for nodes in self._runs(cls, naming, lines, layers) for node in nodes]
        except _LostError:
            return {}
        finally:
            self._evaluator.script = None
            self._facts.begin()
        return dict(_agreed(found, layers))

    def _holders(self, scope: ModuleScope, layers: Collection[Place]) -> Iterator[str]:
        """The variables of the file that hold a model with these layers."""
        for name, bound in scope.bindings.items():
            if any(isinstance(statement, ir.Assign) for statement in bound):
                value = self._evaluator.module_name(scope, name)
                if value is not None and not layers_in((value,)).isdisjoint(layers):
                    yield name

    def _runs(
        self, cls: ClassObject, naming: Sequence[ir.Statement], lines: list[str], layers: Collection[Place]
    ) -> Iterator[list[Node]]:
        """What the script of the file computes, and each function that names the model."""
        scope = cls.scope
        script = [s for s in scope.facts.body if not isinstance(s, ir.Import) and not is_definition(s, lines)]
        self._facts.begin(is_training=True, ends_at_loss=False)
        with self._evaluator.limited(_BUDGET):
            self._evaluator.run_script(tuple(lowered(script, scope)), scope)
        yield self._nodes(layers)
        for function in _functions(naming, scope):
            closure = self._evaluator.module_name(scope, function.name)
            if isinstance(closure, Closure) and id(closure.function) not in self._facts.followed:
                self._facts.begin(is_training=True, ends_at_loss=False)
                with self._evaluator.limited(_BUDGET):
                    returned = self._evaluator.run(closure)
                yield self._nodes(layers, returned)

    def _nodes(self, layers: Collection[Place], *left: Value) -> list[Node]:
        """What was computed, unless a model with these layers went on to where it is not seen."""
        recorder = self._facts.recorder
        if EXHAUSTED in recorder.reasons or not (recorder.handed | layers_in(left)).isdisjoint(layers):
            raise _LostError
        return recorder.nodes


class _LostError(Exception):
    """A model goes where its calls are not seen."""


def _is_other(statement: ir.Statement, cls: ClassObject, lines: list[str]) -> bool:
    """Whether a statement that names a class defines another one, which may hold it."""
    if statement.span == cls.definition.span or not is_definition(statement, lines):
        return False
    return not isinstance(statement, ir.Function) and _FUNCTION.match(text_of(statement, lines)) is None


_FUNCTION = re.compile(r"(?:@.*\n)*\s*(?:async\s+)?def\b")


def _functions(statements: Sequence[ir.Statement], scope: ModuleScope) -> Iterator[ir.Function]:
    yield from [each for each in lowered(statements, scope) if isinstance(each, ir.Function)]


def _agreed(nodes: Sequence[Node], layers: Collection[Place]) -> Iterator[tuple[Place, int]]:
    """The number of steps that all calls of the layers made at a place agree on."""
    for place in layers:
        found = {node.settings.get("steps") for node in nodes if node.op in _LAYERS and node.made == place}
        steps = found.pop() if len(found) == 1 else None
        if isinstance(steps, int):
            yield place, steps
