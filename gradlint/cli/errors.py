"""What ends a command early."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from gradlint.config.error import did_you_mean


class UsageError(Exception):
    """The command was called in a way that makes no sense; the message says which."""


def require_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise `UsageError` unless the option's value is one of the choices."""
    if value not in choices:
        hint = did_you_mean(value, choices) or f"; it may be {', '.join(choices)}"
        raise UsageError(f"`{option}`: unknown value `{value}`{hint}")


COLORS = ("auto", "always", "never")


def color_choice(values: Mapping[str, Any]) -> str:
    """What is given to `--color`. Raises `UsageError` where that is none of its choices."""
    choice = str(values.get("color", "auto"))
    require_choice("--color", choice, COLORS)
    return choice


def require_page(path: str | None) -> None:
    """Raise `UsageError` where what is given to `--report` names no file; None is given to it by nobody."""
    if path == "":
        raise UsageError("`--report` names no file")
    if path == "-":
        raise UsageError("`--report -`: the page is written to a file, not to the standard output; name one")


def missing(paths: tuple[str, ...]) -> UsageError:
    """The error that paths do not exist, with what the first may have meant."""
    listed = ", ".join(f"`{path}`" for path in paths)
    return UsageError(f"no such file or folder: {listed}{_nearest_path(paths[0])}")


def _nearest_path(path: str) -> str:
    folder, name = os.path.split(os.path.normpath(path))
    try:
        neighbours = os.listdir(folder or ".")
    except OSError:
        return ""
    others = (os.path.join(folder, other) for other in neighbours if other != name)
    return did_you_mean(path, others) if name else ""
