"""Pieces of replacement text that keep what stands in the source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import astuple

from gradlint.records import ir
from gradlint.records.span import Span
from gradlint.semantics.bindings import walk

Parts = tuple[str | Span, ...]

_ATOMS = (ir.Name, ir.Attribute, ir.Call, ir.Index)
_BINARY = frozenset({"add", "sub", "mul", "truediv", "floordiv", "mod", "matmul"})
_TIGHT = frozenset({"pow", "neg"})


def enclosed(node: ir.Expression) -> Parts:
    """The text of `node`, in parentheses unless it needs none anywhere."""
    if isinstance(node, _ATOMS) or (isinstance(node, ir.Literal) and not isinstance(node.value, str)):
        return (node.span,)
    return ("(", node.span, ")")


def negative(node: ir.Expression) -> Parts:
    """The text of -node; of x where `node` is -x, and of x * y where it is -x * y."""
    if isinstance(node, ir.Operation) and node.operator == "neg":
        return (node.operands[0].span,)
    first = node
    while isinstance(first, ir.Operation) and first.operator in ("mul", "truediv"):
        first = first.operands[0]
    start, end = node.span, node.span.end
    if isinstance(first, ir.Operation) and first.operator == "neg" and first.span.start == start.start:
        return (Span(start.line, start.column + 1, end.line, end.column),)
    return ("-", *enclosed(node))


def plus(node: ir.Expression, term: str, is_argument: bool) -> Parts:
    """The text of node + term in the place of `node`: an argument, or an operand or receiver, which
    has its parentheses already if it needs them.
    """
    operator = node.operator if isinstance(node, ir.Operation) else ""
    inner: Parts = (node.span,) if operator in _BINARY | _TIGHT else enclosed(node)
    if is_argument or operator in _BINARY:
        return (*inner, f" + {term}")
    return ("(", *inner, f" + {term})")


def call(name: str, arguments: Iterable[Parts]) -> Parts:
    """The text of `name(arguments)`."""
    parts: list[str | Span] = [f"{name}("]
    for position, argument in enumerate(arguments):
        parts.extend([", ", *argument] if position else argument)
    return (*parts, ")")


def lines_alone(body: object, statement: ir.Statement) -> Span | None:
    """The lines of a statement of `body`; None where another stands on them, or the block would be empty."""
    block = next((block for block in _blocks(body) if statement in block), ())
    first, last = statement.span.line, statement.span.end_line
    others = [each.span for each in block if isinstance(each, ir.Node) and each is not statement]
    if not others or any(each.line <= last and each.end_line >= first for each in others):
        return None
    return Span(first, 1, last + 1, 1)


def _blocks(body: object) -> Iterator[tuple[object, ...]]:
    """The blocks of statements within `body`, which may be one."""
    if isinstance(body, tuple):
        yield body
    for node in walk(body):
        yield from (part for part in astuple(node) if isinstance(part, tuple))
