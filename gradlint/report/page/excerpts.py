"""Lines of code with the one that is meant marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from gradlint.records.span import Span
from gradlint.report.page.markup import element

CONTEXT = 3
TALLEST = 12
"""So many lines of a long span are shown."""


def excerpt(lines: Sequence[str], span: Span, note: str = "") -> Element | None:
    """The lines around a span; None where it lies outside of them."""
    if not 1 <= span.line <= len(lines):
        return None
    last = min(max(span.end_line, span.line), span.line + TALLEST - 1, len(lines))
    shown = range(max(1, span.line - CONTEXT), min(last + CONTEXT, len(lines)) + 1)
    rows = [_row(lines[number - 1], number, span, last) for number in _trimmed(shown, lines)]
    said = element("p", note, class_="note") if note else None
    return element("div", said, element("pre", element("code", *rows)), class_="excerpt")


def _trimmed(numbers: range, lines: Sequence[str]) -> Iterator[int]:
    """Without blank lines at either end."""
    filled = [number for number in numbers if lines[number - 1].strip()]
    return (number for number in numbers if filled and filled[0] <= number <= filled[-1])


def _row(line: str, number: int, span: Span, last: int) -> Element:
    is_hit = span.line <= number <= last
    parts = _marked(line, number, span) if is_hit else [line]
    return element("span", *parts, "\n", class_="row hit" if is_hit else "row", data_line=str(number))


def _marked(line: str, number: int, span: Span) -> list[Element | str]:
    """The line with the part within the span as a mark."""
    start = span.column - 1 if number == span.line else len(line) - len(line.lstrip())
    end = span.end_column - 1 if number == span.end_line else len(line)
    start, end = max(min(start, len(line)), 0), max(min(end, len(line)), 0)
    if start >= end:
        return [line]
    return [line[:start], element("mark", line[start:end]), line[end:]]
