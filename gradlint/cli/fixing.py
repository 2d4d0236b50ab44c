"""`gradlint check` with `--fix`, `--fix-only` or `--diff`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from gradlint.cli.check import check, finish, publish
from gradlint.cli.session import Session
from gradlint.cli.terminal import print_error
from gradlint.fix.apply import is_wanted
from gradlint.fix.diff import diff
from gradlint.fix.rounds import Fixed, fix_file
from gradlint.fix.write import WriteError, write
from gradlint.lint.pipeline import Linter, placed
from gradlint.lint.result import FileReport, LintResult
from gradlint.report.summary import count
from gradlint.source.read import read
from gradlint.source.source import Source, SourceError


def check_and_fix(session: Session) -> int:
    """Check files and apply their fixes, or show what these would change."""
    result = check(session)
    linter = session.linter()
    if session.values.get("diff"):
        return _show_changes(session, linter, result)
    fixed, failures = _fix_all(session, linter, result)
    for failure in failures:
        print_error(f"error: {failure}")
    end = finish_quietly if session.values.get("fix_only") else finish
    code = end(session, fixed)
    return 2 if failures else code


def finish_quietly(session: Session, result: LintResult) -> int:
    """Tell only how much was fixed."""
    total = sum(result.fixed.values())
    if not session.is_quiet:
        print_error(f"Fixed {count(total, 'finding')}.")
    return int(bool(total and session.values.get("exit_non_zero_on_fix")))


def _show_changes(session: Session, linter: Linter, result: LintResult) -> int:
    changes: list[str] = []
    total = failures = 0
    for report in _fixable(session, result):
        try:
            source = read(os.path.abspath(report.path))
            fixed = fixed_source(session, linter, source)
            changes.append(diff(source, fixed.source.text, report.path))
        except SourceError as error:
            print_error(f"error: {_why(report, error)}")
            failures += 1
            continue
        total += sum(fixed.applied.values())
    code = finish_diff(session, "".join(changes), total)
    return 2 if failures else code


def finish_diff(session: Session, changes: str, total: int) -> int:
    """Publish a diff; the exit code is 1 if there is any."""
    publish(session, changes)
    if not session.is_quiet:
        print_error(f"Would fix {count(total, 'finding')}.")
    return int(bool(changes and not session.values.get("exit_zero")))


def _fix_all(session: Session, linter: Linter, result: LintResult) -> tuple[LintResult, list[str]]:
    """The result after fixing, and what could not be written."""
    reports = {report.path: report for report in result.reports}
    applied: Counter[str] = Counter()
    failures: list[str] = []
    for report in _fixable(session, result):
        try:
            source = read(os.path.abspath(report.path))
            fixed = fixed_source(session, linter, source)
            if fixed.source.text != source.text:
                write(source, fixed.source.text)
        except (SourceError, WriteError) as error:
            failures.append(_why(report, error))
            continue
        applied.update(fixed.applied)
        reports[report.path] = report_after(linter, report.path, fixed)
    return replace(result, reports=tuple(reports.values()), fixed=applied), failures


def _why(report: FileReport, error: Exception) -> str:
    """Why a file was not fixed."""
    return str(error) if isinstance(error, WriteError) else f"{report.path} was not fixed: {error}"


def report_after(linter: Linter, path: str, fixed: Fixed) -> FileReport:
    """The report of a file after its fixes."""
    report = linter.report(path, linter.check_source(fixed.source))
    return replace(report, findings=tuple([placed(f, fixed.source, report.path) for f in fixed.findings]))


def _fixable(session: Session, result: LintResult) -> Iterator[FileReport]:
    """The reports in which there is a fix to apply."""
    unsafe = session.settings.unsafe_fixes
    return (
        report
        for report in result.reports
        if any(is_wanted(finding.fix, unsafe) for finding in report.findings)
    )


def fixed_source(session: Session, linter: Linter, source: Source) -> Fixed:
    """A source after its fixes; those that had to be taken back are told."""
    fixed = fix_file(
        source,
        lambda state: tuple(linter.judge(source.path, linter.check_source(state))[0]),
        session.settings.unsafe_fixes,
    )
    if not session.is_quiet:
        for rejected in fixed.rejected:
            finding = rejected.finding
            place = f"{os.path.relpath(source.path)}:{finding.span.line}"
            print_error(f"note: {place}: the fix of {finding.rule} was not applied: {rejected.reason}")
    return fixed
