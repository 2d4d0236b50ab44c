"""The wheel holds what the tree holds, and nothing from an earlier build."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def packages_of_the_tree() -> set[str]:
    inner = {
        str(p.parent.relative_to(ROOT)).replace("/", ".") for p in (ROOT / "gradlint").rglob("__init__.py")
    }
    return inner | {"gradlint_rules"}


def test_every_package_is_listed() -> None:
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages_of_the_tree()


def test_the_base_dependencies_are_light() -> None:
    names = {re.split(r"[><=;\[ ]", d)[0] for d in PROJECT["project"]["dependencies"]}
    assert names == {"libcst", "msgspec", "platformdirs", "pyyaml", "rich", "tomli", "typer"}


@pytest.mark.slow
def test_the_wheel_is_the_tree_even_after_an_old_build(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in tracked.splitlines():
        if not (ROOT / name).is_file():
            continue
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    stale = copy / "build" / "lib" / "gradlint_rules"
    stale.mkdir(parents=True)
    (stale / "deleted_rule.py").write_text("raise RuntimeError\n")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(copy)]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {
        re.sub("^rules/", "gradlint_rules/", name)
        for name in tracked.splitlines()
        if name.startswith(("gradlint/", "rules/")) and (ROOT / name).is_file()
    }
    assert inside == expected


def test_starting_imports_no_heavy_module(tmp_path: Path) -> None:
    (tmp_path / "clean.py").write_text("x = 1\n")
    code = (
        "import sys; from gradlint.cli.main import main\n"
        f"sys.argv = ['gradlint', 'check', '--isolated', '--no-cache', {str(tmp_path)!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'libcst', 'torch', 'numpy', 'rich', 'typer'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
