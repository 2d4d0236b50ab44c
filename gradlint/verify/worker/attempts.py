"""Attempts to construct an object: the first as guessed, each next one mended by the error of one before."""

from __future__ import annotations

import contextlib
import copy
import inspect
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from .absent import AbsentError
from .guesses import SIZES, by_description, guess, refitted
from .mend import mended, mended_in_turn
from .parts import renewed, within
from .recipes import NotBuiltError, Recipe
from .signatures import described, handed_on
from .stand_in import Settings

ATTEMPTS = 60
_AGAIN = 3.0
"""Seconds for constructing a target once more."""


@dataclass(frozen=True)
class Maker:
    """What is called to make an object of a kind, and the arguments that are settled.

    `anew` evaluates some of these once more: a constructor may change what it is given.
    """

    target: Any
    signature: inspect.Signature
    given: dict[str, Any]
    kind: type = nn.Module
    anew: Mapping[str, Callable[[], Any]] = field(default_factory=dict)

    def fresh(self, name: str) -> Any:
        """The value of a settled argument, one that no constructor has had."""
        with contextlib.suppress(Exception):
            if name in self.anew:
                return self.anew[name]()
            if isinstance(self.given[name], (dict, list, set)):
                return copy.deepcopy(self.given[name])
        return self.given[name]

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
                yield name, self.maker.fresh(name)
            elif name in self.chosen:
                yield name, renewed(self.chosen[name], self._within(name))
            elif parameter.default is parameter.empty and parameter.kind not in stars:
                guessed = self._guessed(name, parameter.annotation)
                yield name, renewed(guessed, inner) if (inner := self._within(name)) else guessed
        if any(p.kind is p.VAR_KEYWORD for p in names.values()):
            rest = {**self.chosen, **{name: self.maker.fresh(name) for name in given}}
            yield from (
                (name, value) for name, value in rest.items() if name not in names and "." not in name
            )

    def _guessed(self, name: str, annotation: Any) -> Any:
        """A value for a parameter; of a single letter by what docstrings say of it, if anything."""
        said = described(self.maker.target).get(name, "") if len(name) == 1 else ""
        found = by_description(said, self.size) if said else None
        return guess(name, annotation, self.size, name) if found is None else found

    def _within(self, name: str) -> dict[str, Any]:
        """What is chosen for the constructor of the part that goes in under a name."""
        return {n.partition(".")[2]: v for n, v in self.chosen.items() if n.startswith(f"{name}.")}

    def slots(self) -> dict[str, Any]:
        """What may be changed: the values of this attempt and of its parts, defaults, and settings read."""
        given, names = self.maker.given, self.maker.signature.parameters
        defaults = {name: p.default for name, p in names.items() if p.default is not p.empty}
        if any(p.kind is p.VAR_KEYWORD for p in names.values()):
            defaults = {**handed_on(self.maker.target), **defaults}
        own = {name: value for name, value in {**defaults, **self.values}.items() if name not in given}
        inner = {f"{name}.{n}": v for name, value in own.items() for n, v in within(value).items()}
        return {**own, **self.read, **inner}


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
        waiting: list[tuple[dict[str, Any], frozenset[str]]] = [(each, frozenset()) for each in start]
        seen: set[str] = set()
        for _ in range(ATTEMPTS):
            if not waiting or time.process_time() > deadline:
                break
            chosen, passed = waiting.pop(0)
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
            new = [changed(chosen, change) for change in mended(error, attempt.slots(), size)]
            new = [each for each in new if _key(each) not in seen]
            seen |= set(map(_key, new))
            kind = re.sub(r"\d+", "_", repr(error))
            following = [(each, passed | {kind}) for each in new]
            has_helped = kind not in passed  # what leads back to an error of before waits
            waiting = following + waiting if has_helped else waiting + following
    assert first is not None
    raise _explained(first[0], first[1], maker.given)


def changed(chosen: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """The choices with others; what was chosen within a part that is replaced is left out."""
    heads = tuple([f"{name}." for name in change])
    return {**{name: value for name, value in chosen.items() if not name.startswith(heads)}, **change}


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


def _found(attempt: Attempt, origins: dict[str, str], notes: list[str]) -> Recipe:
    inner = {n: v for n, v in attempt.chosen.items() if "." in n}
    settled = {n: v for n, v in attempt.maker.given.items() if n in attempt.values}
    every = {**attempt.values, **settled, **attempt.read, **inner}
    names = {n: v for n, v in every.items() if not isinstance(v, Settings)}

    def remade(error: BaseException) -> Iterator[Recipe]:
        slots = attempt.slots()
        settings = [{n: v} for n, given in slots.items() for v in refitted(given, attempt.size)]
        plain = [{n: nn.Identity()} for n, given in slots.items() if isinstance(given, nn.Module)]
        for change in (*settings, *mended_in_turn(error, slots, attempt.size), *plain):
            with contextlib.suppress(NotBuiltError):
                start = [changed(attempt.chosen, change)]
                yield search(attempt.maker, origins, notes, _AGAIN, (attempt.size,), start)

    return Recipe(
        attempt.make, names, attempt.chosen, origins, notes, remade=remade, changeable=attempt.slots
    )
