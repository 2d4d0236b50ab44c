"""From the byte offsets that Python's syntax tree gives to columns of characters."""

from __future__ import annotations

from itertools import accumulate

_BLOCK = 1024
_CONTINUATION = bytes(range(0x80, 0xC0))
"""The bytes of UTF-8 that begin no character."""

Row = tuple[bytes, list[int]]
"""A line, and how many characters begin before each of its blocks."""


class Columns:
    """The columns of one text. Each line is encoded once, and only where it is not ASCII."""

    def __init__(self, text: str) -> None:
        self.are_offsets = text.isascii()
        self._lines = [] if self.are_offsets else text.split("\n")
        self._rows: dict[int, Row | None] = {}

    def column(self, line: int, offset: int) -> int:
        """The column, from 1, of the character that begins at a byte offset of a line."""
        row = None if self.are_offsets else self._row(line)
        if row is None:
            return offset + 1
        data, before = row
        block = min(offset // _BLOCK, len(before) - 1)
        return before[block] + _characters(data[block * _BLOCK : offset]) + 1

    def _row(self, line: int) -> Row | None:
        if line not in self._rows:
            text = self._lines[line - 1] if line <= len(self._lines) else ""
            self._rows[line] = None if text.isascii() else _blocks(text.encode())
        return self._rows[line]


def _blocks(data: bytes) -> Row:
    counts = [_characters(data[start : start + _BLOCK]) for start in range(0, len(data), _BLOCK)]
    return data, [0, *accumulate(counts)]


def _characters(data: bytes) -> int:
    return len(data.translate(None, _CONTINUATION))
