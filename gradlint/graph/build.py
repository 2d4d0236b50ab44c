"""From a class of the project to the graph of its forward pass."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePath

from msgspec.structs import replace

from gradlint.graph.called_lengths import CalledLengths, measured, unmeasured
from gradlint.graph.callsites import CallSites
from gradlint.graph.construct import torch_base
from gradlint.graph.idle import Idle
from gradlint.graph.interpret import GraphFacts
from gradlint.graph.kept import attributes, used, written
from gradlint.graph.modules import UNFILLED
from gradlint.graph.reach import Reach
from gradlint.graph.recorder import frozen
from gradlint.graph.sequences import Sequences
from gradlint.graph.stated import module, undecided
from gradlint.graph.training import Trainer
from gradlint.graph.unapplied import callable_later, is_constructed, uncalled, unnamed, without_effect
from gradlint.graph.values import BASE, Container, Signal, Weight, descendants, prefixes, signals
from gradlint.graph.writes import Writers
from gradlint.records import ir
from gradlint.records.facts import FileFacts
from gradlint.records.graph import ModelGraph, Parameter, Place, Unapplied
from gradlint.records.span import Span
from gradlint.semantics.answers import applies_to, calls_any, calls_method, occurs, question
from gradlint.semantics.classes import is_module as is_module_class
from gradlint.semantics.evaluate import EXHAUSTED, Evaluator
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.neighbours import EVERYTHING, neighbours, text_of
from gradlint.semantics.project import Project
from gradlint.semantics.scope import Frame, ModuleScope
from gradlint.semantics.value import ClassObject, Closure, Instance, Items, Known, Table, Value


def parameters(cls: ClassObject) -> tuple[ir.Parameter, ...]:
    """What the constructor of a class takes, as far as it is written in the project."""
    init = cls.member("__init__")
    return init.function.parameters[1:] if isinstance(init, Closure) else ()


FEW_STEPS = 15_000
MOST_STEPS = 200_000
"""Nodes of code that are evaluated for all models of one file; what comes after is left out."""


class Builder:
    """Builds the graphs of the models of a project."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._facts = GraphFacts()
        self._evaluator = Evaluator(self._facts, project.resolve)
        self._trainer = Trainer(self._facts, self._evaluator, project)
        self._sequences = Sequences(self._facts, self._evaluator)
        self._call_sites = CallSites(self._evaluator, self._facts)
        self._called_lengths = CalledLengths(self._facts, self._evaluator)
        self._seen: set[int] = set()
        self._limit = sys.maxsize
        self.reasons: Counter[str] = Counter()
        self._failures: list[str] = []
        self._seeks_kept = False
        self._writers = Writers()
        self._parts: dict[Place, int] = {}
        self._may_grow: dict[Place, bool] = {}
        self._lost: dict[str, tuple[Unapplied, ...]] = {}
        self._classes: dict[str, tuple[FileFacts, list[ClassObject]]] = {}
        self._text = ""
        self._started_beside: set[str] = set()

    def begin(self) -> None:
        """Another file: its models together may take MOST_STEPS."""
        self._limit = self._evaluator.spent + MOST_STEPS
        self._writers.forget()
        self._facts.memory.forget()

    def take_reasons(self) -> dict[str, int]:
        """What was not understood since the last call: reason to count."""
        reasons = dict(self.reasons)
        self.reasons.clear()
        return reasons

    def take_consulted(self) -> set[tuple[str, str]]:
        """The files and names that were looked up since the last call."""
        consulted, self._evaluator.consulted = self._evaluator.consulted, set()
        return consulted

    def forget(self) -> None:
        """Give back what is only kept because it may be asked for again."""
        self._facts.memory.forget()
        self._call_sites.forget()
        self._classes.clear()

    def models(self, scope: ModuleScope, text: str) -> Iterator[ModelGraph]:
        """The graphs of the models of a module with this text, classes from bottom to top.

        A class that ran as a part of another one of the module is left out: it is judged there, with
        the arguments that it is really given.
        """
        self._seen.clear()
        self._started_beside.clear()
        self._parts.clear()
        self._may_grow.clear()
        self._lost.clear()
        self._text = text
        for cls in reversed(self.classes(scope)):
            if id(cls.definition) not in self._seen and self._affords():
                graph = self._survived(cls)
                if graph is not None:
                    yield self._fed(cls, graph)
        yield from self.sequences(scope, text)

    def _fed(self, cls: ClassObject, graph: ModelGraph) -> ModelGraph:
        """The same graph with the lengths of the sequences that its file gives to it, and no other one."""
        layers = unmeasured(graph)
        if not layers or not self._affords():
            return graph
        beside, name = neighbours(graph.place.path), PurePath(graph.place.path).stem
        for each in (graph.name, name):
            self._evaluator.consulted |= beside.asked(question("occurs", each))
        texts = [text_of(path) for path in beside.files or ()]
        if beside.files is None or any(occurs(graph.name, text) or occurs(name, text) for text in texts):
            return graph
        reasons = self.reasons.copy()
        found = self._called_lengths.steps(cls, self._text, layers)
        self.reasons = reasons
        return measured(graph, found)

    def _survived(self, cls: ClassObject) -> ModelGraph | None:
        """The graph of a class; where building it fails, that is noted and the others go on.

        A model that takes more work than there is leaves little to the others, which are likely alike.
        """
        try:
            graph = self.build(cls)
            if EXHAUSTED in self._facts.unread or EXHAUSTED in self._facts.recorder.reasons:
                self._limit = min(self._limit, self._evaluator.spent + FEW_STEPS)
            return graph
        except (Exception, RecursionError) as error:
            self._failures.append(f"reading {cls.definition.name} failed: {type(error).__name__}: {error}")
            return None

    def take_failures(self) -> list[str]:
        """What went wrong since the last call."""
        failures, self._failures = self._failures, []
        return failures

    def sequences(
        self, scope: ModuleScope, text: str, given: Mapping[str, object] | None = None
    ) -> Iterator[ModelGraph]:
        """The graphs of sequences of layers outside of classes; functions are called with what is given."""
        arguments = {name: Known(value) for name, value in (given or {}).items()}
        for name, sequence in self._sequences.found(scope, text, arguments):
            if self._affords():
                yield self._graph(name, sequence.made, sequence, scope)

    def _affords(self) -> bool:
        """Whether there is work left for one more model of the file."""
        is_left = self._evaluator.spent < self._limit
        if not is_left:
            self.reasons["too many models in one file"] += 1
        return is_left

    def is_initialised_elsewhere(self, graph: ModelGraph, text: str) -> bool:
        """Whether code outside of a model's class may draw its weights: `net.apply(…)`, in this or a
        neighbouring file.
        """
        beside = neighbours(graph.place.path)
        self._evaluator.consulted |= beside.asked(question("applies_to", graph.name))
        if beside.files is None or graph.name in self._started_beside or applies_to(graph.name, text):
            return True
        return any(applies_to(graph.name, text_of(each)) for each in beside.files)

    def objectives(self, scope: ModuleScope, text: str) -> Iterator[ModelGraph]:
        """The graphs of the losses that a module with this text computes."""
        for graph in self._trainer.objectives(scope, text):
            yield graph
            if not self._affords():
                return

    def classes(self, scope: ModuleScope) -> list[ClassObject]:
        """The classes of a module that derive from torch.nn.Module, from top to bottom."""
        known = self._classes.get(scope.path)
        if known is None or known[0] is not scope.facts:
            known = self._classes[scope.path] = (scope.facts, self._found_classes(scope))
        return known[1]

    def _found_classes(self, scope: ModuleScope) -> list[ClassObject]:
        names = [name for name, statements in scope.bindings.items() if any(map(_defines_class, statements))]
        values = [self._evaluator.module_name(scope, name) for name in names]
        found = [value for value in values if isinstance(value, ClassObject) and is_module_class(value)]
        return sorted(found, key=lambda cls: cls.definition.span)

    def build(self, cls: ClassObject, given: Mapping[str, object] | None = None) -> ModelGraph | None:
        """The graph of `cls`, constructed with what is `given`, or as its file does it, then its defaults.

        None where it has no forward pass.
        """
        instance, shown = self._constructed(cls, given)
        if self._facts.unread:
            self._facts.members.escape((instance,))
        forward = cls.member("forward")
        if not isinstance(forward, Closure) and torch_base(instance) is None:
            return None
        place = Place(cls.scope.path, cls.definition.span)
        return self._graph(cls.definition.name, place, instance, cls.scope, shown)

    def _constructed(
        self, cls: ClassObject, given: Mapping[str, object] | None
    ) -> tuple[Instance, dict[str, str]]:
        """An object of a class, and the arguments that it was made with as Python writes them."""
        facts = self._facts
        named = {name: literal(value) for name, value in (given or {}).items()}
        arguments = {**self._call_sites.given(cls, frozenset(named)), **named}
        facts.begin()
        facts.ran.clear()
        facts.note(cls.member("__init__"))
        self._evaluator.ran = set()
        with facts.watching() as made:
            instance = self._evaluator.instantiate(cls, arguments)
            self._start(cls, instance)
        self._call_sites.learn(cls, made)
        return instance, {name: text for name, value in arguments.items() if (text := as_text(value))}

    def _start(self, cls: ClassObject, instance: Instance) -> None:
        """Run the methods that draw weights and that the file calls once the object is made."""
        for method in callable_later(cls, self._evaluator.ran):
            name = getattr(method.function, "name", "")
            if calls_method(name, self._text):
                self._evaluator.run(self._evaluator.bound(method, instance))
            beside = neighbours(cls.scope.path)
            self._evaluator.consulted |= beside.asked(question("calls_method", name))
            if any(calls_method(name, text_of(path)) for path in beside.files or ()):
                self._started_beside.add(cls.definition.name)

    def deepened(
        self, graph: ModelGraph, scope: ModuleScope, text: str, place: Place, times: int
    ) -> ModelGraph | None:
        """The same model where its constructor iterates so often at a place of which that is not known."""
        cls = self._evaluator.module_name(scope, graph.name)
        if isinstance(cls, ClassObject) and not self._grows(cls, graph):
            return graph
        reasons, seen = self.reasons.copy(), self._seen.copy()
        try:
            with self._facts.repeating({place: times}):
                if isinstance(cls, ClassObject):
                    return self.build(cls) if self._affords() else None
                return next((one for one in self.sequences(scope, text) if one.place == graph.place), None)
        finally:
            self.reasons, self._seen = reasons, seen

    def undecided(self, place: Place) -> str | None:
        """The name that decides how often a constructor iterates at a place; None where the code says it."""
        scope = self._project.scope(place.path)
        beside = neighbours(place.path)
        self._evaluator.consulted |= beside.asked(question("calls"))
        if scope is None or beside.files is None:
            return ""
        paths = [path for path in beside.files if calls_any(scope.bindings, text_of(path))]
        self._evaluator.consulted |= {(path, EVERYTHING) for path in paths}
        others = [other for path in paths if (other := self._project.scope(path)) is not None]
        here, *rest = [module(each, partial(self._evaluator.module_name, each)) for each in (scope, *others)]
        return undecided(place, here, rest)

    def _grows(self, cls: ClassObject, graph: ModelGraph) -> bool:
        """Whether a model has more parts where its constructor iterates more often."""
        if graph.place not in self._may_grow:
            with self._facts.repeating(dict.fromkeys(graph.uncounted, 2)):
                deeper, _ = self._constructed(cls, None)
            more = sum(1 for _ in descendants(deeper))
            self._may_grow[graph.place] = more > self._parts.get(graph.place, 0)
        return self._may_grow[graph.place]

    def _graph(
        self,
        name: str,
        place: Place,
        root: Instance | Container,
        scope: ModuleScope,
        shown: dict[str, str] | None = None,
    ) -> ModelGraph:
        """The graph of one forward pass of a model that was constructed in the module `scope`."""
        facts = self._facts
        parts = list(descendants(root))
        self._parts.setdefault(place, len(parts))
        for path, part in parts:
            facts.recorder.paths[id(part)] = path
            if isinstance(part, Instance) and BASE in part.attributes:
                facts.recorder.paths[id(part.attributes[BASE])] = path
        facts.is_constructing = False
        forward = root.type.member("forward") if isinstance(root, Instance) else None
        facts.built |= facts.ran
        facts.note(forward)
        before = attributes([part for _, part in parts]) if self._seeks_kept else []
        result = self._forward(root, forward, place)
        outputs = list(_outputs(result))
        left = written(before)
        if not outputs:
            outputs = [facts.recorder.unknown("an output that is not known", (), None)]
        graph = facts.recorder.graph(name, place, outputs, shown or {})
        graph = replace(graph, uncounted=tuple(dict.fromkeys(facts.uncounted)))
        self.reasons.update(graph.reasons)
        ran = {path for node in graph.nodes for path in prefixes(node.module)}
        self._seen.update(
            id(p.type.definition) for path, p in parts if isinstance(p, Instance) and path in ran
        )
        held = tuple(self._held(scope, parts))
        weights = {path: part for path, part in parts if isinstance(part, Weight)}
        if not isinstance(root, Instance):
            return replace(graph, parameters=held)
        classes = self.classes(root.type.scope)
        idle = Idle(facts, root, weights, Reach(facts.recorder, outputs, root))
        graph = replace(graph, severed=idle.severed(classes), unused=idle.unused(classes))
        lost = without_effect(facts.displaced, facts.copied, facts.recorder.paths)
        unapplied = (*facts.unmatched, *uncalled(root.type, self._evaluator.ran), *lost)
        if self._text and all(parameter.initial.scheme == "default" for parameter in held):
            unapplied += self._unnamed(root.type)
        kept = tuple(self._kept(root, forward, place, left)) if left else ()
        return replace(graph, parameters=held, unapplied=unapplied, kept=kept)

    def _unnamed(self, cls: ClassObject) -> tuple[Unapplied, ...]:
        """Functions of the file that draw weights, and that neither it nor a neighbour names; none where it
        makes no object of the class.
        """
        if not is_constructed(cls):
            return ()
        if cls.scope.path not in self._lost:
            self._lost[cls.scope.path] = tuple(self._nowhere_named(cls.scope))
        return self._lost[cls.scope.path]

    def _nowhere_named(self, scope: ModuleScope) -> Iterator[Unapplied]:
        for found in unnamed(scope, self._text):
            path = found.place.path
            beside = neighbours(path)
            self._evaluator.consulted |= beside.asked(question("occurs", found.name))
            if beside.files is not None and not any(occurs(found.name, text_of(f)) for f in beside.files):
                yield found

    def _kept(
        self, root: Instance, forward: Value | None, place: Place, left: dict[str, frozenset[int]]
    ) -> Iterator[str]:
        """The attributes with a forward pass's results that another one uses."""
        again = _outputs(self._forward(root, forward, place))
        recorder = self._facts.recorder
        yield from used(recorder, [signal.number for signal in again if signal.recorder is recorder], left)

    def _held(self, scope: ModuleScope, parts: Sequence[tuple[str, Value]]) -> Iterator[Parameter]:
        """The weights of a model; unknown where code that did not run may fill them."""
        weights = [(path, part) for path, part in parts if isinstance(part, Weight)]
        writes = None
        for path, weight in weights:
            parameter = frozen(path, weight)
            if parameter.initial.scheme in UNFILLED and weight.is_trained:
                if writes is None:
                    kinds = {id(p.type): p.type for _, p in parts if isinstance(p, Instance)}
                    lineage = [base for kind in kinds.values() for base in kind.lineage()]
                    classes = [base for base in lineage if isinstance(base, ClassObject)]
                    writes = self._writers.elsewhere(scope, classes, self._evaluator.ran)
                if parameter.pieces or writes.reach(path):
                    parameter = replace(parameter, initial=replace(parameter.initial, scheme="unknown"))
            yield parameter

    def named(self, scope: ModuleScope, name: str) -> ModelGraph | None:
        """The graph of the model called `name` in a module; None where there is none, or it fails."""
        cls = self._evaluator.module_name(scope, name)
        if not isinstance(cls, ClassObject):
            return None
        self._seeks_kept = True
        try:
            return self._survived(cls)
        finally:
            self._seeks_kept = False

    def held(self, scope: ModuleScope, name: str, given: Mapping[str, object]) -> ModelGraph | None:
        """The graph of the model that a variable of a module holds, or that a function returns.

        The function is given what it is given by name; None where it is no model.
        """
        self._facts.begin()
        self._facts.ran.clear()
        self._evaluator.ran = set()
        made = self._evaluator.module_name(scope, name)
        place = Place(scope.path, next((each.span for each in scope.binding(name)), Span(1, 1, 1, 1)))
        if isinstance(made, Closure):
            named = {
                each: Operand(literal(value), ir.Name(place.span, each)) for each, value in given.items()
            }
            made = self._evaluator.call(
                made, Arguments((), named), Site(ir.Name(place.span, name), scope.path)
            )
        if isinstance(made, Instance) and not is_module_class(made.type):
            return None
        return self._graph(name, place, made, scope) if isinstance(made, (Instance, Container)) else None

    def value(self, scope: ModuleScope, node: ir.Expression) -> Value:
        """What an expression of a module is."""
        return self._evaluator.evaluate(node, Frame(scope))

    def _forward(self, root: Instance | Container, forward: Value | None, place: Place) -> Value:
        node = ir.Literal(place.span, None)
        site = Site(node, place.path)
        if not isinstance(forward, Closure):
            taken = (Operand(self._input("input", 0, site), node),)
            return self._facts.applier.module(root, Arguments(taken), site)
        operands: dict[str, Operand] = {}
        positional: list[Operand] = []
        bound = self._evaluator.bound(forward, root)
        parameters_ = forward.function.parameters[bound.receiver is not None :]
        needs_none = not any(_is_needed(parameter) for parameter in parameters_)
        for index, parameter in enumerate(parameters_):
            where = Site(ir.Literal(parameter.span, None), forward.scope.path)
            if parameter.kind == "arguments":
                positional.append(Operand(self._input(parameter.name, index, where), node))
            elif _is_needed(parameter) or (needs_none and index == 0 and _may_be_left_out(parameter)):
                operands[parameter.name] = Operand(self._input(parameter.name, index, where), node)
        return self._evaluator.run(bound, Arguments(tuple(positional), operands), joined=self._returned)

    def _returned(self, values: Sequence[Value]) -> Value:
        """What a forward pass returns: one of several alike, or all that it may be."""
        kinds = {type(value) for value in values if not isinstance(value, Known)}
        return self._evaluator.join(values) if len(kinds) < 2 else literal(list(values))

    def _input(self, name: str, index: int, site: Site) -> Signal:
        return self._facts.recorder.emit("input", (), site, {"name": name, "index": index})


