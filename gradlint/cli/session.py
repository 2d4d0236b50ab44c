"""What a command works with: rules, settings and the linter, from what was given to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from gradlint.cli.arguments import PATHS, Argument, Shape, Values
from gradlint.cli.errors import UsageError, missing
from gradlint.cli.terminal import print_error
from gradlint.config.cache_folder import cache_folder
from gradlint.config.layer import KeyedError
from gradlint.config.load import Configurations
from gradlint.config.settings import Settings
from gradlint.lint.pipeline import Linter
from gradlint.rule.registry import load
from gradlint.rule.rule import Rule
from gradlint.source.discover import Discovery, discover


class Session(Struct, frozen=True):
    """Rules and settings of one command; `settings` hold for the run as a whole."""

    values: Values
    rules: tuple[type[Rule], ...]
    configurations: Configurations
    settings: Settings

    @property
    def paths(self) -> list[str]:
        """The files and folders to check."""
        return list(self.values.get(PATHS) or ["."])

    @property
    def is_quiet(self) -> bool:
        """Whether only findings are wanted."""
        return bool(self.values.get("quiet"))

    def discover(self) -> Discovery:
        """The files to check; raises `UsageError` where a path does not exist."""
        found = discover(self.paths, self.settings, self.configurations.for_folder)
        if found.missing:
            raise missing(found.missing)
        if not found.files and not found.unreadable and not self.is_quiet:
            print_error("warning: no Python files found")
        return found

    def linter(self, progress: Callable[[int, int], None] | None = None) -> Linter:
        """The linter for these rules and settings."""
        return Linter(
            self.rules,
            self.configurations.select,
            cache_dir=cache_folder(self.settings),
            jobs=self.settings.jobs,
            progress=progress,
        )


def open_session(values: Values, arguments: Sequence[Argument], folder: str = ".") -> Session:
    """The session for a command; its own settings are those that hold in `folder`.

    Raises `UsageError`, `ConfigError` and `RegistryError`.
    """
    rules = load()
    try:
        configurations = Configurations(
            rules,
            _table(values, arguments),
            file=values.get("config"),
            isolated=bool(values.get("isolated")),
        )
    except KeyedError as error:
        option = next((a.names[0] for a in arguments if a.setting == error.key), f"--{error.key}")
        raise UsageError(error.args[0].replace(f"`{error.key}`", f"`{option}`", 1)) from None
    return Session(values, rules, configurations, configurations.for_folder(folder or os.curdir))


def _table(values: Values, arguments: Sequence[Argument]) -> dict[str, Any]:
    """The settings that were given as options, as a configuration file would say them."""
    return {
        argument.setting: _as_setting(argument, values[argument.target])
        for argument in arguments
        if argument.setting and argument.target in values
    }


def _as_setting(argument: Argument, value: Any) -> Any:
    if argument.setting == "per-file-ignores":
        return _ignores(value)
    if argument.setting == "severity":
        return dict(_pair(item, "=", "--severity", "RULE=LEVEL") for item in value)
    if argument.setting == "select" and not _split(value):
        raise UsageError("`--select` names no rule")
    return _split(value) if argument.shape is Shape.MANY else value


def _split(items: Sequence[str]) -> list[str]:
    """The words between commas; a comma within braces belongs to a pattern."""
    import re

    return [
        word.strip() for item in items for word in re.findall(r"(?:\{[^}]*\}|[^,])+", item) if word.strip()
    ]


def _ignores(items: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in items:
        pattern, rules = _pair(item, ":", "--per-file-ignores", "PATTERN:RULES")
        found.setdefault(pattern, []).extend(_split([rules]))
    return found


def _pair(item: str, separator: str, option: str, form: str) -> tuple[str, str]:
    left, found, right = item.rpartition(separator)
    if not found or not left.strip() or not right.strip():
        raise UsageError(f"`{option}`: `{item}` is not of the form {form}")
    return left.strip(), right.strip()
