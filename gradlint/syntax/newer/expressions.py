"""Expressions, except strings."""

from __future__ import annotations

import ast
import unicodedata
from typing import Any

import libcst as cst

from gradlint.syntax.newer.tree import Conversion, Tree, place, plain, stored, through

_SINGLETONS = {"None": None, "True": True, "False": False}


def identifier(node: cst.Name) -> str:
    """The name as Python compares it, in normal form KC."""
    return unicodedata.normalize("NFKC", node.value)


def named(field: str) -> Conversion:
    """A conversion to the identifier in `field`; None where there is none."""

    def conversion(_tree: Tree, node: Any) -> str | None:
        name = getattr(node, field)
        return identifier(name) if name else None

    return conversion


def _name(tree: Tree, node: cst.Name) -> ast.Constant | ast.Name:
    if node.value in _SINGLETONS:
        return tree.make(ast.Constant, node, value=_SINGLETONS[node.value])
    return tree.make(ast.Name, node, id=identifier(node), ctx=ast.Load())


def literal(tree: Tree, node: cst.CSTNode, token: str) -> Any:
    """The value of a literal's text; a malformed one is an error at `node`."""
    try:
        return ast.literal_eval(token)
    except (SyntaxError, ValueError) as error:
        raise tree.error(node, getattr(error, "msg", str(error))) from None


def _number(tree: Tree, node: cst.Integer | cst.Float | cst.Imaginary) -> ast.Constant:
    return tree.make(ast.Constant, node, value=literal(tree, node, node.value))


def _ellipsis(tree: Tree, node: cst.Ellipsis) -> ast.Constant:
    return tree.make(ast.Constant, node, value=...)


def _boolean(tree: Tree, node: cst.BooleanOperation) -> ast.BoolOp:
    """Operands of one operator are one list, unless parentheses set them apart."""
    operands, left = [node.right], node.left
    while isinstance(left, cst.BooleanOperation) and not left.lpar and _same_operator(left, node):
        operands.append(left.right)
        left = left.left
    values = tree.convert([left, *reversed(operands)])
    return tree.make(ast.BoolOp, node, op=tree.convert(node.operator), values=values)


def _same_operator(left: cst.BooleanOperation, right: cst.BooleanOperation) -> bool:
    return type(left.operator) is type(right.operator)


def _comparison(tree: Tree, node: cst.Comparison) -> ast.Compare:
    return tree.make(
        ast.Compare,
        node,
        left=tree.convert(node.left),
        ops=[tree.convert(target.operator) for target in node.comparisons],
        comparators=[tree.convert(target.comparator) for target in node.comparisons],
    )


def _subscript(tree: Tree, node: cst.Subscript) -> ast.Subscript:
    return tree.make(
        ast.Subscript, node, value=tree.convert(node.value), slice=_index(tree, node.slice), ctx=ast.Load()
    )


def _index(tree: Tree, elements: Any) -> Any:
    """One index as it is; several, or one with a comma or a star, as a tuple."""
    indices = [tree.convert(element.slice) for element in elements]
    comma = elements[-1].comma
    has_comma = isinstance(comma, cst.Comma)
    if len(indices) == 1 and not has_comma and not isinstance(indices[0], ast.Starred):
        return indices[0]
    last = comma if has_comma else _tokens(elements[-1].slice)[-1]
    start = tree.outer_start(_tokens(elements[0].slice)[0])
    return place(ast.Tuple(elts=indices, ctx=ast.Load()), start, tree.outer_end(last))


def _tokens(index: cst.BaseSlice) -> list[cst.CSTNode]:
    """The parts of an index that are there, from first to last."""
    if isinstance(index, cst.Index):
        return [index, index.value]
    assert isinstance(index, cst.Slice)
    parts = (index.lower, index.first_colon, index.upper, index.second_colon, index.step)
    return [part for part in parts if isinstance(part, cst.CSTNode)]


def _starred_index(tree: Tree, node: cst.Index) -> ast.expr:
    value: ast.expr = tree.convert(node.value)
    return tree.make(ast.Starred, node, value=value, ctx=ast.Load()) if node.star else value


def _slice(tree: Tree, node: cst.Slice) -> ast.Slice:
    tokens = _tokens(node)
    lower, upper, step = (tree.convert(part) for part in (node.lower, node.upper, node.step))
    return place(
        ast.Slice(lower=lower, upper=upper, step=step),
        tree.outer_start(tokens[0]),
        tree.outer_end(tokens[-1]),
    )


def _call(tree: Tree, node: cst.Call) -> ast.Call:
    args, keywords = arguments(tree, node.args)
    if _is_bare_generator(node):
        line, column = tree.start(node.whitespace_before_args)
        place(args[0], (line, column - 1), tree.end(node))
    return tree.make(ast.Call, node, func=tree.convert(node.func), args=args, keywords=keywords)


def _is_bare_generator(node: cst.Call) -> bool:
    """Whether the parentheses of the call are at once those of its one argument."""
    values = [argument.value for argument in node.args]
    return len(values) == 1 and isinstance(values[0], cst.GeneratorExp) and not values[0].lpar


