"""Findings that a project has decided to live with, kept in a file and told from new ones.

An entry is known by its rule, its file and the code it flags, not by its line, so it stays valid
while the code around it moves. The same code flagged twice in a file is one entry with a count.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from gradlint.lint.layout import Layout, lay_out
from gradlint.lint.result import FileReport
from gradlint.records.finding import Finding
from gradlint.source.source import Source, SourceError

FORMAT = 1
_INSIGNIFICANT = re.compile(r"\s+|,(?=\s*[)\]}])")

ReadSource = Callable[[str], Source]
Key = tuple[str, str, str]
"""File (relative to the baseline's folder), rule and flagged code, without blanks."""


class BaselineError(Exception):
    """The baseline file is missing, damaged or none of ours; the message names it."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One kind of finding in one file: the rule, the code it flags, and how often."""

    rule: str
    text: str
    count: int = 1


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int = msgspec.field(name="gradlint-baseline")
    findings: dict[str, list[Entry]]


@dataclass(frozen=True, slots=True)
class Baseline:
    """How many findings of each kind are known, and the folder that their paths start from."""

    folder: str
    counts: Mapping[Key, int]


@dataclass(frozen=True, slots=True)
class Matched:
    """Reports without the known findings, and how many known findings are there no more."""

    reports: tuple[FileReport, ...]
    stale: int


def write(path: str, reports: Iterable[FileReport], source: ReadSource) -> int:
    """Write all findings to a baseline at `path`; returns their number.

    The file is sorted and holds one entry per line. `source` reads a reported file again.
    """
    folder = _folder(path)
    files: dict[str, Counter[tuple[str, str]]] = {}
    for report in reports:
        if report.findings:
            texts = flagged_code(report, source)
            kinds = ((finding.rule, text) for finding, text in zip(report.findings, texts, strict=True))
            files.setdefault(_relative(report.path, folder), Counter()).update(kinds)
    Path(path).write_bytes(_render(files))
    return sum(sum(counts.values()) for counts in files.values())


def read(path: str) -> Baseline:
    """The baseline at `path`; BaselineError if it cannot be used."""
    try:
        file = msgspec.json.decode(Path(path).read_bytes(), type=_File)
    except OSError as error:
        raise BaselineError(f"the baseline {path} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BaselineError(f"{path} is not a baseline of gradlint: {error}") from None
    if file.format != FORMAT:
        raise BaselineError(f"the baseline {path} has format {file.format}, this gradlint reads {FORMAT}")
    counts: Counter[Key] = Counter()
    for name, entries in file.findings.items():
        for entry in entries:
            counts[name, entry.rule, _normalised(entry.text)] += entry.count
    return Baseline(_folder(path), counts)


def match(
    reports: Sequence[FileReport], baseline: Baseline, source: ReadSource, ran: Collection[str]
) -> Matched:
    """Take the known findings out of `reports`; of equal ones the first in the file are known.

    Entries count as stale if their rule is among `ran` and their file was checked or is gone.
    """
    left = Counter(baseline.counts)
    names = {report.path: _relative(report.path, baseline.folder) for report in reports}
    kept = tuple(_without_known(report, names[report.path], left, source) for report in reports)
    checked = set(names.values())
    stale = sum(
        count
        for (name, rule, _), count in left.items()
        if count > 0 and rule in ran and (name in checked or not Path(baseline.folder, name).exists())
    )
    return Matched(kept, stale)


def flagged_code(report: FileReport, source: ReadSource) -> list[str]:
    """For each finding the code it flags: its lines without comments, with single blanks.

    Of a statement with a body only the head counts.
    """
    try:
        text = source(report.path)
    except (OSError, SourceError):
        return [""] * len(report.findings)
    layout = lay_out(text.text)
    return [
        " ".join(_without_comments(layout, *_lines(finding, text, layout)).split())
        for finding in report.findings
    ]


def _without_known(report: FileReport, name: str, left: Counter[Key], source: ReadSource) -> FileReport:
    if not report.findings or not any(file == name for file, _, _ in left):
        return report
    new = []
    for finding, text in zip(report.findings, flagged_code(report, source), strict=True):
        key = (name, finding.rule, _normalised(text))
        if left[key] > 0:
            left[key] -= 1
        else:
            new.append(finding)
    return replace(report, findings=tuple(new), baselined=len(report.findings) - len(new))


def _lines(finding: Finding, source: Source, layout: Layout) -> tuple[int, int]:
    """The first and the last flagged line in the joined text."""
    first, last = finding.span.line, finding.span.end_line
    shift = next((cell.first_line - 1 for cell in source.cells if cell.number == finding.cell), 0)
    first, last = first + shift, last + shift
    statement = layout.statement(first)
    return first, min(last, statement[1]) if statement else first


def _without_comments(layout: Layout, first: int, last: int) -> str:
    bounds = (*layout.line_starts, len(layout.text) + 1)
    start, end = bounds[min(first, len(bounds)) - 1], bounds[min(last, len(bounds) - 1)] - 1
    parts = []
    for begin, stop in layout.comments:
        if start <= begin < end:
            parts.append(layout.text[start:begin])
            start = stop
    return "".join([*parts, layout.text[start:end]])


def _normalised(text: str) -> str:
    """The text without what a formatter may change."""
    return _INSIGNIFICANT.sub("", text).replace("'", '"')


def _render(files: Mapping[str, Counter[tuple[str, str]]]) -> bytes:
    return "\n".join(
        ["{", f'  "gradlint-baseline": {FORMAT},', '  "findings": {', *_rendered_files(files), "  }", "}", ""]
    ).encode()


def _rendered_files(files: Mapping[str, Counter[tuple[str, str]]]) -> Iterator[str]:
    for index, (name, counts) in enumerate(sorted(files.items()), 1):
        entries = [_json(Entry(rule, text, count)) for (rule, text), count in sorted(counts.items())]
        yield f"    {_json(name)}: ["
        yield from (f"      {entry}," for entry in entries[:-1])
        yield f"      {entries[-1]}"
        yield "    ]" + "," * (index < len(files))


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()


def _folder(path: str) -> str:
    return os.path.dirname(os.path.abspath(path))


def _relative(path: str, folder: str) -> str:
    absolute = os.path.abspath(path)
    try:
        name = Path(os.path.relpath(absolute, folder)).as_posix()
    except ValueError:
        name = Path(absolute).as_posix()
    return name.encode("utf-8", "backslashreplace").decode()
