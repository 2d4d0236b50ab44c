"""What gives primitives a meaning: the evaluator runs the code, an interpretation says what it sees."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from gradlint.records import ir
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Instance,
    Items,
    Known,
    Method,
    Reference,
    Table,
    Value,
)

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator
    from gradlint.semantics.scope import Frame, ModuleScope


class Operand(Struct, frozen=True, eq=False):
    """A value that goes into a primitive, with the expression that it came from."""

    value: Value
    node: ir.Expression


class Site(Struct, frozen=True, eq=False):
    """Where a primitive is applied: the expression, its file, and the calls that led there.

    `conditions` are the branches, outermost first, that were taken on a test that is not known.
    """

    node: ir.Expression
    path: str
    callers: tuple[Site, ...] = ()
    conditions: tuple[int, ...] = ()

    def always_before(self, other: Site) -> bool:
        """Whether, of two places that are reached in this order, the later is reached only past this."""
        return other.conditions[: len(self.conditions)] == self.conditions


class Arguments(Struct, frozen=True, eq=False):
    """The operands of a call; `open` when `*` or `**` may add more.

    Then only the first `certain` positional ones are known to stand where they do.
    """

    positional: tuple[Operand, ...] = ()
    keywords: dict[str, Operand] = {}
    open: bool = False
    certain: int = 0

    def values(self) -> list[Value]:
        """Every value, the positional ones first."""
        return [operand.value for operand in (*self.positional, *self.keywords.values())]

    def get(self, position: int, name: str) -> Operand | None:
        """The operand of the parameter called `name` at `position`, where it is given."""
        if position < len(self.positional):
            return self.positional[position]
        return self.keywords.get(name)


class Count(IntEnum):
    """How many items an iteration gives: those that are listed, any number like the one that is, others."""

    LISTED = 0
    ALIKE = 1
    OTHERS = 2


class Budget(Struct, frozen=True):
    """Bounds of the work for one entry.

    Iterations of a loop that are run one by one, those of loops within loops, nodes that are
    evaluated, those of one way through a branch on a test that is not known, objects that are made, and
    how often a function may be within itself.
    """

    unrolled: int = 32
    rounds: int = 1024
    steps: int = 200_000
    arm: int = 200_000
    objects: int = 64
    recursion: int = 1


class Ways(Protocol):
    """Follows what the ways through a branch do to collections."""

    def ends(self, is_left: bool) -> None:
        """One of them ends, by an error where nothing is left of it."""

    def settle(self) -> Collection[int]:
        """All ended; the identities of collections of which is known how much they hold."""


class Interpretation:
    """A table from primitive to meaning, and how its values join.

    Everything defaults to the unknown value; an interpretation overrides what it knows about.
    `evaluator` is the one that runs code under it.
    """

    budget = Budget()
    is_ordered = False
    """Whether the order in which generators and contexts run matters."""
    evaluator: Evaluator

    def made(self, target: Closure | ClassObject, arguments: Arguments, make: Callable[[], Value]) -> Value:
        """What a call of a class or of a function that closes over nothing gives; `make` runs it."""
        return make()

    def replacing(self, receiver: Instance, name: str, value: Value) -> None:
        """An attribute is about to be written."""

    def assumed(self, iterable: Value, site: Site) -> int | None:
        """How many items an iteration of unknown length is taken to give; None if one stands for all."""
        return None

    def listed(self, items: Items, site: Site) -> Sequence[Value] | None:
        """What an iteration over items, of which there may be others, is taken to give; None if their join
        stands for all.
        """
        return None

    def arms(self, variables: Mapping[str, Value], site: Site) -> Ways | None:
        """What follows the collections in variables through a branch; None if nothing does."""
        return None

    def unknown(self, sources: Sequence[Value]) -> Value:
        """The value of which nothing is known but that it was made of `sources`."""
        raise NotImplementedError

    def unbound(self, name: str, scope: ModuleScope) -> Value:
        """A name in a module that nothing in the project binds."""
        return self.unknown(())

    def text(self, parts: Sequence[Value]) -> Value:
        """A text put together of parts that are not all known."""
        return self.unknown(())

    def name_of(self, value: Value) -> str:
        """The name of an attribute that a value holds; empty where that is not known."""
        return value.value if isinstance(value, Known) and isinstance(value.value, str) else ""

    def parameter(self, parameter: ir.Parameter, closure: Closure) -> Value:
        """The value of a parameter when nothing is known of the call."""
        return self.unknown(())

    def call(self, reference: Reference, arguments: Arguments, site: Site) -> Value:
        """The result of a function or class from outside the project."""
        return self.unknown(arguments.values())

    def method(self, receiver: Operand, name: str, arguments: Arguments, site: Site) -> Value:
        """The result of a method of a value that is not an object of the project."""
        return self.unknown([receiver.value, *arguments.values()])

    def operator(self, name: str, operands: tuple[Operand, ...], site: Site) -> Value:
        """The result of an operator of Python."""
        return self.unknown([operand.value for operand in operands])

    def initialised(self, model: Instance, initialise: Value, site: Site) -> Value:
        """A function is applied to each module of a model, without those that are such models themselves."""
        return self.unknown((model, initialise))

    def inherited(self, receiver: Value, name: str, arguments: Arguments, site: Site) -> Value:
        """The result of `super().name(...)` where that is a method from outside the project."""
        return self.unknown([receiver, *arguments.values()])

    def called(self, target: Instance, arguments: Arguments, site: Site) -> Value:
        """The result of calling an object whose class does not say in the project what that does."""
        return self.unknown([target, *arguments.values()])

    def attribute(self, receiver: Operand, name: str, site: Site) -> Value:
        """An attribute that the evaluator cannot look up itself."""
        return self.unknown((receiver.value,))

    def perhaps(self, owner: Value, found: Value, default: Value) -> Value:
        """What `getattr(owner, name, default)` gives; `found` is the attribute, if there is one."""
        return found

    def index(self, receiver: Operand, index: Value, site: Site) -> Value:
        """An item of something that is no collection with known items."""
        return self.unknown((receiver.value,))

    def lazily(self, found: Items) -> Value:
        """What a generator expression gives that goes through these items once."""
        return found

    def unpacked(self, value: Value, count: int) -> Value:
        """What is taken apart into `count` variables."""
        return value

    def replaced(self, receiver: Operand, index: Operand, value: Operand, site: Site) -> Value:
        """What `receiver` is after `receiver[index] = value`."""
        return self.unknown((receiver.value, value.value))

    def element(self, iterable: Value, site: Site) -> Value:
        """One item of an iteration over something that is not known item by item."""
        return self.unknown((iterable,))

    def join(self, values: Sequence[Value]) -> Value:
        """The least that holds of all `values`, which differ."""
        return self.unknown(values)

    def truth(self, value: Value) -> bool | None:
        """Whether a test of `value`, which is no constant, succeeds; None where that is not known."""
        return None

    def items(self, value: Value) -> Items | None:
        """What an iteration over something that the interpretation brought gives, item by item."""
        return None

    def settings(self, found: Table) -> Value:
        """What code is configured with where it is told nothing else, on the command line or in a file."""
        return self.unknown(())

    def table(self, value: Value) -> Table | None:
        """The entries of something that the interpretation brought, where they are known by their keys."""
        return None

    def chosen_key(self, value: Value) -> Value:
        """What a registry is asked for, where that is a setting."""
        return value

    def is_counted_once(self, iterable: Value | None) -> bool:
        """Whether a loop of unknown length counts as one iteration; None stands for one with a test."""
        return False

    def takes_as_listed(self) -> bool:
        """Whether arguments count as given that code may have added to, taken away or changed."""
        return False

    def is_exemplary(self, items: Sequence[Value]) -> bool:
        """Whether what one iteration puts into a collection counts as all that is in it."""
        return False

    def tested(self, value: Value) -> None:
        """A branch, an assertion or a loop depends on `value`."""

    def skipped(self, values: Sequence[Value]) -> None:
        """`values` are used by the arm of a branch that its test decided against."""

    def forgotten(self, value: Value, count: Count) -> Value:
        """What is known, at the start of any iteration of a loop, of a variable that the loop changes."""
        return self.unknown((value,))

    def repeated(self, first: Value, last: Value, site: Site) -> Value:
        """What a variable is behind a loop that counts as one iteration, which made `last` of `first`."""
        return last

    def stirred(self, body: tuple[ir.Statement, ...], frame: Frame) -> Iterable[tuple[Instance, str]]:
        """Objects with the attributes of theirs that a loop over `body` may change."""
        return ()

    def carried(self, values: Sequence[Value], before: Sequence[Value]) -> None:
        """`values` are what one iteration of a loop leaves to the next, which began with `before`."""

    def stored(self, receiver: Value, name: str, value: Operand, site: Site) -> Value | None:
        """`receiver.name = value` was executed; what became of `receiver` where that is another value.

        The name is empty where it is not known.
        """
        return None

    def construct(self, cls: ClassObject, arguments: Arguments, site: Site) -> Value:
        """An object of a class of the project whose constructor is not worth running."""
        return self.unknown(arguments.values())

    def enter(self, context: Value) -> None:
        """A `with` block or a decorated function begins."""

    def leave(self, context: Value) -> None:
        """The innermost open block of `context` ends."""

    def entered(self, context: Value) -> Value:
        """What `as` binds in `with context as …`."""
        return self.unknown((context,))

    def follows(self, target: Closure | ClassObject, depth: int) -> bool:
        """Whether a call of `target`, `depth` calls deep, is worth running."""
        return depth < 6

    def is_configuration(self, cls: ClassObject) -> bool:
        """Whether a parameter that is annotated with `cls` is worth an object made with defaults."""
        return False

    def telling(self, items: Sequence[Value]) -> Sequence[Value]:
        """The items of a loop that are worth an iteration of their own."""
        return items

    def progress(self) -> int:
        """A measure of what was found so far: an iteration that raises it speaks for those that follow."""
        return 0

    def of_class(self, cls: ClassObject, name: str, site: Site) -> Value:
        """An attribute of a class that the project does not define."""
        return self.unknown(())

    def stands_for(self, module: str, name: str) -> Value | None:
        """What a definition of a module means, where that is known without reading it."""
        return None

    def is_opaque(self, target: Instance) -> bool:
        """Whether calling an object of the project is a primitive, whatever its class says."""
        return False

    def collected(self, method: Method, arguments: Arguments, site: Site) -> None:
        """A method of a list, a dictionary or a set is called."""

    def dropped(self, value: Value, node: ir.Expression, site: Site) -> None:
        """A statement is an expression with this value, of which nothing is made."""

    # the order in which code runs

    def chooses(self, test: Value | None, catches: bool = False) -> None:
        """A choice between arms begins, on a test that is not known; None where there is none.

        Where it catches, the arms but the first are handlers of what that raises.
        """

    def takes(self, position: int) -> None:
        """The arm at this position of the innermost choice begins."""

    def chosen(self, alive: Sequence[int]) -> None:
        """The innermost choice ends; what follows is reached from these arms."""

    def merged(self) -> None:
        """The values that its arms left behind are joined."""

    def loops(self) -> None:
        """A loop begins."""

    def iterates(self, often: bool) -> None:
        """Another iteration of the innermost loop begins: one, or as `often` as there may be."""

    def looped(self) -> None:
        """The innermost loop ends."""

    def leaves(self, kind: str) -> None:
        """A `return`, `raise`, `break` or `continue`."""

    def turns_aside(self) -> object:
        """What a name of a module means is found out, out of the order in which code runs.

        The result is given back at the end.
        """
        return None

    def returns_to(self, before: object) -> None:
        """The order goes on where it was."""

    def enters(self, closure: Closure) -> None:
        """The body of a function begins."""

    def exits(self, closure: Closure) -> None:
        """The body of the innermost running function ends."""

    def guards(self) -> None:
        """A block begins behind which code runs, however it is left."""

    def guarded(self) -> object:
        """That code begins; the result is given back at its end."""
        return None

    def unguarded(self, guard: object) -> None:
        """That code has ended."""

    def suspends(self, is_block: bool) -> None:
        """A generator has yielded: what receives the value goes on, the body of a loop or a block."""

    def resumes(self) -> None:
        """The generator does."""

    def not_understood(self, reason: str) -> None:
        """The evaluator met something that it cannot follow."""


def known(operand: Operand | None) -> object:
    """The constant that an operand holds, or None."""
    return operand.value.value if operand is not None and isinstance(operand.value, Known) else None
