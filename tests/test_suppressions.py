"""Comments silence what they are meant to silence, and say so when they do not."""

from __future__ import annotations

import io
import re
import time
import tokenize
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlint.fix.apply import apply_edits
from gradlint.lint.layout import lay_out
from gradlint.lint.suppress import apply, parse, uses
from gradlint.records.finding import Finding, Fix, Severity
from gradlint.records.span import Span
from gradlint.records.suppression import Suppression, SuppressionKind, SuppressionUse
from gradlint.rule.registry import load
from gradlint.rule.rule import Rule

HERE = Path(__file__).parent


def fake(rule_id: str, rule_name: str, in_preview: bool = False) -> type[Rule]:
    class Fake(Rule):
        id = rule_id
        name = rule_name
        severity = Severity.ERROR
        preview = in_preview

    return Fake


META = {rule.id: rule for rule in load() if rule.id in ("GRD002", "GRD003")}
KNOWN = (
    *META.values(),
    fake("GRD601", "infinite-gradient-at-zero"),
    fake("GRD604", "unguarded-log"),
    fake("GRD609", "nan-comparison"),
    fake("GRD703", "unregistered-module"),
)
PREVIEW = fake("GRD999", "new-rule", True)
ALL = frozenset(rule.id for rule in KNOWN)


def finding(line: int, rule: str = "GRD601", last: int | None = None) -> Finding:
    name = next(known.name for known in KNOWN if known.id == rule)
    return Finding(rule, name, Severity.ERROR, "m", Span(line, 1, last or line, 5))


def is_silenced(text: str, found: Finding) -> bool:
    applied = apply([found], parse(text))
    assert applied.kept + applied.silenced == (found,)
    assert bool(applied.used) == bool(applied.silenced)
    return bool(applied.silenced)


def comparisons(text: str) -> list[Finding]:
    """GRD609 wherever the examples compare with NaN."""
    lines = text.split("\n")
    return [finding(number, "GRD609") for number, line in enumerate(lines, 1) if "== torch.nan" in line]


def judge(text: str, *found: Finding, ran: frozenset[str] = ALL) -> list[Finding]:
    """What the rules about suppressions say of a text in which `found` was found."""
    suppressions = parse(text)
    used = apply(found, suppressions).used
    judged: list[SuppressionUse] = list(uses(suppressions, used, ran, KNOWN))
    return [one for use in judged for rule in META.values() for one in rule().check(use)]


BINDING = {
    "trailing": ("a()\nb()  # gradlint: ignore[GRD601]\nc()\n", {2}),
    "own line": ("# gradlint: ignore[GRD601]\na()\nb()\n", {2}),
    "below other comments and blank lines": ("# gradlint: ignore[GRD601] why\n\n# more\n\n\na()\nb()\n", {6}),
    "above a decorated definition": (
        "# gradlint: ignore\n@a\n\n# b\n@c(\n  1)\ndef d(\n  e,\n): f\ng\n",
        {*range(2, 10)},
    ),
    "at a decorator": ("@a  # gradlint: ignore\ndef b():\n    c()\n", {1, 2}),
    "at the end of a long call": ("a(\n  b,\n  c,\n)  # gradlint: ignore\nd()\n", {1, 2, 3, 4}),
    "in the middle of a long call": ("a(\n  b,  # noqa\n  c,\n)\nd()\n", {1, 2, 3, 4}),
    "on a line of its own in a long call": (
        "a(\n  # gradlint: ignore\n  b,\n  c,\n)\nd()\n",
        {1, 2, 3, 4, 5},
    ),
    "behind a string of several lines": ('a = """\nb\n"""  # noqa\nc\n', {1, 2, 3}),
    "behind a continued line": ("a = b + \\\n  c  # noqa\nd\n", {1, 2}),
    "at the head of a block": ("for a in b:  # gradlint: ignore\n    c()\n", {1}),
    "within a block": ("for a in b:\n    c()  # gradlint: ignore\n    d()\n", {2}),
    "above a block": ("# gradlint: ignore\nfor a in b:\n    c()\n", {2}),
    "above the end of a block": ("if a:\n    b()\n    # gradlint: ignore\nc()\n", {4}),
    "whole file": ("a()\nb()\n# gradlint: file-ignore[GRD601]\n", {1, 2, 3, 4}),
    "noqa on a line of its own": ("# noqa: GRD601\na()\n", {1}),
    "at the end of the file": ("a()\n# gradlint: ignore", {2}),
    "without a blank": ("a()  #gradlint:ignore[GRD601]\n", {1}),
    "in capitals": ("a()  # NOQA:grd601\n", {1}),
    "after another comment": ("a()  # type: ignore  # noqa: E501, GRD601 reason\n", {1}),
    "in a string": ('a("# noqa")\nb = """\n# gradlint: ignore\n"""\n', set()),
    "quoted in a comment": ("a()  # append '# noqa' here\n", set()),
    "below an unclosed bracket": ("a(\ndef b():\n    c()  # noqa\n    d()\n", {3}),
}


