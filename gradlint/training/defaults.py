"""Settings while training is read: what a run takes that is told nothing else.

A setting stays a symbol, so that a test of it is open and both its arms are read; its default counts
where a function from outside the project is given it, on ways that such a run takes.
"""

from __future__ import annotations

from msgspec.structs import replace

from gradlint.semantics.interpretation import Arguments, Operand
from gradlint.semantics.value import Items, Known, Table, Value
from gradlint.training.symbols import Symbols
from gradlint.training.values import Symbol

_READ = frozenset({"get", "pop"})
_OF_TEXT = frozenset({"lower", "upper", "strip"})


def configured(symbols: Symbols, found: Value, of: Symbol | None = None, name: str = "") -> Value:
    """The symbol of settings, with one for each of them; what is no setting stays what it is."""
    if not isinstance(found, (Known, Items, Table)):
        return found
    made = replace(symbols.fresh() if of is None else symbols.part(of, name), default=found)
    for key, value in found.entries.items() if isinstance(found, Table) else ():
        made.attributes[str(key)] = configured(symbols, value, made, str(key))
    return made


def item(symbols: Symbols, of: Symbol, key: Value) -> Value | None:
    """`settings["key"]`, the same as `settings.key`; None for an item of anything else."""
    if not isinstance(of.default, Table) or not isinstance(key, Known):
        return None
    name = str(key.value)
    return of.attributes.setdefault(name, symbols.part(of, name))


def entries(value: Value) -> Table | None:
    """The settings in a table, by name."""
    if not isinstance(value, Symbol) or not isinstance(value.default, Table):
        return None
    known = {key: value.attributes[str(key)] for key in value.default.entries}
    return Table(known, value.default.node, value.default.open)


def method(symbols: Symbols, of: Symbol, name: str, arguments: Arguments) -> Value | None:
    """`settings.get("key", otherwise)`, `settings.name.lower()`; None for any other method."""
    given = [operand.value for operand in arguments.positional]
    if isinstance(of.default, Table) and name in _READ and given and isinstance(given[0], Known):
        if str(given[0].value) in of.attributes or of.default.open:
            return item(symbols, of, given[0])
        return given[1] if len(given) > 1 else Known(None)
    if isinstance(of.default, Table) and name == "copy":
        return entries(of)
    text = of.default.value if isinstance(of.default, Known) else None
    if name in _OF_TEXT and isinstance(text, str) and not given:
        return symbols.derived(("method", name), (of,), default=Known(getattr(text, name)()))
    return None


def otherwise(symbols: Symbols, arguments: Arguments) -> Arguments:
    """Arguments on a way that a run by default does not take: settings are not known there."""
    positional = tuple([_otherwise(symbols, operand) for operand in arguments.positional])
    keywords = {name: _otherwise(symbols, operand) for name, operand in arguments.keywords.items()}
    return replace(arguments, positional=positional, keywords=keywords)


def _otherwise(symbols: Symbols, operand: Operand) -> Operand:
    value = operand.value
    if not isinstance(value, Symbol) or value.default is None:
        return operand
    return Operand(symbols.derived("otherwise", (value,)), operand.node)
