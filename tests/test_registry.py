"""The rules that are installed are found, all of them, or it is said what is wrong."""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradlint.rule import registry
from gradlint.rule.entry_points import EntryPoint, entry_points
from gradlint.rule.registry import RegistryError, UnknownRuleError, find, load

RULE = """
from gradlint.records.finding import Severity
from gradlint.rule.rule import Rule

class {kind}(Rule):
    "A rule of a pack."
    id = "{id}"
    name = "{name}"
    severity = Severity.NOTE
"""


def rule(id: str = "P001", name: str = "b", kind: str = "B") -> str:
    return RULE.format(id=id, name=name, kind=kind)


class Pack:
    """A third-party distribution that lies in a folder of its own on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def announce(
        self, value: str = "pack_rules", name: str = "pack", metadata: str = "the_pack-1.0.dist-info"
    ) -> None:
        info = self.folder / metadata
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: the-pack\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            f"[console_scripts]\nc = d\n\n[gradlint.rules]\n# ours\n{name} = {value}\n[other]\na = b\n"
        )

    def write(self, module: str, text: str) -> None:
        path = self.folder / f"{module.replace('.', '/')}.py"
        for parent in [*path.relative_to(self.folder).parents][:-1]:
            (self.folder / parent).mkdir(parents=True, exist_ok=True)
            (self.folder / parent / "__init__.py").touch()
        path.write_text(text)


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pack]:
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    pack = Pack(tmp_path / "site")
    pack.announce()
    importlib.invalidate_caches()
    yield pack
    for name in [name for name in sys.modules if name.split(".")[0] == "pack_rules"]:
        del sys.modules[name]


def test_our_own_rules_are_sorted_and_complete() -> None:
    rules = load()
    files = (Path(__file__).parent.parent / "rules").glob("[a-z]*.py")
    assert {rule.name.replace("-", "_") for rule in rules} == {path.stem for path in files}
    assert [rule.id for rule in rules] == sorted(rule.id for rule in rules)


def test_a_pack_is_found_with_its_inner_packages(pack: Pack) -> None:
    pack.write("pack_rules.first", rule("PCK001", "a-rule", "ARule"))
    pack.write("pack_rules.inner.second", rule("PCK002", "b-rule"))
    pack.write("pack_rules.third", "from pack_rules.first import ARule\n\nclass _Base(ARule): ...\n")
    pack.write("pack_rules.__main__", "raise SystemExit(1)\n")
    assert [rule.id for rule in load() if rule.id.startswith("PCK")] == ["PCK001", "PCK002"]
    assert find("B-Rule").id == "PCK002"


def test_a_pack_may_be_one_module(pack: Pack) -> None:
    pack.write("pack_rules", rule("P001", "a-rule"))
    assert find("p001").name == "a-rule"


def test_a_pack_is_found_in_an_environment_of_its_own(tmp_path: Path) -> None:
    pack = Pack(tmp_path)
    pack.announce()
    pack.write("pack_rules.first", rule("PCK001", "a-rule"))
    program = "from gradlint.rule.registry import load; print(*[rule.id for rule in load()])"
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.append({str(tmp_path)!r}); {program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"GRD001", "GRD002", "PCK001"} <= set(run.stdout.split())


@pytest.mark.parametrize(
    ("module", "text", "message"),
    [
        (
            "same_id",
            rule(id="GRD001"),
            r"the id GRD001: pack_rules\.same_id\.B and gradlint_rules\.syntax_err",
        ),
        (
            "same_name",
            rule(name="syntax-error"),
            r"syntax-error: pack_rules\.same_name\.B and gradlint_rules",
        ),
        (
            "broken",
            "import nowhere",
            r"pack_rules\.broken cannot be imported: ModuleNotFoundError: .*nowhere",
        ),
        ("wrong", "1 / 0", r"pack_rules\.wrong cannot be imported: ZeroDivisionError: division by zero"),
        ("typo", "def f(:", r"pack_rules\.typo cannot be imported: SyntaxError"),
        ("low_id", rule(id="pck1"), r"pack_rules\.low_id\.B has the id 'pck1'"),
        ("long_id", rule(id="PACK001"), r"has the id 'PACK001': it must be one to three capital letters"),
        ("bad_name", rule(name="Bad_Name"), r"B has the name 'Bad_Name': it must be words in lower case"),
        ("no_id", rule().replace("    id", "    other"), r"pack_rules\.no_id\.B has the id None"),
        ("grave", rule().replace("Severity.NOTE", "'note'"), r"pack_rules\.grave\.B has no severity"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(pack: Pack, module: str, text: str, message: str) -> None:
    pack.write(f"pack_rules.{module}", text)
    with pytest.raises(RegistryError, match=message):
        load()


def test_a_package_that_is_missing_or_is_none_is_an_error(pack: Pack) -> None:
    with pytest.raises(RegistryError, match="pack_rules cannot be imported: ModuleNotFoundError"):
        load()
    pack.announce("pack_rules:RULES", "attribute")
    with pytest.raises(RegistryError, match=r"'attribute' of the_pack .* not 'pack_rules:RULES'"):
        load()


def test_no_rules_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda _: ())
    with pytest.raises(RegistryError, match="no rules are installed"):
        load()


def test_a_rule_is_found_by_code_or_name() -> None:
    assert find("grd002") is find("Unused-Suppression") is find(" GRD002 ")
    for selector, nearest in (("unused-supression", "unused-suppression"), ("GDR001", "GRD001")):
        with pytest.raises(UnknownRuleError, match=f"unknown rule '{selector}', did you mean '{nearest}'"):
            find(selector)
    with pytest.raises(UnknownRuleError, match=r"unknown rule 'qqqqq'; `gradlint rules`"):
        find("qqqqq")


def standard(group: str) -> set[tuple[str, str]]:
    return {(point.name, point.value) for point in importlib.metadata.entry_points(group=group)}


def names(points: tuple[EntryPoint, ...]) -> set[tuple[str, str]]:
    return {(point.name, point.value) for point in points}


def test_entry_points_are_those_of_the_standard_library(pack: Pack, tmp_path: Path) -> None:
    for group in ("gradlint.rules", "console_scripts", "pytest11", "no.such.group"):
        assert names(entry_points(group)) == standard(group)


def test_the_first_of_two_distributions_with_one_name_counts(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = Pack(tmp_path / "later")
    later.announce("other_rules", "later", "The.Pack-2.0.dist-info")
    monkeypatch.setattr(sys, "path", [*sys.path, "", str(tmp_path / "nowhere"), str(later.folder)])
    assert ("later", "other_rules") not in names(entry_points("gradlint.rules"))
    assert names(entry_points("gradlint.rules")) == standard("gradlint.rules")
    later.announce("other_rules", "later", "another_pack.egg-info")
    assert ("later", "other_rules") in names(entry_points("gradlint.rules"))


def test_distributions_in_archives_and_eggs_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "[gradlint.rules]\narchived = archived_rules\n"
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("archived-1.0.dist-info/entry_points.txt", text)
        archive.writestr("archived-1.0.dist-info/METADATA", "Name: archived\n")
    egg = tmp_path / "laid-1.0.egg" / "EGG-INFO"
    egg.mkdir(parents=True)
    (egg / "entry_points.txt").write_text(text.replace("archived", "laid"))
    (egg / "PKG-INFO").write_text("Name: laid\n")
    for place, name in ((tmp_path / "archive.zip", "archived"), (egg.parent, "laid")):
        monkeypatch.setattr(sys, "path", [*sys.path, str(place)])
        importlib.invalidate_caches()
        assert (name, f"{name}_rules") in names(entry_points("gradlint.rules"))


def test_many_distributions_do_not_slow_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(500):
        folder = tmp_path / f"package_{number}-1.0.dist-info"
        folder.mkdir()
        (folder / "entry_points.txt").write_text("[console_scripts]\na = b:c\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    times = []
    for _ in range(5):
        start = time.perf_counter()
        entry_points("gradlint.rules")
        times.append(time.perf_counter() - start)
    assert min(times) < 0.1
