"""Making layers and containers of torch.nn, and copies of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from gradlint.graph.initial import as_made
from gradlint.graph.layers import LAYERS, Settings
from gradlint.graph.values import Choice, Container, Drawn, Layer, Weight, descendants, setting
from gradlint.records import ir
from gradlint.records.graph import Place, Setting
from gradlint.semantics.interpretation import Arguments
from gradlint.semantics.texts import HOLE
from gradlint.semantics.value import Closure, Instance, Items, Known, Reference, Table, Value

CONTAINERS = {
    "Sequential": "list",
    "ModuleList": "list",
    "ModuleDict": "dict",
    "ParameterList": "list",
    "ParameterDict": "dict",
}
_FROM = ("torch.nn.", "torch.ao.nn.", "einops.layers.", "torch_einops_utils.nn.")
_STUBS = ("torch.quantization.", "torch.ao.quantization.")
_RENAMED = {"FusedLayerNorm": "LayerNorm", "FusedRMSNorm": "RMSNorm", "QuickGELU": "GELU"}


def class_of(name: str) -> str | None:
    """The class of torch.nn that a qualified name means, or None."""
    last = name.rpartition(".")[2]
    if name.startswith("apex."):
        return _RENAMED.get(last)
    if name.startswith("timm.") and last == "DropPath":
        return last
    if name.startswith(_STUBS) and last in ("QuantStub", "DeQuantStub"):
        return last
    if not name.startswith(_FROM) or not last[:1].isupper():
        return None
    return last


def layer(type_: str, arguments: Arguments, place: Place) -> Layer | None:
    """An object of a class of torch.nn, or None where the class is not known."""
    kind = LAYERS.get(type_)
    if kind is None:
        return None
    settings = bound(kind.signature, arguments)
    if type_ == "DropPath":
        settings = {"p": settings["drop_prob"]}
    if type_ == "Softmax2d":
        settings["dim"] = -3
    return Layer(type_, settings, weights(type_, settings, place), place)


def bound(signature: Sequence[tuple[str, Setting]], arguments: Arguments) -> Settings:
    """The settings by name: those given, else the defaults, None where not known."""
    settings: Settings = {}
    for position, (name, default) in enumerate(signature):
        given = arguments.get(position, name)
        if arguments.open and position >= arguments.certain and name not in arguments.keywords:
            settings[name] = None
        elif given is not None:
            settings[name] = setting(given.value)
        else:
            settings[name] = None if default == "…" else default
    return settings


def weights(type_: str, settings: Settings, place: Place) -> dict[str, Value]:
    """The weights of a layer as its constructor leaves them."""
    shapes = LAYERS[type_].shapes
    found = shapes(settings) if shapes is not None else {}
    return {
        name: Weight({"data": Drawn(as_made(LAYERS[type_].op, name, place), shape)}, place)
        for name, shape in found.items()
    }


def container(type_: str, arguments: Arguments, place: Place, node: ir.Expression) -> Container:
    """A container with what it was given."""
    given = [operand.value for operand in arguments.positional]
    if CONTAINERS[type_] == "dict":
        return Container(type_, _listed_under_names(table(arguments, node)), place)
    if type_ == "Sequential" and not (len(given) == 1 and isinstance(given[0], Table)):
        return Container(type_, Items("list", given, node, arguments.open), place)
    if not given:
        return Container(type_, Items("list", [], node), place)
    return Container(type_, _listed(given[0], node), place)


def _listed_under_names(found: Table) -> Table:
    """What stands under keys that are not known gets names of which nothing is known."""
    for value in found.others:
        found.entries[unused(HOLE, found)] = value
    found.others.clear()
    return found


def unused(name: str, table: Table) -> str:
    """A name with holes that is not there yet and may mean as much."""
    while name in table.entries:
        name += HOLE
    return name


def _listed(value: Value, node: ir.Expression) -> Items | Table:
    if isinstance(value, Container):
        return _listed(value.held, node)
    if isinstance(value, Items):
        return Items("list", list(value.items), node, value.open)
    if isinstance(value, Table):
        return value
    return Items("list", [], node, True)


def table(arguments: Arguments, node: ir.Expression) -> Table:
    """The dictionary that `dict(*arguments)` makes."""
    made = _entries(arguments.positional[0].value if arguments.positional else None, arguments, node)
    made.entries.update({name: operand.value for name, operand in arguments.keywords.items()})
    return made


def _entries(value: Value | None, arguments: Arguments, node: ir.Expression) -> Table:
    if value is None:
        return Table({}, node, arguments.open)
    if isinstance(value, Table):
        return Table(dict(value.entries), node, value.open, list(value.others))
    found = pairs(value, node)
    return found if found is not None else Table({}, node, True)


def pairs(value: Value, node: ir.Expression) -> Table | None:
    """The dictionary that a list of pairs makes, or None."""
    if not isinstance(value, Items) or value.open:
        return None
    entries: dict[object, Value] = {}
    for item in value.items:
        if not isinstance(item, Items) or len(item.items) != 2 or not isinstance(item.items[0], Known):
            return None
        entries[item.items[0].value] = item.items[1]
    return Table(entries, node)


def copied(value: Value, seen: dict[int, Value] | None = None) -> Value:
    """A deep copy of a module with all that is in it."""
    seen = {} if seen is None else seen
    if id(value) in seen:
        return seen[id(value)]
    made = _copy(value, seen)
    seen[id(value)] = made
    return made


def make_template(value: Value) -> Value:
    """A deep copy; what it was made from may have been there for that alone."""
    copy = copied(value)
    for _, part in descendants(value):
        if isinstance(part, Weight):
            part.attributes["template"] = Known(True)
    return copy


def _copy(value: Value, seen: dict[int, Value]) -> Value:
    if isinstance(value, Weight):
        return Weight(dict(value.attributes), value.made, value.is_trained)
    if isinstance(value, Layer):
        parts = _copies(value.parts, seen)
        return Layer(value.type, value.settings, _copies(value.attributes, seen), value.made, parts)
    if isinstance(value, Container):
        inside = copied(value.held, seen)
        assert isinstance(inside, (Items, Table))
        return Container(value.type, inside, value.made, value.names)
    if isinstance(value, Items):
        return Items(value.kind, [copied(item, seen) for item in value.items], value.node, value.open)
    if isinstance(value, Table):
        entries = {key: copied(item, seen) for key, item in value.entries.items()}
        return replace(value, entries=entries, others=list(value.others))
    if isinstance(value, Choice):
        return Choice(tuple([copied(option, seen) for option in value.options]))
    if isinstance(value, Closure) and isinstance(value.receiver, Instance):
        receiver = copied(value.receiver, seen)
        return Closure(value.function, value.scope, value.frame, receiver, value.owner)
    if isinstance(value, Instance):
        made = Instance(value.type, {})
        seen[id(value)] = made
        made.attributes.update(_copies(value.attributes, seen))
        return made
    return value


def _copies(attributes: Mapping[str, Value], seen: dict[int, Value]) -> dict[str, Value]:
    return {name: copied(part, seen) for name, part in attributes.items()}


def torch_base(instance: Instance) -> str | None:
    """The class of torch.nn with weights or children that an object of the project derives from."""
    for base in instance.type.lineage():
        name = class_of(base.name) if isinstance(base, Reference) else None
        if name is not None and (name in LAYERS or name in CONTAINERS):
            return name
    return None
