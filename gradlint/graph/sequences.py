"""Models that are written as a sequence of layers outside of any class: in scripts and in functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gradlint.graph.entries import is_definition, lines_of, lowered
from gradlint.graph.interpret import GraphFacts
from gradlint.graph.values import Container, descendants
from gradlint.records import ir
from gradlint.semantics.evaluate import Evaluator
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import Closure, Value

_WORD = "Sequential("


class Sequences:
    """Runs scripts and functions in which a sequence is constructed."""

    def __init__(self, facts: GraphFacts, evaluator: Evaluator) -> None:
        self._facts = facts
        self._evaluator = evaluator

    def found(
        self, scope: ModuleScope, text: str, given: Mapping[str, Value]
    ) -> Iterator[tuple[str, Container]]:
        """Each sequence that is not a part of another one, as its script or function leaves it, by name."""
        if _WORD not in text:
            return
        lines = text.split("\n")
        script = [s for s in scope.facts.body if not (isinstance(s, ir.Import) or is_definition(s, lines))]
        if any(_WORD in lines_of(statement.span, lines) for statement in script):
            yield from self._script(script, scope)
        for name, bound in scope.bindings.items():
            is_wanted = any(_is_function(s, lines) and _WORD in lines_of(s.span, lines) for s in bound)
            value = self._evaluator.module_name(scope, name) if is_wanted else None
            if isinstance(value, Closure) and value.scope is scope:
                self._begin()
                self._evaluator.run(value, given=given)
                yield from [(name, each) for each in self._outermost(scope)]

    def _script(self, body: Sequence[ir.Statement], scope: ModuleScope) -> Iterator[tuple[str, Container]]:
        self._begin()
        try:
            self._evaluator.run_script(list(lowered(body, scope)), scope)
            script = self._evaluator.script
            names = {id(value): name for name, value in script.variables.items()} if script else {}
        finally:
            self._evaluator.script = None
        yield from [(names.get(id(each), "Sequential"), each) for each in self._outermost(scope)]

    def _begin(self) -> None:
        self._facts.begin()
        self._facts.sequences.clear()

    def _outermost(self, scope: ModuleScope) -> list[Container]:
        """What was constructed in the module's own text, not in its classes, and not within another."""
        made = [each for each in self._facts.sequences if each.made.path == scope.path]
        inner = {id(part) for each in made for path, part in descendants(each) if path}
        return [each for each in made if id(each) not in inner]


def _is_function(statement: ir.Statement | ir.Binding, lines: Sequence[str]) -> bool:
    if isinstance(statement, ir.Omitted):
        return not statement.defines_class and is_definition(statement, lines)
    return isinstance(statement, ir.Function)
