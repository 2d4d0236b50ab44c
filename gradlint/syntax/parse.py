"""From text to Python's abstract syntax tree.

The interpreter's own parser gives positions for free and is an order of magnitude faster than a
concrete one (255 against 20 thousand lines a second, 8 with positions). Text whose grammar is
newer than the interpreter goes through libcst instead and arrives as the same tree.
"""

from __future__ import annotations

import ast
import warnings


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
    """The tree that libcst reads; where it cannot either, the interpreter's error, which is exact."""
    from gradlint.syntax import newer

    try:
        return newer.parse(text)
    except SyntaxError:
        raise error from None
