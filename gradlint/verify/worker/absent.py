"""What stands in for a package that is not installed: it may be named, not used."""

from __future__ import annotations

import sys
import types
from typing import Any

import torch


class AbsentError(ImportError):
    """The model's code used something of a package that is not installed."""

    def __init__(self, name: str) -> None:
        package = name.partition(".")[0]
        which = f" ({name})" if name != package else ""
        super().__init__(f"needs {package}, which is not installed{which}")
        self.package = package


class Absent:
    """A name of an absent package. As a decorator it changes nothing; as a base it is a module.

    Everything else that needs its contents raises `AbsentError`.
    """

    def __init__(self, name: str) -> None:
        self.__dict__["_name"] = name
        self.__dict__["__module__"], _, self.__dict__["__name__"] = name.rpartition(".")

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
    word = name.rpartition(".")[2]
    kinds = (Steps, AbsentBase) if word == "LightningModule" else (torch.nn.Module, AbsentBase)
    return type(word, kinds, {"absent": name})


class Kept(dict):  # type: ignore[type-arg]
    """Values by key or attribute."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    __setattr__ = dict.__setitem__


class Steps(torch.nn.Module):
    """What models that a trainer trains rely on: the arguments of the constructor are kept as `hparams`."""

    @property
    def hparams(self) -> Kept:
        """The arguments that were kept."""
        kept: Kept = self.__dict__.setdefault("_kept", Kept())
        return kept

    def save_hyperparameters(
        self, *given: Any, ignore: Any = (), frame: Any = None, logger: bool = True
    ) -> None:
        """Keep the arguments of the constructor that calls this, or those that are named."""
        code = sys._getframe(1)
        names = code.f_code.co_varnames[1 : code.f_code.co_argcount + code.f_code.co_kwonlyargcount]
        left = (ignore,) if isinstance(ignore, str) else tuple(ignore or ())
        for each in given or names:
            if isinstance(each, str):
                if each not in left and each in code.f_locals:
                    self.hparams[each] = code.f_locals[each]
            else:
                self.hparams.update(each if isinstance(each, dict) else vars(each))

    def log(self, *given: Any, **named: Any) -> None:
        """Nothing is logged."""

    log_dict = print = log

    @property
    def device(self) -> Any:
        """Where the parameters are."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))
