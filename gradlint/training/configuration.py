"""The settings of a library's object: among its arguments, in an object that it is given, or in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.records.graph import Setting
from gradlint.semantics.settings import table_in
from gradlint.semantics.value import Known, Table, Value
from gradlint.training.settings import constant
from gradlint.training.values import Symbol, Tool, options

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts


def option(facts: TrainingFacts, tool: Tool, name: str) -> Setting:
    """The setting that a profile calls `name`; None where it is not known, False where there is none."""
    described = tool.profile.options.get(name)
    if described is None:
        return False
    return setting(facts, tool, described.argument, described.default)


def setting(facts: TrainingFacts, tool: Tool, argument: str, default: Setting) -> Setting:
    """The constant that an argument has; None where that is not known."""
    given = tool.arguments.get(argument)
    holder = tool.arguments.get(tool.profile.configuration)
    if given is not None:
        return constant(given)
    if tool.is_open:
        return None
    return default if holder is None else _within(facts, holder, argument, default, tool.site.path)


def half_of(facts: TrainingFacts, tool: Tool) -> Setting:
    """The type to which forward passes are cast; False for none, None where that is not known."""
    for half in tool.profile.half:
        found = setting(facts, tool, half.argument, False)
        if found is None:
            return None
        if any(found == value and isinstance(found, type(value)) for value in half.values):
            return half.dtype
    return False


def _within(facts: TrainingFacts, holder: Value, argument: str, default: Setting, path: str) -> Setting:
    found = {_of(facts, option, argument, default, path) for option in options(holder)}
    return found.pop() if len(found) == 1 else None


def _of(facts: TrainingFacts, holder: Value, argument: str, default: Setting, path: str) -> Setting:
    if isinstance(holder, Tool):
        return setting(facts, holder, argument, default)
    if isinstance(holder, Symbol) and isinstance(holder.default, (Known, Table)):
        holder = holder.default
    if isinstance(holder, Known) and isinstance(holder.value, str):
        return _entry(table_in(facts.evaluator, holder.value, path), argument, default)
    if isinstance(holder, Known) and holder.value is None:
        return default
    return _entry(holder, argument, default) if isinstance(holder, Table) else None


def _entry(holder: Value | None, argument: str, default: Setting) -> Setting:
    """An entry of nested tables, its keys joined by dots."""
    for key in argument.split("."):
        if not isinstance(holder, Table):
            return None
        if key not in holder.entries:
            return None if holder.open else default
        holder = holder.entries[key]
    return None if holder is None else constant(holder)
