"""Networks that scripts, functions and plain classes compute with arrays."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gradlint.graph.arrays import ArrayFacts
from gradlint.graph.values import Signal
from gradlint.records import ir
from gradlint.records.graph import ModelGraph, Place
from gradlint.semantics.classes import is_module
from gradlint.semantics.evaluate import Evaluator
from gradlint.semantics.project import Project
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import ClassObject, Closure, Instance
from gradlint.source.words import Words, holds

_DRAWS: Words = (
    ("rand", re.compile(r"\brandn?\(|\brandom\.")),
    ("default_rng(", re.compile(r"\bdefault_rng\(")),
    ("normal(", re.compile(r"\bnormal\(")),
    ("uniform(", re.compile(r"\buniform\(")),
)
_MULTIPLIES: Words = (
    (".dot(", re.compile(r"\.dot\(")),
    ("matmul(", re.compile(r"\bmatmul\(")),
    (".mm(", re.compile(r"\.mm\(")),
    (" @ ", re.compile(r"[\w\])] @ [\w(]")),
)
_BENDS: Words = (
    *[(f"{name}(", re.compile(rf"\b{name}\(")) for name in ("exp", "tanh", "maximum", "sigmoid", "clamp")],
    *[(f"{name}(", re.compile(rf"\b{name}\(")) for name in ("expit", "relu")],
    ("0", re.compile(r"\* ?\(\w+ ?> ?0")),
)


class ArrayGraph(ModelGraph, frozen=True):
    """What one function, method or script computes; `weights` are the places of what it trains."""

    weights: frozenset[Place] = frozenset()


def may_write_networks(text: str) -> bool:
    """Whether a text draws numbers, multiplies arrays and bends the results."""
    return all(holds(text, sought) for sought in (_MULTIPLIES, _DRAWS, _BENDS))


class Networks:
    """Runs a module under the interpretation of arrays."""

    def __init__(self, project: Project) -> None:
        self._facts = ArrayFacts()
        self._evaluator = Evaluator(self._facts, project.resolve)

    def take_consulted(self) -> set[tuple[str, str]]:
        """The files and names that were looked up since the last call."""
        consulted, self._evaluator.consulted = self._evaluator.consulted, set()
        return consulted

    def forget(self) -> None:
        """Give back what is only kept because it may be asked for again."""
        self._facts.memory.forget()

    def networks(self, scope: ModuleScope) -> Iterator[ArrayGraph]:
        """What a module computes with arrays: its script first, then what that does not run."""
        self._facts.updated.clear()
        self._facts.kept.clear()
        self._facts.ran.clear()
        graphs = [*self._script(scope), *self._definitions(scope)]
        weights = frozenset(self._facts.updated | self._facts.kept)
        self._evaluator.script = None
        self._facts.begin()
        for graph in graphs:
            yield ArrayGraph(
                graph.name, graph.place, graph.nodes, graph.outputs, states=graph.states, weights=weights
            )

    def _script(self, scope: ModuleScope) -> Iterator[ModelGraph]:
        body = [statement for each in scope.facts.body for statement in _lowered(scope, each)]
        running = [s for s in body if not isinstance(s, (ir.Function, ir.Class, ir.Import))]
        if not running:
            return
        self._facts.begin()
        self._evaluator.run_script(body, scope)
        yield from self._graph("", Place(scope.path, running[0].span))
        self._evaluator.script = None

    def _definitions(self, scope: ModuleScope) -> Iterator[ModelGraph]:
        for name in scope.bindings:
            value = self._evaluator.module_name(scope, name)
            if isinstance(value, ClassObject) and value.scope is scope and not is_module(value):
                yield from self._methods(value)
            elif (
                isinstance(value, Closure)
                and value.scope is scope
                and isinstance(value.function, ir.Function)
            ):
                yield from self._function(value, value.function, name)

    def _methods(self, cls: ClassObject) -> Iterator[ModelGraph]:
        members = [m for m in cls.members.values() if isinstance(m, Closure)]
        if any((m.scope.path, m.function.span) in self._facts.ran for m in members):
            return
        self._facts.begin()
        instance = self._evaluator.instantiate(cls)
        for name, member in cls.members.items():
            if (
                isinstance(member, Closure)
                and isinstance(member.function, ir.Function)
                and name != "__init__"
            ):
                receiver = Instance(cls, instance.attributes)
                bound = Closure(member.function, member.scope, member.frame, receiver, member.owner)
                yield from self._function(bound, member.function, f"{cls.definition.name}.{name}")

    def _function(self, closure: Closure, function: ir.Function, name: str) -> Iterator[ModelGraph]:
        if (closure.scope.path, function.span) in self._facts.ran:
            return
        self._facts.begin()
        self._evaluator.run(closure)
        yield from self._graph(name, Place(closure.scope.path, function.header))

    def _graph(self, name: str, place: Place) -> Iterator[ModelGraph]:
        """All that was computed, if a layer is in it."""
        nodes = self._facts.recorder.nodes
        if any(node.op == "linear" for node in nodes):
            used = {number for node in nodes for number in node.inputs}
            ends = [Signal(node.number, self._facts.recorder) for node in nodes if node.number not in used]
            yield self._facts.recorder.graph(name, place, ends, {})


def _lowered(scope: ModuleScope, statement: ir.Statement) -> Sequence[ir.Statement]:
    return scope.lower(statement) if isinstance(statement, ir.Omitted) else (statement,)
