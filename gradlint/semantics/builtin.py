"""Python's builtin functions and the methods of its collections, as far as models use them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from msgspec.structs import replace

from gradlint.records import ir
from gradlint.records.facts import CHANGING
from gradlint.semantics.constants import known
from gradlint.semantics.extent import MAX_ITEMS, fits, size
from gradlint.semantics.interpretation import Arguments, Site
from gradlint.semantics.interpretation import known as known_value
from gradlint.semantics.texts import formatted
from gradlint.semantics.value import Items, Known, Method, Table, Value

_LONGEST = 10_000
"""Ranges and texts with more items are not gone through."""

_REORDERING = CHANGING - {"add", "append", "extend", "insert", "update"}
"""Methods after which it is not known where something is."""


def call_builtin(name: str, arguments: Arguments, site: Site) -> Value | None:
    """The result of a builtin where it can be told from what is known, else None."""
    function = _BUILTINS.get(name)
    if function is None or arguments.open or (arguments.keywords and name != "dict"):
        return None
    if name == "dict" and arguments.keywords and len(arguments.positional) < 2:
        made = _dictionary([operand.value for operand in arguments.positional], site.node)
        named: dict[Any, Value] = {key: operand.value for key, operand in arguments.keywords.items()}
        if isinstance(made, Table):
            _update(made, Table(named, site.node))
        return made
    try:
        return function([operand.value for operand in arguments.positional], site.node)
    except (ValueError, TypeError, ArithmeticError, IndexError):
        return None


def _convert(make: Callable[..., object]) -> Callable[[Sequence[Value], ir.Expression], Value | None]:
    def convert(values: Sequence[Value], node: ir.Expression) -> Value | None:
        if not all(isinstance(value, Known) for value in values):
            return None
        constants = [value.value for value in values if isinstance(value, Known)]
        if any(isinstance(constant, (range, str)) and len(constant) > _LONGEST for constant in constants):
            return None
        return known(make(*constants))

    return convert


def _items(value: Value) -> list[Value] | None:
    if isinstance(value, Items) and not value.open:
        return value.items
    if isinstance(value, Known) and isinstance(value.value, range) and len(value.value) <= 64:
        return [Known(item) for item in value.value]
    return None


def _collect(kind: str) -> Callable[[Sequence[Value], ir.Expression], Value | None]:
    def collect(values: Sequence[Value], node: ir.Expression) -> Value | None:
        if not values:
            return Items(kind, [], node)
        if isinstance(values[0], Items):
            found, is_open = values[0].items, values[0].open
        else:
            items, is_open = _items(values[0]), False
            if items is None:
                return None
            found = items
        return Items(kind, distinct(found) if kind == "set" else list(found), node, is_open)

    return collect


def distinct(items: Sequence[Value]) -> list[Value]:
    """What a set holds of these: constants that are equal once."""
    met: set[object] = set()
    kept: list[Value] = []
    for item in items:
        constant = item.value if isinstance(item, Known) and isinstance(item.value, Hashable) else item
        if constant not in met:
            met.add(constant)
            kept.append(item)
    return kept


def _length(values: Sequence[Value], node: ir.Expression) -> Value | None:
    items = _items(values[0])
    if items is None and isinstance(values[0], Known) and isinstance(values[0].value, (str, range)):
        return Known(len(values[0].value))
    return None if items is None else Known(len(items))


def _enumerate(values: Sequence[Value], node: ir.Expression) -> Value | None:
    items, first = _items(values[0]), values[1] if len(values) > 1 else Known(0)
    if items is None or not isinstance(first, Known):
        return None
    rows = enumerate(items, first.value)
    return Items("list", [Items("tuple", [Known(i), item], node) for i, item in rows], node)


def _zip(values: Sequence[Value], node: ir.Expression) -> Value | None:
    columns = [_items(value) for value in values]
    known = [column for column in columns if column is not None]
    if len(known) < len(columns):
        return None
    return Items("list", [Items("tuple", list(row), node) for row in zip(*known, strict=False)], node)


def _reversed(values: Sequence[Value], node: ir.Expression) -> Value | None:
    items = _items(values[0])
    return None if items is None else Items("list", list(reversed(items)), node)


def _dictionary(values: Sequence[Value], node: ir.Expression) -> Value | None:
    if not values:
        return Table({}, node)
    if not isinstance(values[0], Table):
        return None
    return Table(dict(values[0].entries), node, values[0].open, list(values[0].others))


def _sum(values: Sequence[Value], node: ir.Expression) -> Value | None:
    """The sum of numbers, or of lists one behind the other."""
    items, start = _items(values[0]), values[1] if len(values) > 1 else Known(0)
    if items is None:
        return None
    lists = [each for each in (start, *items) if isinstance(each, Items) and not each.open]
    if len(lists) == len(items) + 1 and fits(Items("list", list[Value](lists), node)):
        return Items(lists[0].kind, [item for each in lists for item in each.items], node)
    return _convert(lambda first, *others: sum(others, first))([start, *items], node)


def _extreme(make: Callable[..., object]) -> Callable[[Sequence[Value], ir.Expression], Value | None]:
    def extreme(values: Sequence[Value], node: ir.Expression) -> Value | None:
        items = _items(values[0]) if len(values) == 1 else None
        return _convert(make)(values if items is None or len(items) < 2 else items, node)

    return extreme


_BUILTINS: dict[str, Callable[[Sequence[Value], ir.Expression], Value | None]] = {
    "float": _convert(float),
    "int": _convert(int),
    "bool": _convert(bool),
    "str": _convert(str),
    "abs": _convert(abs),
    "max": _extreme(max),
    "min": _extreme(min),
    "sum": _sum,
    "round": _convert(round),
    "range": _convert(range),
    "len": _length,
    "list": _collect("list"),
    "tuple": _collect("tuple"),
    "set": _collect("set"),
    "iter": _collect("list"),
    "enumerate": _enumerate,
    "zip": _zip,
    "reversed": _reversed,
    "dict": _dictionary,
}


def collection_method(method: Method, arguments: Arguments) -> Value | None:
    """The result of a method of a list or dictionary, whose contents it may change, or of a constant."""
    receiver = method.receiver
    values = [operand.value for operand in arguments.positional]
    if isinstance(receiver, Table) and method.name == "update":
        for other in values:
            _update(receiver, other)
        return _update(receiver, Table({k: o.value for k, o in arguments.keywords.items()}, receiver.node))
    if isinstance(receiver, Items):
        return _list_method(receiver, method.name, values)
    if isinstance(receiver, Table):
        return _table_method(receiver, method.name, values)
    if isinstance(receiver, Known) and method.name == "item" and not values:
        return receiver
    if isinstance(receiver, Known) and isinstance(receiver.value, str):
        if method.name == "format" and not arguments.open:
            return _formatted(receiver.value, arguments)
        return None if arguments.keywords else _text_method(receiver.value, method, values)
    return None


_OF_TEXT = frozenset(
    {"find", "startswith", "endswith", "lower", "upper", "strip", "split", "replace", "count", "removeprefix"}
)


def _text_method(text: str, method: Method, values: list[Value]) -> Value | None:
    if method.name == "join":
        return _joined(text, _items(values[0]) if values else None)
    given = [value.value for value in values if isinstance(value, Known)]
    if method.name not in _OF_TEXT or len(given) < len(values) or len(text) > _LONGEST:
        return None
    try:
        result = getattr(text, method.name)(*given)
    except (TypeError, ValueError):
        return None
    if isinstance(result, list):
        return Items("list", [Known(part) for part in result], method.node)
    return Known(result)


def _joined(text: str, parts: list[Value] | None) -> Known | None:
    """`text.join(parts)`."""
    found = [part.value for part in parts or () if isinstance(part, Known) and isinstance(part.value, str)]
    if parts is None or len(found) < len(parts) or sum(map(len, found)) > _LONGEST:
        return None
    return Known(text.join(found))


def _formatted(pattern: str, arguments: Arguments) -> Value | None:
    values = arguments.values()
    if len(pattern) > _LONGEST or not all(isinstance(value, Known) for value in values):
        return None
    positional = [known_value(operand) for operand in arguments.positional]
    named = {name: known_value(operand) for name, operand in arguments.keywords.items()}
    found = formatted(pattern, positional, named)
    return Known(found) if found is not None and len(found) <= _LONGEST else None


def _list_method(receiver: Items, name: str, values: list[Value]) -> Value | None:
    if name == "copy":
        return Items(receiver.kind, list(receiver.items), receiver.node, receiver.open)
    if name in ("append", "add") and values:
        put(receiver, len(receiver.items), values[0])
        return Known(None)
    if name in ("extend", "update") and values:
        extend(receiver, values[0])
        return Known(None)
    if name == "insert" and len(values) == 2:
        position = values[0].value if isinstance(values[0], Known) else None
        if not isinstance(position, int):
            receiver.loosen()
        put(receiver, position if isinstance(position, int) else 0, values[1])
        return Known(None)
    if name == "pop" and not receiver.open and receiver.items and all(isinstance(v, Known) for v in values):
        position = values[0].value if values else -1  # type: ignore[attr-defined]
        if isinstance(position, int) and -len(receiver.items) <= position < len(receiver.items):
            return receiver.items.pop(position)
    if name == "pop" and receiver.open and len(receiver.items) == 1:
        return receiver.items[0]
    if name == "reverse" and not receiver.open:
        receiver.items.reverse()
        return Known(None)
    if name in _REORDERING:
        receiver.loosen()
    return None


def store_item(receiver: Items | Table, index: Value, value: Value) -> None:
    """`receiver[index] = value`."""
    position = index.value if isinstance(index, Known) else None
    if isinstance(receiver, Items) and isinstance(position, tuple) and _replace(receiver, position, value):
        return
    if not fits(value, receiver) or size(receiver) > MAX_ITEMS:
        receiver.loosen()
    elif isinstance(receiver, Table):
        if isinstance(index, Known):
            receiver.entries[position] = value
        else:
            receiver.others.append(value)
            receiver.loosen()
    elif (
        isinstance(position, int)
        and not receiver.open
        and -len(receiver.items) <= position < len(receiver.items)
    ):
        receiver.items[position] = value
    else:
        put(receiver, len(receiver.items), value)
        receiver.loosen()


def delete_item(receiver: Items | Table, index: Value) -> None:
    """`del receiver[index]`."""
    key = index.value if isinstance(index, Known) else None
    if isinstance(receiver, Table) and not receiver.open and key in receiver.entries:
        del receiver.entries[key]
    elif isinstance(receiver, Items) and not receiver.open and isinstance(key, (int, tuple)):
        try:
            del receiver.items[slice(*key[1:]) if isinstance(key, tuple) else key]
        except (IndexError, TypeError, ValueError):
            receiver.loosen()
    else:
        receiver.loosen()


def _replace(receiver: Items, key: tuple[Any, ...], value: Value) -> bool:
    """`receiver[start:stop] = value`, where it is known what both hold."""
    is_known = isinstance(value, Items) and not value.open and not receiver.open
    if not is_known or not isinstance(value, Items) or key[:1] != ("slice",) or key[3] is not None:
        return False
    if size(receiver) + size(value) > MAX_ITEMS or not all(fits(item, receiver) for item in value.items):
        return False
    receiver.items[slice(*key[1:])] = list(value.items)
    return True


def put(receiver: Items, position: int, value: Value) -> None:
    """Insert one item; the list is not known any more where it would hold too much, or itself."""
    if len(receiver.items) < MAX_ITEMS and fits(value, receiver):
        receiver.items.insert(position, value)
    else:
        receiver.loosen()


def extend(receiver: Items, values: Value) -> None:
    """Add all the items of a collection."""
    is_known = isinstance(values, Items) and not values.open
    for value in list(values.items) if isinstance(values, Items) else ():
        put(receiver, len(receiver.items), value)
    if not is_known:
        receiver.loosen()


_VIEWS: dict[str, Callable[[object, Value, Table], Value]] = {
    "items": lambda key, value, of: Items("tuple", [Known(key), value], of.node),
    "values": lambda key, value, of: value,
    "keys": lambda key, value, of: Known(key),
}


def _table_method(receiver: Table, name: str, values: list[Value]) -> Value | None:
    if name == "copy":
        return replace(receiver, entries=dict(receiver.entries), others=list(receiver.others))
    if name in _VIEWS and not (receiver.open and (receiver.others or not receiver.entries)):
        rows: list[Value] = [_VIEWS[name](key, value, receiver) for key, value in receiver.entries.items()]
        return Items("list", rows, receiver.node, receiver.open)
    if name in ("get", "pop", "setdefault") and values and isinstance(values[0], Known):
        return _entry(receiver, name, values[0].value, values[1] if len(values) > 1 else Known(None))
    if name in _REORDERING:
        receiver.loosen()
    return None


def _entry(receiver: Table, name: str, key: object, default: Value) -> Value | None:
    """What `get`, `pop` or `setdefault` gives for a key, and what it leaves."""
    found = receiver.entries.get(key)
    if receiver.open or receiver.others:
        if name != "get":
            receiver.loosen()
        return found
    if name == "pop":
        receiver.entries.pop(key, None)
    elif name == "setdefault" and found is None and fits(default, receiver):
        receiver.entries[key] = default
    return default if found is None else found


def _update(receiver: Table, other: Value) -> Value:
    if not isinstance(other, Table):
        receiver.others.extend(receiver.entries.values())
        receiver.entries.clear()
        receiver.loosen()
        return Known(None)
    if other.open:
        receiver.loosen()
    if other is not receiver and fits(other, receiver) and size(receiver) + size(other) <= MAX_ITEMS:
        receiver.entries.update(other.entries)
        receiver.others.extend(other.others)
    return Known(None)
