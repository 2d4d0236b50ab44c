"""From the byte offsets that Python's syntax tree gives to columns of characters."""

from __future__ import annotations

from itertools import accumulate

_BLOCK = 1024
_CONTINUATION = bytes(range(0x80, 0xC0))
"""The bytes of UTF-8 that begin no character."""

Row = tuple[bytes, list[int]]
"""A line, and how many characters begin before each of its blocks."""


class Columns:
    """The columns of one text.

    `wide` are the lines that are not ASCII; on others an offset and its column differ by 1. Each is
    encoded once.
    """

    def __init__(self, text: str) -> None:
        lines = [] if text.isascii() else text.split("\n")
        self.wide = {number: line for number, line in enumerate(lines, 1) if not line.isascii()}
        self._rows: dict[int, Row] = {}

    def column(self, line: int, offset: int) -> int:
        """The column, from 1, of the character that begins at a byte offset of a line."""
        if line not in self.wide:
            return offset + 1
        data, before = self._row(line)
        block = min(offset // _BLOCK, len(before) - 1)
        return before[block] + _characters(data[block * _BLOCK : offset]) + 1

    def _row(self, line: int) -> Row:
        if line not in self._rows:
            self._rows[line] = _blocks(self.wide[line].encode())
        return self._rows[line]


def _blocks(data: bytes) -> Row:
    counts = [_characters(data[start : start + _BLOCK]) for start in range(0, len(data), _BLOCK)]
    return data, [0, *accumulate(counts)]


def _characters(data: bytes) -> int:
    return len(data.translate(None, _CONTINUATION))