@pytest.mark.parametrize(("text", "lines"), BINDING.values(), ids=list(BINDING))
def test_a_suppression_covers_its_statement(text: str, lines: set[int]) -> None:
    every = range(1, text.count("\n") + 2)
    assert {line for line in every if is_silenced(text, finding(line))} == lines


@pytest.mark.parametrize(
    ("comment", "rules"),
    [
        ("# gradlint: ignore", {"GRD601", "GRD604", "GRD703"}),
        ("# gradlint: ignore because GRD601 is wrong", {"GRD601", "GRD604", "GRD703"}),
        ("# gradlint: ignore[GRD601]", {"GRD601"}),
        ("# gradlint: ignore[ grd601 ,unregistered-module ] a, reason", {"GRD601", "GRD703"}),
        ("# gradlint: ignore[GRD601 GRD604]", {"GRD601", "GRD604"}),
        ("# gradlint: ignore[GRD6]", {"GRD601", "GRD604"}),
        ("# gradlint: ignore[GRD601", {"GRD601"}),
        ("# gradlint: ignore[]", set()),
        ("# gradlint: ignored", set()),
        ("# gradlint: noqa", set()),
        ("# noqa", {"GRD601", "GRD604", "GRD703"}),
        ("# noqa: GRD601,E501 reason", {"GRD601"}),
        ("# noqa:E501, GRD604", {"GRD604"}),
        ("# noqa : GRD7", {"GRD703"}),
        ("# noqa: E501", set()),
        ("# noqa: a reason", {"GRD601", "GRD604", "GRD703"}),
        ("# noqa-nothing: E501", {"GRD601", "GRD604", "GRD703"}),
        ("# nonoqa", set()),
    ],
)
def test_a_suppression_means_the_rules_it_names(comment: str, rules: set[str]) -> None:
    text = f"a()  {comment}\n"
    assert {rule for rule in ("GRD601", "GRD604", "GRD703") if is_silenced(text, finding(1, rule))} == rules


def test_a_finding_about_a_block_is_bound_to_its_head() -> None:
    block = finding(1, last=3)
    assert is_silenced("for a in b:  # noqa\n    c()\n    d()\n", block)
    assert not is_silenced("for a in b:\n    c()\n    d()  # noqa\n", block)


def test_spans_lead_back_to_the_text() -> None:
    text = "é = 1  # type: int  # gradlint: ignore[GRD601, x] why  # noqa: GRD604\n"
    own, other = parse(text)
    line = text.rstrip()

    def part(span: Span) -> str:
        return line[span.column - 1 : span.end_column - 1]

    assert part(own.span) == "# gradlint: ignore[GRD601, x] why"
    assert [part(code.span) for code in own.codes] == [code.text for code in own.codes] == ["GRD601", "x"]
    assert part(other.span) == part(other.removal).strip() == "# noqa: GRD604"
    assert (own.kind, other.kind) == (SuppressionKind.IGNORE, SuppressionKind.NOQA)


@pytest.mark.parametrize("rule", META.values(), ids=list(META))
def test_examples(rule: type[Rule]) -> None:
    for name, text in rule.bad.items():
        assert rule.id in {one.rule for one in judge(text, *comparisons(text))}, name
    for name, text in rule.good.items():
        assert rule.id not in {one.rule for one in judge(text, *comparisons(text))}, name


def fixed(text: str) -> str:
    fixes = [one.fix for one in judge(text, *comparisons(text)) if one.fix is not None]
    return apply_edits(text, fixes)[0]


