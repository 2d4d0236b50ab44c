"""Workflow commands, which GitHub Actions turns into annotations."""

from __future__ import annotations

from gradlint.lint.result import LintResult
from gradlint.records.finding import Finding, Severity
from gradlint.report.header import position
from gradlint.report.options import RenderOptions
from gradlint.report.summary import summary
from gradlint.report.terminal import visible
from gradlint.report.verdict import with_verdict

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


def render(result: LintResult, options: RenderOptions) -> str:
    """The worst first, because a step shows ten annotations of each kind; then a summary for the log."""
    placed = [(report.path, finding) for report in result.reports for finding in report.findings]
    placed.sort(key=lambda entry: -entry[1].severity.rank)
    return "".join(_command(path, finding, options) for path, finding in placed) + summary(result, options)


def _command(path: str, finding: Finding, options: RenderOptions) -> str:
    properties = {
        "title": f"gradlint ({finding.rule})",
        "file": options.from_root(path),
        **_region(finding),
    }
    listed = ",".join(f"{key}={_escape(str(value), _PROPERTY)}" for key, value in properties.items())
    place = f"{path}:{position(finding.cell, finding.span)}"
    text = f"{place}: {finding.rule} {with_verdict(finding.message, finding)}"
    if finding.help:
        text += f"\n  help: {finding.help}"
    return f"::{_COMMANDS[finding.severity]} {listed}::{_escape(text, _DATA)}\n"


def _region(finding: Finding) -> dict[str, int]:
    """Columns are understood only within one line; a notebook's cells have no line in the file."""
    span = finding.span
    if finding.cell is not None:
        return {"line": 1}
    if span.line != span.end_line:
        return {"line": span.line, "endLine": span.end_line}
    return {"line": span.line, "col": span.column, "endLine": span.end_line, "endColumn": span.end_column}


def _escape(text: str, table: dict[int, str]) -> str:
    return "".join(part if part in "\r\n" else visible(part) for part in text).translate(table)
