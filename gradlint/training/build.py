"""From code that trains to the events of its steps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from gradlint.graph.entries import is_definition, lines_of, lowered
from gradlint.records import ir
from gradlint.records.graph import Place
from gradlint.records.training import Training
from gradlint.semantics.bindings import stored
from gradlint.semantics.evaluate import Evaluator
from gradlint.semantics.project import Project
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import ClassObject, Closure, Instance, Known
from gradlint.training.interpret import TrainingFacts
from gradlint.training.profiles import profiles

_TRAINS = re.compile(
    r"\.backward\(|\.step\(|\.zero_grad\(|clip_grad|clip_gradients|\bautocast\b|GradScaler|\.half\(\)|"
    r"\.parameters\(\)|manual_backward|training_step|\boptim\b"
)
_DEFINED = re.compile(r"^\s*(?:async\s+)?(?:def|class)\s+(\w+)", re.MULTILINE)
_WORD = re.compile(r"[^\W\d]\w*")


_OTHERS = "mxnet|tensorflow|keras|jax|flax|paddle|mindspore|oneflow|chainer|tinygrad|mlx"
_OTHER = re.compile(rf"^\s*(?:import|from)\s+(?:{_OTHERS})\b", re.MULTILINE)
_TORCH = re.compile(r"^\s*(?:import|from)\s.*\b\w*torch", re.MULTILINE)


def may_train(text: str) -> bool:
    """Whether a text names anything that only training code does, or a library's object that does it, and
    not with another framework.
    """
    is_training = _TRAINS.search(text) is not None or _libraries()[0].search(text) is not None
    return is_training and (_OTHER.search(text) is None or _TORCH.search(text) is not None)


@lru_cache(maxsize=1)
def _libraries() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What makes objects that train by themselves, and the methods by which they do."""
    found = [profile for profile in profiles().values() if profile.automatic is not None]
    makers = {name for profile in found for name in profile.classes}
    methods = {name for profile in found for name, what in profile.methods.items() if what == "train"}
    return _any_of(r"\b(?:{})\b", makers), _any_of(r"\.(?:{})\(", methods)


def _any_of(pattern: str, words: set[str]) -> re.Pattern[str]:
    return re.compile(pattern.format("|".join(sorted(words))))


class Trainings:
    """Reads the functions, methods and scripts of a module that train."""

    def __init__(self, project: Project) -> None:
        self._facts = TrainingFacts()
        self._evaluator = Evaluator(self._facts, project.resolve)

    def take_consulted(self) -> set[tuple[str, str]]:
        """The files and names that were looked up since the last call."""
        consulted, self._evaluator.consulted = self._evaluator.consulted, set()
        return consulted

    def of(self, scope: ModuleScope, text: str) -> Iterator[Training]:
        """What trains in a module with this text, callers before what they call: that is read there."""
        lines = text.split("\n")
        self._facts.followed.clear()
        try:
            yield from self._script(scope, lines)
            for name in _definitions(scope, lines):
                value = self._evaluator.module_name(scope, name)
                if isinstance(value, ClassObject) and value.scope is scope:
                    yield from self._methods(value, lines)
                elif isinstance(value, Closure) and value.scope is scope:
                    yield from self._function(value, "")
        finally:
            self._evaluator.script = None

    def _script(self, scope: ModuleScope, lines: list[str]) -> Iterator[Training]:
        body = [s for s in scope.facts.body if not isinstance(s, ir.Import) and not is_definition(s, lines)]
        calling = [s for s in body if not isinstance(s, ir.Assign)]
        if calling and any(_reaches(lines_of(s.span, lines), lines) for s in calling):
            self._facts.begin()
            self._evaluator.run_script(tuple(lowered(body, scope)), scope)
            yield from self._read("", Place(scope.path, body[0].span))

    def _function(self, closure: Closure, prefix: str) -> Iterator[Training]:
        function = closure.function
        if isinstance(function, ir.Function) and id(function) not in self._facts.followed:
            self._facts.begin()
            self._evaluator.run(closure)
            yield from self._read(prefix + function.name, Place(closure.scope.path, function.header))

    def _methods(self, cls: ClassObject, lines: list[str]) -> Iterator[Training]:
        self._facts.begin()
        instance = self._evaluator.instantiate(cls)
        yield from self._read(f"{cls.definition.name}.__init__", Place(cls.scope.path, cls.definition.header))
        members = [m for m in cls.members.values() if isinstance(m, Closure)]
        functions = [m for m in members if isinstance(m.function, ir.Function)]
        changed = {
            name for m in functions if isinstance(m.function, ir.Function) for name in _changed(m.function)
        }
        for name in changed & instance.attributes.keys():
            if isinstance(instance.attributes[name], Known):
                instance.attributes[name] = self._facts.symbols.fresh()
        for member in _callers_first(functions, lines):
            receiver = Instance(cls, dict(instance.attributes))
            bound = Closure(member.function, member.scope, member.frame, receiver, member.owner)
            yield from self._function(bound, f"{cls.definition.name}.")

    def _read(self, name: str, place: Place) -> Iterator[Training]:
        if self._facts.recorder.has(
            "backward", "step", "clip", "half", "zero", "schedule", "unscale", "update"
        ):
            yield self._facts.recorder.freeze(name, place, self._facts.symbols.periodic)


def _changed(function: ir.Function) -> Iterator[str]:
    """The attributes that a method changes after the object was made."""
    return stored(function) if function.name != "__init__" else iter(())


def _definitions(scope: ModuleScope, lines: list[str]) -> list[str]:
    """The definitions of a module in which training may begin, the last first."""
    found = [
        (statement.span, name)
        for name, bound in scope.bindings.items()
        for statement in bound
        if not isinstance(statement, ir.Binding)
        and is_definition(statement, lines)
        and _reaches(lines_of(statement.span, lines), lines)
    ]
    return [name for _, name in sorted(found, reverse=True)]


def _reaches(text: str, lines: list[str]) -> bool:
    """Whether a piece of code trains, or names something of the module that does."""
    if may_train(text):
        return True
    whole = "\n".join(lines)
    if _libraries()[1].search(text) and _libraries()[0].search(whole):
        return True
    defined = set(_DEFINED.findall(whole))
    return may_train(whole) and not defined.isdisjoint(_WORD.findall(text))


def _callers_first(methods: list[Closure], lines: list[str]) -> list[Closure]:
    """The methods of a class that train, those that others call after them."""
    own = {m.function.name: m for m in methods if isinstance(m.function, ir.Function)}
    texts = {name: lines_of(m.function.span, lines) for name, m in own.items()}
    called = {
        name: sum(f".{name}(" in text for other, text in texts.items() if other != name) for name in own
    }
    candidates = [name for name in own if name != "__init__"]
    return [own[name] for name in sorted(candidates, key=lambda name: called[name])]
