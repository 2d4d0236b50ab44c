"""From code that trains to the graphs of the losses that it computes."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.graph.entries import Entries
from gradlint.graph.interpret import GraphFacts
from gradlint.graph.values import Anything, Layer, Signal, descendants, is_module
from gradlint.records import ir
from gradlint.records.graph import ModelGraph, Place
from gradlint.records.losses import LOSS_LAYERS, LOSSES
from gradlint.semantics.evaluate import Evaluator
from gradlint.semantics.project import Project
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import ClassObject, Closure, Instance, Items, Reference, Table, Value


class Trainer:
    """Runs the functions, methods and scripts of a module that compute losses, each as one pass."""

    def __init__(self, facts: GraphFacts, evaluator: Evaluator, project: Project) -> None:
        self._facts = facts
        self._evaluator = evaluator
        self._project = project

    def objectives(self, scope: ModuleScope, text: str) -> Iterator[ModelGraph]:
        """The graphs of all losses, callers before what they call: that is judged as they call it."""
        entries = Entries(scope, text, self._models(scope))
        self._facts.followed.clear()
        try:
            yield from self._script(scope, entries)
            for name in entries.definitions():
                value = self._evaluator.module_name(scope, name)
                if isinstance(value, ClassObject) and value.scope is scope:
                    yield from self._methods(value, entries)
                elif isinstance(value, Closure) and isinstance(value.function, ir.Function):
                    yield from self._function(value, value.function, entries)
        finally:
            self._evaluator.script = None
            self._facts.begin()

    def _models(self, scope: ModuleScope) -> Iterator[str]:
        """Names that come from other files of the project, and the module's own classes."""
        for name, bound in scope.bindings.items():
            for statement in bound:
                if isinstance(statement, ir.Class) or (
                    isinstance(statement, ir.Binding) and self._is_own(statement, scope)
                ):
                    yield name

    def _is_own(self, binding: ir.Binding, scope: ModuleScope) -> bool:
        return bool(binding.level) or self._project.locate(binding.module, scope) is not None

    def _script(self, scope: ModuleScope, entries: Entries) -> Iterator[ModelGraph]:
        body = entries.script()
        if body:
            self._facts.begin(is_training=True)
            self._evaluator.run_script(body, scope)
            yield from self._graph("", Place(scope.path, body[0].span))

    def _function(
        self, closure: Closure, function: ir.Function, entries: Entries, held: frozenset[str] = frozenset()
    ) -> Iterator[ModelGraph]:
        if id(function) in self._facts.followed:
            return
        self._facts.begin(is_training=True)
        name, receiver = function.name, closure.receiver
        if isinstance(receiver, Instance):
            name = f"{receiver.type.definition.name}.{name}"
            self._facts.recorder.paths = {id(part): path for path, part in descendants(receiver)}
        given = {name: Anything() for name in entries.targets(function, held)}
        self._evaluator.run(closure, given=given)
        yield from self._graph(name, Place(closure.scope.path, function.header))

    def _methods(self, cls: ClassObject, entries: Entries) -> Iterator[ModelGraph]:
        self._facts.begin(is_training=True)
        instance = self._evaluator.instantiate(cls)
        held = frozenset([name for name, value in _attributes(instance) if _is_loss(value, entries)])
        for name, member in cls.members.items():
            if not isinstance(member, Closure) or not isinstance(member.function, ir.Function):
                continue
            if name != "__init__" and entries.mentions_loss(entries.text(member.function.span), held):
                receiver = Instance(cls, dict(instance.attributes))
                bound = Closure(member.function, member.scope, member.frame, receiver, member.owner)
                yield from self._function(bound, member.function, entries, held)

    def _graph(self, name: str, place: Place) -> Iterator[ModelGraph]:
        """What the losses of the pass depend on, if it has any."""
        recorder = self._facts.recorder
        losses = [Signal(node.number, recorder) for node in recorder.nodes if node.op in LOSSES]
        if losses:
            yield recorder.graph(name, place, losses, {})


def _attributes(instance: Instance) -> Iterator[tuple[str, Value]]:
    """What an object holds, itself or through its class."""
    for cls in reversed(instance.type.lineage()):
        if isinstance(cls, ClassObject):
            yield from cls.members.items()
    yield from instance.attributes.items()


def _is_loss(value: Value, entries: Entries) -> bool:
    """Whether an attribute computes a loss."""
    if isinstance(value, Layer):
        return value.type in LOSS_LAYERS
    if isinstance(value, Reference):
        return value.name.rpartition(".")[2] in LOSSES
    if isinstance(value, (Items, Table)):
        inside = value.items if isinstance(value, Items) else value.values()
        return any(_is_loss(each, entries) for each in inside)
    if isinstance(value, Instance) and is_module(value):
        return value.type.definition.name in entries.words
    return isinstance(value, Closure) and getattr(value.function, "name", "") in entries.words
