"""From one module to the subjects that rules judge."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from gradlint.records import ir
from gradlint.records.span import Span
from gradlint.semantics.bindings import stored, walk
from gradlint.semantics.classes import is_differentiated, is_module, is_optimizer, may_define_optimizer
from gradlint.semantics.evaluate import Evaluator
from gradlint.semantics.inference import inference_only
from gradlint.semantics.mentions import Mentions
from gradlint.semantics.project import Project
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.tensor import TOP, Application, Tensor
from gradlint.semantics.trace import ModuleClass, Trace, Uses
from gradlint.semantics.value import ClassObject, Closure, Instance, Value
from gradlint.semantics.value_facts import ValueFacts

_FAR = 24
"""How many values behind an operand are looked at."""

Subject = Trace | ModuleClass | Mentions


class Analysis:
    """Runs the functions of a project's modules that contain something of interest."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self.facts = ValueFacts()
        self._evaluator = Evaluator(self.facts, project.resolve)
        self._scope: ModuleScope
        self._hits: tuple[int, ...] = ()
        self._defines_optimizer: bool | None = None
        self._stored: dict[int, tuple[ir.Class | None, set[str]]] = {}
        self._within: set[int] = set()
        self._helped: list[Trace] = []

    def take_helped(self) -> list[Trace]:
        """What the functions of the last module made its other functions do, a trace for each caller."""
        helped, self._helped = self._helped, []
        return helped

    def take_reasons(self) -> dict[str, int]:
        """What was not understood since the last call: reason to count."""
        reasons = dict(self.facts.reasons)
        self.facts.reasons.clear()
        return reasons

    def take_consulted(self) -> set[tuple[str, str]]:
        """The files and names that were looked up since the last call."""
        consulted, self._evaluator.consulted = self._evaluator.consulted, set()
        return consulted

    def forget(self) -> None:
        """Give back what is only kept because it may be asked for again."""
        self._stored.clear()
        self.facts.begin()

    def subjects(self, scope: ModuleScope) -> Iterator[Subject]:
        """Every subject in the module, from top to bottom."""
        self._scope = scope
        self._hits = scope.facts.hits
        self._defines_optimizer = None
        self._evaluator.nested.clear()
        self._evaluator.nested_classes.clear()
        self._evaluator.inlined.clear()
        self._within.clear()
        yield Mentions(scope)
        yield from self._script()
        for statement in _definitions(self._scope.facts.body):
            if not self._is_hit(statement.span):
                continue
            value = self._evaluator.module_name(self._scope, statement.name)
            if isinstance(statement, ir.Class) and isinstance(value, ClassObject):
                yield from self._class(value)
            elif isinstance(statement, ir.Function):
                yield from self._function(Closure(statement, self._scope))

    def _is_hit(self, span: Span) -> bool:
        position = bisect_left(self._hits, span.line)
        return position < len(self._hits) and self._hits[position] <= span.end_line

    def _script(self) -> Iterator[Subject]:
        body = self._scope.facts.body
        code = tuple(s for s in body if not isinstance(s, (ir.Function, ir.Class, ir.Import, ir.Omitted)))
        if any(self._is_hit(statement.span) for statement in code):
            span = Span(1, 1, 1, 1)
            yield from self._function(
                Closure(ir.Function(span, "<module>", (), code, (), False, span), self._scope)
            )

    def _function(self, closure: Closure) -> Iterator[Subject]:
        nested, classes = len(self._evaluator.nested), len(self._evaluator.nested_classes)
        yield from self._run(closure)
        for inner in {id(c.function): c for c in self._evaluator.nested[nested:]}.values():
            if self._is_hit(inner.function.span) and id(inner.function) not in self._evaluator.inlined:
                yield from self._run(inner)
        for number, cls in {id(c.definition): c for c in self._evaluator.nested_classes[classes:]}.items():
            if number not in self._within and self._is_hit(cls.definition.span):
                self._within.add(number)
                yield from self._class(cls)
                self._within.discard(number)

    def _run(self, closure: Closure) -> Iterator[Trace]:
        self.facts.begin(self._is_differentiated(closure))
        yield from self._traces(closure, self._evaluator.run(closure))

    def _traces(self, closure: Closure, returned: Value) -> Iterator[Trace]:
        """What the function did itself, and what was done for it, by the call that led there."""
        everything = tuple(self.facts.applications)
        stores = tuple(self.facts.stores)
        groups: dict[tuple[int, str], list[Application]] = {}
        for application in everything:
            callers = application.site.callers
            if callers and not _depends_on_caller(application):
                continue
            via = id(callers[0].node) if callers else 0
            groups.setdefault((via, application.site.path), []).append(application)
        whole = Trace(
            closure.function,
            self._scope,
            everything,
            (),
            returned,
            closure.owner,
            frozenset(self.facts.arrays),
            None,
            everything,
            Uses(everything),
            self.facts.flow.differentiated(returned),
        )
        if any(a.site.callers and a.site.path == self._scope.path for a in everything):
            self._helped.append(replace(whole, applications=tuple(a for a in everything if a.site.callers)))
        groups.setdefault((0, self._scope.path), [])
        for (via, path), applications in groups.items():
            yield replace(
                whole,
                scope=self._project.scope(path),
                applications=tuple(applications),
                stores=() if via else stores,
                via=applications[0].site.callers[0] if via else None,
            )

    def _class(self, cls: ClassObject) -> Iterator[Subject]:
        self.facts.begin(is_differentiated(cls))
        instance = self._evaluator.instantiate(cls)
        init = cls.member("__init__")
        if isinstance(init, Closure):
            traces = list(self._traces(init, instance))
            yield from traces
            if is_module(cls):
                own = next(trace for trace in traces if trace.via is None)
                yield ModuleClass(cls, instance, own, self._build)
        self._evaluator.disturb(instance, self._stored_elsewhere(cls))
        for member in list(cls.members.values()):
            if isinstance(member, ClassObject) and self._is_hit(member.definition.span):
                yield from self._class(member)
            if not isinstance(member, Closure) or not isinstance(member.function, ir.Function):
                continue
            if member.function.name != "__init__" and self._is_hit(member.function.span):
                yield from self._function(self._method(member, instance))

    def _stored_elsewhere(self, cls: ClassObject) -> set[str]:
        """The attributes that methods other than the constructor assign to."""
        found: set[str] = set()
        for ancestor in cls.lineage():
            if isinstance(ancestor, ClassObject):
                found |= self._stored_by_methods(ancestor)
        return found

    def _stored_by_methods(self, cls: ClassObject) -> set[str]:
        definition, found = self._stored.get(id(cls.definition), (None, set[str]()))
        if definition is None:
            members = [m.function for m in cls.members.values() if isinstance(m, Closure)]
            methods = [f for f in members if isinstance(f, ir.Function)]
            storing = {method.name: set(stored(method)) for method in methods if method.name != "__init__"}
            constructing = _constructing(methods, storing) if any(storing.values()) else frozenset[str]()
            found = {
                name for method, names in storing.items() for name in names if method not in constructing
            }
            self._stored[id(cls.definition)] = cls.definition, found
        return found

    def _is_differentiated(self, closure: Closure) -> bool:
        """Whether autograd may record a function: not where optimizers are defined, unless in a module,
        and not in methods for inference.
        """
        if closure.owner is not None:
            name = getattr(closure.function, "name", "")
            return is_differentiated(closure.owner) and name not in inference_only(closure.owner)
        if self._defines_optimizer is None:
            self._defines_optimizer = self._find_optimizer()
        return not self._defines_optimizer

    def _find_optimizer(self) -> bool:
        if not may_define_optimizer(self._scope):
            return False
        names = [s.name for s in _definitions(self._scope.facts.body)] + [
            name for s in self._scope.facts.body if isinstance(s, ir.Omitted) for name in s.names
        ]
        defined = [self._evaluator.module_name(self._scope, name) for name in names]
        return any(isinstance(value, ClassObject) and is_optimizer(value) for value in defined)

    def _build(self, cls: ClassObject) -> Instance:
        """An object of a class, apart from everything that was seen so far."""
        self.facts.begin()
        return self._evaluator.instantiate(cls)

    def _method(self, member: Closure, instance: Instance) -> Closure:
        receiver: Value | None = Instance(instance.type, dict(instance.attributes))
        assert isinstance(member.function, ir.Function)
        for decorator in member.function.decorators:
            if isinstance(decorator, ir.Name) and decorator.id == "staticmethod":
                receiver = None
        return Closure(member.function, member.scope, member.frame, receiver, member.owner)


