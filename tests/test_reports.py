"""Every output format, and every editor pattern of the documentation on real output.

The expected reports lie in `fixtures/golden/`. After a change that is meant, write them anew:

    GRADLINT_UPDATE_GOLDEN=1 pytest tests/test_reports.py
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradlint.cli.arguments import CHECK
from gradlint.lint.result import FileReport, LintResult
from gradlint.records.finding import (
    Applicability,
    Claim,
    Edit,
    Finding,
    Fix,
    Metric,
    Related,
    Severity,
)
from gradlint.records.span import Span
from gradlint.report.frame import Frame
from gradlint.report.options import RenderOptions, repository_root
from gradlint.report.render import FORMATS, STATISTICS, render
from gradlint.report.row import WIDEST
from gradlint.report.terminal import Paint, wants_color
from gradlint.rule.rule import Rule
from gradlint.source.source import Cell, Source

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "fixtures" / "golden"
EDITORS = (ROOT / "docs" / "editors.md").read_text("utf-8")
OPTIONS = RenderOptions(directory="/repo/work", root="/repo", version="1.2.3")
TEXT_FORMATS = ("concise", "full", "grouped")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class SaturatingActivationChain(Rule):
    """Saturating activations follow one another until no gradient is left.

    ### Why is this bad?
    The derivative of a sigmoid is at most 1/4,
    so each such layer divides the gradient by four or more.

    ### Fix safety
    There is no fix.
    """

    id = "GRD101"
    name = "saturating-activation-chain"
    severity = Severity.WARNING
    help = "put a normalisation between the layers, or use ReLU"


class ClipBeforeUnscale(Rule):
    """Gradients are clipped while they still carry the loss scale."""

    id = "GRD403"
    name = "clip-before-unscale"
    severity = Severity.ERROR
    preview = True


class DeprecatedAmpApi(Rule):
    """The names under `torch.cuda.amp` moved to `torch.amp`."""

    id = "GRD409"
    name = "deprecated-amp-api"
    severity = Severity.NOTE


class InfiniteGradientAtZero(Rule):
    """The derivative is infinite where the argument is 0."""

    id = "GRD601"
    name = "infinite-gradient-at-zero"
    severity = Severity.ERROR
    help = "add a small constant inside the root"


RULES = (SaturatingActivationChain, ClipBeforeUnscale, DeprecatedAmpApi, InfiniteGradientAtZero)

NET = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(8, 8),
            nn.Sigmoid(),
            nn.Linear(8, 8),
            nn.Sigmoid(),
            nn.Linear(8, 8),
            nn.Sigmoid(),
        )

    def forward(self, x):
\t\tla\u0308nge = "長さ"; norm = torch.sqrt((x ** 2).sum())  # \x1b[31m
        safe = torch.sqrt((x ** 2).sum())  # gradlint: ignore[GRD601] never zero here

        with torch.cuda.amp.autocast(
            enabled=True,
        ):
            return self.layers(x / norm)
"""
TRAIN = "for x in data:\n    scaler.scale(loss).backward()\n    clip_grad_norm_(net.parameters(), 1.0)\n"
NOTEBOOK = "import torch\n\nx = torch.zeros(3)\ny = torch.sqrt(x)\n"
SOURCES = {
    "src/net.py": Source("src/net.py", NET),
    "src/train.py": Source("src/train.py", TRAIN),
    "nb.ipynb": Source("nb.ipynb", NOTEBOOK, cells=(Cell(1, 1, 1), Cell(3, 3, 2))),
}


def read(path: str) -> Source:
    try:
        return SOURCES[path]
    except KeyError:
        raise FileNotFoundError(path) from None


def at(path: str, line: int, text: str, cell: int | None = None) -> Span:
    """Where `text` stands in a line."""
    first = next((known.first_line for known in SOURCES[path].cells if known.number == cell), 1)
    column = SOURCES[path].lines()[first + line - 2].index(text) + 1
    return Span(line, column, line, column + len(text))


def insert(before: Span, text: str, cell: int | None = None) -> Edit:
    return Edit(before.start, (text,), cell)


