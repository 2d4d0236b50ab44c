"""A baseline knows a finding by its code, wherever that has moved, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlint.lint import baseline
from gradlint.lint.baseline import BaselineError
from gradlint.lint.result import FileReport
from gradlint.records.finding import Finding, Severity
from gradlint.records.span import Span
from gradlint.source.read import decode
from gradlint.source.source import Source

RULES = ("GRD601", "GRD604")

CODE = """\
def loss(x):
    y = torch.sqrt(x)  # the length
    z = torch.sqrt(x)
    if z.sum() > 0:
        z = torch.log(z)
    y = torch.sqrt(x)
    return torch.where(
        torch.sqrt(x) > 0,
        y,
        z,
    )
"""


def findings(text: str) -> tuple[Finding, ...]:
    """GRD601 for every square root and GRD604 for every logarithm."""
    return tuple(
        Finding(
            "GRD601" if match[1] == "sqrt" else "GRD604",
            "a-name",
            Severity.ERROR,
            "a message",
            Span(number, match.start() + 1, number, match.end() + 1),
        )
        for number, line in enumerate(text.split("\n"), 1)
        for match in re.finditer(r"torch\.(sqrt|log)\(\s*\w+\s*\)", line)
    )


def report(path: str, text: str) -> FileReport:
    return FileReport(path, findings(text))


def reading(**texts: str) -> Callable[[str], Source]:
    return lambda path: Source(path, texts[path])


def known(before: str, after: str, folder: Path) -> baseline.Matched:
    """What a baseline of one text makes of another."""
    path = str(folder / "baseline.json")
    here = str(folder / "a.py")
    baseline.write(path, [report(here, before)], lambda path: Source(path, before))
    return baseline.match([report(here, after)], baseline.read(path), lambda path: Source(path, after), RULES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("baseline")


def test_the_file_is_sorted_and_has_one_entry_per_line(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    texts = {str(tmp_path / "b" / "b.py"): CODE, str(tmp_path / "a.py"): "torch.log(x)\n"}
    reports = [report(path, text) for path, text in texts.items()]
    count = baseline.write(str(path), reports, lambda path: Source(path, texts[path]))
    assert count == 6
    assert path.read_text() == (
        "{\n"
        '  "gradlint-baseline": 1,\n'
        '  "findings": {\n'
        '    "a.py": [\n'
        '      {"rule": "GRD604", "text": "torch.log(x)"}\n'
        "    ],\n"
        '    "b/b.py": [\n'
        '      {"rule": "GRD601", "text": "torch.sqrt(x) > 0,"},\n'
        '      {"rule": "GRD601", "text": "y = torch.sqrt(x)", "count": 2},\n'
        '      {"rule": "GRD601", "text": "z = torch.sqrt(x)"},\n'
        '      {"rule": "GRD604", "text": "z = torch.log(z)"}\n'
        "    ]\n"
        "  }\n"
        "}\n"
    )
    json.loads(path.read_text())
    first = path.read_bytes()
    baseline.write(str(path), reports[::-1], lambda path: Source(path, texts[path]))
    assert path.read_bytes() == first


INSERTIONS = st.tuples(st.integers(0, 20), st.sampled_from(["", "# a comment", "w = 1", "        # deeper"]))


@given(
    st.lists(INSERTIONS),
    st.sampled_from([("(x)", "( x )"), (" = ", "  =  "), ("    ", "  "), ("  # the length", "")]),
)
def test_entries_survive_moves_and_formatting(
    folder: Path, insertions: list[tuple[int, str]], formatting: tuple[str, str]
) -> None:
    lines = CODE.replace(*formatting).split("\n")
    for place, line in insertions:
        lines.insert(min(place, len(lines)), line)
    matched = known(CODE, "\n".join(lines), folder)
    assert (matched.stale, matched.reports[0].findings, matched.reports[0].baselined) == (0, (), 5)


def test_a_further_occurrence_is_new(tmp_path: Path) -> None:
    matched = known("y = torch.sqrt(x)\n", "y = torch.sqrt(x)\n\ny = torch.sqrt(x)\n", tmp_path)
    (kept,) = matched.reports
    assert [finding.span.line for finding in kept.findings] == [3]
    assert (kept.baselined, matched.stale) == (1, 0)


@pytest.mark.parametrize(
    "after", ["y = torch.sqrt(u)\n", "v = torch.sqrt(x)\n", "y = torch.log(x)\n", "y = torch.sqrt(x) + 1\n"]
)
def test_other_code_is_new_and_the_old_entry_stale(tmp_path: Path, after: str) -> None:
    matched = known("y = torch.sqrt(x)\n", after, tmp_path)
    assert [len(report.findings) for report in matched.reports] == [1]
    assert matched.stale == 1


def test_only_what_was_checked_can_be_stale(tmp_path: Path) -> None:
    path = str(tmp_path / "baseline.json")
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("torch.log(x)\n")
    texts = {str(tmp_path / name): "torch.log(x)\n" for name in ("a.py", "b.py", "gone.py")}
    baseline.write(path, [report(*item) for item in texts.items()], lambda path: Source(path, texts[path]))

    def stale(reports: Sequence[FileReport], ran: tuple[str, ...] = RULES) -> int:
        return baseline.match(reports, baseline.read(path), lambda path: Source(path, ""), ran).stale

    assert stale([]) == 1
    assert stale([FileReport(str(tmp_path / "a.py"), ())]) == 2
    assert stale([FileReport(str(tmp_path / "a.py"), ())], ("GRD601",)) == 0


def test_paths_start_at_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path)
    source = reading(**{"src/a.py": CODE, "a.py": CODE})
    baseline.write("baseline.json", [report("src/a.py", CODE)], source)
    monkeypatch.chdir(tmp_path / "src")
    there = baseline.read("../baseline.json")
    assert baseline.match([report("a.py", CODE)], there, source, RULES).reports[0].baselined == 5


def test_a_finding_with_a_body_is_known_by_its_head(tmp_path: Path) -> None:
    def loop(text: str) -> FileReport:
        span = Span(1, 1, text.count("\n"), 1)
        return FileReport(str(tmp_path / "a.py"), (Finding("GRD601", "n", Severity.ERROR, "m", span),))

    before, after = "for x in y:\n    a()\n", "for x in y:\n    b()\n    c()\n"
    path = str(tmp_path / "baseline.json")
    baseline.write(path, [loop(before)], lambda path: Source(path, before))
    matched = baseline.match([loop(after)], baseline.read(path), lambda path: Source(path, after), RULES)
    assert matched.reports[0].findings == ()


def test_findings_in_notebooks(tmp_path: Path) -> None:
    def notebook(*cells: str) -> Source:
        content = {"cells": [{"cell_type": "code", "source": cell} for cell in cells], "metadata": {}}
        return decode("a.ipynb", json.dumps(content).encode())

    def reported(cell: int) -> FileReport:
        span = Span(2, 1, 2, 14)
        finding = Finding("GRD604", "n", Severity.ERROR, "m", span, path="a.ipynb", cell=cell)
        return FileReport(str(tmp_path / "a.ipynb"), (finding,))

    path = str(tmp_path / "baseline.json")
    baseline.write(path, [reported(2)], lambda _: notebook("import torch", "x = 1\ny = torch.log(x)"))
    after = notebook("import torch", "print()\nprint()", "x = 2\ny = torch.log(x)")
    matched = baseline.match([reported(3)], baseline.read(path), lambda _: after, RULES)
    assert (matched.reports[0].baselined, matched.stale) == (1, 0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"version": 1, "findings": {}}',
        b'{"gradlint-baseline": 2, "findings": {}}',
        b'{"gradlint-baseline": 1, "findings": {"a.py": [{"rule": "GRD601"}]}}',
        b'{"gradlint-baseline": 1, "findings": {"a.py": [{"rule": "GRD601", "text": 1}]}}',
        b'{"gradlint-baseline": 1, "findings": {}, "results": []}',
    ],
)
def test_a_file_that_is_no_baseline_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.json"
    path.write_bytes(content)
    with pytest.raises(BaselineError, match=r"foreign\.json"):
        baseline.read(str(path))
    path.unlink()
    with pytest.raises(BaselineError, match=r"foreign\.json cannot be read"):
        baseline.read(str(path))
