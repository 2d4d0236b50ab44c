"""Constructing a target: what was given, then what its signature and annotations say, then repair."""

from __future__ import annotations

import copy
import inspect
import types
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from . import sites
from .absent import AbsentBase
from .attempts import Maker, search
from .initialised import initialised
from .load import FAILED, GUESSED
from .protocol import Argument
from .recipes import NotBuiltError, Recipe
from .signatures import signature_of
from .sites import maker_within


def resolve(module: types.ModuleType, name: str) -> Any:
    """What a module calls by a dotted name. Raises `NotBuiltError`."""
    value: Any = module
    for word in name.split("."):
        if not hasattr(value, word):
            raise NotBuiltError(_undefined(module, word))
        value = getattr(value, word)
    return value


def _undefined(module: types.ModuleType, name: str) -> str:
    error = vars(module).get(FAILED, {}).get(name)
    if error is None:
        return f"the module defines no {name}"
    return f"the statement that defines {name} failed: {type(error).__name__}: {error}"


def recipe(
    module: types.ModuleType,
    name: str,
    arguments: Sequence[Argument],
    seconds: float,
    kind: type = nn.Module,
    line: int = 0,
) -> Recipe:
    """How to construct the target called `name`, an object of a kind. Raises `NotBuiltError`.

    Where it has no name of its own it is what is constructed on a line.
    """
    inside = maker_within(module, name, line) if is_unnamed(module, name) else None
    if inside is not None:
        return Recipe(inside[0], notes=[f"constructed as in {inside[1]}", *sizes_guessed(module)])
    target = resolve(module, name)
    if isinstance(target, nn.Module):
        notes = ["constructed by its file", *sizes_guessed(module)]
        return Recipe(lambda: copy.deepcopy(target), notes=notes)
    if not callable(target):
        raise NotBuiltError(f"{name} is no module and no function: {type(target).__name__}")
    given, origins, notes = evaluated(module, arguments)
    notes += sizes_guessed(module)
    if isinstance(target, type) and issubclass(target, AbsentBase):
        notes.append(f"{target.absent} is not installed and taken as nn.Module")
    if not given and isinstance(target, type):
        made = [value for value in vars(module).values() if type(value) is target]
        if made:
            notes.append("constructed by its file")
            return _initialised(module, name, Recipe(lambda: copy.deepcopy(made[-1]), notes=notes))
    signature = signature_of(target)
    _require_taken(name, signature, origins)
    missing = [n for n, p in signature.parameters.items() if p.default is p.empty and n not in given]
    if missing:
        found, where = sites.arguments(module, name, signature, missing)
        given.update(found)
        origins.update(dict.fromkeys(found, where))
    searched = search(Maker(target, signature, given, kind, anew(module, arguments)), origins, notes, seconds)
    return _initialised(module, name, searched)


def _initialised(module: types.ModuleType, name: str, made: Recipe) -> Recipe:
    """The recipe with what the file does to the weights of what it constructs."""
    found = initialised(module, name)
    if found is None:
        return made
    try:
        found.apply(made.make())
    except (Exception, SystemExit):
        return made
    remade = made.remade
    return replace(
        made,
        make=found.after(made.make),
        notes=[*made.notes, f"initialised as in {found.site.where}"],
        remade=lambda error: (replace(each, make=found.after(each.make)) for each in remade(error)),
    )


def sizes_guessed(module: types.ModuleType) -> list[str]:
    """What to tell of the sizes that were guessed in place of what could not be computed."""
    failed = vars(module).get(FAILED, {})
    return [
        f"{name}={value} guessed, since the statement that binds it fails: "
        f"{type(failed[name]).__name__}: {failed[name]}"
        for name, value in vars(module).get(GUESSED, {}).items()
    ]


def is_unnamed(module: types.ModuleType, name: str) -> bool:
    """Whether a name is not a model's own but that of the function which makes one for itself, or of none."""
    value = vars(module).get(name)
    if isinstance(value, types.FunctionType):
        return not sites.returns(module, name)
    return value is nn.Sequential or name.partition(".")[0] not in vars(module)


def anew(module: types.ModuleType, arguments: Sequence[Argument]) -> dict[str, Callable[[], Any]]:
    """What evaluates each argument once more; raises where that cannot be evaluated."""
    return {each.name: partial(_value, module, each.expression) for each in arguments}


def evaluated(
    module: types.ModuleType, arguments: Sequence[Argument]
) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """The values of the arguments that were given, their origins, and which could not be evaluated."""
    given: dict[str, Any] = {}
    origins: dict[str, str] = {}
    notes: list[str] = []
    for argument in arguments:
        value = _evaluated(module, argument.expression)
        if isinstance(value, NameError) and argument.origin in _ASKED and argument.expression.isidentifier():
            value = argument.expression  # a word that names nothing is text
        if isinstance(value, Exception):
            _require(argument, value)
            notes.append(f"{argument.name}={argument.expression} from {argument.origin} cannot be evaluated")
        else:
            given[argument.name], origins[argument.name] = value, argument.origin
    return given, origins, notes


_ASKED = ("--arg", "configuration")
"""Where an argument is from that somebody asked for: it may not be left out."""


def _require(argument: Argument, error: Exception) -> None:
    """Raise `NotBuiltError` where an argument that was asked for cannot be evaluated."""
    if argument.origin in _ASKED:
        reason = f"{argument.name}={argument.expression} cannot be evaluated: {type(error).__name__}: {error}"
        raise NotBuiltError(f"{reason} ({argument.origin})")


def _require_taken(name: str, signature: inspect.Signature, origins: dict[str, str]) -> None:
    """Raise `NotBuiltError` where an argument that was asked for has a name that nothing takes."""
    known = signature.parameters
    if any(p.kind is p.VAR_KEYWORD for p in known.values()):
        return
    unknown = [each for each, origin in origins.items() if each not in known and origin in _ASKED]
    if unknown:
        takes = ", ".join(known) or "nothing"
        raise NotBuiltError(f"{name} takes {takes}, not {unknown[0]} ({origins[unknown[0]]})")


def _evaluated(module: types.ModuleType, expression: str) -> Any:
    """The value of an expression in a module, or the error that it raises."""
    try:
        return _value(module, expression)
    except Exception as error:
        return error


def _value(module: types.ModuleType, expression: str) -> Any:
    return eval(expression, dict(vars(module)))
