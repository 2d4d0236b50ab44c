"""Which files can concern a rule at all, told from their text."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache

_FRAMEWORK = re.compile(rb"torch|lightning|accelerate|fastai")


def mentions_framework(data: bytes) -> bool:
    """Whether a file's bytes name a framework whose code gradlint reads."""
    return _FRAMEWORK.search(data) is not None


Triggers = tuple[tuple[str, str], ...]
"""Pairs of a text that must occur and an expression that must match where it does."""


@lru_cache(maxsize=512)
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression)


def _occurrences(text: str, literal: str, expression: str) -> Iterator[int]:
    """The offsets of `literal` at which `expression` matches; it may look behind."""
    offset = text.find(literal)
    if offset < 0:
        return
    matches = _compiled(expression).match
    while offset >= 0:
        if not expression or matches(text, offset):
            yield offset
        offset = text.find(literal, offset + 1)


def matching_lines(text: str, triggers: Triggers) -> tuple[int, ...]:
    """The lines, from 1, on which one of `triggers` matches."""
    offsets = {offset for trigger in triggers for offset in _occurrences(text, *trigger)}
    if not offsets:
        return ()
    starts = [0, *[match.end() for match in re.finditer("\n", text)]]
    return tuple(sorted({bisect_right(starts, offset) for offset in offsets}))
