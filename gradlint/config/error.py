"""What is wrong with a configuration."""

from __future__ import annotations

import os
from collections.abc import Iterable


class ConfigError(Exception):
    """A setting that cannot be used; `path` and `line` tell where it stands, empty for an option."""

    def __init__(self, message: str, path: str = "", line: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.line = line

    def __str__(self) -> str:
        place = f"{_shown(self.path)}:" if self.path else ""
        return f"{place}{f'{self.line}:' if self.line else ''}{' ' if place else ''}{self.args[0]}"


def _shown(path: str) -> str:
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, if any is near."""
    from difflib import get_close_matches

    spelling = {other.lower(): other for other in known}
    nearest = get_close_matches(word.lower(), spelling, n=1)
    return f"; did you mean `{spelling[nearest[0]]}`?" if nearest else ""
