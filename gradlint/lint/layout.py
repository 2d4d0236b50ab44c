"""Where the comments and the logical lines of a text are, without parsing it.

One regular expression tells strings, comments and brackets apart, so that broken code is laid
out as well as sound code, and several times faster than `tokenize` would. Formatted strings are the
exception, as these hold code.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from gradlint.lint.formatted import Broken, Comments, end_of_formatted, is_formatted
from gradlint.records.span import Span

_TOKEN = re.compile(
    r'''
    (?P<code>[^\s\#"'\\()\[\]{}][^\n\#"'\\()\[\]{}]*)
  | (?P<string>
        """[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*(?:"""|\Z)
      | \'\'\'[^'\\]*(?:(?:\\.|'(?!\'\'))[^'\\]*)*(?:\'\'\'|\Z)
      | "[^"\\\n]*(?:\\.[^"\\\n]*)*"?
      | '[^'\\\n]*(?:\\.[^'\\\n]*)*'?
    )
  | (?P<comment>\#[^\n]*)
  | (?P<open>[(\[{])
  | (?P<close>[)\]}])
  | (?P<continuation>\\\n)
  | (?P<newline>\n)
    ''',
    re.VERBOSE | re.DOTALL,
)
_DEFINITION = re.compile(r"[ \t]*(?:async[ \t]+def|def|class)[ \t]+\w")


@dataclass(frozen=True, slots=True)
class Layout:
    """Offsets of the comments, and the first and last lines of the logical lines.

    A decorated definition is one logical line from its first decorator to the end of its header.
    """

    text: str
    comments: tuple[tuple[int, int], ...]
    statements: tuple[tuple[int, int], ...]
    line_starts: tuple[int, ...]

    def line(self, offset: int) -> int:
        """The line, from 1, that an offset lies in."""
        return bisect_right(self.line_starts, offset)

    def span(self, start: int, end: int) -> Span:
        """The span between two offsets."""
        first, last = self.line(start), self.line(end)
        return Span(
            first, start - self.line_starts[first - 1] + 1, last, end - self.line_starts[last - 1] + 1
        )

    def statement(self, line: int) -> tuple[int, int] | None:
        """The logical line that a line is part of, if any."""
        index = bisect_right(self.statements, (line, len(self.text))) - 1
        if index >= 0 and line <= self.statements[index][1]:
            return self.statements[index]
        return None

    def next_statement(self, line: int) -> tuple[int, int] | None:
        """The first logical line below a line, if any."""
        index = bisect_left(self.statements, (line + 1, 0))
        return self.statements[index] if index < len(self.statements) else None


def lay_out(text: str) -> Layout:
    """Find the comments and the logical lines of a text whose lines end in line feeds."""
    line_starts = (0, *(match.end() for match in re.finditer("\n", text)))
    comments: list[tuple[int, int]] = []
    statements: list[tuple[int, int]] = []
    depth, begin, end = 0, -1, 0

    def close() -> None:
        if begin >= 0:
            statements.append((bisect_right(line_starts, begin), bisect_right(line_starts, end - 1)))

    for kind, start, stop, within in _tokens(text):
        comments += within
        if kind == "newline":
            if depth == 0 or _DEFINITION.match(text, stop):
                close()
                depth, begin = 0, -1
        elif kind not in ("comment", "continuation"):
            if begin < 0:
                begin = start
            end = stop
            depth = max(0, depth + (kind == "open") - (kind == "close"))
    close()
    return Layout(text, tuple(comments), _join_decorators(text, line_starts, statements), line_starts)


def _tokens(text: str) -> Iterator[tuple[str, int, int, Comments]]:
    """The kind, the offsets and the comments of every token; where a formatted string is broken, strings are
    told by their quotes alone up to where that was noticed.
    """
    at = broken = 0
    while (token := _TOKEN.search(text, at)) is not None:
        kind, start, at = token.lastgroup or "", token.start(), token.end()
        comments = [token.span()] if kind == "comment" else []
        if kind == "string" and start >= broken and is_formatted(text, start):
            try:
                at, comments = end_of_formatted(text, start)
            except Broken as error:
                broken = error.at
        yield kind, start, at, comments


def _join_decorators(
    text: str, line_starts: tuple[int, ...], statements: list[tuple[int, int]]
) -> tuple[tuple[int, int], ...]:
    joined: list[tuple[int, int]] = []
    first = 0
    for start, end in statements:
        first = first or start
        if not text.startswith("@", _indented(text, line_starts[start - 1])):
            joined.append((first, end))
            first = 0
    return (*joined, (first, statements[-1][1])) if first else tuple(joined)


def _indented(text: str, offset: int) -> int:
    while text[offset : offset + 1] in (" ", "\t", "\f"):
        offset += 1
    return offset
