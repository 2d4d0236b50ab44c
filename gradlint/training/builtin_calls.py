"""Builtins of Python, and functions that go through what they are given, where code trains."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from gradlint.semantics.evaluated import Generator
from gradlint.semantics.interpretation import Arguments, Site, known
from gradlint.semantics.value import Items, Known, Value
from gradlint.training.defaults import entries
from gradlint.training.forms import summed
from gradlint.training.holding import held, is_parameters, union
from gradlint.training.mixed import kinds_of_device
from gradlint.training.settings import constant
from gradlint.training.values import (
    Parameters,
    Symbol,
    has_tensors,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts


GATHERING = frozenset(
    {"list", "tuple", "set", "sorted", "iter", "reversed", "filter", "chain", "from_iterable", "OrderedDict"}
)


PASSING = frozenset({"tqdm", "trange", "enumerate", "zip", "islice", "cycle", "track", "prefetch"})


_TESTS = frozenset({"isinstance", "hasattr", "callable", "issubclass", "len", "type", "id", "getattr"})


def called_builtin(facts: TrainingFacts, last: str, arguments: Arguments, site: Site) -> Value:
    """What a builtin of Python gives."""
    values = arguments.values()
    if last == "exec" or (last == "eval" and "(" in str(constant(values[0]) if values else "")):
        facts.not_understood("code in a text")
    if last == "getattr" and values:
        facts.escapes(values[:1], site)
    if last in PASSING or last in GATHERING:
        return iterated(facts, last, arguments, site)
    if values and isinstance(values[0], Symbol) and values[0].default is not None:
        if last == "vars":
            return values[0]
        if last == "dict" and len(values) == 1:
            return entries(values[0]) or facts.symbols.fresh()
        if last in _CONVERSIONS:
            default = _converted(last, values[0].default)
            return facts.symbols.derived(("builtin", last), values, default=default)
    if last in _TESTS and not any(map(has_tensors, values)):
        return facts.symbols.derived(("builtin", last), values)
    if last in ("sum", "max", "min") and any(map(has_tensors, values)):
        terms = values[0].items if last == "sum" and isinstance(values[0], Items) else values
        return replace(facts.mixed(values), reduction=summed("add" if last == "sum" else last, terms))
    if last in ("next", "vars"):
        return facts.element(values[0], site) if values else facts.symbols.fresh()
    if last == "range" and len(values) in (1, 2):
        numbers = facts.symbols.fresh()
        facts.symbols.lengths.spans(numbers, values[0] if len(values) == 2 else Known(0), values[-1])
        return numbers
    if last == "str" and kinds_of_device(values[:1]):
        return values[0]
    return facts.symbols.fresh()


_CONVERSIONS: dict[str, Callable[[int | float | str], Any]] = {"float": float, "int": int, "str": str}


def _converted(name: str, default: Value | None) -> Value | None:
    """The default of a setting as a number or a text."""
    if not isinstance(default, Known) or not isinstance(default.value, (int, float, str)):
        return None
    try:
        return Known(_CONVERSIONS[name](default.value))
    except (ValueError, OverflowError):
        return None


def iterated(facts: TrainingFacts, last: str, arguments: Arguments, site: Site) -> Value:
    """What goes through other iterables: parameters stay parameters, and tensors tensors."""
    values = arguments.values()
    generators = [value for value in values if isinstance(value, Generator)]
    if last == "zip" and not generators:
        return Items(
            "list", [Items("tuple", [facts.element(v, site) for v in values], site.node)], site.node, True
        )
    of = [found for value in values if is_parameters(value) and (found := held(value)) is not None]
    both = union(of)
    if both is not None:
        is_whole = last != "filter" and both.is_whole
        named = any(part.is_named for part in of)
        lazy = last in ("filter", "chain", "from_iterable", "iter")
        spent: dict[str, Value] | None = {"drawn": Known(facts.symbols.fresh().number)} if lazy else None
        return Parameters(both.owners, is_whole, named, spent)
    if generators and last in ("enumerate", "zip"):
        return replace(generators[0], shape=partial(_paired, facts, values, generators[0], last, site))
    items = [facts.element(value, site) for value in values if not isinstance(value, Known)]
    if last == "enumerate" and items:
        index, start = facts.symbols.fresh(), known(arguments.get(1, "start"))
        length = facts.symbols.derived(("builtin", "len"), values[:1])
        facts.symbols.lengths.counts(index, length, start if isinstance(start, int) else 0)
        pair = Items("tuple", [index, items[0]], site.node)
        return Items("list", [pair], site.node, True)
    return values[0] if values and not isinstance(values[0], Known) else facts.symbols.fresh()


def _paired(
    facts: TrainingFacts, values: list[Value], generator: Generator, last: str, site: Site, value: Value
) -> Value:
    """What `enumerate` and `zip` make of a value that a generator yields."""
    if last == "enumerate":
        return Items("tuple", [facts.symbols.fresh(), value], site.node)
    items = [value if each is generator else facts.element(each, site) for each in values]
    return Items("tuple", items, site.node)