def test_unused_suppressions_are_removed() -> None:
    (rule,) = (rule for rule in META.values() if rule.fixed)
    assert rule.fixed.keys() == rule.bad.keys()
    for name, text in rule.bad.items():
        assert fixed(text) == rule.fixed[name]
        assert fixed(rule.fixed[name]) == rule.fixed[name]


CODES = st.sampled_from(["GRD601", "grd604", "GRD609", "unguarded-log", "GRD7", "E501", "GRD123"])
SEPARATORS = st.sampled_from([",", ", ", " , "])


@given(
    st.lists(CODES, min_size=1, max_size=5, unique=True),
    SEPARATORS,
    st.sampled_from(["a()", "a(\n  b)", "é = [1,\n2]"]),
    st.sampled_from(["", " a reason", "  # type: ignore", " why  # pragma: no cover"]),
    st.booleans(),
)
def test_removing_what_is_unused_leaves_what_is_used(
    codes: list[str], separator: str, code: str, rest: str, is_own_line: bool
) -> None:
    comment = f"# gradlint: ignore[{separator.join(codes)}]{rest}"
    text = f"x\n{comment}\n{code}\ny\n" if is_own_line else f"x\n{code}  {comment}\ny\n"
    found = finding(3 if is_own_line else 2, "GRD609")
    judged = judge(text, found)
    fixes = [one.fix for one in judged if one.fix is not None]
    new = apply_edits(text, fixes)[0]
    left = [code.text for suppression in parse(new) for code in suppression.codes]
    assert left == [code for code in codes if code in ("GRD609", "E501", "GRD123")]
    assert ("a reason" in new) == ("a reason" in rest and bool(left))
    assert ("# type: ignore" in new) == ("type" in rest)
    assert not re.search(r"[ \t]$|\n\n", new, re.MULTILINE)
    tidy = [line for line in new.split("\n") if "#" not in line]
    assert all(line in text.split("\n") or line in code for line in tidy)
    moved = finding(found.span.line - (text.count("\n") - new.count("\n")), "GRD609")
    again = judge(new, moved)
    assert [one for one in again if one.rule == "GRD002"] == []


def test_a_rule_that_did_not_run_is_not_unused() -> None:
    text = "a()  # gradlint: ignore[GRD601]\nb()  # gradlint: ignore[GRD6]\nc()  # gradlint: ignore\n"
    assert [one.span.line for one in judge(text)] == [1, 2, 3]
    assert [one.span.line for one in judge(text, ran=ALL - {"GRD604"})] == [1]
    assert [one.span.line for one in judge(text, ran=ALL - {"GRD601"})] == []
    suppressions = parse(text)
    with_preview = (*KNOWN, PREVIEW)
    judged = [use.suppression.lines[0] for use in uses(suppressions, (), ALL, with_preview)]
    assert judged == [1, 2, 3]
    assert list(uses(parse("a()  # noqa: GRD999\n"), (), ALL, with_preview)) == []


def test_the_rules_about_suppressions_are_silenced_by_their_codes_alone() -> None:
    def left(comment: str) -> list[str]:
        text = f"a()  # gradlint: {comment}\n"
        return [one.rule for one in apply(judge(text), parse(text)).kept]

    assert left("ignore[GRD601]") == ["GRD002"]
    assert left("ignore[GRD601, GRD002]") == []
    assert left("ignore[GRD601, unused-suppression]") == []
    assert left("ignore") == ["GRD002"]
    assert left("ignore[GRD]") == ["GRD002"]
    assert left("ignore[GRD002]") == []
    assert left("ignore[nothing, GRD003]") == []


@pytest.mark.parametrize(
    ("comment", "unknown", "advice"),
    [
        ("# gradlint: ignore[GRD600]", "rule 'GRD600'", "did you mean 'GRD60"),
        ("# gradlint: ignore[nan-comparisons]", "rule 'nan-comparisons'", "did you mean 'nan-comparison'?"),
        ("# gradlint: ignore[zzz]", "rule 'zzz'", "gradlint rules"),
        ("# gradlint: noqa", "directive 'noqa'", "did you mean 'ignore'?"),
        ("# gradlint: ignore-file[GRD601]", "directive 'ignore-file'", "did you mean 'file-ignore'?"),
        ("# noqa: E501, GRD600", "rule 'GRD600'", "did you mean 'GRD60"),
    ],
)
def test_an_unknown_rule_is_named_with_the_nearest(comment: str, unknown: str, advice: str) -> None:
    (found,) = judge(f"a()  {comment}\n")
    assert (found.rule, found.message) == ("GRD003", f"unknown {unknown}")
    assert advice in found.help


