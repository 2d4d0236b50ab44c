"""Which imported names lead to something of interest in another file of the project.

Looked up in the text of the other file, which need not be parsed for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from gradlint.records import ir
from gradlint.semantics.answers import question
from gradlint.semantics.project import Project
from gradlint.semantics.scope import ModuleScope, absolute_module
from gradlint.source.triage import occurrences

LONGEST_HELPER = 40
"""Lines of a function up to which its callers are looked at because of it."""

_DEEPEST = 4
_NEXT = re.compile(r"^[^\s#)\]}]", re.MULTILINE)
_CALL = re.compile(r"(?<![\w.])\w+\.(\w+)\s*\(")
_FUNCTION = re.compile(r"^(?:async[ \t]+)?def[ \t]+(\w+)", re.MULTILINE)

Dependency = tuple[str, str]
"""A file and a name in it."""


class ImportedHelpers:
    """Finds imported helpers; `consulted` gathers what the answers rest on.

    `text` gives the text of a file, `hits` the lines on which a trigger stands.
    """

    def __init__(
        self, project: Project, text: Callable[[str], str], hits: Callable[[str], tuple[int, ...]]
    ) -> None:
        self._project = project
        self._text = text
        self._find_hits = hits
        self._known: dict[Dependency, bool] = {}
        self._rests_on: dict[Dependency, frozenset[Dependency]] = {}
        self._hits: dict[str, tuple[int, ...]] = {}
        self._functions: dict[str, list[str]] = {}
        self.consulted: set[Dependency] = set()

    def names(self, scope: ModuleScope) -> set[str]:
        """The names in `scope` whose calls are to be looked at because of what is behind them."""
        found: set[str] = set()
        for name, statements in scope.bindings.items():
            for statement in statements:
                if isinstance(statement, ir.Binding):
                    found.update(self._behind(name, statement, scope))
        for star in scope.stars:
            found.update(self._behind("", star, scope))
        return found

    def _behind(self, name: str, binding: ir.Binding, scope: ModuleScope) -> Iterator[str]:
        base = absolute_module(binding, scope)
        path = self._project.locate(base, scope)
        if path is None:
            return
        if binding.member == "*":
            self.consulted.add((path, question("binds")))
            yield from self._helpers_among(path, self._functions_in(path))
        elif not binding.member:
            yield from self._helpers_among(path, self._attributes(name, scope))
        elif self._is_helper(path, binding.member, 0):
            yield name
        elif path.endswith("__init__.py"):
            inner = self._project.locate(f"{base}.{binding.member}", scope)
            if inner is not None:
                yield from self._helpers_among(inner, self._attributes(name, scope))

    def _attributes(self, module: str, scope: ModuleScope) -> list[str]:
        """The names that `scope` calls as `module.name(…)`."""
        text = self._text(scope.path)
        calls = [_CALL.match(text, offset) for offset in occurrences(text, f"{module}.")]
        return [call[1] for call in calls if call is not None]

    def _functions_in(self, path: str) -> list[str]:
        if path not in self._functions:
            self._functions[path] = _FUNCTION.findall(self._text(path))
        return self._functions[path]

    def _hits_in(self, path: str) -> tuple[int, ...]:
        if path not in self._hits:
            self._hits[path] = self._find_hits(path)
        return self._hits[path]

    def _helpers_among(self, path: str, names: Iterable[str]) -> Iterator[str]:
        yield from (name for name in dict.fromkeys(names) if self._is_helper(path, name, 0))

    def _is_helper(self, path: str, name: str, depth: int) -> bool:
        """Whether `name` in a file, or where that has it from, is a short function of interest."""
        key = (path, name)
        if key not in self._known:
            self._known[key] = False  # ends cycles
            outer, self.consulted = self.consulted, {key}
            self._known[key] = self._looks_like_helper(path, name, depth)
            self._rests_on[key], self.consulted = frozenset(self.consulted), outer
        self.consulted |= self._rests_on.get(key, {key})
        return self._known[key]

    def _looks_like_helper(self, path: str, name: str, depth: int) -> bool:
        text = self._text(path)
        lines = _function(text, name)
        if lines is not None:
            return len(lines) <= LONGEST_HELPER and any(hit in lines for hit in self._hits_in(path))
        if depth == _DEEPEST or not path.endswith("__init__.py") or name not in text:
            return False
        scope = self._project.scope(path)
        for binding in scope.bindings.get(name, ()):
            if isinstance(binding, ir.Binding):
                origin = self._project.locate(absolute_module(binding, scope), scope)
                return origin is not None and self._is_helper(origin, binding.member, depth + 1)
        return any(
            origin is not None and self._is_helper(origin, name, depth + 1)
            for star in scope.stars
            if (origin := self._project.locate(absolute_module(star, scope), scope))
        )


def _function(text: str, name: str) -> range | None:
    """The lines of the top-level function called `name`, or None."""
    for offset in occurrences(text, f"def {name}"):
        start = _FUNCTION.match(text, text.rfind("\n", 0, offset) + 1)
        if start is not None and start[1] == name:
            end = _NEXT.search(text, start.end())
            first = text.count("\n", 0, offset) + 1
            return range(first, first + text.count("\n", offset, end.start() if end else len(text)) + 1)
    return None
