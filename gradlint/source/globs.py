"""Glob patterns as regular expressions.

In `exclude` and `per-file-ignores`, `*` and `?` cross folder boundaries; in `.gitignore` they do not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

SPECIAL = frozenset("*?[]{}!\\")


def is_literal(pattern: str) -> bool:
    """Whether the pattern matches only itself."""
    return SPECIAL.isdisjoint(pattern)


def escape(path: str) -> str:
    """A pattern that matches exactly `path`."""
    return re.sub(r"([*?\[\]{}!\\])", r"[\1]", path) if not is_literal(path) else path


def translate(pattern: str, *, crossing: bool = True, braces: bool = True) -> str:
    """The pattern as regular expression, without anchors and without groups that capture.

    `crossing` lets `*` match `/`; `braces` gives `{a,b}` its meaning. Raises `ValueError` where a
    bracket or brace is left open.
    """
    any_character, any_run = (".", ".*") if crossing else ("[^/]", "[^/]*")
    parts: list[str] = []
    at, depth = 0, 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            part, at = _stars(pattern, at, any_run)
        elif character == "?":
            part = any_character
        elif character == "[":
            part, at = _bracket(pattern, at)
        elif character == "\\":
            if at == len(pattern):
                raise ValueError("the pattern ends in a backslash")
            part, at = re.escape(pattern[at]), at + 1
        elif (braces and character in "{}") or (depth and character == ","):
            depth += {"{": 1, "}": -1, ",": 0}[character]
            part = {"{": "(?:", "}": ")", ",": "|"}[character]
        else:
            part = re.escape(character)
        parts.append(part)
    if depth:
        raise ValueError("unbalanced braces")
    return "".join(parts)


def _stars(pattern: str, at: int, any_run: str) -> tuple[str, int]:
    """The meaning of the stars of which the first stands before `at`, and where they end.

    Two stars stand for any number of folders, but only where they fill a place between slashes.
    """
    end = at
    while end < len(pattern) and pattern[end] == "*":
        end += 1
    fills_place = end == at + 1 and (at == 1 or pattern[at - 2] == "/")
    if fills_place and pattern[end : end + 1] == "/":
        return "(?:.*/)?", end + 1
    if fills_place and end == len(pattern):
        return ".+", end
    return any_run, end


def _bracket(pattern: str, at: int) -> tuple[str, int]:
    """The character class that opens before `at`, and where it ends; it never matches a slash."""
    negated = pattern[at : at + 1] in ("!", "^")
    first = at + negated
    end = pattern.find("]", first + 1)
    if end < 0:
        raise ValueError("a bracket is left open")
    inner = re.sub(r"([\\\[\]^&~|])", r"\\\1", pattern[first:end])
    return f"(?!/)[{'^' if negated else ''}{inner}]", end + 1


class PathPatterns:
    """Patterns of files and folders, ready to match.

    One without a slash matches a name at any level, one with a slash the path below `root`.
    Raises `ValueError` where a pattern is malformed.
    """

    __slots__ = ("_name_globs", "_names", "_paths")

    def __init__(self, patterns: Iterable[str], root: str) -> None:
        patterns = [pattern.rstrip("/") for pattern in patterns]
        plain = [pattern for pattern in patterns if "/" not in pattern]
        self._names = frozenset(pattern for pattern in plain if is_literal(pattern))
        self._name_globs = _compile([pattern for pattern in plain if not is_literal(pattern)])
        self._paths = _compile([anchored(pattern, root) for pattern in patterns if "/" in pattern])

    def match(self, name: str, real: str) -> bool:
        """Whether the file or folder of this name and real path is meant itself."""
        return (
            name in self._names
            or bool(self._name_globs and self._name_globs.fullmatch(name))
            or bool(self._paths and self._paths.fullmatch(real))
        )

    def match_any_part(self, real: str) -> bool:
        """Whether the path or a folder above it is meant."""
        while (above := os.path.dirname(real)) != real:
            if self.match(os.path.basename(real), real):
                return True
            real = above
        return False


def anchored(pattern: str, root: str) -> str:
    """The pattern with what it takes to mean the same wherever it is read."""
    if "/" not in pattern.rstrip("/") or os.path.isabs(pattern):
        return pattern
    root = os.path.realpath(root)
    while pattern.startswith(("./", "../")):
        step, _, pattern = pattern.partition("/")
        root = os.path.dirname(root) if step == ".." else root
    return os.path.join(escape(root), pattern)


def _compile(patterns: list[str]) -> re.Pattern[str] | None:
    """One expression that matches, as a whole, what any of the patterns matches."""
    if not patterns:
        return None
    return re.compile("|".join(f"(?:{translate(pattern)})" for pattern in patterns), re.DOTALL)
