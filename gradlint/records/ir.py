"""The intermediate representation: a small typed tree of what a body does.

Lowering drops comments, docstrings, formatting and sugar; every analysis is an interpretation of
these nodes. What lowering does not cover is an `Unknown` with its span, never silently lost.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from gradlint.records.span import Span


class Node(Struct, frozen=True, array_like=True, tag=True, gc=False):
    """Anything that stands somewhere."""

    span: Span


# expressions


class Literal(Node, frozen=True, array_like=True, tag=True, gc=False):
    """A number, string, truth value or None."""

    value: bool | int | float | str | None


class Name(Node, frozen=True, array_like=True, tag=True, gc=False):
    """A variable that is read, or written as a target."""

    id: str


class Attribute(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`value.name`."""

    value: Expression
    name: str


class Index(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`value[index]`."""

    value: Expression
    index: Expression


class Slice(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`lower:upper:step` inside an index."""

    lower: Expression | None
    upper: Expression | None
    step: Expression | None


class Keyword(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`name=value` of a call; the name is None for `**value`."""

    name: str | None
    value: Expression


class Call(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`function(*positional, **keywords)`."""

    function: Expression
    positional: tuple[Expression, ...]
    keywords: tuple[Keyword, ...]


IN_PLACE = {
    "iadd": "add",
    "isub": "sub",
    "imul": "mul",
    "itruediv": "truediv",
    "ifloordiv": "floordiv",
    "imod": "mod",
    "ipow": "pow",
    "imatmul": "matmul",
    "ilshift": "lshift",
    "irshift": "rshift",
    "ior": "or_",
    "iand": "and_",
    "ixor": "xor",
}
"""The operators of augmented assignments, and what they compute."""


class Operation(Node, frozen=True, array_like=True, tag=True, gc=False):
    """An operator with its operands: the names of module `operator`, and `and`, `or`, `in`, `is`."""

    operator: str
    operands: tuple[Expression, ...]


class Conditional(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`then if test else otherwise`."""

    test: Expression
    then: Expression
    otherwise: Expression


class Display(Node, frozen=True, array_like=True, tag=True, gc=False):
    """A tuple, list or set; a formatted "string" with what is filled in, or a "text" with all parts."""

    kind: str
    items: tuple[Expression, ...]


class Dictionary(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`{key: value}`; the key is None for `**value`."""

    keys: tuple[Expression | None, ...]
    values: tuple[Expression, ...]


class Generator(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`for target in iterable if conditions` of a comprehension."""

    target: Expression
    iterable: Expression
    conditions: tuple[Expression, ...]


class Comprehension(Node, frozen=True, array_like=True, tag=True, gc=False):
    """A list, set, dict or generator comprehension; `key` only for dicts."""

    kind: str
    key: Expression | None
    element: Expression
    generators: tuple[Generator, ...]


class Parameter(Node, frozen=True, array_like=True, tag=True, gc=False):
    """One parameter; kind is `plain`, `keyword`, `arguments` (`*a`) or `keywords` (`**k`)."""

    name: str
    kind: str
    default: Expression | None
    annotation: Expression | None


class Lambda(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`lambda parameters: body`."""

    parameters: tuple[Parameter, ...]
    body: Expression


class Starred(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`*value`."""

    value: Expression


class Walrus(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`name := value`."""

    name: str
    value: Expression


class Suspend(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`await`, `yield` or `yield from`."""

    kind: str
    value: Expression | None


class Unknown(Node, frozen=True, array_like=True, tag=True, gc=False):
    """Something that is not represented; `kind` says what, `parts` are the expressions within."""

    kind: str
    parts: tuple[Expression, ...] = ()


Expression: TypeAlias = (
    Literal
    | Name
    | Attribute
    | Index
    | Slice
    | Call
    | Operation
    | Conditional
    | Display
    | Dictionary
    | Comprehension
    | Lambda
    | Starred
    | Walrus
    | Suspend
    | Unknown
)


# statements


class Assign(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`targets = value`; a bare annotation has no value."""

    targets: tuple[Expression, ...]
    value: Expression | None
    annotation: Expression | None = None


class Augment(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`target op= value`; the operator is named as in `IN_PLACE`."""

    target: Expression
    operator: str
    value: Expression


class Evaluate(Node, frozen=True, array_like=True, tag=True, gc=False):
    """An expression evaluated for its effect."""

    value: Expression


class Return(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`return value`."""

    value: Expression | None


class Branch(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`if test: then else: otherwise`; a `match` becomes a chain of them."""

    test: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


class Loop(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`for target in iterable`, or `while test` (then without target and iterable)."""

    target: Expression | None
    iterable: Expression | None
    test: Expression | None
    body: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


class Item(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`context as target` of a `with`."""

    context: Expression
    target: Expression | None


class With(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`with items: body`."""

    items: tuple[Item, ...]
    body: tuple[Statement, ...]


class Handler(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`except exception as name: body`."""

    exception: Expression | None
    name: str | None
    body: tuple[Statement, ...]


class Try(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`try: body except …: else: finally:`."""

    body: tuple[Statement, ...]
    handlers: tuple[Handler, ...]
    otherwise: tuple[Statement, ...]
    final: tuple[Statement, ...]


class Raise(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`raise value`."""

    value: Expression | None


class Assert(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`assert test`."""

    test: Expression


class Delete(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`del targets`."""

    targets: tuple[Expression, ...]


class Declare(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`global` or `nonlocal` names."""

    kind: str
    names: tuple[str, ...]


class Jump(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`break` or `continue`."""

    kind: str


class Binding(Node, frozen=True, array_like=True, tag=True, gc=False):
    """One name that an import binds.

    `module` is what stands behind `from` (empty for a plain import), `member` what is taken from it
    (`*` for all), `level` the number of leading dots.
    """

    name: str
    module: str
    member: str
    level: int


class Import(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`import a.b as c` or `from .a import b as c`."""

    bindings: tuple[Binding, ...]


class Function(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`def name(parameters): body`; `header` spans the name."""

    name: str
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]
    decorators: tuple[Expression, ...]
    is_generator: bool
    header: Span


class Class(Node, frozen=True, array_like=True, tag=True, gc=False):
    """`class name(bases): body`; `header` spans the name."""

    name: str
    bases: tuple[Expression, ...]
    keywords: tuple[Keyword, ...]
    body: tuple[Statement, ...]
    decorators: tuple[Expression, ...]
    header: Span


class Omitted(Node, frozen=True, array_like=True, tag=True, gc=False):
    """A definition or assignment that nothing asked for; `names` are what it binds."""

    names: tuple[str, ...]
    defines_class: bool = False


Statement: TypeAlias = (
    Assign
    | Augment
    | Evaluate
    | Return
    | Branch
    | Loop
    | With
    | Try
    | Raise
    | Assert
    | Delete
    | Declare
    | Jump
    | Import
    | Function
    | Class
    | Omitted
)
