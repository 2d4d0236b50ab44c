"""The constants among the arguments of a call."""

from __future__ import annotations

from collections.abc import Sequence

from gradlint.records.graph import Setting
from gradlint.records.training import DEFAULTS
from gradlint.semantics.interpretation import Arguments
from gradlint.semantics.value import Items, Known, Reference, Value
from gradlint.training.values import Either, Symbol


def arguments_of(arguments: Arguments, names: Sequence[str] = ()) -> dict[str, Setting]:
    """The constants by name; positional ones by the `names` of their parameters, empty for one not kept.

    Under DEFAULTS stand the names of those that are settings, by their defaults.
    """
    positional = dict(zip(names, [operand.value for operand in arguments.positional], strict=False))
    named = {name: operand.value for name, operand in arguments.keywords.items()}
    given = {name: value for name, value in (positional | named).items() if name}
    defaults = " ".join(name for name, value in given.items() if _is_default(value))
    found = {name: constant(value) for name, value in given.items()}
    return {**found, DEFAULTS: defaults} if defaults else found


def _is_default(value: Value) -> bool:
    """Whether a value is a setting whose default is a constant."""
    return isinstance(value, Symbol) and value.default is not None and constant(value) is not None


def constant(value: Value) -> Setting:
    """A constant as a record holds it; the name of what stands outside the project; else None.

    A setting is what it is by default, unless it is a flag: those are there to be given.
    """
    if isinstance(value, Symbol):
        default = None if value.default is None else constant(value.default)
        return None if isinstance(default, bool) else default
    if isinstance(value, Known) and isinstance(value.value, (bool, int, float, str)):
        return value.value
    if isinstance(value, Known) and value.value is None:
        return "None"
    if isinstance(value, Reference):
        return value.name
    if isinstance(value, Either):
        found = {constant(option) for option in value.options}
        return found.pop() if len(found) == 1 else None
    if isinstance(value, Items) and not value.open:
        parts = [item.value if isinstance(item, Known) else None for item in value.items]
        return tuple([part if isinstance(part, int) else None for part in parts])
    return None
