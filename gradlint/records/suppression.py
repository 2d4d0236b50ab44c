"""Comments that silence findings, and what became of them in a run."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from gradlint.records.span import Span

UNUSED_SUPPRESSION = "GRD002"
UNKNOWN_RULE_IN_SUPPRESSION = "GRD003"


class SuppressionKind(str, Enum):
    """How a comment silences; `UNKNOWN` is addressed to gradlint but says nothing it understands."""

    IGNORE = "ignore"
    FILE_IGNORE = "file-ignore"
    NOQA = "noqa"
    UNKNOWN = "unknown"


class Code(Struct, frozen=True):
    """One code, prefix or name as the comment spells it."""

    text: str
    span: Span


class Suppression(Struct, frozen=True):
    """One comment, or the part of a comment, that silences findings.

    A finding that starts between the first and the last of `lines` is covered. `blanket` means
    that no rule is named and all are meant. `removal` is what to delete so that nothing of the
    comment is left behind. The one code of an unknown kind is the word that was not understood.
    """

    kind: SuppressionKind
    span: Span
    removal: Span
    lines: tuple[int, int]
    codes: tuple[Code, ...] = ()
    blanket: bool = False


class UnknownCode(Struct, frozen=True):
    """A code that belongs to no rule, with the nearest that does (empty if none is near)."""

    code: Code
    suggestion: str = ""


class SuppressionUse(Struct, frozen=True):
    """What is wrong with one suppression after a run: codes that silenced nothing, codes unknown.

    `idle` means that the comment as a whole names no rule and silenced nothing.
    """

    suppression: Suppression
    unused: tuple[Code, ...] = ()
    unknown: tuple[UnknownCode, ...] = ()
    idle: bool = False
