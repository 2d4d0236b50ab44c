"""Which modules and parameters a constructor stores where torch does not look for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from gradlint.records import ir
from gradlint.records.span import Span
from gradlint.semantics.bindings import walk
from gradlint.semantics.holding import CONTAINERS, holds, members_of
from gradlint.semantics.objects import PARAMETER, SAME_OBJECT, is_layer
from gradlint.semantics.tensor import TOP, Application, Tensor, producer
from gradlint.semantics.trace import ModuleClass
from gradlint.semantics.value import Closure, Constructed, Items, Table, Value
from gradlint.semantics.value_facts import StoredAttribute

_DEEP = 4
_MANAGING = frozenset({"parameters", "named_parameters", "state_dict", "load_state_dict", "modules"})
_HARMLESS = frozenset({f".{name}" for name in SAME_OBJECT})


class Stray(Struct, frozen=True, eq=False):
    """Members of a plain collection that hold parameters and are registered nowhere.

    `store` put the collection under `attribute`; `reads` are the places that use it.
    """

    attribute: str
    collection: Items | Table
    store: StoredAttribute
    members: tuple[Value, ...]
    reads: tuple[Span, ...]

    @property
    def are_parameters(self) -> bool:
        """Whether the members are parameters rather than modules."""
        return all(isinstance(member, Tensor) for member in self.members)

    @property
    def fits_container(self) -> bool:
        """Whether torch's container takes it: nothing else within, and words for keys."""
        if isinstance(self.collection, Items):
            held = self.collection.items
        else:
            held = self.collection.values()
            if self.collection.others or not all(isinstance(key, str) for key in self.collection.entries):
                return False
        return all(isinstance(value, Tensor) if self.are_parameters else is_layer(value) for value in held)


def strays(module: ModuleClass) -> Iterator[Stray]:
    """The collections of an object that keep parameters from its `parameters()`."""
    kept = list(_collections(module))
    known = _registered(module) if kept else None
    if known is None or _is_managed(module):
        return
    for store, collection in kept:
        members = tuple(
            [m for m in members_of(collection) if _key(m) not in known and holds(m, module, _DEEP)]
        )
        reads = tuple(module.reads(store.name)) if members else ()
        if not reads or _is_handed_out(module, store.name):
            continue
        if not _is_touched(module, collection, members):
            yield Stray(store.name, collection, store, members, reads)


def _collections(module: ModuleClass) -> Iterator[tuple[StoredAttribute, Items | Table]]:
    """The collections that are attributes of the object, and what made them so."""
    for store in module.construction.stores:
        collection = module.instance.attributes.get(store.name)
        is_own = store.receiver is module.instance and store.operand.value is collection
        if is_own and isinstance(collection, (Items, Table)):
            yield store, collection


def _key(value: Value) -> int:
    return value.number if isinstance(value, Tensor) else id(value)


def _parts(value: Value) -> Iterator[Value]:
    """A module with all that was given to it when it was made."""
    for member in members_of(value):
        yield member
        if isinstance(member, Constructed):
            for part in (*member.positional, *member.keywords.values()):
                yield from _parts(part)


def _registered(module: ModuleClass) -> set[int] | None:
    """The keys of all that is registered; None where something unknown is."""
    found: set[int] = set()
    for value in module.instance.attributes.values():
        if not isinstance(value, (Items, Table)):
            found.update(_key(part) for part in _parts(value))
    for store in module.construction.stores:
        if store.receiver is module.instance and not isinstance(store.operand.value, (Items, Table)):
            if not store.name and not _is_layer_or_parameter(store.operand.value):
                return None
            parts = list(_parts(store.operand.value))
            if any(map(_is_fed_blindly, parts)):
                return None
            found.update(_key(part) for part in parts)
    return found


def _is_fed_blindly(part: Value) -> bool:
    """Whether `part` is a container that was given items of something that was not followed."""
    if not isinstance(part, Constructed) or part.name.rpartition(".")[2] not in CONTAINERS:
        return False
    given = [member for value in part.positional for member in members_of(value)]
    return any(isinstance(each, Tensor) and each.producer is None and each.facts == TOP for each in given)


def _is_layer_or_parameter(value: Value) -> bool:
    return is_layer(value) or producer(value, PARAMETER) is not None


def _is_managed(module: ModuleClass) -> bool:
    """Whether the class looks after parameters by itself."""
    for base in module.type.lineage():
        for name, member in getattr(base, "members", {}).items():
            if name in _MANAGING:
                return True
            is_method = isinstance(member, Closure) and name != "__init__"
            if is_method and _asks_for_parameters(member.function, module):
                return True
    return False


def _asks_for_parameters(method: ir.Function | ir.Lambda, module: ModuleClass) -> bool:
    """Whether a method takes the parameters of something other than its own object and its layers."""
    own = method.parameters[0].name if method.parameters else ""
    for node in walk(method.body):
        function = node.function if isinstance(node, ir.Call) else None
        if isinstance(function, ir.Attribute) and function.name in _MANAGING:
            of = function.value.function if isinstance(function.value, ir.Call) else function.value
            is_own = isinstance(of, ir.Name) and of.id in (own, "super")
            if not is_own and not _is_own_layer(of, own, module):
                return True
    return False


def _is_own_layer(node: ir.Expression, own: str, module: ModuleClass) -> bool:
    """Whether `node` is `self.attribute`, and that a layer."""
    if not isinstance(node, ir.Attribute) or not isinstance(node.value, ir.Name) or node.value.id != own:
        return False
    value = module.instance.attributes.get(node.name)
    return value is not None and is_layer(value)


def _is_handed_out(module: ModuleClass, attribute: str) -> bool:
    """Whether a method returns the collection or members of it, for others to look after."""
    for base in module.type.lineage():
        for member in getattr(base, "members", {}).values():
            function = member.function if isinstance(member, Closure) else None
            if isinstance(function, ir.Function) and function.parameters:
                own = function.parameters[0].name
                results = [node.value for node in walk(function.body) if isinstance(node, ir.Return)]
                if any(_is_part(result, own, attribute) for result in results):
                    return True
    return False


def _is_part(node: object, own: str, attribute: str) -> bool:
    """Whether `node` is `self.attribute`, an item of it, or a list of these."""
    if isinstance(node, ir.Display):
        return any(_is_part(item, own, attribute) for item in node.items)
    while isinstance(node, (ir.Index, ir.Starred)):
        node = node.value
    is_named = isinstance(node, ir.Attribute) and node.name == attribute
    return is_named and isinstance(node.value, ir.Name) and node.value.id == own  # type: ignore[attr-defined]


def _is_touched(module: ModuleClass, collection: Value, members: Iterable[Value]) -> bool:
    """Whether the constructor gives the collection or a member, alone or within something else,
    to something that may see to it.
    """
    keys = {id(collection), *[_key(member) for member in members]}
    return any(
        _key(given) in keys
        for application in module.construction.everything
        if application.form != "constructor"
        and application.primitive not in _HARMLESS
        and not _is_torch(application)
        for operand in (*application.operands, *application.keywords.values())
        for given in (operand.value, *_parts(operand.value))
    )


def _is_torch(application: Application) -> bool:
    return application.primitive.startswith("torch.nn.init.")
