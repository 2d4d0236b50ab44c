"""What fixing would change, as a unified diff."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradlint.source.read import encode
from gradlint.source.source import Source


def diff(source: Source, text: str, path: str | None = None) -> str:
    """The changes that make `text` of a file; in a notebook cell by cell. Empty if there are none.

    `path` is how the file is named, its own path if left out. Raises SourceError where the file
    cannot hold the text.
    """
    name = source.path if path is None else path
    if not source.cells:
        return "".join(_unified(source.text, text, _as_named(name)))
    from gradlint.source.notebook import cell_codes

    before, after = cell_codes(source.original), cell_codes(encode(source, text))
    return "".join(
        line
        for number, code in before.items()
        for line in _unified(f"{code}\n", f"{after[number]}\n", f"{name}:cell {number}")
    )


def _unified(before: str, after: str, name: str) -> Iterator[str]:
    from difflib import unified_diff

    for line in unified_diff(_lines(before), _lines(after), name, name):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _as_named(name: str) -> str:
    """A path as git writes it: between quotes where it has signs that need that, else ended by a tab where
    it has blanks.
    """
    if _SIGNS.search(name):
        return '"' + _SIGNS.sub(lambda sign: _ESCAPED.get(sign[0], f"\\{ord(sign[0]):03o}"), name) + '"'
    return f"{name}\t" if " " in name else name


_SIGNS = re.compile(r'[\x00-\x1f\x7f"\\]')
_ESCAPED = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def _lines(text: str) -> list[str]:
    """The lines with their line feeds; no other character ends a line."""
    *lines, rest = text.split("\n")
    return [*(f"{line}\n" for line in lines), *([rest] if rest else [])]
