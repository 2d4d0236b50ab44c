"""From Python's syntax tree to the intermediate representation."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import Any

from gradlint.records import ir
from gradlint.records.span import Span
from gradlint.syntax.columns import Columns
from gradlint.syntax.patterns import bound_by, subject_of, test_of

_LARGEST = 2**63

_BINARY = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "truediv",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.Pow: "pow",
    ast.MatMult: "matmul",
    ast.LShift: "lshift",
    ast.RShift: "rshift",
    ast.BitOr: "or_",
    ast.BitAnd: "and_",
    ast.BitXor: "xor",
}
_IN_PLACE = {plain: name for name, plain in ir.IN_PLACE.items()}
_UNARY = {ast.USub: "neg", ast.UAdd: "pos", ast.Invert: "invert", ast.Not: "not"}
_COMPARE = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.Is: "is",
    ast.IsNot: "is_not",
    ast.In: "in",
    ast.NotIn: "not_in",
}


class Lowering:
    """Lowers the nodes of one text."""

    def __init__(self, text: str) -> None:
        self._columns = Columns(text)
        self._yields = False

    def span(self, node: Any) -> Span:
        """Where `node` stands."""
        line, end = node.lineno, node.end_lineno
        wide = self._columns.wide
        if not wide or (line not in wide and end not in wide):
            return Span(line, node.col_offset + 1, end, node.end_col_offset + 1)
        column = self._columns.column
        return Span(line, column(line, node.col_offset), end, column(end, node.end_col_offset))

    # expressions

    def expression(self, node: ast.expr) -> ir.Expression:
        """The lowered expression."""
        lower = _EXPRESSIONS.get(type(node))
        if lower is not None:
            return lower(self, node)
        return ir.Unknown(self.span(node), type(node).__name__)

    def optional(self, node: ast.expr | None) -> ir.Expression | None:
        """The lowered expression, or None for none."""
        return None if node is None else self.expression(node)

    def expressions(self, nodes: Iterable[ast.expr]) -> tuple[ir.Expression, ...]:
        """The lowered expressions, in order."""
        return tuple([self.expression(node) for node in nodes])

    def _constant(self, node: ast.Constant) -> ir.Expression:
        value = node.value
        if value is None or isinstance(value, (bool, float, str)):
            return ir.Literal(self.span(node), value)
        if isinstance(value, int) and -_LARGEST <= value < _LARGEST:
            return ir.Literal(self.span(node), value)
        return ir.Unknown(self.span(node), type(value).__name__)

    def _name(self, node: ast.Name) -> ir.Expression:
        return ir.Name(self.span(node), node.id)

    def _attribute(self, node: ast.Attribute) -> ir.Expression:
        return ir.Attribute(self.span(node), self.expression(node.value), node.attr)

    def _index(self, node: ast.Subscript) -> ir.Expression:
        return ir.Index(self.span(node), self.expression(node.value), self.expression(node.slice))

    def _slice(self, node: ast.Slice) -> ir.Expression:
        return ir.Slice(
            self.span(node), self.optional(node.lower), self.optional(node.upper), self.optional(node.step)
        )

    def keywords(self, nodes: Iterable[ast.keyword]) -> tuple[ir.Keyword, ...]:
        """The keyword arguments of a call or a class."""
        return tuple([ir.Keyword(self.span(k), k.arg, self.expression(k.value)) for k in nodes])

    def _call(self, node: ast.Call) -> ir.Expression:
        return ir.Call(
            self.span(node),
            self.expression(node.func),
            self.expressions(node.args),
            self.keywords(node.keywords),
        )

    def _binary(self, node: ast.BinOp) -> ir.Expression:
        operands = (self.expression(node.left), self.expression(node.right))
        return ir.Operation(self.span(node), _BINARY[type(node.op)], operands)

    def _unary(self, node: ast.UnaryOp) -> ir.Expression:
        return ir.Operation(self.span(node), _UNARY[type(node.op)], (self.expression(node.operand),))

    def _boolean(self, node: ast.BoolOp) -> ir.Expression:
        operator = "and" if isinstance(node.op, ast.And) else "or"
        return ir.Operation(self.span(node), operator, self.expressions(node.values))

    def _compare(self, node: ast.Compare) -> ir.Expression:
        span = self.span(node)
        operands = [self.expression(node.left), *self.expressions(node.comparators)]
        links = [
            ir.Operation(span, _COMPARE[type(op)], (operands[i], operands[i + 1]))
            for i, op in enumerate(node.ops)
        ]
        return links[0] if len(links) == 1 else ir.Operation(span, "and", tuple(links))

    def _conditional(self, node: ast.IfExp) -> ir.Expression:
        return ir.Conditional(
            self.span(node),
            self.expression(node.test),
            self.expression(node.body),
            self.expression(node.orelse),
        )

    def _display(self, node: ast.Tuple | ast.List | ast.Set) -> ir.Expression:
        return ir.Display(self.span(node), type(node).__name__.lower(), self.expressions(node.elts))

    def _formatted(self, node: ast.JoinedStr) -> ir.Expression:
        values = [part for part in node.values if isinstance(part, ast.FormattedValue)]
        if any(part.format_spec is not None or part.conversion != -1 for part in values):
            return ir.Display(self.span(node), "string", self.expressions([part.value for part in values]))
        parts = [part.value if isinstance(part, ast.FormattedValue) else part for part in node.values]
        return ir.Display(self.span(node), "text", self.expressions(parts))

    def _dictionary(self, node: ast.Dict) -> ir.Expression:
        keys = tuple([self.optional(key) for key in node.keys])
        return ir.Dictionary(self.span(node), keys, self.expressions(node.values))

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
    ) -> ir.Expression:
        span = self.span(node)
        generators = tuple(
            [
                ir.Generator(
                    self.span(g.target),
                    self.expression(g.target),
                    self.expression(g.iter),
                    self.expressions(g.ifs),
                )
                for g in node.generators
            ]
        )
        if isinstance(node, ast.DictComp):
            if node.value is None:  # unpacking, from Python 3.15 on
                return ir.Unknown(span, "dict unpacking", (self.expression(node.key),))
            return ir.Comprehension(
                span, "dict", self.expression(node.key), self.expression(node.value), generators
            )
        kind = {ast.ListComp: "list", ast.SetComp: "set"}.get(type(node), "generator")
        return ir.Comprehension(span, kind, None, self.expression(node.elt), generators)

    def _lambda(self, node: ast.Lambda) -> ir.Expression:
        return ir.Lambda(self.span(node), self.parameters(node.args), self.expression(node.body))

    def _starred(self, node: ast.Starred) -> ir.Expression:
        return ir.Starred(self.span(node), self.expression(node.value))

    def _walrus(self, node: ast.NamedExpr) -> ir.Expression:
        return ir.Walrus(self.span(node), node.target.id, self.expression(node.value))

    def _suspend(self, node: ast.Await | ast.Yield | ast.YieldFrom) -> ir.Expression:
        self._yields = self._yields or not isinstance(node, ast.Await)
        return ir.Suspend(self.span(node), type(node).__name__.lower(), self.optional(node.value))

    def parameters(self, node: ast.arguments) -> tuple[ir.Parameter, ...]:
        """A function's parameters, in order of declaration."""
        plain = [*node.posonlyargs, *node.args]
        defaults = [None] * (len(plain) - len(node.defaults)) + list(node.defaults)
        found = [self._parameter(arg, "plain", default) for arg, default in zip(plain, defaults, strict=True)]
        if node.vararg:
            found.append(self._parameter(node.vararg, "arguments", None))
        for arg, default in zip(node.kwonlyargs, node.kw_defaults, strict=True):
            found.append(self._parameter(arg, "keyword", default))
        if node.kwarg:
            found.append(self._parameter(node.kwarg, "keywords", None))
        return tuple(found)

    def _parameter(self, node: ast.arg, kind: str, default: ast.expr | None) -> ir.Parameter:
        return ir.Parameter(
            self.span(node), node.arg, kind, self.optional(default), self.optional(node.annotation)
        )

    # statements

    def body(self, nodes: Iterable[ast.stmt]) -> tuple[ir.Statement, ...]:
        """The lowered statements, without docstrings and `pass`."""
        found: list[ir.Statement] = []
        for node in nodes:
            lower = _STATEMENTS.get(type(node))
            try:
                statement = lower(self, node) if lower else self._unknown(node, type(node).__name__)
            except RecursionError:
                statement = self._unknown(node, "deep nesting")
            if statement is not None:
                found.append(statement)
        return tuple(found)

    def _unknown(self, node: ast.stmt, kind: str) -> ir.Statement:
        """A statement that is not represented; what it assigns to is."""
        unknown = ir.Unknown(self.span(node), kind)
        if isinstance(node, ast.Assign):
            return ir.Assign(self.span(node), self.expressions(node.targets), unknown)
        if isinstance(node, (ast.AnnAssign, ast.AugAssign)):
            return ir.Assign(self.span(node), (self.expression(node.target),), unknown)
        return ir.Evaluate(self.span(node), unknown)

    def _evaluate(self, node: ast.Expr) -> ir.Statement | None:
        if isinstance(node.value, ast.Constant):
            return None
        return ir.Evaluate(self.span(node), self.expression(node.value))

    def _assign(self, node: ast.Assign) -> ir.Statement:
        return ir.Assign(self.span(node), self.expressions(node.targets), self.expression(node.value))

    def _annotated(self, node: ast.AnnAssign) -> ir.Statement:
        return ir.Assign(
            self.span(node),
            (self.expression(node.target),),
            self.optional(node.value),
            self.expression(node.annotation),
        )

    def _alias(self, node: Any) -> ir.Statement:
        name = ir.Name(self.span(node.name), node.name.id)
        return ir.Assign(self.span(node), (name,), self.expression(node.value))

    def _augment(self, node: ast.AugAssign) -> ir.Statement:
        return ir.Augment(
            self.span(node),
            self.expression(node.target),
            _IN_PLACE[_BINARY[type(node.op)]],
            self.expression(node.value),
        )

    def _return(self, node: ast.Return) -> ir.Statement:
        return ir.Return(self.span(node), self.optional(node.value))

    def _if(self, node: ast.If) -> ir.Statement:
        return ir.Branch(
            self.span(node), self.expression(node.test), self.body(node.body), self.body(node.orelse)
        )

    def _for(self, node: ast.For | ast.AsyncFor) -> ir.Statement:
        return ir.Loop(
            self.span(node),
            self.expression(node.target),
            self.expression(node.iter),
            None,
            self.body(node.body),
            self.body(node.orelse),
        )

    def _while(self, node: ast.While) -> ir.Statement:
        test = self.expression(node.test)
        return ir.Loop(self.span(node), None, None, test, self.body(node.body), self.body(node.orelse))

    def _with(self, node: ast.With | ast.AsyncWith) -> ir.Statement:
        items = tuple(
            [
                ir.Item(
                    self.span(item.context_expr),
                    self.expression(item.context_expr),
                    self.optional(item.optional_vars),
                )
                for item in node.items
            ]
        )
        return ir.With(self.span(node), items, self.body(node.body))

    def _try(self, node: Any) -> ir.Statement:
        handlers = tuple(
            [
                ir.Handler(self.span(h), self.optional(h.type), h.name, self._handler_body(h))
                for h in node.handlers
            ]
        )
        return ir.Try(
            self.span(node),
            self.body(node.body),
            handlers,
            self.body(node.orelse),
            self.body(node.finalbody),
        )

    def _handler_body(self, node: ast.ExceptHandler) -> tuple[ir.Statement, ...]:
        body = self.body(node.body)
        return body if node.name is None else (_captured(self.span(node), node.name), *body)

    def _raise(self, node: ast.Raise) -> ir.Statement:
        return ir.Raise(self.span(node), self.optional(node.exc))

    def _assert(self, node: ast.Assert) -> ir.Statement:
        return ir.Assert(self.span(node), self.expression(node.test))

    def _delete(self, node: ast.Delete) -> ir.Statement:
        return ir.Delete(self.span(node), self.expressions(node.targets))

    def _declare(self, node: ast.Global | ast.Nonlocal) -> ir.Statement:
        return ir.Declare(self.span(node), type(node).__name__.lower(), tuple(node.names))

    def _jump(self, node: ast.Break | ast.Continue) -> ir.Statement:
        return ir.Jump(self.span(node), type(node).__name__.lower())

    def _import(self, node: ast.Import) -> ir.Statement:
        bindings = [
            ir.Binding(self.span(a), a.asname, a.name, "", 0)
            if a.asname
            else ir.Binding(self.span(a), a.name.partition(".")[0], a.name.partition(".")[0], "", 0)
            for a in node.names
        ]
        return ir.Import(self.span(node), tuple(bindings))

    def _import_from(self, node: ast.ImportFrom) -> ir.Statement:
        bindings = [
            ir.Binding(self.span(a), a.asname or a.name, node.module or "", a.name, node.level)
            for a in node.names
        ]
        return ir.Import(self.span(node), tuple(bindings))

    def _header(self, node: Any, keyword: str) -> Span:
        line = node.lineno
        start = self._columns.column(line, node.col_offset) + len(keyword) + 1
        return Span(line, start, line, start + len(node.name))

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ir.Statement:
        keyword = "def" if isinstance(node, ast.FunctionDef) else "async def"
        outer, self._yields = self._yields, False
        body = self.body(node.body)
        yields, self._yields = self._yields, outer
        return ir.Function(
            self.span(node),
            node.name,
            self.parameters(node.args),
            body,
            self.expressions(node.decorator_list),
            yields,
            self._header(node, keyword),
        )

    def _class(self, node: ast.ClassDef) -> ir.Statement:
        return ir.Class(
            self.span(node),
            node.name,
            self.expressions(node.bases),
            self.keywords(node.keywords),
            self.body(node.body),
            self.expressions(node.decorator_list),
            self._header(node, "class"),
        )

    def _match(self, node: ast.Match) -> ir.Statement:
        subject, held = subject_of(self.expression(node.subject))
        chain: tuple[ir.Statement, ...] = ()
        for case in reversed(node.cases):
            chain = self._case(case, subject, self.span(node), chain)
        return ir.Branch(self.span(node), ir.Literal(self.span(node), True), (*held, *chain), ())

    def _case(
        self, case: ast.match_case, subject: ir.Expression, around: Span, others: tuple[ir.Statement, ...]
    ) -> tuple[ir.Statement, ...]:
        span = self.span(case.pattern)
        test = test_of(case.pattern, subject, span, self.expression)
        guard = None if case.guard is None else self.expression(case.guard)
        if test is not None and guard is not None:
            test = ir.Operation(span, "and", (test, guard))
        test = guard if test is None else test
        bound = tuple(bound_by(case.pattern, subject, span))
        body = self.body(case.body)
        return (*bound, *(body if test is None else (ir.Branch(around, test, body, others),)))


