"""The sizes of a signal behind a function that only re-arranges it, or behind an index."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from gradlint.graph import einops
from gradlint.graph.sizes import NOTHING, SizeAt, Sizes, whole
from gradlint.semantics.interpretation import Arguments
from gradlint.semantics.value import Items, Known, Value


def rearranged(name: str, before: Sizes, arguments: Arguments) -> Sizes | None:
    """The sizes behind a function that only re-arranges, the signal being its first argument."""
    if name == "rearrange" and len(arguments.positional) > 1:
        return _by_pattern(before, arguments)
    change = _CHANGES.get(name)
    if change is None or arguments.open:
        return None
    values = [operand.value for operand in arguments.positional[1:]]
    values += [operand.value for operand in arguments.keywords.values()]
    if len(values) == 1 and isinstance(values[0], Items):
        if values[0].open:
            return None
        values = values[0].items
    sizes = [whole(value) for value in values]
    return change(before, _filled(before, values, sizes) if change is _viewed else sizes)


def _by_pattern(before: Sizes, arguments: Arguments) -> Sizes | None:
    pattern = arguments.positional[1].value
    if not isinstance(pattern, Known) or not isinstance(pattern.value, str):
        return None
    lengths = {name: whole(operand.value) for name, operand in arguments.keywords.items()}
    return einops.rearranged(before, pattern.value, {k: n for k, n in lengths.items() if n is not None})


def _filled(before: Sizes, values: Sequence[Value], sizes: list[int | None]) -> list[int | None]:
    """New sizes, and the one that follows from the others where only the last dimension is divided."""
    width, front = before.at(-1), _front(before, values)
    missing = [at for at in range(front, len(sizes)) if sizes[at] in (None, -1)]
    known = math.prod([n or 0 for at, n in enumerate(sizes) if at >= front and at not in missing])
    if not front or width is None or len(missing) != 1 or known < 1 or width % known:
        return sizes
    return [width // known if at in missing else n for at, n in enumerate(sizes)]


def _front(before: Sizes, values: Sequence[Value]) -> int:
    """How many dimensions stand before the last one, if they come first in these sizes; else 0."""
    own = [v for v in values if isinstance(v, SizeAt) and v.signal == before.like]
    front = own[0].rank - 1 if own else 0
    stays = all(
        v in own and v.dimension == at if isinstance(v, SizeAt) else whole(v) == before.known.get(at, -1)
        for at, v in enumerate(values[:front])
    )
    return front if stays and before.rank in (None, front + 1) else 0


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
    added = len(sizes) - before.rank if before.rank is not None else 0
    places = {at + added if at >= 0 else at: n for at, n in before.known.items()}
    kept = {at: n for at, n in places.items() if -len(sizes) <= at < len(sizes) and sizes[at] == -1}
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


_MOST = 64
"""Pieces of one tensor that are told apart."""


def cut(name: str, by: Value, size: int | None) -> tuple[int | None, ...] | None:
    """How long the pieces are into which a dimension of this size is cut; None for pieces of unknown number.

    `chunk` is told how many there shall be, `split` how long each, or what follows one another.
    """
    if isinstance(by, Items) and name.startswith("split"):
        return None if by.open else tuple([whole(each) for each in by.items])
    given = whole(by)
    if given is None or given < 1:
        return None
    if name != "split":
        even = size // given if size is not None and size % given == 0 else None
        return (even,) * given if given <= _MOST else None
    if size is None or size > given * _MOST:
        return None
    rest = (size % given,) if size % given else ()
    return (given,) * (size // given) + rest


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
