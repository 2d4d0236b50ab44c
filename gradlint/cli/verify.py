"""`gradlint verify`, and what `gradlint check --verify` adds: code is built and run to measure it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gradlint.cli.arguments import PATHS, VERIFY, Values
from gradlint.cli.errors import UsageError, require_choice
from gradlint.cli.progress import progress_bar
from gradlint.cli.session import Session, open_session
from gradlint.cli.terminal import print_error, print_out
from gradlint.config.cache_folder import cache_folder
from gradlint.config.error import did_you_mean
from gradlint.config.options import as_input
from gradlint.config.settings import Settings
from gradlint.lint.models import model_names, models
from gradlint.lint.result import LintResult
from gradlint.records.evidence import Verdict, Verification
from gradlint.records.finding import Finding
from gradlint.report.items import item
from gradlint.report.verified import as_json, text
from gradlint.source.source import SourceError
from gradlint.verify.client import Worker
from gradlint.verify.examine import examine
from gradlint.verify.plan import Target, target_of
from gradlint.verify.request import Request, TargetSettings
from gradlint.verify.stamp import stamped

FORMATS = ("text", "json")
HEALTHY, AT_RISK, NOTHING = 0, 1, 2


def run(values: Values) -> int:
    """Build and run the targets; 1 where one is at risk, 2 where none could be run."""
    form = str(values.get("output_format", "text"))
    require_choice("--output-format", form, FORMATS)
    if not values[PATHS]:
        raise UsageError("name a file, or a model in it: `gradlint verify model.py::Net`")
    session = open_session(values, VERIFY)
    request = _request(session.settings, values)
    targets = [target for word in values[PATHS] for target in _targets(word)]
    shown = []
    codes = []
    with Worker(request.python) as worker:
        for target in targets:
            found = examine(worker, target, request)
            findings = _findings(session, target, request)
            codes.append(_code(found, findings))
            shown.append(
                as_json(found, [item(f.path, f, None) for f in findings]) if form == "json" else text(found)
            )
    print_out(_joined(shown, form))
    return AT_RISK if AT_RISK in codes else NOTHING if NOTHING in codes else HEALTHY


def _joined(shown: Sequence[str], form: str) -> str:
    """One object, or an array of several."""
    if form == "json":
        return f"{shown[0]}\n" if len(shown) == 1 else "[" + ",\n".join(shown) + "]\n"
    return "\n".join(shown)


def _code(found: Verification, findings: Sequence[Finding]) -> int:
    if found.verdict == "could not run":
        return NOTHING
    confirmed = any(f.evidence is not None and f.evidence.verdict is Verdict.CONFIRMED for f in findings)
    return AT_RISK if confirmed or found.verdict == "at risk" else HEALTHY


def _targets(word: str) -> Iterator[Target]:
    """The models that a word names: all of a file, or one."""
    path, _, wanted = word.partition("::")
    if not Path(path).is_file():
        raise UsageError(f"`{path}` is not a file" if Path(path).exists() else f"`{path}` does not exist")
    try:
        graphs = {graph.name: graph for graph in models(path)}
        names = model_names(path)
    except (SourceError, OSError) as error:
        raise UsageError(f"`{path}` cannot be read: {error}") from None
    if wanted:
        yield Target(path, wanted, graphs.get(wanted))
        return
    if not names:
        raise UsageError(f"`{path}` defines no model{did_you_mean(wanted, names)}")
    yield from (Target(path, name, graphs.get(name)) for name in names)


def _findings(session: Session, target: Target, request: Request) -> list[Finding]:
    """What the linter finds about a target, measured."""
    (report,) = session.linter().check_files([target.path])
    own = [
        f
        for f in report.findings
        if f.claim is not None and target_of(f.claim).partition(".")[0] == target.name
    ]
    return list(stamped({target.path: own}, request)[target.path]) if own else []


def _request(settings: Settings, values: Values) -> Request:
    """How to verify, from the settings and from what was given on the command line."""
    targets = {each.name: TargetSettings(each.arguments, each.inputs) for each in settings.verify_targets}
    return Request(
        settings.verify_python or sys.executable,
        settings.verify_device,
        settings.verify_dtype,
        settings.verify_timeout,
        settings.verify_memory,
        targets,
        TargetSettings(tuple(_arguments(values.get("arg", []))), tuple(_inputs(values.get("input", [])))),
        bool(values.get("show_flow")),
    )


def _arguments(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Constructor arguments; what is no Python expression is text."""
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"`--arg {word}`: expected NAME=VALUE, such as depth=12")
        try:
            compile(value, "<argument>", "eval")
        except (SyntaxError, ValueError):
            value = repr(value)
        yield name, value


def _inputs(words: Sequence[str]) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"`--input {word}`: expected NAME=FORM, such as x=float32[8,3,32,32]")
        try:
            yield name, *as_input(value)
        except ValueError as error:
            raise UsageError(f"`--input {word}`: {error}") from None


def verified(session: Session, result: LintResult) -> LintResult:
    """The result with the evidence of every finding that a run can say something about."""
    request = _request(session.settings, {"show_flow": session.values.get("show_flow")})
    found: Mapping[str, Sequence[Finding]] = {report.path: report.findings for report in result.reports}
    claimed = {path: findings for path, findings in found.items() if any(f.claim for f in findings)}
    if not claimed:
        return result
    if not session.is_quiet:
        print_error("verifying: this builds and runs the code that was checked")
    with progress_bar(not session.is_quiet) as progress:
        evidence = stamped(claimed, request, progress, cache_folder(session.settings))
    reports = [
        replace(report, findings=evidence.get(report.path, report.findings)) for report in result.reports
    ]
    return replace(result, reports=tuple(reports))
