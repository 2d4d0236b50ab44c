"""What functions of Python and NumPy do with tensors, modules and numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gradlint.graph.construct import (
    make_template,
    pairs,
)
from gradlint.graph.kinds import is_kind_of, is_subclass_of
from gradlint.graph.modules import ClassName
from gradlint.graph.naming import Text
from gradlint.graph.rows import rows
from gradlint.graph.unbound import record_class
from gradlint.graph.values import (
    Anything,
    Choice,
    Drawn,
    Signal,
    is_module,
    number,
    signals,
)
from gradlint.semantics.interpretation import Arguments, Operand, Site
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

if TYPE_CHECKING:
    from gradlint.graph.interpret import GraphFacts

_MATH: dict[str, Callable[..., float]] = {
    name: getattr(math, name) for name in ("sqrt", "log", "log2", "log10", "exp", "floor", "ceil", "pow")
}


class Python:
    """Calls functions of Python and NumPy."""

    def __init__(self, facts: GraphFacts) -> None:
        self._facts = facts

    def _read(self, by: str, values: Sequence[Value], site: Site) -> Value:
        """Numbers read from tensors."""
        found = [signal for value in values for signal in signals(value)]
        return self._facts.recorder.emit("item", found, site, {"by": by}) if found else Anything()

    def call(self, name: str, arguments: Arguments, site: Site) -> Value:
        """What a function of Python or NumPy gives."""
        values = arguments.values()
        last = name.rpartition(".")[2]
        first = values[0] if values else None
        if last == "isinstance" and len(values) == 2:
            decided = is_kind_of(values[0], values[1])
            if decided is None and self._is_asked_for_text(values[0], values[1]):
                return Known(True)
            return Anything() if decided is None else Known(decided)
        if name == "builtins.issubclass" and len(values) == 2:
            decided = is_subclass_of(values[0], values[1])
            return Anything() if decided is None else Known(decided)
        if name == "builtins.type" and len(values) == 1:
            return _class_of(values[0])
        if name == "builtins.hasattr" and len(values) == 2:
            return self._facts.members.has(values[0], values[1])
        if name == "builtins.callable" and first is not None and is_callable(first):
            return Known(True)
        if name == "builtins.callable" and isinstance(first, (Known, Signal, Drawn, Items, Table)):
            return Known(False)
        if name == "copy.deepcopy" or name == "copy.copy":
            return make_template(first) if first is not None else Anything()
        if name == "collections.namedtuple" and (found_ := record_class(values[1] if values[1:] else None)):
            return found_
        if name == "collections.OrderedDict":
            found = pairs(first, site.node) if first is not None else Table({}, site.node)
            return found if found is not None else (first or Anything())
        if (
            name in ("builtins.max", "builtins.min")
            and (one := self._extreme(last, values, site)) is not None
        ):
            return one
        if name == "builtins.sum" and isinstance(first, Items):
            return self._facts.applier.function("sum_of", arguments, site)
        if last in _MATH and all(number(value) is not None for value in values):
            try:
                return Known(_MATH[last](*[number(value) for value in values]))
            except (ArithmeticError, ValueError, TypeError):
                return Anything()
        if (
            last == "len"
            and first is not None
            and (length := self._facts.recorder.sizes(first).at(0)) is not None
        ):
            return Known(length)
        if name == "functools.reduce" and (folded := self._folded(values, site)) is not None:
            return folded
        if name.startswith("builtins."):
            opened = [self._facts.items(value) or value for value in values]
            made = rows(last, opened, site.node, lambda value: self._facts.element(value, site))
            if made is not None:
                return made
        if name.startswith(("math.", "numpy.")):
            return self._read(name, values, site)
        if last in ("print", "len", "id", "repr", "str"):
            return Anything()
        if last in ("float", "int", "bool"):
            return self._read(last, values, site)
        return self._facts.foreign.unknown_call(f"a call of {last}", values, site)

    def _extreme(self, name: str, values: Sequence[Value], site: Site) -> Value | None:
        """One of several tensors, or the largest element of one."""
        if len(values) == 1 and isinstance(values[0], Signal):
            return self._facts.recorder.emit(name, (values[0],), site)
        inside = values[0].items if len(values) == 1 and isinstance(values[0], Items) else values
        found = [value for value in inside if isinstance(value, Signal)]
        if not found or not all(isinstance(each, Signal) or number(each) is not None for each in inside):
            return None
        return self._facts.recorder.emit(
            "join", [self._facts.recorder.signal(each, site) for each in inside], site
        )

    def _folded(self, values: Sequence[Value], site: Site) -> Value | None:
        """`functools.reduce(function, items, start)`."""
        items = (self._facts.items(values[1]) or values[1]) if len(values) > 1 else None
        if not isinstance(items, Items) or items.open:
            return None
        start, *rest = (*values[2:], *items.items) or (Anything(),)
        for item in rest:
            pair = Arguments((Operand(start, site.node), Operand(item, site.node)))
            start = self._facts.evaluator.call(values[0], pair, site)
        return start

    def _is_asked_for_text(self, value: Value, classes: Value) -> bool:
        """Whether a constructor asks of an argument that nobody gives whether it is a text: it may be."""
        is_text = isinstance(classes, Reference) and classes.name == "builtins.str"
        may_be = isinstance(value, Text) or (self._facts.is_constructing and type(value) is Anything)
        return is_text and may_be


def is_callable(value: Value) -> bool:
    """Whether a value can be called, for all that is known."""
    return is_module(value) or isinstance(
        value, (Closure, ClassObject, Reference, Partial, Choice, ModuleObject)
    )


def _class_of(value: Value) -> Value:
    """`type(value)`."""
    if is_module(value):
        return ClassName(value)
    return value.type if isinstance(value, Instance) else Anything()
