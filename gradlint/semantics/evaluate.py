"""The evaluator: runs lowered code over abstract values.

There is one. It knows Python (variables, branches, loops, calls, objects, modules) and nothing of
tensors; what primitives mean is the business of the interpretation that it is given.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gradlint.records import ir
from gradlint.semantics import bystanders, constants, counting, texts
from gradlint.semantics.bindings import filled, returns_argument, walk
from gradlint.semantics.builtin import CHANGING, call_builtin, collection_method, extend, store_item
from gradlint.semantics.cached import Cache
from gradlint.semantics.command_line import Parser, Supplied, parser_method
from gradlint.semantics.declared_line import Declared, declared_method, supply
from gradlint.semantics.extent import MAX_ITEMS, fits, size
from gradlint.semantics.heap import Changes, Heap
from gradlint.semantics.imported import Imported
from gradlint.semantics.instantiate import NAMES as INSTANTIATING
from gradlint.semantics.instantiate import instantiated
from gradlint.semantics.interpretation import Arguments, Budget, Count, Interpretation, Operand, Site
from gradlint.semantics.registries import Registries, Registry
from gradlint.semantics.scope import Frame, ModuleScope, absolute_module, assigned
from gradlint.semantics.settings import FilePath, Opened, configured, of_path
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Collection,
    Instance,
    Items,
    Known,
    Method,
    ModuleObject,
    Partial,
    Record,
    Reference,
    Settings,
    Table,
    Value,
)

Stirred = tuple[dict[str, Value], str, Value]
"""The attributes of an object, the name of one, and its value at the start of any iteration."""

_RECORDS = frozenset({"typing.NamedTuple", "typing_extensions.NamedTuple"})
_DEEPEST_JOIN = 4
"""How many collections within collections are joined item by item."""


_NAMED = {"values": 0, "indices": -1}
"""Where the named results of max, sort, topk … stand in the tuple."""

_DISPATCHING = frozenset({"functools.singledispatch", "functools.singledispatchmethod"})

EXHAUSTED = "too much code behind one function"
"""Why an entry was not followed to its end: its budget was spent."""

ARM_EXHAUSTED = "too much code behind one condition"
"""Why one way through a branch was not followed to its end."""

_MOST_BODIES = 20_000
"""Pieces of code of which the names are remembered."""


class Evaluator:
    """Runs code of the project under an interpretation.

    `resolve` finds the module of the project that a dotted name means, or None. `consulted` gathers
    the module-level names that were looked up, each with the file that it stands in, `ran` the
    identities of the functions that ran. `script` holds what a module run as a script has bound so far,
    for the functions of that module.
    """

    def __init__(
        self, interpretation: Interpretation, resolve: Callable[[str, ModuleScope], ModuleScope | None]
    ) -> None:
        self.interpretation = interpretation
        self._budget = interpretation.budget
        self._limit: Budget | None = None
        interpretation.evaluator = self
        self._resolve = resolve
        self._callers: tuple[Site, ...] = ()
        self._running: list[object] = []
        self._steps = 0
        self._most = self._budget.steps
        self._conditions: tuple[int, ...] = ()
        self._objects = 0
        self.settled = 0
        self.imported = Imported()
        self.heap = Heap(self.imported)
        self._cache = Cache(self)
        self._changed: list[Value] = []
        self._grown: list[Value] = []
        self._names_used: dict[int, tuple[object, list[ir.Name | ir.Attribute]]] = {}
        self._names_filled: dict[int, tuple[object, frozenset[str]]] = {}
        self._names_bound: dict[int, tuple[ir.Statement, frozenset[str]]] = {}
        self._rounds = 1
        self._repeating = 0
        self._rests_on: dict[tuple[str, str], frozenset[tuple[str, str]]] = {}
        self.consulted: set[tuple[str, str]] = set()
        self.script: Frame | None = None
        self._spent = 0
        self._awaiting: list[Receiver] = []
        self.nested: list[Closure] = []
        self.nested_classes: list[ClassObject] = []
        self.inlined: set[int] = set()
        self._registries = Registries(self)
        self._undecorated: dict[int, ir.Function | ir.Lambda] = {}
        self.ran: set[int] = set()

    # entry points

    def run(
        self,
        closure: Closure,
        arguments: Arguments | None = None,
        given: Mapping[str, Value] | None = None,
        joined: Callable[[Sequence[Value]], Value] | None = None,
    ) -> Value:
        """Call `closure` from outside, with unknown arguments unless they are given, all or some by name.

        `joined` makes one value of all that it may return.
        """
        self._start()
        try:
            return self._invoke(closure, arguments, given, joined)
        except RecursionError:
            self.interpretation.not_understood("deep nesting")
            return self.interpretation.unknown(())

    def run_script(self, body: Sequence[ir.Statement], scope: ModuleScope) -> None:
        """Run statements of a module as a script; its functions see what it has bound."""
        self._start()
        self.script = Frame(scope)
        try:
            self.execute(body, self.script)
        except RecursionError:
            self.interpretation.not_understood("deep nesting")

    @property
    def spent(self) -> int:
        """The nodes that were evaluated for all entries so far."""
        return self._spent + self._steps

    def _start(self) -> None:
        self._budget = self._limit or self.interpretation.budget
        self._spent += self._steps
        self._steps = 0
        self._most = self._budget.steps
        self._conditions = ()
        self._rounds = 1
        self._repeating = 0
        self._callers = ()
        self._changed.clear()
        self._grown.clear()
        self._running.clear()
        self._objects = 0
        self.settled = 0
        self.heap = Heap(self.imported)

    def instantiate(self, cls: ClassObject, given: Mapping[str, Value] | None = None) -> Instance:
        """An object of `cls`, constructed with what is `given` by name; the rest is unknown."""
        instance = Instance(cls, {})
        init = cls.member("__init__")
        if isinstance(init, Closure):
            self.run(self._bind(init, instance), given=given)
        else:
            self._start()
            site = Site(_nothing_at(cls.definition), cls.scope.path)
            self.interpretation.inherited(instance, "__init__", Arguments(), site)
        return instance

    def beside(self, interpretation: Interpretation) -> Evaluator:
        """One that runs code of the same project under another interpretation."""
        return Evaluator(interpretation, self._resolve)

    def changes(self, collection: Value) -> None:
        """A collection changes: where that depends on a condition, its length is not known afterwards.

        A loop of unknown length is taken for one iteration.
        """
        self._grown.append(collection)

    @contextmanager
    def limited(self, budget: Budget) -> Iterator[None]:
        """Within the block every entry has this budget instead of the interpretation's own."""
        self._limit, outer = budget, self._limit
        try:
            yield
        finally:
            self._limit = outer

    def default(self, parameter: ir.Parameter, closure: Closure) -> Value:
        """The default of a parameter of `closure`."""
        assert parameter.default is not None
        return self.evaluate(parameter.default, Frame(closure.scope, closure.frame))

    def annotated(self, annotation: ir.Expression, closure: Closure) -> Instance | None:
        """An object of the class of the project that an annotation names, made with its defaults."""
        if not isinstance(annotation, (ir.Name, ir.Attribute)):
            return None
        cls = self.evaluate(annotation, Frame(closure.scope, closure.frame))
        if not isinstance(cls, ClassObject) or not self.interpretation.is_configuration(cls):
            return None
        made = self._construct(cls, Arguments(), Site(annotation, closure.scope.path))
        return made if isinstance(made, Instance) else None

    def join(self, values: Sequence[Value]) -> Value:
        """One of several values, which one is not known."""
        return self._join(values)

    # names

    def module_name(self, scope: ModuleScope, name: str) -> Value | None:
        """The value that `name` has once the module was imported, or None."""
        key = (scope.path, name)
        known = scope.values_under(self.interpretation)
        if name in known:
            if key not in self.consulted:
                self.consulted.add(key)
                self.consulted |= self._rests_on.get(key, frozenset())
            return known[name]
        known[name] = None  # ends cycles
        outer, self.consulted = self.consulted, set()
        with self.aside():
            try:
                value = self._found_value(scope, name)
                if name in scope.facts.rebound and isinstance(value, (Known, Items, Table)):
                    value = self.interpretation.unknown(())
                known[name] = value
                self.imported.share(value)
                self._registries.note(value, scope)
            except RecursionError:
                known[name] = value = self.interpretation.unknown(())
        self._rests_on[key] = frozenset(self.consulted)
        self.consulted |= outer
        self.consulted.add(key)
        return value

    def _change(self, collection: Value) -> None:
        if isinstance(collection, Collection):
            self.imported.changes(collection)
        self._changed.append(collection)

    def module_at(self, name: str, scope: ModuleScope) -> ModuleScope | None:
        """The module of the project that a dotted name means from another one."""
        return self._resolve(name, scope)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What runs within the block runs when its module is imported, not where evaluation has got to."""
        state = self._steps, self._most, self._conditions, self.heap, self._changed
        self._steps, self._most, self._conditions = 0, self._budget.steps, ()
        self.heap = Heap(self.imported)
        self._changed = []
        before = self.interpretation.turns_aside()
        try:
            with self.imported.importing():
                yield
        finally:
            self._steps, self._most, self._conditions, self.heap, self._changed = state
            self.interpretation.returns_to(before)

    def _found_value(self, scope: ModuleScope, name: str) -> Value | None:
        found = [
            value
            for statement in _in_force(scope.binding(name), scope)
            if (value := self._bound_value(scope, name, statement)) is not None
        ]
        return self._prefer(found) if found else self._starred(scope, name)

    def _prefer(self, found: list[Value]) -> Value:
        """One of the alternatives that a module's branches bind: the first import, or their join.

        `None` stands for what could not be imported.
        """
        real = [value for value in found if not (isinstance(value, Known) and value.value is None)] or found
        if all(isinstance(value, (Reference, ModuleObject)) for value in real):
            return real[0]
        return self._join(real)

    def _bound_value(
        self, scope: ModuleScope, name: str, statement: ir.Statement | ir.Binding
    ) -> Value | None:
        if isinstance(statement, ir.Binding):
            return self._imported(scope, statement)
        known = self.interpretation.stands_for(scope.name, name)
        if known is not None:
            return known
        frame = Frame(scope)
        self._statement(statement, frame)
        return frame.variables.get(name)

    def _imported(self, scope: ModuleScope, binding: ir.Binding) -> Value | None:
        base = absolute_module(binding, scope)
        module = self._resolve(base, scope)
        if not binding.member:
            return ModuleObject(module) if module is not None else Reference(binding.module)
        if module is not None:
            value = self.module_name(module, binding.member)
            if value is not None:
                return value
        inner = self._resolve(f"{base}.{binding.member}", scope)
        if inner is not None:
            return ModuleObject(inner)
        if module is not None or binding.level:
            return self.interpretation.unknown(())
        return constants.resolve(f"{base}.{binding.member}")

    def _starred(self, scope: ModuleScope, name: str) -> Value | None:
        for binding in reversed(scope.stars):
            star = ir.Binding(binding.span, name, binding.module, name, binding.level)
            module = self._imported(scope, ir.Binding(binding.span, "", binding.module, "", binding.level))
            if isinstance(module, ModuleObject):
                value = self.module_name(module.scope, name)
                if value is not None:
                    return value
            elif not binding.level and constants.exports(binding.module, name):
                return self._imported(scope, star)
        return None

    def _name(self, node: ir.Name, frame: Frame) -> Value:
        value = frame.lookup(node.id)
        if value is None and self.script is not None and frame.scope is self.script.scope:
            value = self.script.variables.get(node.id)
        if value is None:
            value = self.module_name(frame.scope, node.id)
        if value is not None:
            return value
        if constants.is_builtin(node.id):
            return Reference(f"builtins.{node.id}")
        return self.interpretation.unbound(node.id, frame.scope)

    # expressions

    def evaluate(self, node: ir.Expression, frame: Frame) -> Value:
        """The value of `node`."""
        if self._steps >= self._most and not self.affords(1):
            return self.interpretation.unknown(())
        self._steps += 1
        return _EXPRESSIONS[type(node)](self, node, frame)

    def affords(self, steps: int) -> bool:
        """Whether there is work left for so many more steps, which are then taken."""
        if self._steps > self._most:
            return False
        self._steps += steps
        if self._steps > self._most:
            is_all = self._steps > self._budget.steps
            self.interpretation.not_understood(EXHAUSTED if is_all else ARM_EXHAUSTED)
            return False
        return True

    def stop(self) -> None:
        """Leave the rest of the entry that runs: all that it may take is taken, though not counted."""
        left = self._budget.steps - self._steps
        if left >= 0:
            self._spent -= left + 1
            self.affords(left + 1)

    def _contained(self, value: Value) -> Value:
        """What a collection takes for `value`: a collection that holds too much is not followed."""
        return value if fits(value) else self.interpretation.unknown(())

    def operand(self, node: ir.Expression, frame: Frame) -> Operand:
        """The value of `node` together with it."""
        return Operand(self.evaluate(node, frame), node)

    def site(self, node: ir.Expression, frame: Frame) -> Site:
        """Where `node` is evaluated."""
        return Site(node, frame.scope.path, self._callers, self._conditions)

    def _literal(self, node: ir.Literal, frame: Frame) -> Value:
        return Known(node.value)

    def _attribute(self, node: ir.Attribute, frame: Frame) -> Value:
        value = self.evaluate(node.value, frame)
        if isinstance(value, Instance) and node.name in value.attributes:
            return value.attributes[node.name]
        return self.attribute(Operand(value, node.value), node.name, self.site(node, frame))

    def attribute(self, receiver: Operand, name: str, site: Site) -> Value:
        """`receiver.name`."""
        value = receiver.value
        if isinstance(value, Reference):
            last = value.name.rpartition(".")[2]
            return Known(last) if name == "__name__" else constants.resolve(f"{value.name}.{name}")
        if isinstance(value, ModuleObject):
            return self._module_attribute(value, name)
        if isinstance(value, Instance):
            return self._instance_attribute(receiver, value, name, site)
        if isinstance(value, ClassObject):
            member = Known(value.definition.name) if name == "__name__" else value.member(name)
            return member if member is not None else self.interpretation.of_class(value, name, site)
        if isinstance(value, Super):
            return self._super_attribute(value, name, site)
        if isinstance(value, Items) and value.kind == "tuple" and name in _NAMED and value.items:
            return value.items[_NAMED[name]]
        if isinstance(value, Record) and name in value.names:
            return value.items[value.names[name]]
        if isinstance(value, Settings) and (name in value.entries or not hasattr(dict, name)):
            return value.entries.get(name) or self.interpretation.unknown(())
        if isinstance(value, (Items, Table, *_SOURCES)) or (
            isinstance(value, Known) and (isinstance(value.value, str) or name == "item")
        ):
            return Method(value, name, receiver.node)
        if isinstance(value, Partial):
            return self._of_partial(value, name)
        if isinstance(value, Closure) and name == "__name__" and isinstance(value.function, ir.Function):
            return Known(value.function.name)
        if isinstance(value, (Closure, Known)):
            return self.interpretation.unknown((value,))
        return self.interpretation.attribute(receiver, name, site)

    def _of_partial(self, partial: Partial, name: str) -> Value:
        if name == "func":
            return partial.function
        if name == "keywords":
            return Table(dict(partial.keywords), partial.node)
        return self.interpretation.unknown((partial,))

    def _module_attribute(self, module: ModuleObject, name: str) -> Value:
        value = self.module_name(module.scope, name)
        if value is None:
            inner = self._resolve(f"{module.scope.name}.{name}", module.scope)
            value = ModuleObject(inner) if inner is not None else None
        return value if value is not None else self.interpretation.unknown(())

    def _instance_attribute(self, receiver: Operand, instance: Instance, name: str, site: Site) -> Value:
        found = instance.attributes.get(name)
        if found is not None:
            return found
        member = instance.type.member(name)
        if isinstance(member, Closure):
            return self._bound_member(member, instance, site)
        if member is not None:
            return member
        return self.interpretation.attribute(receiver, name, site)

    def _bound_member(self, member: Closure, instance: Value, site: Site) -> Value:
        for decorator in getattr(member.function, "decorators", ()):
            name = decorator.id if isinstance(decorator, ir.Name) else getattr(decorator, "name", "")
            if name == "staticmethod":
                return member
            if name in ("property", "cached_property"):
                return self._call_closure(self._bind(member, instance), Arguments(), site)
        return self._bind(member, instance)

    def _super_attribute(self, value: Super, name: str, site: Site) -> Value:
        for base in _behind(value.owner, value.receiver):
            member = base.members.get(name) if isinstance(base, ClassObject) else None
            if isinstance(member, Closure):
                return self._bind(member, value.receiver)
        return Method(value, name, site.node)

    def bound(self, member: Closure, receiver: Value) -> Closure:
        """A method of an object; static ones stay functions."""
        names = [getattr(node, "id", "") for node in getattr(member.function, "decorators", ())]
        return member if "staticmethod" in names else self._bind(member, receiver)

    def _bind(self, closure: Closure, receiver: Value) -> Closure:
        return Closure(closure.function, closure.scope, closure.frame, receiver, closure.owner)

    def _index(self, node: ir.Index, frame: Frame) -> Value:
        if _is_own_module(node):
            return ModuleObject(frame.scope)
        receiver = self.operand(node.value, frame)
        index = self.evaluate(node.index, frame)
        value = receiver.value
        if isinstance(value, (ModuleObject, Items, Table)):
            index = self.interpretation.chosen_key(index)
        if isinstance(value, ModuleObject) and isinstance(index, Known) and isinstance(index.value, str):
            return self._module_attribute(value, index.value)
        if isinstance(value, (Items, Table)) and isinstance(index, Known):
            if isinstance(value, Table):
                self._registries.fill(value, index.value)
            found = _item(value, index.value)
            if found is not None:
                return found
        activation = bystanders.item(value, index, node)
        if activation is not None:
            return activation
        if isinstance(value, (Reference, ClassObject)):
            return value  # a generic type with its parameters
        return self.interpretation.index(receiver, index, self.site(node, frame))

    def _slice(self, node: ir.Slice, frame: Frame) -> Value:
        bounds = [
            self.evaluate(part, frame) if part is not None else Known(None)
            for part in (node.lower, node.upper, node.step)
        ]
        known = [bound.value for bound in bounds if isinstance(bound, Known)]
        return Known(("slice", *known)) if len(known) == len(bounds) else self.interpretation.unknown(bounds)

    def arguments(self, node: ir.Call, frame: Frame) -> Arguments:
        """The evaluated arguments of a call."""
        positional: list[Operand] = []
        certain = sys.maxsize
        for argument in node.positional:
            if not isinstance(argument, ir.Starred):
                positional.append(self.operand(argument, frame))
                continue
            spread = self._evaluated_items(argument.value, frame)
            if isinstance(spread, Items) and not spread.open and size(spread) <= MAX_ITEMS:
                positional.extend(Operand(item, argument.value) for item in spread.items)
            else:
                certain = min(certain, len(positional))
                others = spread.items if isinstance(spread, Items) and size(spread) <= MAX_ITEMS else ()
                others = others or [self.interpretation.unknown((spread,))]
                positional.extend(Operand(item, argument.value) for item in others)
        is_open = certain < len(positional)
        keywords: dict[str, Operand] = {}
        for keyword in node.keywords:
            operand = self.operand(keyword.value, frame)
            if keyword.name is not None:
                keywords[keyword.name] = operand
                continue
            table = operand.value if isinstance(operand.value, Table) else self._table(operand.value)
            is_listed = table is not None and not table.open
            if table is not None and (is_listed or self.interpretation.takes_as_listed()):
                entries = table.entries.items()
                keywords.update({str(key): Operand(value, keyword.value) for key, value in entries})
            is_open = is_open or not is_listed
        return Arguments(tuple(positional), keywords, is_open, min(certain, len(positional)))

    def _table(self, value: Value) -> Table | None:
        return self.interpretation.table(value)

    def _evaluated_items(self, node: ir.Expression, frame: Frame) -> Value:
        """What stands behind a star, as a list where the interpretation knows it item by item."""
        value = self.evaluate(node, frame)
        return self.interpretation.items(value) or value

    def _call(self, node: ir.Call, frame: Frame) -> Value:
        function = node.function
        if isinstance(function, ir.Attribute):
            receiver = self.operand(function.value, frame)
            if _is_foreign_member(receiver.value, function.name):
                arguments = self.arguments(node, frame)
                return self.interpretation.method(receiver, function.name, arguments, self.site(node, frame))
            target = self.attribute(receiver, function.name, self.site(function, frame))
            arguments = self.arguments(node, frame)
            site = self.site(node, frame)
            if _is_domain(receiver.value) and not isinstance(target, (Closure, Reference)):
                result = self.interpretation.method(receiver, function.name, arguments, site)
                if _is_in_place(function.name):
                    self._assign(function.value, Operand(result, node), frame)
                return result
            return self.call(target, arguments, site, frame)
        if isinstance(function, ir.Name) and function.id == "super" and len(node.positional) != 1:
            return self._super(frame)
        return self.call(
            self.evaluate(function, frame), self.arguments(node, frame), self.site(node, frame), frame
        )

    def _super(self, frame: Frame) -> Value:
        current: Frame | None = frame
        while current is not None:
            closure = current.closure
            if closure is not None and closure.owner is not None:
                receiver = closure.receiver or _first_argument(closure, current)
                if receiver is not None:
                    return Super(closure.owner, receiver)
            current = current.parent
        return self.interpretation.unknown(())

    def call(self, target: Value, arguments: Arguments, site: Site, frame: Frame | None = None) -> Value:
        """The result of calling `target`."""
        if self._steps > self._most:
            return self.interpretation.unknown(())
        if isinstance(target, Closure):
            return self._call_closure(target, arguments, site)
        if isinstance(target, ClassObject):
            return self._construct(target, arguments, site)
        if isinstance(target, Instance):
            return self._call_instance(target, arguments, site)
        if isinstance(target, Method):
            if isinstance(target.receiver, Super):
                if isinstance(target.receiver.receiver, ClassObject) and target.name == "__call__":
                    return self._object_of(target.receiver.receiver, arguments, site)
                return self.interpretation.inherited(target.receiver.receiver, target.name, arguments, site)
            found = self._collection_method(target, arguments, site)
            if found is None and (parts := texts.filled_in(target, arguments)) is not None:
                return self.interpretation.text(parts)
            return found if found is not None else self._unknown_of(target.receiver, arguments)
        if isinstance(target, Reference):
            return self._call_reference(target, arguments, site, frame)
        if isinstance(target, Partial):
            return self.call(target.function, _completed(target, arguments), site, frame)
        if isinstance(target, (Known, ModuleObject, Items, Table, Super, Generator)):
            return self._unknown_of(target, arguments)
        return self.interpretation.method(Operand(target, site.node), "__call__", arguments, site)

    def _collection_method(self, method: Method, arguments: Arguments, site: Site) -> Value | None:
        if not self._affords_all(arguments):
            return None
        if isinstance(method.receiver, Parser):
            return parser_method(self, method.receiver, method.name, arguments)
        if isinstance(method.receiver, Declared):
            return declared_method(self, method.receiver, method.name)
        if isinstance(method.receiver, (FilePath, Opened)):
            return of_path(method.receiver, method.name)
        if isinstance(method.receiver, Registry):
            return self._registries.method(method.receiver, method.name, arguments, site)
        if isinstance(method.receiver, Table) and method.name == "get" and arguments.positional:
            arguments = self._looked_up(method.receiver, arguments)
        self.interpretation.collected(method, arguments, site)
        if method.name in CHANGING:
            self._change(method.receiver)
        if (
            method.name in ("extend", "update")
            and arguments.positional
            and isinstance(method.receiver, Items)
        ):
            added, *_ = arguments.positional
            if not isinstance(added.value, (Items, Table)):
                one = self.interpretation.element(added.value, site)
                others = Items("list", [one], added.node, True)
                arguments = Arguments((Operand(others, added.node),), arguments.keywords, arguments.open)
        return collection_method(method, arguments)

    def _looked_up(self, table: Table, arguments: Arguments) -> Arguments:
        """What a dictionary is asked for by `get`; a registry holds that by now."""
        first, *others = arguments.positional
        key = self.interpretation.chosen_key(first.value)
        self._registries.fill(table, key.value if isinstance(key, Known) else None)
        return replace(arguments, positional=(Operand(key, first.node), *others))

    def _affords_all(self, arguments: Arguments) -> bool:
        """Whether a function may go through all that its arguments contain."""
        return self.affords(sum([size(value) for value in arguments.values()]))

    def _unknown_of(self, receiver: Value, arguments: Arguments) -> Value:
        return self.interpretation.unknown([receiver, *arguments.values()])

    def _call_reference(
        self, target: Reference, arguments: Arguments, site: Site, frame: Frame | None
    ) -> Value:
        read = configured(self, target.name, arguments, site)
        if target.name in INSTANTIATING and frame is not None:
            read = instantiated(self, arguments, site, frame.scope)
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
            self._store(receiver.value, self.interpretation.name_of(attribute.value), stored, site)
            return Known(None)
        if target.name == "builtins.getattr" and len(arguments.positional) > 1:
            name = self.interpretation.chosen_key(arguments.positional[1].value)
            if asked := self.interpretation.name_of(name):
                owner, *_ = arguments.positional
                found = self.attribute(owner, asked, site)
                otherwise = arguments.positional[2:]
                return (
                    self.interpretation.perhaps(owner.value, found, otherwise[0].value)
                    if otherwise
                    else found
                )
        if target.name == "builtins.globals" and frame is not None:
            return ModuleObject(frame.scope)
        if target.name == "builtins.vars" and len(arguments.positional) == 1:
            of = arguments.positional[0].value
            if isinstance(of, ModuleObject):
                return self._namespace(of.scope, site)
        if target.name == "builtins.eval" and frame is not None and len(arguments.positional) == 1:
            written = _dotted(arguments.positional[0].value, site.node)
            if written is not None:
                return self.evaluate(written, frame)
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
        return self.interpretation.call(target, arguments, site)

    def _advanced(self, iterator: Value, end: Value | None = None, *, site: Site) -> Value | None:
        """The next item of an iterator that is known item by item, or one of those that it may be."""
        if not isinstance(iterator, Items) or not iterator.items:
            return end if isinstance(iterator, Items) and not iterator.open else None
        if iterator.open:
            return self.interpretation.element(iterator, site)
        self._change(iterator)
        return iterator.items.pop(0)

    def _namespace(self, scope: ModuleScope, site: Site) -> Table:
        """What the names of a module mean, by name."""
        found = {name: self.module_name(scope, name) for name in list(scope.bindings)[:MAX_ITEMS]}
        entries: dict[Any, Value] = {name: value for name, value in found.items() if value is not None}
        return Table(entries, site.node, bool(scope.stars) or len(scope.bindings) > MAX_ITEMS)

    def _opened(self, arguments: Arguments) -> Arguments:
        """The arguments with what the interpretation knows item by item as lists of these items."""
        positional = tuple(
            [Operand(self.interpretation.items(o.value) or o.value, o.node) for o in arguments.positional]
        )
        return Arguments(positional, arguments.keywords, arguments.open, arguments.certain)

    def _map(self, function: Value, iterable: Value, site: Site) -> Value:
        """`map(function, iterable)`, run at once: the function is called on every item."""
        items, count = self._items(iterable, site)
        called = [self.call(function, Arguments((Operand(item, site.node),)), site) for item in items]
        return Items("list", called, site.node, self._is_open(called, count))

    def _is_lazy(self, arguments: Arguments) -> bool:
        """Whether what is gone through is a value of an interpretation to which order matters."""
        return self.interpretation.is_ordered and _is_domain(arguments.positional[1].value)

    def _is_open(self, items: Sequence[Value], count: Count) -> bool:
        """Whether there may be more or less than these items, which so many iterations gave."""
        return count > (Count.ALIKE if items and self.interpretation.is_exemplary(items) else Count.LISTED)

    def _filter(self, function: Value, iterable: Value, site: Site) -> Value:
        """`filter(function, iterable)`, run at once; what a test leaves open may be in it or not."""
        items, count = self._items(iterable, site)
        is_open = count > Count.LISTED
        kept = []
        for item in items:
            truth = self._truth(self.call(function, Arguments((Operand(item, site.node),)), site))
            is_open = is_open or truth is None
            kept.extend([item] if truth is not False else [])
        return Items("list", kept, site.node, is_open)

    def _call_instance(self, target: Instance, arguments: Arguments, site: Site) -> Value:
        if self.interpretation.is_opaque(target):
            return self.interpretation.called(target, arguments, site)
        for name in ("__call__", "forward"):
            member = target.type.member(name)
            if isinstance(member, Closure):
                bound = self._bound_member(member, target, site)
                return self.call(bound, arguments, site)
        return self.interpretation.called(target, arguments, site)

    def _construct(self, cls: ClassObject, arguments: Arguments, site: Site) -> Value:
        call = self._call_of_metaclass(cls) if self.interpretation.is_ordered else None
        if call is not None:
            return self._call_closure(self._bind(call, cls), arguments, site)
        return self._object_of(cls, arguments, site)

    def _call_of_metaclass(self, cls: ClassObject) -> Closure | None:
        """What is run where a class is called, if its metaclass is of the project and says so."""
        for base in cls.lineage():
            for keyword in base.definition.keywords if isinstance(base, ClassObject) else ():
                if keyword.name == "metaclass" and isinstance(base, ClassObject):
                    metaclass = self.evaluate(keyword.value, Frame(base.scope))
                    call = metaclass.member("__call__") if isinstance(metaclass, ClassObject) else None
                    return call if isinstance(call, Closure) else None
        return None

    def _object_of(self, cls: ClassObject, arguments: Arguments, site: Site) -> Value:
        is_worth_it = self.interpretation.follows(cls, len(self._running))
        if not is_worth_it or self._objects >= self._budget.objects:
            return self.interpretation.construct(cls, arguments, site)
        return self.interpretation.made(cls, arguments, lambda: self._constructed(cls, arguments, site))

    def _constructed(self, cls: ClassObject, arguments: Arguments, site: Site) -> Instance:
        instance = Instance(cls, {})
        self.heap.creates(instance.attributes)
        self._objects += 1
        init = cls.member("__init__")
        if isinstance(init, Closure) and not _generates_init(cls):
            self._call_closure(self._bind(init, instance), arguments, site)
        elif any(isinstance(base, Reference) for base in cls.lineage()) and not _generates_init(cls):
            self.interpretation.inherited(instance, "__init__", arguments, site)
        else:
            fields = record_fields(cls)
            instance.attributes.update(
                {n: o.value for n, o in zip(fields, arguments.positional, strict=False)}
            )
            instance.attributes.update({n: o.value for n, o in arguments.keywords.items()})
            if arguments.open and self.interpretation.is_ordered:
                for name in [name for name in fields if name not in instance.attributes]:
                    instance.attributes[name] = self.interpretation.unknown(())
        return instance

    def _call_closure(self, closure: Closure, arguments: Arguments, site: Site) -> Value:
        if sum([running is closure.function for running in self._running]) >= self._budget.recursion:
            self.interpretation.not_understood("recursion")
            return self._unknown_of(closure, arguments)
        if closure.scope.name in bystanders.MODULES:
            known = self._bystander(closure, arguments, site)
            if known is not None:
                return known
        key = self._cache.key(closure, arguments)
        found = self._cache.found(key)
        if found is None:
            found = self._followed(closure, arguments, site)
            self._cache.put(key, found, arguments)
        return found

    def _followed(self, closure: Closure, arguments: Arguments, site: Site) -> Value:
        """What a function gives, as its code says."""
        is_worth_it = self.interpretation.follows(closure, len(self._running))
        if not is_worth_it:
            return self._unknown_of(closure, arguments)
        if self.interpretation.is_ordered and self._is_dispatched(closure):
            return self.interpretation.call(Reference("functools.singledispatch"), arguments, site)
        if self._is_wrapped(closure):
            return self._call_wrapped(closure, arguments, site)
        if isinstance(closure.function, ir.Lambda):
            self.inlined.add(id(closure.function))
            return self._invoke(closure, arguments)
        if self.interpretation.is_ordered and closure.function.is_generator:
            return Generator(closure, arguments, site)
        if closure.receiver is None and closure.frame is None:
            return self.interpretation.made(
                closure, arguments, lambda: self._called(closure, arguments, site)
            )
        return self._called(closure, arguments, site)

    def _bystander(self, closure: Closure, arguments: Arguments, site: Site) -> Value | None:
        """What a function gives of which that is known without following it."""
        drawing = bystanders.original(closure)
        if drawing is not None:
            return self.call(drawing, arguments, site)
        if bystanders.initialises(closure) and isinstance(closure.receiver, Instance):
            initialise = self.attribute(Operand(closure.receiver, site.node), "_init_weights", site)
            return self.interpretation.initialised(closure.receiver, initialise, site)
        return bystanders.result(closure, arguments)

    def _called(self, closure: Closure, arguments: Arguments, site: Site) -> Value:
        outer = self._callers
        self._callers = (*outer, Site(site.node, site.path))
        try:
            return self._invoke(closure, arguments)
        finally:
            self._callers = outer

    def _is_dispatched(self, closure: Closure) -> bool:
        """Whether the type of its first argument decides which function is run in place of this one."""
        names = [
            node for node in getattr(closure.function, "decorators", ()) if not isinstance(node, ir.Call)
        ]
        found = [self.evaluate(node, Frame(closure.scope, closure.frame)) for node in names]
        return any(isinstance(value, Reference) and value.name in _DISPATCHING for value in found)

    def _is_wrapped(self, closure: Closure) -> bool:
        """Whether a decorator of the project may give something else than the function."""
        return next(self._wrappers(closure), None) is not None

    def _wrappers(self, closure: Closure) -> Iterator[Operand]:
        """The decorators of the project that may give something else than the function, the last first."""
        frame = Frame(closure.scope, closure.frame)
        for node in reversed(self._decorators(closure, frame)):
            if isinstance(node, ir.Name) or (
                isinstance(node, ir.Call) and isinstance(node.function, ir.Name)
            ):
                decorator = self.evaluate(node, frame)
                if isinstance(decorator, Closure) and not returns_argument(decorator.function):
                    yield Operand(decorator, node)

    def _decorators(self, closure: Closure, frame: Frame) -> list[ir.Expression]:
        """The decorators of a function that may change what it computes."""
        return [
            node
            for node in getattr(closure.function, "decorators", ())
            if not self._is_transparent(node.function if isinstance(node, ir.Call) else node, frame)
        ]

    def _is_transparent(self, decorator: ir.Expression, frame: Frame) -> bool:
        value = self.evaluate(decorator, frame) if isinstance(decorator, ir.Name) else None
        return isinstance(value, Closure) and bystanders.is_transparent(value)

    def _call_wrapped(self, closure: Closure, arguments: Arguments, site: Site) -> Value:
        """Call what the decorators of the project make of a function."""
        wrappers = list(self._wrappers(closure))
        bare = self._bare(closure.function, wrappers)
        value: Value = Closure(bare, closure.scope, closure.frame, None, closure.owner)
        for wrapper in wrappers:
            given = Arguments((Operand(value, wrapper.node),))
            value = self.call(wrapper.value, given, Site(wrapper.node, closure.scope.path))
        if closure.receiver is not None:
            positional = (Operand(closure.receiver, site.node), *arguments.positional)
            arguments = Arguments(positional, arguments.keywords, arguments.open, arguments.certain + 1)
        return self.call(value, arguments, site)

    def _bare(
        self, function: ir.Function | ir.Lambda, wrappers: Sequence[Operand]
    ) -> ir.Function | ir.Lambda:
        """A function without these decorators, always the same object."""
        if id(function) not in self._undecorated and isinstance(function, ir.Function):
            applied = [wrapper.node for wrapper in wrappers]
            rest = tuple([node for node in function.decorators if node not in applied])
            self._undecorated[id(function)] = replace(function, decorators=rest)
        return self._undecorated.get(id(function), function)

    def _invoke(
        self,
        closure: Closure,
        arguments: Arguments | None,
        given: Mapping[str, Value] | None = None,
        joined: Callable[[Sequence[Value]], Value] | None = None,
    ) -> Value:
        function = closure.function
        conditions, settled = self._conditions, self.settled
        frame = Frame(closure.scope, closure.frame, closure=closure)
        self.ran.add(id(function))
        self._running.append(function)
        self._bind_parameters(closure, arguments, frame, given or {})
        try:
            if isinstance(function, ir.Lambda):
                return self.evaluate(function.body, frame)
            around = Frame(closure.scope, closure.frame)
            contexts = [self.evaluate(node, around) for node in self._decorators(closure, around)]
            supplied = supply(self, contexts, closure) if contexts and _is_bare(arguments) else {}
            frame.variables.update(supplied)
            contexts = [context for context in contexts if not isinstance(context, Supplied)]
            self.interpretation.enters(closure)
            for context in contexts:
                self.interpretation.enter(context)
            self.execute(function.body, frame)
            for context in reversed(contexts):
                self.interpretation.leave(context)
            self.interpretation.exits(closure)
            if function.is_generator:
                return self.interpretation.unknown(frame.returned)
            result = (joined or self._join)(frame.returned) if frame.returned else Known(None)
            self.interpretation.merged()
            return result
        finally:
            self._running.pop()
            self._conditions, self.settled = conditions, settled

    def _bind_parameters(
        self, closure: Closure, arguments: Arguments | None, frame: Frame, given: Mapping[str, Value]
    ) -> None:
        parameters = list(closure.function.parameters)
        if closure.receiver is not None and parameters:
            frame.variables[parameters.pop(0).name] = closure.receiver
        if arguments is None:
            for parameter in parameters:
                known = given.get(parameter.name)
                frame.variables[parameter.name] = (
                    self.interpretation.parameter(parameter, closure) if known is None else known
                )
            return
        positional = list(arguments.positional)
        if arguments.open:
            positional = [
                operand if i < arguments.certain else Operand(self.interpretation.unknown(()), operand.node)
                for i, operand in enumerate(positional)
            ]
        keywords = dict(arguments.keywords)
        for parameter in parameters:
            frame.variables[parameter.name] = self._argument(
                parameter, positional, keywords, arguments, closure
            )

    def _argument(
        self,
        parameter: ir.Parameter,
        positional: list[Operand],
        keywords: dict[str, Operand],
        arguments: Arguments,
        closure: Closure,
    ) -> Value:
        if parameter.kind == "arguments":
            items = [operand.value for operand in positional]
            positional.clear()
            return Items("tuple", items, ir.Display(parameter.span, "tuple", ()), arguments.open)
        if parameter.kind == "keywords":
            entries: dict[Any, Value] = {name: operand.value for name, operand in keywords.items()}
            return Table(entries, ir.Dictionary(parameter.span, (), ()), arguments.open)
        if parameter.kind == "plain" and positional:
            return positional.pop(0).value
        if parameter.name in keywords:
            return keywords.pop(parameter.name).value
        if parameter.default is None or arguments.open or self._keeps(closure.function, parameter):
            return self.interpretation.unknown(())
        return self.evaluate(parameter.default, Frame(closure.scope, closure.frame))

    def _keeps(self, function: ir.Function | ir.Lambda, parameter: ir.Parameter) -> bool:
        """Whether a default is a collection that the function changes: the next call finds it changed."""
        if not isinstance(parameter.default, (ir.Display, ir.Dictionary)):
            return False
        known = self._names_filled.get(id(function))
        if known is None:
            body = function.body if isinstance(function.body, tuple) else ()
            names = frozenset([path[0] for path in filled(body) if len(path) == 1])
            known = self._names_filled[id(function)] = (function, names)
        return parameter.name in known[1]

    def _junction(self, node: ir.Operation, frame: Frame) -> Value:
        """`and` and `or`: what stands behind an operand is only reached past a test of it."""
        operands: list[Operand] = []
        for part in node.operands:
            if operands:
                self.interpretation.tested(operands[-1].value)
            operand = self.operand(part, frame)
            decided = self._truth(operand.value)
            decides = decided is (node.operator == "or")
            if decides or part is node.operands[-1] or decided is None:
                operands.append(operand)
            if decides:
                break
        if len(operands) == 1 or _settles(operands[-1].value, node.operator):
            return operands[-1].value
        return self.interpretation.operator(node.operator, tuple(operands), self.site(node, frame))

    def _operation(self, node: ir.Operation, frame: Frame) -> Value:
        if node.operator in ("and", "or"):
            return self._junction(node, frame)
        operands = tuple([self.operand(operand, frame) for operand in node.operands])
        if all(isinstance(operand.value, Known) for operand in operands):
            folded = constants.fold(node.operator, [operand.value.value for operand in operands])  # type: ignore[attr-defined]
            if folded is not None:
                return folded
        if node.operator == "add" and all(isinstance(o.value, Items) for o in operands):
            first, second = (operand.value for operand in operands)
            assert isinstance(first, Items) and isinstance(second, Items)
            if size(first) + size(second) > MAX_ITEMS:
                return self.interpretation.unknown((first, second))
            return Items(first.kind, [*first.items, *second.items], node, first.open or second.open)
        repeated = _repeated(node, operands) if node.operator == "mul" else None
        if repeated is not None:
            return repeated
        return self.interpretation.operator(node.operator, operands, self.site(node, frame))

    def _conditional(self, node: ir.Conditional, frame: Frame) -> Value:
        test = self.evaluate(node.test, frame)
        decided = self._truth(test)
        if decided is not None:
            self.settled += 1
            value = self.evaluate(node.then if decided else node.otherwise, frame)
            self.settled -= 1
            return value
        self.interpretation.tested(test)
        before = self._conditions
        values = []
        self.interpretation.chooses(test)
        for position, arm in enumerate((node.then, node.otherwise)):
            self._conditions = (*before, _arm(node, position))
            self.interpretation.takes(position)
            values.append(self.evaluate(arm, frame))
        self._conditions = before
        self.interpretation.chosen((0, 1))
        joined = self._join(values)
        self.interpretation.merged()
        return joined

    def _display(self, node: ir.Display, frame: Frame) -> Value:
        if node.kind in ("string", "text"):
            parts = [self.evaluate(item, frame) for item in node.items]
            known = node.kind == "text" and all(isinstance(part, Known) for part in parts)
            found = constants.text([part.value for part in parts]) if known else None  # type: ignore[attr-defined]
            if found is None and node.kind == "text":
                return self.interpretation.text(parts)
            return found if found is not None else self.interpretation.unknown(())
        items: list[Value] = []
        is_open = False
        for item in node.items:
            if not isinstance(item, ir.Starred):
                items.append(self._contained(self.evaluate(item, frame)))
                continue
            value = self._evaluated_items(item.value, frame)
            if isinstance(value, Items) and len(items) + size(value) <= MAX_ITEMS:
                items.extend(value.items)
                is_open = is_open or value.open
            else:
                items.append(self.interpretation.element(value, self.site(item, frame)))
                is_open = True
        return Items(node.kind, items, node, is_open)

    def _dictionary(self, node: ir.Dictionary, frame: Frame) -> Value:
        entries: dict[Any, Value] = {}
        others: list[Value] = []
        is_open = False
        for key, value_node in zip(node.keys, node.values, strict=True):
            value = self._contained(self.evaluate(value_node, frame))
            known_key = self.evaluate(key, frame) if key is not None else value
            if key is not None and isinstance(known_key, Known):
                entries[known_key.value] = value
            elif isinstance(value, Table) and key is None:
                entries.update(value.entries)
                others.extend(value.others)
                is_open = is_open or value.open
            else:
                others.extend([value] if key is not None else [])
                is_open = True
        return Table(entries, node, is_open, others)

    def _comprehension(self, node: ir.Comprehension, frame: Frame) -> Value:
        inner = Frame(frame.scope, frame, closure=frame.closure)
        found: list[Value] = []
        is_open = self._is_open(found, self._generate(node, 0, inner, found))
        if node.kind == "dict":
            return _table_of(node, found, is_open)
        if node.kind == "generator":
            return self.interpretation.lazily(Items("list", found, node, is_open))
        return Items(node.kind, found, node, is_open)

    def _generate(self, node: ir.Comprehension, depth: int, frame: Frame, found: list[Value]) -> Count:
        """Evaluate the element for every binding of the generators; how many of them there are."""
        if depth == len(node.generators):
            if node.key is not None:
                found.append(self.evaluate(node.key, frame))
            found.append(self._contained(self.evaluate(node.element, frame)))
            return Count.LISTED
        generator = node.generators[depth]
        items, count = self._iterate(generator.iterable, frame)
        outer, self._rounds = self._rounds, self._rounds * max(len(items), 1)
        for item in items:
            self._assign(generator.target, Operand(item, generator.iterable), frame)
            kept = self._kept(generator.conditions, frame)
            if kept is not False:
                inner = self._generate(node, depth + 1, frame, found)
                count = max(count, inner, Count.LISTED if kept else Count.OTHERS)
        self._rounds = outer
        return count

    def _kept(self, conditions: Sequence[ir.Expression], frame: Frame) -> bool | None:
        """Whether an item passes the conditions of a comprehension; None where that is not known."""
        kept: bool | None = True
        for condition in conditions:
            test = self.evaluate(condition, frame)
            self.interpretation.tested(test)
            truth = self._truth(test)
            if truth is False:
                return False
            kept = kept if truth else None
        return kept

    def _iterate(self, node: ir.Expression, frame: Frame) -> tuple[Sequence[Value], Count]:
        """The items that iterating over `node` gives, and how many there are of them."""
        return self._items(self.evaluate(node, frame), self.site(node, frame))

    def _items(self, iterable: Value, site: Site) -> tuple[Sequence[Value], Count]:
        if isinstance(iterable, Generator):
            yielded: list[Value] = []
            self._resume(iterable, Receiver(yielded.append))
            iterable = Items("list", yielded, site.node, True)
        iterable = self.interpretation.items(iterable) or iterable
        most = self._most_iterations
        if isinstance(iterable, Items) and not iterable.open and len(iterable.items) <= most:
            return list(iterable.items), Count.LISTED
        if isinstance(iterable, Items) and iterable.items:
            listed = self.interpretation.listed(iterable, site)
            if listed is not None:
                return listed, Count.LISTED
            return [self._join(iterable.items)], self._any_number(iterable)
        if isinstance(iterable, Table) and not iterable.open and len(iterable.entries) <= most:
            return [Known(key) for key in iterable.entries], Count.LISTED
        if isinstance(iterable, Known) and isinstance(iterable.value, (range, str)):
            if len(iterable.value) <= most:
                return [Known(item) for item in iterable.value], Count.LISTED
            return [self.interpretation.unknown(())], Count.OTHERS
        element, times = (
            self.interpretation.element(iterable, site),
            self.interpretation.assumed(iterable, site),
        )
        return ([element], self._any_number(iterable)) if times is None else ([element] * times, Count.LISTED)

    @property
    def _most_iterations(self) -> int:
        """How many iterations of the loop that begins may be run one by one."""
        return min(self._budget.unrolled, self._budget.rounds // self._rounds)

    def _any_number(self, iterable: Value | None) -> Count:
        return Count.ALIKE if self.interpretation.is_counted_once(iterable) else Count.OTHERS

    def _lambda(self, node: ir.Lambda, frame: Frame) -> Value:
        closure = Closure(node, frame.scope, frame)
        self.nested.append(closure)
        return closure

    def _walrus(self, node: ir.Walrus, frame: Frame) -> Value:
        value = self.evaluate(node.value, frame)
        frame.variables[node.name] = value
        return value

    def _suspend(self, node: ir.Suspend, frame: Frame) -> Value:
        value = self.evaluate(node.value, frame) if node.value is not None else Known(None)
        if node.kind == "await":
            return value
        if self._awaiting and node.kind == "yield":
            self._hand_over(value)
        elif self._awaiting and isinstance(value, Generator):
            self._resume(value, self._awaiting[-1])
        else:
            frame.returned.append(value)
        return self.interpretation.unknown(())

    def _hand_over(self, value: Value) -> None:
        """What waits for the values of a generator goes on with one of them."""
        *others, receiver = self._awaiting
        self._awaiting, outer = others, self._awaiting
        generator = self._running.pop()
        self.interpretation.suspends(receiver.is_block)
        try:
            receiver.receive(value)
        finally:
            self._running.append(generator)
            self._awaiting = outer
        self.interpretation.resumes()

    def _resume(self, generator: Generator, receiver: Receiver) -> None:
        """Run a generator; whatever it yields is received before it goes on."""
        shape = generator.shape
        if shape is not None:
            receiver = Receiver(_composed(shape, receiver.receive), receiver.is_block)
        self._awaiting.append(receiver)
        try:
            self._called(generator.closure, generator.arguments, generator.site)
        finally:
            self._awaiting.pop()

    def _opaque(self, node: ir.Unknown, frame: Frame) -> Value:
        values = [self.evaluate(part, frame) for part in node.parts]
        if node.kind not in ("ellipsis", "capture"):
            self.interpretation.not_understood(node.kind)
        return self.interpretation.unknown(values)

    def _spread(self, node: ir.Starred, frame: Frame) -> Value:
        return self.interpretation.unknown((self.evaluate(node.value, frame),))

    def _join(self, values: Sequence[Value], depth: int = 0) -> Value:
        first = values[0]
        if all(value is first for value in values[1:]):
            return first
        if isinstance(first, Known) and all(
            isinstance(v, Known) and type(v.value) is type(first.value) and v.value == first.value
            for v in values
        ):
            return first
        if depth < _DEEPEST_JOIN and _are_alike(values) and self.affords(size(first)):
            assert isinstance(first, Items)
            columns = zip(*[value.items for value in values], strict=True)  # type: ignore[attr-defined]
            joined = [self._join(column, depth + 1) for column in columns]
            return Items(first.kind, joined, first.node, first.open)
        return self.interpretation.join(values)

    # statements

    def execute(self, body: Iterable[ir.Statement], frame: Frame) -> None:
        """Run the statements of `body` until one leaves it."""
        for statement in body:
            if not frame.alive:
                return
            if self._steps > self._most:
                self._passed_over(statement, frame)
            else:
                self._statement(statement, frame)

    def _passed_over(self, statement: ir.Statement, frame: Frame) -> None:
        """There is no work left for a statement: what it binds is not known."""
        if isinstance(statement, ir.Return):
            frame.returned.append(self.interpretation.unknown(()))
            frame.alive, frame.jump = False, "return"
        for name in self._bound_by(statement):
            frame.variables[name] = self.interpretation.unknown(())

    def _bound_by(self, statement: ir.Statement) -> frozenset[str]:
        """The variables that a statement binds, found once."""
        known = self._names_bound.get(id(statement))
        if known is None:
            if len(self._names_bound) >= _MOST_BODIES:
                self._names_bound.clear()
            found = frozenset(assigned((statement,)))
            known = self._names_bound[id(statement)] = (statement, found)
        return known[1]

    def _statement(self, statement: ir.Statement, frame: Frame) -> None:
        _STATEMENTS[type(statement)](self, statement, frame)

    def _assignment(self, node: ir.Assign, frame: Frame) -> None:
        if node.value is None:
            return
        operand = self.operand(node.value, frame)
        if isinstance(operand.value, Items) and (sum_ := _sum_onto(node)) is not None:
            operand = Operand(self._longer(operand.value, sum_, frame), operand.node)
        for target in node.targets:
            self._assign(target, operand, frame)

    def _longer(self, whole: Items, node: ir.Operation, frame: Frame) -> Items:
        """`x = x + […]`: the list that `x` was goes on, with more behind it."""
        first, second = node.operands
        before = self.evaluate(first, frame)
        if not isinstance(before, Items):
            return whole
        added = Items(before.kind, whole.items[len(before.items) :], second)
        method, given = Method(before, "extend", first), Arguments((Operand(added, second),))
        self.interpretation.collected(method, given, self.site(first, frame))
        return replace(whole, node=before.node)

    def _assign(self, target: ir.Expression, operand: Operand, frame: Frame) -> None:
        value = operand.value
        if isinstance(target, ir.Name):
            frame.variables[target.id] = value
            if target.id in frame.outer:
                self._disturb(target.id, frame.parent)
        elif isinstance(target, ir.Attribute):
            receiver = self.evaluate(target.value, frame)
            changed = self._store(receiver, target.name, operand, self.site(target, frame))
            if changed is not None and isinstance(target.value, (ir.Name, ir.Attribute)):
                self._assign(target.value, Operand(changed, target), frame)
        elif isinstance(target, ir.Display):
            self._unpack(target, operand, frame)
        elif isinstance(target, ir.Index):
            self._store_item(target, operand, frame)
        elif isinstance(target, ir.Starred):
            self._assign(target.value, Operand(self.interpretation.unknown((value,)), operand.node), frame)

    def _disturb(self, name: str, frame: Frame | None) -> None:
        """A function within bound the variable: it may have run, or not."""
        while frame is not None and name not in frame.variables:
            frame = frame.parent
        if frame is not None:
            frame.variables[name] = self.interpretation.unknown((frame.variables[name],))

    def disturb(self, instance: Instance, names: Iterable[str]) -> None:
        """Some of these attributes may have changed: constants and tensors are not known any more."""
        for name in set(names) & instance.attributes.keys():
            value = instance.attributes[name]
            if isinstance(value, Known) or _is_domain(value):
                self.heap.write(instance.attributes, name, self.interpretation.unknown((value,)))

    def _declaration(self, node: ir.Declare, frame: Frame) -> None:
        frame.outer.update(node.names)

    def _store(self, receiver: Value, name: str, operand: Operand, site: Site) -> Value | None:
        if isinstance(receiver, Instance) and name:
            self.interpretation.replacing(receiver, name, operand.value)
            self.write(receiver, name, operand.value)
        elif isinstance(receiver, Instance):
            self.disturb(receiver, receiver.attributes)
        elif isinstance(receiver, ClassObject) and name in receiver.members:
            self.imported.keep(receiver.members)
            receiver.members[name] = self.interpretation.unknown(())  # who asks next may be any instance
        elif isinstance(receiver, Settings):
            self._change(receiver)
            store_item(receiver, Known(name), operand.value)
        return self.interpretation.stored(receiver, name, operand, site)

    def write(self, receiver: Instance, name: str, value: Value) -> None:
        """`receiver.name = value`; a name that is known in parts may be that of something else as well."""
        if texts.HOLE in name:
            meant = [each for each in receiver.attributes if texts.may_be(name, each)]
            for each in meant:
                self.heap.write(receiver.attributes, each, self._join([receiver.attributes[each], value]))
            if name in meant:
                return
        self.heap.write(receiver.attributes, name, value)

    def _unpack(self, target: ir.Display, operand: Operand, frame: Frame) -> None:
        value = operand.value
        plain = not any(isinstance(item, ir.Starred) for item in target.items)
        if plain and isinstance(value, Items) and not value.open and len(value.items) == len(target.items):
            for item, part in zip(target.items, value.items, strict=True):
                self._assign(item, Operand(part, operand.node), frame)
            return
        if not plain and isinstance(value, Items) and not value.open:
            self._unpack_around(target, value, operand, frame)
            return
        if plain:
            operand = Operand(self.interpretation.unpacked(value, len(target.items)), operand.node)
        for position, item in enumerate(target.items):
            site = self.site(operand.node, frame)
            part = self.interpretation.index(operand, Known(position), site)
            self._assign(item, Operand(part, operand.node), frame)

    def _unpack_around(self, target: ir.Display, value: Items, operand: Operand, frame: Frame) -> None:
        """`first, *rest, last = value`."""
        at = next(i for i, item in enumerate(target.items) if isinstance(item, ir.Starred))
        behind = len(target.items) - at - 1
        items = list(value.items)
        split = max(len(items) - behind, at)
        parts = [*items[:at], Items("list", items[at:split], value.node), *items[split:]]
        for item, part in zip(target.items, parts, strict=False):
            if isinstance(item, ir.Starred):
                item = item.value
            self._assign(item, Operand(part, operand.node), frame)

    def _store_item(self, target: ir.Index, operand: Operand, frame: Frame) -> None:
        receiver = self.evaluate(target.value, frame)
        index = self.evaluate(target.index, frame)
        if isinstance(receiver, (Items, Table)):
            self._change(receiver)
            store_item(receiver, index, operand.value)
        elif isinstance(target.value, (ir.Name, ir.Attribute)):
            parts = Operand(receiver, target.value), Operand(index, target.index)
            changed = self.interpretation.replaced(*parts, operand, self.site(target, frame))
            self._assign(target.value, Operand(changed, target), frame)

    def _augment(self, node: ir.Augment, frame: Frame) -> None:
        operation = ir.Operation(node.span, node.operator, (node.target, node.value))
        before = self.evaluate(node.target, frame)
        if isinstance(before, Items) and before.kind == "list" and node.operator == "iadd":
            added = self.evaluate(node.value, frame)
            if not isinstance(added, Items):
                one = self.interpretation.element(added, self.site(node.value, frame))
                added = Items("list", [one], node.value, True)
            added_to, given = Method(before, "extend", node.target), Arguments((Operand(added, node.value),))
            self.interpretation.collected(added_to, given, self.site(node.target, frame))
            self._change(before)
            extend(before, added)
            return
        self._assign(node.target, Operand(self._operation(operation, frame), operation), frame)

    def _evaluation(self, node: ir.Evaluate, frame: Frame) -> None:
        value = self.evaluate(node.value, frame)
        self.interpretation.dropped(value, node.value, self.site(node.value, frame))

    def _return(self, node: ir.Return, frame: Frame) -> None:
        frame.returned.append(self.evaluate(node.value, frame) if node.value is not None else Known(None))
        frame.alive = False
        frame.jump = "return"
        self.interpretation.leaves("return")

    def _raise(self, node: ir.Raise, frame: Frame) -> None:
        if node.value is not None:
            self.evaluate(node.value, frame)
        frame.alive = False
        frame.jump = "raise"
        self.interpretation.leaves("raise")

    def _jump(self, node: ir.Jump, frame: Frame) -> None:
        frame.alive = False
        frame.jump = node.kind
        self.interpretation.leaves(node.kind)

    def _assert(self, node: ir.Assert, frame: Frame) -> None:
        test = self.evaluate(node.test, frame)
        self.interpretation.tested(test)
        if isinstance(node.test, ir.Literal) and not node.test.value:
            frame.alive, frame.jump = False, "raise"
            self.interpretation.leaves("raise")

    def _branch(self, node: ir.Branch, frame: Frame) -> None:
        test = self.evaluate(node.test, frame)
        decided = self._truth(test)
        if decided is not None:
            self._settled(node, decided, frame)
            return
        self.interpretation.tested(test)
        for part in node.test.parts if isinstance(node.test, ir.Unknown) else ():
            self.interpretation.tested(self.evaluate(part, frame))
        self._alternatives(node, (node.then, node.otherwise), frame, test)

    def _settled(self, node: ir.Branch, decided: bool, frame: Frame) -> None:
        """Run the arm that was decided on; what follows depends on the test too if the other one leaves."""
        taken, other = (node.then, node.otherwise) if decided else (node.otherwise, node.then)
        by = 0 if _asks_whether_given(node.test) else 1
        self.interpretation.skipped(list(_used(self._named(other), frame)))
        self.settled += by
        self.execute(taken, frame)
        if not (other and isinstance(other[-1], (ir.Return, ir.Jump))):
            self.settled -= by

    def _named(self, body: tuple[ir.Statement, ...]) -> list[ir.Name | ir.Attribute]:
        """The variables and attributes that statements name, found once."""
        known = self._names_used.get(id(body))
        if known is None:
            if len(self._names_used) >= _MOST_BODIES:
                self._names_used.clear()
            found = [node for node in walk(body) if isinstance(node, (ir.Name, ir.Attribute))]
            known = self._names_used[id(body)] = (body, found)
        return known[1]

    def _truth(self, value: Value) -> bool | None:
        """Whether a test of `value` succeeds, where that is known."""
        return bool(value.value) if isinstance(value, Known) else self.interpretation.truth(value)

    def _alternatives(
        self,
        node: ir.Statement,
        bodies: Sequence[tuple[ir.Statement, ...]],
        frame: Frame,
        test: Value | None = None,
    ) -> None:
        """Run each body from here on its own; go on with the join of those that reach their end."""
        before = frame.variables
        conditions = self._conditions
        mark, grown, most = len(self._changed), len(self._grown), self._most
        ends: list[dict[str, Value]] = []
        heaps: list[Changes] = []
        jumps: set[str] = set()
        alive: list[int] = []
        arms = self.interpretation.arms(before, self.site(_nothing_at(node), frame))
        self.interpretation.chooses(test, isinstance(node, ir.Try) and len(bodies) > 1)
        for position, body in enumerate(bodies):
            self.interpretation.takes(position)
            frame.variables = dict(before)
            frame.alive = True
            self._conditions = (*conditions, _arm(node, position))
            self.heap.begin()
            self._most = min(most, self._steps + self._budget.arm)
            self.execute(body, frame)
            self._most = most
            changes = self.heap.take_back()
            if arms is not None:
                arms.ends(frame.alive or frame.jump != "raise")
            jumps.add("" if frame.alive else frame.jump)
            if frame.alive:
                alive.append(position)
                ends.append(frame.variables)
                heaps.append(changes)
        settled = arms.settle() if arms is not None else ()
        changed = [*self._changed[mark:], *self._grown[grown:]]
        self._loosen([each for each in changed if id(each) not in settled])
        self._conditions = conditions if len(ends) == len(bodies) else (*conditions, _arm(node, len(bodies)))
        frame.alive = bool(ends)
        frame.jump = next((kind for kind in ("continue", "break", "return") if kind in jumps), "raise")
        self.interpretation.chosen(alive)
        frame.variables = self._merge(ends) if ends else before
        self.heap.merge(heaps, self._join)
        self.interpretation.merged()

    def _open_since(self, mark: int) -> None:
        """Of the collections that changed since, how much they hold is not known any more."""
        self._loosen(self._changed[mark:])

    def _loosen(self, collections: Iterable[Value]) -> None:
        for collection in collections:
            if isinstance(collection, Collection):
                self.imported.changes(collection)
                collection.loosen()

    def _merge(self, ends: list[dict[str, Value]]) -> dict[str, Value]:
        first, *others = ends
        if not others:
            return first
        merged = dict(first)
        for other in others:
            for name, value in other.items():
                mine = merged.get(name)
                if mine is not value:
                    merged[name] = value if mine is None else self._join([mine, value])
        return merged

    def _loop(self, node: ir.Loop, frame: Frame) -> None:
        conditions = self._conditions
        self.interpretation.loops()
        self._iterations(node, frame)
        self._conditions = conditions

    def _iterations(self, node: ir.Loop, frame: Frame) -> None:
        if node.iterable is None or node.target is None:
            times = counting.times(node, frame, self, self._most_iterations)
            if times is not None:
                self._unroll(node, [Known(None)] * times, frame)
            else:
                self._repeat(node, None, self._any_number(None), frame)
            return
        iterable = self.evaluate(node.iterable, frame)
        if isinstance(iterable, Generator):
            self._drain(node, iterable, frame)
            return
        items, count = self._items(iterable, self.site(node.iterable, frame))
        if count == Count.LISTED:
            self._unroll(node, items, frame)
        else:
            self._repeat(node, items[0], count, frame)

    def _unroll(self, node: ir.Loop, items: Sequence[Value], frame: Frame) -> None:
        outer, self._rounds = self._rounds, self._rounds * max(len(items), 1)
        progress = self.interpretation.progress()
        for item in self.interpretation.telling(items):
            if node.test is not None and self._truth(self.evaluate(node.test, frame)) is False:
                break
            self.interpretation.iterates(often=False)
            if node.target is not None and node.iterable is not None:
                self._assign(node.target, Operand(item, node.iterable), frame)
            self.execute(node.body, frame)
            if not frame.alive and frame.jump != "continue":
                break
            frame.alive = True
            if self.interpretation.progress() != progress or self._steps > self._most:
                break
        self._rounds = outer
        self.interpretation.looped()
        if frame.alive:
            self.execute(node.otherwise, frame)
        elif frame.jump == "break":
            frame.alive = True

    def _repeat(self, node: ir.Loop, item: Value | None, count: Count, frame: Frame) -> None:
        """Run the body once for any number of iterations: what it changes is unknown at its start."""
        before = dict(frame.variables)
        if node.test is not None:
            self.interpretation.tested(self.evaluate(node.test, frame))
        mark = len(self._changed)
        if count > Count.ALIKE:
            self._changed.extend(self._filled(node, frame))
            self._open_since(mark)
        carried = self._carried(node, frame)
        for name in carried:
            frame.variables[name] = self._forgotten(frame.variables[name], count)
        began = [frame.variables[name] for name in carried]
        stirred = self._stirred(node, count, frame)
        self.interpretation.iterates(often=True)
        if node.test is not None:
            self.interpretation.tested(self.evaluate(node.test, frame))
        if item is not None and node.target is not None and node.iterable is not None:
            self._assign(node.target, Operand(item, node.iterable), frame)
        self._repeating += 1
        self.execute(node.body, frame)
        self._repeating -= 1
        self._hand_on(carried, began, frame, stirred)
        self.interpretation.looped()
        if count == Count.ALIKE:
            self._repeated(
                carried, before, self.site(node.iterable or node.test or _nothing_at(node), frame), frame
            )
        self._leave(before, mark, count, frame)
        self.execute(node.otherwise, frame)

    def _carried(self, node: ir.Loop, frame: Frame) -> list[str]:
        """The variables that the body of a loop changes and that are there before it."""
        return [name for name in assigned(node.body) if name in frame.variables]

    def _stirred(self, node: ir.Loop, count: Count, frame: Frame) -> list[Stirred]:
        """The attributes that a loop changes, each as it is at the start of any iteration."""
        found: list[Stirred] = []
        for owner, name in list(self.interpretation.stirred(node.body, frame)):
            value = owner.attributes[name]
            start = self._forgotten(value, count)
            if start is not value:
                self.heap.write(owner.attributes, name, start)
                found.append((owner.attributes, name, start))
        return found

    def _hand_on(
        self, names: Sequence[str], began: Sequence[Value], frame: Frame, stirred: Sequence[Stirred] = ()
    ) -> None:
        """An iteration that began with these values of variables and attributes ends."""
        left = [frame.variables.get(name, start) for name, start in zip(names, began, strict=True)]
        left += [attributes.get(name, start) for attributes, name, start in stirred]
        self.interpretation.carried(left, [*began, *[start for _, _, start in stirred]])

    def _repeated(self, names: Sequence[str], before: Mapping[str, Value], site: Site, frame: Frame) -> None:
        """Variables that every iteration of a loop computes anew from what they were."""
        for name in names:
            last = frame.variables.get(name)
            if last is not None and last is not before[name]:
                frame.variables[name] = self.interpretation.repeated(before[name], last, site)

    def _leave(self, before: dict[str, Value], mark: int, count: Count, frame: Frame) -> None:
        """A loop of unknown length ends, before which the variables were these."""
        if count > Count.ALIKE:
            self._open_since(mark)
        else:
            filled = [c for c in self._changed[mark:] if isinstance(c, Items)]
            self._loosen([c for c in filled if self._is_open(c.items, count)])
        if count > Count.ALIKE or (not frame.alive and frame.jump in ("return", "raise")):
            frame.variables = self._merge([before, frame.variables])
        frame.alive = True

    def _drain(self, node: ir.Loop, generator: Generator, frame: Frame) -> None:
        """Run the body of a loop on whatever a generator yields, where it does.

        Where that is a loop of the generator, what the body changes goes from one iteration to the next.
        """
        outer = self._repeating

        def receive(value: Value) -> None:
            assert node.target is not None and node.iterable is not None
            names = self._carried(node, frame) if self._repeating > outer else []
            began = [self._forgotten(frame.variables[name], Count.OTHERS) for name in names]
            frame.variables.update(zip(names, began, strict=True))
            stirred = self._stirred(node, Count.OTHERS, frame) if self._repeating > outer else []
            self._assign(node.target, Operand(value, node.iterable), frame)
            self.execute(node.body, frame)
            frame.alive = frame.alive or frame.jump in ("continue", "break")
            self._hand_on(names, began, frame, stirred)

        self._resume(generator, Receiver(receive))
        self.interpretation.looped()
        self.execute(node.otherwise, frame)

    def _filled(self, node: ir.Loop, frame: Frame) -> Iterator[Value]:
        """The collections that the body of a loop changes, as far as they have a name."""
        for variable, *attributes in filled(node.body):
            value = frame.lookup(variable)
            for attribute in attributes:
                value = value.attributes.get(attribute) if isinstance(value, Instance) else None
            if value is not None:
                yield value

    def _forgotten(self, value: Value, count: Count) -> Value:
        if isinstance(value, (Table, Instance)) or (isinstance(value, Items) and count == Count.ALIKE):
            return value
        is_anew = self.interpretation.is_ordered and isinstance(value, Items) and value.kind == "tuple"
        if isinstance(value, Items) and not is_anew:
            return Items(value.kind, value.items, value.node, True)
        return self.interpretation.forgotten(value, count)

    def _with(self, node: ir.With, frame: Frame) -> None:
        if self.interpretation.is_ordered:
            self._within(node, 0, frame)
            return
        contexts = []
        chosen = sum([_is_chosen(item.context) for item in node.items])
        self.settled += chosen
        for item in node.items:
            operand = self.operand(item.context, frame)
            contexts.append(operand.value)
            self.interpretation.enter(operand.value)
            if item.target is not None:
                is_file = isinstance(operand.value, Opened)
                entered = operand.value if is_file else self.interpretation.unknown((operand.value,))
                self._assign(item.target, Operand(entered, item.context), frame)
        self.execute(node.body, frame)
        for context in reversed(contexts):
            self.interpretation.leave(context)
        self.settled -= chosen

    def _within(self, node: ir.With, position: int, frame: Frame) -> None:
        """The block within its contexts from one of them on; those of the project run where they do."""
        if position == len(node.items):
            self.execute(node.body, frame)
            return
        item = node.items[position]
        context = self.operand(item.context, frame)
        if isinstance(context.value, Generator):
            self._resume(
                context.value, Receiver(lambda value: self._entered(node, position, value, frame), True)
            )
        elif isinstance(context.value, Instance) and context.value.type.member("__enter__") is not None:
            enter, leave = [
                self.attribute(context, name, self.site(item.context, frame))
                for name in ("__enter__", "__exit__")
            ]
            site = self.site(item.context, frame)
            entered = self.call(enter, Arguments(), site)
            self.interpretation.guards()
            self._entered(node, position, entered, frame)
            guard = self.interpretation.guarded()
            nothing = Operand(Known(None), item.context)
            self.call(leave, Arguments((nothing, nothing, nothing)), site)
            self.interpretation.unguarded(guard)
        else:
            self.interpretation.enter(context.value)
            self._entered(node, position, self.interpretation.entered(context.value), frame)
            self.interpretation.leave(context.value)

    def _entered(self, node: ir.With, position: int, value: Value, frame: Frame) -> None:
        item = node.items[position]
        if item.target is not None:
            self._assign(item.target, Operand(value, item.context), frame)
        self._within(node, position + 1, frame)

    def _try(self, node: ir.Try, frame: Frame) -> None:
        handled = [(*handler.body,) for handler in node.handlers]
        conditions = self._conditions
        if node.final:
            self.interpretation.guards()
        self._alternatives(node, [(*node.body, *node.otherwise), *handled], frame)
        self._conditions = conditions
        if not node.final:
            return
        guard = self.interpretation.guarded()
        alive, frame.alive = frame.alive, True
        self.execute(node.final, frame)
        frame.alive = frame.alive and alive
        self.interpretation.unguarded(guard)

    def _delete(self, node: ir.Delete, frame: Frame) -> None:
        for target in node.targets:
            if isinstance(target, ir.Name):
                frame.variables.pop(target.id, None)
            elif isinstance(target, ir.Attribute) and self.interpretation.is_ordered:
                nothing = Operand(Known(None), target)
                receiver = self.evaluate(target.value, frame)
                self._store(receiver, target.name, nothing, self.site(target, frame))
            elif isinstance(target, ir.Index) and self.interpretation.is_ordered:
                emptied = Method(self.evaluate(target.value, frame), "clear", target)
                self.interpretation.collected(emptied, Arguments(), self.site(target, frame))

    def _import(self, node: ir.Import, frame: Frame) -> None:
        for binding in node.bindings:
            value = self._imported(frame.scope, binding)
            if value is not None:
                frame.variables[binding.name] = value

    def _function(self, node: ir.Function, frame: Frame) -> None:
        parent = frame if frame.closure is not None else None
        closure = Closure(node, frame.scope, parent)
        if parent is not None:
            self.nested.append(closure)
        frame.variables[node.name] = closure

    def _class(self, node: ir.Class, frame: Frame) -> None:
        bases = tuple([self.evaluate(base, frame) for base in node.bases])
        cls = ClassObject(node, frame.scope, bases, {})
        body = Frame(frame.scope, frame if frame.closure is not None else None)
        for statement in node.body:
            if isinstance(statement, ir.Function):
                cls.members[statement.name] = Closure(statement, frame.scope, body.parent, None, cls)
            else:
                self._statement(statement, body)
        cls.members.update({n: v for n, v in body.variables.items() if n not in cls.members})
        if frame.closure is not None:
            self.nested_classes.append(cls)
        frame.variables[node.name] = cls

    def _nothing(self, node: Any, frame: Frame) -> None:
        return None


class Receiver(Struct, frozen=True):
    """What takes the values that a generator yields: the body of a loop, or of a `with` block."""

    receive: Callable[[Value], None]
    is_block: bool = False


def _composed(shape: Callable[[Value], Value], receive: Callable[[Value], None]) -> Callable[[Value], None]:
    return lambda value: receive(shape(value))


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


def _in_force(
    bound: Sequence[ir.Statement | ir.Binding], scope: ModuleScope
) -> Sequence[ir.Statement | ir.Binding]:
    """What may bind a name once its module was run: an import that always runs ends what was before it."""
    imports = [each for each in bound if isinstance(each, ir.Binding)]
    if len(imports) < 2:
        return bound
    always = {id(b) for s in scope.facts.body if isinstance(s, ir.Import) for b in s.bindings}
    last = max([at for at, each in enumerate(bound) if id(each) in always], default=0)
    return bound[last:]


def _first_argument(method: Closure, frame: Frame) -> Value | None:
    """What a method was given as its object where a decorator calls it as a function."""
    parameters = method.function.parameters
    value = frame.variables.get(parameters[0].name) if parameters else None
    return value if isinstance(value, Instance) else None


def _behind(owner: ClassObject, receiver: Value) -> list[Value]:
    """The classes that `super()` looks in, in the order of the object's own class."""
    lineage = receiver.type.lineage() if isinstance(receiver, Instance) else owner.lineage()
    at = next(
        (i for i, base in enumerate(lineage) if getattr(base, "definition", 0) is owner.definition), None
    )
    return owner.lineage()[1:] if at is None else lineage[at + 1 :]