def arguments(tree: Tree, given: Any) -> tuple[list[ast.expr], list[ast.keyword]]:
    """The positional and the keyword arguments of a call or of a class definition."""
    by_name = [argument for argument in given if argument.keyword or argument.star == "**"]
    by_place = [argument for argument in given if argument not in by_name]
    return [_positional(tree, argument) for argument in by_place], [
        _keyword(tree, argument) for argument in by_name
    ]


def _positional(tree: Tree, node: cst.Arg) -> ast.expr:
    value: ast.expr = tree.convert(node.value)
    return tree.make(ast.Starred, node, value=value, ctx=ast.Load()) if node.star else value


def _keyword(tree: Tree, node: cst.Arg) -> ast.keyword:
    name = named("keyword")(tree, node)
    return tree.make(ast.keyword, node, arg=name, value=tree.convert(node.value))


def _parameters(tree: Tree, node: cst.Parameters) -> ast.arguments:
    positional = (*node.posonly_params, *node.params)
    return ast.arguments(
        posonlyargs=tree.convert(node.posonly_params),
        args=tree.convert(node.params),
        vararg=tree.convert(node.star_arg) if isinstance(node.star_arg, cst.Param) else None,
        kwonlyargs=tree.convert(node.kwonly_params),
        kw_defaults=[tree.convert(parameter.default) for parameter in node.kwonly_params],
        kwarg=tree.convert(node.star_kwarg),
        defaults=[tree.convert(parameter.default) for parameter in positional if parameter.default],
    )


def _parameter(tree: Tree, node: cst.Param) -> ast.arg:
    """The name and its annotation, without a star and without the default."""
    annotation = node.annotation.annotation if node.annotation else None
    argument = ast.arg(arg=identifier(node.name), annotation=tree.convert(annotation))
    return place(argument, tree.start(node.name), tree.outer_end(annotation or node.name))


def _yield(tree: Tree, node: cst.Yield) -> ast.expr:
    kind: type[ast.expr] = ast.YieldFrom if isinstance(node.value, cst.From) else ast.Yield
    return tree.make(kind, node, value=tree.convert(node.value))


def enclosed(conversion: Conversion) -> Conversion:
    """The same conversion for a node to which its innermost parentheses belong."""

    def within(tree: Tree, node: Any) -> ast.AST:
        result: ast.AST = conversion(tree, node)
        return place(result, tree.start(node.lpar[-1]), tree.end(node.rpar[0])) if node.lpar else result

    return within


def _dictionary(tree: Tree, node: cst.Dict) -> ast.Dict:
    keys = [tree.convert(getattr(element, "key", None)) for element in node.elements]
    return tree.make(
        ast.Dict, node, keys=keys, values=[tree.convert(element.value) for element in node.elements]
    )


def _generators(tree: Tree, node: cst.CompFor) -> list[ast.comprehension]:
    """The clauses of a comprehension, from outer to inner."""
    clause = ast.comprehension(
        target=stored("target")(tree, node),
        iter=tree.convert(node.iter),
        ifs=[tree.convert(condition.test) for condition in node.ifs],
        is_async=int(node.asynchronous is not None),
    )
    return [clause, *(tree.convert(node.inner_for_in) or [])]


EXPRESSIONS: dict[type, Conversion] = {
    cst.Name: _name,
    cst.Integer: _number,
    cst.Float: _number,
    cst.Imaginary: _number,
    cst.Ellipsis: _ellipsis,
    cst.UnaryOperation: plain(ast.UnaryOp, op="operator", operand="expression"),
    cst.BinaryOperation: plain(ast.BinOp, "left", "right", op="operator"),
    cst.BooleanOperation: _boolean,
    cst.Comparison: _comparison,
    cst.Attribute: plain(ast.Attribute, "value", attr=named("attr")),
    cst.Subscript: _subscript,
    cst.Index: _starred_index,
    cst.Slice: _slice,
    cst.Call: _call,
    cst.Lambda: plain(ast.Lambda, "body", args="params"),
    cst.Parameters: _parameters,
    cst.Param: _parameter,
    cst.Annotation: through("annotation"),
    cst.Await: plain(ast.Await, value="expression"),
    cst.IfExp: plain(ast.IfExp, "test", "body", "orelse"),
    cst.Yield: _yield,
    cst.From: through("item"),
    cst.NamedExpr: plain(ast.NamedExpr, "value", target=stored("target")),
    cst.Tuple: enclosed(plain(ast.Tuple, elts="elements")),
    cst.List: plain(ast.List, elts="elements"),
    cst.Set: plain(ast.Set, elts="elements"),
    cst.Dict: _dictionary,
    cst.Element: through("value"),
    cst.StarredElement: plain(ast.Starred, "value"),
    cst.ListComp: plain(ast.ListComp, "elt", generators="for_in"),
    cst.SetComp: plain(ast.SetComp, "elt", generators="for_in"),
    cst.DictComp: plain(ast.DictComp, "key", "value", generators="for_in"),
    cst.GeneratorExp: enclosed(plain(ast.GeneratorExp, "elt", generators="for_in")),
    cst.CompFor: _generators,
}
