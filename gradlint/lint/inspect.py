"""One file: from its facts to the findings of every rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from gradlint.flow.handwritten import Handwritten
from gradlint.flow.model import Model
from gradlint.flow.objective import Objective
from gradlint.graph.build import Builder
from gradlint.graph.entries import may_compute_losses
from gradlint.graph.handwritten import Networks, may_write_networks
from gradlint.lint.outcome import Given
from gradlint.records.failure import internal_error
from gradlint.records.finding import Applicability, Edit, Finding, Fix, Related, Severity
from gradlint.records.graph import ModelGraph, Place
from gradlint.records.span import Span
from gradlint.records.training import Thing, Training
from gradlint.rule.rule import Rule, subject_of
from gradlint.semantics.analyse import Analysis
from gradlint.semantics.inference import without_gradients
from gradlint.semantics.interpretation import Site
from gradlint.semantics.neighbours import EVERYTHING, text_of
from gradlint.semantics.project import Project
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.tensor import Application, Tensor
from gradlint.semantics.trace import Trace
from gradlint.semantics.value import Known
from gradlint.source.source import Source
from gradlint.source.triage import Triggers, mentions_framework
from gradlint.steps.loop import TrainingLoop
from gradlint.training.build import Trainings
from gradlint.training.reach import may_have_trained


class Inspection(Struct, frozen=True):
    """What the rules said of one file, and what the analysis did not understand of it."""

    findings: tuple[Finding, ...]
    reasons: dict[str, int] = {}
    consulted: frozenset[tuple[str, str]] = frozenset()


Key = tuple[str, str, Span]
"""What tells a finding from others: its rule, its file and its place there."""


class SaidThere(Struct, frozen=True):
    """What the rules say of how a file trains, and what that rests on."""

    keys: frozenset[Key] = frozenset()
    rests_on: frozenset[tuple[str, str]] = frozenset()


GRAPHS = (Model, Objective, Handwritten, TrainingLoop)
"""Subjects that whole modules are read for, whatever their text says."""


def triggers_of(rules: Iterable[type[Rule]]) -> Triggers:
    """The triggers of all `rules`, each once."""
    judged = [rule for rule in rules if subject_of(rule) not in GRAPHS]
    return tuple(dict.fromkeys(trigger for rule in judged for trigger in rule.triggers.items()))


def may_define_models(text: str) -> bool:
    """Whether a text can hold a class that derives from torch.nn.Module, or a sequence of layers."""
    return "Sequential(" in text or ("class " in text and ("Module" in text or "forward" in text))


def may_hold_graphs(text: str) -> bool:
    """Whether a text can hold a model or the computation of a loss."""
    return (
        may_define_models(text)
        or may_compute_losses(text)
        or may_write_networks(text)
        or may_have_trained(text)
    )


class Inspector:
    """Runs rules over modules of one project."""

    def __init__(self, project: Project, rules: Sequence[type[Rule]], given: Given = {}) -> None:  # noqa: B006
        self._project = project
        self._given = given
        self._analysis = Analysis(project)
        self._builder = Builder(project)
        self._networks = Networks(project)
        self._trainings = Trainings(project)
        self._said_of_loops: dict[str, SaidThere] = {}
        self._asked_there: set[str] = set()
        self._graphs: dict[tuple[str, str], ModelGraph | None] = {}
        self._rules: dict[type, list[Rule]] = {}
        for rule in rules:
            self._rules.setdefault(subject_of(rule), []).append(rule())
        self._of_traces = frozenset([rule.id for rule in self._rules.get(Trace, ())])

    def inspect(self, scope: ModuleScope, source: Source, is_framework: bool = True) -> Inspection:
        """What the rules say of every subject in the module; one finding per rule and place.

        In a module that names no framework the only subjects are networks of arrays.
        """
        self._graphs.clear()
        self._asked_there.clear()
        found: dict[tuple[str, Span], Finding] = {}
        said = self._said(scope, source) if is_framework else self._said_of_arrays(scope, source)
        for finding in said:
            known = found.setdefault((finding.rule, finding.span), finding)
            if finding.severity.rank > known.severity.rank:
                found[finding.rule, finding.span] = finding
        lines, helped = source.lines() if found else [], self._analysis.take_helped()
        findings = [_materialised(self._graded(finding, scope, helped), lines) for finding in found.values()]
        findings.sort(key=lambda finding: (finding.span, finding.rule))
        consulted = frozenset(self._consulted())
        reasons = Counter(self._analysis.take_reasons())
        reasons.update(self._builder.take_reasons())
        reasons.update(self._trainings.take_reasons())
        return Inspection(tuple(findings), dict(reasons), consulted)

    def _consulted(self) -> Iterator[tuple[str, str]]:
        for part in (self._analysis, self._builder, self._networks, self._trainings):
            yield from part.take_consulted()
        for path in self._asked_there:
            yield from self._said_of_loops[path].rests_on

    def forget(self) -> None:
        """Give back what is only kept because it may be asked for again."""
        self._analysis.forget()
        self._builder.forget()
        self._networks.forget()

    def _said(self, scope: ModuleScope, source: Source) -> Iterator[Finding]:
        """All that the rules say of a module, a problem perhaps several times."""
        if scope.facts.hits:
            for subject in self._analysis.subjects(scope):
                for finding in self._found(subject, scope):
                    if isinstance(subject, Trace) and subject.via is not None:
                        finding = _through_call(finding, subject.via, subject.scope.path, scope.path)
                    yield finding
        self._builder.begin()
        if Model in self._rules and may_define_models(source.text):
            for graph in self._models(scope, source.text):
                elsewhere = partial(self._builder.is_initialised_elsewhere, graph, source.text)
                deepened = partial(self._builder.deepened, graph, scope, source.text)
                yield from self.judge(Model(graph, elsewhere, deepened, self._builder.undecided))
            yield from map(internal_error, self._builder.take_failures())
        yield from self._said_of_arrays(scope, source)
        if Objective in self._rules and may_compute_losses(source.text):
            for graph in self._builder.objectives(scope, source.text):
                yield from self.judge(Objective(graph))
        if TrainingLoop in self._rules and may_have_trained(source.text):
            yield from self._said_of_training(scope, source.text)

    def _models(self, scope: ModuleScope, text: str) -> Iterator[ModelGraph]:
        """The models of a module, those for which arguments are given constructed with them."""
        if not self._given:
            yield from self._builder.models(scope, text)
            return
        classes = {cls.definition.name: cls for cls in self._builder.classes(scope)}
        for graph in list(self._builder.models(scope, text)):
            is_given = graph.name in self._given and graph.name in classes
            made = self._builder.build(classes[graph.name], self._given[graph.name]) if is_given else None
            yield made or graph

    def _said_of_training(self, scope: ModuleScope, text: str) -> Iterator[Finding]:
        """What the rules say of how a module trains; what stands in another file is reported at the call
        that leads there, unless the own reading of that file, or of one on the way there, says so.
        """
        for training in self._trainings.of(scope, text):
            for finding in self.judge(TrainingLoop(training, self._graph_of)):
                if finding.path in ("", scope.path):
                    yield replace(finding, path="")
                elif not any(
                    _key(finding) in self._said_there(path) for path in _on_the_way(training, finding)
                ):
                    yield _at_call(finding, scope.path)
        yield from map(internal_error, self._trainings.take_failures())

    def _said_there(self, path: str) -> frozenset[Key]:
        """What the rules say of how another file trains, read for itself, and of what files; nothing where
        it names no framework or nothing of training, for then it is not read.
        """
        self._asked_there.add(path)
        if path not in self._said_of_loops:
            self._said_of_loops[path] = SaidThere()
            text, trainings = text_of(path), Trainings(self._project)
            is_read = mentions_framework(text.encode()) and may_have_trained(text)
            read = list(trainings.of(self._project.scope(path), text)) if is_read else []
            found = [f for training in read for f in self.judge(TrainingLoop(training, self._graph_of))]
            keys = frozenset([_key(f if f.path else replace(f, path=path)) for f in found])
            rests_on = frozenset({(path, EVERYTHING), *trainings.take_consulted()})
            self._said_of_loops[path] = SaidThere(keys, rests_on)
        return self._said_of_loops[path].keys

    def _graph_of(self, thing: Thing) -> ModelGraph | None:
        """The graph of a model of the project."""
        if thing.defined is None:
            return None
        key = (thing.defined, thing.type)
        if key not in self._graphs:
            scope = self._project.scope(thing.defined)
            self._graphs[key] = self._builder.named(scope, thing.type.rpartition(".")[2])
        return self._graphs[key]

    def _said_of_arrays(self, scope: ModuleScope, source: Source) -> Iterator[Finding]:
        """What the rules say of networks that are written by hand."""
        if Handwritten in self._rules and may_write_networks(source.text):
            for network in self._networks.networks(scope):
                yield from self.judge(Handwritten(network, network.weights))

    def _found(self, subject: object, scope: ModuleScope) -> list[Finding]:
        """What the rules say of a subject; where only code without gradients calls it, what they say then."""
        found = list(self.judge(subject, scope.facts.literals))
        if not found or not isinstance(subject, Trace):
            return found
        name = getattr(subject.function, "name", "")
        if without_gradients(scope, name, subject.owner is not None):
            return list(self.judge(replace(subject, reached=frozenset()), scope.facts.literals))
        return found

    def _graded(self, finding: Finding, scope: ModuleScope, helped: Sequence[Trace]) -> Finding:
        """A finding in a function as bad as the worst of what callers in the same module make of it."""
        if finding.severity is Severity.NOTE or finding.rule not in self._of_traces:
            return finding
        heard: list[Finding] = []
        is_spared = False
        for trace in helped:
            here = [a for a in trace.applications if a.site.node.span == finding.span]
            found = self._found(trace, scope) if here else []
            said = [f for f in found if f.rule == finding.rule and f.span == finding.span]
            heard += said
            is_spared = is_spared or any(_is_whole(a, trace) for a in here if not said)
        if is_spared and not heard:
            return replace(finding, severity=Severity.NOTE)
        worst = max(heard, key=lambda f: f.severity.rank, default=finding)
        milder = worst.severity.rank < finding.severity.rank
        return replace(finding, severity=worst.severity, message=worst.message) if milder else finding

    def judge(self, subject: object, literals: frozenset[str] | None = None) -> Iterator[Finding]:
        """What the rules for this kind of subject say of it.

        With `literals`, the triggers that matched in the file, rules without any of them are left
        out, unless the subject can reach into other files.
        """
        for rule in self._rules.get(type(subject), ()):
            reaches_out = literals is None or isinstance(subject, Trace) or not rule.triggers
            if reaches_out or not rule.triggers.keys().isdisjoint(literals or ()):
                yield from _guarded(rule, subject)


def _guarded(rule: Rule, subject: object) -> Iterator[Finding]:
    try:
        yield from rule.check(subject)
    except Exception as error:
        yield internal_error(f"{rule.id} {rule.name} failed on this file: {type(error).__name__}: {error}")


def _key(finding: Finding) -> Key:
    return finding.rule, finding.path, finding.span


def _on_the_way(training: Training, finding: Finding) -> set[str]:
    """The other files that lead from a file to a finding, and the one in which it is."""
    there = Place(finding.path, finding.span)
    callers = {caller.path for e in training.events if e.place == there for caller in e.callers}
    return {finding.path, *callers} - {training.place.path}


def _at_call(finding: Finding, own: str) -> Finding:
    """A finding in another file, at the call that leads there; places in the own file need no path."""
    call, *others = finding.related
    there = Related(finding.span, finding.message, finding.path)
    paths = [each.path or finding.path for each in others]
    beside = [
        replace(each, path="" if path == own else path) for each, path in zip(others, paths, strict=True)
    ]
    return replace(finding, span=call.span, path="", related=(there, *beside), fix=None)


def _through_call(finding: Finding, via: Site, path: str, own: str) -> Finding:
    """A finding in a called function: where it stands in this file the call is named beside it,
    where it stands in another file it is reported at the call.
    """
    call = via.node.span
    if path == own:
        reason = Related(call, "with what this call passes")
        return replace(finding, related=(*finding.related, reason))
    place = Related(finding.span, finding.message, path)
    return replace(finding, span=call, related=(place,), fix=None)


def _materialised(finding: Finding, lines: list[str]) -> Finding:
    """The same finding with the present text filled into its fix."""
    if finding.fix is None:
        return finding
    edits = tuple([Edit(edit.span, (_text(edit, lines),), edit.cell) for edit in finding.fix.edits])
    applicability = finding.fix.applicability
    if applicability is Applicability.SAFE and any(_drops_comment(e, lines) for e in finding.fix.edits):
        applicability = Applicability.UNSAFE
    return replace(finding, fix=Fix(finding.fix.title, applicability, edits))


def _drops_comment(edit: Edit, lines: list[str]) -> bool:
    """Whether a comment stands between what the edit keeps; a plain removal means what it removes."""
    return bool(edit.parts) and _text(edit, lines).count("#") < excerpt(edit.span, lines).count("#")


def _is_whole(application: Application, trace: Trace) -> bool:
    """Whether all operands of an operation are known, and a gradient comes through it if one carries any."""
    values = [operand.value for operand in application.operands]
    is_trained = application.number in trace.reached or not any(map(trace.carries_gradient, values))
    return application.tracked and is_trained and all(isinstance(v, (Tensor, Known)) for v in values)


def _text(edit: Edit, lines: list[str]) -> str:
    return "".join([part if isinstance(part, str) else excerpt(part, lines) for part in edit.parts])


def excerpt(span: Span, lines: Sequence[str]) -> str:
    """The text of `span`."""
    if span.line == span.end_line:
        return lines[span.line - 1][span.column - 1 : span.end_column - 1]
    first = lines[span.line - 1][span.column - 1 :]
    last = lines[span.end_line - 1][: span.end_column - 1]
    return "\n".join([first, *lines[span.line : span.end_line - 1], last])
