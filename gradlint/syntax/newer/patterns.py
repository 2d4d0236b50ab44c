"""The match statement and its patterns."""

from __future__ import annotations

import ast

import libcst as cst

from gradlint.syntax.newer.expressions import enclosed, identifier, named
from gradlint.syntax.newer.tree import Conversion, Tree, place, plain, through


def _each(field: str, part: str) -> Conversion:
    """One part of every element in `field`."""
    return lambda tree, node: [tree.convert(getattr(element, part)) for element in getattr(node, field)]


def _value(tree: Tree, node: cst.MatchValue) -> ast.MatchValue:
    return tree.make(ast.MatchValue, node.value, value=tree.convert(node.value))


def _singleton(tree: Tree, node: cst.MatchSingleton) -> ast.MatchSingleton:
    return tree.make(ast.MatchSingleton, node.value, value=tree.convert(node.value).value)


def _star(tree: Tree, node: cst.MatchStar) -> ast.MatchStar:
    """The star and its name, without the comma; the name `_` is none."""
    if node.name:
        return place(ast.MatchStar(name=identifier(node.name)), tree.start(node), tree.end(node.name))
    line, column = tree.end(node.whitespace_before_name)
    return place(ast.MatchStar(name=None), tree.start(node), (line, column + 1))


PATTERNS: dict[type, Conversion] = {
    cst.MatchCase: lambda tree, node: ast.match_case(
        pattern=tree.convert(node.pattern), guard=tree.convert(node.guard), body=tree.convert(node.body)
    ),
    cst.MatchValue: _value,
    cst.MatchSingleton: _singleton,
    cst.MatchList: plain(ast.MatchSequence, "patterns"),
    cst.MatchTuple: enclosed(plain(ast.MatchSequence, "patterns")),
    cst.MatchSequenceElement: through("value"),
    cst.MatchStar: _star,
    cst.MatchMapping: plain(
        ast.MatchMapping,
        keys=_each("elements", "key"),
        patterns=_each("elements", "pattern"),
        rest=named("rest"),
    ),
    cst.MatchClass: plain(
        ast.MatchClass,
        "cls",
        "patterns",
        kwd_attrs=lambda _tree, node: [identifier(element.key) for element in node.kwds],
        kwd_patterns=_each("kwds", "pattern"),
    ),
    cst.MatchAs: plain(ast.MatchAs, "pattern", name=named("name")),
    cst.MatchOr: plain(ast.MatchOr, patterns=_each("patterns", "pattern")),
}
