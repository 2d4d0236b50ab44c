"""Constructing a target: what was given, then what its signature and annotations say, then repair."""

from __future__ import annotations

import contextlib
import copy
import inspect
import re
import sys
import time
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from . import sites
from .absent import AbsentBase, AbsentError
from .guesses import SIZES, guess, is_configuration, refitted
from .initialised import initialised
from .load import FAILED, GUESSED
from .mend import mended
from .protocol import Argument
from .sites import maker_within
from .stand_in import Settings
from .usage import Usage

ATTEMPTS = 60
_AGAIN = 3.0
"""Seconds for constructing a target once more."""
_SIDE = re.compile(
    r"(.*_)?(img|image|im|input|crop)_?(size|dim|h|w|height|width|side|resolution)\Z|resolution\Z"
)


class NotBuiltError(Exception):
    """A target cannot be constructed; `missing` is the argument that would help."""

    def __init__(self, reason: str, missing: str = "") -> None:
        super().__init__(reason)
        self.missing = missing


@dataclass
class Recipe:
    """How to construct a target again: a function of no arguments, and what it was found to need.

    `usage` is where documentation constructs it so, where that is followed; `remade` gives the recipes with
    other values for what was guessed, for an error that running the target ends in.
    """

    make: Callable[[], Any]
    given: dict[str, Any] = field(default_factory=dict)
    chosen: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    usage: Usage | None = None
    remade: Callable[[BaseException], Iterator[Recipe]] = lambda error: iter(())

    @property
    def side(self) -> int:
        """The side of images that the constructor was told; 0 where it was told none."""
        settings = [vars(value) for value in self.given.values() if is_configuration(value)]
        named = [*self.given.items(), *[pair for each in settings for pair in each.items()]]
        sizes = [value for name, value in named if _SIDE.match(name)]
        whole = [max(value) if isinstance(value, (list, tuple)) and value else value for value in sizes]
        return next((int(each) for each in whole if isinstance(each, int) and each > 3), 0)

    def arguments(self) -> list[Argument]:
        """The arguments as text."""
        return [
            Argument(name, shown(value), self.origins.get(name, "guessed"))
            for name, value in self.given.items()
        ]


def shown(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).replace('torch.', '')}{list(value.shape)}"
    text = getattr(value, "__name__", None) or repr(value)
    if getattr(type(value), "__repr__", None) is object.__repr__:
        text = f"{type(value).__name__}(...)"
    if isinstance(value, type) and value.__module__.startswith("torch.nn.modules."):
        text = f"nn.{text}"
    text = " ".join(str(text).split())
    return text if len(text) <= 60 else text[:57] + "..."


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
    searched = search(Maker(target, signature, given, kind), origins, notes, seconds)
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
        return eval(expression, dict(vars(module)))
    except Exception as error:
        return error


def search(
    maker: Maker,
    origins: dict[str, str],
    notes: list[str],
    seconds: float,
    sizes: Sequence[int] = SIZES,
    start: Sequence[dict[str, Any]] = ({},),
) -> Recipe:
    """Attempts, the first as guessed, each next one mended by the error of one before.

    Raises `NotBuiltError` where none succeeds.
    """
    deadline = time.process_time() + seconds
    first: tuple[BaseException, dict[str, Any]] | None = None
    for size in sizes:
        waiting: list[tuple[dict[str, Any], str]] = [(each, "") for each in start]
        seen: set[str] = set()
        for _ in range(ATTEMPTS):
            if not waiting or time.process_time() > deadline:
                break
            chosen, before = waiting.pop(0)
            attempt = Attempt(maker, chosen, size)
            error = attempt.run()
            if error is None:
                return _found(attempt, origins, notes)
            if isinstance(error, MemoryError):
                raise error
            absent = _absent(error)
            if absent is not None:
                raise NotBuiltError(str(absent))
            first = first or (error, attempt.values)
            new = [{**chosen, **change} for change in mended(error, attempt.slots(), size)]
            new = [each for each in new if _key(each) not in seen]
            seen |= set(map(_key, new))
            following = [(each, f"{error!r}") for each in new]
            has_helped = before != f"{error!r}"  # what leaves the error as it is waits
            waiting = following + waiting if has_helped else waiting + following
    assert first is not None
    raise _explained(first[0], first[1], maker.given)


def _absent(error: BaseException) -> AbsentError | None:
    """The error that a package is missing, also where torch takes its stand-in for no module."""
    found = re.match(r"([\w.]+) is not a Module subclass", str(error))
    if found and "." in found[1] and found[1].partition(".")[0] not in sys.modules:
        return AbsentError(found[1])
    return error if isinstance(error, AbsentError) else None


def _key(chosen: dict[str, Any]) -> str:
    return repr(sorted(chosen.items(), key=str))


