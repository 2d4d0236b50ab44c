"""What stands in for a package that is not installed: it may be named, not used."""

from __future__ import annotations

import types
from typing import Any

import torch


class AbsentError(ImportError):
    """The model's code used something of a package that is not installed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"needs {name}, but the package {name.partition('.')[0]} is not installed")
        self.package = name.partition(".")[0]


class Absent:
    """A name of an absent package. As a decorator it changes nothing; as a base it is a module.

    Everything else that needs its contents raises `AbsentError`.
    """

    def __init__(self, name: str) -> None:
        self.__dict__["_name"] = name
        self.__dict__["__name__"] = name.rpartition(".")[2]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Absent(f"{self._name}.{name}")

    def __call__(self, *given: Any, **named: Any) -> Any:  # noqa: D102
        if len(given) == 1 and not named and isinstance(given[0], (type, types.FunctionType)):
            return given[0]
        if self.__dict__.get("_made"):
            raise AbsentError(self._name)
        made = Absent(self._name)
        made.__dict__["_made"] = True
        return made

    def __mro_entries__(self, bases: Any) -> Any:
        return (absent_base(self._name),)

    def _use(self, *given: Any, **named: Any) -> Any:
        raise AbsentError(self._name)

    def __setattr__(self, name: str, value: Any) -> None:
        return None

    __iter__ = __len__ = __getitem__ = __bool__ = __add__ = __mul__ = __float__ = __int__ = _use
    __enter__ = __sub__ = __truediv__ = __lt__ = __gt__ = __index__ = __contains__ = _use


class AbsentBase:
    """What marks a class that derives from one of an absent package."""

    absent = ""


def absent_base(name: str) -> type:
    """A base class in place of the one called `name`."""
    return type(name.rpartition(".")[2], (torch.nn.Module, AbsentBase), {"absent": name})
