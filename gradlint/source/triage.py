"""Which files can concern a rule at all, told from their text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache

_FEW = 32
"""Up to so many words are searched one by one."""

_WORD = re.compile(r"(?<!def )\b[^\W\d]\w*")
_FRAMEWORK = re.compile(rb"torch|lightning|accelerate|fastai")


def mentions_framework(data: bytes) -> bool:
    """Whether a file's bytes name a framework whose code gradlint reads."""
    return _FRAMEWORK.search(data) is not None


Triggers = tuple[tuple[str, str], ...]
"""Pairs of a text that must occur and an expression that must match where it does."""

Found = Mapping[str, tuple[int, ...]]
"""The lines, from 1, on which triggers match, by their text; only those that do."""


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


def matches(text: str, triggers: Triggers) -> Found:
    """The lines on which each of `triggers` matches."""
    offsets: dict[str, list[int]] = {}
    for literal, expression in triggers:
        offsets.setdefault(literal, []).extend(_occurrences(text, literal, expression))
    lines = _lines_at(text, {offset for found in offsets.values() for offset in found})
    return {literal: tuple([lines[offset] for offset in found]) for literal, found in offsets.items() if found}


def _lines_at(text: str, offsets: Iterable[int]) -> dict[int, int]:
    """For every offset its line, from 1."""
    lines: dict[int, int] = {}
    line, before = 1, 0
    for offset in sorted(offsets):
        line += text.count("\n", before, offset)
        lines[offset] = line
        before = offset
    return lines


def lines_with(text: str, words: Collection[str]) -> tuple[int, ...]:
    """The lines, from 1, on which one of `words` stands as a whole, and not where it is defined."""
    if len(words) <= _FEW:
        return matching_lines(text, tuple([(word, rf"(?<!\w)(?<!def ){re.escape(word)}\b") for word in words]))
    found = _lines_at(text, [word.start() for word in _WORD.finditer(text) if word[0] in words])
    return tuple(sorted(set(found.values())))


def matching_lines(text: str, triggers: Triggers) -> tuple[int, ...]:
    """The lines, from 1, on which one of `triggers` matches."""
    return lines_of(matches(text, triggers))


def lines_of(found: Found) -> tuple[int, ...]:
    """The lines on which anything was found, in order."""
    return tuple(sorted({line for lines in found.values() for line in lines}))