def _is_domain(value: Value) -> bool:
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
            Super,
            Generator,
            Partial,
            *_SOURCES,
        ),
    )


_SOURCES = (FilePath, Opened, Parser, Declared)
"""What leads to settings."""


def _is_bare(arguments: Arguments | None) -> bool:
    """Whether a function is called without arguments, or from outside."""
    return arguments is None or not (arguments.positional or arguments.keywords or arguments.open)


_ITERATING = frozenset(
    {
        *("list", "tuple", "set", "sorted", "reversed", "enumerate", "zip", "sum", "len", "next", "iter"),
        *("any", "all", "min", "max", "dict"),
    }
)
"""Builtins that go through what they are given."""


def _completed(partial: Partial, arguments: Arguments) -> Arguments:
    given = tuple([Operand(value, partial.node) for value in partial.positional])
    named = {name: Operand(value, partial.node) for name, value in partial.keywords.items()}
    positional = (*given, *arguments.positional)
    return Arguments(positional, named | arguments.keywords, arguments.open, len(given) + arguments.certain)


def record_fields(cls: ClassObject) -> list[str]:
    """What the constructor that is made for a class takes, in order: the annotated names of its bodies."""
    bodies = [base.definition.body for base in reversed(cls.lineage()) if isinstance(base, ClassObject)]
    found = [
        target.id
        for body in bodies
        for statement in body
        if isinstance(statement, ir.Assign) and statement.annotation is not None
        for target in statement.targets
        if isinstance(target, ir.Name)
    ]
    return list(dict.fromkeys(found))


