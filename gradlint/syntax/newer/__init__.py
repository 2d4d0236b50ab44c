"""Python's abstract syntax tree for text whose grammar is newer than the interpreter's.

libcst reads the text and its tree is converted, node by node, to what `ast` would have built, with
the same positions. What older grammars cannot say becomes the nearest thing that they can, on
every interpreter alike:

| Written                        | Becomes                                 |
|--------------------------------|-----------------------------------------|
| `type X[T] = int`              | the assignment `X = int`                |
| `def f[T](): …`, `class C[T]:` | the same without type parameters        |
| `try: … except* E:`            | a `Try` like any other                  |
| `except A, B:`                 | the tuple `(A, B)`                      |
| `t"…{x}"`                      | a `JoinedStr` of the same parts         |

Inside formatted strings, positions are those of Python 3.13; before 3.12 `ast` had none worth the
name there.
"""

from __future__ import annotations

import ast
import re
import warnings

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from gradlint.syntax.newer.expressions import EXPRESSIONS
from gradlint.syntax.newer.operators import OPERATORS
from gradlint.syntax.newer.patterns import PATTERNS
from gradlint.syntax.newer.statements import STATEMENTS
from gradlint.syntax.newer.strings import STRINGS
from gradlint.syntax.newer.tree import Tree

_TABLE = {**OPERATORS, **EXPRESSIONS, **STRINGS, **PATTERNS, **STATEMENTS}
_NEWLINE = re.compile(r"\r\n?|\n")
_BRACKET = re.compile(r"[()\[\]{}]")
_CHAIN = re.compile(
    r"""\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\#[^\n]*
    |(?P<open>[(\[{])|(?P<close>[)\]}])|\\\n|(?P<end>[,;\n])|(?P<branch>\belif\b)|(?P<definition>\bdef\b)
    |(?P<operator>\b(?:and|or|not|else|lambda|await)\b|[-+~*/%@&|^]|\.(?=[^\W\d]))""",
    re.VERBOSE | re.DOTALL,
)
_DEEPEST = 1000
"""Levels that the parser's stack bears with room to spare; Python itself allows 200 brackets."""


def parse(text: str) -> ast.Module:
    """The tree of `text`.

    Raises SyntaxError, with its line and its column, both from 1, as nearly as libcst tells them (a
    character that belongs to no token is reported at the beginning); RecursionError where the code
    is nested too deeply.
    """
    module = _parse_concretely(text)
    ranges = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree: ast.Module = Tree(tuple(_NEWLINE.split(text)), ranges, _TABLE).convert(module)
    return tree


def _parse_concretely(text: str) -> cst.Module:
    if max(_nesting(text), _longest_chain(text)) > _DEEPEST:
        raise RecursionError("the code is nested too deeply")
    if "\0" in text:
        raise SyntaxError("source code cannot contain null bytes", ("<unknown>", 1, 1, None))
    try:
        return cst.parse_module(text)
    except cst.ParserSyntaxError as error:
        line, column = error.raw_line, error.raw_column + 1
        raise SyntaxError("invalid syntax", ("<unknown>", line, column, None)) from None
    except (cst.CSTLogicError, cst.CSTValidationError, ValueError) as error:
        raise SyntaxError(str(error), ("<unknown>", 1, 1, None)) from None


def _nesting(text: str) -> int:
    """The most brackets open at once, those in strings and comments counted too."""
    deepest = depth = 0
    for bracket in _BRACKET.findall(text):
        depth = depth + 1 if bracket in "([{" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest


def _longest_chain(text: str) -> int:
    """The most operators between two commas, with those around them, or the `elif` of one function."""
    longest = branches = 0
    levels = [0]
    for token in _CHAIN.finditer(text):
        kind = token.lastgroup
        if kind == "open":
            levels[-1] += 1
            levels.append(levels[-1])
        elif kind == "close" and len(levels) > 1:
            levels.pop()
        elif kind == "end" and (token[0] != "\n" or len(levels) == 1):
            levels[-1] = levels[-2] if len(levels) > 1 else 0
        elif kind == "operator":
            levels[-1] += 1
        branches = 0 if kind == "definition" else branches + (kind == "branch")
        longest = max(longest, levels[-1], branches)
    return longest
