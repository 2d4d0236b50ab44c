"""Versions of gradlint: installing a git revision aside, and running one over a package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stored_findings import Stored

CHECKOUT = Path(__file__).parent.parent
PYTHON = (sys.executable, "-m")
CHECK = (*PYTHON, "gradlint", "check", "--isolated", "--preview", "--no-cache", "--exit-zero")


def installed_revision(revision: str, folder: Path) -> Path:
    """The folder that a git revision is installed in, below `folder`; its dependencies are not.

    Raises `subprocess.CalledProcessError` where there is no such revision.
    """
    commit = _git("rev-parse", "--verify", f"{revision}^{{commit}}")
    target = folder / commit
    if not target.exists():
        with tempfile.TemporaryDirectory() as temporary:
            tree = Path(temporary, "gradlint")
            _git("worktree", "add", "--detach", str(tree), commit)
            try:
                _install(tree, target)
            finally:
                _git("worktree", "remove", "--force", str(tree))
    return target


def check_with(installation: Path | None, name: str, root: Path) -> Iterator[Stored]:
    """What the version in `installation` finds in a package; without one, that of this interpreter."""
    environment = dict(os.environ)
    if installation is not None:
        environment["PYTHONPATH"] = str(installation)
    command = (*CHECK, "--output-format", "json-lines", str(root))
    with tempfile.TemporaryDirectory() as neutral:
        output = subprocess.run(
            command, env=environment, cwd=neutral, check=True, stdout=subprocess.PIPE
        ).stdout
    for line in output.splitlines():
        yield _stored(json.loads(line), name, root)


def _stored(item: dict[str, Any], package: str, root: Path) -> Stored:
    path, row = Path(item["filename"]), item["location"]["row"]
    lines = path.read_bytes().decode("utf-8", "replace").split("\n")
    text = lines[row - 1].strip() if row <= len(lines) else ""
    shown = path.relative_to(root.parent).as_posix()
    named = (item["code"], item["name"], item["severity"])
    return Stored(package, shown, row, text, *named, item["message"])


def _install(tree: Path, target: Path) -> None:
    """Install into a folder that appears only when it is complete."""
    partial = target.with_name(f"{target.name}.partial")
    what = ("--quiet", "--no-deps", "--upgrade", "--target", str(partial), str(tree))
    subprocess.run((*PYTHON, "pip", "install", *what), check=True)
    partial.rename(target)


def _git(*arguments: str) -> str:
    command = ("git", "-C", str(CHECKOUT), *arguments)
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
