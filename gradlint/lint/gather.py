"""Findings about code in another file, reported at the call that leads there: once, and at the faulty line
where that file is examined as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from msgspec.structs import replace

from gradlint.lint.outcome import Outcome, cells_of
from gradlint.records.finding import Finding, Related
from gradlint.records.span import Span
from gradlint.source.source import Source

_Line = tuple[str, str, Span]
"""A rule, a file and a place in it."""

_Said = tuple[_Line, str]
"""What is said of a line: of what several calls hand on, each may be told."""


def gathered(outcomes: Mapping[str, Outcome], rules: Collection[str]) -> dict[str, Outcome]:
    """The outcomes by path, with every finding of `rules` about another file where it belongs: there, if
    that is examined and does not say so itself, else at the first call that leads there.
    """
    told: dict[_Said, tuple[str, Finding]] = {}
    stay: dict[str, list[Finding]] = {}
    for path, outcome in outcomes.items():
        stay[path] = []
        for finding in outcome.findings:
            line = _line(finding) if finding.rule in rules else None
            if line is None:
                stay[path].append(finding)
            else:
                told.setdefault((line, finding.message), (path, finding))
    if not told:
        return dict(outcomes)
    said = {(f.rule, path, f.span) for path, found in stay.items() for f in found}
    moved: dict[str, list[Finding]] = defaultdict(list)
    for (line, _), (path, finding) in told.items():
        there = outcomes.get(line[1])
        if there is None or not there.parsed:
            moved[path].append(finding)
        elif line not in said:
            moved[line[1]].append(_moved(finding, path, outcomes[path]))
    return {path: _with(outcome, [*stay[path], *moved[path]]) for path, outcome in outcomes.items()}


def _line(finding: Finding) -> _Line | None:
    """Where the fault is that a finding at a call is about; None for a finding in its own file."""
    there = finding.related[0] if finding.related else None
    if there is None or not there.path or there.message != finding.message:
        return None
    return finding.rule, there.path, there.span


def _moved(finding: Finding, path: str, outcome: Outcome) -> Finding:
    """A finding in the file that it is about; the call in `path` that leads there is named beside it."""
    there, *others = finding.related
    call = Related(finding.span, "called here")
    beside = [_from(each, path, there.path, outcome) for each in (call, *others)]
    return replace(finding, span=there.span, related=tuple(beside))


def _from(place: Related, own: str, other: str, outcome: Outcome) -> Related:
    """A place beside a finding in `own`, as it is told beside one in `other`."""
    if place.path:
        return replace(place, path="" if place.path == other else place.path)
    source = Source(own, "", cells=cells_of(outcome))
    if not source.cells:
        return replace(place, path=own)
    cell, first = source.locate(place.span.line)
    last = first + place.span.end_line - place.span.line
    return replace(
        place, path=own, cell=cell, span=Span(first, place.span.column, last, place.span.end_column)
    )


def _with(outcome: Outcome, findings: list[Finding]) -> Outcome:
    return replace(outcome, findings=tuple(sorted(findings, key=lambda f: (f.span, f.rule))))
