"""Calls: the arguments, what is called, and the functions of Python and its libraries."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from gradlint.records import ir
from gradlint.records.facts import CHANGING
from gradlint.semantics import texts
from gradlint.semantics.builtin import call_builtin, collection_method
from gradlint.semantics.command_line import Parser, parser_method
from gradlint.semantics.declared_line import Declared, declared_method
from gradlint.semantics.evaluated import Generator, Super, is_domain
from gradlint.semantics.extent import MAX_ITEMS, size
from gradlint.semantics.instantiate import NAMES as INSTANTIATING
from gradlint.semantics.instantiate import instantiated
from gradlint.semantics.interpretation import Arguments, Count, Operand, Site
from gradlint.semantics.registries import Registry
from gradlint.semantics.scope import Frame, ModuleScope
from gradlint.semantics.settings import FilePath, Opened, configured, of_path
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

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator

_ITERATING = frozenset(
    {
        *("list", "tuple", "set", "sorted", "reversed", "enumerate", "zip", "sum", "len", "next", "iter"),
        *("any", "all", "min", "max", "dict"),
    }
)
"""Builtins that go through what they are given."""


class Calls:
    """Calls whatever can be called."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._core = evaluator
        self._interpretation = evaluator.interpretation

    def arguments(self, node: ir.Call, frame: Frame) -> Arguments:
        """The evaluated arguments of a call."""
        positional: list[Operand] = []
        certain = sys.maxsize
        for argument in node.positional:
            if not isinstance(argument, ir.Starred):
                positional.append(self._core.operand(argument, frame))
                continue
            spread = self.evaluated_items(argument.value, frame)
            if isinstance(spread, Items) and not spread.open and size(spread) <= MAX_ITEMS:
                positional.extend(Operand(item, argument.value) for item in spread.items)
            else:
                certain = min(certain, len(positional))
                others = spread.items if isinstance(spread, Items) and size(spread) <= MAX_ITEMS else ()
                others = others or [self._interpretation.unknown((spread,))]
                positional.extend(Operand(item, argument.value) for item in others)
        is_open = certain < len(positional)
        keywords: dict[str, Operand] = {}
        for keyword in node.keywords:
            operand = self._core.operand(keyword.value, frame)
            if keyword.name is not None:
                keywords[keyword.name] = operand
                continue
            table = operand.value if isinstance(operand.value, Table) else self._table(operand.value)
            is_listed = table is not None and not table.open
            if table is not None and (is_listed or self._interpretation.takes_as_listed()):
                entries = table.entries.items()
                keywords.update({str(key): Operand(value, keyword.value) for key, value in entries})
            is_open = is_open or not is_listed
        return Arguments(tuple(positional), keywords, is_open, min(certain, len(positional)))

    def _table(self, value: Value) -> Table | None:
        return self._interpretation.table(value)

    def evaluated_items(self, node: ir.Expression, frame: Frame) -> Value:
        """What stands behind a star, as a list where the interpretation knows it item by item."""
        value = self._core.evaluate(node, frame)
        return self._interpretation.items(value) or value

    def call_expression(self, node: ir.Call, frame: Frame) -> Value:
        """The value of `f(…)`."""
        function = node.function
        if isinstance(function, ir.Attribute):
            receiver = self._core.operand(function.value, frame)
            if _is_foreign_member(receiver.value, function.name):
                arguments = self.arguments(node, frame)
                return self._interpretation.method(
                    receiver, function.name, arguments, self._core.site(node, frame)
                )
            target = self._core.attributes.attribute(
                receiver, function.name, self._core.site(function, frame)
            )
            arguments = self.arguments(node, frame)
            site = self._core.site(node, frame)
            if is_domain(receiver.value) and not isinstance(target, (Closure, Reference)):
                result = self._interpretation.method(receiver, function.name, arguments, site)
                if _is_in_place(function.name):
                    self._core.assignments.assign(function.value, Operand(result, node), frame)
                return result
            return self.call(target, arguments, site, frame)
        if isinstance(function, ir.Name) and function.id == "super" and len(node.positional) != 1:
            return self._super(node, frame)
        return self.call(
            self._core.evaluate(function, frame),
            self.arguments(node, frame),
            self._core.site(node, frame),
            frame,
        )

    def _super(self, node: ir.Call, frame: Frame) -> Value:
        current: Frame | None = frame
        while current is not None:
            closure = current.closure
            if closure is not None and closure.owner is not None:
                receiver = closure.receiver or _first_argument(closure, current)
                if receiver is not None:
                    return Super(self._behind_which(node, closure.owner, receiver, frame), receiver)
            current = current.parent
        return self._interpretation.unknown(())

    def _behind_which(self, node: ir.Call, own: ClassObject, receiver: Value, frame: Frame) -> ClassObject:
        """The class behind which `super` looks: its own, or the base of the object's class that is named."""
        named = self._core.evaluate(node.positional[0], frame) if node.positional else own
        lineage = receiver.type.lineage() if isinstance(receiver, Instance) else own.lineage()
        return named if isinstance(named, ClassObject) and any(named is base for base in lineage) else own

    def call(self, target: Value, arguments: Arguments, site: Site, frame: Frame | None = None) -> Value:
        """The result of calling `target`."""
        if self._core.steps > self._core.most:
            return self._interpretation.unknown(())
        if isinstance(target, Closure):
            return self._core.functions.call_closure(target, arguments, site)
        if isinstance(target, ClassObject):
            return self._core.functions.construct(target, arguments, site)
        if isinstance(target, Instance):
            return self._call_instance(target, arguments, site)
        if isinstance(target, Method):
            if isinstance(target.receiver, Super):
                if isinstance(target.receiver.receiver, ClassObject) and target.name == "__call__":
                    return self._core.functions.object_of(target.receiver.receiver, arguments, site)
                return self._interpretation.inherited(target.receiver.receiver, target.name, arguments, site)
            found = self._collection_method(target, arguments, site)
            if found is None and (parts := texts.filled_in(target, arguments)) is not None:
                return self._interpretation.text(parts)
            return found if found is not None else self.unknown_of(target.receiver, arguments)
        if isinstance(target, Reference):
            return self._call_reference(target, arguments, site, frame)
        if isinstance(target, Partial):
            return self.call(target.function, _completed(target, arguments), site, frame)
        if isinstance(target, (Known, ModuleObject, Items, Table, Super, Generator)):
            return self.unknown_of(target, arguments)
        return self._interpretation.method(Operand(target, site.node), "__call__", arguments, site)

    def _collection_method(self, method: Method, arguments: Arguments, site: Site) -> Value | None:
        if not self._affords_all(arguments):
            return None
        if isinstance(method.receiver, Parser):
            return parser_method(self._core, method.receiver, method.name, arguments)
        if isinstance(method.receiver, Declared):
            return declared_method(self._core, method.receiver, method.name)
        if isinstance(method.receiver, (FilePath, Opened)):
            return of_path(method.receiver, method.name)
        if isinstance(method.receiver, Closure):
            self._core.functions.cache.clear(method.receiver)
            return Known(None)
        if isinstance(method.receiver, Namespace):
            if method.name in CHANGING:
                self._core.assignments.disturb_all(method.receiver.of)
            return None
        if isinstance(method.receiver, Registry):
            return self._core.registries.method(method.receiver, method.name, arguments, site)
        if isinstance(method.receiver, Table) and method.name == "get" and arguments.positional:
            arguments = self._looked_up(method.receiver, arguments)
        self._interpretation.collected(method, arguments, site)
        if method.name in CHANGING:
            self._core.change(method.receiver)
        if (
            method.name in ("extend", "update")
            and arguments.positional
            and isinstance(method.receiver, Items)
        ):
            added, *_ = arguments.positional
            if not isinstance(added.value, (Items, Table)):
                one = self._interpretation.element(added.value, site)
                others = Items("list", [one], added.node, True)
                arguments = Arguments((Operand(others, added.node),), arguments.keywords, arguments.open)
        return collection_method(method, arguments)

    def _looked_up(self, table: Table, arguments: Arguments) -> Arguments:
        """What a dictionary is asked for by `get`; a registry holds that by now."""
        first, *others = arguments.positional
        key = self._interpretation.chosen_key(first.value)
        self._core.registries.fill(table, key.value if isinstance(key, Known) else None)
        return replace(arguments, positional=(Operand(key, first.node), *others))

    def _affords_all(self, arguments: Arguments) -> bool:
        """Whether a function may go through all that its arguments contain."""
        return self._core.affords(sum([size(value) for value in arguments.values()]))

    def unknown_of(self, receiver: Value, arguments: Arguments) -> Value:
        """What may come of a call about which nothing is known."""
        return self._interpretation.unknown([receiver, *arguments.values()])

    def _call_reference(
        self, target: Reference, arguments: Arguments, site: Site, frame: Frame | None
    ) -> Value:
        read = configured(self._core, target.name, arguments, site)
        if target.name in INSTANTIATING and frame is not None:
            read = instantiated(self._core, arguments, site, frame.scope)
        if read is not None:
            return read
        if target.name == "builtins.next" and arguments.positional:
            one = self._advanced(*[operand.value for operand in arguments.positional[:2]], site=site)
            if one is not None:
                return one
        if target.name.startswith("builtins.") and self._affords_all(arguments):
            if target.name[9:] in _ITERATING:
                arguments = self._opened(arguments)
            found = call_builtin(target.name[9:], arguments, site)
            if found is not None:
                return found
        if target.name == "builtins.setattr" and len(arguments.positional) == 3:
            receiver, attribute, stored = arguments.positional
            self._core.assignments.store(
                receiver.value, self._interpretation.name_of(attribute.value), stored, site
            )
            return Known(None)
        if target.name == "builtins.getattr" and len(arguments.positional) > 1:
            name = self._interpretation.chosen_key(arguments.positional[1].value)
            if asked := self._interpretation.name_of(name):
                owner, *_ = arguments.positional
                found = self._core.attributes.attribute(owner, asked, site)
                otherwise = arguments.positional[2:]
                return (
                    self._interpretation.perhaps(owner.value, found, otherwise[0].value)
                    if otherwise
                    else found
                )
        if target.name == "builtins.globals" and frame is not None:
            return ModuleObject(frame.scope)
        if target.name == "builtins.vars" and len(arguments.positional) == 1:
            of = arguments.positional[0].value
            if isinstance(of, ModuleObject):
                return self._namespace(of.scope, site)
            if isinstance(of, Instance):
                return Namespace(of)
        if target.name == "builtins.eval" and frame is not None and len(arguments.positional) == 1:
            written = _dotted(arguments.positional[0].value, site.node)
            if written is not None:
                return self._core.evaluate(written, frame)
        if target.name == "builtins.map" and len(arguments.positional) == 2:
            return self._map(arguments.positional[0].value, arguments.positional[1].value, site)
        if (
            target.name == "builtins.filter"
            and len(arguments.positional) == 2
            and not self._is_lazy(arguments)
        ):
            return self._filter(arguments.positional[0].value, arguments.positional[1].value, site)
        if target.name == "functools.partial" and arguments.positional and not arguments.open:
            function, *given = [operand.value for operand in arguments.positional]
            named = {name: operand.value for name, operand in arguments.keywords.items()}
            return Partial(function, tuple(given), named, site.node) if given or named else function
        return self._interpretation.call(target, arguments, site)

    def _advanced(self, iterator: Value, end: Value | None = None, *, site: Site) -> Value | None:
        """The next item of an iterator that is known item by item, or one of those that it may be."""
        if not isinstance(iterator, Items) or not iterator.items:
            return end if isinstance(iterator, Items) and not iterator.open else None
        if iterator.open:
            return self._interpretation.element(iterator, site)
        self._core.change(iterator)
        return iterator.items.pop(0)

    def _namespace(self, scope: ModuleScope, site: Site) -> Table:
        """What the names of a module mean, by name."""
        found = {
            name: self._core.lookup.module_name(scope, name) for name in list(scope.bindings)[:MAX_ITEMS]
        }
        entries: dict[Any, Value] = {name: value for name, value in found.items() if value is not None}
        return Table(entries, site.node, bool(scope.stars) or len(scope.bindings) > MAX_ITEMS)

    def _opened(self, arguments: Arguments) -> Arguments:
        """The arguments with what the interpretation knows item by item as lists of these items."""
        positional = tuple(
            [Operand(self._interpretation.items(o.value) or o.value, o.node) for o in arguments.positional]
        )
        return Arguments(positional, arguments.keywords, arguments.open, arguments.certain)

    def _map(self, function: Value, iterable: Value, site: Site) -> Value:
        """`map(function, iterable)`, run at once: the function is called on every item."""
        items, count = self._core.expressions.items(iterable, site)
        called = [self.call(function, Arguments((Operand(item, site.node),)), site) for item in items]
        return Items("list", called, site.node, self.is_open(called, count))

    def _is_lazy(self, arguments: Arguments) -> bool:
        """Whether what is gone through is a value of an interpretation to which order matters."""
        return self._interpretation.is_ordered and is_domain(arguments.positional[1].value)

    def is_open(self, items: Sequence[Value], count: Count) -> bool:
        """Whether there may be more or less than these items, which so many iterations gave."""
        return count > (Count.ALIKE if items and self._interpretation.is_exemplary(items) else Count.LISTED)

    def _filter(self, function: Value, iterable: Value, site: Site) -> Value:
        """`filter(function, iterable)`, run at once; what a test leaves open may be in it or not."""
        items, count = self._core.expressions.items(iterable, site)
        is_open = count > Count.LISTED
        kept = []
        for item in items:
            truth = self._core.branches.truth(
                self.call(function, Arguments((Operand(item, site.node),)), site)
            )
            is_open = is_open or truth is None
            kept.extend([item] if truth is not False else [])
        return Items("list", kept, site.node, is_open)

    def _call_instance(self, target: Instance, arguments: Arguments, site: Site) -> Value:
        if self._interpretation.is_opaque(target):
            return self._interpretation.called(target, arguments, site)
        for name in ("__call__", "forward"):
            member = target.type.member(name)
            if isinstance(member, Closure):
                bound = self._core.attributes.bound_member(member, target, site)
                return self.call(bound, arguments, site)
        return self._interpretation.called(target, arguments, site)


