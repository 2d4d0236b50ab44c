"""The command line of a program: what its arguments are where they are not given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradlint.records import ir
from gradlint.semantics.interpretation import Arguments, Operand, Site, known
from gradlint.semantics.value import Items, Known, Reference, Settings, Value

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator


class Parser(Value, frozen=True, eq=False):
    """A parser of the command line, with the defaults of its arguments; None for one that has none."""

    defaults: dict[str, Value | None]
    node: ir.Expression


class Supplied(Value, frozen=True, eq=False):
    """What a decorator gives to a function that is called without: by name, or as the first parameter; with
    `is_own` the function's own defaults.
    """

    named: dict[str, Value]
    first: Value | None = None
    is_own: bool = False


def parser(evaluator: Evaluator, arguments: Arguments, site: Site) -> Value:
    """`argparse.ArgumentParser()`."""
    return Parser({}, site.node)


def parser_method(evaluator: Evaluator, parser: Parser, name: str, arguments: Arguments) -> Value | None:
    """What a method of `argparse.ArgumentParser` does."""
    if name == "add_argument":
        _add(parser, arguments)
        return Known(None)
    if name in ("add_argument_group", "add_mutually_exclusive_group"):
        return parser
    if name == "set_defaults":
        parser.defaults.update({key: operand.value for key, operand in arguments.keywords.items()})
        return Known(None)
    if name not in ("parse_args", "parse_known_args"):
        return None
    known_ones: dict[Any, Value] = {key: v for key, v in parser.defaults.items() if v is not None}
    parsed = evaluator.interpretation.settings(Settings(known_ones, parser.node, True))
    if name == "parse_args":
        return parsed
    rest = Items("list", [], parser.node, True)
    return Items("tuple", [parsed, rest], parser.node)


def _add(parser: Parser, arguments: Arguments) -> None:
    """`add_argument("-n", "--lr", default=0.1)`; a flag is what it is where it is not given."""
    flags = [flag for operand in arguments.positional if isinstance(flag := known(operand), str)]
    destination = known(arguments.keywords.get("dest")) or _destination(flags)
    if not isinstance(destination, str) or not destination:
        return
    default = arguments.keywords.get("default")
    action = known(arguments.keywords.get("action"))
    if default is None and action in ("store_true", "store_false"):
        parser.defaults[destination] = Known(action == "store_false")
    elif default is None:
        is_optional = bool(flags) and flags[0].startswith("-") and action is None
        is_optional = is_optional and "required" not in arguments.keywords
        parser.defaults[destination] = Known(None) if is_optional else None
    else:
        parser.defaults[destination] = _converted(default.value, arguments.keywords.get("type"))


def _converted(default: Value, type: Operand | None) -> Value:
    """A default that is a text goes through the type of its argument."""
    make = {"builtins.float": float, "builtins.int": int}.get(
        type.value.name if type is not None and isinstance(type.value, Reference) else ""
    )
    if make is None or not isinstance(default, Known) or not isinstance(default.value, str):
        return default
    try:
        return Known(make(default.value))
    except ValueError:
        return default


def _destination(flags: Sequence[str]) -> str:
    """The first long flag names the argument, else the first."""
    long = [flag for flag in flags if flag.startswith("--")]
    return (long or [*flags, ""])[0].lstrip("-").replace("-", "_")


def option(evaluator: Evaluator, arguments: Arguments, site: Site) -> Value | None:
    """`@click.option("--lr", default=0.1)`."""
    flags = [flag for operand in arguments.positional if isinstance(flag := known(operand), str)]
    plain = [flag for flag in flags if not flag.startswith("-")]
    name = plain[0] if plain else _destination(flags)
    default = arguments.keywords.get("default")
    if not name or default is None:
        return None
    made = evaluator.interpretation.settings(Settings({name: default.value}, site.node))
    return Supplied({name: evaluator.attribute(Operand(made, site.node), name, site)})