def _generates_init(cls: ClassObject) -> bool:
    """Whether the constructor of `cls` is made for it: the decorator `dataclass`, the base `NamedTuple`."""
    if cls.derives_from(_RECORDS):
        return "__init__" not in cls.members
    for decorator in cls.definition.decorators if "__init__" not in cls.members else ():
        function = decorator.function if isinstance(decorator, ir.Call) else decorator
        if "dataclass" in (getattr(function, "id", ""), getattr(function, "name", "")):
            return True
    return False


def _table_of(node: ir.Comprehension, found: Sequence[Value], is_open: bool) -> Table:
    """The dictionary that a comprehension makes of keys and values in turn."""
    pairs = list(zip(found[::2], found[1::2], strict=True))
    entries: dict[Any, Value] = {key.value: value for key, value in pairs if isinstance(key, Known)}
    others = [value for key, value in pairs if not isinstance(key, Known)]
    return Table(entries, node, is_open or bool(others), others)


def _nothing_at(node: ir.Node) -> ir.Expression:
    return ir.Literal(node.span, None)


def _is_own_module(node: ir.Index) -> bool:
    """Whether an expression is `sys.modules[__name__]`."""
    owner, index = node.value, node.index
    return (
        isinstance(index, ir.Name)
        and index.id == "__name__"
        and isinstance(owner, ir.Attribute)
        and owner.name == "modules"
        and isinstance(owner.value, ir.Name)
        and owner.value.id == "sys"
    )


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


