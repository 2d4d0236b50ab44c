"""Which modules and parameters a constructor stores where torch does not look for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from gradlint.records import ir
from gradlint.records.span import Span
from gradlint.semantics.bindings import walk
from gradlint.semantics.objects import PARAMETER, SAME_OBJECT, is_layer
from gradlint.semantics.tensor import Application, Tensor, producer
from gradlint.semantics.trace import ModuleClass
from gradlint.semantics.value import Closure, Constructed, Instance, Items, Table, Value
from gradlint.semantics.value_facts import StoredAttribute

_DEEP = 4
_CONTAINERS = frozenset(
    {"Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"}
)
_WITHOUT_PARAMETERS = (
    "Loss",
    "Pool1d",
    "Pool2d",
    "Pool3d",
    "Pad1d",
    "Pad2d",
    "Pad3d",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "ReLU",
    "ReLU6",
    "RReLU",
    "LeakyReLU",
    "ELU",
    "CELU",
    "SELU",
    "GELU",
    "SiLU",
    "Mish",
    "GLU",
    "Sigmoid",
    "Tanh",
    "Hardtanh",
    "Hardswish",
    "Hardsigmoid",
    "Softplus",
    "Softsign",
    "Softmax",
    "Softmin",
    "Softmax2d",
    "LogSoftmax",
    "LogSigmoid",
    "Tanhshrink",
    "Softshrink",
    "Hardshrink",
    "Threshold",
    "Identity",
    "Flatten",
    "Unflatten",
    "Fold",
    "Unfold",
    "Upsample",
    "PixelShuffle",
    "PixelUnshuffle",
    "ChannelShuffle",
    "CosineSimilarity",
    "PairwiseDistance",
    "Module",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LocalResponseNorm",
    "UpsamplingNearest2d",
    "UpsamplingBilinear2d",
)

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
            [m for m in _members(collection) if _key(m) not in known and _holds(m, module, _DEEP)]
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


def _members(value: Value) -> Iterator[Value]:
    """What is in a collection, and in collections within it."""
    if isinstance(value, (Items, Table)):
        for item in value.items if isinstance(value, Items) else value.values():
            yield from _members(item)
    else:
        yield value


def _parts(value: Value) -> Iterator[Value]:
    """A module with all that was given to it when it was made."""
    for member in _members(value):
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
            found.update(_key(part) for part in _parts(store.operand.value))
    return found


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
    """Whether the constructor gives the collection or a member to something that may see to it."""
    keys = {id(collection), *[_key(member) for member in members]}
    return any(
        _key(operand.value) in keys
        for application in module.construction.everything
        if application.form != "constructor"
        and application.primitive not in _HARMLESS
        and not _is_torch(application)
        for operand in (*application.operands, *application.keywords.values())
    )


def _is_torch(application: Application) -> bool:
    return application.primitive.startswith("torch.nn.init.")


def _holds(value: Value, module: ModuleClass, depth: int) -> bool:
    """Whether `value` is a parameter that is trained, or a module with at least one."""
    if isinstance(value, Tensor):
        return value.grad is not False and producer(value, PARAMETER) is not None
    if not isinstance(value, Constructed) or depth == 0:
        return False
    if value.type is not None:
        built = module.build(value.type)
        parts = (*_attributes(built), *_given(value))
        return any(_holds(part, module, depth - 1) for part in parts)
    name = value.name.rpartition(".")[2]
    if not is_layer(value):
        return False
    if name in _CONTAINERS:
        return any(_holds(part, module, depth - 1) for part in _given(value))
    return not name.endswith(_WITHOUT_PARAMETERS[:7]) and name not in _WITHOUT_PARAMETERS


def _attributes(instance: Instance) -> Iterator[Value]:
    for value in instance.attributes.values():
        if isinstance(value, (Constructed, Tensor)):
            yield value


def _given(value: Constructed) -> Iterator[Value]:
    for part in (*value.positional, *value.keywords.values()):
        yield from _members(part)
