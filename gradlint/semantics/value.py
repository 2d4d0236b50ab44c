"""What an expression can evaluate to, whatever the interpretation.

An interpretation adds values of its own (for tensors, say); everything here is what the evaluator
itself understands: constants, functions, classes, objects and collections.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import force_setattr

from gradlint.records import ir

if TYPE_CHECKING:
    from gradlint.semantics.scope import Frame, ModuleScope


class Value(Struct, frozen=True, eq=False):
    """The base of every value."""


class Known(Value, frozen=True, eq=False):
    """A constant of Python."""

    value: Any


class Reference(Value, frozen=True, eq=False):
    """Something outside the project, by its qualified name (`torch.nn.functional.relu`)."""

    name: str


class ModuleObject(Value, frozen=True, eq=False):
    """A module of the project."""

    scope: ModuleScope


class Closure(Value, frozen=True, eq=False):
    """A function of the project with the frame that it closes over; `receiver` once it is bound."""

    function: ir.Function | ir.Lambda
    scope: ModuleScope
    frame: Frame | None = None
    receiver: Value | None = None
    owner: ClassObject | None = None


class ClassObject(Value, frozen=True, eq=False, weakref=True):
    """A class of the project; `bases` are evaluated, in order."""

    definition: ir.Class
    scope: ModuleScope
    bases: tuple[Value, ...] = ()
    members: dict[str, Value] = {}

    def lineage(self) -> list[Value]:
        """The class and its bases, nearest first; bases outside the project as references.

        A base that is reached on several ways stands behind all that derive from it.
        """
        return list(reversed(_lineage(self, {}).values()))

    def member(self, name: str) -> Value | None:
        """What the class or a base of the project defines under `name`."""
        if name in self.members:
            return self.members[name]
        for ancestor in self.lineage() if self.bases else ():
            if isinstance(ancestor, ClassObject) and name in ancestor.members:
                return ancestor.members[name]
        return None

    def derives_from(self, names: frozenset[str]) -> bool:
        """Whether one of the bases outside the project, however far, is among `names`."""
        return any(isinstance(base, Reference) and base.name in names for base in self.lineage())


def _lineage(cls: ClassObject, known: dict[int, dict[object, Value]]) -> dict[object, Value]:
    """The lineage of `cls` from the farthest base on; `known` are those of other classes."""
    if id(cls) not in known:
        found: dict[object, Value] = {}
        for base in reversed(cls.bases):
            found.update(_lineage(base, known) if isinstance(base, ClassObject) else {_identity(base): base})
        known[id(cls)] = {**found, id(cls): cls}
    return known[id(cls)]


def _identity(base: Value) -> object:
    return base.name if isinstance(base, Reference) else id(base)


class Instance(Value, frozen=True, eq=False):
    """An object of a class of the project; its attributes change as the code runs."""

    type: ClassObject
    attributes: dict[str, Value]


class Namespace(Value, frozen=True, eq=False):
    """`x.__dict__`: what is put there is an attribute of the object."""

    of: Instance


class Constructed(Value, frozen=True, eq=False):
    """An object that is known by the call that made it: its constructor was not run.

    `type` is its class where that belongs to the project.
    """

    name: str
    positional: tuple[Value, ...]
    keywords: dict[str, Value]
    node: ir.Expression
    type: ClassObject | None = None


class Collection(Value, frozen=True, eq=False):
    """What holds other values; its contents change as the code runs."""

    def loosen(self) -> None:
        """From now on it is not known how much it holds."""
        force_setattr(self, "open", True)


class Items(Collection, frozen=True, eq=False):
    """A list, tuple or set; `open` when it is not known how many there are of the items listed."""

    kind: str
    items: list[Value]
    node: ir.Expression
    open: bool = False


class Record(Items, frozen=True, eq=False):
    """A tuple of which some items have names, by their positions."""

    names: dict[str, int] = {}


class Table(Collection, frozen=True, eq=False):
    """A dictionary; `open` when there may be entries whose keys are not listed, or fewer.

    `others` are values that stand under keys which are not known.
    """

    entries: dict[Any, Value]
    node: ir.Expression
    open: bool = False
    others: list[Value] = []

    def values(self) -> list[Value]:
        """Every value that is known to be in it."""
        return [*self.entries.values(), *self.others]


class Settings(Table, frozen=True, eq=False):
    """A dictionary of settings of which the entries are attributes too, as those of a namespace."""


class Partial(Value, frozen=True, eq=False):
    """`functools.partial`: something to call with arguments of which some are given."""

    function: Value
    positional: tuple[Value, ...]
    keywords: dict[str, Value]
    node: ir.Expression


class Method(Value, frozen=True, eq=False):
    """A method that was looked up on a value of the evaluator or the interpretation."""

    receiver: Value
    name: str
    node: ir.Expression
