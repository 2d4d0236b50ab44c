"""One JSON object per line and finding."""

from __future__ import annotations

from gradlint.lint.result import LintResult
from gradlint.report.encode import encode
from gradlint.report.items import items
from gradlint.report.options import RenderOptions


def render(result: LintResult, options: RenderOptions) -> str:
    """Nothing when there are no findings."""
    return "".join(encode(item, indent=0) for item in items(result))