def _first_argument(method: Closure, frame: Frame) -> Value | None:
    """What a method was given as its object where a decorator calls it as a function."""
    parameters = method.function.parameters
    value = frame.variables.get(parameters[0].name) if parameters else None
    return value if isinstance(value, Instance) else None


def _completed(partial: Partial, arguments: Arguments) -> Arguments:
    given = tuple([Operand(value, partial.node) for value in partial.positional])
    named = {name: Operand(value, partial.node) for name, value in partial.keywords.items()}
    positional = (*given, *arguments.positional)
    return Arguments(positional, named | arguments.keywords, arguments.open, len(given) + arguments.certain)


def _dotted(text: Value, node: ir.Expression) -> ir.Expression | None:
    """The name, or the attribute of a name, that a text spells."""
    parts = text.value.split(".") if isinstance(text, Known) and isinstance(text.value, str) else []
    if not parts or not all(part.isidentifier() for part in parts):
        return None
    found: ir.Expression = ir.Name(node.span, parts[0])
    for part in parts[1:]:
        found = ir.Attribute(node.span, found, part)
    return found


def _is_foreign_member(value: Value, name: str) -> bool:
    """Whether `name` of an object of the project comes from a base outside it, if from anywhere."""
    return isinstance(value, Instance) and name not in value.attributes and value.type.member(name) is None


def _is_in_place(name: str) -> bool:
    return name.endswith("_") and not name.endswith("__")
