"""What modules answer to code that asks for their parts or settings; what it does to their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from gradlint.graph import initial
from gradlint.graph.construct import unused, weights
from gradlint.graph.kinds import contains, is_among, is_kind_of, last_name, type_name
from gradlint.graph.layers import LAYERS
from gradlint.graph.naming import Registered, key_of, named, registered
from gradlint.graph.unapplied import contents, draws
from gradlint.graph.values import (
    BASE,
    Anything,
    Choice,
    Container,
    Drawn,
    Layer,
    OneOf,
    Part,
    Signal,
    Turned,
    Weight,
    children,
    descendants,
    innermost_first,
    is_module,
    number,
    part_of,
    tuple_of,
    whole_of,
)
from gradlint.records import ir
from gradlint.records.facts import CHANGING
from gradlint.records.graph import Initial, Piece, Place, Unapplied
from gradlint.records.span import Span
from gradlint.semantics.builtin import collection_method, store_item
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.texts import HOLE
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Instance,
    Items,
    Known,
    Method,
    Partial,
    Reference,
    Table,
    Value,
)

if TYPE_CHECKING:
    from gradlint.graph.interpret import GraphFacts

ITSELF = frozenset(
    {
        *(
            "train",
            "eval",
            "to",
            "cuda",
            "cpu",
            "half",
            "float",
            "double",
            "bfloat16",
            "type",
            "requires_grad_",
        ),
        *("share_memory", "compile", "to_empty", "xpu", "share_memory_"),
    }
)


_HARMLESS = frozenset(
    {
        *("flatten_parameters", "log", "log_dict", "print", "zero_grad", "extra_repr"),
        *("save_for_backward", "save_for_forward", "mark_dirty", "mark_non_differentiable"),
    }
)
"""Methods of modules that keep nothing of what they are given, at least no gradient."""

UNFILLED = frozenset({"empty", "zeros", "ones", "constant"})
"""Schemes that draw no random numbers."""

_HELD = (Layer, Container, Instance, Weight)
_OBJECTS = (Signal, *_HELD, Drawn, Items, Table)


def _all_weights(layer: Layer, name: str) -> Value:
    """The weights of a recurrent layer, or their names, layer by layer."""
    groups: dict[str, list[Value]] = {}
    for key, weight in layer.attributes.items():
        found = Known(key) if name == "_all_weights" else weight
        groups.setdefault(key.partition("_l")[2], []).append(found)
    node = ir.Literal(layer.made.span, None)
    return Items("list", [Items("list", group, node) for group in groups.values()], node)


class ClassName(Value, frozen=True, eq=False):
    """The class of a module, as `type(m)` and `m.__class__` give it."""

    of: Value


Reader = Callable[[Value, Site], list[Value]]


def _initialises_itself(value: Value) -> bool:
    """Whether a module is a model with a method of its own that initialises its parts."""
    return (
        isinstance(value, Instance)
        and value.type.member("_init_weights") is not None
        and (value.type.member("post_init") is not None)
    )


class Members:
    """Looks into modules for the interpretation."""

    def __init__(self, facts: GraphFacts) -> None:
        self._facts = facts
        self._lists: dict[tuple[int, str], tuple[int, Value, list[Value], bool]] = {}

    # reading

    def _of_option(self, value: Value, name: str) -> Value:
        member = value.member(name) if isinstance(value, ClassObject) else None
        if isinstance(value, Instance):
            member = value.attributes.get(name)
        return self.attribute(value, name) if member is None else member

    def attribute(self, value: Value, name: str) -> Value:
        """`value.name`."""
        if isinstance(value, ClassName):
            return Known(type_name(value.of)) if name in ("__name__", "__qualname__") else Anything()
        if name == "__class__" and is_module(value):
            return ClassName(value)
        if name == "_modules" and is_module(value):
            return Registered(value)
        if name == "training" and is_module(value):
            return Known(True)
        if self.wraps_itself(value, name):
            return value
        if isinstance(value, Instance):
            inner = value.attributes.get(BASE)
            if isinstance(inner, Table):
                return self.item(value, Known(name))
            if found_ := named(value, name):
                return self._one_of(found_)
            return self.attribute(inner, name) if inner is not None else Anything(f"an attribute {name}")
        if isinstance(value, Layer):
            found = value.attributes.get(name) or value.parts.get(name)
            if found is not None:
                return found
            if name in ("_all_weights", "all_weights") and value.attributes:
                return _all_weights(value, name)
            if name in value.settings:
                setting = value.settings[name]
                return Anything() if setting is None else Known(setting)
            if name in ("bias", "weight") and value.type in LAYERS:
                return Known(None)
        if isinstance(value, Weight) and name in ("T", "mT"):
            return self._turned(value, "t" if name == "T" else "mT", [])
        if isinstance(value, (Weight, Drawn)):
            return _of_weight(value, name)
        if isinstance(value, Choice):
            found_ = [self._of_option(o, name) for o in value.options if not isinstance(o, Known)]
            return self._facts.evaluator.join(found_) if found_ else Anything()
        if isinstance(value, Container) and isinstance(value.held, Table) and name in value.held.entries:
            return value.held.entries[name]
        return Anything()

    def wraps_itself(self, value: Value, name: str) -> bool:
        """Whether an attribute is what a wrapper holds, as `DataParallel` does: wrappers are left out."""
        return name in ("module", "_orig_mod") and is_module(value) and not _is_held(value, name)

    def index(self, value: Value, index: Value, site: Site) -> Value:
        """`value[index]`."""
        if isinstance(value, Registered) and (asked := self._facts.name_of(index)):
            child = dict(children(value.of)).get(asked)
            return self.attribute(value.of, asked) if child is None else child
        if isinstance(value, Registered):
            return self._one_of(registered(value, site.node).values())
        if isinstance(value, Instance) and BASE in value.attributes:
            value = value.attributes[BASE]
        if isinstance(value, Layer):
            value = value.parts.get("layers", value)
        if isinstance(value, Weight):
            return part_of(value, index)
        if isinstance(value, Drawn):
            return value
        if not isinstance(value, Container):
            return Anything()
        inside = value.held
        if isinstance(inside, Table):
            asked = index.value if isinstance(index, Known) else self._facts.name_of(index)
            found = inside.entries.get(asked)
            return found if found is not None else self._one_of(inside.values())
        key = index.value if isinstance(index, Known) else None
        if isinstance(key, tuple) and len(key) == 4 and not inside.open:
            part = inside.items[slice(*key[1:])]
            return Container(value.type, Items("list", part, inside.node), value.made)
        if isinstance(key, int) and not inside.open and -len(inside.items) <= key < len(inside.items):
            return inside.items[key]
        return self._one_of(inside.items)

    def item(self, value: Instance, index: Value) -> Value:
        """An entry of an object that derives from a dictionary, however it is asked for."""
        inside = value.attributes[BASE]
        key = index.value if isinstance(index, Known) else None
        found = inside.entries.get(key) if isinstance(inside, Table) else None
        return Anything("an entry that is not known") if found is None else found

    def _one_of(self, values: list[Value]) -> Value:
        return self._facts.evaluator.join(values) if values else Anything()

    def has(self, value: Value, name: Value) -> Value:
        """`hasattr(value, name)`."""
        known = name.value if isinstance(name, Known) else None
        if not isinstance(known, str):
            return Anything()
        if isinstance(value, Layer):
            return Known(known in value.attributes or known in value.settings or known in value.parts)
        if isinstance(value, Instance) and is_kind_of(value, Reference("torch.nn.Module")):
            return Known(known in value.attributes or value.type.member(known) is not None)
        is_there = isinstance(value, Instance) and (
            known in value.attributes or value.type.member(known) is not None
        )
        return Known(True) if is_there else Anything()

    def method(self, value: Value, name: str, arguments: Arguments, site: Site) -> Value:
        """A method of a module other than calling it."""
        if name == "requires_grad_":
            self._switch(value, arguments)
        if name in ITSELF:
            return value
        reader = _READERS.get(name)
        if reader is not None:
            return self._read(value, name, reader, site)
        if name == "__getattr__" and arguments.positional:
            asked = self._facts.name_of(arguments.positional[0].value)
            child = dict(children(value)).get(asked)
            return self.attribute(value, asked) if child is None else child
        if name == "apply" and arguments.positional:
            return self._apply(value, arguments.positional[0].value, site)
        if name in ("add_module", "register_module", "register_parameter", "register_buffer"):
            return self._register(value, name, arguments, site)
        if name in ("reset_parameters", "_reset_parameters") and isinstance(value, Layer):
            for key, fresh in weights(value.type, value.settings, value.made).items():
                weight = value.attributes.get(key)
                if isinstance(weight, Weight) and isinstance(fresh, Weight):
                    self._facts.evaluator.heap.write(weight.attributes, "data", fresh.data)
            return Known(None)
        if isinstance(value, Instance) and BASE in value.attributes:
            value = value.attributes[BASE]
        part = self.attribute(value, name) if isinstance(value, (Layer, Container)) else value
        if part is not value and is_module(part):
            return self._facts.evaluator.call(part, arguments, site)
        if isinstance(value, Container):
            return self._collection(value, name, arguments, site)
        if name == "load_state_dict" or (self._facts.recorder.paths and name not in _HARMLESS):
            self._facts.recorder.hand_out([value, *arguments.values()])
        self.escape((value, *arguments.values()))
        return Anything(f"a method {name}")

    def _read(self, value: Value, name: str, reader: Reader, site: Site) -> Value:
        """What is in a module, looked up anew only where something got other parts."""
        evaluator = self._facts.evaluator
        key = (id(value), name)
        known = self._lists.get(key)
        if known is None or known[0] != evaluator.heap.version:
            found = list(reader(value, site))
            if not evaluator.affords(len(found)):
                return Anything("more modules than there is work left for")
            known = self._lists[key] = (evaluator.heap.version, value, found, _is_open(value))
        return Items("list", list(known[2]), site.node, known[3])

    def _switch(self, value: Value, arguments: Arguments) -> None:
        """`requires_grad_(…)` of a module."""
        given = arguments.get(0, "requires_grad")
        for _, part in descendants(value):
            if isinstance(part, Weight):
                switched = Known(True) if given is None else given.value
                self._facts.evaluator.heap.write(part.attributes, "requires_grad", switched)

    def _collection(self, value: Container, name: str, arguments: Arguments, site: Site) -> Value:
        method = Method(value.held, name, site.node)
        self._facts.evaluator.heap.changed()
        if name in CHANGING:
            self._facts.evaluator.changes(value.held)
        if name == "extend" and arguments.positional:
            items = self._facts.items(arguments.positional[0].value)
            if items is not None:
                arguments = Arguments((Operand(items, site.node),))
        if name == "append" and isinstance(value.held, Items):
            collection_method(method, arguments)
            return value
        if name == "keys" and isinstance(value.held, Table):
            return Items("list", [key_of(key) for key in value.held.entries], site.node, value.held.open)
        if name == "items" and isinstance(value.held, Table):
            entries = value.held.entries.items()
            rows: list[Value] = [tuple_of([key_of(key), part], site.node) for key, part in entries]
            return Items("list", rows, site.node, value.held.open)
        found = collection_method(method, arguments)
        if found is None:
            self._facts.recorder.hand_out([value, *arguments.values()])
        return found if found is not None else Anything()

    def _apply(self, value: Value, function: Value, site: Site) -> Value:
        before = contents(value)
        for part in innermost_first(value):
            self._facts.evaluator.call(function, Arguments((Operand(part, site.node),)), site)
        if (
            before
            and isinstance(function, Closure)
            and draws(function.function)
            and contents(value) == before
        ):
            name, place = getattr(function.function, "name", ""), Place(site.path, site.node.span)
            self._facts.unmatched.append(Unapplied(name, "unmatched", place))
        return value

    def initialise_all(self, model: Instance, initialise: Value, site: Site) -> Value:
        """Apply a function to the modules of a model, without models within that did so themselves."""
        own = {id(part) for path, part in descendants(model) if path and _initialises_itself(part)}
        inner = {id(part) for _, one in descendants(model) if id(one) in own for _, part in descendants(one)}
        for part in innermost_first(model):
            if id(part) not in inner:
                self._facts.evaluator.call(initialise, Arguments((Operand(part, site.node),)), site)
        return Known(None)

    def of_registered(self, value: Registered, name: str, arguments: Arguments, site: Site) -> Value | None:
        """A method of `model._modules` that reads; None where it may write."""
        if name not in ("get", "items", "keys", "values"):
            return None
        return collection_method(Method(registered(value, site.node), name, site.node), arguments)

    def _register(self, value: Value, name: str, arguments: Arguments, site: Site) -> Value:
        key, stored = arguments.get(0, "name"), arguments.get(1, _STORES[name])
        known = self._facts.name_of(key.value) if key is not None else ""
        if stored is None:
            return Known(None)
        self._facts.evaluator.heap.changed()
        if isinstance(value, Container):
            self._facts.evaluator.changes(value.held)
        if isinstance(value, Container) and isinstance(value.held, Items) and not known:
            value.held.items.append(stored.value)
        if not known:
            self._register_unnamed(value, site)
            return Known(None)
        held_ = stored.value
        if name == "register_buffer" and isinstance(held_, Drawn):
            held_ = Weight({"data": held_}, Place(site.path, site.node.span), False)
        if isinstance(value, Instance):
            self._facts.evaluator.write(value, known, held_)
        elif isinstance(value, Layer):
            self._facts.evaluator.heap.write(value.attributes, known, held_)
        elif isinstance(value, Container) and isinstance(value.held, Items):
            value.names[len(value.held.items)] = known
            value.held.items.append(held_)
        elif isinstance(value, Container) and isinstance(value.held, Table):
            value.held.entries[known] = held_
        return Known(None)

    def _register_unnamed(self, value: Value, site: Site) -> None:
        """From now on it is not known what a module consists of."""
        if isinstance(value, Instance):
            others = Container(
                "ModuleList", Items("list", [], site.node, True), Place(site.path, site.node.span)
            )
            self._facts.evaluator.heap.write(value.attributes, _UNNAMED, others)
        elif isinstance(value, Container) and isinstance(value.held, Table):
            value.held.loosen()

    def put(self, container: Container, index: Value, value: Value) -> None:
        """`container[index] = value`."""
        self._facts.evaluator.heap.changed()
        if isinstance(container.held, Table) and not isinstance(index, Known):
            name = unused(self._facts.name_of(index) or HOLE, container.held)
            store_item(container.held, Known(name), value)
            container.held.loosen()
        else:
            store_item(container.held, index, value)

    def compared(self, name: str, values: Sequence[Value]) -> bool | None:
        """Whether a comparison holds, where that is known of what is no constant."""
        if len(values) != 2:
            return None
        first, second = values
        if name in ("is", "is_not", "eq", "ne") and isinstance(second, Known) and second.value is None:
            something = (*_OBJECTS, ClassObject, Closure, Partial, Reference)
            return name in ("is_not", "ne") if isinstance(first, something) else None
        if name in ("is", "is_not") and isinstance(first, _HELD) and isinstance(second, _HELD):
            return (first is second) == (name == "is")
        if isinstance(first, ClassName) and name in ("eq", "is", "ne", "is_not", "in", "not_in"):
            options = second.items if isinstance(second, Items) else [second]
            same = any(type_name(first.of) == last_name(option) for option in options)
            return same if name in ("eq", "is", "in") else not same
        if name in ("in", "not_in"):
            inside = contains(second, first.value) if isinstance(first, Known) else is_among(first, second)
            return None if inside is None else inside == (name == "in")
        return None

    # writing

    def initialise(self, value: Value | None, found: Initial) -> Value:
        """A weight, or all the weights that a part of one belongs to, gets new contents."""
        if isinstance(value, Part):
            data = value.data
            piece = Piece(value.start, value.stop, found)
            new = Drawn(data.initial, data.shape, (*data.pieces, piece))
            self._facts.evaluator.heap.write(value.attributes, "data", new)
            return value
        if isinstance(value, OneOf):
            for option in value.options:
                self.initialise(option, Initial("unknown", {}, 1.0, found.place))
        if isinstance(value, Weight):
            self._facts.evaluator.heap.write(value.attributes, "data", Drawn(found, value.shape))
            return value
        return Drawn(found, value.shape) if isinstance(value, Drawn) else (value or Anything())

    def written(self, value: Weight | Drawn, name: str, arguments: Arguments, site: Site) -> Value | None:
        """What a method in place leaves in a weight, or None if `name` is no such method."""
        place = Place(site.path, site.node.span)
        found = initial.written(name, arguments, place)
        if found is not None:
            return self.initialise(value, found)
        if name == "chunk" and isinstance(value, Weight):
            return _chunks(value, arguments, site)
        if isinstance(value, Part) and name.endswith("_") and name != "requires_grad_":
            return self.initialise(value, Initial("unknown", {}, 1.0, place))
        if name in ("mul_", "div_") or (name in ("mul", "div") and isinstance(value, Drawn)):
            return self.rescaled(value, initial.scaling(name.rstrip("_") + "_", arguments), place)
        if name == "copy_" and arguments.positional:
            other = arguments.positional[0].value
            data = other.data if isinstance(other, Weight) else other
            known = data.initial if isinstance(data, Drawn) else Initial("unknown", {}, 1.0, place)
            return self.initialise(value, known)
        if name == "requires_grad_" and isinstance(value, Weight):
            self._switch(value, arguments)
        if name in _KEEPING:
            return value
        if name in _ALIKE and isinstance(value, Drawn):
            return Drawn(value.initial, None)
        if name in _TURNING and isinstance(value, Weight):
            return self._turned(value, name, [operand.value for operand in arguments.positional])
        if name.endswith("_") and not name.endswith("__"):
            return self.initialise(value, Initial("unknown", {}, 1.0, place))
        return None

    def assigned(self, weight: Weight, index: Value, value: Value, site: Site) -> None:
        """`weight[index] = value`."""
        if isinstance(value, Part) and whole_of(value) is whole_of(weight):
            return
        place = Place(site.path, site.node.span)
        constant = number(value)
        if constant is not None:
            found = Initial("constant", {"val": constant}, 1.0, place)
        else:
            data = value.data if isinstance(value, Weight) else value
            found = data.initial if isinstance(data, Drawn) else Initial("unknown", {}, 1.0, place)
        self.initialise(part_of(weight, index), found)

    def _turned(self, weight: Weight, name: str, given: Sequence[Value]) -> Weight:
        """A weight transposed or permuted."""
        rank = len(weight.shape) if weight.shape is not None else 0
        order = turned(list(range(rank)), name, given)
        before = weight.order if isinstance(weight, Turned) else tuple(range(rank))
        if order is None or before is None:
            return self._facts.recorder.turned(weight, None)
        return self._facts.recorder.turned(weight, tuple([before[at] for at in order]))

    def escape(self, values: Iterable[Value]) -> None:
        """These go to code that is not known while the model is constructed: it may fill their weights.

        Weights that go there themselves may hold anything afterwards; of those within modules only
        what no random numbers were drawn for is doubted.
        """
        for value in values if self._facts.is_constructing else ():
            if isinstance(value, Weight):
                self._doubt(value)
            elif isinstance(value, (Items, Table)):
                self.escape(value.items if isinstance(value, Items) else value.values())
            elif is_module(value):
                within = list(descendants(value))
                self._facts.evaluator.affords(len(within) // 16)
                for _, part in within:
                    if isinstance(part, Weight) and part.data.initial.scheme in UNFILLED:
                        self._doubt(part)

    def _doubt(self, weight: Weight) -> None:
        self.initialise(whole_of(weight), Initial("unknown", {}, 1.0, weight.data.initial.place))

    def rescaled(self, value: Weight | Drawn, by: float | None, place: Place) -> Value:
        """A weight or a fresh tensor multiplied in place."""
        data = value.data if isinstance(value, Weight) else value
        new = initial.scaled(data, by, place)
        if isinstance(value, Weight):
            return self.initialise(value, new.initial)
        return new

    def rescale(self, layer: Layer, by: float | None, place: Place) -> None:
        """The weight of a layer is divided by something."""
        weight = layer.attributes.get("weight")
        if isinstance(weight, Weight):
            self.rescaled(weight, by, place)


_ALIKE = frozenset(
    {"view", "reshape", "unsqueeze", "squeeze", "t", "transpose", "expand", "repeat", "permute"}
)
_KEEPING = frozenset(
    {"requires_grad_", "contiguous", "clone", "detach", "to", "float", "cuda", "astype", "data_ptr"}
)
_TURNING = frozenset({"t", "transpose", "swapaxes", "swapdims", "permute"})
_UNNAMED = "?"
"""The attribute that stands for parts of which the name is not known."""

_STORES = {
    "add_module": "module",
    "register_module": "module",
    "register_parameter": "param",
    "register_buffer": "tensor",
}


def _is_held(value: Value, name: str) -> bool:
    """Whether a part of a module has this name."""
    return any(part == name for part, _ in children(value))


def turned(axes: list[int], name: str, given: Sequence[Value]) -> list[int] | None:
    """The order of axes behind `t`, `mT`, `transpose(a, b)` or `permute(...)`, None where not known."""
    if name in ("t", "mT"):
        is_fit = len(axes) == 2 or (name == "mT" and len(axes) > 2)
        return [*axes[:-2], axes[-1], axes[-2]] if is_fit else None
    if len(given) == 1 and isinstance(given[0], Items):
        given = given[0].items
    places = [place.value for place in given if isinstance(place, Known) and isinstance(place.value, int)]
    if len(places) < len(given) or not all(-len(axes) <= place < len(axes) for place in places):
        return None
    if name == "permute":
        return [axes[place] for place in places] if len(places) == len(axes) else None
    if len(places) != 2:
        return None
    a, b = places
    axes[a], axes[b] = axes[b], axes[a]
    return axes


def _of_weight(value: Weight | Drawn, name: str) -> Value:
    if name == "data":
        return value
    if name in ("T", "mT"):
        return Drawn(value.data.initial if isinstance(value, Weight) else value.initial)
    if name == "shape" and value.shape is not None:
        sizes: list[Value] = [Anything() if size is None else Known(size) for size in value.shape]
        node = ir.Literal(_span(value), None)
        return tuple_of(sizes, node)
    if name == "ndim" and value.shape is not None:
        return Known(len(value.shape))
    if name == "requires_grad":
        return Known(value.takes_gradient if isinstance(value, Weight) else False)
    return Anything()


def _chunks(weight: Weight, arguments: Arguments, site: Site) -> Value | None:
    """`weight.chunk(n)` along the rows."""
    count, dimension = arguments.get(0, "chunks"), arguments.get(1, "dim")
    n, size = number(count.value if count is not None else None), weight.shape[0] if weight.shape else None
    if not n or size is None or (dimension is not None and number(dimension.value) != 0):
        return None
    step = -(-size // int(n))
    bounds = [(at, min(at + step, size)) for at in range(0, size, step)]
    parts = [part_of(weight, Known(("slice", start, stop, None))) for start, stop in bounds]
    return tuple_of(list(parts), site.node)


def _span(value: Weight | Drawn) -> Span:
    """Where a weight was made."""
    place = value.made if isinstance(value, Weight) else value.initial.place
    return place.span if place is not None else Span(1, 1, 1, 1)


def _is_open(value: Value) -> bool:
    return any(isinstance(part, Container) and part.held.open for _, part in descendants(value))


def _modules(value: Value, site: Site) -> list[Value]:
    return [part for _, part in descendants(value) if is_module(part)]


def _named(found: Sequence[tuple[str, Value]], site: Site) -> list[Value]:
    return [tuple_of([Known(name), part], site.node) for name, part in found]


def _weights_of(value: Value) -> list[tuple[str, Weight]]:
    return [(path, part) for path, part in descendants(value) if isinstance(part, Weight) and part.is_trained]


_READERS: dict[str, Reader] = {
    "modules": _modules,
    "children": lambda value, site: [part for _, part in children(value) if is_module(part)],
    "parameters": lambda value, site: [part for _, part in _weights_of(value)],
    "named_modules": lambda value, site: _named([p for p in descendants(value) if is_module(p[1])], site),
    "named_children": lambda value, site: _named([p for p in children(value) if is_module(p[1])], site),
    "named_parameters": lambda value, site: _named(_weights_of(value), site),
}
