"""Whether a text holds one of several expressions, asked so that most texts are passed over at once."""

from __future__ import annotations

import re

Words = tuple[tuple[str, re.Pattern[str]], ...]
"""Plain words, each with the pattern that a text with it is searched for, which takes longer."""


def holds(text: str, sought: Words) -> bool:
    """Whether one of the patterns matches somewhere in a text."""
    return any(word in text and pattern.search(text) is not None for word, pattern in sought)
