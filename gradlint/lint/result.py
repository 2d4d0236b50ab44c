"""What a run found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gradlint.records.finding import Finding
from gradlint.rule.rule import Rule
from gradlint.source.source import Source


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file's findings, by position; `suppressed` holds those that a comment silenced.

    `path` is as reports show it: relative to the working directory where it lies below, with
    forward slashes. In a notebook the findings are in cell coordinates already.
    """

    path: str
    findings: tuple[Finding, ...]
    suppressed: tuple[Finding, ...] = ()
    baselined: int = 0


@dataclass(frozen=True, slots=True)
class LintResult:
    """All of a run. `source` reads a file again, for reports that show code."""

    reports: tuple[FileReport, ...]
    rules: tuple[type[Rule], ...]
    source: Callable[[str], Source]
    files: int = 0
    parsed: int = 0
    fixed: Mapping[str, int] = field(default_factory=dict)
    """How many fixes were applied, by rule id."""
    coverage: Mapping[str, int] = field(default_factory=dict)
    """What the analysis did not understand: reason to count."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding, file by file."""
        return tuple(finding for report in self.reports for finding in report.findings)
