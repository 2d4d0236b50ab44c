"""Room for code that is nested as deeply as the parser accepts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

DEEPEST = 6000
"""Calls within calls; as many fit on the stack of every interpreter and system."""


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Allow for code that is nested as deeply as the parser accepts."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, DEEPEST))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