def _is_chosen(context: ir.Expression) -> bool:
    """Whether the code around it decides what a context manager does."""
    if isinstance(context, ir.Call) and len(context.positional) == 1 and not context.keywords:
        return not isinstance(context.positional[0], ir.Literal)
    return isinstance(context, (ir.Conditional, ir.Name))


def _used(named: Iterable[ir.Name | ir.Attribute], frame: Frame) -> Iterator[Value]:
    """What variables, and attributes of objects among them, hold."""
    for node in named:
        if isinstance(node, ir.Name):
            value = frame.lookup(node.id)
        elif isinstance(node, ir.Attribute) and isinstance(node.value, ir.Name):
            owner = frame.lookup(node.value.id)
            value = owner.attributes.get(node.name) if isinstance(owner, Instance) else None
        else:
            continue
        if value is not None:
            yield value


def _asks_whether_given(test: ir.Expression) -> bool:
    """Whether a test compares with None."""
    if not isinstance(test, ir.Operation) or test.operator not in ("is", "is_not"):
        return False
    return any(isinstance(operand, ir.Literal) and operand.value is None for operand in test.operands)


def _arm(node: ir.Node, position: int) -> int:
    """A number for one way through a branch; the one past its last arm stands for what follows it."""
    return 8 * id(node) + min(position, 7)


