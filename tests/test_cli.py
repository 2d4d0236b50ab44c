"""The command line: what it answers, where, and with which exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlint.cli import check, fixing, main, progress, typer_app
from gradlint.cli.arguments import BASELINE, CHECK, Argument, Shape, Values, read_quickly
from gradlint.cli.complete import complete_choices, complete_rules
from gradlint.config.options import BY_KEY, OUTPUT_FORMATS
from gradlint.config.toml_file import read_table
from gradlint.fix.rounds import Fixed, Rejected
from gradlint.rule.registry import load
from gradlint.source.source import Source

BAD = "import torch\n\n\ndef f(x):\n    return torch.sqrt((x**2).sum())\n"
GOOD = "import torch\n\n\ndef f(x):\n    return torch.sqrt((x**2).sum() + 1e-8)\n"
SILENCED = "import torch\n\nx = 1  # gradlint: ignore[GRD601]\n"
BROKEN = "import torch\ndef f(:\n"
GRADLINT = (sys.executable, "-m", "gradlint")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADLINT_CACHE_DIR", str(tmp_path / ".cache"))
    for variable in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.fixture
def gradlint(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line in this process: exit code, output, errors."""

    def run(*words: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(stdin.encode())))
        capfd.readouterr()
        code = main.run(words)
        return code, *capfd.readouterr()

    return run


