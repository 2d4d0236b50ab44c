"""What is known of a tensor: an interval, and why its special points can be reached."""

from __future__ import annotations

import math
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gradlint.semantics.interpretation import Operand, Site
from gradlint.semantics.value import Known, Value


class Witness(NamedTuple):
    """Why a value can be reached: a phrase, and the entry of the input battery that reaches it.

    `rare` tells that training hardly ever gets there.
    """

    reason: str
    condition: str
    rare: bool = False


SIGMOID = "a sigmoid output"
"""Why 0 is reached where arguments are far below 0."""

CONDITIONS = ("zeros", "equal rows", "randn", "large inputs", "one-hot logits", "all masked")
"""The entries of the input battery, the plainest first."""


class Facts(Struct, frozen=True):
    """What holds of every element of a tensor.

    All elements lie in [`lo`, `hi`]. `zero` witnesses that exactly 0 is reached on plausible input,
    `one` that exactly 1 (or -1) is; without a witness nothing is claimed either way. `unit` means
    rows of norm 1, `boolean` a truth value, `count` a number of things. `dtype` is known when given.
    `vanishes` are the entries of the input battery under which whole rows are exactly 0. `typical`
    is the number that a setting is unless someone changes it.
    """

    lo: float = -math.inf
    hi: float = math.inf
    zero: Witness | None = None
    one: Witness | None = None
    unit: bool = False
    boolean: bool = False
    count: bool = False
    dtype: str = ""
    vanishes: frozenset[str] = frozenset()
    typical: float | None = None

    @property
    def positive(self) -> bool:
        """Whether zero is excluded from below."""
        return self.lo > 0

    @property
    def claims(self) -> bool:
        """Whether anything is claimed to be reached."""
        return bool(self.zero or self.one or self.vanishes)

    def without_witnesses(self) -> Facts:
        """The same interval, with nothing claimed of what is reached."""
        if self.claims:
            return replace(self, zero=None, one=None, vanishes=frozenset())
        return self

    def vanishing(self, reason: str) -> Witness | None:
        """A witness that 0 is reached, where whole rows are; `reason` unless it is known better."""
        if self.zero is not None and self.zero.condition in self.vanishes:
            return self.zero
        return next((Witness(reason, entry) for entry in CONDITIONS if entry in self.vanishes), None)

    def joined(self, other: Facts) -> Facts:
        """What holds of a value that is this or the other; a point that either reaches is reached."""
        return Facts(
            min(self.lo, other.lo),
            max(self.hi, other.hi),
            self.zero or other.zero,
            self.one or other.one,
            self.unit and other.unit,
            self.boolean and other.boolean,
            self.count and other.count,
            self.dtype if self.dtype == other.dtype else "",
            self.vanishes & other.vanishes,
        )


TOP = Facts()
INPUT = Facts(vanishes=frozenset({"zeros"}))
MASK = Facts(0.0, 1.0, boolean=True, dtype="bool", vanishes=frozenset({"all masked"}))
EVERYWHERE = frozenset(CONDITIONS)
NOWHERE: frozenset[str] = frozenset()

REARRANGING = frozenset(
    {
        "bfloat16",
        "broadcast_to",
        "chunk",
        "clone",
        "contiguous",
        "cpu",
        "cuda",
        "diag",
        "diagonal",
        "double",
        "expand",
        "expand_as",
        "flatten",
        "flip",
        "float",
        "gather",
        "half",
        "index_select",
        "narrow",
        "permute",
        "real",
        "rearrange",
        "repeat",
        "repeat_interleave",
        "requires_grad_",
        "reshape",
        "roll",
        "sort",
        "split",
        "squeeze",
        "t",
        "take",
        "take_along_dim",
        "tile",
        "to",
        "topk",
        "transpose",
        "unbind",
        "unflatten",
        "unsqueeze",
        "view",
        "view_as",
    }
)
"""Primitives whose results consist of elements of their first operand."""