def _are_alike(values: Sequence[Value]) -> bool:
    """Whether all are collections with equally many items."""
    sizes = {len(value.items) if isinstance(value, Items) else -1 for value in values}
    return len(sizes) == 1 and -1 not in sizes


def _is_in_place(name: str) -> bool:
    return name.endswith("_") and not name.endswith("__")


def _settles(value: Value, operator: str) -> bool:
    """Whether `… and value` is false, or `… or value` true, whatever stands in front."""
    if not isinstance(value, Known):
        return False
    return not value.value if operator == "and" else value.value is True


def _repeated(node: ir.Expression, operands: Sequence[Operand]) -> Items | None:
    """`[a, b] * n` or `n * [a, b]`, where that is known and not too long."""
    for first, second in (operands, operands[::-1]):
        items, count = first.value, second.value
        if not isinstance(items, Items) or not isinstance(count, Known) or type(count.value) is not int:
            continue
        if size(items) * max(count.value, 0) <= MAX_ITEMS:
            return Items(items.kind, items.items * count.value, node, items.open)
    return None


def _sum_onto(node: ir.Assign) -> ir.Operation | None:
    """The sum of `x = x + …`."""
    value = node.value
    if not isinstance(value, ir.Operation) or value.operator != "add" or len(node.targets) != 1:
        return None
    (target,), first = node.targets, value.operands[0]
    if isinstance(target, ir.Attribute) and isinstance(first, ir.Attribute) and target.name == first.name:
        target, first = target.value, first.value
    is_same = isinstance(target, ir.Name) and isinstance(first, ir.Name) and target.id == first.id
    return value if is_same else None


