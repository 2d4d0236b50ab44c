"""The one line that says where and what, which editors and problem matchers read."""

from __future__ import annotations

from gradlint.records.finding import Finding
from gradlint.records.span import Span
from gradlint.report.options import RenderOptions
from gradlint.report.summary import would_apply
from gradlint.report.terminal import SEVERITY_STYLE, Paint, Style, one_line


def position(cell: int | None, span: Span) -> str:
    """`12:9`, or `cell 3:12:9` in a notebook."""
    place = f"{span.line}:{span.column}"
    return place if cell is None else f"cell {cell}:{place}"


def fixable_mark(finding: Finding, options: RenderOptions) -> str:
    """` [*]` where `--fix` would act, else nothing."""
    return " [*]" if would_apply(finding, options) else ""


def header(path: str, finding: Finding, options: RenderOptions) -> str:
    """`src/net.py:12:9: warning: GRD101 message [rule-name]`, with ` [*]` where `--fix` would act."""
    paint = Paint(options.color)
    where = f"{one_line(path)}:{position(finding.cell, finding.span)}:"
    severity = paint(f"{finding.severity.value}:", SEVERITY_STYLE[finding.severity])
    what = f"{paint(finding.rule, Style.BOLD)} {one_line(finding.message)}"
    name = paint(f"[{finding.name}]", Style.DIM)
    mark = paint(fixable_mark(finding, options), Style.GOOD)
    return f"{paint(where, Style.BOLD)} {severity} {what} {name}{mark}"
