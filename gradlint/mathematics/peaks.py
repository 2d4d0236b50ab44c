"""Rows of a softmax in which one element holds more than half."""

from __future__ import annotations

import math
import random
from functools import lru_cache

_ROWS = 400


def peaked_share(deviation: float, size: int) -> float:
    """The share of rows softmax(s·z), z ~ N(0, 1) of `size` elements, whose maximum is above 1/2.

    A row counts if Σ exp(s·(z_j - max z)) < 2. Measured over the same rows for every s.
    """
    return sum(_is_peaked(row, deviation) for row in _rows(size)) / _ROWS


def _is_peaked(row: tuple[float, ...], deviation: float) -> bool:
    return sum(math.exp(-deviation * below) for below in row) < 2


@lru_cache(maxsize=8)
def _rows(size: int) -> tuple[tuple[float, ...], ...]:
    """How far the elements of each row are below its largest."""
    draw = random.Random(size).gauss
    rows = [[draw(0.0, 1.0) for _ in range(size)] for _ in range(_ROWS)]
    return tuple([tuple([max(row) - z for z in row]) for row in rows])
