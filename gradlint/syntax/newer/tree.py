"""What every conversion is written in: places in the text, and tables of conversions."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import libcst as cst
from libcst.metadata import CodePosition, CodeRange

Point = tuple[int, int]
"""A line, from 1, and a column in UTF-8 bytes, from 0: what `ast` counts in."""

Conversion = Callable[["Tree", Any], Any]
_FILLED: Mapping[str, Callable[[], Any]] = {"ctx": ast.Load, "type_params": list}
"""Fields that no concrete field gives: everything is read until bound, and has no type parameters."""

A = TypeVar("A", bound=ast.AST)


@dataclass(frozen=True, slots=True)
class Tree:
    """A concrete tree on its way to an abstract one.

    `ranges` places every concrete node, in code points and without its parentheses; `table` says
    what each class of node becomes.
    """

    lines: tuple[str, ...]
    ranges: Mapping[cst.CSTNode, CodeRange]
    table: Mapping[type, Conversion]

    def convert(self, node: Any) -> Any:
        """What `node` becomes; None stays None and a sequence becomes a list."""
        if node is None:
            return None
        if isinstance(node, (tuple, list)):
            return [self.convert(item) for item in node]
        conversion = self.table.get(type(node))
        if conversion is None:
            raise self.error(node, f"unknown syntax: {type(node).__name__}")
        return conversion(self, node)

    def start(self, node: cst.CSTNode) -> Point:
        """Where `node` begins, inside its parentheses."""
        return self._point(self.ranges[node].start)

    def end(self, node: cst.CSTNode) -> Point:
        """Where `node` ends, inside its parentheses."""
        return self._point(self.ranges[node].end)

    def outer_start(self, node: Any) -> Point:
        """Where `node` begins, its parentheses included."""
        parentheses = getattr(node, "lpar", ())
        return self.start(parentheses[0] if parentheses else node)

    def outer_end(self, node: Any) -> Point:
        """Where `node` ends, its parentheses included."""
        parentheses = getattr(node, "rpar", ())
        return self.end(parentheses[-1] if parentheses else node)

    def make(self, kind: type[A], node: cst.CSTNode, /, **fields: Any) -> A:
        """A node of `kind` where `node` stands."""
        return place(kind(**fields), self.start(node), self.end(node))

    def error(self, node: cst.CSTNode, message: str) -> SyntaxError:
        """An error at `node`, its column from 1 in characters, as Python gives it."""
        start = self.ranges[node].start
        return SyntaxError(message, ("<unknown>", start.line, start.column + 1, self.lines[start.line - 1]))

    def _point(self, position: CodePosition) -> Point:
        line, column = position.line, position.column
        text = self.lines[line - 1]
        return line, column if text.isascii() else len(text[:column].encode())


def place(node: A, start: Point, end: Point) -> A:
    """`node`, which now stands between two points."""
    attributes: Any = node
    attributes.lineno, attributes.col_offset = start
    attributes.end_lineno, attributes.end_col_offset = end
    return node


def plain(kind: type[ast.AST], /, *same: str, **others: str | Conversion) -> Conversion:
    """A conversion to `kind`, field by field.

    Each field comes from the concrete field of the same name, from the one that is named, or from
    a function of the concrete node.
    """
    sources = {**{name: name for name in same}, **others}
    reads = [(field, _reading(source)) for field, source in sources.items()]
    reads += [(field, _constant(make)) for field, make in _FILLED.items() if field in kind._fields]

    def conversion(tree: Tree, node: Any) -> ast.AST:
        return tree.make(kind, node, **{field: read(tree, node) for field, read in reads})

    return conversion


def _constant(make: Callable[[], Any]) -> Conversion:
    return lambda _tree, _node: make()


def _reading(source: str | Conversion) -> Conversion:
    return through(source) if isinstance(source, str) else source


def through(field: str) -> Conversion:
    """A conversion to whatever `field` converts to."""
    return lambda tree, node: tree.convert(getattr(node, field))


def bind(target: Any, context: ast.expr_context) -> Any:
    """`target`, read as something that is assigned to or deleted."""
    target.ctx = context
    for part in getattr(target, "elts", ()):
        bind(part, context)
    if isinstance(target, ast.Starred):
        bind(target.value, context)
    return target


def stored(field: str) -> Conversion:
    """A conversion to the target that `field` converts to; None stays None."""

    def conversion(tree: Tree, node: Any) -> Any:
        target = tree.convert(getattr(node, field))
        return target and bind(target, ast.Store())

    return conversion
