"""Each finding with its code, the places related to it, and what is known about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, groupby

from gradlint.lint.result import LintResult
from gradlint.records.finding import Applicability, Finding, Fix, Related
from gradlint.report import verdict
from gradlint.report.excerpt import Excerpts
from gradlint.report.frame import CONTEXT, Frame
from gradlint.report.header import header, position
from gradlint.report.options import RenderOptions
from gradlint.report.prediction import prediction
from gradlint.report.summary import summary
from gradlint.report.terminal import SEVERITY_STYLE, Paint, Style, one_line
from gradlint.report.verified import table

_TRUST = {
    Applicability.SAFE: "--fix",
    Applicability.UNSAFE: "--fix --unsafe-fixes; may change behaviour",
    Applicability.DISPLAY_ONLY: "by hand",
}


def render(result: LintResult, options: RenderOptions) -> str:
    """A block per finding, and a summary."""
    excerpts = Excerpts(result.source)
    urls = {rule.id: rule.url() for rule in result.rules}
    blocks = [
        "\n".join(_block(report.path, finding, excerpts, urls, options)) + "\n\n"
        for report in result.reports
        for finding in report.findings
    ]
    return "".join(blocks) + summary(result, options)


def _block(
    path: str, finding: Finding, excerpts: Excerpts, urls: Mapping[str, str], options: RenderOptions
) -> Iterator[str]:
    paint = Paint(options.color)
    frame = Frame(_gutter(finding), paint, style=SEVERITY_STYLE[finding.severity])
    yield header(path, finding, options)
    drawn = frame.draw(excerpts.lines(path, finding.cell), finding.span)
    yield from ([frame.rule(), *drawn] if drawn else [])
    aside = Frame(frame.gutter, paint, mark="-", style=Style.FRAME, context=0)
    for (file, cell), group in groupby(finding.related, lambda related: (related.path or path, related.cell)):
        yield from _aside(file, excerpts.lines(file, cell), list(group), aside)
    notes = list(_notes(finding, urls))
    yield from [frame.rule()] if notes else []
    for label, text in notes:
        yield f"{' ' * frame.gutter} {paint('=', Style.FRAME)} {paint(f'{label}:', Style.BOLD)} {text}"
    if finding.evidence and finding.evidence.layers:
        yield frame.rule()
        yield from (f"{' ' * frame.gutter} {line}" for line in table(finding.evidence.layers, bars=True))


def _aside(path: str, lines: Sequence[str], group: Sequence[Related], frame: Frame) -> Iterator[str]:
    """Places in one file, each with its message behind the mark, or in a line of its own without code."""
    arrow = " " * frame.gutter + frame.paint("::: ", Style.FRAME)
    places = [f"{arrow}{one_line(path)}:{position(related.cell, related.span)}" for related in group]
    messages = [one_line(related.message) for related in group]
    drawn = [
        frame.draw(lines, related.span, message) for related, message in zip(group, messages, strict=True)
    ]
    yield frame.rule()
    if not all(drawn):
        yield from (f"{place}: {message}" for place, message in zip(places, messages, strict=True))
        return
    yield places[0]
    yield frame.rule()
    yield from chain.from_iterable(drawn)


def _gutter(finding: Finding) -> int:
    """The width of the largest line number that any of the finding's frames can show."""
    lines = [finding.span.end_line + CONTEXT, *(related.span.end_line for related in finding.related)]
    return len(str(max(1, *lines)))


def _notes(finding: Finding, urls: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if finding.claim:
        yield "predicted", one_line(prediction(finding.claim))
    if finding.evidence:
        yield from ((label, one_line(text)) for label, text in verdict.notes(finding.evidence))
    if finding.help:
        yield "help", one_line(finding.help)
    if finding.fix:
        yield "fix", _describe(finding.fix)
    if finding.rule in urls:
        yield "docs", urls[finding.rule]


def _describe(fix: Fix) -> str:
    return f"{one_line(fix.title)} ({_TRUST[fix.applicability]})"
