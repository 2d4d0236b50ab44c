"""How many findings each rule has, as JSON."""

from __future__ import annotations

from dataclasses import asdict

from gradlint.lint.result import LintResult
from gradlint.report.encode import encode
from gradlint.report.options import RenderOptions
from gradlint.report.statistics import tally


def render(result: LintResult, options: RenderOptions) -> str:
    """An array of `{code, name, count, fixable}`, the most frequent rule first."""
    return encode([asdict(row) for row in tally(result, options)])
