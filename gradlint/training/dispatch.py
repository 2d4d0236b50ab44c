"""Methods that are called where code trains: of which object, and what they are then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Instance,
    Items,
    Table,
    Value,
)
from gradlint.training import defaults
from gradlint.training.choices import CALLED, of_options
from gradlint.training.methods import call_method
from gradlint.training.tools import call_tool
from gradlint.training.values import (
    Bound,
    Either,
    Given,
    Optimizer,
    Scaler,
    Symbol,
    Tool,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts


def called_method(facts: TrainingFacts, value: Value, name: str, arguments: Arguments, site: Site) -> Value:
    """A method of an object that is not of the project, or of its base that is not."""
    arguments = facts.settled(arguments)
    if isinstance(value, Symbol) and value.default is not None:
        found = defaults.method(facts.symbols, value, name, arguments)
        if found is not None:
            return found
    if isinstance(value, Either):
        return of_options(facts, value, name, arguments, site)
    if isinstance(value, Bound) and name == "__call__":
        return _called_bound(facts, value, arguments, site)
    if isinstance(value, (Optimizer, Scaler)) and name in value.attributes:
        return facts.method_of(value.attributes[name], "__call__", arguments, site)
    if isinstance(value, Tool):
        return call_tool(facts, value, name, arguments, site)
    if isinstance(value, Given) and name == "__call__":
        return value.value
    return call_method(facts, value, name, arguments, site)


def _called_bound(facts: TrainingFacts, method: Bound, arguments: Arguments, site: Site) -> Value:
    """A method is called that was kept, as it was then."""
    if isinstance(method.receiver, Tool):
        return call_tool(facts, method.receiver, method.name, arguments, site)
    return call_method(facts, method.receiver, method.name, arguments, site)


def method_of(facts: TrainingFacts, value: Value, name: str, arguments: Arguments, site: Site) -> Value:
    """`value.name(…)`, whatever `value` is."""
    operand = Operand(value, site.node)
    if name == "__call__" and isinstance(value, CALLED):
        return facts.evaluator.call(value, arguments, site)
    if isinstance(value, (Instance, Items, Table, Closure, ClassObject)):
        target = facts.evaluator.attribute(operand, name, site)
        return facts.evaluator.call(target, arguments, site)
    return facts.method(operand, name, arguments, site)
