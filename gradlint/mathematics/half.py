"""float16 (IEEE 754 binary16): what becomes of a number in it."""

from __future__ import annotations

import math
import struct

SMALLEST = 2.0**-24
"""The smallest positive number of float16; below its half everything rounds to 0."""

SPACING = 2.0**-10
"""The relative distance of neighbours, at most."""


def rounded(value: float) -> float:
    """The float16 nearest to `value`, ties to even; inf beyond the largest one, 65504."""
    try:
        (found,) = struct.unpack("<e", struct.pack("<e", value))
    except OverflowError:
        return math.copysign(math.inf, value)
    assert isinstance(found, float)
    return found


def is_lost(value: float) -> bool:
    """Whether float16 makes inf or 0 of a number that is neither."""
    return math.isfinite(value) and value != 0 and (rounded(value) == 0 or math.isinf(rounded(value)))
