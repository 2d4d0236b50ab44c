"""Where a finding goes in formats that know files but not the cells of notebooks."""

from __future__ import annotations

from gradlint.records.finding import Finding
from gradlint.records.span import Span
from gradlint.report.header import position

_TOP = Span(1, 1, 1, 1)


def file_span(cell: int | None, span: Span) -> Span:
    """`span`, or the top of the file in a notebook: a cell's lines are no lines of the file."""
    return span if cell is None else _TOP


def placed_message(finding: Finding) -> str:
    """The message, with the place in front of it where the span cannot say it."""
    if finding.cell is None:
        return finding.message
    return f"{position(finding.cell, finding.span)}: {finding.message}"
