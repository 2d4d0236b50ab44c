"""Registries: collections of a module that decorators fill with classes and functions, by their names.

Code binds names when it is asked for them, so decorators are run when a registry is asked for a name that
it does not hold: those of the definitions that may be meant by it, in the files beside the registry. What
they put where is left to the code of the decorators.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gradlint.records import ir
from gradlint.semantics.answers import decorates, question
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.neighbours import around, text_of
from gradlint.semantics.project import module_name
from gradlint.semantics.scope import Frame, ModuleScope
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Instance,
    Known,
    Method,
    Partial,
    Table,
    Value,
)

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator

_PUT = "(put)"
"""The method of a registry by which a decorator puts there what it is given."""

REGISTERING = ("mmengine", "mmengine.registry", "mmcv", "mmcv.utils", "fvcore.common.registry")
"""Modules that have a class `Registry`."""


class Registry(Table, frozen=True, eq=False):
    """An object of such a class."""


def new_registry(evaluator: Evaluator, arguments: Arguments, site: Site) -> Value:
    """`Registry("models")`."""
    return Registry({}, site.node)


def built(evaluator: Evaluator, arguments: Arguments, site: Site) -> Value | None:
    """`build_from_cfg(settings, registry)`."""
    registry = arguments.get(1, "registry")
    if registry is None or not isinstance(registry.value, Registry):
        return None
    method = Method(registry.value, "build", site.node)
    first = Arguments(arguments.positional[:1], arguments.keywords)
    return evaluator.call(method, first, site)


class Registries:
    """The collections of modules that are found empty, and what decorators put there."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._of: dict[int, tuple[Table, ModuleScope]] = {}
        self._rests_on: dict[tuple[str, str], frozenset[tuple[str, str]]] = {}

    def note(self, value: Value | None, scope: ModuleScope) -> None:
        """A name of a module means `value`."""
        held = value.attributes.values() if isinstance(value, Instance) else (value,)
        for each in held:
            if isinstance(each, Table) and not each.entries and not each.open:
                self._of[id(each)] = each, scope

    def fill(self, table: Table, key: object) -> None:
        """Run the decorators that may put something under `key` into a table, once."""
        known = self._of.get(id(table))
        if known is None or not isinstance(key, str):
            return
        asked = known[1].path, key
        if asked not in self._rests_on:
            self._rests_on[asked] = frozenset()  # ends cycles
            with self._evaluator.noting() as consulted:
                for target in self._definitions(known[1], key):
                    with self._evaluator.aside():
                        self._decorate(target)
            self._rests_on[asked] = frozenset(consulted)
        self._evaluator.consulted |= self._rests_on[asked]

    def method(self, registry: Registry, name: str, arguments: Arguments, site: Site) -> Value | None:
        """What a method of a library's registry does."""
        given = [operand.value for operand in arguments.positional]
        if name in ("register_module", "register"):
            return self._registers(registry, given, arguments, site)
        if name == _PUT and len(given) == 2:
            return self._put(registry, given[0], given[1])
        if name == "get" and given:
            return self._held(registry, given[0])
        return self._built(registry, given[0], site) if name == "build" and given else None

    def _registers(
        self, registry: Registry, given: list[Value], arguments: Arguments, site: Site
    ) -> Value | None:
        """A class is put there, or a decorator made that does it."""
        if given and isinstance(given[-1], (ClassObject, Closure)):
            return self._put(registry, Known(None), given[-1])
        named = arguments.keywords.get("name")
        name = named.value if named is not None else given[0] if given else Known(None)
        return Partial(Method(registry, _PUT, site.node), (name,), {}, site.node)

    def _put(self, registry: Registry, name: Value, target: Value) -> Value:
        own = target.definition.name if isinstance(target, ClassObject) else ""
        if isinstance(target, Closure):
            own = getattr(target.function, "name", "")
        key = name.value if isinstance(name, Known) else None
        registry.entries[key if isinstance(key, str) else own] = target
        return target

    def _held(self, registry: Registry, key: Value) -> Value | None:
        chosen = self._evaluator.interpretation.chosen_key(key)
        if not isinstance(chosen, Known):
            return None
        self.fill(registry, chosen.value)
        return registry.entries.get(chosen.value)

    def _built(self, registry: Registry, settings: Value, site: Site) -> Value | None:
        """What `dict(type="Net", hidden=3)` describes."""
        table = settings if isinstance(settings, Table) else self._evaluator.interpretation.table(settings)
        made = None if table is None else self._held(registry, table.entries.get("type", table))
        if made is None or table is None:
            return None
        given = {str(key): Operand(value, site.node) for key, value in table.entries.items() if key != "type"}
        return self._evaluator.call(made, Arguments((), given, table.open), site)

    def _definitions(self, scope: ModuleScope, key: str) -> Iterator[ClassObject | Closure]:
        """The decorated definitions beside a registry that go by a name, there or in their decorators."""
        asked, beside = question("decorates", key), around(scope.path)
        own = os.path.abspath(scope.path)
        self._evaluator.consulted |= {(own, asked), *beside.asked(asked)}
        for path in dict.fromkeys((own, *(beside.files or ()))):
            names = decorates(key, text_of(path))
            module = self._evaluator.module_at(module_name(path)[0], scope) if names else None
            for name in names:
                found = self._evaluator.module_name(scope if module is None else module, name)
                if isinstance(found, (ClassObject, Closure)):
                    yield found

    def _decorate(self, target: ClassObject | Closure) -> None:
        definition = target.definition if isinstance(target, ClassObject) else target.function
        frame = Frame(target.scope)
        for node in reversed(getattr(definition, "decorators", ())):
            decorator = self._evaluator.evaluate(node, frame)
            if isinstance(decorator, (Closure, Method, Partial)):
                site = Site(node, target.scope.path)
                self._evaluator.call(decorator, Arguments((Operand(target, _name(node)),)), site)


def _name(node: ir.Node) -> ir.Expression:
    return ir.Literal(node.span, None)
