"""Objects that settings describe by a name: `hydra.utils.instantiate(settings)`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.semantics import constants
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import Known, Partial, Table, Value

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator

NAMES = frozenset({"hydra.utils.instantiate", "hydra.utils.call"})
_DEEPEST = 4


def instantiated(
    evaluator: Evaluator, arguments: Arguments, site: Site, scope: ModuleScope, depth: int = _DEEPEST
) -> Value | None:
    """What is made of the table that is given first, with what else is given; None where it is not known."""
    first = next(iter(arguments.values()), None)
    table = None if first is None else _table(evaluator, first)
    target = None if table is None else _target(evaluator, table, scope)
    if table is None or target is None:
        return None
    given = {
        str(key): Operand(_argument(evaluator, value, site, scope, depth), site.node)
        for key, value in table.entries.items()
        if not str(key).startswith("_")
    }
    named = {name: operand for name, operand in arguments.keywords.items() if name != "config"}
    both = Arguments(arguments.positional[1:], given | named, table.open or arguments.open)
    partial = table.entries.get("_partial_")
    if partial is None:
        return evaluator.call(target, both, site)
    values = {name: operand.value for name, operand in both.keywords.items()}
    return Partial(target, tuple([operand.value for operand in both.positional]), values, site.node)


def _table(evaluator: Evaluator, value: Value) -> Table | None:
    return value if isinstance(value, Table) else evaluator.interpretation.table(value)


def _target(evaluator: Evaluator, table: Table, scope: ModuleScope) -> Value | None:
    """What the name under `_target_` means."""
    key = evaluator.interpretation.chosen_key(table.entries.get("_target_", table))
    if not isinstance(key, Known) or not isinstance(key.value, str):
        return None
    module, _, name = key.value.rpartition(".")
    found = evaluator.module_at(module, scope)
    return constants.resolve(key.value) if found is None else evaluator.module_name(found, name)


def _argument(evaluator: Evaluator, value: Value, site: Site, scope: ModuleScope, depth: int) -> Value:
    """A setting, or the object that it describes."""
    table = _table(evaluator, value)
    if table is None or "_target_" not in table.entries or not depth:
        return value
    given = Arguments((Operand(table, site.node),))
    made = instantiated(evaluator, given, site, scope, depth - 1)
    return evaluator.interpretation.unknown(()) if made is None else made
