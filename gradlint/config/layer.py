"""A table of keys and values, checked and turned into fields of the settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradlint.config.error import ConfigError, did_you_mean
from gradlint.config.options import BY_KEY, EXTEND, Option, kind_of
from gradlint.config.select import canonical
from gradlint.config.toml_file import Table
from gradlint.rule.rule import Rule

VERIFY = "verify"
SELECTOR_FIELDS = ("select", "extend_select", "ignore")


class KeyedError(ConfigError):
    """An error in a table; where the table stands is not known yet."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def as_layer(table: Table, folder: str, rules: Sequence[type[Rule]]) -> dict[str, Any]:
    """What the table sets, by field, with paths below `folder` and rules by their codes.

    Raises `KeyedError`.
    """
    flat = flattened(table)
    return {option.field: _value(option, flat[option.key], folder, rules) for option in map(_option, flat)}


def flattened(table: Table) -> Table:
    """The table with `verify`, where that is a table itself, key by key; `verify.enabled` is `verify`."""
    own = table.get(VERIFY)
    if not isinstance(own, dict):
        return table
    inner = {f"{VERIFY}-{key}" if key != "enabled" else VERIFY: value for key, value in own.items()}
    return {key: value for key, value in table.items() if key != VERIFY} | inner


def mismatch(key: str, expected: str, value: object) -> KeyedError:
    """The error that a value has another type than its key expects."""
    return KeyedError(key, f"`{key}` must be {expected}, not {kind_of(value)}")


def _option(key: str) -> Option:
    if key not in BY_KEY:
        raise KeyedError(key, f"unknown key `{key}`{did_you_mean(key, (*BY_KEY, EXTEND))}")
    return BY_KEY[key]


def _value(option: Option, value: Any, folder: str, rules: Sequence[type[Rule]]) -> Any:
    try:
        return _by_code(option.field, option.kind.convert(value, folder), rules)
    except TypeError:
        raise mismatch(option.key, option.kind.expected, value) from None
    except (ValueError, ConfigError) as error:
        raise KeyedError(option.key, f"`{option.key}`: {error}") from None


def _by_code(field: str, value: Any, rules: Sequence[type[Rule]]) -> Any:
    """The value with rules named by their codes."""
    if field in SELECTOR_FIELDS:
        return tuple(canonical(selector, rules) for selector in value)
    if field == "per_file_ignores":
        return tuple((key, tuple(canonical(item, rules) for item in items)) for key, items in value)
    if field == "severity":
        return tuple((canonical(selector, rules), level) for selector, level in value)
    return value
