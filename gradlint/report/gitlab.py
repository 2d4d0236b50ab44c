"""GitLab's code quality report."""

from __future__ import annotations

from typing import Any

from gradlint.lint.result import LintResult
from gradlint.records.finding import Finding, Severity
from gradlint.report.encode import encode
from gradlint.report.excerpt import Excerpts
from gradlint.report.fingerprint import digest, fingerprints
from gradlint.report.options import RenderOptions
from gradlint.report.placement import file_span, placed_message

_SEVERITIES = {Severity.ERROR: "major", Severity.WARNING: "minor", Severity.NOTE: "info"}


def render(result: LintResult, options: RenderOptions) -> str:
    """A JSON array; fingerprints differ within the whole report."""
    excerpts = Excerpts(result.source)
    issues = [
        _issue(options.from_root(report.path), finding, fingerprint)
        for report in result.reports
        for finding, fingerprint in zip(
            report.findings, fingerprints(report.path, report.findings, excerpts), strict=True
        )
    ]
    return encode(issues)


def _issue(path: str, finding: Finding, fingerprint: str) -> dict[str, Any]:
    span = file_span(finding.cell, finding.span)
    return {
        "check_name": finding.rule,
        "description": f"{finding.rule}: {placed_message(finding)}",
        "severity": _SEVERITIES[finding.severity],
        "fingerprint": digest(path, fingerprint),
        "location": {
            "path": path,
            "positions": {
                "begin": {"line": span.line, "column": span.column},
                "end": {"line": span.end_line, "column": span.end_column},
            },
        },
    }
