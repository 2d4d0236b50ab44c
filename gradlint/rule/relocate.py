"""Fixes for what has moved to another module: the names in the code and the import that brings them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from gradlint.records import ir
from gradlint.records.finding import Edit
from gradlint.records.span import Span
from gradlint.semantics.mentions import Mention, Mentions, target

Rewrite = Callable[[Mention], tuple[Edit, ...] | None]
"""The further edits that a use needs under its new name, or None where it cannot be told."""


class Move(NamedTuple):
    """What has one of `names` under the module `old` is now found under `new`; both begin with `root`."""

    old: str
    new: str
    names: frozenset[str]
    root: str = "torch"

    def renamed(self, name: str) -> str | None:
        """The new name of what was `name`, or None if it did not move."""
        is_moved = name.startswith(self.old + ".") and name.split(".")[-1] in self.names
        return self.new + name[len(self.old) :] if is_moved or name == self.old else None


def relocation(mentions: Mentions, mention: Mention, move: Move, rewrite: Rewrite) -> tuple[Edit, ...] | None:
    """The edits after which `mention`, and all that shares its import, uses the new name; None if unsafe."""
    if not mentions.is_sole(mention):
        return None
    binding = mention.bindings[0]
    if target(binding) == move.root:
        further = rewrite(mention)
        return None if further is None else (_respelled(mention, move), *further)
    statement = next((found for found in mentions.imports() if binding in found.bindings), None)
    if statement is None or _is_exported(mentions):
        return None
    edits = [_import(statement, move)]
    for other in mentions.everything():
        if any(found in statement.bindings for found in other.bindings):
            further = rewrite(other) if move.renamed(other.name) and mentions.is_sole(other) else None
            if further is None:
                return None
            edits.extend(further)
    return None if None in edits else tuple([edit for edit in edits if edit is not None])


def _respelled(mention: Mention, move: Move) -> Edit:
    """`torch.old.name` by its new name, under whatever name the code knows the root."""
    first: ir.Expression = mention.node
    while isinstance(first, ir.Attribute):
        first = first.value
    new = str(move.renamed(mention.name)).removeprefix(move.root)
    return Edit(between(first.span, mention.node.span), (new,))


def between(first: Span, second: Span) -> Span:
    """From the end of one span to the end of another."""
    return Span(first.end_line, first.end_column, second.end_line, second.end_column)


def _is_exported(mentions: Mentions) -> bool:
    """Whether what an import brings may be there for other modules too."""
    return mentions.scope.is_package or "__all__" in mentions.scope.bindings


def _import(statement: ir.Import, move: Move) -> Edit | None:
    """The import from the new place, where all that it brings has moved there."""
    first = statement.bindings[0]
    if statement.span.line != statement.span.end_line:
        return None
    if first.level or any(move.renamed(target(binding)) is None for binding in statement.bindings):
        return None
    if not first.member:
        if len(statement.bindings) > 1 or first.name == move.root:
            return None
        return Edit(statement.span, (f"import {move.renamed(first.module)} as {first.name}",))
    module = str(move.renamed(target(first))).rpartition(".")[0]
    return Edit(statement.span, (f"from {module} import ", *_listed(statement.bindings)))


def _listed(bindings: tuple[ir.Binding, ...]) -> Iterator[str | Span]:
    for position, binding in enumerate(bindings):
        if position:
            yield ", "
        yield binding.span
