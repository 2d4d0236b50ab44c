"""Findings under the name of their file."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.lint.result import FileReport, LintResult
from gradlint.report.header import fixable_mark, position
from gradlint.report.options import RenderOptions
from gradlint.report.summary import summary
from gradlint.report.terminal import SEVERITY_STYLE, Paint, Style, one_line
from gradlint.report.verdict import with_verdict


def render(result: LintResult, options: RenderOptions) -> str:
    """A heading per file, its findings aligned below, and a summary."""
    groups = ["\n".join(_group(report, options)) + "\n\n" for report in result.reports if report.findings]
    return "".join(groups) + summary(result, options)


def _group(report: FileReport, options: RenderOptions) -> Iterator[str]:
    paint = Paint(options.color)
    places = [position(finding.cell, finding.span) for finding in report.findings]
    widest = max(map(len, places))
    severest = max(len(finding.severity.value) for finding in report.findings)
    yield paint(f"{one_line(report.path)}:", Style.BOLD)
    for place, finding in zip(places, report.findings, strict=True):
        severity = paint(f"{finding.severity.value:<{severest}}", SEVERITY_STYLE[finding.severity])
        what = f"{paint(finding.rule, Style.BOLD)} {one_line(with_verdict(finding.message, finding))}"
        name = paint(f"[{finding.name}]", Style.DIM)
        mark = paint(fixable_mark(finding, options), Style.GOOD)
        yield f"  {place:>{widest}}  {severity}  {what} {name}{mark}"
