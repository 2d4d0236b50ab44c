"""The Reviewdog Diagnostic Format; its columns count bytes of UTF-8."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from gradlint.lint.result import LintResult
from gradlint.records.finding import Applicability, Edit, Finding, Severity
from gradlint.records.span import Span
from gradlint.report.encode import encode
from gradlint.report.excerpt import Excerpts, text_between
from gradlint.report.options import RenderOptions
from gradlint.report.placement import file_span, placed_message

_SEVERITIES = {Severity.ERROR: "ERROR", Severity.WARNING: "WARNING", Severity.NOTE: "INFO"}


def render(result: LintResult, options: RenderOptions) -> str:
    """One JSON object; its severity is that of the worst finding."""
    excerpts = Excerpts(result.source)
    urls = {rule.id: rule.url() for rule in result.rules}
    worst = max((finding.severity for finding in result.findings), key=_rank, default=Severity.NOTE)
    diagnostics = [
        _diagnostic(options.from_root(report.path), finding, excerpts.lines(report.path, None), urls)
        for report in result.reports
        for finding in report.findings
    ]
    source = {"name": "gradlint", "url": "https://github.com/gradlint/gradlint"}
    return encode({"source": source, "severity": _SEVERITIES[worst], "diagnostics": diagnostics})


def _rank(severity: Severity) -> int:
    return severity.rank


def _diagnostic(path: str, finding: Finding, lines: Sequence[str], urls: dict[str, str]) -> dict[str, Any]:
    code = {"value": finding.rule} | ({"url": urls[finding.rule]} if finding.rule in urls else {})
    return {
        "message": placed_message(finding),
        "location": {"path": path, "range": _range(file_span(finding.cell, finding.span), lines)},
        "severity": _SEVERITIES[finding.severity],
        "code": code,
        "suggestions": list(_suggestions(finding, lines)),
    }


def _range(span: Span, lines: Sequence[str]) -> dict[str, Any]:
    return {
        "start": _position(span.line, span.column, lines),
        "end": _position(span.end_line, span.end_column, lines),
    }


def _position(line: int, column: int, lines: Sequence[str]) -> dict[str, int]:
    before = lines[line - 1][: max(column - 1, 0)] if 0 < line <= len(lines) else ""
    wider = len(before.encode("utf-8", "surrogatepass")) - len(before)
    return {"line": line, "column": column + wider}


def _suggestions(finding: Finding, lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A fix is one suggestion, so that a reviewer accepts all of its edits or none."""
    if finding.fix is None or finding.cell or finding.fix.applicability is Applicability.DISPLAY_ONLY:
        return
    edits = sorted(finding.fix.edits, key=lambda edit: edit.span)
    if edits:
        whole = Span(*_first(edits), edits[-1].span.end_line, edits[-1].span.end_column)
        yield {"range": _range(whole, lines), "text": _merge(edits, lines)}


def _first(edits: Sequence[Edit]) -> tuple[int, int]:
    return edits[0].span.line, edits[0].span.column


def _merge(edits: Sequence[Edit], lines: Sequence[str]) -> str:
    """The text of all edits with the unchanged text between them."""
    pieces = [edits[0].content]
    for before, after in pairwise(edits):
        between = Span(before.span.end_line, before.span.end_column, after.span.line, after.span.column)
        pieces += [text_between(lines, between), after.content]
    return "".join(pieces)
