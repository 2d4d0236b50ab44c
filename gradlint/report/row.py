"""A line of code as a terminal shows it."""

from __future__ import annotations

from dataclasses import dataclass

from gradlint.report.terminal import visible, width

TAB = 4
WIDEST = 160


@dataclass(frozen=True, slots=True)
class Row:
    """One piece of text per character, and the shown column where each begins and where the last ends."""

    pieces: tuple[str, ...]
    columns: tuple[int, ...]

    @classmethod
    def of(cls, line: str) -> Row:
        """Lay out a line: tabs become blanks, wide characters take two columns."""
        pieces, columns = [], [0]
        for character in line:
            taken = TAB - columns[-1] % TAB if character == "\t" else width(character)
            pieces.append(" " * taken if character == "\t" else visible(character))
            columns.append(columns[-1] + taken)
        return cls(tuple(pieces), tuple(columns))

    def at(self, column: int) -> int:
        """Where the character at `column` (from 1) is shown, from 0."""
        return self.columns[min(max(column, 1), len(self.columns)) - 1]

    @property
    def indent(self) -> int:
        """The shown column of the first character that is not blank."""
        return next((at for piece, at in zip(self.pieces, self.columns, strict=False) if piece.strip()), 0)

    def cut(self, left: int) -> str:
        """The part from shown column `left` on, at most `WIDEST`; an ellipsis says where some is missing."""
        shown = [
            piece
            for index, piece in enumerate(self.pieces)
            if self.columns[index] >= left and self.columns[index + 1] <= left + WIDEST
        ]
        before = "…" if left else ""
        after = "…" if self.columns[-1] > left + WIDEST else ""
        return (before + "".join(shown) + after).rstrip()
