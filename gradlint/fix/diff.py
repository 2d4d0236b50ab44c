"""What fixing would change, as a unified diff."""

from __future__ import annotations

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
        return "".join(_unified(source.text, text, name))
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


def _lines(text: str) -> list[str]:
    """The lines with their line feeds; no other character ends a line."""
    *lines, rest = text.split("\n")
    return [*(f"{line}\n" for line in lines), *([rest] if rest else [])]
