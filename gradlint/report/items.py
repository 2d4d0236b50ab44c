"""A finding as the JSON formats carry it; nothing of it is lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gradlint.lint.result import LintResult
from gradlint.records.finding import Claim, Edit, Finding, Fix, Related
from gradlint.records.span import Span
from gradlint.report.encode import number
from gradlint.report.verdict import evidence_item


def items(result: LintResult) -> Iterator[dict[str, Any]]:
    """One JSON object per finding, file by file."""
    urls = {rule.id: rule.url() for rule in result.rules}
    for report in result.reports:
        for finding in report.findings:
            yield item(report.path, finding, urls.get(finding.rule))


def item(path: str, finding: Finding, url: str | None) -> dict[str, Any]:
    """Rows and columns count from 1, columns in characters; the end column is exclusive."""
    return {
        "code": finding.rule,
        "name": finding.name,
        "message": finding.message,
        "severity": finding.severity.value,
        "filename": path,
        "cell": finding.cell,
        **_range(finding.span),
        "url": url,
        "help": finding.help or None,
        "claim": claim_item(finding.claim) if finding.claim else None,
        **_measured(finding),
        "related": [_related(path, related) for related in finding.related],
        "fix": fix_item(finding.fix) if finding.fix else None,
    }


def _measured(finding: Finding) -> dict[str, Any]:
    """The evidence, where the claim was measured."""
    return {} if finding.evidence is None else {"evidence": evidence_item(finding.evidence)}


def _range(span: Span) -> dict[str, Any]:
    return {
        "location": {"row": span.line, "column": span.column},
        "end_location": {"row": span.end_line, "column": span.end_column},
    }


def claim_item(claim: Claim) -> dict[str, Any]:
    """A claim; numbers that JSON lacks are given by name."""
    return {
        "metric": claim.metric.value,
        "subject": claim.subject,
        "condition": claim.condition or None,
        "bound": number(claim.bound),
        "predicted": number(claim.predicted),
    }


def _related(path: str, related: Related) -> dict[str, Any]:
    where = {"filename": related.path or path, "cell": related.cell}
    return {"message": related.message, **where, **_range(related.span)}


def fix_item(fix: Fix) -> dict[str, Any]:
    """A fix with its edits, in the order in which the rule gave them."""
    edits = [_edit(edit) for edit in fix.edits]
    return {"applicability": fix.applicability.value, "message": fix.title, "edits": edits}


def _edit(edit: Edit) -> dict[str, Any]:
    return {"content": edit.content, "cell": edit.cell, **_range(edit.span)}
