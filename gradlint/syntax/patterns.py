"""From `match` to branches: what a pattern asks of its subject, and what it binds."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from gradlint.records import ir
from gradlint.records.span import Span

_SUBJECT = "the subject of match"
"""A variable whose name no code can write."""

Lower = Callable[[ast.expr], ir.Expression]


def subject_of(value: ir.Expression) -> tuple[ir.Expression, tuple[ir.Statement, ...]]:
    """What is matched, to be evaluated once: a variable or constant itself, else one that holds it."""
    if isinstance(value, (ir.Name, ir.Literal)) or _is_dotted(value):
        return value, ()
    held = ir.Name(value.span, _SUBJECT)
    return held, (ir.Assign(value.span, (held,), value),)


def _is_dotted(value: ir.Expression) -> bool:
    while isinstance(value, ir.Attribute):
        value = value.value
    return isinstance(value, ir.Name)


def test_of(pattern: ast.pattern, subject: ir.Expression, span: Span, lower: Lower) -> ir.Expression | None:
    """The test that a pattern makes; None where it always matches. Of its parts nothing is known."""
    if isinstance(pattern, ast.MatchValue):
        return ir.Operation(span, "eq", (subject, lower(pattern.value)))
    if isinstance(pattern, ast.MatchSingleton):
        return _of_singleton(pattern.value, subject, span)
    if isinstance(pattern, ast.MatchAs):
        return None if pattern.pattern is None else test_of(pattern.pattern, subject, span, lower)
    if isinstance(pattern, ast.MatchOr):
        tests = [test_of(each, subject, span, lower) for each in pattern.patterns]
        known = [test for test in tests if test is not None]
        return ir.Operation(span, "or", tuple(known)) if len(known) == len(tests) else None
    if isinstance(pattern, ast.MatchClass):
        return _of_class(pattern, subject, span, lower)
    return ir.Unknown(span, "capture", (subject,))


def _of_singleton(value: bool | None, subject: ir.Expression, span: Span) -> ir.Expression:
    """True and False are asked of what is a test itself."""
    if value is None:
        return ir.Operation(span, "is", (subject, ir.Literal(span, None)))
    return subject if value else ir.Operation(span, "not", (subject,))


def _of_class(pattern: ast.MatchClass, subject: ir.Expression, span: Span, lower: Lower) -> ir.Expression:
    is_one = ir.Call(span, ir.Name(span, "isinstance"), (subject, lower(pattern.cls)), ())
    if not pattern.patterns and not pattern.kwd_patterns:
        return is_one
    return ir.Operation(span, "and", (is_one, ir.Unknown(span, "capture", (subject,))))


def bound_by(pattern: ast.pattern, subject: ir.Expression, span: Span) -> Iterator[ir.Statement]:
    """The variables that a pattern binds: to the subject, or to parts of it that are not known."""
    whole = pattern.name if isinstance(pattern, ast.MatchAs) else None
    for node in ast.walk(pattern):
        name = getattr(node, "rest" if isinstance(node, ast.MatchMapping) else "name", None)
        if name:
            value = subject if name == whole else ir.Unknown(span, "capture", (subject,))
            yield ir.Assign(span, (ir.Name(span, name),), value)
