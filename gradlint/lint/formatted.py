"""Where a formatted string ends, and the comments within it, without parsing it.

Since Python 3.12 the code between the braces of a formatted string may hold anything: quotes of the same
kind, comments, line ends (PEP 701). What earlier versions read is read alike.
"""

from __future__ import annotations

import re

_DEEPEST = 100
"""Formatted strings within each other; Python itself takes 150."""

_PREFIX = re.compile(r"(?<![^\W_])(?:[rR]?[fFtT]|[fFtT][rR])\Z")
_PLAIN = (
    r'''(?:"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""|\'\'\'[^'\\]*(?:(?:\\.|'(?!\'\'))[^'\\]*)*\'\'\''''
    r"""|"[^"\\\n]*(?:\\.[^"\\\n]*)*"|'[^'\\\n]*(?:\\.[^'\\\n]*)*')"""
)
_CODE = re.compile(
    rf"""
    (?P<formatted>(?<![^\W_])(?:[rR]?[fFtT]|[fFtT][rR])(?=["']))
  | (?P<plain>{_PLAIN})
  | (?P<comment>\#[^\n]*)
  | (?P<open>[(\[{{])
  | (?P<close>[)\]}}])
  | (?P<colon>:)
  | (?P<other>[^\W\d]\w*|[^"'\#(\[{{)\]}}:])
    """,
    re.VERBOSE | re.DOTALL,
)


def _plainly(quote: str) -> str:
    """What stands for itself between quotes of one kind, braces aside."""
    one = quote[0]
    other = rf"[^{{}}\\{one}]|{one}(?!{one * 2})" if len(quote) == 3 else rf"[^{{}}\\{one}\n]"
    return rf"{other}|\\[^{{}}]|\\(?=[{{}}])"


_QUOTES = ('"""', "'''", '"', "'")
_TEXTS = {
    quote: re.compile(rf"(?:\\N\{{[^}}\n]*\}}|{_plainly(quote)}|{{{{|}}}})*", re.DOTALL) for quote in _QUOTES
}
_SPECIFICATIONS = {quote: re.compile(rf"(?:{_plainly(quote)})*", re.DOTALL) for quote in _QUOTES}

Comments = list[tuple[int, int]]


class Broken(Exception):  # noqa: N818
    """A formatted string does not end as one should: it was read up to the offset `at`."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


def is_formatted(text: str, start: int) -> bool:
    """Whether the string of which the quotes are at `start` is a formatted one."""
    return _PREFIX.search(text, max(0, start - 3), start) is not None


def end_of_formatted(text: str, start: int) -> tuple[int, Comments]:
    """The end of the formatted string of which the quotes are at `start`, and the comments in its code.

    Raises `Broken` where it does not end.
    """
    comments: Comments = []
    return _string(text, start, comments, _DEEPEST), comments


def _string(text: str, start: int, comments: Comments, depth: int) -> int:
    quote = text[start : start + 3] if text.startswith(('"""', "'''"), start) else text[start]
    at = start + len(quote)
    if not depth:
        raise Broken(at)
    while True:
        found = _TEXTS[quote].match(text, at)
        at = found.end() if found is not None else at
        if text.startswith(quote, at):
            return at + len(quote)
        if not text.startswith("{", at):
            raise Broken(at)
        at = _field(text, at + 1, quote, comments, depth)


def _field(text: str, at: int, quote: str, comments: Comments, depth: int) -> int:
    """The offset behind the brace that closes a field whose code begins at `at`."""
    brackets = 0
    while (token := _CODE.match(text, at)) is not None:
        at, kind = token.end(), token.lastgroup
        if kind == "formatted":
            at = _string(text, at, comments, depth - 1)
        elif kind == "comment":
            comments.append(token.span())
        elif kind == "colon" and not brackets:
            return _specification(text, at, quote, comments, depth)
        elif kind == "close" and not brackets:
            break
        brackets += (kind == "open") - (kind == "close")
    if token is None or token[0] != "}":
        raise Broken(at)
    return at


def _specification(text: str, at: int, quote: str, comments: Comments, depth: int) -> int:
    """The offset behind the brace that closes a field whose format begins at `at`."""
    while True:
        found = _SPECIFICATIONS[quote].match(text, at)
        at = found.end() if found is not None else at
        if text.startswith("}", at):
            return at + 1
        if not text.startswith("{", at) or not depth:
            raise Broken(at)
        at = _field(text, at + 1, quote, comments, depth - 1)
