"""`gradlint verify`, and what `gradlint check --verify` adds: code is built and run to measure it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace as replaced

from gradlint.cli.arguments import PATHS, VERIFY, Values
from gradlint.cli.errors import UsageError, color_choice, require_choice, require_page
from gradlint.cli.progress import progress_bar
from gradlint.cli.session import Session, open_session
from gradlint.cli.targets import given, settings_for, targets
from gradlint.cli.terminal import print_error, print_out, save
from gradlint.config.cache_folder import cache_folder
from gradlint.config.settings import Settings
from gradlint.lint.result import FileReport, LintResult
from gradlint.records.evidence import Verdict, Verification
from gradlint.records.finding import Finding
from gradlint.report.items import item
from gradlint.report.terminal import wants_color
from gradlint.report.verified import as_json, text
from gradlint.source.read import read
from gradlint.verify.client import Worker
from gradlint.verify.examine import examine, given_to
from gradlint.verify.plan import MODEL, Target, kind_of, target_of, trained_by
from gradlint.verify.request import Request, TargetSettings
from gradlint.verify.stamp import answered, stamped

FORMATS = ("text", "json")
HEALTHY, AT_RISK, NOTHING = 0, 1, 2
_CODES = {
    "healthy": HEALTHY,
    "at risk": AT_RISK,
    "not judged": NOTHING,
    "could not run": NOTHING,
    "skipped": NOTHING,
}


class Run(Struct, frozen=True):
    """What running a target showed, and the findings about it with what was measured of them."""

    found: Verification
    findings: tuple[Finding, ...]

    @property
    def code(self) -> int:
        """1 where the target is at risk, 2 where it could not be run or judged."""
        return _CODES[self.found.verdict]


def _judged(found: Verification, findings: tuple[Finding, ...]) -> Run:
    """A target is at risk as well where a finding about it is confirmed."""
    is_confirmed = any(f.evidence is not None and f.evidence.verdict is Verdict.CONFIRMED for f in findings)
    at_risk = is_confirmed and found.verdict in ("healthy", "not judged")
    return Run(replaced(found, verdict="at risk") if at_risk else found, findings)


def run(values: Values) -> int:
    """Build and run the targets; 1 where one is at risk, 2 where none could be run."""
    form = str(values.get("output_format", "text"))
    require_choice("--output-format", form, FORMATS)
    require_page(values.get("report"))
    color = wants_color(color_choice(values), sys.stdout, os.environ)
    if not values[PATHS]:
        raise UsageError("name a file, or a model in it: `gradlint verify model.py::Net`")
    session = open_session(values, VERIFY)
    chosen = [target for word in values[PATHS] for target in targets(word)]
    own = settings_for(chosen, given(values.get("arg", []), values.get("input", [])))
    runs = _runs(session, chosen, own)
    urls = {rule.id: rule.url() for rule in session.rules}
    print_out(_joined([_shown(each, form, urls, color=color) for each in runs], form))
    if values.get("report"):
        _save_page(session, str(values["report"]), runs)
    codes = [each.code for each in runs if each.found.verdict != "skipped"] or [NOTHING]
    return AT_RISK if AT_RISK in codes else NOTHING if NOTHING in codes else HEALTHY


def _runs(session: Session, chosen: Sequence[Target], own: Sequence[TargetSettings]) -> list[Run]:
    """What running each target with its own arguments shows."""
    request = _request(session.settings)
    findings = _findings(session, chosen)
    runs = []
    with Worker(request.python) as worker, _progress_bar(session) as progress:
        for number, (target, asked) in enumerate(zip(chosen, own, strict=True)):
            if progress is not None:
                progress(number, len(chosen), target.name)
            wanted = replaced(request, given=asked)
            found = examine(worker, target, wanted)
            about = _about(session, target, wanted, findings[target.path])
            measured = answered(worker, {target.path: about}, wanted)[target.path] if about else ()
            runs.append(_judged(found, measured))
    return runs


def _progress_bar(session: Session) -> AbstractContextManager[Callable[..., None] | None]:
    """Shown at once: the worker takes seconds to start."""
    return progress_bar(not session.is_quiet, "Verifying", patience=0.0)


def _findings(session: Session, chosen: Sequence[Target]) -> dict[str, tuple[Finding, ...]]:
    """What the linter finds in the files of targets."""
    paths = list(dict.fromkeys(target.path for target in chosen))
    reports = session.linter().check_files(paths)
    return {path: report.findings for path, report in zip(paths, reports, strict=True)}


def _about(session: Session, target: Target, request: Request, findings: Sequence[Finding]) -> list[Finding]:
    """The findings about a target; those about the model itself for the arguments that it is given."""
    about = [finding for finding in findings if _is_about(finding, target)]
    made_with = given_to(target, request)
    if not made_with:
        return about
    linter = session.linter()
    outcome = linter.check_source(read(os.path.abspath(target.path)), {target.name: made_with})
    anew = [f for f in linter.report(target.path, outcome).findings if _is_about(f, target)]
    return [*[f for f in anew if _is_of_model(f)], *[f for f in about if not _is_of_model(f)]]


def _is_of_model(finding: Finding) -> bool:
    return finding.claim is not None and kind_of(finding.claim) == MODEL


def _is_about(finding: Finding, target: Target) -> bool:
    """Whether a finding is about a target: about the model itself, or a loop of its file that trains it."""
    if finding.claim is None:
        return False
    is_trained = trained_by(finding.claim) == f"{target.path}::{target.name}"
    return is_trained or target_of(finding.claim).partition(".")[0] == target.name


def _shown(run: Run, form: str, urls: Mapping[str, str], *, color: bool) -> str:
    if form == "text":
        return text(run.found, run.findings, color=color)
    return as_json(run.found, [item(f.path, f, urls.get(f.rule)) for f in run.findings])


def _joined(shown: Sequence[str], form: str) -> str:
    """One object, or an array of several."""
    if form == "json":
        return f"{shown[0]}\n" if len(shown) == 1 else "[" + ",\n".join(shown) + "]\n"
    return "\n".join(shown)


def _save_page(session: Session, path: str, runs: Sequence[Run]) -> None:
    by_path: dict[str, list[Finding]] = {}
    for finding in dict.fromkeys(finding for run in runs for finding in run.findings):
        by_path.setdefault(finding.path, []).append(finding)
    reports = [FileReport(path, tuple(findings)) for path, findings in by_path.items()]
    _write_page(path, [run.found for run in runs], LintResult(tuple(reports), session.rules, read))


def _write_page(path: str, models: Sequence[Verification], result: LintResult) -> None:
    from gradlint.report.page.render import page

    save(path, page(models, result))


def save_page(session: Session, result: LintResult) -> None:
    """Write the page that was asked for about findings, and about the models that ran for them."""
    _write_page(str(session.values["report"]), _models(result), result)


def _models(result: LintResult) -> list[Verification]:
    """The models that ran for findings, each with the layers of its run."""
    placed = [(f.path, target_of(f.claim), f) for f in result.findings if f.claim is not None]
    shown = sorted([each for each in placed if each[2].evidence and each[2].evidence.layers], key=_place)
    return [_model(*place, [f for _, _, f in group]) for place, group in groupby(shown, key=_place)]


def without_layers(result: LintResult) -> LintResult:
    """The result without the layers of the runs."""
    reports = [
        replace(report, findings=tuple([_without_layers(finding) for finding in report.findings]))
        for report in result.reports
    ]
    return replace(result, reports=tuple(reports))


def _without_layers(finding: Finding) -> Finding:
    evidence = finding.evidence
    return finding if evidence is None else replaced(finding, evidence=replaced(evidence, layers=()))


def _place(each: tuple[str, str, Finding]) -> tuple[str, str]:
    return each[:2]


def _model(path: str, name: str, findings: Sequence[Finding]) -> Verification:
    found = [finding.evidence for finding in findings if finding.evidence is not None]
    first = next(each for each in found if each.layers)
    is_at_risk = any(each.verdict is Verdict.CONFIRMED for each in found)
    return Verification(
        name,
        path,
        0,
        "at risk" if is_at_risk else "",
        notes=(first.built,),
        device=first.device,
        dtype=first.dtype,
        layers=first.layers,
    )


def _request(settings: Settings, *, shows_flow: bool = False) -> Request:
    """How to verify, from the settings."""
    targets = {each.name: TargetSettings(each.arguments, each.inputs) for each in settings.verify_targets}
    return Request(
        settings.verify_python or sys.executable,
        settings.verify_device,
        settings.verify_dtype,
        settings.verify_timeout,
        settings.verify_memory,
        targets,
        shows_flow=shows_flow,
    )


def verified(session: Session, result: LintResult) -> LintResult:
    """The result with the evidence of every finding that a run can say something about."""
    shows_flow = any(session.values.get(name) for name in ("show_flow", "report"))
    request = _request(session.settings, shows_flow=shows_flow)
    found: Mapping[str, Sequence[Finding]] = {report.path: report.findings for report in result.reports}
    claimed = {path: findings for path, findings in found.items() if any(f.claim for f in findings)}
    if not claimed:
        return result
    if not session.is_quiet:
        print_error("verifying: this builds and runs the code that was checked")
    with _progress_bar(session) as progress:
        evidence = stamped(claimed, request, progress, cache_folder(session.settings))
    reports = [
        replace(report, findings=evidence.get(report.path, report.findings)) for report in result.reports
    ]
    return replace(result, reports=tuple(reports))
