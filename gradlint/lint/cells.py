"""Notebooks with cells that are not Python: what is wrong with these, and the notebook without them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gradlint.records.failure import ParseFailure
from gradlint.records.span import Span
from gradlint.source.source import Cell, Source
from gradlint.syntax.extract import extract


def broken_cells(source: Source) -> dict[Cell, ParseFailure]:
    """The cells that cannot be read even alone, each with the reason, placed in the joined text."""
    return {cell: failure for cell in source.cells if (failure := _failure(source, cell)) is not None}


def without_cells(source: Source, cells: Iterable[Cell]) -> Source:
    """The source with some cells blank; every other line stays where it is."""
    lines = source.lines()
    for cell in cells:
        lines[_rows(cell)] = [""] * cell.line_count
    return replace(source, text="\n".join(lines))


def cell_alone(source: Source, cell: Cell) -> Source:
    """The source with all other cells blank."""
    return without_cells(source, (other for other in source.cells if other != cell))


def _failure(source: Source, cell: Cell) -> ParseFailure | None:
    facts = extract("\n".join(source.lines()[_rows(cell)]), {})
    if not facts.error:
        return None
    line = cell.first_line - 1 + min(facts.error_span.line, cell.line_count)
    column = facts.error_span.column
    return ParseFailure(facts.error, Span(line, column, line, column + 1))


def _rows(cell: Cell) -> slice:
    return slice(cell.first_line - 1, cell.first_line - 1 + cell.line_count)
