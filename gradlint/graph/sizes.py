"""How long the dimensions of a signal are, as far as the code says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from gradlint.graph.values import Anything, Shape, number
from gradlint.records.graph import Setting
from gradlint.semantics.value import Known, Value

MOST = 256
"""Parts of a signal that are told apart along one dimension."""


class Sizes(Struct, frozen=True):
    """The known sizes by dimension, counted from the front, and how many dimensions there are.

    Where that is not known, `final` is the size of the last one. `like` is the number of a signal with the
    same dimensions before the last one.
    """

    known: dict[int, int] = {}
    rank: int | None = None
    final: int | None = None
    like: int | None = None

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
            return Sizes(final=size, like=self.like)
        kept = {at: n for at, n in self.known.items() if at != self.rank - 1}
        known = kept if size is None else {**kept, self.rank - 1: size}
        return Sizes(known, self.rank, like=self.like)

    def cut(self, dimension: int | None, size: int | None) -> Sizes:
        """Those of a part along one dimension, of this size there."""
        at = self.position(dimension)
        if dimension == -1 or (at is not None and self.rank is not None and at == self.rank - 1):
            return self.last(size)
        if at is None:
            return NOTHING
        known = {d: n for d, n in self.known.items() if d != at}
        return Sizes(known if size is None else {**known, at: size}, self.rank, self.final)

    def of(self, signal: int) -> Sizes:
        """The same as the sizes of a signal: it is like itself, if like no other."""
        return self if self.like is not None else Sizes(self.known, self.rank, self.final, signal)

    def ranked(self, rank: int) -> Sizes:
        """The same where the number of dimensions is seen from how the code takes them apart."""
        if self.rank is not None:
            return self
        return Sizes(self.known, rank, like=self.like).last(self.final)


NOTHING = Sizes()


class SizeOf(Anything, frozen=True, eq=False):
    """The size of a signal, of which single items may be asked for."""

    sizes: Sizes = NOTHING


class SizeAt(Anything, frozen=True, eq=False, kw_only=True):
    """The unknown size of a dimension of a signal of this many dimensions."""

    signal: int
    dimension: int
    rank: int


def size_at(sizes: Sizes, dimension: int | None) -> Value:
    """The size of one dimension: its number, or whose it is, as far as either is known."""
    size, at = sizes.at(dimension), sizes.position(dimension)
    if size is not None:
        return Known(size)
    if sizes.like is None or sizes.rank is None or at is None:
        return Anything()
    return SizeAt(signal=sizes.like, dimension=at, rank=sizes.rank)


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