CALL = "__call__"
"""The primitive that stands for calling something of which nothing is known."""


class Application(Struct, frozen=True, eq=False):
    """One primitive applied to operands at one place.

    `primitive` is its canonical name (`log`, `linalg.norm`); a method's receiver is the first
    operand. `form` is `function`, `method`, `operator`, `in-place` (an augmented
    assignment, or one to an item), `index` or `module`. `tracked` tells whether
    autograd records it, as far as the code says. `number` is that of the result.
    """

    primitive: str
    form: str
    operands: tuple[Operand, ...]
    keywords: dict[str, Operand]
    site: Site
    tracked: bool = True
    number: int = 0

    def operand(self, position: int, name: str = "") -> Operand | None:
        """The operand at `position`, or of the keyword `name`."""
        if position < len(self.operands):
            return self.operands[position]
        return self.keywords.get(name) if name else None

    def value(self, position: int, name: str = "") -> Value | None:
        """The value of the operand at `position`, or of the keyword `name`."""
        operand = self.operand(position, name)
        return None if operand is None else operand.value

    def facts(self, position: int, name: str = "") -> Facts:
        """What is known of an operand; TOP when it is absent."""
        return facts_of(self.value(position, name))

    def constant(self, position: int, name: str = "") -> object:
        """The constant that an operand is, or None."""
        value = self.value(position, name)
        return value.value if isinstance(value, Known) else None

    def has(self, position: int, name: str) -> bool:
        """Whether the parameter is given."""
        return self.value(position, name) is not None


class Tensor(Value, frozen=True, eq=False):
    """A tensor, or anything else that may be one.

    Equal `number`s mean equal values. `roots` are the inputs and parameters that it depends on;
    `grad` tells whether it carries a gradient (None: not known). `producer` is the application
    that made it.
    """

    number: int
    facts: Facts = TOP
    roots: frozenset[str] = frozenset()
    grad: bool | None = None
    producer: Application | None = None


def is_input(value: Value | None) -> bool:
    """Whether `value` is an input of numbers, or a part of one."""
    return isinstance(value, Tensor) and value.producer is None and value.facts == INPUT


def facts_of(value: Value | None) -> Facts:
    """What is known of any value."""
    if isinstance(value, Tensor):
        return value.facts
    if isinstance(value, Known) and isinstance(value.value, (int, float)):
        number = float(value.value)
        if number == 0:
            return Facts(0.0, 0.0, Witness("the constant 0", "any"), vanishes=EVERYWHERE)
        return Facts(number, number)
    return TOP


def producer(value: Value | None, *primitives: str) -> Application | None:
    """The application that made `value`, if it is of one of `primitives` (or of any)."""
    made = value.producer if isinstance(value, Tensor) else None
    return made if made is not None and (not primitives or made.primitive in primitives) else None


def made(value: Value | None, *primitives: str) -> Application | None:
    """Like `producer`, for a value that is the whole result, not an item or a slice of it."""
    found = producer(value, *primitives)
    return found if found is not None and isinstance(value, Tensor) and found.number == value.number else None


def origin(value: Value | None) -> Value | None:
    """The value whose elements `value` consists of, in whatever order, shape or history."""
    while (moved := producer(value, "detach", *REARRANGING)) is not None:
        value = moved.value(0)
    return value


def sources(value: Value | None, far: int = 24) -> set[int]:
    """The numbers of a value and of all that it was made of, at most `far` steps behind it."""
    if not isinstance(value, Tensor):
        return set()
    found = {value.number}
    if value.producer is not None and far:
        for operand in value.producer.operands:
            found |= sources(operand.value, far - 1)
    return found


def same(first: Value | None, second: Value | None) -> bool:
    """Whether two values are known to be equal."""
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return first.number == second.number
    if isinstance(first, Known) and isinstance(second, Known):
        return bool(first.value == second.value)
    return first is second and first is not None
