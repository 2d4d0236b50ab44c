"""One file's text, as the analysis sees it."""

from __future__ import annotations

from dataclasses import dataclass


class SourceError(Exception):
    """The file's bytes cannot be turned into text; `line` counts from 1."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell of a notebook: its number among all cells, from 1, and its lines in the joined text."""

    number: int
    first_line: int
    line_count: int


@dataclass(frozen=True, slots=True)
class Source:
    """Decoded text with line feeds only; a notebook's code cells are joined in order.

    `newline` and `encoding` are what the file used, so that a fix can write it back unchanged;
    `original` holds its bytes, but only where these two do not say enough: for notebooks and for
    files that mix line endings.
    """

    path: str
    text: str
    newline: str = "\n"
    encoding: str = "utf-8"
    cells: tuple[Cell, ...] = ()
    original: bytes = b""

    def lines(self) -> list[str]:
        """The lines without their line feeds; only a line feed ends a line, as for Python."""
        return self.text.split("\n")

    def locate(self, line: int) -> tuple[int | None, int]:
        """The cell (None outside notebooks) and the line within it of a line of the joined text."""
        for cell in reversed(self.cells):
            if line >= cell.first_line:
                return cell.number, line - cell.first_line + 1
        return None, line
