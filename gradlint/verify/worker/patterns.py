"""Shapes that patterns of einops ask for: "b c (h p1) (w p2) -> b (h w) (p1 p2 c)"."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from typing import Any

_AXIS = re.compile(r"\(([^)]*)\)|(\w+)|(\.\.\.)")
_STATED = re.compile(r'pattern [\'"]([^\'"]*->[^\'"]*)[\'"]')
_INFO = re.compile(r"Additional info: (\{.*?\})")
_CHANNELS = 3


def stated(text: str) -> tuple[str, dict[str, int]] | None:
    """The pattern that an error message names, with the lengths of its axes that are known."""
    found, info = _STATED.search(text), _INFO.search(text)
    if found is None:
        return None
    try:
        lengths = ast.literal_eval(info[1]) if info else {}
    except (ValueError, SyntaxError):
        lengths = {}
    return found[1], {str(name): int(size) for name, size in lengths.items()}


def of_layer(module: Any) -> tuple[str, dict[str, int]] | None:
    """The pattern that a layer applies, with the lengths that it was given."""
    pattern, lengths = getattr(module, "pattern", None), getattr(module, "axes_lengths", None)
    if not isinstance(pattern, str) or "->" not in pattern or not isinstance(lengths, Mapping):
        return None
    return pattern, {name: size for name, size in lengths.items() if isinstance(size, int)}


def shape(
    pattern: str, lengths: Mapping[str, int], batch: int, width: int, side: int
) -> tuple[int, ...] | None:
    """A shape that a pattern takes, of `batch` samples and about `side` long where nothing says how long.

    `width` is the length of the last axis of the result, which a layer behind it takes, or 0.
    None of patterns with an ellipsis.
    """
    before, _, after = pattern.partition("->")
    axes, made = _axes(before), _axes(after)
    if any("..." in names for names in (*axes, *made)) or not axes:
        return None
    known = {**_solved(made[-1] if made else [], lengths, width), **lengths}
    sizes = [_length(names, known, side, is_space=len(axes) > 3 and i > 1) for i, names in enumerate(axes)]
    return (batch, *sizes[1:])


def _axes(text: str) -> list[list[str]]:
    """The axes of one side of a pattern, each with the names that it is put together of."""
    return [
        found[1].split() if found[1] is not None else [found[2] or found[3]] for found in _AXIS.finditer(text)
    ]


def _solved(names: list[str], lengths: Mapping[str, int], width: int) -> dict[str, int]:
    """The length of the only unknown name of an axis that is `width` long."""
    unknown = [name for name in names if name not in lengths]
    rest = math.prod(lengths[name] for name in names if name in lengths)
    return {unknown[0]: width // rest} if len(unknown) == 1 and width and width % rest == 0 else {}


def _length(names: list[str], known: Mapping[str, int], side: int, *, is_space: bool) -> int:
    fixed = math.prod(known[name] for name in names if name in known)
    if all(name in known for name in names):
        return fixed
    if len(names) == 1 and not is_space:
        return _CHANNELS if names[0] == "c" else 16
    return fixed * max(side // fixed, 1)
