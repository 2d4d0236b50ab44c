"""What code that is not known can reach from what it is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from gradlint.records import ir
from gradlint.semantics.bindings import walk
from gradlint.semantics.scope import Frame
from gradlint.semantics.value import (
    Closure,
    Value,
)
from gradlint.training.values import (
    Module,
    Optimizer,
    Parameters,
    Scaler,
    Symbol,
    Tensor,
    within,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts


def escaped(facts: TrainingFacts, values: Iterable[Value]) -> Iterable[Value]:
    """The objects that take part in training and can be reached from some values."""
    pending, seen = list(values), set[int]()
    gone: dict[int, Value] = {}
    while pending:
        for part in within(pending.pop(), 400):
            if isinstance(part, (Optimizer, Scaler, Module, Parameters, Symbol)):
                gone[id(part)] = part
            elif isinstance(part, Tensor) and part.gradient is not None:
                gone[id(part.gradient)] = part.gradient
            elif isinstance(part, Closure) and id(part.function) not in seen:
                seen.add(id(part.function))
                pending.extend(_reached(facts, part))
    return gone.values()


def _reached(facts: TrainingFacts, closure: Closure) -> Iterator[Value]:
    """The objects outside a function that its code names."""
    names = {node.id: node for node in walk(closure.function) if isinstance(node, ir.Name)}
    frame = Frame(closure.scope, closure.frame)
    script = facts.evaluator.script
    for name, node in names.items():
        found = frame.lookup(name)
        if found is None and script is not None and script.scope is closure.scope:
            found = script.variables.get(name)
        defined = closure.scope.binding(name) if found is None else ()
        if any(not isinstance(statement, ir.Binding) for statement in defined):
            found = facts.evaluator.evaluate(node, frame)
        if found is not None:
            yield found
