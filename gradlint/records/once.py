"""Results that are kept as long as what they were computed from."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

Of = TypeVar("Of")
Result = TypeVar("Result")


def once_each(function: Callable[[Of], Result]) -> Callable[[Of], Result]:
    """The same function, computed once for each object; the object is not kept for it."""
    known: WeakKeyDictionary[Of, Result] = WeakKeyDictionary()

    @wraps(function)
    def remembered(of: Of) -> Result:
        if of not in known:
            known[of] = function(of)
        return known[of]

    return remembered