def _constructing(methods: Iterable[ir.Function], storing: Mapping[str, set[str]]) -> frozenset[str]:
    """The private methods that store something and that only the constructor names: they are parts of it."""
    parts = {name for name, stored in storing.items() if stored and name[0] == "_" and name[:2] != "__"}
    named = set[str]()
    for method in methods if parts else ():
        names = {node.name for node in walk(method.body) if isinstance(node, ir.Attribute)}
        if method.name == "__init__":
            named = names
        else:
            parts -= names - {method.name}
    return frozenset(parts & named)


def _depends_on_caller(application: Application) -> bool:
    """Whether what is known of the operands was found out by a caller; else the callee tells it itself."""
    depth = len(application.site.callers)
    pending, seen = [operand.value for operand in application.operands], 0
    while pending and seen < _FAR:
        value = pending.pop()
        seen += 1
        if not isinstance(value, Tensor) or value.producer is None:
            continue
        callers = value.producer.site.callers
        if len(callers) < depth or callers[depth - 1] is not application.site.callers[-1]:
            if value.facts != TOP:
                return True
        else:
            pending.extend(operand.value for operand in value.producer.operands)
    return False


def _definitions(body: Iterable[ir.Statement]) -> Iterator[ir.Function | ir.Class]:
    """The functions and classes of a module, those under a condition included."""
    for statement in body:
        if isinstance(statement, (ir.Function, ir.Class)):
            yield statement
        elif isinstance(statement, ir.Branch):
            yield from _definitions((*statement.then, *statement.otherwise))
        elif isinstance(statement, ir.Try):
            yield from _definitions(statement.body)
            for handler in statement.handlers:
                yield from _definitions(handler.body)