def _captured(span: Span, name: str, *sources: ir.Expression) -> ir.Statement:
    """The assignment to a name that a pattern or an exception is bound to."""
    return ir.Assign(span, (ir.Name(span, name),), ir.Unknown(span, "capture", sources))


_EXPRESSIONS: dict[type, Callable[[Lowering, Any], ir.Expression]] = {
    ast.Constant: Lowering._constant,
    ast.Name: Lowering._name,
    ast.Attribute: Lowering._attribute,
    ast.Subscript: Lowering._index,
    ast.Slice: Lowering._slice,
    ast.Call: Lowering._call,
    ast.BinOp: Lowering._binary,
    ast.UnaryOp: Lowering._unary,
    ast.BoolOp: Lowering._boolean,
    ast.Compare: Lowering._compare,
    ast.IfExp: Lowering._conditional,
    ast.Tuple: Lowering._display,
    ast.List: Lowering._display,
    ast.Set: Lowering._display,
    ast.JoinedStr: Lowering._formatted,
    ast.Dict: Lowering._dictionary,
    ast.ListComp: Lowering._comprehension,
    ast.SetComp: Lowering._comprehension,
    ast.GeneratorExp: Lowering._comprehension,
    ast.DictComp: Lowering._comprehension,
    ast.Lambda: Lowering._lambda,
    ast.Starred: Lowering._starred,
    ast.NamedExpr: Lowering._walrus,
    ast.Await: Lowering._suspend,
    ast.Yield: Lowering._suspend,
    ast.YieldFrom: Lowering._suspend,
}

