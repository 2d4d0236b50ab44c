"""What a script reads from its command line: the defaults that it declares, and guesses for the rest."""

from __future__ import annotations

import argparse
from typing import Any

from .guesses import guess

_parse = argparse.ArgumentParser.parse_known_args


def answer_with_defaults() -> None:
    """From now on parsers give what they declare, instead of ending the process over what is missing."""
    argparse.ArgumentParser.parse_known_args = _parsed  # type: ignore[assignment, method-assign]


def _parsed(parser: Any, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
    if args:
        found: tuple[Any, list[str]] = _parse(parser, args, namespace)
        return found
    result = argparse.Namespace() if namespace is None else namespace
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) and action.choices:
            _parsed(next(iter(action.choices.values())), None, result)
        elif action.dest != argparse.SUPPRESS and not hasattr(result, action.dest):
            _set(result, action.dest, _value(parser, action))
    for name, value in parser._defaults.items():
        if not hasattr(result, name):
            setattr(result, name, value)
    return result, []


def _set(result: Any, name: str, value: Any) -> None:
    if value is not argparse.SUPPRESS:
        setattr(result, name, value)


def _value(parser: Any, action: Any) -> Any:
    """What an option is without being given."""
    is_missing = action.required or (not action.option_strings and action.nargs not in ("?", "*"))
    if action.default is None and is_missing:
        return next(iter(action.choices)) if action.choices else guess(action.dest, action.type or str)
    if isinstance(action.default, str):
        return parser._get_value(action, action.default)
    return action.default
