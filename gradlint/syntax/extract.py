"""From one file's text to its facts."""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache

from gradlint.records import ir
from gradlint.records.facts import CHANGING, FileFacts
from gradlint.records.span import Span
from gradlint.source.triage import Found, lines_of, uses
from gradlint.syntax.lower import Lowering
from gradlint.syntax.parse import parse

_LONGEST_ASSIGNMENT = 40
_LONGEST_HELPER = 40
_ROUNDS = 3
_GLOBAL = re.compile(r"^[ \t]+global[ \t]+(\w+(?:[ \t]*,[ \t]*\w+)*)", re.MULTILINE)
_COMMON = frozenset({"forward", "__init__", "__call__", "main"})


def extract(text: str, found: Found, outline: bool = False) -> FileFacts:
    """The facts of a file with this text, in which these triggers were found.

    Only the top-level definitions in which one was found are lowered. Without any, nothing but
    the syntax is checked, unless an outline is asked for: all names, no definition lowered.
    """
    try:
        hits = lines_of(found)
        tree = _tree(text)
        if not hits and not outline:
            return FileFacts(parsed=True)
        names, hits = _propagated(tree, text, hits)
        helpers = names.intersection(name for node in tree.body for name in _binds(node))
        return FileFacts(
            body=_relevant(tree, text, hits),
            hits=hits,
            literals=frozenset(found),
            helpers=tuple(sorted(helpers)),
            rebound=_rebound(text),
            filled=frozenset(_filled(tree)),
            parsed=True,
        )
    except SyntaxError as error:
        line, column = error.lineno or 1, max(error.offset or 1, 1)
        return FileFacts(error=str(error.msg or error), error_span=Span(line, column, line, column + 1))
    except RecursionError:
        return FileFacts(error="the code is nested too deeply to be read")


def _rebound(text: str) -> frozenset[str]:
    """The names after the word `global`."""
    if "global " not in text:
        return frozenset()
    return frozenset(name for names in _GLOBAL.findall(text) for name in re.split(r"[\s,]+", names))


def _filled(tree: ast.Module) -> Iterator[str]:
    """The collections that statements of the module put something in, or take something from."""
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    for statement in tree.body:
        for node in ast.walk(statement) if not isinstance(statement, definitions) else ():
            is_item = isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load)
            is_method = isinstance(node, ast.Attribute) and node.attr in CHANGING
            if (is_item or is_method) and isinstance(changed := getattr(node, "value", None), ast.Name):
                yield changed.id


def lower_omitted(text: str, omitted: ir.Omitted) -> tuple[ir.Statement, ...]:
    """The lowered statements of a module that its facts left out; only their lines are parsed."""
    span = omitted.span
    lines = _lines(text)[span.line - 1 : span.end_line]
    alone = "\n" * (span.line - 1) + "\n".join(lines)
    try:
        return Lowering(alone).body(parse(alone).body)
    except (SyntaxError, RecursionError):
        return ()


@lru_cache(maxsize=4)
def _lines(text: str) -> list[str]:
    return text.split("\n")


@lru_cache(maxsize=4)
def _tree(text: str) -> ast.Module:
    return parse(text)


def _propagated(tree: ast.Module, text: str, hits: tuple[int, ...]) -> tuple[set[str], tuple[int, ...]]:
    """The names behind which something of interest stands, and all lines worth looking at."""
    names: set[str] = set()
    for _ in range(_ROUNDS):
        new = set(_names_behind(tree, hits)) - names
        if not new:
            break
        names |= new
        hits = tuple(sorted({*hits, *lines_of(uses(text, new))}))
    return names, hits


def _relevant(tree: ast.Module, text: str, hits: tuple[int, ...]) -> tuple[ir.Statement, ...]:
    """The module's statements; of definitions only those on a line of `hits`."""
    lowering = Lowering(text)
    statements: list[ir.Statement] = []
    for node in tree.body:
        if _is_wanted(node, hits):
            statements.extend(lowering.body([node]))
        else:
            span = _with_decorators(node, lowering.span(node))
            statements.append(ir.Omitted(span, tuple(_binds(node)), _defines_class(node)))
    return tuple(statements)


def _defines_class(node: ast.stmt) -> bool:
    if isinstance(node, (ast.If, ast.Try)):
        return any(
            _defines_class(inner) for inner in ast.iter_child_nodes(node) if isinstance(inner, ast.stmt)
        )
    return isinstance(node, ast.ClassDef)


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *[decorator.lineno for decorator in decorators]])


def _with_decorators(node: ast.stmt, span: Span) -> Span:
    return Span(_first_line(node), span.column, span.end_line, span.end_column)


def _is_wanted(node: ast.stmt, hits: tuple[int, ...]) -> bool:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return True
    start, end = _first_line(node), node.end_lineno or node.lineno
    if (
        not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and end - start < _LONGEST_ASSIGNMENT
    ):
        return True
    return _is_hit(hits, start, end)


def _is_hit(hits: tuple[int, ...], start: int, end: int) -> bool:
    position = bisect_left(hits, start)
    return position < len(hits) and hits[position] <= end


def _binds(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    else:
        yield from _bound_within(node)


def _bound_within(node: ast.stmt) -> Iterator[str]:
    """The names that a statement other than a definition binds."""
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            yield from (name.id for name in ast.walk(target) if isinstance(name, ast.Name))
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
    else:
        for inner in ast.iter_child_nodes(node):
            if isinstance(inner, ast.stmt):
                yield from _binds(inner)
            elif isinstance(inner, ast.ExceptHandler):
                for statement in inner.body:
                    yield from _binds(statement)


def _names_behind(tree: ast.Module, hits: tuple[int, ...]) -> Iterator[str]:
    """Names whose use elsewhere concerns a rule as well: aliases, stored functions, helpers."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and _is_hit(hits, node.lineno, node.end_lineno or node.lineno):
            for target in node.targets:
                yield from (name.id for name in ast.walk(target) if isinstance(name, ast.Name))
        else:
            yield from _names_of(node, hits)


def _names_of(node: ast.stmt, hits: tuple[int, ...]) -> Iterator[str]:
    if not _is_hit(hits, node.lineno, node.end_lineno or node.lineno):
        return
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname for alias in node.names if alias.asname and alias.lineno in hits)
    elif isinstance(node, ast.Assign) and node.lineno in hits:
        yield from _stored(node)
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        if node.name not in _COMMON and (node.end_lineno or node.lineno) - node.lineno < _LONGEST_HELPER:
            yield node.name
        for statement in node.body:
            if isinstance(statement, ast.Assign) and statement.lineno in hits:
                yield from _stored(statement)
    elif isinstance(node, (ast.If, ast.Try, ast.ClassDef)):
        for inner in node.body:
            yield from _names_of(inner, hits)


def _stored(node: ast.Assign) -> Iterator[str]:
    """`L = torch.log` and `self.act = torch.log` name a function anew."""
    if isinstance(node.value, (ast.Attribute, ast.Name)):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id
            elif isinstance(target, ast.Attribute):
                yield target.attr