def _item(value: Items | Table, key: Any) -> Value | None:
    try:
        if isinstance(value, Table):
            return value.entries.get(key)
        if isinstance(key, int) and not value.open:
            return value.items[key]
        if isinstance(key, tuple) and key[:1] == ("slice",) and not value.open:
            return Items(value.kind, value.items[slice(*key[1:])], value.node)
    except (IndexError, TypeError, ValueError):
        pass
    return None


_EXPRESSIONS: dict[type, Callable[[Evaluator, Any, Frame], Value]] = {
    ir.Literal: Evaluator._literal,
    ir.Name: Evaluator._name,
    ir.Attribute: Evaluator._attribute,
    ir.Index: Evaluator._index,
    ir.Slice: Evaluator._slice,
    ir.Call: Evaluator._call,
    ir.Operation: Evaluator._operation,
    ir.Conditional: Evaluator._conditional,
    ir.Display: Evaluator._display,
    ir.Dictionary: Evaluator._dictionary,
    ir.Comprehension: Evaluator._comprehension,
    ir.Lambda: Evaluator._lambda,
    ir.Starred: Evaluator._spread,
    ir.Walrus: Evaluator._walrus,
    ir.Suspend: Evaluator._suspend,
    ir.Unknown: Evaluator._opaque,
}

_STATEMENTS: dict[type, Callable[[Evaluator, Any, Frame], None]] = {
    ir.Assign: Evaluator._assignment,
    ir.Augment: Evaluator._augment,
    ir.Evaluate: Evaluator._evaluation,
    ir.Return: Evaluator._return,
    ir.Branch: Evaluator._branch,
    ir.Loop: Evaluator._loop,
    ir.With: Evaluator._with,
    ir.Try: Evaluator._try,
    ir.Raise: Evaluator._raise,
    ir.Assert: Evaluator._assert,
    ir.Delete: Evaluator._delete,
    ir.Declare: Evaluator._declaration,
    ir.Jump: Evaluator._jump,
    ir.Import: Evaluator._import,
    ir.Function: Evaluator._function,
    ir.Class: Evaluator._class,
    ir.Omitted: Evaluator._nothing,
}
