"""A piece of code with its line numbers and a mark under a span."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile

from gradlint.records.span import Span
from gradlint.report.row import WIDEST, Row
from gradlint.report.terminal import Paint, Style

CONTEXT = 2
LEAD = 20
TALLEST = 8
ENDS = 3


@dataclass(frozen=True, slots=True)
class Frame:
    """Draws code. `gutter` is the width of the line numbers; `style` colours the mark."""

    gutter: int
    paint: Paint
    mark: str = "^"
    style: Style = Style.ERROR
    context: int = CONTEXT

    def rule(self, content: str = "", number: int | None = None) -> str:
        """One line of the frame."""
        label = "" if number is None else str(number)
        return f"{self.paint(f'{label:>{self.gutter}} |', Style.FRAME)} {content}".rstrip()

    def draw(self, lines: Sequence[str], span: Span, label: str = "") -> list[str]:
        """The lines around `span`, a mark under it and `label` behind the mark.

        Nothing where the span lies outside of `lines`.
        """
        if not 1 <= span.line <= len(lines):
            return []
        last = min(max(span.end_line, span.line), len(lines))
        rows = self._multi if last > span.line else self._single
        return list(rows(lines, span, last, f" {label}" if label else ""))

    def _single(self, lines: Sequence[str], span: Span, last: int, label: str) -> Iterator[str]:
        row = Row.of(lines[span.line - 1])
        start, end = row.at(span.column), row.at(span.end_column)
        left = 0 if max(end, start + 1) <= WIDEST else max(0, start - LEAD)
        length = max(1, min(end, left + WIDEST) - start)
        blank = " " * (start - left + (left > 0))
        yield from self._before(lines, span.line, left, "")
        yield self.rule(row.cut(left), span.line)
        yield self.rule(blank + self.paint(self.mark * length + label, self.style))
        yield from self._after(lines, last, left, "")

    def _multi(self, lines: Sequence[str], span: Span, last: int, label: str) -> Iterator[str]:
        first, final = Row.of(lines[span.line - 1]), Row.of(lines[last - 1])
        start, end = min(first.at(span.column), WIDEST), min(final.at(span.end_column), WIDEST)
        opens_at_indent = start <= first.indent
        opening = self.paint("/", self.style) + " " if opens_at_indent else "  "
        yield from self._before(lines, span.line, 0, "  ")
        yield self.rule(opening + first.cut(0), span.line)
        if not opens_at_indent:
            yield self.rule(" " + self.paint("_" * (start + 1) + self.mark, self.style))
        yield from self._body(lines, range(span.line + 1, last + 1))
        yield self.rule(self.paint("|" + "_" * max(end, 1) + self.mark + label, self.style))
        yield from self._after(lines, last, 0, "  ")

    def _body(self, lines: Sequence[str], numbers: range) -> Iterator[str]:
        bar = self.paint("|", self.style)
        tall = len(numbers) > TALLEST
        for number in numbers:
            if not tall or number in numbers[:ENDS] or number in numbers[-ENDS:]:
                yield self.rule(f"{bar} {Row.of(lines[number - 1]).cut(0)}", number)
            elif number == numbers[ENDS]:
                yield self.paint("...".ljust(self.gutter + 3), Style.FRAME) + bar

    def _before(self, lines: Sequence[str], line: int, left: int, pad: str) -> list[str]:
        numbers = range(max(1, line - self.context), line)
        shown = dropwhile(lambda number: not lines[number - 1].strip(), numbers)
        return [self.rule(pad + Row.of(lines[number - 1]).cut(left), number) for number in shown]

    def _after(self, lines: Sequence[str], line: int, left: int, pad: str) -> list[str]:
        numbers = range(line + 1, min(line + self.context, len(lines)) + 1)
        shown = [*dropwhile(lambda number: not lines[number - 1].strip(), reversed(numbers))]
        return [self.rule(pad + Row.of(lines[number - 1]).cut(left), number) for number in reversed(shown)]
