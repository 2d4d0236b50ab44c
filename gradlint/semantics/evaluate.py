"""The evaluator: runs lowered code over abstract values.

There is one. It knows Python (variables, branches, loops, calls, objects, modules) and nothing of
tensors; what primitives mean is the business of the interpretation that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from gradlint.records import ir
from gradlint.semantics.assignments import Assignments
from gradlint.semantics.attributes import Attributes
from gradlint.semantics.branches import Branches
from gradlint.semantics.calls import Calls
from gradlint.semantics.evaluated import nothing_at
from gradlint.semantics.expressions import Expressions
from gradlint.semantics.extent import fits
from gradlint.semantics.functions import Functions
from gradlint.semantics.generators import Generators
from gradlint.semantics.heap import Heap
from gradlint.semantics.imported import Imported
from gradlint.semantics.interpretation import Arguments, Budget, Interpretation, Operand, Site
from gradlint.semantics.lookup import Lookup
from gradlint.semantics.loops import Loops
from gradlint.semantics.registries import Registries
from gradlint.semantics.scope import Frame, ModuleScope
from gradlint.semantics.statements import Statements
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Collection,
    Instance,
    Value,
)

EXHAUSTED = "too much code behind one function"
"""Why an entry was not followed to its end: its budget was spent."""

ARM_EXHAUSTED = "too much code behind one condition"
"""Why one way through a branch was not followed to its end."""


class Evaluator:
    """Runs code of the project under an interpretation.

    `resolve` finds the module of the project that a dotted name means, or None. `consulted` gathers
    the module-level names that were looked up, each with the file that it stands in, `ran` the
    identities of the functions that ran. `script` holds what a module run as a script has bound so far,
    for the functions of that module.
    """

    def __init__(
        self, interpretation: Interpretation, resolve: Callable[[str, ModuleScope], ModuleScope | None]
    ) -> None:
        self.interpretation = interpretation
        self.budget = interpretation.budget
        self._limit: Budget | None = None
        interpretation.evaluator = self
        self.resolve = resolve
        self.callers: tuple[Site, ...] = ()
        self.running: list[object] = []
        self.steps = 0
        self.most = self.budget.steps
        self.conditions: tuple[int, ...] = ()
        self.objects = 0
        self.settled = 0
        self.imported = Imported()
        self.heap = Heap(self.imported)
        self.changed: list[Value] = []
        self.grown: list[Value] = []
        self.rounds = 1
        self.repeating = 0
        self.consulted: set[tuple[str, str]] = set()
        self.script: Frame | None = None
        self._spent = 0
        self.nested: list[Closure] = []
        self.nested_classes: list[ClassObject] = []
        self.inlined: set[int] = set()
        self.registries = Registries(self)
        self.ran: set[int] = set()
        self.lookup = Lookup(self)
        self.attributes = Attributes(self)
        self.calls = Calls(self)
        self.functions = Functions(self)
        self.expressions = Expressions(self)
        self.generators = Generators(self)
        self.assignments = Assignments(self)
        self.statements = Statements(self)
        self.branches = Branches(self)
        self.loops = Loops(self)
        self._by_expression: dict[type, Callable[[Any, Frame], Value]] = {
            ir.Literal: self.expressions.literal,
            ir.Name: self.lookup.name,
            ir.Attribute: self.attributes.attribute_expression,
            ir.Index: self.attributes.index,
            ir.Slice: self.attributes.slice,
            ir.Call: self.calls.call_expression,
            ir.Operation: self.expressions.operation,
            ir.Conditional: self.expressions.conditional,
            ir.Display: self.expressions.display,
            ir.Dictionary: self.expressions.dictionary,
            ir.Comprehension: self.expressions.comprehension,
            ir.Lambda: self.expressions.lambda_,
            ir.Starred: self.expressions.spread,
            ir.Walrus: self.expressions.walrus,
            ir.Suspend: self.generators.suspend,
            ir.Unknown: self.expressions.opaque,
        }
        self._by_statement: dict[type, Callable[[Any, Frame], None]] = {
            ir.Assign: self.assignments.assignment,
            ir.Augment: self.assignments.augment,
            ir.Evaluate: self.statements.evaluation,
            ir.Return: self.statements.return_,
            ir.Branch: self.branches.branch,
            ir.Loop: self.loops.loop,
            ir.With: self.statements.with_,
            ir.Try: self.statements.try_,
            ir.Raise: self.statements.raise_,
            ir.Assert: self.statements.assert_,
            ir.Delete: self.statements.delete,
            ir.Declare: self.statements.declaration,
            ir.Jump: self.statements.jump,
            ir.Import: self.statements.import_,
            ir.Function: self.statements.function,
            ir.Class: self.statements.class_,
            ir.Omitted: self.statements.nothing,
        }

    def run(
        self,
        closure: Closure,
        arguments: Arguments | None = None,
        given: Mapping[str, Value] | None = None,
        joined: Callable[[Sequence[Value]], Value] | None = None,
    ) -> Value:
        """Call `closure` from outside, with unknown arguments unless they are given, all or some by name.

        `joined` makes one value of all that it may return.
        """
        self._start()
        try:
            return self.functions.invoke(closure, arguments, given, joined)
        except RecursionError:
            self.interpretation.not_understood("deep nesting")
            return self.interpretation.unknown(())

    def run_script(self, body: Sequence[ir.Statement], scope: ModuleScope) -> None:
        """Run statements of a module as a script; its functions see what it has bound."""
        self._start()
        self.script = Frame(scope)
        try:
            self.execute(body, self.script)
        except RecursionError:
            self.interpretation.not_understood("deep nesting")

    @property
    def spent(self) -> int:
        """The nodes that were evaluated for all entries so far."""
        return self._spent + self.steps

    def _start(self) -> None:
        self.budget = self._limit or self.interpretation.budget
        self._spent += self.steps
        self.steps = 0
        self.most = self.budget.steps
        self.conditions = ()
        self.rounds = 1
        self.repeating = 0
        self.callers = ()
        self.changed.clear()
        self.grown.clear()
        self.running.clear()
        self.objects = 0
        self.settled = 0
        self.heap = Heap(self.imported)

    def instantiate(self, cls: ClassObject, given: Mapping[str, Value] | None = None) -> Instance:
        """An object of `cls`, constructed with what is `given` by name; the rest is unknown."""
        instance = Instance(cls, {})
        init = cls.member("__init__")
        if isinstance(init, Closure):
            self.run(self.attributes.bind(init, instance), given=given)
        else:
            self._start()
            site = Site(nothing_at(cls.definition), cls.scope.path)
            self.interpretation.inherited(instance, "__init__", Arguments(), site)
        return instance

    def beside(self, interpretation: Interpretation) -> Evaluator:
        """One that runs code of the same project under another interpretation."""
        return Evaluator(interpretation, self.resolve)

    def changes(self, collection: Value) -> None:
        """A collection changes: where that depends on a condition, its length is not known afterwards.

        A loop of unknown length is taken for one iteration.
        """
        self.grown.append(collection)

    @contextmanager
    def limited(self, budget: Budget) -> Iterator[None]:
        """Within the block every entry has this budget instead of the interpretation's own."""
        self._limit, outer = budget, self._limit
        try:
            yield
        finally:
            self._limit = outer

    def default(self, parameter: ir.Parameter, closure: Closure) -> Value:
        """The default of a parameter of `closure`."""
        assert parameter.default is not None
        return self.evaluate(parameter.default, Frame(closure.scope, closure.frame))

    def annotated(self, annotation: ir.Expression, closure: Closure) -> Instance | None:
        """An object of the class of the project that an annotation names, made with its defaults."""
        if not isinstance(annotation, (ir.Name, ir.Attribute)):
            return None
        cls = self.evaluate(annotation, Frame(closure.scope, closure.frame))
        if not isinstance(cls, ClassObject) or not self.interpretation.is_configuration(cls):
            return None
        made = self.functions.construct(cls, Arguments(), Site(annotation, closure.scope.path))
        return made if isinstance(made, Instance) else None

    def join(self, values: Sequence[Value]) -> Value:
        """One of several values, which one is not known."""
        return self.expressions.join(values)

    def change(self, collection: Value) -> None:
        """A collection changed where evaluation has got to."""
        if isinstance(collection, Collection):
            self.imported.changes(collection)
        self.changed.append(collection)

    def evaluate(self, node: ir.Expression, frame: Frame) -> Value:
        """The value of `node`."""
        if self.steps >= self.most and not self.affords(1):
            return self.interpretation.unknown(())
        self.steps += 1
        return self._by_expression[type(node)](node, frame)

    def affords(self, steps: int) -> bool:
        """Whether there is work left for so many more steps, which are then taken."""
        if self.steps > self.most:
            return False
        self.steps += steps
        if self.steps > self.most:
            is_all = self.steps > self.budget.steps
            self.interpretation.not_understood(EXHAUSTED if is_all else ARM_EXHAUSTED)
            return False
        return True

    def stop(self) -> None:
        """Leave the rest of the entry that runs: all that it may take is taken, though not counted."""
        left = self.budget.steps - self.steps
        if left >= 0:
            self._spent -= left + 1
            self.affords(left + 1)

    def contained(self, value: Value) -> Value:
        """What a collection takes for `value`: a collection that holds too much is not followed."""
        return value if fits(value) else self.interpretation.unknown(())

    def operand(self, node: ir.Expression, frame: Frame) -> Operand:
        """The value of `node` together with it."""
        return Operand(self.evaluate(node, frame), node)

    def site(self, node: ir.Expression, frame: Frame) -> Site:
        """Where `node` is evaluated."""
        return Site(node, frame.scope.path, self.callers, self.conditions)

    def execute(self, body: Iterable[ir.Statement], frame: Frame) -> None:
        """Run the statements of `body` until one leaves it."""
        for statement in body:
            if not frame.alive:
                return
            if self.steps > self.most:
                self.statements.passed_over(statement, frame)
            else:
                self.statement(statement, frame)

    def statement(self, statement: ir.Statement, frame: Frame) -> None:
        """Run one statement."""
        self._by_statement[type(statement)](statement, frame)

    def call(self, target: Value, arguments: Arguments, site: Site, frame: Frame | None = None) -> Value:
        """The result of calling `target`."""
        return self.calls.call(target, arguments, site, frame)

    def module_name(self, scope: ModuleScope, name: str) -> Value | None:
        """The value that `name` has once the module was imported, or None."""
        return self.lookup.module_name(scope, name)

    def bound(self, member: Closure, receiver: Value) -> Closure:
        """A method of an object; static ones stay functions."""
        return self.attributes.bound(member, receiver)

    def attribute(self, receiver: Operand, name: str, site: Site) -> Value:
        """`receiver.name`."""
        return self.attributes.attribute(receiver, name, site)

    def module_at(self, name: str, scope: ModuleScope) -> ModuleScope | None:
        """The module of the project that a dotted name means from another one."""
        return self.resolve(name, scope)

    def write(self, receiver: Instance, name: str, value: Value) -> None:
        """`receiver.name = value`; a name that is known in parts may be that of something else as well."""
        self.assignments.write(receiver, name, value)

    def disturb(self, instance: Instance, names: Iterable[str]) -> None:
        """Some of these attributes may have changed: constants and tensors are not known any more."""
        self.assignments.disturb(instance, names)

    @contextmanager
    def noting(self) -> Iterator[set[tuple[str, str]]]:
        """What is looked up within the block, apart from what was before it."""
        outer, inner = self.consulted, set[tuple[str, str]]()
        self.consulted = inner
        try:
            yield inner
        finally:
            self.consulted = outer
            outer |= inner

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What runs within the block runs when its module is imported, not where evaluation has got to."""
        state = self.steps, self.most, self.conditions, self.heap, self.changed
        self.steps, self.most, self.conditions = 0, self.budget.steps, ()
        self.heap, self.changed = Heap(self.imported), []
        before = self.interpretation.turns_aside()
        try:
            with self.imported.importing():
                yield
        finally:
            self.steps, self.most, self.conditions, self.heap, self.changed = state
            self.interpretation.returns_to(before)
