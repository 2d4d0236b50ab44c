"""SARIF 2.1.0, as GitHub's code scanning and the viewers of editors read it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from gradlint.lint.result import FileReport, LintResult
from gradlint.records.finding import Applicability, Edit, Finding, Related
from gradlint.records.span import Span
from gradlint.report.encode import encode
from gradlint.report.excerpt import Excerpts
from gradlint.report.fingerprint import fingerprints
from gradlint.report.header import position
from gradlint.report.items import claim_item, fix_item
from gradlint.report.options import RenderOptions
from gradlint.report.placement import file_span, placed_message
from gradlint.report.sarif_rules import driver
from gradlint.report.verdict import evidence_item, with_verdict

ROOT = "SRCROOT"


def render(result: LintResult, options: RenderOptions) -> str:
    """One log with one run; findings silenced by a comment are in it, marked as suppressed."""
    indices = {rule.id: index for index, rule in enumerate(result.rules)}
    suppressing = any(report.suppressed for report in result.reports)
    writer = _Writer(options, indices, suppressing)
    excerpts = Excerpts(result.source)
    run = {
        "tool": {"driver": driver(result.rules, options.version)},
        "automationDetails": {"id": "gradlint/"},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {ROOT: {"description": {"text": "The root of the repository."}}},
        "invocations": [{"executionSuccessful": True}],
        "results": [entry for report in result.reports for entry in writer.results(report, excerpts)],
    }
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return encode({"$schema": schema, "version": "2.1.0", "runs": [run]})


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes results; when any finding of the run is suppressed, every result says whether it is."""

    options: RenderOptions
    indices: Mapping[str, int]
    suppressing: bool

    def results(self, report: FileReport, excerpts: Excerpts) -> Iterator[dict[str, Any]]:
        entries = [(finding, False) for finding in report.findings]
        entries += [(finding, True) for finding in report.suppressed]
        entries.sort(key=lambda entry: (entry[0].cell or 0, entry[0].span))
        digests = fingerprints(report.path, (finding for finding, _ in entries), excerpts)
        for (finding, suppressed), digest in zip(entries, digests, strict=True):
            entry = self._result(report.path, finding)
            entry["partialFingerprints"] = {"gradlint/v1": digest}
            if self.suppressing:
                entry["suppressions"] = [{"kind": "inSource"}] if suppressed else []
            yield entry

    def _result(self, path: str, finding: Finding) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "ruleId": finding.rule,
            "level": finding.severity.value,
            "message": {"text": with_verdict(placed_message(finding), finding)},
            "locations": [self._location(path, finding.cell, finding.span)],
        }
        properties = _properties(finding)
        if finding.rule in self.indices:
            entry["ruleIndex"] = self.indices[finding.rule]
        if finding.related:
            entry["relatedLocations"] = [
                {"id": number} | self._related(path, related)
                for number, related in enumerate(finding.related, start=1)
            ]
        if _is_chain(finding):
            entry["codeFlows"] = [self._flow(path, finding)]
        fixes = self._fixes(path, finding)
        if fixes:
            entry["fixes"] = fixes
        elif finding.fix:
            properties["fix"] = fix_item(finding.fix)
        return entry | {"properties": properties}

    def _location(self, path: str, cell: int | None, span: Span) -> dict[str, Any]:
        region = _region(file_span(cell, span))
        place = {"physicalLocation": {"artifactLocation": self._artifact(path), "region": region}}
        if cell is None:
            return place
        full = f"{path}:{position(cell, span)}"
        return place | {"logicalLocations": [{"name": f"cell {cell}", "fullyQualifiedName": full}]}

    def _related(self, path: str, related: Related) -> dict[str, Any]:
        location = self._location(related.path or path, related.cell, related.span)
        return location | {"message": {"text": related.message}}

    def _flow(self, path: str, finding: Finding) -> dict[str, Any]:
        end = self._location(path, finding.cell, finding.span) | {"message": {"text": finding.message}}
        steps = [*(self._related(path, related) for related in finding.related), end]
        return {"threadFlows": [{"locations": [{"location": step} for step in steps]}]}

    def _fixes(self, path: str, finding: Finding) -> list[dict[str, Any]]:
        """The fix, unless it is only to be shown, or meant for the cells of a notebook."""
        fix = finding.fix
        if fix is None or not fix.edits or finding.cell is not None:
            return []
        if fix.applicability is Applicability.DISPLAY_ONLY:
            return []
        replacements = [_replacement(edit) for edit in fix.edits]
        change = {"artifactLocation": self._artifact(path), "replacements": replacements}
        return [{"description": {"text": fix.title}, "artifactChanges": [change]}]

    def _artifact(self, path: str) -> dict[str, str]:
        """A relative address under the repository's root; a file elsewhere has only an absolute one."""
        name = self.options.from_root(path)
        address = _quote(name)
        if name.startswith("/") or name[1:3] == ":/":
            return {"uri": f"file:///{address.removeprefix('/')}"}
        return {"uri": address, "uriBaseId": ROOT}


def _quote(name: str) -> str:
    """Percent-encode the bytes of a file's name; what no file can be called becomes question marks."""
    try:
        return quote(os.fsencode(name))
    except UnicodeEncodeError:
        return quote(name, errors="replace")


def _is_chain(finding: Finding) -> bool:
    """Whether the related places are steps that follow one another in the finding's own file."""
    places = [(related.cell or 0, related.span) for related in finding.related if not related.path]
    ordered = all(before < after for before, after in pairwise(places))
    return len(places) == len(finding.related) > 1 and ordered


def _region(span: Span) -> dict[str, int]:
    names: Sequence[str] = ("startLine", "startColumn", "endLine", "endColumn")
    numbers = (span.line, span.column, span.end_line, span.end_column)
    return {name: max(1, number) for name, number in zip(names, numbers, strict=True)}


def _replacement(edit: Edit) -> dict[str, Any]:
    return {"deletedRegion": _region(edit.span), "insertedContent": {"text": edit.content}}


def _properties(finding: Finding) -> dict[str, Any]:
    """What SARIF has no place for."""
    values = {
        "help": finding.help or None,
        "claim": finding.claim and claim_item(finding.claim),
        "evidence": finding.evidence and evidence_item(finding.evidence),
        "cell": finding.cell,
        "cellRegion": _region(finding.span) if finding.cell is not None else None,
        "fixApplicability": finding.fix and finding.fix.applicability.value,
    }
    return {key: value for key, value in values.items() if value is not None}
