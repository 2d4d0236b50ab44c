"""A file that could not be analysed."""

from __future__ import annotations

from msgspec import Struct

from gradlint.records.span import Span


SYNTAX_ERROR = "GRD001"
"""The rule that reports parse failures."""


class ParseFailure(Struct, frozen=True):
    """Why a file, or a cell of a notebook, cannot be read as Python, and where reading stopped."""

    message: str
    span: Span
