"""Where values stand in a JSON text that is known to be valid."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

BLANKS = re.compile(r"[ \t\r\n]*")
DECODER = json.JSONDecoder()


def skip_blanks(text: str, at: int) -> int:
    """The first position from `at` on that is no white space."""
    found = BLANKS.match(text, at)
    return found.end() if found else at


def members(text: str, at: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """The keys of the object at `at`, each with where its value begins and ends."""
    at = skip_blanks(text, at + 1)
    while text[at] != "}":
        key, at = DECODER.raw_decode(text, at)
        start = skip_blanks(text, skip_blanks(text, at) + 1)
        _, end = DECODER.raw_decode(text, start)
        yield key, (start, end)
        at = _next(text, end)


def elements(text: str, at: int) -> Iterator[tuple[int, int]]:
    """Where each element of the array at `at` begins and ends."""
    at = skip_blanks(text, at + 1)
    while text[at] != "]":
        _, end = DECODER.raw_decode(text, at)
        yield at, end
        at = _next(text, end)


def _next(text: str, end: int) -> int:
    """Where the next element, or the closing bracket, stands behind a value."""
    at = skip_blanks(text, end)
    return skip_blanks(text, at + 1) if text[at] == "," else at
