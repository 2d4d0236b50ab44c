"""Which files are checked: the same that git would list, less what the settings exclude."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradlint.config.settings import Settings
from gradlint.source.discover import Discovery, discover

NAMES = ("a", "b", "ab", "b ", "a[b", "#a", "!b")
PIECES = (
    "a",
    "b",
    "x.py",
    "*",
    "**",
    "?",
    "a*",
    "*.py",
    "[ab]",
    "a[!a]x.py",
    "[a",
    "b\\ ",
    "b ",
    "\\#a",
    "\\!b",
)


def tree(root: Path, *files: str) -> None:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(root: Path, *paths: str, **options: object) -> list[str]:
    """What discovery finds below `root`, relative to it."""
    discovery = discover(
        [str(root / path) for path in paths or ["."]],
        Settings(root=str(root), **options),  # type: ignore[arg-type]
    )
    return [os.path.relpath(file, root) for file in discovery.files]


@st.composite
def patterns(draw: st.DrawFn) -> str:
    body = "/".join(draw(st.lists(st.sampled_from(PIECES), min_size=1, max_size=3)))
    before = draw(st.sampled_from(["", "", "/", "!", "!/", "**/", "#"]))
    after = draw(st.sampled_from(["", "", "/", "/**", "/*", " ", "\\ ", "\\"]))
    return before + body + after


files = st.lists(st.sampled_from(NAMES), max_size=2).map(lambda parts: "/".join([*parts, "x.py"]))
ignore_files = st.dictionaries(
    st.lists(st.sampled_from(NAMES), max_size=2).map("/".join),
    st.lists(patterns() | st.sampled_from(["x.py", "!x.py", "a/", "!a/"]), min_size=1, max_size=4),
    min_size=1,
    max_size=3,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sets(files, min_size=1, max_size=6), ignore_files, st.lists(patterns(), max_size=2))
def test_git_lists_the_same_files(
    paths: set[str], ignores: dict[str, list[str]], excludes: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        git(root, "init", "--quiet")
        tree(root, *paths)
        (root / ".git/info/exclude").write_text("\n".join(excludes) + "\n")
        for folder, lines in ignores.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            (root / folder / ".gitignore").write_text("\n".join(lines) + "\n")
        listed = git(root, "ls-files", "-z", "--others", "--exclude-standard").split("\0")
        assert found(root, exclude=()) == sorted(path for path in listed if path.endswith(".py"))


def git(root: Path, *arguments: str) -> str:
    clean = {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "XDG_CONFIG_HOME": str(root / ".none"),
    }
    return subprocess.run(
        ["git", *arguments], cwd=root, env=os.environ | clean, check=True, capture_output=True, text=True
    ).stdout


def test_default_and_own_exclusions(tmp_path: Path) -> None:
    tree(
        tmp_path, "net.py", "net.pyi", "run.ipynb", "notes.txt", "build/x.py", "venv/lib/y.py", "gen/a_pb2.py"
    )
    tree(tmp_path, "gen/deep/b.py", "src/gen/c.py", "src/{x}/d.py")
    everything = ["gen/a_pb2.py", "gen/deep/b.py", "net.py", "run.ipynb", "src/gen/c.py", "src/{x}/d.py"]
    assert found(tmp_path) == everything
    assert found(tmp_path, extend_exclude=("gen",)) == ["net.py", "run.ipynb", "src/{x}/d.py"]
    assert found(tmp_path, extend_exclude=("gen/*.py", "{run,nit}.*", "s?c/**/d.py")) == [
        "net.py",
        "src/gen/c.py",
    ]
    assert found(tmp_path, extend_exclude=("*_pb2.py", str(tmp_path / "src"))) == everything[1:4]
    assert found(tmp_path, extend_exclude=(f"../{tmp_path.name}/gen", "././src/*")) == ["net.py", "run.ipynb"]
    assert "build/x.py" in found(tmp_path, exclude=("gen",))


def test_what_is_named_is_taken_unless_forced(tmp_path: Path) -> None:
    tree(tmp_path, "build/x.py", "build/lib/y.py", "script", "stub.pyi", ".git/HEAD")
    (tmp_path / ".gitignore").write_text("build/\n")
    named = ("build", "build/x.py", "script", "stub.pyi")
    assert found(tmp_path, *named) == ["build/lib/y.py", "build/x.py", "script"]
    assert found(tmp_path, *named, force_exclude=True) == ["script"]
    assert found(tmp_path) == []
    assert found(tmp_path, respect_gitignore=False, exclude=()) == ["build/lib/y.py", "build/x.py"]


def test_a_worktree_has_the_exclusions_of_its_repository(tmp_path: Path) -> None:
    tree(tmp_path, "home/.git/info/exclude", "side/a.py", "side/b.py", "side/sub/a.py")
    (tmp_path / "home/.git/info/exclude").write_text("a.py\n")
    (tmp_path / "home/.git/worktrees/side").mkdir(parents=True)
    (tmp_path / "home/.git/worktrees/side/commondir").write_text("../..\n")
    (tmp_path / "side/.git").write_text("gitdir: ../home/.git/worktrees/side\n")
    assert found(tmp_path, "side") == ["side/b.py"]
    assert found(tmp_path, "side/sub") == []


def test_links_are_followed_once(tmp_path: Path) -> None:
    tree(tmp_path, "data/big.py", "src/a.py")
    (tmp_path / "src/loop").symlink_to(tmp_path)
    (tmp_path / "src/same.py").symlink_to(tmp_path / "src/a.py")
    (tmp_path / "src/.#lock.py").symlink_to(tmp_path / "nowhere")
    assert found(tmp_path, "src") == ["src/a.py"]
    assert found(tmp_path, "src/same.py", "src") == ["src/same.py"]
    assert found(tmp_path, "src/loop/data", "data") == ["data/big.py"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_only_files_are_read(tmp_path: Path) -> None:
    tree(tmp_path, "a.py", "folder.py/b.py")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "link.py").symlink_to(tmp_path / "pipe.py")
    (tmp_path / "circle.py").symlink_to(tmp_path / "circle.py")
    assert found(tmp_path) == ["a.py", "folder.py/b.py"]
    paths = [str(tmp_path / name) for name in ("pipe.py", "link.py", "circle.py")]
    discovery = discover([*paths, os.devnull], Settings())
    reason = "it is neither a file nor a folder"
    assert discovery.unreadable == ((paths[0], reason), (paths[1], reason))
    assert (discovery.missing, discovery.files) == ((paths[2],), (os.devnull,))


def test_missing_and_unreadable_paths_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "a.py", "locked/b.py")
    monkeypatch.chdir(tmp_path)
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert discover([".", "a.py", "gone"], Settings()) == Discovery(
        ("a.py",), ("gone",), (("locked", "Permission denied"),), frozenset({"a.py"})
    )


def test_settings_of_a_folder_hold_below_it(tmp_path: Path) -> None:
    tree(tmp_path, "a.py", "sub/a.py", "sub/b.py", "sub/gradlint.toml", "sub/deep/a.py")
    inner = Settings(root=str(tmp_path / "sub"), exclude=("a.py",))
    discovery = discover(
        [str(tmp_path)], Settings(), lambda folder: inner if "sub" in folder else Settings(root=str(tmp_path))
    )
    assert [os.path.relpath(file, tmp_path) for file in discovery.files] == ["a.py", "sub/b.py"]
