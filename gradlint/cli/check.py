"""`gradlint check`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from gradlint.cli.arguments import CHECK, PATHS, Values
from gradlint.cli.errors import UsageError, color_choice, require_page
from gradlint.cli.progress import progress_bar
from gradlint.cli.session import Session, open_session
from gradlint.cli.terminal import print_error, print_out, save
from gradlint.lint.pipeline import display_path
from gradlint.lint.result import FileReport, LintResult
from gradlint.records.failure import SYNTAX_ERROR
from gradlint.records.finding import Finding, Severity
from gradlint.records.span import Span
from gradlint.report.options import RenderOptions
from gradlint.report.render import STATISTICS, render
from gradlint.report.terminal import wants_color
from gradlint.source.read import read

STDIN = "-"


def run(values: Values) -> int:
    """Check files and report; the exit code says whether anything bad enough was found."""
    color_choice(values)
    require_page(values.get("report"))
    if STDIN in values[PATHS]:
        return _check_stdin(values)
    session = open_session(values, CHECK)
    if values.get("show_settings"):
        from gradlint.cli.show import show_settings

        return show_settings(session)
    if values.get("show_files"):
        print_out("".join(f"{path}\n" for path in session.discover().files))
        return 0
    _require_statistics(session)
    if wants_fixes(session):
        from gradlint.cli.fixing import check_and_fix

        return check_and_fix(session)
    return finish(session, check(session))


def _check_stdin(values: Values) -> int:
    from gradlint.cli.standard_input import check_stdin

    if len(values[PATHS]) > 1:
        raise UsageError("`-` stands alone: the standard input cannot be checked together with files")
    session = open_session(values, CHECK, os.path.dirname(values.get("stdin_filename", "")))
    _require_statistics(session)
    return check_stdin(session)


def _require_statistics(session: Session) -> None:
    if session.values.get("statistics") and session.settings.output_format not in STATISTICS:
        raise UsageError(f"`--statistics` has no form for {session.settings.output_format}")


def wants_fixes(session: Session) -> bool:
    """Whether fixes are to be applied or shown."""
    return session.settings.fix or any(session.values.get(name) for name in ("diff", "fix_only"))


def check(session: Session) -> LintResult:
    """The findings in the session's files, known ones included."""
    found = session.discover()
    with progress_bar(not session.is_quiet) as progress:
        linter = session.linter(progress)
        reports = [*linter.check_files(found.files, found.explicit)]
    reports += [_unreadable(path, reason) for path, reason in found.unreadable]
    return LintResult(
        tuple(reports),
        session.rules,
        read,
        files=len(found.files),
        parsed=linter.parsed,
        coverage=linter.coverage,
    )


def _unreadable(path: str, reason: str) -> FileReport:
    """The report of a folder that cannot be searched for files, or of what is no file at all."""
    shown = display_path(path)
    message = f"the folder cannot be listed: {reason}" if os.path.isdir(path) else f"cannot be read: {reason}"
    place = Span(1, 1, 1, 1)
    return FileReport(
        shown, (Finding(SYNTAX_ERROR, "syntax-error", Severity.ERROR, message, place, path=shown),)
    )


def without_known(session: Session, result: LintResult) -> LintResult:
    """The result less the findings in the baseline."""
    path = session.settings.baseline
    if path is None:
        return result
    from gradlint.lint import baseline

    ran = [rule.id for rule in session.rules]
    matched = baseline.match(result.reports, baseline.read(path), result.source, ran)
    if matched.stale and not session.is_quiet:
        print_error(
            f"note: {matched.stale} findings in the baseline are gone; `gradlint baseline` drops them"
        )
    return replace(result, reports=matched.reports)


def finish(session: Session, result: LintResult) -> int:
    """Report a result, and say by the exit code how bad it is."""
    result = without_known(session, result)
    if session.settings.verify:
        from gradlint.cli.verify import verified

        result = verified(session, result)
    if session.values.get("report"):
        from gradlint.cli.verify import save_page, without_layers

        save_page(session, result)
        result = result if session.values.get("show_flow") else without_layers(result)
    publish(session, rendered(session, result, color=uses_color(session)))
    if session.values.get("show_coverage"):
        from gradlint.cli.show import show_coverage

        show_coverage(result)
    return exit_code(session, result)


def rendered(session: Session, result: LintResult, *, color: bool) -> str:
    """The report in the form that was asked for."""
    options = RenderOptions(
        color=color,
        summary=not session.is_quiet,
        unsafe_fixes=session.settings.unsafe_fixes,
    )
    statistics = bool(session.values.get("statistics"))
    return render(session.settings.output_format, result, options, statistics=statistics)


def uses_color(session: Session) -> bool:
    """Whether what is published is to be coloured."""
    choice = color_choice(session.values)
    if session.values.get("output_file"):
        return choice == "always"
    return wants_color(choice, sys.stdout, os.environ)


def publish(session: Session, text: str) -> None:
    """Write a text to the output file, or else to the standard output."""
    path = session.values.get("output_file")
    if path:
        save(path, text)
    else:
        print_out(text)


def exit_code(session: Session, result: LintResult) -> int:
    """1 where a finding is as bad as `fail-on`, or where that was asked for and something was fixed."""
    if session.values.get("exit_zero"):
        return 0
    if session.values.get("exit_non_zero_on_fix") and result.fixed:
        return 1
    worst = max((finding.severity.rank for finding in result.findings if not finding.is_refuted), default=-1)
    return int(worst >= session.settings.fail_on.rank)
