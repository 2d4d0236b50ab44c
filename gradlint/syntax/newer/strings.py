"""String literals: plain, formatted, template, and any of them side by side."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import libcst as cst

from gradlint.syntax.newer.expressions import literal
from gradlint.syntax.newer.tree import Conversion, Tree, place

_FORMATTED = (cst.FormattedString, cst.TemplatedString)
_TEXT = (cst.FormattedStringText, cst.TemplatedStringText)
_UNSAFE = re.compile(r'\\(?:.|\Z)|"', re.DOTALL)


def _string(tree: Tree, node: Any) -> ast.Constant | ast.JoinedStr:
    """One literal, however many tokens it is written in."""
    tokens = list(_side_by_side(node))
    if any(isinstance(token, _FORMATTED) for token in tokens):
        return tree.make(ast.JoinedStr, node, values=_merged(_pieces(tree, tokens)))
    first, *rest = (literal(tree, token, token.value) for token in tokens)
    return tree.make(ast.Constant, node, value=type(first)().join([first, *rest]), kind=_kind(tokens[0]))


def _side_by_side(node: Any) -> Iterator[Any]:
    while isinstance(node, cst.ConcatenatedString):
        yield node.left
        node = node.right
    yield node


def _kind(token: cst.SimpleString) -> str | None:
    return "u" if token.value.startswith("u") else None


def _pieces(tree: Tree, tokens: list[Any]) -> Iterator[ast.expr]:
    """Texts and replacement fields in order, neighbouring texts not yet joined."""
    for token in tokens:
        if isinstance(token, _FORMATTED):
            yield from _parts(tree, token.parts, raw="r" in token.start.lower())
        else:
            value = literal(tree, token, token.value)
            yield tree.make(ast.Constant, token, value=value, kind=_kind(token))


def _parts(tree: Tree, parts: Any, *, raw: bool) -> Iterator[ast.expr]:
    for part in parts:
        if isinstance(part, _TEXT):
            yield tree.make(ast.Constant, part, value=_text(tree, part, raw))
        else:
            yield from _field(tree, part, raw)


def _text(tree: Tree, node: Any, raw: bool) -> Any:
    """The characters that stand for themselves: braces halved, escapes resolved."""
    text: str = node.value.replace("{{", "{").replace("}}", "}")
    if raw or "\\" not in text:
        return text
    return literal(tree, node, f'"""{_UNSAFE.sub(_escaped, text)}"""')


def _escaped(match: re.Match[str]) -> str:
    """A quote, or a backslash with nothing behind it, made safe before a closing quote."""
    found = match[0]
    return found if len(found) == 2 else "\\" + found


def _field(tree: Tree, node: Any, raw: bool) -> Iterator[ast.expr]:
    """A replacement field, with its own text before it where `=` asks for that."""
    if node.equal:
        yield _own_text(tree, node)
    yield tree.make(
        ast.FormattedValue,
        node,
        value=tree.convert(node.expression),
        conversion=_conversion(node),
        format_spec=None if node.format_spec is None else _format_spec(tree, node, raw),
    )


def _conversion(node: Any) -> int:
    """The code of the letter behind `!`, or -1; `=` alone means `!r`."""
    if node.conversion:
        return ord(node.conversion)
    return ord("r") if node.equal and node.format_spec is None else -1


def _own_text(tree: Tree, node: Any) -> ast.Constant:
    """Everything between the brace and what follows the equals sign, as written."""
    code = cst.Module(body=()).code_for_node
    before, after = node.whitespace_before_expression, node.whitespace_after_expression
    text = "".join(code(part) for part in (before, node.expression, after, node.equal))
    line, column = tree.start(node)
    return place(ast.Constant(value=text), (line, column + 1), tree.end(node.equal.whitespace_after))


def _format_spec(tree: Tree, node: Any, raw: bool) -> ast.JoinedStr:
    """The colon and what follows it, up to the closing brace."""
    end_line, end_column = tree.end(node)
    brace = end_line, end_column - 1
    line, column = tree.start(node.format_spec[0]) if node.format_spec else brace
    values = _merged(_parts(tree, node.format_spec, raw=raw))
    return place(ast.JoinedStr(values=values), (line, column - 1), brace)


def _merged(pieces: Iterator[ast.expr]) -> list[ast.expr]:
    """The pieces with neighbouring texts joined and empty ones dropped."""
    merged: list[ast.expr] = []
    for are_texts, group in groupby(pieces, lambda piece: isinstance(piece, ast.Constant)):
        run = list(group)
        merged += _joined(run) if are_texts else run
    return merged


def _joined(texts: list[Any]) -> list[ast.expr]:
    first, last = texts[0], texts[-1]
    value = "".join(text.value for text in texts)
    whole = ast.Constant(value=value, kind=first.kind)
    start, end = (first.lineno, first.col_offset), (last.end_lineno, last.end_col_offset)
    return [place(whole, start, end)] if value else []


STRINGS: dict[type, Conversion] = {
    cst.SimpleString: _string,
    cst.ConcatenatedString: _string,
    cst.FormattedString: _string,
    cst.TemplatedString: _string,
}