_STATEMENTS: dict[type, Callable[[Lowering, Any], ir.Statement | None]] = {
    ast.Expr: Lowering._evaluate,
    ast.Assign: Lowering._assign,
    ast.AnnAssign: Lowering._annotated,
    ast.AugAssign: Lowering._augment,
    ast.Return: Lowering._return,
    ast.If: Lowering._if,
    ast.For: Lowering._for,
    ast.AsyncFor: Lowering._for,
    ast.While: Lowering._while,
    ast.With: Lowering._with,
    ast.AsyncWith: Lowering._with,
    ast.Try: Lowering._try,
    ast.Raise: Lowering._raise,
    ast.Assert: Lowering._assert,
    ast.Delete: Lowering._delete,
    ast.Global: Lowering._declare,
    ast.Nonlocal: Lowering._declare,
    ast.Break: Lowering._jump,
    ast.Continue: Lowering._jump,
    ast.Pass: lambda lowering, node: None,
    ast.Import: Lowering._import,
    ast.ImportFrom: Lowering._import_from,
    ast.FunctionDef: Lowering._function,
    ast.AsyncFunctionDef: Lowering._function,
    ast.ClassDef: Lowering._class,
    ast.Match: Lowering._match,
}
if hasattr(ast, "TryStar"):
    _STATEMENTS[ast.TryStar] = Lowering._try
if hasattr(ast, "TypeAlias"):
    _STATEMENTS[ast.TypeAlias] = Lowering._alias
