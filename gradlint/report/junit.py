"""JUnit's XML: a test suite per file, a failed test case per finding."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradlint.lint.result import FileReport, LintResult
from gradlint.records.finding import Finding
from gradlint.report.header import position
from gradlint.report.options import RenderOptions
from gradlint.report.verdict import measurement

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)


def render(result: LintResult, options: RenderOptions) -> str:
    """Every file that was reported on is a suite; one without findings has a passed case."""
    suites = [line for report in result.reports for line in _suite(report)]
    total = len(result.findings)
    passed = sum(not report.findings for report in result.reports)
    attributes = _attributes(name="gradlint", tests=total + passed, failures=total, errors=0, skipped=0)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites{attributes}>", *suites, "</testsuites>"]
    return "\n".join(lines) + "\n"


def _suite(report: FileReport) -> Iterator[str]:
    failures = len(report.findings)
    name = _attributes(
        name=report.path, tests=failures or 1, failures=failures, errors=0, skipped=0, package="org.gradlint"
    )
    yield f"  <testsuite{name}>"
    if not failures:
        yield f"    <testcase{_attributes(name='org.gradlint', classname=report.path)}/>"
    for finding in report.findings:
        yield from _case(report.path, finding)
    yield "  </testsuite>"


def _case(path: str, finding: Finding) -> Iterator[str]:
    case = _attributes(
        name=f"org.gradlint.{finding.rule}",
        classname=path.removesuffix(".py"),
        line=finding.span.line,
        column=finding.span.column,
    )
    yield f"    <testcase{case}>"
    yield "      <properties>"
    yield f"        <property{_attributes(name='severity', value=finding.severity.value)}/>"
    if finding.cell is not None:
        yield f"        <property{_attributes(name='cell', value=finding.cell)}/>"
    if finding.evidence is not None:
        yield f"        <property{_attributes(name='verdict', value=finding.evidence.verdict.value)}/>"
        yield f"        <property{_attributes(name='measured', value=measurement(finding.evidence))}/>"
    yield "      </properties>"
    text = f"{position(finding.cell, finding.span)}: {finding.message}" + (
        f"\nhelp: {finding.help}" if finding.help else ""
    )
    failure = _attributes(message=finding.message, type=finding.severity.value)
    yield f"      <failure{failure}>{_escape(text)}</failure>"
    yield "    </testcase>"


def _attributes(**values: str | int) -> str:
    return "".join(f' {key}="{_escape(str(value))}"' for key, value in values.items())


def _escape(text: str) -> str:
    """`text` for content and attributes alike; what XML 1.0 cannot hold becomes U+FFFD."""
    return _FORBIDDEN.sub("\ufffd", text).translate(_ESCAPES)
