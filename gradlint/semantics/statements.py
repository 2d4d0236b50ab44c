"""Statements that are neither assignments, branches nor loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradlint.records import ir
from gradlint.semantics.assignments import setter_of
from gradlint.semantics.bindings import named_within
from gradlint.semantics.builtin import delete_item
from gradlint.semantics.evaluated import MOST_BODIES, Generator
from gradlint.semantics.generators import Receiver
from gradlint.semantics.interpretation import Arguments, Operand
from gradlint.semantics.scope import Frame, assigned
from gradlint.semantics.settings import Opened
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Instance,
    Items,
    Known,
    Method,
    Table,
    Value,
)

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator


class Statements:
    """Runs statements."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._core = evaluator
        self._interpretation = evaluator.interpretation
        self._names_bound: dict[int, tuple[ir.Statement, frozenset[str]]] = {}

    def passed_over(self, statement: ir.Statement, frame: Frame) -> None:
        """There is no work left for a statement: what it binds is not known."""
        if isinstance(statement, ir.Return):
            frame.returned.append(self._interpretation.unknown(()))
            frame.alive, frame.jump = False, "return"
        for name in self.bound_by(statement):
            frame.variables[name] = self._interpretation.unknown(())

    def bound_by(self, statement: ir.Statement) -> frozenset[str]:
        """The variables that a statement binds, found once."""
        known = self._names_bound.get(id(statement))
        if known is None:
            if len(self._names_bound) >= MOST_BODIES:
                self._names_bound.clear()
            found = frozenset({*assigned((statement,)), *named_within(statement)})
            known = self._names_bound[id(statement)] = (statement, found)
        return known[1]

    def declaration(self, node: ir.Declare, frame: Frame) -> None:
        """Run `global` or `nonlocal`."""
        frame.outer.update(node.names)

    def evaluation(self, node: ir.Evaluate, frame: Frame) -> None:
        """Run an expression for what it does."""
        value = self._core.evaluate(node.value, frame)
        self._interpretation.dropped(value, node.value, self._core.site(node.value, frame))

    def return_(self, node: ir.Return, frame: Frame) -> None:
        """Run `return`."""
        frame.returned.append(
            self._core.evaluate(node.value, frame) if node.value is not None else Known(None)
        )
        frame.alive = False
        frame.jump = "return"
        self._interpretation.leaves("return")

    def raise_(self, node: ir.Raise, frame: Frame) -> None:
        """Run `raise`."""
        if node.value is not None:
            self._core.evaluate(node.value, frame)
        frame.alive = False
        frame.jump = "raise"
        self._interpretation.leaves("raise")

    def jump(self, node: ir.Jump, frame: Frame) -> None:
        """Run `break` or `continue`."""
        frame.alive = False
        frame.jump = node.kind
        self._interpretation.leaves(node.kind)

    def assert_(self, node: ir.Assert, frame: Frame) -> None:
        """Run `assert`."""
        test = self._core.evaluate(node.test, frame)
        self._interpretation.tested(test)
        if isinstance(node.test, ir.Literal) and not node.test.value:
            frame.alive, frame.jump = False, "raise"
            self._interpretation.leaves("raise")

    def with_(self, node: ir.With, frame: Frame) -> None:
        """Run a `with` block."""
        if self._interpretation.is_ordered:
            self._within(node, 0, frame)
            return
        contexts = []
        chosen = sum([_is_chosen(item.context) for item in node.items])
        self._core.settled += chosen
        for item in node.items:
            operand = self._core.operand(item.context, frame)
            contexts.append(operand.value)
            self._interpretation.enter(operand.value)
            if item.target is not None:
                is_file = isinstance(operand.value, Opened)
                entered = operand.value if is_file else self._interpretation.unknown((operand.value,))
                self._core.assignments.assign(item.target, Operand(entered, item.context), frame)
        self._core.execute(node.body, frame)
        for context in reversed(contexts):
            self._interpretation.leave(context)
        self._core.settled -= chosen

    def _within(self, node: ir.With, position: int, frame: Frame) -> None:
        """The block within its contexts from one of them on; those of the project run where they do."""
        if position == len(node.items):
            self._core.execute(node.body, frame)
            return
        item = node.items[position]
        context = self._core.operand(item.context, frame)
        if isinstance(context.value, Generator):
            self._core.generators.resume(
                context.value, Receiver(lambda value: self._entered(node, position, value, frame), True)
            )
        elif isinstance(context.value, Instance) and context.value.type.member("__enter__") is not None:
            enter, leave = [
                self._core.attributes.attribute(context, name, self._core.site(item.context, frame))
                for name in ("__enter__", "__exit__")
            ]
            site = self._core.site(item.context, frame)
            entered = self._core.calls.call(enter, Arguments(), site)
            self._interpretation.guards()
            self._entered(node, position, entered, frame)
            guard = self._interpretation.guarded()
            nothing = Operand(Known(None), item.context)
            self._core.calls.call(leave, Arguments((nothing, nothing, nothing)), site)
            self._interpretation.unguarded(guard)
        else:
            self._interpretation.enter(context.value)
            self._entered(node, position, self._interpretation.entered(context.value), frame)
            self._interpretation.leave(context.value)

    def _entered(self, node: ir.With, position: int, value: Value, frame: Frame) -> None:
        item = node.items[position]
        if item.target is not None:
            self._core.assignments.assign(item.target, Operand(value, item.context), frame)
        self._within(node, position + 1, frame)

    def try_(self, node: ir.Try, frame: Frame) -> None:
        """Run a `try` block."""
        handled = [(*handler.body,) for handler in node.handlers]
        conditions = self._core.conditions
        if node.final:
            self._interpretation.guards()
        self._core.branches.alternatives(node, [(*node.body, *node.otherwise), *handled], frame)
        self._core.conditions = conditions
        if not node.final:
            return
        guard = self._interpretation.guarded()
        alive, frame.alive = frame.alive, True
        self._core.execute(node.final, frame)
        frame.alive = frame.alive and alive
        self._interpretation.unguarded(guard)

    def delete(self, node: ir.Delete, frame: Frame) -> None:
        """Run `del`."""
        for target in node.targets:
            if isinstance(target, ir.Name):
                frame.variables.pop(target.id, None)
            elif isinstance(target, ir.Attribute) and self._interpretation.is_ordered:
                nothing = Operand(Known(None), target)
                receiver = self._core.evaluate(target.value, frame)
                self._core.assignments.store(receiver, target.name, nothing, self._core.site(target, frame))
            elif isinstance(target, ir.Index) and self._interpretation.is_ordered:
                emptied = Method(self._core.evaluate(target.value, frame), "clear", target)
                self._interpretation.collected(emptied, Arguments(), self._core.site(target, frame))
            elif isinstance(target, ir.Index):
                self._delete_item(target, frame)

    def _delete_item(self, target: ir.Index, frame: Frame) -> None:
        receiver = self._core.evaluate(target.value, frame)
        if isinstance(receiver, (Items, Table)):
            self._core.change(receiver)
            delete_item(receiver, self._core.evaluate(target.index, frame))

    def import_(self, node: ir.Import, frame: Frame) -> None:
        """Run an import within a function."""
        for binding in node.bindings:
            value = self._core.lookup.imported(frame.scope, binding)
            if value is not None:
                frame.variables[binding.name] = value

    def function(self, node: ir.Function, frame: Frame) -> None:
        """Run a `def` within a function."""
        parent = frame if frame.closure is not None else None
        closure = Closure(node, frame.scope, parent)
        if parent is not None:
            self._core.nested.append(closure)
        frame.variables[node.name] = closure

    def class_(self, node: ir.Class, frame: Frame) -> None:
        """Run a `class` within a function."""
        bases = tuple([self._core.evaluate(base, frame) for base in node.bases])
        cls = ClassObject(node, frame.scope, bases, {})
        body = Frame(frame.scope, frame if frame.closure is not None else None)
        for statement in node.body:
            if isinstance(statement, ir.Function):
                name = member_name(statement)
                cls.members[name] = Closure(statement, frame.scope, body.parent, None, cls)
            else:
                self._core.statement(statement, body)
        cls.members.update({n: v for n, v in body.variables.items() if n not in cls.members})
        if frame.closure is not None:
            self._core.nested_classes.append(cls)
        frame.variables[node.name] = cls

    def nothing(self, node: Any, frame: Frame) -> None:
        """Pass over what was not lowered."""
        return


def member_name(function: ir.Function) -> str:
    """What a method is called among the members of its class: that which sets a property has its own name."""
    kinds = [each.name for each in function.decorators if isinstance(each, ir.Attribute)]
    return setter_of(function.name) if "setter" in kinds else function.name


def _is_chosen(context: ir.Expression) -> bool:
    """Whether the code around it decides what a context manager does."""
    if isinstance(context, ir.Call) and len(context.positional) == 1 and not context.keywords:
        return not isinstance(context.positional[0], ir.Literal)
    return isinstance(context, (ir.Conditional, ir.Name))
