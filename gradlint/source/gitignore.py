"""What git ignores: `.gitignore` files of a folder and its parents, and `.git/info/exclude`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from msgspec import Struct

from gradlint.source.globs import is_literal, translate


class _Line(Struct, frozen=True):
    """One pattern; `anchored` ones are relative to their folder, others match a name at any depth."""

    pattern: str
    negated: bool
    folders_only: bool
    anchored: bool


class IgnoreFile:
    """The patterns of one ignore file, in force below `folder`."""

    __slots__ = ("_files", "_folders", "folder")

    def __init__(self, folder: str, text: str) -> None:
        self.folder = folder
        lines = [line for line in map(_parse, text.split("\n")) if line]
        self._folders = _Matcher(lines)
        self._files = _Matcher([line for line in lines if not line.folders_only])

    def verdict(self, path: str, is_folder: bool) -> bool | None:
        """Whether the path is ignored (True), re-included (False) or not mentioned (None)."""
        relative = path[len(self.folder.rstrip(os.sep)) + 1 :].replace(os.sep, "/")
        return (self._folders if is_folder else self._files).verdict(relative)


class _Matcher:
    """Patterns of which the last that matches decides; plain names are looked up, not matched."""

    __slots__ = ("_names", "_others", "_regex")

    def __init__(self, lines: list[_Line]) -> None:
        self._names: dict[str, tuple[int, bool]] = {}
        self._others: list[tuple[int, bool]] = []
        expressions: list[str] = []
        for order, line in enumerate(lines):
            outcome = (order, not line.negated)
            if is_literal(line.pattern) and not line.anchored:
                self._names[line.pattern] = outcome
            elif (expression := _expression(line)) is not None:
                self._others.append(outcome)
                expressions.append(f"({expression})")
        self._others.reverse()
        expressions.reverse()
        self._regex = re.compile("|".join(expressions), re.DOTALL) if expressions else None

    def verdict(self, relative: str) -> bool | None:
        named = self._names.get(relative[relative.rfind("/") + 1 :])
        found = self._regex.fullmatch(relative) if self._regex else None
        other = self._others[(found.lastindex or 1) - 1] if found else None
        last = max(named or (-1, False), other or (-1, False))
        return last[1] if last[0] >= 0 else None


def _parse(line: str) -> _Line | None:
    """The meaning of a line; None for comments and empty lines."""
    line = _without_trailing_blanks(line.rstrip("\r"))
    negated = line.startswith("!")
    pattern = line[negated:]
    folders_only = pattern.endswith("/")
    body = pattern.removesuffix("/")
    if line.startswith("#") or not body:
        return None
    return _Line(body.removeprefix("/"), negated, folders_only, "/" in body)


def _without_trailing_blanks(line: str) -> str:
    stripped = line.rstrip(" ")
    escaped = (len(stripped) - len(stripped.rstrip("\\"))) % 2
    return stripped + " " if escaped and stripped != line else stripped


def _expression(line: _Line) -> str | None:
    """A regular expression over relative paths; None for a pattern that git finds invalid."""
    try:
        body = translate(line.pattern, crossing=False, braces=False)
    except ValueError:
        return None
    return body if line.anchored else f"(?:.*/)?{body}"


def read_ignore_file(path: str, folder: str) -> IgnoreFile | None:
    """The ignore file at `path`, in force below `folder`; None where there is none to read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return IgnoreFile(folder, stream.read().removeprefix("\ufeff"))
    except OSError:
        return None


def is_ignored(chain: Iterable[IgnoreFile], path: str, is_folder: bool) -> bool:
    """Whether the files of `chain`, nearest first, ignore the path."""
    for ignore in chain:
        verdict = ignore.verdict(path, is_folder)
        if verdict is not None:
            return verdict
    return False


def inherited(folder: str) -> tuple[IgnoreFile, ...]:
    """The ignore files above `folder`, nearest first, up to the root of its repository.

    A file that ignores `folder` itself is left out: who names an ignored folder wants its files.
    """
    parents = _parents(folder)
    root = next((parent for parent in parents if os.path.lexists(os.path.join(parent, ".git"))), None)
    if root is None:
        return ()
    within = parents[: parents.index(root) + 1]
    files = [read_ignore_file(os.path.join(parent, ".gitignore"), parent) for parent in within[1:]]
    files += [repository_excludes(root)] if root != folder else []
    return tuple(file for file in files if file and not _hides(file, within))


def _parents(folder: str) -> list[str]:
    """The folder and everything above it."""
    found = [folder]
    while (above := os.path.dirname(found[-1])) != found[-1]:
        found.append(above)
    return found


def _hides(ignore: IgnoreFile, folders: list[str]) -> bool:
    below = (folder for folder in folders if len(folder) > len(ignore.folder))
    return any(ignore.verdict(folder, True) for folder in below)


def repository_excludes(root: str) -> IgnoreFile | None:
    """The repository's own `info/exclude`; a worktree's `.git` file leads to it."""
    git = os.path.join(root, ".git")
    if os.path.isfile(git):
        git = os.path.join(root, _first_line(git).removeprefix("gitdir:").strip())
        git = os.path.join(git, _first_line(os.path.join(git, "commondir")))
    return read_ignore_file(os.path.join(git, "info", "exclude"), root)


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.readline().strip()
    except OSError:
        return ""
