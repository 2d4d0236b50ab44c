"""Lines and their endings."""

from __future__ import annotations

import re
from collections.abc import Callable

LINE_END = re.compile(r"\r\n|\r|\n")


def dominant_newline(text: str) -> tuple[str, bool]:
    """The line ending that `text` uses most, and whether it uses others too."""
    pairs = text.count("\r\n")
    counts = {"\n": text.count("\n") - pairs, "\r\n": pairs, "\r": text.count("\r") - pairs}
    newline = max(counts, key=lambda ending: counts[ending])
    return newline, counts[newline] != sum(counts.values())


def with_line_feeds(text: str) -> str:
    """The text with every line ended by a line feed."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def restore(original: str, shown: list[str], text: str, write: Callable[[str], str] = str) -> str:
    """`text`, an edit of the lines `shown`, with every unchanged line as it stands in `original`.

    `shown` has a line for each line of `original`; `write` gives the form of new lines, which end as most do.
    """
    old = LINE_END.split(original)
    endings = [*LINE_END.findall(original), ""]
    newline = dominant_newline(original)[0]
    lines = text.split("\n")
    parts: list[str] = []
    for line, origin in zip(lines, _origins(shown, lines), strict=True):
        parts.append(write(line) if origin is None else old[origin])
        parts.append(newline if origin is None else endings[origin] or newline)
    return "".join(parts[:-1])


def _origins(old: list[str], new: list[str]) -> list[int | None]:
    """For every new line the index of the old line that it is, None where it is none of them."""
    from difflib import SequenceMatcher

    head = _shared(old, new)
    tail = _shared(old[head:][::-1], new[head:][::-1])
    middle: list[int | None] = [None] * (len(new) - head - tail)
    matcher = SequenceMatcher(None, old[head : len(old) - tail], new[head : len(new) - tail], autojunk=False)
    for block in matcher.get_matching_blocks():
        middle[block.b : block.b + block.size] = range(head + block.a, head + block.a + block.size)
    return [*range(head), *middle, *range(len(old) - tail, len(old))]


def _shared(old: list[str], new: list[str]) -> int:
    """How many lines both begin with."""
    pairs = enumerate(zip(old, new, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(old), len(new)))
