"""Fixes change what they say and nothing else, in the text and on the disk."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlint.fix.apply import apply_edits
from gradlint.fix.diff import diff
from gradlint.fix.rounds import ROUNDS, fix_file
from gradlint.fix.write import WriteError, write
from gradlint.records.finding import Applicability, Edit, Finding, Fix, Severity
from gradlint.records.span import Span
from gradlint.source.read import decode, read
from gradlint.source.source import Source

TEXTS = st.text("ab\n é", max_size=40)


def span(text: str, start: int, end: int) -> Span:
    before, upto = text[:start], text[:end]
    return Span(
        before.count("\n") + 1,
        start - before.rfind("\n"),
        upto.count("\n") + 1,
        end - upto.rfind("\n"),
    )


def fix(*edits: Edit, applicability: Applicability = Applicability.SAFE) -> Fix:
    return Fix("a title", applicability, edits)


@st.composite
def texts_with_fixes(draw: st.DrawFn) -> tuple[str, list[list[tuple[int, int, str]]]]:
    text = draw(TEXTS)
    offset = st.integers(0, len(text))
    edit = st.tuples(offset, offset, st.text("xy\n", max_size=3)).map(
        lambda e: (min(e[0], e[1]), max(e[0], e[1]), e[2])
    )
    return text, draw(st.lists(st.lists(edit, min_size=1, max_size=3), max_size=5))


@given(texts_with_fixes())
def test_a_text_is_changed_by_whole_fixes_where_they_say(
    case: tuple[str, list[list[tuple[int, int, str]]]],
) -> None:
    text, plans = case
    fixes = {
        fix(*(Edit(span(text, start, end), (content,)) for start, end, content in plan)): plan
        for plan in plans
    }
    new, applied = apply_edits(text, list(fixes))
    edits = sorted({edit for one in applied for edit in fixes[one]})
    for one, other in pairwise(edits):
        together = any({one, other} <= set(fixes[fix]) for fix in applied)
        assert one[1] <= other[0] if together else one[1] < other[0]
    expected = text
    for start, end, content in reversed(edits):
        expected = expected[:start] + content + expected[end:]
    assert new == expected
    if len(fixes) == 1 and len(plans[0]) == 1:
        assert len(applied) == 1


@given(texts_with_fixes())
def test_the_order_of_fixes_does_not_matter(case: tuple[str, list[list[tuple[int, int, str]]]]) -> None:
    text, plans = case
    fixes = [fix(*(Edit(span(text, *edit[:2]), (edit[2],)) for edit in plan)) for plan in plans]
    assert apply_edits(text, fixes)[0] == apply_edits(text, fixes[::-1])[0]


def test_two_fixes_share_an_import() -> None:
    text = "import torch\n\na\nb\n"
    needed = Edit(Span(2, 1, 2, 1), ("import math\n",))
    fixes = [fix(needed, Edit(Span(line, 1, line, 2), ("math.e",))) for line in (3, 4)]
    new, applied = apply_edits(text, fixes)
    assert new == "import torch\nimport math\n\nmath.e\nmath.e\n"
    assert set(applied) == set(fixes)


def test_parentheses_at_one_place_are_not_shared() -> None:
    text = "a + b + c"
    inner = fix(Edit(Span(1, 1, 1, 1), ("(",)), Edit(Span(1, 6, 1, 6), (")",)))
    outer = fix(Edit(Span(1, 1, 1, 1), ("(",)), Edit(Span(1, 10, 1, 10), (")",)))
    new, applied = apply_edits(text, [outer, inner])
    assert (new, applied) == ("(a + b) + c", (inner,))


@pytest.mark.parametrize("place", [(3, 1, 3, 2), (1, 3, 1, 1), (1, 1, 1, 9), (0, 1, 1, 1), (2, 2, 2, 2)])
def test_an_edit_outside_the_text_is_not_made(place: tuple[int, int, int, int]) -> None:
    assert apply_edits("abc\n", [fix(Edit(Span(*place), ("x",)))]) == ("abc\n", ())


def rule(
    pattern: str, replacement: str, rule_id: str = "GRD601", applicability: Applicability = Applicability.SAFE
) -> Callable[[Source], tuple[Finding, ...]]:
    """A linter that finds every match of a pattern and proposes to replace it."""

    def lint(source: Source) -> tuple[Finding, ...]:
        found = []
        for match in re.finditer(pattern, source.text):
            place = span(source.text, *match.span())
            edits = fix(Edit(place, (match.expand(replacement),)), applicability=applicability)
            found.append(Finding(rule_id, "a-name", Severity.WARNING, "m", place, fix=edits))
        return tuple(found)

    return lint


def together(*lints: Callable[[Source], tuple[Finding, ...]]) -> Callable[[Source], tuple[Finding, ...]]:
    return lambda source: tuple(finding for lint in lints for finding in lint(source))


def nested(source: Source) -> tuple[Finding, ...]:
    """Finds every call of f, all of which end where the text ends, and proposes g for it."""
    text = source.text
    found = []
    for match in re.finditer(r"f(?=\()", text):
        place = span(text, match.start(), len(text))
        edit = Edit(place, ("g", text[match.end() :]))
        found.append(Finding("GRD601", "a-name", Severity.WARNING, "m", place, fix=fix(edit)))
    return tuple(found)


def test_overlapping_fixes_take_turns_until_nothing_is_left() -> None:
    fixed = fix_file(Source("a.py", "old old(old(x))\n"), rule(r"old", "new"))
    assert fixed.source.text == "new new(new(x))\n"
    assert (fixed.applied, fixed.findings, fixed.rejected, fixed.converged) == ({"GRD601": 3}, (), (), True)
    fixed = fix_file(Source("a.py", "f(1 + f(f(f(x))))"), nested)
    assert (fixed.source.text, fixed.applied, fixed.converged) == ("g(1 + g(g(g(x))))", {"GRD601": 4}, True)
    fixed = fix_file(Source("a.py", "aaaa"), rule(r"a", "b"))
    assert (fixed.source.text, fixed.applied) == ("bbbb", {"GRD601": 4})


def test_a_file_that_is_never_done_is_given_up() -> None:
    fixed = fix_file(Source("a.py", "f(" * (ROUNDS + 10)), nested)
    assert (fixed.applied["GRD601"], len(fixed.findings), fixed.converged) == (ROUNDS, 10, False)
    assert fixed.source.text == "g(" * ROUNDS + "f(" * 10


@pytest.mark.parametrize(
    ("applicability", "unsafe", "result"),
    [
        (Applicability.SAFE, False, "new"),
        (Applicability.UNSAFE, False, "old"),
        (Applicability.UNSAFE, True, "new"),
        (Applicability.DISPLAY_ONLY, True, "old"),
    ],
)
def test_only_what_was_asked_for_is_applied(applicability: Applicability, unsafe: bool, result: str) -> None:
    lint = rule("old", "new", applicability=applicability)
    fixed = fix_file(Source("a.py", "old"), lint, unsafe)
    assert (fixed.source.text, fixed.converged) == (result, True)
    assert len(fixed.findings) == (result == "old")


def test_a_fix_that_does_harm_is_taken_back_and_the_others_stay() -> None:
    def unparsable(source: Source) -> tuple[Finding, ...]:
        if "((" in source.text:
            return (Finding("GRD001", "syntax-error", Severity.ERROR, "m", Span(1, 1, 1, 1)),)
        return ()

    lint = together(
        rule("bad", "((", "GRD602"),
        rule("worse", "evil", "GRD603"),
        rule("(?:same)", "same", "GRD604"),
        rule("grow", "grow grow", "GRD605"),
        rule("evil", "evil", "GRD606"),
        rule("stay", "stay!", "GRD607"),
        rule("old", "new"),
        unparsable,
    )
    text = "old bad old worse same grow stay old\n"
    fixed = fix_file(Source("a.py", text), lint)
    assert fixed.source.text == "new bad new worse same grow stay new\n"
    assert fixed.applied == {"GRD601": 3}
    assert fixed.converged
    assert {item.finding.rule: item.reason for item in fixed.rejected} == {
        "GRD602": "it leaves code that does not parse",
        "GRD603": "it causes GRD606 a-name",
        "GRD604": "it changes nothing",
        "GRD605": "it does not remove the finding",
        "GRD607": "it does not remove the finding",
    }


def test_two_rules_that_undo_each_other_stop() -> None:
    lint = together(rule("one", "two", "GRD601"), rule("two", "one", "GRD602"))
    fixed = fix_file(Source("a.py", "one\n"), lint)
    assert (fixed.source.text, len(fixed.rejected)) == ("one\n", 1)


def notebook(*codes: str) -> bytes:
    cells = [
        {"cell_type": "code", "execution_count": 7, "metadata": {}, "outputs": ["kept"], "source": code}
        for code in codes
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1).encode()


def test_a_notebook_keeps_its_cells_and_all_that_is_not_code(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(notebook("%matplotlib inline\nold", "x", "!ls\nold\nold"))
    source = read(str(path))
    fixed = fix_file(source, rule("old", "new\nnew"))
    assert [(cell.number, cell.line_count) for cell in fixed.source.cells] == [(1, 3), (2, 1), (3, 5)]
    changes = diff(source, fixed.source.text, "a.ipynb")
    assert (
        "--- a.ipynb:cell 1\n+++ a.ipynb:cell 1\n@@ -1,2 +1,3 @@\n %matplotlib inline\n-old\n+new\n"
        in changes
    )
    assert "cell 2" not in changes
    write(source, fixed.source.text)
    assert path.read_bytes() == notebook("%matplotlib inline\nnew\nnew", "x", "!ls\nnew\nnew\nnew\nnew")
    swallowing = fix_file(decode("a.ipynb", notebook("a", "b")), rule(r"(?s)a.*b", "c"))
    assert [item.reason for item in swallowing.rejected] == ["it reaches over the end of a cell"]


def test_the_diff_can_be_applied() -> None:
    source = Source("a.py", "one\ntwo\x0c\x85\nthree")
    assert diff(source, source.text) == ""
    assert diff(source, "one\ntwo\x0c\x85\n3") == (
        "--- a.py\n+++ a.py\n@@ -1,3 +1,3 @@\n one\n two\x0c\x85\n"
        "-three\n\\ No newline at end of file\n+3\n\\ No newline at end of file\n"
    )


@pytest.mark.parametrize("name", ["a b.py", "a\tb.py", "a\n'b\".py", "a\\b.py", "é<&>%.py"])
def test_the_diff_names_any_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("old\n")
    patch = diff(Source(name, "old\n"), "new\n")
    found = subprocess.run(
        ["git", "apply", "-p0", "-"], cwd=tmp_path, input=patch, text=True, encoding="utf-8", check=False
    )
    assert found.returncode == 0
    assert (tmp_path / name).read_text() == "new\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"old\nx\n", b"new\nx\n"),
        (b"old\r\nx\r\n", b"new\r\nx\r\n"),
        (b"old\nx\r\ny\rz", b"new\nx\r\ny\rz"),
        (b"\xef\xbb\xbfold\n", b"\xef\xbb\xbfnew\n"),
        (b"# coding: latin-1\n# \xe9 old", b"# coding: latin-1\n# \xe9 new"),
        ("old = 'é'\x0c\n".encode(), "new = 'é'\x0c\n".encode()),
    ],
)
def test_bytes_that_no_fix_names_stay(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(before)
    source = read(str(path))
    write(source, fix_file(source, rule("old", "new")).source.text)
    assert path.read_bytes() == after
    assert [*tmp_path.iterdir()] == [path]


def test_permissions_and_links_stay(tmp_path: Path) -> None:
    target, link = tmp_path / "target.py", tmp_path / "link.py"
    target.write_text("old\n")
    target.chmod(0o751)
    link.symlink_to(target.name)
    write(read(str(link)), "new\n")
    assert link.is_symlink()
    assert target.read_text() == "new\n"
    assert target.stat().st_mode & 0o777 == 0o751


def test_a_file_that_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("old\n")
    source = read(str(path))
    path.write_text("edited\n")
    with pytest.raises(WriteError, match=r"a\.py was not fixed: it has changed since it was read"):
        write(source, "new\n")
    assert path.read_text() == "edited\n"
    path.unlink()
    with pytest.raises(WriteError):
        write(source, "new\n")
    assert [*tmp_path.iterdir()] == []


def test_a_file_that_cannot_hold_the_text_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"# coding: ascii\nx\n")
    with pytest.raises(WriteError, match="does not exist in"):
        write(read(str(path)), "# coding: ascii\n\u00e9\n")
    assert path.read_bytes() == b"# coding: ascii\nx\n"


def test_a_read_only_file_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.py"
    path.write_text("old\n")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(WriteError, match="read-only"):
        write(read(str(path)), "new\n")
    assert path.read_text() == "old\n"
