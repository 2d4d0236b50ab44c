"""Which files can concern a rule at all, told from their text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache

_FEW = 32
"""Up to so many words are searched one by one."""

_WORD = re.compile(r"(?<!\w)(?<!def )[^\W\d]\w*")
_FRAMEWORK = re.compile(rb"torch|lightning|accelerate|fastai")


def mentions_framework(data: bytes) -> bool:
    """Whether a file's bytes name a framework whose code gradlint reads."""
    return _FRAMEWORK.search(data) is not None


_ARRAYS = re.compile(rb"\b(?:numpy|cupy)\b")
_NETWORK = (
    re.compile(rb"\brandn?\(|\brandom\.|\bdefault_rng\("),
    re.compile(rb"\.dot\(|\bmatmul\(|[\w\])] @ [\w(]"),
    re.compile(rb"\bexp\(|\btanh\(|\bmaximum\(|\bsigmoid\(|\bexpit\(|\brelu\("),
)


def may_write_networks(data: bytes) -> bool:
    """Whether a file's bytes draw arrays, multiply them and bend the results."""
    return _ARRAYS.search(data) is not None and all(pattern.search(data) for pattern in _NETWORK)


def is_of_interest(data: bytes) -> bool:
    """Whether a file's bytes can concern any rule."""
    return mentions_framework(data) or may_write_networks(data)


Triggers = tuple[tuple[str, str], ...]
"""Pairs of a text that must occur and an expression that must match where it does."""

Found = Mapping[str, tuple[int, ...]]
"""The lines, from 1, on which triggers match, by their text; only those that do."""


@lru_cache(maxsize=8)
def _patterns(triggers: Triggers) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Each text once, with what must match where it stands."""
    expressions: dict[str, list[str]] = {}
    for literal, expression in triggers:
        expressions.setdefault(literal, []).append(f"(?:{expression})")
    return tuple([(literal, re.compile("|".join(any_of))) for literal, any_of in expressions.items()])


def occurrences(text: str, literal: str) -> Iterator[int]:
    """The offsets of `literal`."""
    offset = text.find(literal)
    while offset >= 0:
        yield offset
        offset = text.find(literal, offset + 1)


def matches(text: str, triggers: Triggers) -> Found:
    """The lines on which each of `triggers` matches."""
    offsets = {
        literal: [offset for offset in occurrences(text, literal) if pattern.match(text, offset)]
        for literal, pattern in _patterns(triggers)
    }
    return _by_line(text, offsets)


def uses(text: str, words: Collection[str]) -> Found:
    """The lines on which each of `words` stands as a whole, and not where it is defined."""
    offsets: dict[str, list[int]] = {word: [] for word in words}
    if len(words) > _FEW:
        for found in _WORD.finditer(text):
            if found[0] in offsets:
                offsets[found[0]].append(found.start())
    else:
        for word, places in offsets.items():
            for offset in occurrences(text, word):
                whole = _WORD.match(text, offset)
                if whole is not None and whole[0] == word:
                    places.append(offset)
    return _by_line(text, offsets)


def _by_line(text: str, offsets: Mapping[str, list[int]]) -> Found:
    lines = _lines_at(text, {offset for places in offsets.values() for offset in places})
    return {word: tuple([lines[offset] for offset in places]) for word, places in offsets.items() if places}


def _lines_at(text: str, offsets: Iterable[int]) -> dict[int, int]:
    """For every offset its line, from 1."""
    lines: dict[int, int] = {}
    line, before = 1, 0
    for offset in sorted(offsets):
        line += text.count("\n", before, offset)
        lines[offset] = line
        before = offset
    return lines


def matching_lines(text: str, triggers: Triggers) -> tuple[int, ...]:
    """The lines, from 1, on which one of `triggers` matches."""
    return lines_of(matches(text, triggers))


def lines_of(found: Found) -> tuple[int, ...]:
    """The lines on which anything was found, in order."""
    return tuple(sorted({line for lines in found.values() for line in lines}))
