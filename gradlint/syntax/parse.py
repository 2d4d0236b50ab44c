"""From text to Python's abstract syntax tree.

The interpreter's own parser gives positions for free and is an order of magnitude faster than a
concrete one (255 against 20 thousand lines a second, 8 with positions). Text whose grammar is
newer than the interpreter goes through libcst instead and arrives as the same tree.
"""

from __future__ import annotations

import ast
import warnings

_FURTHEST = 64
"""Lines before an error among which one is sought that a statement ends with."""


def parse(text: str) -> ast.Module:
    """The tree of `text`; raises SyntaxError or RecursionError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        return _parse_newer(text, error)
    except ValueError as error:
        raise SyntaxError(str(error)) from None
    except MemoryError:
        raise RecursionError("the code is nested too deeply") from None


def _parse_newer(text: str, error: SyntaxError) -> ast.Module:
    """The tree that libcst reads; where it cannot either, the interpreter's error, which is exact.

    Unless that is about grammar which is only too new for it: then the error that libcst comes to.
    """
    from gradlint.syntax import newer

    try:
        return newer.parse(text)
    except SyntaxError as other:
        raise (other if _is_too_new(text, error.lineno or 1, other.lineno or 1) else error) from None


def _is_too_new(text: str, line: int, error: int) -> bool:
    """Whether libcst reads what the interpreter stumbles over at `line`, and more up to an `error`."""
    from gradlint.syntax import newer

    lines = text.split("\n")
    for end in range(error - 1, max(line - 1, error - _FURTHEST), -1):
        try:
            newer.parse("\n".join(lines[:end]) + "\n")
        except SyntaxError:
            continue
        return True
    return False