def write(**files: str) -> None:
    """Write Python files named by keyword; two underscores stand for a slash."""
    for name, text in files.items():
        path = Path(name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


# The exit code


@pytest.mark.parametrize(
    ("text", "words", "code"),
    [
        (GOOD, "", 0),
        (BAD, "", 1),
        (BAD, "--exit-zero", 0),
        (BAD, "--ignore GRD601", 0),
        (BAD, "--select GRD0,infinite-gradient-at-zero", 1),
        (BAD, "--severity GRD601=note", 0),
        (BAD, "--severity GRD6=note --fail-on note", 1),
        (BAD, "--severity GRD601=warning --fail-on error", 0),
        (BAD, "--per-file-ignores a.py:GRD6,GRD0", 0),
        (BAD, "--per-file-ignores=*.py:GRD0 --per-file-ignores={a,b}.py:GRD601", 0),
        (BAD, "--exclude b.py,{a,c}.py", 0),
        (BAD, "--exclude=b.py --no-cache -j 1", 1),
        (SILENCED, "", 0),
        (SILENCED, "--fail-on note", 1),
        (SILENCED, "--fail-on note --fix", 0),
        (SILENCED, "--fix --exit-non-zero-on-fix", 1),
        (SILENCED, "--fix-only --exit-non-zero-on-fix", 1),
        (SILENCED, "--diff", 1),
        (GOOD, "--diff", 0),
        (BROKEN, "", 1),
        (BROKEN, "--fix", 1),
    ],
)
def test_exit_codes(gradlint: Run, text: str, words: str, code: int) -> None:
    write(a=text)
    assert gradlint("check", *words.split())[0] == code


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("check srcc", r"no such file or folder: `srcc`; did you mean `src`\?"),
        ("check src/nett.py", r"did you mean `src/net.py`\?"),
        ("check --selct GRD6", r"no such option: `--selct`; did you mean `--select`\?"),
        ("check --select GRD66O", r"`--select`: unknown rule `GRD66O`; did you mean `GRD\d{3}`\?"),
        ("check --select GRD69", r"`--select`: no rule's code begins with `GRD69`; there are `GRD60`"),
        ("check --select=", "`--select` names no rule"),
        ("check --select=,", "`--select` names no rule"),
        ("check --cache-dir=", "`--cache-dir`: the path is empty"),
        ("check --jobs -1", "`--jobs`: -1 is below 0"),
        ("clean --cache-dir src/net.py", "`.*src/net.py` cannot be emptied: Not a directory"),
        ("check --output-file src src", "`src` cannot be written: Is a directory"),
        ("check --config src", "src: cannot be read: Is a directory"),
        ("check --baseline src", "src cannot be read: Is a directory"),
        ("check no\vsuch", "`no such`"),
        ("check --ignore infinite-gradient-at-nero", r"did you mean `infinite-gradient-at-zero`\?"),
        ("check --output-format jsn", r"`--output-format`: unknown value `jsn`; did you mean `json`\?"),
        ("check --severity GRD601", r"`--severity`: `GRD601` is not of the form RULE=LEVEL"),
        ("check --severity GRD601=eror", r"did you mean `error`\?"),
        ("check --per-file-ignores GRD6", "is not of the form PATTERN:RULES"),
        ("check --color sometimes", "`--color`: unknown value `sometimes`; it may be auto, always, never"),
        ("check --jobs many", r"`--jobs`.*see `gradlint check --help`"),
        ("check --select", r"`--select`"),
        ("check --statistics --output-format sarif", "`--statistics` has no form for sarif"),
        ("check --output-file gone/x src", "`gone/x` cannot be written: No such file or directory"),
        ("check --config gone.toml", "gone.toml: cannot be read"),
        ("check --baseline gone.json", "gone.json"),
        ("check - src", "`-` stands alone"),
        ("chek", r"no such command: `chek`; did you mean `check`\?"),
        ("src", r"no such command: `src`; did you mean `gradlint check src`\?"),
        ("rules --fix", r"no such option.*--fix"),
        ("check --help=x", "--help"),
        ("rule GRD6O1", "unknown rule"),
        ("rule", "name a rule"),
        ("rules --output-format yaml", "unknown value `yaml`"),
        ("baseline --output gone/x src", "`gone/x` cannot be written"),
    ],
)
def test_mistakes_are_told_in_one_line(gradlint: Run, words: str, message: str) -> None:
    write(src__net=BAD)
    code, out, err = gradlint(*words.split(" "))
    assert (code, out) == (2, "")
    assert re.search(message, err, re.IGNORECASE), err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_internal_errors_have_a_traceback_only_on_request(
    gradlint: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(main, "run_command", fail)
    code, out, err = gradlint("check")
    assert (code, out) == (2, "")
    assert err == "error: internal error: ZeroDivisionError: division by zero; --debug shows where\n"
    with pytest.raises(ZeroDivisionError):
        main.run(["check", "--debug"])


# What is checked


def test_configuration_of_each_folder_holds(gradlint: Run) -> None:
    write(a=BAD, sub__b=BAD, sub__c=BAD, build__d=BAD)
    Path("sub/gradlint.toml").write_text("extend-exclude = ['c.py']\nseverity = {GRD601 = 'note'}\n")
    found = json.loads(gradlint("check", "--output-format", "json")[1])
    assert {item["filename"]: item["severity"] for item in found} == {"a.py": "error", "sub/b.py": "note"}
    assert gradlint("check", "--show-files", "sub", "a.py")[1].split() == ["a.py", "sub/b.py"]
    assert gradlint("check", "--show-files", "--isolated", "sub")[1].split() == ["sub/b.py", "sub/c.py"]
    assert gradlint("check", "--show-files", "--config", "sub/gradlint.toml")[1].split() == [
        "a.py",
        "sub/b.py",
    ]


def test_shown_settings_are_a_configuration(gradlint: Run) -> None:
    write(a=GOOD)
    options = "--target-torch 2.1 --severity GRD601=note --per-file-ignores a.py:GRD6,ACM --select GRD --fix"
    code, out, _ = gradlint("check", "--show-settings", *options.replace(",ACM", "").split())
    Path("gradlint.toml").write_text(out)
    table = read_table("gradlint.toml")[1]
    assert code == 0
    assert table is not None
    assert table.keys() <= BY_KEY.keys()
    assert (table["target-torch"], table["fix"], table["select"]) == ("2.1", True, ["GRD"])
    assert gradlint("check", "--show-settings")[1] == out
    assert gradlint("check", "--show-settings", "gone")[0] == 2


def test_a_folder_that_cannot_be_listed_is_reported(gradlint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write(locked__a=GOOD)
    scandir = os.scandir

    def refuse(path: Any = ".") -> Iterator[Any]:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    code, out, _ = gradlint("check", "--output-format", "concise")
    assert code == 1
    assert "locked:1:1: error: GRD001 the folder cannot be listed: Permission denied" in out


def test_nothing_to_check_is_told(gradlint: Run) -> None:
    code, out, err = gradlint("check")
    assert (code, out, err) == (0, "All checks passed!\n", "warning: no Python files found\n")
    assert gradlint("check", "--quiet") == (0, "", "")


# What is printed, and where


def test_machine_formats_own_the_standard_output(gradlint: Run) -> None:
    write(a=BAD, b=BROKEN)
    for words in (("--show-coverage",), ("--quiet",), ("--fix",), ("--color", "always")):
        items = json.loads(gradlint("check", "--output-format", "json", *words)[1])
        assert [item["code"] for item in items] == ["GRD601", "GRD001"]
    assert json.loads(gradlint("check", "--output-format", "json", "--exclude", "*.py")[1]) == []
    counts = json.loads(gradlint("check", "--statistics", "--output-format", "json")[1])
    assert {row["code"]: row["count"] for row in counts} == {"GRD601": 1, "GRD001": 1}


def test_reports_go_to_the_output_file(gradlint: Run) -> None:
    write(a=BAD)
    code, out, _ = gradlint("check", "--output-file", "report.txt", "--output-format", "concise")
    assert (code, out) == (1, "")
    assert Path("report.txt").read_text().startswith("a.py:5:12: error: GRD601 ")


def test_colours_and_quietness(gradlint: Run) -> None:
    write(a=BAD)
    plain, coloured = (gradlint("check", "--color", color)[1] for color in ("auto", "always"))
    assert "\x1b[" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain != coloured
    assert "Found 1 finding" in plain
    assert "Found" not in gradlint("check", "-q")[1]
    _, _, err = gradlint("check", "--show-coverage")
    assert err.startswith("1 file, 1 analysed\n")


def test_known_findings_stay_hidden(gradlint: Run) -> None:
    write(a=BAD)
    code, _, err = gradlint("baseline", "--output", "known.json", "a.py")
    assert (code, err.splitlines()[0]) == (0, "known.json now holds 1 finding.")
    write(a=f"# a line more\n{BAD}", b=BAD)
    items = json.loads(gradlint("check", "--baseline", "known.json", "--output-format", "json")[1])
    assert [item["filename"] for item in items] == ["b.py"]
    write(a=GOOD)
    assert "gone" in gradlint("check", "--baseline", "known.json")[2]
    Path("gradlint.toml").write_text("baseline = 'kept.json'")
    assert gradlint("baseline")[2] == "kept.json now holds 1 finding.\n"
    assert gradlint("check")[0] == 0


def test_the_cache_can_be_moved_and_deleted(gradlint: Run) -> None:
    write(a=BAD)
    for _ in range(2):
        assert gradlint("check", "--cache-dir", "kept")[0] == 1
    assert list(Path("kept").iterdir())
    assert "Deleted" in gradlint("clean", "--cache-dir", "kept")[2]
    assert "holds nothing" in gradlint("clean", "--cache-dir", "kept")[2]
    assert not Path(".cache").exists()
    assert gradlint("check", "--no-cache")[0] == 1
    assert not Path(".cache").exists()


# Fixes


def test_fixes_are_applied_or_shown(gradlint: Run) -> None:
    write(a=SILENCED, sub__b=SILENCED)
    code, out, err = gradlint("check", "--diff")
    assert code == 1
    assert "--- a.py\n+++ a.py\n@@" in out
    assert "--- sub/b.py" in out
    assert "-x = 1  # gradlint: ignore[GRD601]\n+x = 1\n" in out
    assert err == "Would fix 2 findings.\n"
    assert Path("a.py").read_text() == SILENCED
    assert gradlint("check", "--fix-only", "a.py") == (0, "", "Fixed 1 finding.\n")
    code, out, _ = gradlint("check", "--fix")
    assert (code, out) == (0, "Fixed 1 finding.\nAll checks passed!\n")
    assert Path("a.py").read_text() == Path("sub/b.py").read_text() == "import torch\n\nx = 1\n"


def test_fixes_reach_the_cells_beside_a_broken_one(gradlint: Run) -> None:
    codes = [
        "import torch\nx = torch.ones(3)",
        "y = (\n'''",
        "y = x == torch.nan\n",
        "!ls\nx = 1  # gradlint: ignore[GRD601]",
    ]
    book = {"cells": [{"cell_type": "code", "source": code} for code in codes]}
    Path("a.ipynb").write_text(json.dumps(book))
    code, out, _ = gradlint("check", "--fix", "--output-format", "concise")
    assert (code, out.split(": ")[0]) == (1, "a.ipynb:cell 2:2:1")
    fixed = [cell["source"] for cell in json.loads(Path("a.ipynb").read_text())["cells"]]
    assert fixed == [codes[0], codes[1], "y = torch.isnan(x)\n", "!ls\nx = 1"]


def test_a_file_that_cannot_be_written_is_an_error(gradlint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write(a=SILENCED)
    monkeypatch.setattr(os, "access", lambda *_: False)
    code, _, err = gradlint("check", "--fix")
    assert code == 2
    assert "a.py cannot be written" in err
    assert stat.S_IMODE(Path("a.py").stat().st_mode) & stat.S_IWUSR


def test_a_fix_that_was_taken_back_is_told(gradlint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Source, lint: Any, unsafe: bool) -> Fixed:
        findings = lint(source)
        return Fixed(source, findings, {}, (Rejected(findings[0], "it causes GRD999"),))

    monkeypatch.setattr(fixing, "fix_file", refuse)
    write(a=SILENCED)
    note = "note: a.py:3: the fix of GRD002 was not applied: it causes GRD999\n"
    assert gradlint("check", "--fix")[2] == note
    assert gradlint("check", "--diff") == (0, "", f"{note}Would fix 0 findings.\n")
    assert Path("a.py").read_text() == SILENCED


@pytest.mark.parametrize("words", [("--fix",), ("--fix", "-")])
def test_a_fix_that_was_refused_is_no_longer_offered(
    gradlint: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr("gradlint.fix.rounds._fault", lambda *_: "it causes GRD999")
    write(a=SILENCED)
    assert "1 fixable with --fix" in gradlint("check")[1]
    _, out, err = gradlint("check", *words, stdin=SILENCED)
    assert "was not applied: it causes GRD999" in err
    assert "GRD002" in out + err
    assert "fixable" not in out + err
    _, out, _ = gradlint("check", "--fix", "--output-format", "json", "a.py")
    assert json.loads(out)[0]["fix"]["applicability"] == "display-only"


@pytest.mark.parametrize("words", ["--fix", "--diff"])
def test_a_file_that_is_gone_before_it_is_fixed_is_an_error(
    gradlint: Run, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    def check_and_delete(session: Any) -> Any:
        result = check.check(session)
        Path("a.py").unlink()
        return result

    monkeypatch.setattr(fixing, "check", check_and_delete)
    write(a=SILENCED, b=SILENCED)
    code, _, err = gradlint("check", words)
    assert code == 2
    assert err.startswith("error: a.py was not fixed: cannot be read: No such file or directory\n")
    assert (Path("b.py").read_text() == SILENCED) == (words == "--diff")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
@pytest.mark.parametrize("name", [b"a\nb.py", b"l\xe9.py", b"a,b:c%.py", b"\x1b[31m\t.py"])
def test_any_file_name_will_do(gradlint: Run, name: bytes) -> None:
    path = Path(os.fsdecode(name))
    path.write_text(BAD)
    for form in OUTPUT_FORMATS:
        for _ in ("cold", "warm"):
            code, out, err = gradlint("check", "--output-format", form)
            assert (code, err, "GRD601" in out) == (1, "", True)
            assert "\x1b" not in out
    assert gradlint("baseline", "--quiet") == (0, "", "")
    assert gradlint("check", "--quiet", "--baseline", "gradlint-baseline.json") == (0, "", "")
    assert gradlint("check", "--fix-only", "--unsafe-fixes") == (0, "", "Fixed 1 finding.\n")


# Standard input


EDITOR = (
    "check",
    "--force-exclude",
    "--quiet",
    "--no-fix",
    "--output-format",
    "json",
    "-",
    "--stdin-filename",
)


def test_editors_send_the_buffer(gradlint: Run) -> None:
    write(sub__a=GOOD)
    Path("sub/gradlint.toml").write_text("extend-exclude = ['gen']\nseverity = {GRD601 = 'note'}\nfix = true")
    code, out, _ = gradlint(*EDITOR, "sub/a.py", stdin=BAD)
    assert [(item["filename"], item["severity"]) for item in json.loads(out)] == [("sub/a.py", "note")]
    assert code == 0
    assert gradlint(*EDITOR, "sub/gen/a.py", stdin=BAD) == (0, "[]\n", "")
    assert gradlint(*EDITOR, "sub/new.py", stdin=GOOD) == (0, "[]\n", "")
    code, out, _ = gradlint(*EDITOR, "sub/a.py", stdin=BROKEN)
    assert (code, json.loads(out)[0]["code"]) == (1, "GRD001")
    code, out, _ = gradlint("check", "-", stdin=BAD)
    assert out.startswith("-:5:12: error: GRD601")
    assert "5 |     return torch.sqrt((x**2).sum())" in out


def test_a_fixed_buffer_comes_back(gradlint: Run) -> None:
    fixed = "import torch\n\nx = 1\n"
    assert gradlint("check", "-", "--fix", "-q", stdin=SILENCED)[:2] == (0, fixed)
    assert gradlint("check", "-", "--fix-only", stdin=SILENCED) == (0, fixed, "")
    code, out, err = gradlint("check", "-", "--fix", stdin=BROKEN)
    assert (code, out) == (1, BROKEN)
    assert "GRD001" in err
    code, out, _ = gradlint("check", "-", "--diff", "--stdin-filename", "a.py", stdin=SILENCED)
    assert code == 1
    assert out.startswith("--- a.py")
    excluded = ("--force-exclude", "--stdin-filename", "build/a.py")
    assert gradlint("check", "-", "--fix", *excluded, stdin=SILENCED)[:2] == (0, SILENCED)
    assert gradlint("check", "-", "--diff", *excluded, stdin=SILENCED)[:2] == (0, "")
    assert gradlint("check", "-", "--fix", stdin="# coding: no-such\n")[:2] == (1, "# coding: no-such\n")


# The documentation of rules


def test_rules_are_listed_and_explained(gradlint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = load()
    table = gradlint("rules")[1].splitlines()
    assert [line.split()[0] for line in table[: len(rules)]] == [rule.id for rule in rules]
    assert [item["code"] for item in json.loads(gradlint("rules", "--output-format", "json")[1])] == [
        rule.id for rule in rules
    ]
    by_code, by_name = (gradlint("rule", word) for word in ("grd601", "infinite-gradient-at-zero"))
    assert by_code == by_name
    assert by_code[1].startswith("# GRD601 infinite-gradient-at-zero\n")
    every = gradlint("rule", "--all")[1]
    assert all(f"# {rule.id} {rule.name}\n" in every for rule in rules)
    assert json.loads(gradlint("rule", "GRD001", "--output-format", "json")[1])["name"] == "syntax-error"
    assert len(json.loads(gradlint("rule", "--all", "--output-format", "json")[1])) == len(rules)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "# GRD001" not in gradlint("rule", "GRD001")[1]


def test_help_and_completion_know_every_option(gradlint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = gradlint("check", "--help")
    assert code == 0
    assert all(name in out for argument in CHECK if not argument.hidden for name in argument.names)
    assert gradlint("--version") == gradlint("-V")
    assert gradlint("-h")[0] == 0
    assert gradlint()[0] == 2
    assert ("GRD601", "infinite-gradient-at-zero") in complete_rules("grd60")
    assert ("GRD0,GRD601", "infinite-gradient-at-zero") in complete_rules("GRD0,GRD601")
    formats = complete_choices("output-format")
    assert formats is not None
    assert formats("js") == ["json", "json-lines"]


# The two readers of command lines


def option_words(argument: Argument) -> st.SearchStrategy[list[str]]:
    names = st.sampled_from([*argument.names, *filter(None, [argument.off])])
    if argument.shape is Shape.SWITCH:
        return names.map(lambda name: [name])
    values = st.integers(0, 99).map(str) if argument.shape in NUMBERS else WORDS
    return st.one_of(
        st.tuples(names, values).map(list),
        st.tuples(names, values).map(lambda pair: [f"{pair[0]}={pair[1]}"]),
        st.tuples(names, values).map("".join).map(lambda word: [word]),
    )


NUMBERS = (Shape.NUMBER, Shape.DECIMAL)
WORDS = st.sampled_from(["a", "-", "--", "-x", "--fix", "a,b", "p:q", "a=b", "1", "--color=x", "-qo", "-o1"])
OPTIONS = st.one_of([option_words(argument) for argument in CHECK])
LINES = st.lists(st.one_of(OPTIONS, WORDS.map(lambda word: [word])), max_size=5)


@given(LINES.map(lambda groups: [word for group in groups for word in group]))
def test_the_quick_reader_agrees_with_typer(words: list[str]) -> None:
    quick = read_quickly(words, CHECK)
    if quick is None:
        return
    slow: list[tuple[str, Values]] = []

    def record(name: str, values: Values) -> int:
        slow.append((name, values))
        return 0

    assert typer_app.invoke(["check", *words], record) == 0
    assert slow == [("check", quick)]


def test_the_quick_reader_knows_all_plain_options() -> None:
    for argument in CHECK:
        words = [argument.names[0], *(["1"] if argument.shape is not Shape.SWITCH else [])]
        assert read_quickly(words, CHECK) is not None
    settings = {argument.setting for argument in CHECK if argument.setting}
    assert settings == BY_KEY.keys() - {"verify-targets"}
    assert {argument.target for argument in BASELINE} > {"select", "output"}


# The process


def start(*words: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen([*GRADLINT, *words], stdin=pipe, stdout=pipe, stderr=pipe, env=env)


def test_a_plain_run_imports_nothing_slow() -> None:
    write(a=BAD)
    script = (
        "import sys; from gradlint.cli.main import run; code = run(['check', '-q'])\n"
        "slow = {'typer', 'click', 'rich', 'libcst', 'pydantic', 'platformdirs', 'yaml', 'torch', 'numpy'}\n"
        "print(*sorted(slow & sys.modules.keys())); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1] == ""


def test_a_reader_that_leaves_is_no_error() -> None:
    write(**{f"a{number}": BAD * 20 for number in range(10)})
    with start("check") as process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("words", ["check", "check --diff", "check --show-files", "rules"])
def test_an_output_that_is_full_is_an_error(words: str) -> None:
    write(a=SILENCED)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*GRADLINT, *words.split()],
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.endswith(
            b"error: the standard output cannot be written: No space left on device\n"
        )
        assert done.stderr.count(b"error") == 1
        assert subprocess.run([*GRADLINT, "check", "gone"], stderr=full, check=False).returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize(
    ("words", "closed", "code"),
    [("check", ">&-", 1), ("check gone", "2>&-", 2), ("check - ", "<&-", 2), ("check", ">&- 2>&- <&-", 1)],
)
def test_streams_may_be_closed(words: str, closed: str, code: int) -> None:
    write(a=BAD)
    command = f"{sys.executable} -m gradlint {words} {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert done.returncode == code
    assert b"internal" not in done.stderr


def test_an_interrupt_ends_quietly() -> None:
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from gradlint.cli.main import run; print('ready', flush=True); raise SystemExit(run(['check', '-']))"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"interrupted\n")


def test_any_terminal_encoding_will_do() -> None:
    write(a="import torch\n\n\ndef f(x):\n    return torch.sqrt((x**2).sum()), 'π'\n")
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    with start("check", env=environment) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, b"")
    assert b"\\u03c0" in out


def test_a_bar_appears_only_when_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.progress_bar(wanted=True) as advance:
        assert advance is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress.progress_bar(wanted=True) as advance:
        assert advance is not None
        advance(1, 2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "PATIENCE", 0)
    with progress.progress_bar(wanted=True) as advance:
        assert advance is not None
        advance(1, 2)
        advance(2, 2)
    captured = capsys.readouterr()
    assert "Checking" in captured.err
    assert captured.out == ""
