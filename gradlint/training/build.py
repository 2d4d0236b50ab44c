"""From code that trains to the events of its steps."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from gradlint.graph.entries import is_definition, lines_of, lowered, text_of
from gradlint.records import ir
from gradlint.records.graph import Place
from gradlint.records.training import Training
from gradlint.semantics.bindings import stored
from gradlint.semantics.evaluate import Evaluator
from gradlint.semantics.interpretation import Site
from gradlint.semantics.project import Project
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import ClassObject, Closure, Instance, Known, Value
from gradlint.training.automatic import profile_for, run_own
from gradlint.training.interpret import TrainingFacts
from gradlint.training.reach import Reach
from gradlint.training.values import options

_WORD = re.compile(r"[^\W\d]\w*")
_MEMBER = re.compile(r"\.(\w+)|[\"'](\w+)[\"']|\bself(\()")
"""Attributes that a method names, in quotes among them, and calls of the object itself."""
_CALLED = re.compile(r"\.(\w+)\(")

MOST_STEPS = 400_000
"""Nodes of code that are evaluated for all that trains in one file; what comes after is left out."""


class Trainings:
    """Reads the functions, methods and scripts of a module that train."""

    def __init__(self, project: Project) -> None:
        self._facts = TrainingFacts()
        self._evaluator = Evaluator(self._facts, project.resolve)
        self._limit = 0
        self._reach = Reach(project)
        self._scope: ModuleScope | None = None
        self._lines: list[str] = []
        self._read: set[int] = set()
        self._failures: list[str] = []
        self._reasons: Counter[str] = Counter()

    def take_consulted(self) -> set[tuple[str, str]]:
        """The files and names that were looked up since the last call."""
        consulted = self._evaluator.consulted | self._reach.consulted
        self._evaluator.consulted, self._reach.consulted = set(), set()
        return consulted

    def take_failures(self) -> list[str]:
        """What went wrong since the last call."""
        failures, self._failures = self._failures, []
        return failures

    def take_reasons(self) -> dict[str, int]:
        """What was not read since the last call, and why: reason to count."""
        reasons, self._reasons = self._reasons, Counter()
        return dict(reasons)

    def of(self, scope: ModuleScope, text: str) -> Iterator[Training]:
        """What trains in a module with this text, callers before what they call: that is read there."""
        lines = text.split("\n")
        self._facts.followed.clear()
        self._limit = self._evaluator.spent + MOST_STEPS
        try:
            self._reach.begin(scope, text)
            self._scope, self._lines = scope, lines
            self._read.clear()
            yield from self._script(scope, lines)
            for name in self._definitions(scope, lines):
                value = self._evaluator.module_name(scope, name)
                for option in options(value) if value is not None else ():
                    if isinstance(option, ClassObject) and option.scope is scope:
                        yield from self._methods(option, lines)
                    elif isinstance(option, Closure) and option.scope is scope:
                        yield from self._function(option, "")
        finally:
            self._evaluator.script = None

    def _run(self, name: str, place: Place, run: Callable[[], object]) -> Iterator[Training]:
        """What happens when code is run, and in functions and classes within it that only other code can use.

        Where reading it fails, that is noted and the rest goes on.
        """
        if self._evaluator.spent >= self._limit:
            self._reasons["too much training code in one file"] += 1
            return
        nested, classes = len(self._evaluator.nested), len(self._evaluator.nested_classes)
        self._facts.begin()
        try:
            run()
        except (Exception, RecursionError) as error:
            self._failures.append(f"reading {name or 'the script'} failed: {type(error).__name__}: {error}")
            return
        if self._facts.recorder.has(*_TELLING):
            training = self._facts.recorder.freeze(name, place, self._facts.symbols.periodic)
            self._reasons.update([] if training.is_whole else ["training that is not read to its end"])
            yield training
        for closure in self._evaluator.nested[nested:]:
            yield from self._function(closure, f"{name}." if name else "")
        for cls in self._evaluator.nested_classes[classes:]:
            if cls.scope is self._scope and id(cls.definition) not in self._read:
                self._read.add(id(cls.definition))
                yield from self._methods(cls, self._lines)

    def _script(self, scope: ModuleScope, lines: list[str]) -> Iterator[Training]:
        body = [s for s in scope.facts.body if not isinstance(s, ir.Import) and not is_definition(s, lines)]
        if any(self._reach.leads(scope, lines_of(s.span, lines)) for s in body):
            code = tuple(lowered(body, scope))
            place = Place(scope.path, body[0].span)
            yield from self._run("", place, lambda: self._evaluator.run_script(code, scope))

    def _definitions(self, scope: ModuleScope, lines: list[str]) -> list[str]:
        """The definitions of a module in which training may begin, those first that others do not name."""
        found = {
            name: (text_of(statement, lines), statement.span)
            for name, bound in scope.bindings.items()
            for statement in bound
            if not isinstance(statement, ir.Binding) and is_definition(statement, lines)
        }
        words = {name: set(_WORD.findall(text)) for name, (text, _) in found.items()}
        count = Counter(word for each in words.values() for word in each)
        named = {name: count[name] > (name in words[name]) for name in found}
        candidates = [name for name, (text, _) in found.items() if self._reach.leads(scope, text)]
        return sorted(candidates, key=lambda name: (named[name], -found[name][1].line))

    def _function(self, closure: Closure, prefix: str) -> Iterator[Training]:
        function = closure.function
        if isinstance(function, ir.Function) and id(function) not in self._facts.followed:
            self._facts.followed.add(id(function))
            place = Place(closure.scope.path, function.header)
            yield from self._run(prefix + function.name, place, lambda: self._evaluator.run(closure))

    def _methods(self, cls: ClassObject, lines: list[str]) -> Iterator[Training]:
        made: list[Instance] = []
        place = Place(cls.scope.path, cls.definition.header)
        make = partial(self._evaluator.instantiate, cls)
        yield from self._run(f"{cls.definition.name}.__init__", place, lambda: made.append(make()))
        if not made:
            return
        (instance,) = made
        yield from self._by_library(cls, instance)
        members = [m for m in cls.members.values() if isinstance(m, Closure)]
        functions = [m for m in members if isinstance(m.function, ir.Function)]
        changed = {
            name for m in functions if isinstance(m.function, ir.Function) for name in _changed(m.function)
        }
        for name in changed & instance.attributes.keys():
            if isinstance(instance.attributes[name], Known):
                instance.attributes[name] = self._facts.symbols.fresh()
        made_so = dict(instance.attributes)
        for member in _callers_first(self._leading(cls, functions, lines), lines):
            _restore(instance, made_so)
            bound = Closure(member.function, member.scope, member.frame, instance, member.owner)
            yield from self._function(bound, f"{cls.definition.name}.")

    def _by_library(self, cls: ClassObject, instance: Instance) -> Iterator[Training]:
        """What a model does that a library calls with every batch, and that steps by itself, where no code
        here has the library do it.
        """
        profile = profile_for(cls)
        if profile is None or profile.automatic is None:
            return
        step = cls.members[profile.automatic.loss]
        if isinstance(step, Closure) and id(step.function) not in self._facts.followed:
            site = Site(ir.Literal(cls.definition.header, None), cls.scope.path)
            made_so = dict(instance.attributes)
            place = Place(cls.scope.path, cls.definition.header)
            name = f"{cls.definition.name}.{profile.automatic.loss}"
            yield from self._run(name, place, lambda: run_own(self._facts, profile, instance, site))
            _restore(instance, made_so)

    def _leading(self, cls: ClassObject, methods: list[Closure], lines: list[str]) -> list[Closure]:
        """The methods that train, or name others of the class that do; all where such may be inherited."""
        texts = [_text_of(method, lines) for method in methods]
        given = [lines_of(base.span, lines) for base in cls.definition.bases]
        given += [lines_of(s.span, lines) for s in cls.definition.body if isinstance(s, ir.Assign)]
        given += [text for m, text in zip(methods, texts, strict=True) if _name(m) == "__init__"]
        if self._reach.leads(cls.scope, "\n".join(given)):
            return methods
        calls = [set(_called(text)) for text in texts]
        leads = [self._reach.leads(cls.scope, text) for text in texts]
        for _ in methods:
            names = {_name(m) for m, does in zip(methods, leads, strict=True) if does}
            more = [does or not names.isdisjoint(called) for does, called in zip(leads, calls, strict=True)]
            if more == leads:
                break
            leads = more
        return [method for method, does in zip(methods, leads, strict=True) if does]


_TELLING = ("backward", "step", "clip", "hook", "half", "zero", "schedule", "unscale", "update", "loss")
"""Kinds of events of which one at least makes code worth a judgement."""


def _restore(instance: Instance, attributes: Mapping[str, Value]) -> None:
    """Makes an object what it was; it stays itself, as what it holds may know it."""
    instance.attributes.clear()
    instance.attributes.update(attributes)


def _changed(function: ir.Function) -> Iterator[str]:
    """The attributes that a method changes after the object was made."""
    return stored(function) if function.name != "__init__" else iter(())


def _name(method: Closure) -> str:
    return getattr(method.function, "name", "")


def _called(text: str) -> Iterator[str]:
    """The members of its object that a method may call."""
    for attribute, quoted, itself in _MEMBER.findall(text):
        yield attribute or quoted or ("__call__" if itself else "")


def _text_of(method: Closure, lines: list[str]) -> str:
    function = method.function
    return text_of(function, lines) if isinstance(function, ir.Function) else lines_of(function.span, lines)


def _callers_first(methods: list[Closure], lines: list[str]) -> list[Closure]:
    """The methods of a class that train, those that others call after them."""
    own = {m.function.name: m for m in methods if isinstance(m.function, ir.Function)}
    texts = {name: lines_of(m.function.span, lines) for name, m in own.items()}
    calls = {name: set(_CALLED.findall(text)) for name, text in texts.items()}
    count = Counter(name for each in calls.values() for name in each)
    called = {name: count[name] - (name in calls[name]) for name in own}
    candidates = [name for name in own if name != "__init__"]
    return [own[name] for name in sorted(candidates, key=lambda name: called[name])]
