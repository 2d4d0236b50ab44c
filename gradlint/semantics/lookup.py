"""The names of modules: what they mean once the module was imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradlint.records import ir
from gradlint.semantics import constants
from gradlint.semantics.scope import Frame, ModuleScope, absolute_module
from gradlint.semantics.value import (
    Items,
    Known,
    ModuleObject,
    Reference,
    Table,
    Value,
)

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator


class Lookup:
    """Finds what a name of a module means."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._core = evaluator
        self._interpretation = evaluator.interpretation
        self._rests_on: dict[tuple[str, str], frozenset[tuple[str, str]]] = {}

    def module_name(self, scope: ModuleScope, name: str) -> Value | None:
        """The value that `name` has once the module was imported, or None."""
        key = (scope.path, name)
        known = scope.values_under(self._interpretation)
        if name in known:
            if key not in self._core.consulted:
                self._core.consulted.add(key)
                self._core.consulted |= self._rests_on.get(key, frozenset())
            return known[name]
        known[name] = None  # ends cycles
        with self._core.noting() as consulted, self._core.aside():
            try:
                value = self._found_value(scope, name)
                if name in scope.facts.rebound and isinstance(value, (Known, Items, Table)):
                    value = self._interpretation.unknown(())
                elif name in scope.facts.filled:
                    self._loosen(value)
                known[name] = value
                self._core.imported.share(value)
                self._core.registries.note(value, scope)
            except RecursionError:
                known[name] = value = self._interpretation.unknown(())
        self._rests_on[key] = frozenset(consulted)
        self._core.consulted.add(key)
        return value

    def _loosen(self, value: Value | None) -> None:
        """Statements that were not run may have changed what a collection holds: constants are not known."""
        if isinstance(value, Items):
            value.items[:] = [self._uncertain(item) for item in value.items]
        elif isinstance(value, Table):
            value.entries.update({key: self._uncertain(item) for key, item in value.entries.items()})
        if isinstance(value, (Items, Table)):
            value.loosen()

    def _uncertain(self, item: Value) -> Value:
        return self._interpretation.unknown(()) if isinstance(item, Known) else item

    def _found_value(self, scope: ModuleScope, name: str) -> Value | None:
        found = [
            value
            for statement in _in_force(scope.binding(name), scope)
            if (value := self._bound_value(scope, name, statement)) is not None
        ]
        return self._prefer(found) if found else self._starred(scope, name)

    def _prefer(self, found: list[Value]) -> Value:
        """One of the alternatives that a module's branches bind: the first import, or their join.

        `None` stands for what could not be imported.
        """
        real = [value for value in found if not (isinstance(value, Known) and value.value is None)] or found
        if all(isinstance(value, (Reference, ModuleObject)) for value in real):
            return real[0]
        return self._core.expressions.join(real)

    def _bound_value(
        self, scope: ModuleScope, name: str, statement: ir.Statement | ir.Binding
    ) -> Value | None:
        if isinstance(statement, ir.Binding):
            return self.imported(scope, statement)
        known = self._interpretation.stands_for(scope.name, name)
        if known is not None:
            return known
        frame = Frame(scope)
        self._core.statement(statement, frame)
        return frame.variables.get(name)

    def imported(self, scope: ModuleScope, binding: ir.Binding) -> Value | None:
        """What an import binds; None for what is not of the project."""
        base = absolute_module(binding, scope)
        module = self._core.resolve(base, scope)
        if not binding.member:
            return ModuleObject(module) if module is not None else Reference(binding.module)
        if module is not None:
            value = self.module_name(module, binding.member)
            if value is not None:
                return value
        inner = self._core.resolve(f"{base}.{binding.member}", scope)
        if inner is not None:
            return ModuleObject(inner)
        if module is not None or binding.level:
            return self._interpretation.unknown(())
        return constants.resolve(f"{base}.{binding.member}")

    def _starred(self, scope: ModuleScope, name: str) -> Value | None:
        for binding in reversed(scope.stars):
            star = ir.Binding(binding.span, name, binding.module, name, binding.level)
            module = self.imported(scope, ir.Binding(binding.span, "", binding.module, "", binding.level))
            if isinstance(module, ModuleObject):
                value = self.module_name(module.scope, name)
                if value is not None:
                    return value
            elif not binding.level and constants.exports(binding.module, name):
                return self.imported(scope, star)
        return None

    def name(self, node: ir.Name, frame: Frame) -> Value:
        """The value of a variable."""
        value = frame.lookup(node.id)
        if value is None and self._core.script is not None and frame.scope is self._core.script.scope:
            value = self._core.script.variables.get(node.id)
        if value is None:
            value = self.module_name(frame.scope, node.id)
        if value is not None:
            return value
        if constants.is_builtin(node.id):
            return Reference(f"builtins.{node.id}")
        return self._interpretation.unbound(node.id, frame.scope)


def _in_force(
    bound: Sequence[ir.Statement | ir.Binding], scope: ModuleScope
) -> Sequence[ir.Statement | ir.Binding]:
    """What may bind a name once its module was run: an import that always runs ends what was before it."""
    imports = [each for each in bound if isinstance(each, ir.Binding)]
    if len(imports) < 2:
        return bound
    always = {id(b) for s in scope.facts.body if isinstance(s, ir.Import) for b in s.bindings}
    last = max([at for at, each in enumerate(bound) if id(each) in always], default=0)
    return bound[last:]
