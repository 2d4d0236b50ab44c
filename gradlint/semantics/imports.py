"""Which imported names lead to something of interest in another file of the project."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.records import ir
from gradlint.semantics.project import Project
from gradlint.semantics.scope import ModuleScope, absolute_module

_DEEPEST = 4


def imported_helpers(scope: ModuleScope, project: Project) -> set[str]:
    """The names in `scope` whose calls are to be looked at because of what is behind them."""
    found: set[str] = set()
    for name, statements in scope.bindings.items():
        for statement in statements:
            if isinstance(statement, ir.Binding):
                found.update(_behind(name, statement, scope, project))
    for star in scope.stars:
        found.update(_behind("", star, scope, project))
    return found


def _behind(name: str, binding: ir.Binding, scope: ModuleScope, project: Project) -> Iterator[str]:
    base = absolute_module(binding, scope)
    if not binding.member or binding.member == "*":
        module = project.resolve(base, scope)
        if module is not None:
            yield from module.facts.helpers
        return
    inner = project.resolve(f"{base}.{binding.member}", scope)
    if inner is not None:
        yield from inner.facts.helpers
    else:
        module = project.resolve(base, scope)
        if module is not None and _holds_helper(module, binding.member, project, 0):
            yield name


def _holds_helper(module: ModuleScope, name: str, project: Project, depth: int) -> bool:
    """Whether `name` of a module is a helper, there or in the module that it comes from."""
    if name in module.facts.helpers:
        return True
    if depth == _DEEPEST:
        return False
    sources = [
        (binding, binding.member)
        for binding in module.bindings.get(name, ())
        if isinstance(binding, ir.Binding)
    ]
    if name not in module.bindings:
        sources = [(star, name) for star in module.stars]
    for binding, member in sources:
        origin = project.resolve(absolute_module(binding, module), module)
        if origin is not None and _holds_helper(origin, member, project, depth + 1):
            return True
    return False
