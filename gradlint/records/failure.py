"""A file that could not be analysed."""

from __future__ import annotations

from msgspec import Struct

from gradlint.records.finding import Finding, Severity
from gradlint.records.span import Span

INTERNAL_ERROR = "GRD000"
"""The code of a diagnostic about gradlint itself; no rule has it."""

SYNTAX_ERROR = "GRD001"
"""The rule that reports parse failures."""


class ParseFailure(Struct, frozen=True):
    """Why a file, or a cell of a notebook, cannot be read as Python, and where reading stopped."""

    message: str
    span: Span


def internal_error(message: str) -> Finding:
    """The diagnostic for a failure of gradlint itself: the other rules and files go on."""
    return Finding(INTERNAL_ERROR, "internal-error", Severity.ERROR, message, Span(1, 1, 1, 1))
