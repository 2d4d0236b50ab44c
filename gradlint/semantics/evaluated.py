"""Values that only evaluation makes, and what stands for code that is not there."""

from __future__ import annotations

from collections.abc import Callable

from gradlint.records import ir
from gradlint.semantics.command_line import Parser
from gradlint.semantics.declared_line import Declared
from gradlint.semantics.interpretation import Arguments, Site
from gradlint.semantics.settings import FilePath, Opened
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Instance,
    Items,
    Known,
    Method,
    ModuleObject,
    Namespace,
    Partial,
    Reference,
    Table,
    Value,
)

MOST_BODIES = 20_000
"""Pieces of code of which the names are remembered."""


class Generator(Value, frozen=True, eq=False):
    """A generator that was made and not run yet; `shape` is what becomes of each value that it yields."""

    closure: Closure
    arguments: Arguments
    site: Site
    shape: Callable[[Value], Value] | None = None


class Super(Value, frozen=True, eq=False):
    """What `super()` gives inside a method of `owner`."""

    owner: ClassObject
    receiver: Value


SOURCES = (FilePath, Opened, Parser, Declared)
"""What leads to settings."""


def is_domain(value: Value) -> bool:
    """Whether `value` belongs to the interpretation."""
    return not isinstance(
        value,
        (
            Known,
            Reference,
            ModuleObject,
            Closure,
            ClassObject,
            Instance,
            Items,
            Table,
            Method,
            Namespace,
            Super,
            Generator,
            Partial,
            *SOURCES,
        ),
    )


def nothing_at(node: ir.Node) -> ir.Expression:
    """An expression for what no code writes, at the place of `node`."""
    return ir.Literal(node.span, None)
