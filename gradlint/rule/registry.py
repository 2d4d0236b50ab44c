"""The rules that are installed: every concrete `Rule` in a package announced as `gradlint.rules`."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator
from types import ModuleType

from gradlint.records.finding import Severity
from gradlint.rule.entry_points import EntryPoint, entry_points
from gradlint.rule.rule import Rule

GROUP = "gradlint.rules"
_ID = re.compile(r"[A-Z]{1,3}\d{3}")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PACKAGE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


class RegistryError(Exception):
    """The set of rules is empty, broken or ambiguous; the message says where."""


class UnknownRuleError(LookupError):
    """No rule has this code or name; the message offers the nearest one that exists."""


def load() -> tuple[type[Rule], ...]:
    """All installed rules by id; RegistryError where there are none or they contradict each other."""
    packages = {_package(point): point for point in entry_points(GROUP)}
    modules = {module.__name__: module for package in packages for module in _walk(package)}
    rules = [rule for module in modules.values() for rule in _defined_in(module)]
    if not rules:
        raise RegistryError(
            "no rules are installed: gradlint finds them through the metadata of installed distributions,"
            " so install it (`pip install torch-gradlint`, or `pip install -e .` in a checkout)"
        )
    for rule in rules:
        _validate(rule)
    for attribute in ("id", "name"):
        _require_unique(rules, attribute)
    return tuple(sorted(rules, key=lambda rule: rule.id))


def find(selector: str, rules: Iterable[type[Rule]] | None = None) -> type[Rule]:
    """The rule with this code or name, in upper or lower case; UnknownRuleError if there is none."""
    known = load() if rules is None else tuple(rules)
    wanted = selector.strip().lower()
    for rule in known:
        if wanted in (rule.id.lower(), rule.name):
            return rule
    nearest = suggest(wanted, known)
    hint = f", did you mean '{nearest}'?" if nearest else "; `gradlint rules` lists all of them"
    raise UnknownRuleError(f"unknown rule '{selector}'{hint}")


def suggest(selector: str, rules: Iterable[type[Rule]]) -> str:
    """The code or name nearest to a mistyped one, or nothing if none is near."""
    from difflib import get_close_matches

    spelling = {word.lower(): word for rule in rules for word in (rule.id, rule.name)}
    nearest = get_close_matches(selector.lower(), spelling, n=1)
    within = [word for word in spelling if selector and selector.lower() in word.split("-")]
    return spelling[(*nearest, *within)[0]] if nearest or within else ""


def _package(point: EntryPoint) -> str:
    if not _PACKAGE.fullmatch(point.value):
        raise RegistryError(
            f"the entry point '{point.name}' of {point.distribution} in group {GROUP}"
            f" must name a package, not '{point.value}'"
        )
    return point.value


def _walk(name: str) -> Iterator[ModuleType]:
    module = _import(name)
    yield module
    for found in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}."):
        if not found.name.endswith(".__main__"):
            yield from _walk(found.name)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise RegistryError(
            f"the rule module {name} cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _defined_in(module: ModuleType) -> Iterator[type[Rule]]:
    """The rules of a module; a base class is abstract or has a name that begins with an underscore."""
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, Rule)
            and value.__module__ == module.__name__
            and not value.__name__.startswith("_")
            and not getattr(value, "__abstractmethods__", None)
        ):
            yield value


def _validate(rule: type[Rule]) -> None:
    for attribute, form, wish in (
        ("id", _ID, "one to three capital letters and three digits"),
        ("name", _NAME, "words in lower case joined by hyphens"),
    ):
        value = getattr(rule, attribute, None)
        if not isinstance(value, str) or not form.fullmatch(value):
            raise RegistryError(f"{_place(rule)} has the {attribute} {value!r}: it must be {wish}")
    if not isinstance(getattr(rule, "severity", None), Severity):
        raise RegistryError(f"{_place(rule)} has no severity")


def _require_unique(rules: Iterable[type[Rule]], attribute: str) -> None:
    owners: dict[str, type[Rule]] = {}
    for rule in rules:
        value = getattr(rule, attribute)
        if value in owners:
            raise RegistryError(
                f"two rules have the {attribute} {value}: {_place(owners[value])} and {_place(rule)}"
            )
        owners[value] = rule


def _place(rule: type[Rule]) -> str:
    return f"{rule.__module__}.{rule.__qualname__}"
