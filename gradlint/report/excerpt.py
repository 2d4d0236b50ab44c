"""The code that reports quote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from gradlint.records.span import Span
from gradlint.source.source import Source, SourceError


class Excerpts:
    """Lines of files, or of one cell of a notebook; a file that cannot be read any more has none."""

    def __init__(self, read: Callable[[str], Source]) -> None:
        self._read = read
        self.lines = lru_cache(maxsize=16)(self._lines)

    def _lines(self, path: str, cell: int | None) -> Sequence[str]:
        try:
            source = self._read(path)
        except (OSError, ValueError, SourceError):
            return ()
        lines = source.lines()
        if cell is None:
            return lines
        for known in source.cells:
            if known.number == cell:
                shown = lines[known.first_line - 1 :][: known.line_count]
                return [line.replace("\f", " ") for line in shown]
        return ()

    def line(self, path: str, cell: int | None, number: int) -> str:
        """Line `number`, counted from 1; empty where there is none."""
        lines = self.lines(path, cell)
        return lines[number - 1] if 0 < number <= len(lines) else ""


def text_between(lines: Sequence[str], span: Span) -> str:
    """The text of `span`, as far as it lies in `lines`."""
    rows = list(lines[max(span.line, 1) - 1 : max(span.end_line, 0)])
    if not rows:
        return ""
    rows[-1] = rows[-1][: max(span.end_column - 1, 0)]
    rows[0] = rows[0][max(span.column - 1, 0) :]
    return "\n".join(rows)
