"""Where something stands in a source text."""

from __future__ import annotations

from msgspec import Struct


class Span(Struct, frozen=True, array_like=True, order=True, gc=False):
    """A half-open range of text.

    Lines and columns count from 1; columns count characters (code points); the end column is the
    first one that no longer belongs to the range.
    """

    line: int
    column: int
    end_line: int
    end_column: int

    def contains(self, other: Span) -> bool:
        """Whether `other` lies wholly inside this span."""
        return (self.line, self.column) <= (other.line, other.column) and (
            other.end_line,
            other.end_column,
        ) <= (self.end_line, self.end_column)

    @property
    def start(self) -> Span:
        """The empty span at the beginning, where an insertion goes."""
        return Span(self.line, self.column, self.line, self.column)

    @property
    def end(self) -> Span:
        """The empty span just behind the last character."""
        return Span(self.end_line, self.end_column, self.end_line, self.end_column)
