"""The values that the construction of a model graph adds to those of the evaluator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

from gradlint.records import ir
from gradlint.records.graph import Initial, Piece, Place, Setting
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Instance,
    Items,
    Known,
    ModuleObject,
    Partial,
    Reference,
    Table,
    Value,
)

Shape = tuple[int | None, ...] | None


class Signal(Value, frozen=True, eq=False):
    """The output of a node of the graph that `recorder` builds."""

    number: int
    recorder: object = None


class Anything(Value, frozen=True, eq=False):
    """A number, a size, a flag or an object of which nothing is known."""

    reason: str = ""


class Drawn(Value, frozen=True, eq=False):
    """A tensor that was made with these contents, but for the rows in `pieces`."""

    initial: Initial
    shape: Shape = None
    pieces: tuple[Piece, ...] = ()


class Weight(Value, frozen=True, eq=False):
    """A parameter or buffer; `attributes` hold its contents (`Drawn`) under "data".

    There is "requires_grad" where that was set, "of" the weight that this one is a multiple of,
    "template" if it was copied, "handed" once code that is not understood had it, and "computed" if it is
    made of others whenever it is read.
    """

    attributes: dict[str, Value]
    made: Place
    is_trained: bool = True

    @property
    def data(self) -> Drawn:
        """What it holds now."""
        held = self.attributes["data"]
        return held if isinstance(held, Drawn) else Drawn(Initial("unknown"))

    @property
    def takes_gradient(self) -> bool:
        """Whether a backward pass gives it a gradient, unless that is not known."""
        switch = self.attributes.get("requires_grad")
        return self.is_trained if switch is None else isinstance(switch, Known) and switch.value is True

    @property
    def shape(self) -> Shape:
        """Its sizes, as far as known."""
        return self.data.shape


class Part(Weight, frozen=True, eq=False):
    """The rows of a weight from `start` up to `stop`; None where these are not known.

    `taken` is how many of the first dimensions numbers stand for, None where some index is no number.
    """

    of: Weight | None = None
    start: int | None = None
    stop: int | None = None
    taken: int | None = None

    @property
    def item_shape(self) -> Shape:
        """The sizes of the part itself, as far as known."""
        whole = whole_of(self).shape
        return None if whole is None or self.taken is None else whole[self.taken :]


class OneOf(Weight, frozen=True, eq=False):
    """One of several weights and tensors, which one is not known."""

    options: tuple[Value, ...] = ()


def whole_of(weight: Weight) -> Weight:
    """The weight that a part is part of."""
    while isinstance(weight, Part) and weight.of is not None:
        weight = weight.of
    return weight


def part_of(weight: Weight, index: Value) -> Weight:
    """`weight[index]`, as one that may be written to."""
    start, stop = rows(index, weight.shape[0] if weight.shape else None)
    before: int | None = 0
    if isinstance(weight, Part):
        start = stop = None
        before = weight.taken
    is_number = isinstance(index, Known) and isinstance(index.value, int)
    taken = before + 1 if is_number and before is not None else None
    return Part(weight.attributes, weight.made, weight.is_trained, whole_of(weight), start, stop, taken)


def rows(index: Value, size: int | None) -> tuple[int | None, int | None]:
    """The rows that an index takes, as (start, stop); None where they are not known."""
    key = index.value if isinstance(index, Known) else None
    if isinstance(key, int) and (key >= 0 or size is not None):
        start = key if key >= 0 else key + (size or 0)
        return start, start + 1
    if not isinstance(key, tuple) or len(key) != 4 or key[3] not in (None, 1):
        return None, None
    start, stop = key[1] or 0, key[2] if key[2] is not None else size
    if not isinstance(start, int) or not isinstance(stop, int) or (min(start, stop) < 0 and size is None):
        return None, None
    found, end, _ = slice(start, stop).indices(size) if size is not None else (start, stop, 1)
    return found, end


class Turned(Weight, frozen=True, eq=False):
    """A weight with its dimensions in another order; what is written there, is written to the weight."""

    order: tuple[int, ...] | None = None

    @property
    def shape(self) -> Shape:
        """Its sizes in this order; nothing is known of them where the order is not."""
        shape = self.data.shape
        return None if shape is None or self.order is None else tuple([shape[at] for at in self.order])


class Layer(Value, frozen=True, eq=False):
    """An object of a class of torch.nn that has no children: its class, settings and weights."""

    type: str
    settings: dict[str, Setting]
    attributes: dict[str, Value]
    made: Place
    parts: dict[str, Value] = {}


class Container(Value, frozen=True, eq=False):
    """Sequential, ModuleList, ModuleDict, ParameterList: modules in a collection.

    `names` are those of members of a list that have one other than their position.
    """

    type: str
    held: Items | Table
    made: Place
    names: dict[int, str] = {}


class Choice(Value, frozen=True, eq=False):
    """One of several modules or functions, which one is not known."""

    options: tuple[Value, ...]


BASE = "super()"
"""The attribute under which an object keeps what its base outside the project holds."""


def is_module(value: Value) -> bool:
    """Whether `value` is something that a model can be made of."""
    return isinstance(value, (Layer, Container, Instance)) or (
        isinstance(value, Choice) and all(map(is_module, value.options))
    )


def children(value: Value) -> Iterator[tuple[str, Value]]:
    """The modules and weights directly within a module, by name, in the order of registration."""
    if isinstance(value, (Instance, Layer)):
        for name, part in value.attributes.items():
            if name == BASE:
                yield from children(part)
            elif is_module(part) or isinstance(part, Weight):
                yield name, part
        if isinstance(value, Layer):
            yield from value.parts.items()
    elif isinstance(value, Container):
        yield from held(value)
    elif isinstance(value, Choice):
        for option in value.options:
            yield from children(option)


def held(container: Container) -> Iterator[tuple[str, Value]]:
    """The members of a container with their names."""
    inside = container.held
    if isinstance(inside, Items):
        for position, item in enumerate(inside.items):
            yield container.names.get(position, str(position)), item
    else:
        for key, item in inside.entries.items():
            yield str(key), item


def descendants(value: Value) -> Iterator[tuple[str, Value]]:
    """A module and everything within it with dotted paths, each once, parents first."""
    seen = set[int]()
    pending = [("", value)]
    while pending:
        path, part = pending.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield path, part
        if not isinstance(part, Weight):
            inner = [(f"{path}.{name}" if path else name, child) for name, child in children(part)]
            pending.extend(reversed(inner))


def innermost_first(value: Value) -> list[Value]:
    """A module and the modules within it in the order in which `apply` comes to them for the last time."""
    found: dict[int, Value] = {}
    pending = [value]
    while pending:
        part = pending.pop()
        if id(part) not in found and is_module(part):
            found[id(part)] = part
            pending.extend(child for _, child in children(part))
    return list(reversed(found.values()))


@lru_cache(maxsize=4096)
def prefixes(path: str) -> tuple[str, ...]:
    """The paths of all that a part of a model is in, outermost first, and its own: "a", "a.b", "a.b.c"."""
    names = path.split(".") if path else []
    return tuple([".".join(names[:count]) for count in range(1, len(names) + 1)])


def setting(value: Value) -> Setting:
    """A hyper-parameter as a record holds it; None where it is not known."""
    if isinstance(value, Known) and isinstance(value.value, (bool, int, float, str)):
        return value.value
    if isinstance(value, Items) and not value.open:
        parts = [item.value if isinstance(item, Known) else None for item in value.items]
        return tuple([part if isinstance(part, int) else None for part in parts])
    if isinstance(value, Reference):
        return value.name
    return None


def number(value: Value | None) -> float | None:
    """The number that a value is, or None."""
    found = value.value if isinstance(value, Known) else None
    return found if isinstance(found, (int, float)) and not isinstance(found, bool) else None


def signals(value: Value, depth: int = 4) -> Iterator[Signal]:
    """The signals that are in a value."""
    if isinstance(value, Signal):
        yield value
    elif isinstance(value, (Items, Table)) and depth:
        for item in value.items if isinstance(value, Items) else value.values():
            yield from signals(item, depth - 1)


_LEAVES = frozenset({Known, Anything, Reference, ClassObject, ModuleObject})
"""Values through which nothing else can be reached."""


def held_by(values: Iterable[Value]) -> list[Value]:
    """The values and all that can be reached from them: parts, attributes, what functions close over.

    Constants and names are left out.
    """
    pending = [value for value in values if type(value) not in _LEAVES]
    if not pending:
        return pending
    found: dict[int, Value] = {}
    while pending:
        value = pending.pop()
        if id(value) not in found:
            found[id(value)] = value
            reached = _REACHED.get(type(value))
            if reached is not None:
                pending += [each for each in reached(value) if type(each) not in _LEAVES]
    return list(found.values())


def _of_closure(closure: Closure) -> list[Value]:
    found = [] if closure.receiver is None else [closure.receiver]
    frame = closure.frame
    while frame is not None:
        found += frame.variables.values()
        frame = frame.parent
    return found


def _of_weight(weight: Weight) -> Iterable[Value]:
    return (weight.attributes["of"],) if "of" in weight.attributes else ()


_REACHED: dict[type, Callable[[Any], Iterable[Value]]] = {
    Items: lambda items: items.items,
    Table: Table.values,
    Container: lambda container: (container.held,),
    Layer: lambda layer: (*layer.attributes.values(), *layer.parts.values()),
    Instance: lambda instance: instance.attributes.values(),
    Weight: _of_weight,
    Part: _of_weight,
    Turned: _of_weight,
    OneOf: lambda weight: weight.options,
    Choice: lambda choice: choice.options,
    Partial: lambda partial: (partial.function, *partial.positional, *partial.keywords.values()),
    Closure: _of_closure,
}


def tuple_of(values: list[Value], node: ir.Expression) -> Items:
    """A tuple."""
    return Items("tuple", values, node)


def layers_in(values: Iterable[Value]) -> set[Place]:
    """Where the layers are made that can be reached from values."""
    return {each.made for each in held_by(values) if isinstance(each, Layer)}
