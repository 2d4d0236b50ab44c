"""Where training begins in a file: its script, functions and methods that may compute a loss."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from gradlint.records import ir
from gradlint.records.losses import LOSS_LAYERS, LOSSES
from gradlint.records.span import Span
from gradlint.semantics.scope import ModuleScope

_WORD = re.compile(r"[^\W\d]\w*")
_LOSS_NAMES = tuple(sorted({*LOSSES, *LOSS_LAYERS}))
_LOSS = re.compile(rf"\b(?:{'|'.join(_LOSS_NAMES)})\b")
_TRAINS = re.compile(r"\b_*(?:train|fit|run|criterion)\w*\(|\.parameters\(\)|\.backward\(")
_DEFINITION = re.compile(r"\s*(?:@|def\b|class\b|async\s+def\b)")
_CLASS = re.compile(r"^(?:@.*\n)*class\b", re.MULTILINE)
_ROUNDS = 3


def may_compute_losses(text: str) -> bool:
    """Whether a text names a loss, or hands on what may be trained elsewhere."""
    is_named = any(word in text for word in _LOSS_NAMES) and _LOSS.search(text) is not None
    return is_named or _TRAINS.search(text) is not None


class Entries:
    """What of a module may lead to a loss.

    `words` are names behind which one stands: torch's own, and those that the module binds to code
    that mentions such a name. `models` are names that may make a model, from this file or another one.
    """

    def __init__(self, scope: ModuleScope, text: str, models: Iterable[str]) -> None:
        self._scope = scope
        self._lines = text.split("\n")
        self._models = frozenset(models)
        self.words: set[str] = {*LOSSES, *LOSS_LAYERS}
        self._close()

    def _close(self) -> None:
        """Add the names that are bound to code in which a word occurs, some steps far."""
        texts = {name: self._tokens(bound) for name, bound in self._scope.bindings.items()}
        for _ in range(_ROUNDS):
            new = {name for name, tokens in texts.items() if name not in self.words and tokens & self.words}
            if not new:
                return
            self.words |= new

    def _tokens(self, bound: Iterable[ir.Statement | ir.Binding]) -> set[str]:
        parts = [self.text(statement.span) for statement in bound if not isinstance(statement, ir.Binding)]
        return set(_WORD.findall("\n".join(parts)))

    def text(self, span: Span) -> str:
        """The lines that a piece of the module stands on."""
        return lines_of(span, self._lines)

    def mentions_loss(self, text: str, also: frozenset[str] = frozenset()) -> bool:
        """Whether one of the words, or of others, occurs in code."""
        return not (self.words | also).isdisjoint(_WORD.findall(text))

    def may_train(self, text: str) -> bool:
        """Whether code may compute a loss, itself or in what it hands a model to."""
        if self.mentions_loss(text):
            return True
        return _TRAINS.search(text) is not None and not self._models.isdisjoint(_WORD.findall(text))

    def targets(self, function: ir.Function, also: frozenset[str]) -> set[str]:
        """The parameters that may be left out, and without which a function computes no loss."""
        optional = {p.name for p in function.parameters if _is_none(p.default)}
        return optional & set(self._deciding(function.body, also)) if optional else set()

    def _deciding(self, body: Iterable[ir.Statement], also: frozenset[str]) -> Iterator[str]:
        """The names in tests of branches that compute a loss, or leave before one is computed."""
        for statement in body:
            if isinstance(statement, ir.Branch):
                leaves = any(isinstance(inner, ir.Return) for inner in statement.then)
                if leaves or self.mentions_loss(self.text(statement.span), also):
                    yield from _WORD.findall(self.text(statement.test.span))
                yield from self._deciding((*statement.then, *statement.otherwise), also)
            elif isinstance(statement, (ir.Loop, ir.With, ir.Try)):
                yield from self._deciding(statement.body, also)

    def definitions(self) -> list[str]:
        """The functions and classes of the module in which training may begin, the last ones first."""
        found: list[tuple[Span, str]] = []
        for name, bound in self._scope.bindings.items():
            for statement in bound:
                if isinstance(statement, ir.Binding) or not is_definition(statement, self._lines):
                    continue
                text = self.text(statement.span)
                if self.mentions_loss(text) or (not self._is_class(statement) and self.may_train(text)):
                    found.append((statement.span, name))
        return [name for _, name in sorted(found, reverse=True)]

    def _is_class(self, statement: ir.Statement) -> bool:
        if isinstance(statement, ir.Omitted):
            return _CLASS.search(self.text(statement.span)) is not None
        return isinstance(statement, ir.Class)

    def script(self) -> Sequence[ir.Statement]:
        """What the module runs besides definitions, if training may begin there."""
        rest = [
            statement
            for statement in self._scope.facts.body
            if not isinstance(statement, ir.Import) and not is_definition(statement, self._lines)
        ]
        calling = [s for s in rest if not isinstance(s, ir.Assign)]
        if not any(self.may_train(self.text(statement.span)) for statement in calling):
            return ()
        return tuple(lowered(rest, self._scope))


def lines_of(span: Span, lines: Sequence[str]) -> str:
    """The lines that a piece of a module stands on."""
    return "\n".join(lines[span.line - 1 : span.end_line])


def text_of(statement: ir.Statement, lines: Sequence[str]) -> str:
    """The lines of a statement, those of its decorators among them."""
    decorators = statement.decorators if isinstance(statement, (ir.Function, ir.Class)) else ()
    return "\n".join([lines_of(each.span, lines) for each in (*decorators, statement)])


def is_definition(statement: ir.Statement, lines: Sequence[str]) -> bool:
    """Whether a statement of a module defines a function or a class, lowered or not."""
    if isinstance(statement, (ir.Function, ir.Class)):
        return True
    first = lines[statement.span.line - 1]
    return isinstance(statement, ir.Omitted) and _DEFINITION.match(first) is not None


def lowered(statements: Iterable[ir.Statement], scope: ModuleScope) -> Iterator[ir.Statement]:
    """The statements of a module, with what was left out of it."""
    for statement in statements:
        if isinstance(statement, ir.Omitted):
            yield from scope.lower(statement)
        else:
            yield statement


def _is_none(node: ir.Expression | None) -> bool:
    return isinstance(node, ir.Literal) and node.value is None
