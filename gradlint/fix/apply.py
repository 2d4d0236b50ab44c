"""Fixes applied to a text, as many at once as do not get in each other's way."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from gradlint.records.finding import Applicability, Edit, Fix


class _Placed(NamedTuple):
    """An edit by offsets; the order of the fields is the order in the text."""

    start: int
    end: int
    content: str
    is_line: bool
    """Whether it inserts whole lines, which two fixes may share."""


def is_wanted(fix: Fix | None, unsafe: bool) -> bool:
    """Whether a fix may be applied: safe ones always, unsafe ones on request, others never."""
    if fix is None or fix.applicability is Applicability.DISPLAY_ONLY:
        return False
    return unsafe or fix.applicability is Applicability.SAFE


def apply_edits(text: str, fixes: Sequence[Fix]) -> tuple[str, tuple[Fix, ...]]:
    """The text after as many of the fixes as possible, and which these were, by position.

    The edits of a fix are made all or none. A fix waits for the next round if one of its edits
    overlaps or touches an edit of an earlier one, unless both insert the same lines, such as one
    import, which is then made once. A fix whose edits overlap each other, or lie outside the text,
    is never applied. The parts of the edits must be text.
    """
    line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
    accepted: list[_Placed] = []
    applied: list[Fix] = []
    candidates = [(placed, fix) for fix in fixes if (placed := _place(fix, line_starts, len(text)))]
    for placed, fix in sorted(candidates, key=lambda candidate: candidate[0]):
        new = [edit for edit in placed if not (edit.is_line and edit in accepted)]
        if not any(_touches(edit, accepted) for edit in new):
            accepted = sorted([*accepted, *new])
            applied.append(fix)
    return _spliced(text, accepted), tuple(applied)


def _place(fix: Fix, line_starts: Sequence[int], length: int) -> list[_Placed]:
    """The edits of a fix in order; none if they cannot be made."""
    placed = sorted({_placed(edit, line_starts, length) for edit in fix.edits})
    fits = all(0 <= edit.start <= edit.end <= length for edit in placed)
    is_disjoint = all(
        one.end <= other.start and (one.start, one.end) != (other.start, other.end)
        for one, other in pairwise(placed)
    )
    return placed if fits and is_disjoint else []


def _placed(edit: Edit, line_starts: Sequence[int], length: int) -> _Placed:
    span = edit.span
    start = _offset(span.line, span.column, line_starts, length)
    end = _offset(span.end_line, span.end_column, line_starts, length)
    is_line = start == end and span.column == 1 and edit.content.endswith("\n")
    return _Placed(start, end, edit.content, is_line)


def _offset(line: int, column: int, line_starts: Sequence[int], length: int) -> int:
    """The offset of a position; -1 if there is no such place in the text."""
    bounds = (*line_starts[line - 1 : line + 1], length + 1)
    if line < 1 or column < 1 or line > len(line_starts):
        return length if (line, column) == (len(line_starts) + 1, 1) else -1
    offset = bounds[0] + column - 1
    return offset if offset < bounds[1] else -1


def _touches(edit: _Placed, accepted: Sequence[_Placed]) -> bool:
    index = bisect_left(accepted, edit)
    before, after = accepted[max(0, index - 1) : index], accepted[index : index + 1]
    return any(other.end >= edit.start for other in before) or any(other.start <= edit.end for other in after)


def _spliced(text: str, edits: Sequence[_Placed]) -> str:
    parts: list[str] = []
    at = 0
    for edit in edits:
        parts += [text[at : edit.start], edit.content]
        at = edit.end
    return "".join([*parts, text[at:]])
