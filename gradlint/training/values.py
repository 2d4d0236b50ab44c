"""The values that the reading of training code adds to those of the evaluator."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from gradlint.records.graph import Setting
from gradlint.semantics.interpretation import Site
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Instance,
    Items,
    Known,
    Partial,
    Reference,
    Table,
    Value,
)
from gradlint.training.profiles import Profile

SCALE = "GradScaler.get_scale"
"""The type of the number that a gradient scaler multiplies by, and of what is computed of it."""

BY_CALL, BY_METHOD = "()", ".()"
"""Names, among the attributes of an object, of what calling it gives, and of what a method of it does."""


PREPARED = "(prepared)"
"""The attribute of an optimizer that says whether a library unscales what it steps with."""


class Symbol(Value, frozen=True, eq=False):
    """An object or a number of which only its identity is known.

    `number` counts symbols in the order in which they appeared; `born` is that of the youngest one that
    it is made of. `parent` is the object of which it is a part, as its attribute `name`. `type` is what was
    called to make it. `default` is what a setting is where a run is told nothing else: a constant, or a
    collection of settings.
    """

    number: int
    born: int
    attributes: dict[str, Value]
    parent: Value | None = None
    type: str = ""
    name: str = ""
    default: Value | None = None


class Copy(Symbol, frozen=True, eq=False, kw_only=True):
    """A deep copy: it has nothing in common with what it was made of, which may change on its own."""

    original: Value

    def gives(self, part: Value) -> bool:
        """Whether something is a part of the copy, which another object may hold as well."""
        return part is self or (isinstance(part, Symbol) and part.parent is self)

    def keeps(self, part: Value) -> bool:
        """Whether an attribute is the copy's own, or a constant."""
        return isinstance(part, Known) or self.gives(part)


class Module(Value, frozen=True, eq=False):
    """A model whose constructor is not run: its class, where that is in the project, or its name."""

    type: str
    attributes: dict[str, Value]
    site: Site
    cls: ClassObject | None = None


class Parameters(Value, frozen=True, eq=False):
    """Some or all parameters of modules, or those that optimizers hold.

    `owners` is None where they are not known. `spent` is a cell that holds when a generator of them was
    "drawn" and whether an optimizer has "taken" it; None for a collection.
    """

    owners: tuple[Value, ...] | None
    is_whole: bool = True
    is_named: bool = False
    spent: dict[str, Value] | None = None


class Weight(Value, frozen=True, eq=False):
    """One of these parameters, any."""

    of: Parameters


class Optimizer(Value, frozen=True, eq=False):
    """An optimizer with what it holds; `attributes` are those that code has given it."""

    type: str
    held: Parameters
    settings: dict[str, Setting]
    site: Site
    attributes: dict[str, Value] = {}


class Scaler(Value, frozen=True, eq=False):
    """A gradient scaler; `attributes` are those that code has given it."""

    type: str
    settings: dict[str, Setting]
    site: Site
    attributes: dict[str, Value] = {}


class Scheduler(Value, frozen=True, eq=False):
    """A schedule of learning rates.

    `length` is how many steps of its own it is made for, where it is told; `born` the number of the next
    symbol when it was made.
    """

    type: str
    optimizer: Value
    settings: dict[str, Setting]
    site: Site
    length: Value | None = None
    born: int = 0


class Context(Value, frozen=True, eq=False):
    """A context manager of torch."""

    kind: str
    settings: dict[str, Setting]
    site: Site


class Tensor(Value, frozen=True, eq=False):
    """A tensor.

    `passes` are the forward passes that it comes from by operations that a gradient goes through,
    `states` the variables of a loop that it comes from; `is_certain` where both are all, and known to
    be. `is_divided` says whether it was multiplied or divided by a number (None: not known). `scaled` is
    the scaler whose scale it bears, `gradient` what it is the gradient of. `reduction` is how the loss
    that it is sums up over a batch, "" where it is none. `cut` are forward passes that it comes from by
    operations that no gradient goes through, `form` what is said in `forms`. `is_sometimes` where it hangs
    on its passes or, on some ways, on nothing at all, as the loss of a batch without labels may.
    """

    passes: frozenset[int] = frozenset()
    states: frozenset[int] = frozenset()
    is_certain: bool = True
    is_divided: bool | None = False
    scaled: Value | None = None
    gradient: Parameters | None = None
    reduction: str = ""
    cut: frozenset[int] = frozenset()
    form: str = ""
    is_sometimes: bool = False


