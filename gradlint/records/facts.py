"""What is kept of one file: the seam between reading code and judging it."""

from __future__ import annotations

from msgspec import Struct

from gradlint.records.ir import Statement
from gradlint.records.span import Span

CHANGING = frozenset(
    {
        *("add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "reverse"),
        *("setdefault", "sort", "update"),
    }
)
"""Methods after which a collection holds something else."""


class FileFacts(Struct, frozen=True):
    """Everything that the analyses need of a file; serialisable, without syntax.

    `body` holds the module's statements in order. `hits` are the lines on which a trigger of some
    rule stands: only what contains one need be looked at; `literals` are the triggers that matched
    somewhere. `helpers` are the module's functions that contain one: their callers are of interest
    too, in whatever file. `rebound` are the names that some function declares global, `filled` those of
    collections that a statement of the module changes. `error` tells why the file could not be read as
    Python.
    """

    body: tuple[Statement, ...] = ()
    hits: tuple[int, ...] = ()
    literals: frozenset[str] = frozenset()
    helpers: tuple[str, ...] = ()
    rebound: frozenset[str] = frozenset()
    filled: frozenset[str] = frozenset()
    parsed: bool = False
    error: str = ""
    error_span: Span = Span(1, 1, 1, 1)

    def changes(self, name: str) -> bool:
        """Whether something else than the statements that bind a name changes what it means."""
        return name in self.rebound or name in self.filled
