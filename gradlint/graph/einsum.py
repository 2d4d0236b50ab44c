"""What an einsum of a signal and a weight adds up."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradlint.graph.values import Shape


def contracted(equation: str, weight: int, shape: Shape) -> tuple[int | None, int | None] | None:
    """How many products an output adds up and how many outputs a weight makes of them.

    `weight` says which of the two operands it is. None where no axis is added up over both, or one of
    them is added up by itself. Axes are letters, or names between spaces as einops has them.
    """
    terms, _, result = equation.partition("->")
    operands = terms.split(",")
    if not result or len(operands) != 2:
        return None
    is_named = any(len(word) > 1 for word in _words(operands[0], operands[1])) and all(
        word.isalnum() for word in _words(*operands, result)
    )
    own, other, out = (_axes(text, is_named) for text in (operands[weight], operands[1 - weight], result))
    summed = [axis for axis in own if axis in other and axis not in out]
    if not summed or any(axis not in out and axis not in summed for axis in (*own, *other)):
        return None
    if shape is None or len(shape) != len(own):
        return None, None
    sizes = dict(zip(own, shape, strict=True))
    made = [axis for axis in own if axis in out and axis not in other]
    return _product([sizes[axis] for axis in summed]), _product([sizes[axis] for axis in made])


def _words(*texts: str) -> list[str]:
    return [word for text in texts for word in text.split()]


def _axes(text: str, is_named: bool) -> list[str]:
    if is_named and " " in text.strip():
        return text.split()
    return list(text.replace("...", "…").replace(" ", ""))


def _product(sizes: Sequence[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None
