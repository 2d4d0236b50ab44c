"""All findings as one JSON array."""

from __future__ import annotations

from gradlint.lint.result import LintResult
from gradlint.report.encode import encode
from gradlint.report.items import items
from gradlint.report.options import RenderOptions


def render(result: LintResult, options: RenderOptions) -> str:
    """`[]` when there are none."""
    return encode(list(items(result)))
