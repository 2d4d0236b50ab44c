"""One line per finding."""

from __future__ import annotations

from msgspec.structs import replace

from gradlint.lint.result import LintResult
from gradlint.report.header import header
from gradlint.report.options import RenderOptions
from gradlint.report.summary import summary
from gradlint.report.verdict import with_verdict


def render(result: LintResult, options: RenderOptions) -> str:
    """`path:line:column: severity: CODE message [rule-name]`, and a summary."""
    lines = [
        header(report.path, replace(finding, message=with_verdict(finding.message, finding)), options) + "\n"
        for report in result.reports
        for finding in report.findings
    ]
    return "".join(lines) + summary(result, options)