CHAIN = SaturatingActivationChain().finding(
    Span(8, 23, 15, 10),
    "3 saturating activations leave at most 2e-02 of the gradient",
    related=tuple(
        Related(at("src/net.py", line, "nn.Sigmoid()"), f"sigmoid {number} of 3")
        for number, line in enumerate((10, 12, 14), start=1)
    ),
)
ROOT_AT_ZERO = InfiniteGradientAtZero().finding(
    at("src/net.py", 18, "torch.sqrt((x ** 2).sum())"),
    "the argument of `sqrt` is a sum of squares, which can be 0",
    Claim(Metric.NON_FINITE_GRADIENT, "forward:x", 1.0, float("inf"), "zeros"),
    fix=Fix(
        "add `1e-12` inside",
        Applicability.UNSAFE,
        (
            insert(at("src/net.py", 18, ")  #"), " + 1e-12)"),
            insert(at("src/net.py", 18, "(x ** 2)"), "("),
        ),
    ),
)
SILENCED = InfiniteGradientAtZero().finding(
    at("src/net.py", 19, "torch.sqrt((x ** 2).sum())"),
    "the argument of `sqrt` is a sum of squares, which can be 0",
)
AMP = DeprecatedAmpApi().finding(
    Span(21, 14, 23, 10),
    "`torch.cuda.amp.autocast` is deprecated",
    help="use `torch.amp.autocast`",
    fix=Fix(
        "replace by `torch.amp.autocast`",
        Applicability.SAFE,
        (Edit(Span(21, 14, 22, 13), ('torch.amp.autocast(\n            "cuda", ',)),),
    ),
)
CLIP = ClipBeforeUnscale().finding(
    at("src/train.py", 3, "clip_grad_norm_(net.parameters(), 1.0)"),
    "100% of the norm, scaled:\nclipped at 1.0, effectively <1e-4> & “less”",
    Claim(Metric.GRADIENT_ARRIVES, "", 0.5, 0.0625),
    related=(
        Related(at("src/train.py", 2, "scaler.scale(loss).backward()"), "the loss is scaled here"),
        Related(at("src/net.py", 5, "Net"), "the model", "src/net.py"),
    ),
)
IN_CELL = msgspec.structs.replace(
    InfiniteGradientAtZero().finding(
        at("nb.ipynb", 2, "torch.sqrt(x)", 3),
        "the argument of `sqrt` can be 0",
        fix=Fix(
            "shift the argument",
            Applicability.DISPLAY_ONLY,
            (insert(at("nb.ipynb", 2, ")", 3), " + 1e-12", 3),),
        ),
    ),
    cell=3,
)
BROKEN = Finding("GRD001", "syntax-error", Severity.ERROR, "expected ':'", Span(4, 12, 4, 12))

RESULT = LintResult(
    reports=(
        FileReport("broken.py", (BROKEN,)),
        FileReport("nb.ipynb", (IN_CELL,)),
        FileReport("src/clean, quiet.py", (), baselined=2),
        FileReport("src/net.py", (CHAIN, ROOT_AT_ZERO, AMP), suppressed=(SILENCED,)),
        FileReport("src/train.py", (CLIP,)),
    ),
    rules=RULES,
    source=read,
    files=5,
    fixed={"GRD409": 1},
)
PLACED = [(report.path, finding) for report in RESULT.reports for finding in report.findings]
CLEAN = LintResult(reports=(FileReport("src/clean.py", ()),), rules=RULES, source=read, files=1)


# Expected reports


def expected_reports() -> Iterator[tuple[str, str]]:
    extensions = {"json": "json", "json-lines": "jsonl", "gitlab": "json", "rdjson": "json"}
    extensions |= {"sarif": "sarif", "junit": "xml"}
    for name in FORMATS:
        yield f"{name}.{extensions.get(name, 'txt')}", render(name, RESULT, OPTIONS)
    yield "statistics.txt", render("full", RESULT, OPTIONS, statistics=True)
    yield "statistics.json", render("json", RESULT, OPTIONS, statistics=True)
    yield "full-color.txt", render("full", RESULT, replace(OPTIONS, color=True, unsafe_fixes=True))


@pytest.mark.parametrize(("name", "report"), list(expected_reports()))
def test_report_is_the_golden_one(name: str, report: str) -> None:
    golden = GOLDEN / name
    if os.environ.get("GRADLINT_UPDATE_GOLDEN"):
        golden.write_text(report, "utf-8", newline="\n")
    assert report == golden.read_text("utf-8")


