"""The closing lines of the reports that people read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gradlint.lint.result import LintResult
from gradlint.records.evidence import Verdict
from gradlint.records.finding import Applicability, Finding, Severity
from gradlint.report.options import RenderOptions
from gradlint.report.terminal import SEVERITY_STYLE, Paint, Style


def count(number: int, noun: str) -> str:
    """`number` and `noun`, in the plural where due."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def would_apply(finding: Finding, options: RenderOptions) -> bool:
    """Whether `--fix` would fix this finding under the present options."""
    if finding.fix is None:
        return False
    trusted = {Applicability.SAFE} | ({Applicability.UNSAFE} if options.unsafe_fixes else set())
    return finding.fix.applicability in trusted


def summary(result: LintResult, options: RenderOptions) -> str:
    """How many findings there are, how bad, and how many a fix would remove; empty when not wanted."""
    if not options.summary:
        return ""
    paint = Paint(options.color)
    fixed = sum(result.fixed.values())
    lines = [f"Fixed {count(fixed, 'finding')}."] if fixed else []
    lines += [_total(result, paint), *_fixable(result.findings, options, paint)]
    lines += _verdicts(result.findings)
    hidden = sum(report.baselined for report in result.reports)
    lines += [f"{count(hidden, 'known finding')} hidden by the baseline."] if hidden else []
    return "".join(f"{line}\n" for line in lines)


def _verdicts(findings: Iterable[Finding]) -> list[str]:
    """How many claims were confirmed, refuted and so on; nothing where none was measured."""
    found = Counter(finding.evidence.verdict for finding in findings if finding.evidence is not None)
    parts = [f"{found[verdict]} {verdict.value}" for verdict in Verdict if found[verdict]]
    return [f"Verified: {', '.join(parts)}."] if parts else []


def _total(result: LintResult, paint: Paint) -> str:
    findings = result.findings
    if not findings:
        return paint("All checks passed!", Style.GOOD)
    severities = Counter(finding.severity for finding in findings)
    parts = ", ".join(
        paint(count(severities[severity], severity.value), SEVERITY_STYLE[severity])
        for severity in reversed(Severity)
        if severities[severity]
    )
    files = sum(bool(report.findings) for report in result.reports)
    return f"Found {count(len(findings), 'finding')} ({parts}) in {count(files, 'file')}."


def _fixable(findings: Iterable[Finding], options: RenderOptions, paint: Paint) -> list[str]:
    fixable = [finding for finding in findings if finding.fix is not None]
    now = sum(would_apply(finding, options) for finding in fixable)
    more = sum(
        finding.fix is not None
        and finding.fix.applicability is Applicability.UNSAFE
        and not would_apply(finding, options)
        for finding in fixable
    )
    if now:
        hidden = f" ({more} more with --unsafe-fixes)" if more else ""
        return [f"{paint('[*]', Style.GOOD)} {now} fixable with --fix{hidden}"]
    return [f"No safe fixes ({more} fixable with --fix --unsafe-fixes)"] if more else []
