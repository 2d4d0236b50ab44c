"""The constants among the arguments of a call."""

from __future__ import annotations

from collections.abc import Sequence

from gradlint.records.graph import Setting
from gradlint.semantics.interpretation import Arguments
from gradlint.semantics.value import Items, Known, Reference, Value
from gradlint.training.values import Either


def arguments_of(arguments: Arguments, names: Sequence[str] = ()) -> dict[str, Setting]:
    """The constants by name; positional ones by the `names` of their parameters, empty for one not kept."""
    positional = dict(zip(names, [operand.value for operand in arguments.positional], strict=False))
    named = {name: operand.value for name, operand in arguments.keywords.items()}
    return {name: constant(value) for name, value in (positional | named).items() if name}


def constant(value: Value) -> Setting:
    """A constant as a record holds it; the name of what stands outside the project; else None."""
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