def test_no_golden_report_is_left_over() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {name for name, _ in expected_reports()}


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_colour_changes_nothing_but_colour(name: str) -> None:
    colored = render(name, RESULT, replace(OPTIONS, color=True))
    assert colored != render(name, RESULT, OPTIONS)
    assert ANSI.sub("", colored) == render(name, RESULT, OPTIONS)


def test_clean_run_says_so() -> None:
    assert render("concise", CLEAN, OPTIONS) == "All checks passed!\n"
    assert render("concise", CLEAN, replace(OPTIONS, summary=False)) == ""
    assert render("json-lines", CLEAN, OPTIONS) == ""
    for name in ("json", "gitlab"):
        assert json.loads(render(name, CLEAN, OPTIONS)) == []
    assert json.loads(render("sarif", CLEAN, OPTIONS))["runs"][0]["results"] == []


@pytest.mark.parametrize(
    ("choice", "environ", "terminal", "expected"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_when_to_colour(choice: str, environ: dict[str, str], terminal: bool, expected: bool) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    assert wants_color(choice, Stream(), environ) is expected


# Frames


@given(
    st.text(st.sampled_from("ab(\t "), max_size=40), st.integers(1, 45), st.integers(0, 45), st.integers(1, 3)
)
def test_mark_is_under_the_span(line: str, column: int, length: int, number: int) -> None:
    lines = ["x = 1"] * (number - 1) + [line]
    drawn = Frame(3, Paint(False), context=0).draw(lines, Span(number, column, number, column + length))
    start = len(line[: column - 1].expandtabs(4))
    end = max(start + 1, len(line[: column - 1 + length].expandtabs(4)))
    assert drawn[0] == f"{number:>3} | {line.expandtabs(4)}".rstrip()
    assert drawn[1] == f"    | {' ' * start}{'^' * (end - start)}"


@given(st.lists(st.text(max_size=300), max_size=30), st.builds(Span, *[st.integers(0, 40)] * 4))
def test_frame_fits_whatever_it_is_given(lines: list[str], where: Span) -> None:
    drawn = Frame(2, Paint(False)).draw(lines, where)
    assert bool(drawn) == (1 <= where.line <= len(lines))
    for row in drawn:
        assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", row)
        assert len(re.sub(r"[\W]", "", row, flags=re.ASCII)) <= WIDEST + 10


def test_mark_stays_in_sight_on_a_very_long_line() -> None:
    line = "x" * 5000 + "sqrt(y)" + "z" * 5000
    code, mark = Frame(1, Paint(False), context=0).draw([line], Span(1, 5001, 1, 5008))
    begin = mark.index("^")
    assert code[begin : mark.rindex("^") + 1] == "sqrt(y)"
    assert len(code) < WIDEST + 10


# What the consumers demand


@cache
def sarif_schema() -> Any:
    text = (ROOT / "tests" / "data" / "sarif-2.1.0.json").read_text("utf-8")
    return jsonschema.Draft4Validator(json.loads(text))


def check_concise(text: str, result: LintResult) -> None:
    assert len(text.splitlines()) == len(result.findings)


def check_json(text: str, result: LintResult) -> None:
    places = [(item["location"]["row"], item["cell"]) for item in json.loads(text)]
    assert places == [(finding.span.line, finding.cell) for finding in result.findings]


def check_json_lines(text: str, result: LintResult) -> None:
    items = [json.loads(line) for line in text.split("\n")[:-1]]
    assert items == json.loads(render("json", result, OPTIONS))


def check_github(text: str, result: LintResult) -> None:
    lines = text.split("\n")[:-1]
    commands = [re.match(r"::(\w+) title=[^,:]*,file=([^,:]*),([\w=,]*)::(.*)$", line) for line in lines]
    assert len(commands) == len(result.findings)
    kinds = [command[1] for command in commands if command]
    assert kinds == sorted(kinds, key=["error", "warning", "notice"].index)
    for command in commands:
        assert command
        region = dict(pair.split("=") for pair in command[3].split(","))
        assert ("col" in region) == (region["line"] == region.get("endLine"))


def check_gitlab(text: str, result: LintResult) -> None:
    prints = [issue["fingerprint"] for issue in json.loads(text)]
    assert len(set(prints)) == len(prints) == len(result.findings)


def check_sarif(text: str, result: LintResult) -> None:
    log = json.loads(text)
    sarif_schema().validate(log)
    silenced = sum(len(report.suppressed) for report in result.reports)
    entries = log["runs"][0]["results"]
    assert len(entries) == len(result.findings) + silenced
    assert sum(bool(entry.get("suppressions")) for entry in entries) == silenced
    assert "primaryLocationLineHash" not in text


def check_junit(text: str, result: LintResult) -> None:
    root = ElementTree.fromstring(text)
    assert root.get("failures") == str(len(result.findings)) == str(len(root.findall(".//failure")))
    assert int(root.get("tests", "")) == len(root.findall(".//testcase"))


def check_rdjson(text: str, result: LintResult) -> None:
    assert len(json.loads(text)["diagnostics"]) == len(result.findings)


CHECKS = {
    "concise": check_concise,
    "json": check_json,
    "json-lines": check_json_lines,
    "github": check_github,
    "gitlab": check_gitlab,
    "sarif": check_sarif,
    "junit": check_junit,
    "rdjson": check_rdjson,
}

anything = st.text(st.characters(), max_size=20)
spans = st.builds(Span, *[st.integers(0, 12)] * 4)
cells = st.none() | st.integers(1, 4)
paths = anything.filter(bool) | st.sampled_from(sorted(SOURCES))
relations = st.lists(st.builds(Related, spans, anything, st.just("") | paths, cells), max_size=3)
claims = st.builds(Claim, st.sampled_from(Metric), anything, st.floats(), st.floats(), anything)
edits = st.lists(st.builds(Edit, spans, st.tuples(anything), cells), max_size=3)
fixes = st.builds(Fix, anything, st.sampled_from(Applicability), edits.map(tuple))
findings = st.builds(
    Finding,
    rule=st.sampled_from(["GRD001", "GRD101", "GRD601"]),
    name=st.sampled_from(["syntax-error", "rule-name"]),
    severity=st.sampled_from(Severity),
    message=anything,
    span=spans,
    help=anything,
    cell=cells,
    related=relations.map(tuple),
    claim=st.none() | claims,
    fix=st.none() | fixes,
)
reports = st.builds(
    FileReport,
    paths,
    st.lists(findings, max_size=3).map(tuple),
    st.lists(findings, max_size=1).map(tuple),
)
results = st.lists(reports, max_size=3, unique_by=lambda report: report.path).map(
    lambda found: LintResult(tuple(found), RULES, read)
)


@settings(deadline=None)
@given(results, st.booleans())
def test_every_format_survives_every_finding(result: LintResult, unsafe_fixes: bool) -> None:
    options = replace(OPTIONS, summary=False, unsafe_fixes=unsafe_fixes)
    for name in FORMATS:
        text = render(name, result, options)
        text.encode("utf-8")
        if name in CHECKS:
            CHECKS[name](text, result)
    for name in STATISTICS:
        render(name, result, options, statistics=True)


def test_places_are_counted_from_the_root_of_the_repository(tmp_path: Path) -> None:
    below = tmp_path / "a b" / "c"
    below.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    assert repository_root(str(below), {}) == str(tmp_path)
    assert repository_root(str(below), {"CI_PROJECT_DIR": str(below.parent)}) == str(below.parent)
    assert repository_root(str(below), {"GITHUB_WORKSPACE": "/elsewhere"}) == str(tmp_path)
    options = RenderOptions(directory=str(below), root=str(tmp_path))
    finding = BROKEN
    result = LintResult((FileReport("x.py", (finding,)), FileReport("/far/y.py", (finding,))), (), read)
    entries = json.loads(render("sarif", result, options))["runs"][0]["results"]
    inside, outside = (entry["locations"][0]["physicalLocation"]["artifactLocation"] for entry in entries)
    assert inside == {"uri": "a%20b/c/x.py", "uriBaseId": "SRCROOT"}
    assert outside == {"uri": "file:///far/y.py"}
    assert [issue["location"]["path"] for issue in json.loads(render("gitlab", result, options))] == [
        "a b/c/x.py",
        "/far/y.py",
    ]


def sarif_prints(text: str, path: str, lines: list[int]) -> list[str]:
    found = tuple(msgspec.structs.replace(SILENCED, span=Span(line, 9, line, 12)) for line in lines)
    result = LintResult((FileReport(path, found),), RULES, lambda path: Source(path, text))
    entries = json.loads(render("sarif", result, OPTIONS))["runs"][0]["results"]
    return [entry["partialFingerprints"]["gradlint/v1"] for entry in entries]


def test_fingerprints_follow_the_code() -> None:
    before = sarif_prints("y = sqrt(x)\ny = sqrt(x)\nz = sqrt(x)\n", "a.py", [1, 2, 3])
    after = sarif_prints(
        "\n\n  y  = sqrt( x )\n#\ny = sqrt(x)  # gradlint: ignore\n\nz = sqrt(x)\n", "b.py", [3, 5, 7]
    )
    assert before == after
    assert len(set(before)) == 3


def test_rdjson_columns_count_bytes_and_a_fix_is_one_suggestion() -> None:
    diagnostics = json.loads(render("rdjson", RESULT, OPTIONS))["diagnostics"]
    diagnostic = next(
        found for found in diagnostics if found["code"]["value"] == "GRD601" and found["suggestions"]
    )
    line = NET.split("\n")[17].encode()
    where = diagnostic["location"]["range"]
    assert line[where["start"]["column"] - 1 : where["end"]["column"] - 1] == b"torch.sqrt((x ** 2).sum())"
    (suggestion,) = diagnostic["suggestions"]
    start, end = suggestion["range"]["start"]["column"] - 1, suggestion["range"]["end"]["column"] - 1
    assert b"torch.sqrt(((x ** 2).sum() + 1e-12))" in line[:start] + suggestion["text"].encode() + line[end:]


# Patterns of editors and of other programs


def concise_lines() -> list[str]:
    """The findings' lines, as a task runner would see them among others."""
    return ["gradlint check .", *render("concise", RESULT, OPTIONS).splitlines()]


def expected_fields(cells_known: bool = True) -> list[dict[str, str]]:
    return [
        {
            "file": path if finding.cell is None or cells_known else f"{path}:cell {finding.cell}",
            "line": str(finding.span.line),
            "column": str(finding.span.column),
            "severity": finding.severity.value,
            "code": finding.rule,
        }
        for path, finding in PLACED
    ]


def matched(pattern: dict[str, Any], lines: list[str]) -> list[dict[str, str]]:
    groups = {key: value for key, value in pattern.items() if key not in ("regexp", "message")}
    found = [match for line in lines if (match := re.search(pattern["regexp"], line))]
    assert all(match[pattern["message"]] for match in found)
    return [{key: match[group] for key, group in groups.items()} for match in found]


@pytest.mark.parametrize("name", ["concise", "full"])
def test_visual_studio_code_matcher(name: str) -> None:
    matcher = json.loads((ROOT / "docs/editors/vscode-problem-matcher.json").read_text("utf-8"))
    assert matched(matcher["pattern"], render(name, RESULT, OPTIONS).splitlines()) == expected_fields()
    task = next(json.loads(block) for block in code_blocks("json") if "tasks" in block)
    assert task["tasks"][0]["problemMatcher"] == matcher


@pytest.mark.parametrize("name", ["concise", "full"])
def test_github_matcher(name: str) -> None:
    matchers = json.loads((ROOT / "docs/editors/github-problem-matcher.json").read_text("utf-8"))
    lines = render(name, RESULT, OPTIONS).splitlines()
    found = [
        fields | {"severity": fields.get("severity", matcher.get("severity"))}
        for matcher in matchers["problemMatcher"]
        for fields in matched(matcher["pattern"][0], lines)
    ]
    expected = [
        fields | {"severity": fields["severity"].replace("note", "notice")} for fields in expected_fields()
    ]
    assert sorted(found, key=str) == sorted(expected, key=str)


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", EDITORS, re.DOTALL | re.MULTILINE)


def from_errorformat(pattern: str) -> str:
    """The part of Vim's errorformat that the documentation uses, as a regular expression."""
    parts = {"%f": "(?P<file>.+?)", "%l": r"(?P<line>\d+)", "%c": r"(?P<column>\d+)"}
    parts |= {"%t": "(?P<type>.)", "%m": "(?P<message>.+)", "%*[^:]": "[^:]+"}
    pieces = re.split(r"(%\*\[\^:\]|%.)", pattern.replace("\\ ", " "))
    return "^" + "".join(parts.get(piece, re.escape(piece)) for piece in pieces) + "$"


@pytest.mark.parametrize(
    ("source", "count"), [('- "(%f.*)"$', 3), ("^set errorformat=(.*)$", 1), ("-efm='([^']*)'", 3)]
)
def test_errorformats(source: str, count: int) -> None:
    patterns = re.findall(source, EDITORS, re.MULTILINE)
    assert len(patterns) == count
    regexps = [re.compile(from_errorformat(pattern)) for pattern in patterns]
    found = [
        (match["file"], match["line"], match["column"], match["type"])
        for line in concise_lines()
        for match in [next(filter(None, (regexp.match(line) for regexp in regexps)), None)]
        if match
    ]
    assert found == [
        (fields["file"], fields["line"], fields["column"], fields["severity"][0])
        for fields in expected_fields(cells_known=False)
    ]


def emacs_regexps() -> list[re.Pattern[str]]:
    """The regular expressions of the Lisp blocks, whose groups and bars are the escaped ones."""
    strings = re.findall(r'"(\^(?:[^"\\]|\\.)*)"', "".join(code_blocks("elisp")))
    plain = [string.replace("\\\\", "\\").replace("\\n", "\n") for string in strings]
    swapped = [re.sub(r"\\?[()|]", lambda bar: bar[0][1:] or "\\" + bar[0], regexp) for regexp in plain]
    return [re.compile(regexp) for regexp in swapped]


def test_emacs_patterns() -> None:
    flymake, *types, compilation = emacs_regexps()
    expected = expected_fields()
    messages = []
    for line, fields in zip(concise_lines()[1:], expected, strict=False):
        match = compilation.search(line)
        assert match and match.group(1, 2, 3) == (fields["file"], fields["line"], fields["column"])
        assert (bool(match[4]), bool(match[5])) == (
            fields["severity"] == "warning",
            fields["severity"] == "note",
        )
        match = flymake.search(line)
        assert match and match.group(1, 2) == (fields["line"], fields["column"])
        messages.append([kind.pattern[1:] for kind in types if kind.search(match[3])])
    assert messages == [[fields["severity"]] for fields in expected]
    assert not compilation.search(concise_lines()[0])


def test_pycharm_filter() -> None:
    macros = {"$FILE_PATH$": "(?P<file>.+?)", "$LINE$": r"(?P<line>\d+)"}
    macros |= {"$COLUMN$": r"(?P<column>\d+)", "$MESSAGE$": "(?P<message>.+)"}
    (output_filter,) = re.findall(r"Output filters \| `([^`]+)`", EDITORS)
    pieces = re.split(r"(\$\w+\$)", output_filter)
    regexp = "^" + "".join(macros.get(piece, re.escape(piece)) for piece in pieces) + "$"
    found = [
        match.group("file", "line", "column") for line in concise_lines() if (match := re.match(regexp, line))
    ]
    assert found == [
        (fields["file"], fields["line"], fields["column"]) for fields in expected_fields(cells_known=False)
    ]


def test_neovim_reads_fields_that_exist() -> None:
    (lua, *_) = code_blocks("lua")
    severities = re.findall(r"^  (\w+) = vim.diagnostic.severity", lua, re.MULTILINE)
    assert severities == [severity.value for severity in reversed(Severity)]
    for item in json.loads(render("json", RESULT, OPTIONS)):
        for access in re.findall(r"finding\.([\w.]+)", lua):
            value = item
            for key in access.split("."):
                value = value[key]
            assert value


def test_documented_commands_use_options_that_exist() -> None:
    hooks = (ROOT / ".pre-commit-hooks.yaml").read_text("utf-8")
    known = {name for argument in CHECK for name in (*argument.names, argument.off)}
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", EDITORS + hooks))
    assert "--stdin-filename" in used
    assert used <= known


def test_hooks_are_what_pre_commit_reads() -> None:
    clientlib = pytest.importorskip("pre_commit.clientlib")
    hooks = clientlib.load_manifest(ROOT / ".pre-commit-hooks.yaml")
    assert [hook["id"] for hook in hooks] == ["gradlint", "gradlint-fix"]
    assert all(hook["require_serial"] and "--force-exclude" in hook["entry"] for hook in hooks)
