"""Configuration: which file holds, what it may say, which rules it turns on."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlint.config.cache_folder import cache_folder
from gradlint.config.error import ConfigError
from gradlint.config.load import Configurations
from gradlint.config.options import OPTIONS, OUTPUT_FORMATS
from gradlint.config.schema import render, schema
from gradlint.config.select import active
from gradlint.config.settings import DEFAULT_EXCLUDE, Settings
from gradlint.records.finding import Finding, Severity
from gradlint.report.render import FORMATS
from gradlint.rule.registry import load
from gradlint.rule.rule import Rule


def rule(code: str, title: str, in_preview: bool = False) -> type[Rule]:
    class Sample(Rule):
        id = code
        name = title
        severity = Severity.WARNING
        preview = in_preview

        def check(self, subject: object, /) -> Iterator[Finding]:
            return iter(())

    return Sample


RULES = (
    rule("GRD001", "syntax-error"),
    rule("GRD601", "log-of-zero"),
    rule("GRD602", "exp-overflow"),
    rule("GRD610", "root-of-zero"),
    rule("GRD699", "brand-new", in_preview=True),
    rule("ACM101", "house-rule"),
)
STABLE = [rule.id for rule in RULES if not rule.preview]


def configurations(options: dict[str, Any] | None = None, **where: Any) -> Configurations:
    return Configurations(RULES, options, **where)


def on(root: Path, path: str = "a.py", /, **options: Any) -> list[str]:
    """The rules that are on for a file below `root`, with options as keys of a configuration."""
    table = {key.replace("_", "-"): value for key, value in options.items()}
    return list(configurations(table).select(str(root / path)))


def write(root: Path, **files: str) -> None:
    """Write files named by keyword; two underscores stand for a slash."""
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".toml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_the_nearest_file_wins_and_options_win_over_it(tmp_path: Path) -> None:
    write(
        tmp_path,
        pyproject="[tool.gradlint]\nignore = ['ACM']\njobs = 1",
        a__pyproject="[tool.other]\nname = 'gradlint'",
        a__gradlint="jobs = 2",
        b__pyproject="[tool.gradlint]\njobs = 3",
        b__c__pyproject="[project]\nname = 'x'",
    )
    (tmp_path / "a/.gradlint.toml").write_text("jobs = 9")
    found = configurations()
    places = {"x.py": 1, "a/x.py": 2, "b/x.py": 3, "b/c/d/x.py": 3}
    assert {path: found.for_file(str(tmp_path / path)).jobs for path in places} == places
    assert on(tmp_path, "x.py") == STABLE[:-1]
    assert on(tmp_path, "b/x.py") == STABLE
    assert configurations({"jobs": 7}).for_file(str(tmp_path / "a/x.py")).jobs == 7
    assert configurations(isolated=True).for_file(str(tmp_path / "a/x.py")).jobs == 0
    named = configurations(file=str(tmp_path / "a/.gradlint.toml"))
    assert named.for_file(str(tmp_path / "b/x.py")).jobs == 9


def test_a_file_may_extend_another(tmp_path: Path) -> None:
    write(
        tmp_path,
        base__gradlint="select = ['GRD6']\njobs = 4\nextend-exclude = ['data/*']\nbaseline = 'known.json'",
        team__gradlint="extend = '../base/gradlint.toml'\nignore = ['GRD602']\nextend-exclude = ['old']",
    )
    settings = configurations().for_folder(str(tmp_path / "team"))
    assert (settings.jobs, settings.root) == (4, str(tmp_path / "team"))
    assert settings.extend_exclude == (f"{tmp_path}/base/data/*", "old")
    assert settings.baseline == str(tmp_path / "base/known.json")
    assert on(tmp_path, "team/a.py") == ["GRD601", "GRD610"]


def test_paths_are_relative_to_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        tmp_path,
        sub__gradlint="cache-dir = 'cache'\n[per-file-ignores]\n'src/*.py' = ['GRD6']\n'!src' = ['ACM']",
    )
    monkeypatch.chdir(tmp_path)
    assert configurations().for_file("sub/x.py").cache_dir == str(tmp_path / "sub/cache")
    assert configurations({"cache-dir": "here"}).for_file("sub/x.py").cache_dir == str(tmp_path / "here")
    assert on(Path(), "sub/src/x.py") == ["GRD001", "ACM101"]
    assert on(Path(), "sub/x.py") == STABLE[:-1]
    assert on(Path(), "sub/x.py", per_file_ignores={"sub/*": ["ALL"], "y.py": ["ALL"]}) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, STABLE),
        ({"select": []}, []),
        ({"select": ["grd6"]}, ["GRD601", "GRD602", "GRD610"]),
        ({"select": ["GRD60"], "extend-select": ["house-rule"]}, ["GRD601", "GRD602", "ACM101"]),
        ({"select": ["GRD601"], "ignore": ["GRD6"]}, ["GRD601"]),
        ({"select": ["GRD6"], "ignore": ["ALL"]}, ["GRD601", "GRD602", "GRD610"]),
        ({"select": ["GRD601"], "ignore": ["log-of-zero"]}, []),
        ({"select": ["GRD6"], "ignore": ["GRD60"]}, ["GRD610"]),
        ({"select": ["GRD6"], "preview": True}, ["GRD601", "GRD602", "GRD610", "GRD699"]),
        ({"select": ["brand-new"]}, ["GRD699"]),
        ({"select": ["GRD6"], "severity": {"GRD60": "off"}}, ["GRD610"]),
        ({"severity": {"GRD": "off", "GRD601": "error"}}, ["GRD601", "ACM101"]),
    ],
)
def test_the_more_specific_selector_decides(
    tmp_path: Path, options: dict[str, Any], expected: list[str]
) -> None:
    assert list(configurations(options).select(str(tmp_path / "a.py"))) == expected


@pytest.mark.parametrize(
    ("file", "options", "expected"),
    [
        ("ignore = ['GRD601']", {"extend-select": ["GRD601"]}, STABLE),
        ("ignore = ['GRD601']", {"extend-select": ["GRD6"]}, STABLE),
        ("select = ['GRD601']", {"ignore": ["GRD6"]}, []),
        ("select = ['GRD601', 'ACM']", {"ignore": ["GRD602"]}, ["GRD601", "ACM101"]),
        ("ignore = ['GRD601']", {"select": ["GRD60"]}, ["GRD601", "GRD602"]),
        ("severity = {GRD601 = 'off'}", {"extend-select": ["log-of-zero"]}, STABLE),
        ("preview = true", {"extend-select": []}, [rule.id for rule in RULES]),
    ],
)
def test_options_decide_over_files(
    tmp_path: Path, file: str, options: dict[str, Any], expected: list[str]
) -> None:
    write(tmp_path, gradlint=file)
    assert list(configurations(options).select(str(tmp_path / "a.py"))) == expected


selectors = st.lists(st.sampled_from(["ALL", "GRD", "GRD6", "GRD60", "GRD601", "GRD602", "ACM", "ACM101"]))


@given(selectors, selectors, selectors)
def test_selecting_is_monotone(select: list[str], ignore: list[str], more: list[str]) -> None:
    chosen = set(_active(select, ignore))
    assert chosen <= set(_active([*select, *more], ignore))
    assert chosen >= set(_active(select, [*ignore, *more]))
    assert not set(_active(more, more))


def _active(select: list[str], ignore: list[str]) -> list[str]:
    return list(active(RULES, Settings(select=tuple(select), ignore=tuple(ignore))))


def test_a_rule_about_a_later_torch_is_off() -> None:
    since = {rule.id: rule.since for rule in load() if rule.since is not None}
    assert since
    for target in (None, (1, 13), (2, 3), (2, 4), (9, 0)):
        chosen = active(load(), Settings(select=("ALL",), target_torch=target))
        assert {code for code in since if code in chosen} == {
            code for code, version in since.items() if target is None or version <= target
        }


def test_severities_may_be_set_by_prefix_and_code(tmp_path: Path) -> None:
    write(tmp_path, gradlint="[severity]\nlog-of-zero = 'error'\nGRD6 = 'note'")
    path = str(tmp_path / "a.py")
    chosen = configurations().select(path)
    assert chosen["GRD601"].severity is Severity.ERROR
    assert chosen["GRD602"].severity is Severity.NOTE
    assert chosen["GRD001"].severity is None
    assert (
        configurations({"severity": {"GRD601": "warning"}}).select(path)["GRD601"].severity
        is Severity.WARNING
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nselct = ['GRD6']", "gradlint.toml:2: unknown key `selct`; did you mean `select`?"),
        ("extend_select = []", "gradlint.toml:1: unknown key `extend_select`; did you mean `extend-select`?"),
        ("jobs = 1\nselect = 'GRD6'", "gradlint.toml:2: `select` must be a list of strings, not a string"),
        ("jobs = true", "gradlint.toml:1: `jobs` must be a number from 0 on, not true or false"),
        ("fix = 1", "gradlint.toml:1: `fix` must be true or false, not a number"),
        ("baseline = []", "gradlint.toml:1: `baseline` must be a string, not a list"),
        ("ignore = ['GRD666']", "gradlint.toml:1: `ignore`: unknown rule `GRD666`; did you mean `GRD6"),
        ("ignore = ['GRD7']", "`ignore`: no rule's code begins with `GRD7`; there are `GRD0`, `GRD6`"),
        ("ignore = ['xyz']", "`ignore`: no rule's code begins with `XYZ`"),
        ("baseline = ''", "gradlint.toml:1: `baseline`: the path is empty"),
        ("jobs = 1.5", "`jobs` must be a number from 0 on, not a number with a fraction"),
        ("jobs = -1", "gradlint.toml:1: `jobs`: -1 is below 0"),
        ("ignore = ['log-of-nero']", "unknown rule `log-of-nero`; did you mean `log-of-zero`?"),
        (
            "[severity]\nGRD601 = 'bad'",
            "gradlint.toml:1: `severity`: unknown value `bad`; it may be `note`, `warning`",
        ),
        ("fail-on = 'warn'", "unknown value `warn`; did you mean `warning`?"),
        ("output-format = 'xml'", "`output-format`: unknown value `xml`"),
        ("target-torch = '2'", "`2` is not a version such as `2.4`"),
        ("exclude = ['[a']", "`[a` is not a pattern"),
        (
            "per-file-ignores = ['x']",
            "`per-file-ignores` must be a table from patterns to lists of strings, not a list",
        ),
        (
            "[per-file-ignores]\n'*.py' = 'GRD6'",
            "`per-file-ignores`: `*.py` must be a list of strings, not a string",
        ),
        (
            "[per-file-ignores]\n'*.py' = ['GRD6', 1]",
            "`*.py` must be a list of strings, not a list with a number",
        ),
        ("[severity]\nGRD601 = 3", "gradlint.toml:1: `severity`: `GRD601` must be a string, not a number"),
        ("select = [['GRD6']]", "`select` must be a list of strings, not a list with a list in it"),
        ("jobs = ", "gradlint.toml:1: is not TOML"),
        ("extend = 'none.toml'", "gradlint.toml:1: `extend = 'none.toml'` names no file"),
        ("extend = 'gradlint.toml'", "leads back to this file"),
        ("severity = 'x'", "`severity` must be a table from rules to severities, not a string"),
        ("fail-on = 3", "`fail-on` must be a string, not a number"),
        ("target-torch = 2.4", "`target-torch` must be a string, not a number with a fraction"),
        ("extend = 1", "`extend` must be a string, not a number"),
        ("[nonsense]\nx = 1", "gradlint.toml:1: unknown key `nonsense`"),
    ],
)
def test_errors_name_the_key_and_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    write(tmp_path, gradlint=text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=re.escape(message)):
        configurations().for_file("a.py")


def test_errors_in_shared_and_unusual_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(
        tmp_path,
        pyproject="[tool.x]\nselect = 1\n[tool.gradlint]\nselect = 1",
        b__pyproject="tool.gradlint = 1",
    )
    with pytest.raises(ConfigError, match=r"^pyproject\.toml:4: `select`"):
        configurations().for_file("a.py")
    with pytest.raises(ConfigError, match="must be a table"):
        configurations().for_file("b/a.py")
    write(tmp_path, c__pyproject="[project]")
    with pytest.raises(ConfigError, match="no table"):
        configurations(file="c/pyproject.toml")
    (tmp_path / "gradlint.toml").write_bytes(b"\n# \xff")
    with pytest.raises(ConfigError, match=r"gradlint\.toml:2: is not UTF-8"):
        configurations().for_file("a.py")
    with pytest.raises(ConfigError, match=r"gone\.toml: cannot be read: No such file"):
        configurations(file="gone.toml")
    with pytest.raises(ConfigError, match=r"^`jobs`: -1 is below 0"):
        configurations({"jobs": -1})


def test_the_cache_lies_where_it_is_put(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", "/home/me")
    for variable in ("GRADLINT_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    assert cache_folder(Settings()) == "/home/me/.cache/gradlint"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder(Settings()) == "/xdg/gradlint"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert (cache_folder(Settings()) or "").endswith("gradlint")
    monkeypatch.setenv("GRADLINT_CACHE_DIR", "/env")
    assert cache_folder(Settings()) == "/env"
    assert cache_folder(Settings(cache_dir="/set")) == "/set"
    assert cache_folder(Settings(cache_dir="/set", cache=False)) is None


def test_every_setting_is_an_option_and_every_format_exists() -> None:
    fields = {field.name for field in msgspec.structs.fields(Settings)}
    assert {option.field for option in OPTIONS} == fields - {"root"}
    assert set(OUTPUT_FORMATS) == set(FORMATS)
    assert Settings().exclude == DEFAULT_EXCLUDE


def test_the_schema_accepts_what_is_accepted_and_is_the_one_that_ships() -> None:
    validator = jsonschema.Draft7Validator(schema(RULES))
    jsonschema.Draft7Validator.check_schema(schema(RULES))
    good: list[dict[str, Any]] = [
        {"select": ["GRD6", "log-of-zero", "ALL"], "fail-on": "error", "jobs": 0, "extend": "../x.toml"},
        {"severity": {"GRD6": "off"}, "per-file-ignores": {"*": ["GRD601"]}, "target-torch": "2.4"},
    ]
    for table in good:
        validator.validate(table)
        configurations({key: value for key, value in table.items() if key != "extend"})
    wrong: list[dict[str, Any]] = [
        {"selct": []},
        {"select": "ALL"},
        {"jobs": -1},
        {"severity": {"GRD6": "bad"}},
        {"target-torch": "2"},
    ]
    for bad in wrong:
        assert list(validator.iter_errors(bad))
        with pytest.raises(ConfigError):
            configurations(bad)
    shipped = Path(__file__).parent.parent / "docs/gradlint.schema.json"
    assert shipped.read_text() == render(load()), "write it anew: python docs/generate.py"
