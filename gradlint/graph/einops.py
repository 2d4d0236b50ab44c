"""The sizes behind `einops.rearrange`, from its pattern and the lengths of axes that it is given."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from gradlint.graph.sizes import NOTHING, Sizes

_TOKEN = re.compile(r"\(([^()]*)\)|(\S+)")

Groups = list[list[str]]


def rearranged(before: Sizes, pattern: str, lengths: Mapping[str, int]) -> Sizes:
    """The sizes of what `pattern` makes of a signal; nothing for patterns with an ellipsis."""
    left, arrow, right = pattern.partition("->")
    if not arrow or "..." in pattern:
        return NOTHING
    old, new = _groups(left), _groups(right)
    known = dict(lengths) | {axis: int(axis) for axes in new for axis in axes if axis.isdigit()}
    for at, axes in enumerate(old):
        size = before.at(at) if before.rank == len(old) else before.at(-1) if at == len(old) - 1 else None
        _solve(axes, size, known)
    whole = [(at, axes) for at, axes in enumerate(new) if known.keys() >= {*axes}]
    return Sizes({at: math.prod([known[axis] for axis in axes]) for at, axes in whole}, len(new))


def _groups(side: str) -> Groups:
    return [(group or single).split() for group, single in _TOKEN.findall(side)]


def _solve(axes: list[str], size: int | None, known: dict[str, int]) -> None:
    """The one axis of a group that is not known, where the others divide the size of all."""
    missing = [axis for axis in axes if axis not in known and not axis.isdigit()]
    known.update({axis: int(axis) for axis in axes if axis.isdigit()})
    others = math.prod([known[axis] for axis in axes if axis in known])
    if size is not None and len(missing) == 1 and others and size % others == 0:
        known[missing[0]] = size // others
