"""`gradlint check -`: the text that an editor sends."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from gradlint.cli.check import exit_code, finish, rendered, wants_fixes, without_known
from gradlint.cli.errors import UsageError
from gradlint.cli.session import Session
from gradlint.cli.terminal import print_bytes, print_error
from gradlint.lint.examine import Examiner
from gradlint.lint.result import FileReport, LintResult
from gradlint.source.discover import is_excluded
from gradlint.source.read import decode, encode, read
from gradlint.source.source import Source, SourceError

if TYPE_CHECKING:
    from gradlint.fix.rounds import Fixed

NAMELESS = "-"


def check_stdin(session: Session) -> int:
    """Check the standard input; with fixes the fixed text goes to the standard output, and nothing else."""
    if sys.stdin is None:
        raise UsageError("there is no standard input")
    data = sys.stdin.buffer.read()
    name = session.values.get("stdin_filename", NAMELESS)
    if is_excluded(name, session.settings):
        return _pass_on(session, name, data)
    if wants_fixes(session):
        return _fix(session, name, data)
    return finish(session, _result(session, name, data))


def _result(session: Session, name: str, data: bytes) -> LintResult:
    path = os.path.abspath(name)
    outcome = Examiner(session.rules).examine(path, data, is_named=True)
    report = session.linter().report(name, outcome)

    def source(shown: str) -> Source:
        return decode(path, data) if shown == report.path else read(shown)

    return LintResult((report,), session.rules, source, files=1, parsed=1, coverage=outcome.reasons)


def _pass_on(session: Session, name: str, data: bytes) -> int:
    """What happens to a text that is not to be checked: it stays as it is."""
    if session.settings.fix or session.values.get("fix_only"):
        print_bytes(data)
        return 0
    if session.values.get("diff"):
        return 0
    return finish(session, LintResult((FileReport(name, ()),), session.rules, read, files=1))


def _fix(session: Session, name: str, data: bytes) -> int:
    from gradlint.cli.fixing import finish_diff, fixed_source
    from gradlint.fix.diff import diff

    try:
        source = decode(os.path.abspath(name), data)
        fixed = fixed_source(session, session.linter(), source)
    except SourceError:
        return _pass_on_with_report(session, name, data)
    if session.values.get("diff"):
        changes = diff(source, fixed.source.text, name)
        return finish_diff(session, changes, sum(fixed.applied.values()))
    return _pass_on_with_report(session, name, encode(source, fixed.source.text), fixed)


def _pass_on_with_report(session: Session, name: str, data: bytes, fixed: Fixed | None = None) -> int:
    """Print the text, and what is still found in it on the standard error."""
    from gradlint.cli.fixing import report_after

    print_bytes(data)
    result = _result(session, name, data)
    if fixed is not None:
        report = report_after(session.linter(), name, fixed)
        result = replace(result, reports=(report,), fixed=fixed.applied)
    result = without_known(session, result)
    if not session.values.get("fix_only"):
        print_error(rendered(session, result, color=False).rstrip("\n"))
    return exit_code(session, result)
