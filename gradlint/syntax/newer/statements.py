"""Statements and their blocks."""

from __future__ import annotations

import ast
from typing import Any

import libcst as cst

from gradlint.syntax.newer.expressions import arguments, identifier, named
from gradlint.syntax.newer.tree import Conversion, Point, Tree, bind, place, plain, stored, through

_CLAUSES = ("finalbody", "orelse", "handlers", "cases", "body")
"""Where the last token of a statement may be, in this order."""


def _module(tree: Tree, node: cst.Module) -> ast.Module:
    return ast.Module(body=_block(tree, node), type_ignores=[])


def _block(tree: Tree, node: Any) -> list[ast.stmt]:
    """The statements of a suite, those that share a line one by one."""
    statements: list[ast.stmt] = []
    for item in node.body:
        converted = tree.convert(item)
        statements.extend(converted if isinstance(converted, list) else [converted])
    return statements


def _last_point(tree: Tree, node: Any) -> Point:
    """Behind the last token, which may be a semicolon."""
    while not isinstance(node, cst.BaseSmallStatement):
        clause = next(filter(None, (getattr(node, name, None) for name in _CLAUSES)))
        node = clause if isinstance(clause, cst.CSTNode) else clause[-1]
    semicolon = getattr(node, "semicolon", None)
    return tree.end(semicolon if isinstance(semicolon, cst.Semicolon) else node)


def _compound(conversion: Conversion) -> Conversion:
    """The same conversion for a statement that ends where its last block ends."""

    def whole(tree: Tree, node: Any) -> Any:
        return place(conversion(tree, node), tree.start(node), _last_point(tree, node))

    return whole


def _either(kind: str, /, *same: str, **others: str | Conversion) -> Conversion:
    """A compound statement that may be asynchronous."""
    plainly = plain(getattr(ast, kind), *same, **others)
    asynchronously = plain(getattr(ast, f"Async{kind}"), *same, **others)
    return _compound(lambda tree, node: (asynchronously if node.asynchronous else plainly)(tree, node))


def _alternative(field: str) -> Conversion:
    """The block behind `else` or `finally`, maybe empty; an `elif` is an `if` of its own."""

    def conversion(tree: Tree, node: Any) -> Any:
        block = tree.convert(getattr(node, field))
        return [block] if isinstance(block, ast.If) else block or []

    return conversion


def _handler_name(_tree: Tree, node: Any) -> str | None:
    return identifier(node.name.name) if node.name else None


def _class(tree: Tree, node: cst.ClassDef) -> Any:
    definition = _bare_class(tree, node)
    definition.bases, definition.keywords = arguments(tree, (*node.bases, *node.keywords))
    return definition


_bare_class = plain(ast.ClassDef, "body", name=named("name"), decorator_list="decorators")


def _targets(tree: Tree, node: cst.Assign) -> list[ast.expr]:
    return [bind(tree.convert(target.target), ast.Store()) for target in node.targets]


def _type_alias(tree: Tree, node: cst.TypeAlias) -> ast.Assign:
    """An assignment, without the semicolon that libcst counts in."""
    alias = ast.Assign(targets=[stored("name")(tree, node)], value=tree.convert(node.value))
    return place(alias, tree.start(node), tree.outer_end(node.value))


def _deleted(tree: Tree, node: cst.Del) -> list[ast.expr]:
    """The targets; only a tuple in parentheses is a target of its own."""
    target = bind(tree.convert(node.target), ast.Del())
    is_list = isinstance(node.target, cst.Tuple) and not node.target.lpar
    return target.elts if is_list else [target]


def _is_simple(_tree: Tree, node: cst.AnnAssign) -> int:
    return int(isinstance(node.target, cst.Name) and not node.target.lpar)


def _names(_tree: Tree, node: cst.Global | cst.Nonlocal) -> list[str]:
    return [identifier(item.name) for item in node.names]


def _dotted(node: Any) -> str:
    if isinstance(node, cst.Attribute):
        return f"{_dotted(node.value)}.{identifier(node.attr)}"
    return identifier(node)


def _alias(tree: Tree, node: cst.ImportAlias) -> ast.alias:
    asname = node.asname and _dotted(node.asname.name)
    return tree.make(ast.alias, node, name=_dotted(node.name), asname=asname)


def _imported(tree: Tree, node: cst.ImportFrom) -> list[ast.alias]:
    star = isinstance(node.names, cst.ImportStar)
    return tree.convert([node.names] if star else node.names)  # type: ignore[no-any-return]


def _module_name(_tree: Tree, node: Any) -> str | None:
    return _dotted(node.module) if node.module else None


def _level(_tree: Tree, node: Any) -> int:
    return len(node.relative)


_function = _either(
    "FunctionDef", "body", "returns", name=named("name"), args="params", decorator_list="decorators"
)
_try = _compound(
    plain(ast.Try, "body", "handlers", orelse=_alternative("orelse"), finalbody=_alternative("finalbody"))
)
_handler = _compound(plain(ast.ExceptHandler, "type", "body", name=_handler_name))

STATEMENTS: dict[type, Conversion] = {
    cst.Module: _module,
    cst.IndentedBlock: _block,
    cst.SimpleStatementSuite: _block,
    cst.SimpleStatementLine: _block,
    cst.Else: through("body"),
    cst.Finally: through("body"),
    cst.FunctionDef: _function,
    cst.ClassDef: _compound(_class),
    cst.Decorator: through("decorator"),
    cst.If: _compound(plain(ast.If, "test", "body", orelse=_alternative("orelse"))),
    cst.While: _compound(plain(ast.While, "test", "body", orelse=_alternative("orelse"))),
    cst.For: _either("For", "iter", "body", target=stored("target"), orelse=_alternative("orelse")),
    cst.With: _either("With", "items", "body"),
    cst.WithItem: lambda tree, node: ast.withitem(
        context_expr=tree.convert(node.item), optional_vars=tree.convert(node.asname)
    ),
    cst.AsName: stored("name"),
    cst.Try: _try,
    cst.TryStar: _try,
    cst.ExceptHandler: _handler,
    cst.ExceptStarHandler: _handler,
    cst.Match: _compound(plain(ast.Match, "subject", "cases")),
    cst.Assign: plain(ast.Assign, "value", targets=_targets),
    cst.AugAssign: plain(ast.AugAssign, "value", target=stored("target"), op="operator"),
    cst.AnnAssign: plain(ast.AnnAssign, "annotation", "value", target=stored("target"), simple=_is_simple),
    cst.TypeAlias: _type_alias,
    cst.Del: plain(ast.Delete, targets=_deleted),
    cst.Expr: plain(ast.Expr, "value"),
    cst.Return: plain(ast.Return, "value"),
    cst.Raise: plain(ast.Raise, "exc", "cause"),
    cst.Assert: plain(ast.Assert, "test", "msg"),
    cst.Global: plain(ast.Global, names=_names),
    cst.Nonlocal: plain(ast.Nonlocal, names=_names),
    cst.Import: plain(ast.Import, "names"),
    cst.ImportFrom: plain(ast.ImportFrom, module=_module_name, names=_imported, level=_level),
    cst.ImportAlias: _alias,
    cst.ImportStar: plain(ast.alias, name=lambda _tree, _node: "*"),
    cst.Pass: plain(ast.Pass),
    cst.Break: plain(ast.Break),
    cst.Continue: plain(ast.Continue),
}
