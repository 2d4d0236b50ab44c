"""Which of the values that were chosen an exception is about: by the lines of code that it passed."""

from __future__ import annotations

import ast
import linecache
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
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
    found = [*_names(tree)] if tree is not None else []
    if text.startswith("raise"):
        found += [name for test in _conditions(file, number) for name in _names(test)]
    return Line(frame, number, text, tuple(dict.fromkeys(found)), tree)


def guards(line: Line) -> list[str]:
    """The names in the tests of the `if`s that a line stands in, the innermost first."""
    found = [each for each in _ifs(line.frame.f_code.co_filename) if each.lineno < line.number <= _end(each)]
    return [name for each in reversed(found) for name in _names(each.test)]


def _conditions(file: str, number: int) -> Iterator[ast.expr]:
    """What is tested by an `if` for which a line is run alone, or first."""
    for node in _ifs(file):
        if number in (node.body[0].lineno, *[s.lineno for s in node.orelse[:1]]):
            yield node.test


@cache
def _ifs(file: str) -> list[ast.If]:
    """The `if`s of a file, in order."""
    found = [node for node in ast.walk(_tree(file)) if isinstance(node, ast.If)]
    return sorted(found, key=lambda node: node.lineno)


def _end(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


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


def function_of(line: Line) -> list[ast.AST]:
    """The nodes of the function that a line is of, in the order of the code."""
    return _nodes(line.frame.f_code.co_filename, line.frame.f_code.co_firstlineno)


@cache
def _nodes(path: str, first: int) -> list[ast.AST]:
    functions = [node for node in ast.walk(_tree(path)) if isinstance(node, ast.FunctionDef)]
    begun = (min([each.lineno, *[d.lineno for d in each.decorator_list]]) for each in functions)
    nodes = (node for each, start in zip(functions, begun) if start == first for node in ast.walk(each))
    placed = [node for node in nodes if hasattr(node, "lineno")]
    return sorted(placed, key=lambda node: (node.lineno, node.col_offset))  # type: ignore[attr-defined]


def asked_of(line: Line, slot: str) -> set[str]:
    """The attributes that the class of a line's method reads of what it was given under a name."""
    kind: type = type(line.frame.f_locals.get("self"))
    tree = definition(kind)
    nodes = ast.walk(tree) if tree is not None else ()
    return {node.attr for node in nodes if isinstance(node, ast.Attribute) and _is(node.value, slot)}


@cache
def definition(kind: type) -> ast.ClassDef | None:
    """The definition of a class at the top of a file; None of any other."""
    module = sys.modules.get(kind.__module__)
    found = definitions(getattr(module, "__file__", None) or "")
    return found.get(kind.__name__)


def method(kind: type, name: str) -> ast.FunctionDef | None:
    """The definition of a method that a class itself defines."""
    tree = definition(kind)
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    return None


@cache
def _tree(path: str) -> ast.Module:
    """The syntax of a file of Python; empty for any other, and for torch's own."""
    text = "" if not path.endswith(".py") or path.startswith(_TORCH) else "".join(linecache.getlines(path))
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.Module([], [])


@cache
def definitions(path: str) -> dict[str, ast.ClassDef]:
    """The classes at the top of a file by name."""
    return {each.name: each for each in _tree(path).body if isinstance(each, ast.ClassDef)}


@cache
def _sources(path: str, first: int) -> dict[str, set[str]]:
    """Of the variables of the function that begins on a line, the names that they are computed from."""
    found: dict[str, set[str]] = {}
    functions = [node for node in ast.walk(_tree(path)) if isinstance(node, ast.FunctionDef)]
    for node in (each for f in functions if f.lineno == first for each in ast.walk(f)):
        for targets, value in _bindings(node):
            read = {each.id for each in ast.walk(value) if isinstance(each, ast.Name)}
            for target in (each for part in targets for each in ast.walk(part)):
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, set()).update(read)
    return found


def _bindings(node: ast.AST) -> Iterator[tuple[list[ast.expr], ast.expr]]:
    """What a node binds, and to what or to parts of what."""
    if isinstance(node, ast.Assign):
        yield node.targets, node.value
    elif isinstance(node, (ast.For, ast.comprehension)):
        yield [node.target], node.iter


def sources_of(line: Line) -> list[str]:
    """The names that the variables on a line are computed from, the nearest first."""
    known = _sources(line.frame.f_code.co_filename, line.frame.f_code.co_firstlineno)
    found = list(line.names)
    for name in found:
        found += sorted(known.get(name, set()).difference(found))
    return found[len(line.names) :]


def sources_of_attributes(line: Line) -> list[str]:
    """The names that the attributes on a line are computed from where modules of the user's assign them."""
    found: dict[str, None] = {}
    for node in ast.walk(line.tree) if line.tree is not None else ():
        if isinstance(node, ast.Attribute):
            with suppress(Exception):
                owner = line.value(node.value)
                if isinstance(owner, torch.nn.Module):
                    kind: type = type(owner)
                    found.update(dict.fromkeys(_assigned_from(kind).get(node.attr, ())))
    return list(found)


@cache
def _assigned_from(kind: type) -> dict[str, list[str]]:
    """Of the attributes that constructors assign: the names in the tests around that, then in the values."""
    found: dict[str, list[str]] = {}
    for each in kind.__mro__:
        tree = method(each, "__init__")
        for statement, tests in _guarded(tree.body, ()) if tree is not None else ():
            values = [statement.value] if isinstance(statement, ast.Assign) else []
            for target in statement.targets if isinstance(statement, ast.Assign) else ():
                if isinstance(target, ast.Attribute) and _is(target.value, "self"):
                    read = [name for node in (*tests, *values) for name in _names(node)]
                    found.setdefault(target.attr, []).extend(read)
    return found


def _guarded(
    body: Sequence[ast.stmt], tests: tuple[ast.expr, ...]
) -> Iterator[tuple[ast.stmt, tuple[ast.expr, ...]]]:
    """The statements of a body, each with the tests of the `if`s that it stands in."""
    for statement in body:
        if isinstance(statement, ast.If):
            yield from _guarded([*statement.body, *statement.orelse], (*tests, statement.test))
        else:
            yield statement, tests
            yield from _guarded(getattr(statement, "body", ()), tests)


def _is(node: ast.AST, name: str) -> bool:
    """Whether a node is a name, or an attribute of that name."""
    return (node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")) == name
