"""What a report may vary."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gradlint.records.version import VERSION


def repository_root(directory: str | None = None, environ: Mapping[str, str] | None = None) -> str:
    """The folder that code hosts count paths from: the CI checkout around `directory`, or the nearest
    folder with `.git`, or `directory` itself.
    """
    start = Path(directory or os.getcwd())
    environ = os.environ if environ is None else environ
    parents = (start, *start.parents)
    for variable in ("CI_PROJECT_DIR", "GITHUB_WORKSPACE"):
        if environ.get(variable) and Path(environ[variable]) in parents:
            return environ[variable]
    return str(next((folder for folder in parents if (folder / ".git").exists()), start))


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderOptions:
    """How to render: `directory` is what report paths are relative to, `root` what code hosts count from."""

    color: bool = False
    summary: bool = True
    unsafe_fixes: bool = False
    directory: str = field(default_factory=os.getcwd)
    root: str = field(default_factory=repository_root)
    version: str = VERSION

    def from_root(self, path: str) -> str:
        """`path` as the code host names it, with forward slashes; absolute where it lies outside."""
        absolute = os.path.normpath(os.path.join(self.directory, path))
        below = os.path.join(self.root, "")
        return absolute.removeprefix(below).replace(os.sep, "/")
