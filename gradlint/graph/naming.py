"""Names of attributes that are put together while a model runs: `f"layer{i}"`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradlint.graph.values import Anything, children, is_module
from gradlint.records import ir
from gradlint.semantics.interpretation import Operand
from gradlint.semantics.texts import HOLE, is_partly_known, may_be, substituted
from gradlint.semantics.value import Instance, Known, Table, Value


class Text(Anything, frozen=True, eq=False):
    """A text of which parts are known; HOLE stands for the others."""

    pattern: str = ""


def text_of(parts: Sequence[Value]) -> Anything:
    """A text that is put together of `parts`."""
    pattern = "".join(_shown(part) for part in parts)
    return Text("", pattern) if is_partly_known(pattern) else Anything()


def _shown(part: Value) -> str:
    if isinstance(part, Text):
        return part.pattern
    is_written = isinstance(part, Known) and isinstance(part.value, (str, int, float))
    return str(part.value) if is_written and isinstance(part, Known) else HOLE


def key_of(name: object) -> Value:
    """The key of an entry; one with holes is not known, or in parts."""
    return text_of([Known(name)]) if isinstance(name, str) and HOLE in name else Known(name)


def put_together(name: str, operands: Sequence[Operand]) -> Anything | None:
    """The text that an operator makes of texts; None where it makes none."""
    values = [operand.value for operand in operands]
    is_text = any(_is_text(value) for value in values)
    if not is_text or not all(
        isinstance(value, (Anything, Known)) for value in values[: 1 + (name == "add")]
    ):
        return None
    if name in ("add", "iadd"):
        return text_of(values)
    if name == "mod" and isinstance(values[0], Known) and isinstance(values[0].value, str):
        parts = substituted(values[0].value, values[1])
        return text_of(parts) if parts is not None else None
    return None


def _is_text(value: Value) -> bool:
    return isinstance(value, Text) or (isinstance(value, Known) and isinstance(value.value, str))


def named(owner: Instance, name: str) -> list[Value]:
    """The attributes of an object that a name may mean of which parts are not known, its own or theirs."""
    found = owner.attributes
    if HOLE not in name and not any(HOLE in each for each in found):
        return []
    return [value for each, value in found.items() if may_be(name, each)]


class Registered(Value, frozen=True, eq=False):
    """`model._modules`."""

    of: Value


def registered(value: Registered, node: ir.Expression) -> Table:
    """The modules directly within a module, by name; what is not known by its name stands beside them."""
    parts = {name: part for name, part in children(value.of) if is_module(part)}
    others = [part for name, part in parts.items() if HOLE in name]
    known: dict[Any, Value] = {name: part for name, part in parts.items() if HOLE not in name}
    return Table(known, node, bool(others), others)
