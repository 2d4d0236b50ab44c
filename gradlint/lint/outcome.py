"""What examining one file gave, and when it still holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import blake2b

from msgspec import Struct

from gradlint.records.finding import Finding
from gradlint.records.suppression import Suppression
from gradlint.source.source import Cell


class Outcome(Struct, frozen=True):
    """What an examination of one file found: the findings of all rules, and its suppressions.

    Spans count in the joined text; `cells` are (number, first line, line count) of a notebook.
    `consulted` are the other files that were read, with the digests of their contents, `absent`
    those that were looked for in vain.
    """

    findings: tuple[Finding, ...] = ()
    suppressions: tuple[Suppression, ...] = ()
    cells: tuple[tuple[int, int, int], ...] = ()
    reasons: dict[str, int] = {}
    parsed: bool = False
    consulted: tuple[tuple[str, str], ...] = ()
    absent: tuple[str, ...] = ()


class Task(Struct, frozen=True):
    """One file to examine. `path` is absolute; `is_named` if the user named it rather than its folder."""

    path: str
    is_named: bool = False


def digest(data: bytes) -> str:
    """A short digest of a file's contents."""
    return blake2b(data, digest_size=16).hexdigest()


def outcome_key(path: str, content: str, fingerprint: str) -> str:
    """The key under which the outcome for a file with this content is kept."""
    return digest(f"outcome\0{fingerprint}\0{path}\0{content}".encode())


def is_current(outcome: Outcome, digest_of: Callable[[str], str]) -> bool:
    """Whether all that an outcome rests on is as it was; `digest_of` gives "" for no file."""
    return all(digest_of(path) == content for path, content in outcome.consulted) and not any(
        map(os.path.isfile, outcome.absent)
    )


def cells_of(outcome: Outcome) -> tuple[Cell, ...]:
    """The cells of a notebook's outcome."""
    return tuple([Cell(*cell) for cell in outcome.cells])
