"""Which of the values that were chosen an exception is about: by the lines of code that it passed."""

from __future__ import annotations

import ast
import linecache
import os
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, NamedTuple

import torch

_TORCH = os.path.dirname(torch.__file__)
_HERE = os.path.dirname(os.path.abspath(__file__))


class Line(NamedTuple):
    """A line of the target's code through which an exception went, with the names on it."""

    frame: FrameType
    number: int
    text: str
    names: tuple[str, ...]
    tree: ast.AST | None

    def value(self, node: ast.AST) -> Any:
        """What an expression of the line is; raises whatever that raises."""
        code = compile(ast.Expression(node), "<line>", "eval")  # type: ignore[arg-type]
        return eval(code, self.frame.f_globals, dict(self.frame.f_locals))


def lines(error: BaseException) -> list[Line]:
    """The lines of the target's own code, the innermost first."""
    found = [_line(frame, number) for frame, number in _frames(error.__traceback__)]
    return found[::-1]


def _frames(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith((_TORCH, _HERE)) and not file.startswith("<frozen"):
            yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _line(frame: FrameType, number: int) -> Line:
    file = frame.f_code.co_filename
    text = _statement(file, number, frame)
    try:
        tree: ast.AST | None = ast.parse(text)
    except SyntaxError:
        tree = None
    names = tuple(dict.fromkeys(_names(tree))) if tree is not None else ()
    return Line(frame, number, text, names, tree)


def _statement(file: str, number: int, frame: FrameType) -> str:
    """The statement around a line: lines are added until it parses."""
    for count in range(1, 12):
        text = "".join(linecache.getline(file, number + i, frame.f_globals) for i in range(count)).strip()
        headed = text + " pass" if text.endswith(":") else text
        headed = "if 0: pass\n" + headed if headed.startswith(("elif", "else")) else headed
        try:
            ast.parse(headed)
        except SyntaxError:
            continue
        return headed
    return ""


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value


def mentions(node: ast.AST, name: str) -> bool:
    """Whether an expression mentions a name, or an attribute of that name."""
    return any(
        (isinstance(n, ast.Name) and n.id == name) or (isinstance(n, ast.Attribute) and n.attr == name)
        for n in ast.walk(node)
    )