def _is_needed(parameter: ir.Parameter) -> bool:
    """Whether a forward pass cannot be run without this argument."""
    return parameter.default is None and parameter.kind != "keywords"


def _may_be_left_out(parameter: ir.Parameter) -> bool:
    """Whether a parameter is None unless something is given."""
    return isinstance(parameter.default, ir.Literal) and parameter.default.value is None


def _defines_class(statement: ir.Statement | ir.Binding) -> bool:
    return isinstance(statement, ir.Class) or (isinstance(statement, ir.Omitted) and statement.defines_class)


def literal(value: object) -> Value:
    """A constant as the evaluator sees it: lists and dictionaries item by item."""
    if isinstance(value, Value):
        return value
    nowhere = ir.Literal(Span(1, 1, 1, 1), None)
    if isinstance(value, (list, tuple)):
        return Items(type(value).__name__, [literal(item) for item in value], nowhere)
    if isinstance(value, dict):
        return Table({key: literal(item) for key, item in value.items()}, nowhere)
    return Known(value)


def as_text(value: Value) -> str:
    """A constant as Python writes it, lists and dictionaries item by item; empty where it is none."""
    if isinstance(value, Known):
        return repr(value.value)
    if isinstance(value, Items) and value.kind in ("list", "tuple") and not value.open:
        parts = [as_text(item) for item in value.items]
        closed = f"{', '.join(parts)}{',' if len(parts) == 1 and value.kind == 'tuple' else ''}"
        return (f"[{closed}]" if value.kind == "list" else f"({closed})") if all(parts) else ""
    if isinstance(value, Table) and not value.open:
        entries = {repr(key): as_text(item) for key, item in value.entries.items()}
        return f"{{{', '.join(f'{k}: {v}' for k, v in entries.items())}}}" if all(entries.values()) else ""
    return ""


def _outputs(value: Value, depth: int = 4) -> list[Signal]:
    """The signals in what forward returns, also in objects made to carry them."""
    if isinstance(value, Instance) and depth and not is_module_class(value.type):
        return [s for part in value.attributes.values() for s in _outputs(part, depth - 1)]
    if isinstance(value, (Items, Table)) and depth:
        parts = value.items if isinstance(value, Items) else value.values()
        return [s for part in parts for s in _outputs(part, depth - 1)]
    return list(signals(value))
