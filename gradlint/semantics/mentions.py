"""Where a module names something from outside the project: by text and scope, whatever runs."""

from __future__ import annotations

from bisect import bisect_left
from collections import ChainMap
from collections.abc import Iterator, MutableMapping, Sequence

from msgspec import Struct

from gradlint.records import ir
from gradlint.records.span import Span
from gradlint.semantics.scope import ModuleScope, assigned

Imports = MutableMapping[str, tuple[ir.Binding, ...]]
"""For every name in sight the imports that may have bound it; none for a name of the code's own."""


class Mention(Struct, frozen=True, eq=False):
    """One expression that stands for something from outside the project.

    `name` is qualified (`torch.cuda.amp.autocast`), `bindings` are the imports that may have bound
    the first word of `node`. `role` says how it is used: `call`, `decorator`, `base` or `value`;
    a call comes with its node. `within` is the innermost function around it, or the statement of
    the module that it belongs to.
    """

    name: str
    node: ir.Name | ir.Attribute
    bindings: tuple[ir.Binding, ...]
    role: str
    within: ir.Statement
    call: ir.Call | None = None


class Mentions(Struct, frozen=True, eq=False):
    """All that one module names from outside the project, on lines that a trigger led to."""

    scope: ModuleScope

    def imports(self) -> Iterator[ir.Import]:
        """The imports of the module, those within definitions and branches included."""
        for statement in self.scope.facts.body:
            yield from _imports(statement)

    def is_sole(self, mention: Mention) -> bool:
        """Whether one import, and nothing else, binds the first word of a mention."""
        others = self.scope.bindings.get(mention.bindings[0].name, mention.bindings)
        return len(mention.bindings) == 1 and (mention.bindings[0] not in others or len(others) == 1)

    def everything(self) -> Iterator[Mention]:
        """Every mention, from top to bottom."""
        for statement in self.scope.facts.body:
            yield from _Reader(self.scope.facts.hits, self.scope.imports, statement).read(statement)

    def beside(self, mention: Mention) -> Iterator[Mention]:
        """Every mention in the function or statement around one, whatever line it stands on."""
        span = mention.within.span
        lines = range(span.line, span.end_line + 1)
        yield from _Reader(lines, self.scope.imports, mention.within).read(mention.within)


def target(binding: ir.Binding) -> str:
    """The qualified name that an import binds; relative ones keep their dots."""
    return "." * binding.level + ".".join(part for part in (binding.module, binding.member) if part)


class _Reader:
    """Reads one statement with the imports in its sight."""

    def __init__(self, hits: Sequence[int], imports: Imports, within: ir.Statement) -> None:
        self._hits = hits
        self._imports = imports
        self._within = within

    def read(self, node: object) -> Iterator[Mention]:
        """The mentions in `node`, which may be a tuple of nodes."""
        if isinstance(node, tuple):
            for item in node:
                yield from self.read(item)
        elif isinstance(node, ir.Node) and self._concerns(node):
            if isinstance(node, ir.Function):
                yield from self._function(node)
            elif isinstance(node, (ir.Name, ir.Attribute)):
                yield from self._mention(node, "value")
            else:
                yield from self._parts(node)

    def _parts(self, node: ir.Node) -> Iterator[Mention]:
        roles = {"function": "call"} if isinstance(node, ir.Call) else _ROLES
        for field in node.__struct_fields__[1:]:
            part = getattr(node, field)
            role = roles.get(field)
            for item in (part if isinstance(part, tuple) else (part,)) if role else ():
                if isinstance(item, (ir.Name, ir.Attribute)):
                    yield from self._mention(item, str(role), node if isinstance(node, ir.Call) else None)
                else:
                    yield from self.read(item)
            if not role:
                yield from self.read(part)

    def _function(self, node: ir.Function) -> Iterator[Mention]:
        """A function hides what it binds itself, and sees its own imports."""
        own: dict[str, tuple[ir.Binding, ...]] = {p.name: () for p in node.parameters}
        own |= dict.fromkeys(assigned(node.body), ())
        for statement in node.body:
            for found in _imports(statement):
                own |= {b.name: (*own.get(b.name, ()), b) for b in found.bindings}
        outside = _Reader(self._hits, self._imports, self._within)
        inside = _Reader(self._hits, ChainMap(own, self._imports), node)
        for decorator in node.decorators:
            if isinstance(decorator, (ir.Name, ir.Attribute)):
                yield from outside._mention(decorator, "decorator")
            else:
                yield from outside.read(decorator)
        yield from outside.read(node.parameters)
        yield from inside.read(node.body)

    def _mention(
        self, node: ir.Name | ir.Attribute, role: str, call: ir.Call | None = None
    ) -> Iterator[Mention]:
        words: list[str] = []
        first: ir.Expression = node
        while isinstance(first, ir.Attribute):
            words.append(first.name)
            first = first.value
        if not isinstance(first, ir.Name):
            yield from self.read(first)
            return
        bindings = self._imports.get(first.id, ())
        if bindings:
            name = ".".join([target(bindings[0]), *reversed(words)])
            yield Mention(name, node, bindings, role, self._within, call)

    def _concerns(self, node: ir.Node) -> bool:
        decorators = node.decorators if isinstance(node, (ir.Function, ir.Class)) else ()
        return self._is_hit(node.span) or any(self._is_hit(decorator.span) for decorator in decorators)

    def _is_hit(self, span: Span) -> bool:
        position = bisect_left(self._hits, span.line)
        return position < len(self._hits) and self._hits[position] <= span.end_line


_ROLES = {"bases": "base", "decorators": "decorator"}


def _imports(node: object) -> Iterator[ir.Import]:
    if isinstance(node, tuple):
        for item in node:
            yield from _imports(item)
    elif isinstance(node, ir.Import):
        yield node
    elif isinstance(node, (ir.Branch, ir.Try, ir.Handler, ir.With, ir.Loop, ir.Function, ir.Class)):
        for field in node.__struct_fields__[1:]:
            yield from _imports(getattr(node, field))