def _explained(error: BaseException, values: dict[str, Any], given: dict[str, Any]) -> NotBuiltError:
    from .blame import lines

    line = next(iter(lines(error)), None)
    guessed = [name for name in values if name not in given]
    named = [name for name in guessed if line is not None and name in line.names]
    missing = (named or guessed or [""])[0]
    at = f" at line {line.number}" if line is not None else ""
    return NotBuiltError(f"the constructor raises {type(error).__name__}: {error}{at}", missing)


@dataclass(frozen=True)
class Maker:
    """What is called to make an object of a kind, and the arguments that are settled."""

    target: Any
    signature: inspect.Signature
    given: dict[str, Any]
    kind: type = nn.Module

    def call(self, values: dict[str, Any]) -> Any:
        """What calling it with values by name gives. Raises `NotBuiltError` if that is of another kind."""
        kinds = {name: p.kind for name, p in self.signature.parameters.items()}
        star = next((n for n in values if kinds.get(n) is inspect.Parameter.VAR_POSITIONAL), None)
        plain = inspect.Parameter.POSITIONAL_OR_KEYWORD
        by_place = {inspect.Parameter.POSITIONAL_ONLY} | ({plain} if star is not None else set())
        positional = [values[name] for name in kinds if name in values and kinds[name] in by_place]
        named = {n: v for n, v in values.items() if kinds.get(n) not in by_place and n != star}
        made = self.target(*positional, *(values[star] if star is not None else ()), **named)
        if isinstance(made, (tuple, list)):
            made = next((each for each in made if isinstance(each, self.kind)), made)
        if not isinstance(made, self.kind):
            raise NotBuiltError(f"what it returns is no module: {type(made).__name__}")
        return made


@dataclass
class Attempt:
    """One call of the constructor with `chosen` values in place of guesses."""

    maker: Maker
    chosen: dict[str, Any]
    size: int
    values: dict[str, Any] = field(default_factory=dict)
    read: dict[str, Any] = field(default_factory=dict)

    def run(self) -> BaseException | None:
        """Make the model once; the error, if any."""
        try:
            self.make()
        except (Exception, SystemExit) as error:
            return error
        return None

    def make(self) -> Any:
        """The model."""
        Settings.chosen, Settings.read = self.chosen, self.read
        self.values = dict(self._arguments())
        return self.maker.call(self.values)

    def _arguments(self) -> Iterator[tuple[str, Any]]:
        names, given = self.maker.signature.parameters, self.maker.given
        stars = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        for name, parameter in names.items():
            if name in given:
                yield name, given[name]
            elif name in self.chosen:
                yield name, copy.deepcopy(self.chosen[name])
            elif parameter.default is parameter.empty and parameter.kind not in stars:
                yield name, guess(name, parameter.annotation, self.size, name)
        if any(p.kind is p.VAR_KEYWORD for p in names.values()):
            rest = {**self.chosen, **given}
            yield from (
                (name, value) for name, value in rest.items() if name not in names and "." not in name
            )

    def slots(self) -> dict[str, Any]:
        """What may be changed: the values of this attempt, defaults and settings that were read."""
        given = self.maker.given
        names = self.maker.signature.parameters.items()
        defaults = {name: p.default for name, p in names if p.default is not p.empty and name not in given}
        return {**defaults, **{n: v for n, v in self.values.items() if n not in given}, **self.read}


def _found(attempt: Attempt, origins: dict[str, str], notes: list[str]) -> Recipe:
    shown_values = {
        **attempt.values,
        **{n: v for n, v in attempt.read.items() if not isinstance(v, Settings)},
    }
    names = {n: v for n, v in shown_values.items() if not isinstance(v, Settings)}

    def remade(error: BaseException) -> Iterator[Recipe]:
        slots = attempt.slots()
        settings = [{n: v} for n, given in slots.items() for v in refitted(given, attempt.size)]
        plain = [{n: nn.Identity()} for n, given in slots.items() if isinstance(given, nn.Module)]
        for change in (*settings, *mended(error, slots, attempt.size), *plain):
            with contextlib.suppress(NotBuiltError):
                start = [{**attempt.chosen, **change}]
                yield search(attempt.maker, origins, notes, _AGAIN, (attempt.size,), start)

    return Recipe(attempt.make, names, attempt.chosen, origins, notes, remade=remade)


def signature_of(target: Any) -> inspect.Signature:
    """What a target takes, annotations evaluated where they can be."""
    function = vars(target).get("__init__", target) if isinstance(target, type) else target
    try:
        signature = inspect.signature(target)
    except (ValueError, TypeError):
        return inspect.Signature()
    try:
        hints = (
            inspect.get_annotations(function, eval_str=True) if hasattr(inspect, "get_annotations") else {}
        )
    except Exception:
        hints = {}
    return signature.replace(
        parameters=[p.replace(annotation=hints.get(n, p.annotation)) for n, p in signature.parameters.items()]
    )
