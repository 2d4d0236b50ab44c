"""How long the dimensions of a signal are, as far as the code says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from gradlint.graph.values import Anything, Shape, number
from gradlint.records.graph import Setting
from gradlint.semantics.interpretation import Arguments
from gradlint.semantics.value import Items, Known, Value

MOST = 256
"""Parts of a signal that are told apart along one dimension."""


class Sizes(Struct, frozen=True):
    """The known sizes by dimension, counted from the front, and how many dimensions there are.

    Where that is not known, `final` is the size of the last one.
    """

    known: dict[int, int] = {}
    rank: int | None = None
    final: int | None = None

    def at(self, dimension: int | None) -> int | None:
        """The size of a dimension, which may be counted from the end."""
        if dimension is None:
            return None
        if dimension < 0:
            if self.rank is None:
                return self.final if dimension == -1 else None
            dimension += self.rank
        return self.known.get(dimension)

    def position(self, dimension: int | None) -> int | None:
        """A dimension counted from the front."""
        if dimension is None or dimension >= 0:
            return dimension
        return None if self.rank is None else dimension + self.rank

    def last(self, size: int | None) -> Sizes:
        """The same with another last dimension."""
        if self.rank is None:
            return Sizes(final=size)
        kept = {at: n for at, n in self.known.items() if at != self.rank - 1}
        return Sizes(kept if size is None else {**kept, self.rank - 1: size}, self.rank)


NOTHING = Sizes()


class SizeOf(Anything, frozen=True, eq=False):
    """The size of a signal, of which single items may be asked for."""

    sizes: Sizes = NOTHING


def of_shape(shape: Shape) -> Sizes:
    """What the shape of a weight or a fresh tensor tells."""
    if shape is None:
        return NOTHING
    return Sizes({at: size for at, size in enumerate(shape) if size is not None}, len(shape))


_KEPT = frozenset(
    {
        *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "celu", "selu", "gelu", "silu", "mish"),
        *("softplus", "sigmoid", "logsigmoid", "hardsigmoid", "tanh", "hardtanh", "hardswish", "softsign"),
        *("batch_norm", "instance_norm", "layer_norm", "rms_norm", "group_norm", "normalize", "dropout"),
        *("dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "drop_path", "scale", "shift", "neg"),
        *("identity", "detach", "masked", "softmax", "log_softmax", "exp", "log", "sin", "cos", "clamp"),
        *("square", "sqrt", "abs", "pow"),
    }
)
_BROADCAST = frozenset({"add", "sub", "mul", "div", "join"})


def made_by(op: str, settings: Mapping[str, Setting], inputs: Sequence[Sizes]) -> Sizes:
    """The sizes of what an operation makes of signals of these sizes."""
    first = inputs[0] if inputs else NOTHING
    if op in _KEPT:
        return first
    if op in _BROADCAST:
        return broadcast(inputs)
    if op == "cat":
        return _joined(settings, inputs)
    if op == "linear":
        return first.last(_whole(settings.get("out_features")))
    if op == "embedding":
        width, rank = _whole(settings.get("embedding_dim")), first.rank
        return Sizes(first.known) if rank is None else Sizes(first.known, rank + 1).last(width)
    if op in ("rnn", "lstm", "gru"):
        return Sizes({at: size for at, size in first.known.items() if at < 2}, 3)
    return NOTHING


def products(op: str, settings: Mapping[str, Setting], inputs: Sequence[Sizes]) -> int | None:
    """How many products of two signals each element of their matrix product adds up."""
    if len(inputs) != 2:
        return None
    first, second = inputs
    if op in ("matmul", "bmm"):
        return first.at(-1) or second.at(-2)
    terms, _, result = str(settings.get("equation") or "").replace(" ", "").partition("->")
    one, _, other = terms.partition(",")
    summed = [axis for axis in one if axis in other and axis not in result]
    if op != "einsum" or len(summed) != 1 or not result:
        return None
    axis = summed[0]
    return _size_of(first, one, axis) or _size_of(second, other, axis)


def _size_of(sizes: Sizes, axes: str, axis: str) -> int | None:
    if axes.endswith(axis):
        return sizes.at(-1)
    return sizes.known.get(axes.index(axis)) if sizes.rank == len(axes) else None


def broadcast(inputs: Sequence[Sizes]) -> Sizes:
    """The sizes of a sum of signals with equally many dimensions."""
    ranks = {each.rank for each in inputs}
    if len(ranks) != 1 or None in ranks:
        return NOTHING
    known: dict[int, int] = {}
    for each in inputs:
        known.update({at: size for at, size in each.known.items() if size > 1 or at not in known})
    return Sizes(known, ranks.pop())


def _joined(settings: Mapping[str, Setting], inputs: Sequence[Sizes]) -> Sizes:
    """Tensors one behind the other along one dimension."""
    same = broadcast(inputs)
    at, parts = same.position(_whole(settings.get("dim"))), settings.get("sizes")
    if same.rank is None or at is None:
        return NOTHING
    known = {d: n for d, n in same.known.items() if d != at}
    sizes = [part for part in parts if part is not None] if isinstance(parts, tuple) else []
    return Sizes({**known, at: sum(sizes)} if len(sizes) == len(inputs) else known, same.rank)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def whole(value: Value | None) -> int | None:
    """The integer that a value is, or None."""
    return _whole(number(value))


def rearranged(name: str, before: Sizes, arguments: Arguments) -> Sizes | None:
    """The sizes behind a function that only re-arranges, the signal being its first argument."""
    change = _CHANGES.get(name)
    if change is None or arguments.open:
        return None
    values = [operand.value for operand in arguments.positional[1:]]
    values += [operand.value for operand in arguments.keywords.values()]
    if len(values) == 1 and isinstance(values[0], Items):
        if values[0].open:
            return None
        values = values[0].items
    return change(before, [whole(value) for value in values])


def _viewed(before: Sizes, sizes: list[int | None]) -> Sizes:
    return Sizes({at: n for at, n in enumerate(sizes) if n is not None and n >= 0}, len(sizes))


def _repeated(before: Sizes, times: list[int | None]) -> Sizes:
    known = {
        at: n * size
        for at, n in enumerate(times)
        if n is not None and (size := before.known.get(at)) is not None
    }
    return Sizes(known, len(times))


def _expanded(before: Sizes, sizes: list[int | None]) -> Sizes:
    kept = {at: n for at, n in before.known.items() if at < len(sizes) and sizes[at] == -1}
    given = {at: n for at, n in enumerate(sizes) if n is not None and n >= 0}
    return Sizes({**kept, **given}, len(sizes))


def _unsqueezed(before: Sizes, dimensions: list[int | None]) -> Sizes:
    rank = None if before.rank is None else before.rank + 1
    at = Sizes({}, rank).position(dimensions[0]) if dimensions else None
    if at is None:
        return Sizes({}, rank)
    moved = {(d if d < at else d + 1): n for d, n in before.known.items()}
    return Sizes({**moved, at: 1}, rank)


def _squeezed(before: Sizes, dimensions: list[int | None]) -> Sizes:
    at = before.position(dimensions[0]) if dimensions else None
    if at is None or before.known.get(at) != 1:
        return NOTHING
    moved = {(d if d < at else d - 1): n for d, n in before.known.items() if d != at}
    return Sizes(moved, None if before.rank is None else before.rank - 1)


def _swapped(before: Sizes, dimensions: list[int | None]) -> Sizes:
    places = [before.position(d) for d in dimensions[:2]]
    if len(places) != 2 or None in places:
        return NOTHING
    a, b = places
    swap = {a: b, b: a}
    return Sizes({swap.get(d, d) or 0: n for d, n in before.known.items()}, before.rank)


def _permuted(before: Sizes, dimensions: list[int | None]) -> Sizes:
    ranked = Sizes(before.known, len(dimensions))
    known = {new: n for new, old in enumerate(dimensions) if (n := ranked.at(old)) is not None}
    return Sizes(known, len(dimensions))


_CHANGES: dict[str, Callable[[Sizes, list[int | None]], Sizes]] = {
    "view": _viewed,
    "reshape": _viewed,
    "repeat": _repeated,
    "tile": _repeated,
    "expand": _expanded,
    "unsqueeze": _unsqueezed,
    "squeeze": _squeezed,
    "transpose": _swapped,
    "swapaxes": _swapped,
    "permute": _permuted,
}
_SAME = ("contiguous", "clone", "to", "float", "cuda", "cpu", "double", "half", "detach", "flip")
_CHANGES |= {name: lambda before, values: before for name in _SAME}


def indexed(before: Sizes, index: Value) -> tuple[Sizes, tuple[int | None, ...] | None]:
    """The sizes of `signal[index]`, and the whole numbers or last places in the index by dimension.

    A slice is None among them, unless it takes the last place only.
    """
    parts = index.items if isinstance(index, Items) else [index]
    if not all(isinstance(part, Known) for part in parts):
        return NOTHING, None
    keys = [part.value for part in parts if isinstance(part, Known)]
    if not all(_is_plain(key) for key in keys):
        return NOTHING, None
    kept: dict[int, int] = {}
    dropped = 0
    for at, key in enumerate(keys):
        size = _sliced(key, before.known.get(at))
        if isinstance(key, int):
            dropped += 1
        elif size is not None:
            kept[at - dropped] = size
    kept.update({at - dropped: n for at, n in before.known.items() if at >= len(keys)})
    rank = None if before.rank is None else before.rank - dropped
    return Sizes(kept, rank), tuple([_place(key) for key in keys])


def _is_plain(key: object) -> bool:
    is_slice = isinstance(key, tuple) and len(key) == 4 and key[0] == "slice"
    return is_slice or (isinstance(key, int) and not isinstance(key, bool))


def _sliced(key: object, size: int | None) -> int | None:
    if not isinstance(key, tuple) or not all(isinstance(bound, (int, type(None))) for bound in key[1:]):
        return None
    if key[1:] == (None, None, None):
        return size
    return None if size is None else len(range(*slice(*key[1:]).indices(size)))


def _place(key: object) -> int | None:
    if isinstance(key, int):
        return key
    return -1 if key == ("slice", -1, None, None) else None