WORDS = ("    ", '"""', "'''", "f", "def f():", "# noqa", "# noqa: GRD601, ", "# gradlint: ignore[")
PIECES = st.sampled_from([*"a#()[]{}@;\\\"'\n\t\f é", *WORDS])


def removal(suppression: Suppression) -> Fix:
    (found,) = META["GRD002"]().check(SuppressionUse(suppression, idle=True))
    assert found.fix is not None
    return found.fix


@given(st.lists(PIECES, max_size=30).map("".join))
def test_any_text_can_be_read(text: str) -> None:
    lines = text.split("\n")
    for suppression in parse(text):
        spans = [suppression.span, *(code.span for code in suppression.codes)]
        assert all(span.line == span.end_line <= len(lines) for span in spans)
        assert lines[suppression.span.line - 1][suppression.span.column - 1] == "#"
        new, applied = apply_edits(text, [removal(suppression)])
        assert applied
        assert len(new) < len(text)


FORMATTED = r"""
f"{a} # no", rf"\{a} # no", Rf"# no {a}", F"# no", f'# no' "# no", rb"# no"  # yes
f"{a:#x} # no {{ # no }} {{{a}}} {a=} {a!r:>{10}} # no", f"\N{DASH} {a} # no"  # yes
f"{d["a # no"]} # no", f'{f'{f'{1}# no'} # no'}', f"{'#'} # no"  # yes
f"{(lambda x: '#')(1)} {a != 2} {({1: '#'}[1])}", f"{'}'} # no", f"{x['{']} # no"  # yes
f"{a:{'#'}>10} # no", f"{a:%H:%M # no}", f"{d["a"]:'>10} # no", f"{x:{"#"}>{y:{z}}} # no"  # yes
f"{
    a  # yes
    + 1
} # no"
f'''{a} # no
 # no { d["x # no"] } # no " '  # no '''  # yes
f'''{a:>
10} # no {a:"'>3} ' # no'''  # yes
f"{yield # yes
} # no"
my_f"{"  # yes
f"{a # no"""


def test_comments_are_told_from_formatted_strings() -> None:
    """Whatever Python this is: in files for a later one a string holds quotes of its own kind, and lines."""
    layout = lay_out(FORMATTED)
    found = [layout.line(start) for start, _ in layout.comments]
    lines = enumerate(FORMATTED.split("\n"), start=1)
    assert found == [number for number, line in lines if "# yes" in line]
    assert all(FORMATTED[start:end] == "# yes" for start, end in layout.comments)
    assert layout.statements[5:7] == ((7, 10), (11, 12))


@pytest.mark.parametrize("broken", ['x = f"{(\n', 'f"{', "f\"{f'{", 'x = f"{a} " + f"{\n# c\n', 'f"{x:{'])
def test_broken_formatted_strings_are_read_once(broken: str) -> None:
    before = time.process_time()
    lay_out(broken * 10_000)
    assert time.process_time() - before < 2, "far more than the length of the text asks for"


def tokens(text: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The positions of comments and the extents of logical lines, as the standard library sees them."""
    comments, statements = [], []
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            comments.append(token.start)
        elif token.type == tokenize.NEWLINE:
            statements.append((first, last))
            first = 0
        elif token.string.strip():
            first, last = first or token.start[0], token.end[0]
    return comments, statements


def test_comments_and_logical_lines_are_those_of_the_tokenizer() -> None:
    for path in [*HERE.glob("*.py"), *(HERE.parent / "gradlint").rglob("*.py")]:
        text = path.read_text("utf-8")
        layout = lay_out(text)
        comments, statements = tokens(text)
        starts = layout.line_starts
        found = [(layout.line(at), at - starts[layout.line(at) - 1]) for at, _ in layout.comments]
        assert found == comments, path
        decorators = {first for first, _ in statements if text[starts[first - 1] :].lstrip().startswith("@")}
        ends = [last for first, last in statements if first not in decorators]
        assert [last for _, last in layout.statements] == ends, path
        assert {first for first, _ in layout.statements} <= {first for first, _ in statements}, path