class Truth(Value, frozen=True, eq=False):
    """The result of a test: the truth of `atom`, or its contrary; `parts` follow from an "and" or "or"."""

    atom: int
    born: int
    is_negated: bool = False
    junction: str = ""
    parts: tuple[Truth, ...] = ()


def negated(test: Truth) -> Truth:
    """The contrary of a test."""
    return Truth(test.atom, test.born, not test.is_negated, test.junction, test.parts)


class Either(Value, frozen=True, eq=False):
    """One of two values: the first where `test` is true; which one is not known without a test."""

    options: tuple[Value, ...]
    test: Truth | None = None


class Tool(Value, frozen=True, eq=False):
    """An object of a library that takes part in training, with the arguments that made it.

    `is_open` where there may be more of them.
    """

    profile: Profile
    type: str
    arguments: dict[str, Value]
    is_open: bool
    site: Site


class Given(Value, frozen=True, eq=False):
    """A function that gives one value."""

    value: Value


class Bound(Value, frozen=True, eq=False):
    """A method that was taken from an object and not called yet."""

    receiver: Value
    name: str
    site: Site


def options(value: Value) -> Iterator[Value]:
    """What a value may be, alternatives taken apart; None aside where there is something else."""
    found = list(_options(value))
    real = [each for each in found if not (isinstance(each, Known) and each.value is None)]
    yield from real or found


def _options(value: Value) -> Iterator[Value]:
    if isinstance(value, Either):
        for option in value.options:
            yield from _options(option)
    else:
        yield value


def tensors(value: Value, depth: int = 4) -> Iterator[Tensor]:
    """The tensors in a value."""
    for option in options(value):
        if isinstance(option, Tensor):
            yield option
        elif isinstance(option, (Items, Table)) and depth:
            for item in option.items if isinstance(option, Items) else option.values():
                yield from tensors(item, depth - 1)


def has_tensors(value: Value) -> bool:
    """Whether there is a tensor in a value."""
    return next(tensors(value), None) is not None


def parts(value: Value) -> Iterator[Value]:
    """What a value directly consists of."""
    if isinstance(value, (Instance, Module, Symbol)):
        yield from value.attributes.values()
    elif isinstance(value, Items):
        yield from value.items
    elif isinstance(value, Table):
        yield from value.values()
    elif isinstance(value, Either):
        yield from value.options
    elif isinstance(value, Bound):
        yield value.receiver
    elif isinstance(value, Partial):
        yield from (value.function, *value.positional, *value.keywords.values())
    elif isinstance(value, Closure) and value.receiver is not None:
        yield value.receiver


def within(value: Value, most: int = 4000) -> Iterator[Value]:
    """A value and all that it consists of, so many at most."""
    pending, seen = [value], set[int]()
    while pending and len(seen) < most:
        part = pending.pop()
        if id(part) not in seen:
            seen.add(id(part))
            yield part
            pending.extend(parts(part))


def key_of(value: Value) -> Hashable:
    """What tells values apart that are known by their identity or by their constant."""
    if isinstance(value, Known):
        try:
            hash(value.value)
        except TypeError:
            return ("identity", id(value))
        return ("constant", type(value.value).__name__, value.value)
    if isinstance(value, Symbol):
        return ("symbol", value.number)
    if isinstance(value, Truth):
        return ("truth", value.atom, value.is_negated)
    if isinstance(value, Reference):
        return ("reference", value.name)
    if isinstance(value, Items) and not value.open and len(value.items) < 8:
        return ("items", value.kind, tuple([key_of(item) for item in value.items]))
    return ("identity", id(value))


def born_of(value: Value) -> int:
    """The number of the youngest symbol that a value is made of."""
    if isinstance(value, (Symbol, Truth)):
        return value.born
    if isinstance(value, Items):
        return max([born_of(item) for item in value.items], default=0)
    return 0
