"""Which files can concern a rule at all, told from their text."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache

_FRAMEWORK = re.compile(rb"torch|lightning|accelerate|fastai")


def mentions_framework(data: bytes) -> bool:
    """Whether a file's bytes name a framework whose code gradlint reads."""
    return _FRAMEWORK.search(data) is not None


@lru_cache(maxsize=32)
def pattern(triggers: tuple[str, ...]) -> re.Pattern[str] | None:
    """One expression for all triggers; None when there are none."""
    return re.compile("|".join(f"(?:{trigger})" for trigger in triggers)) if triggers else None


def line_starts(text: str) -> list[int]:
    """The offset at which every line begins."""
    return [0, *[match.end() for match in re.finditer("\n", text)]]


def matching_lines(text: str, triggers: Iterable[str]) -> tuple[int, ...]:
    """The lines, from 1, on which one of `triggers` matches."""
    expression = pattern(tuple(triggers))
    if expression is None:
        return ()
    offsets = [match.start() for match in expression.finditer(text)]
    if not offsets:
        return ()
    starts = line_starts(text)
    return tuple(sorted({bisect_right(starts, offset) for offset in offsets}))
