"""How a target is constructed again and again, and what to say where it cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from .guesses import is_configuration
from .protocol import Argument
from .usage import Usage

_SIDE = re.compile(
    r"(.*_)?(img|image|im|input|crop)_?(size|dim|h|w|height|width|side|resolution)\Z|resolution\Z"
)


class NotBuiltError(Exception):
    """A target cannot be constructed; `missing` is the argument that would help."""

    def __init__(self, reason: str, missing: str = "") -> None:
        super().__init__(reason)
        self.missing = missing


@dataclass
class Recipe:
    """How to construct a target again: a function of no arguments, and what it was found to need.

    `usage` is where documentation constructs it so, where that is followed; `remade` gives the recipes with
    other values for what was guessed, for an error that running the target ends in; `changeable` is what
    may be changed about the last one made.
    """

    make: Callable[[], Any]
    given: dict[str, Any] = field(default_factory=dict)
    chosen: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    usage: Usage | None = None
    remade: Callable[[BaseException], Iterator[Recipe]] = lambda error: iter(())
    changeable: Callable[[], dict[str, Any]] = dict

    @property
    def side(self) -> int:
        """The side of images that the constructor was told; 0 where it was told none."""
        settings = [vars(value) for value in self.given.values() if is_configuration(value)]
        named = [*self.given.items(), *[pair for each in settings for pair in each.items()]]
        sizes = [value for name, value in named if _SIDE.match(name)]
        whole = [max(value) if isinstance(value, (list, tuple)) and value else value for value in sizes]
        return next((int(each) for each in whole if isinstance(each, int) and each > 3), 0)

    @property
    def fields(self) -> list[str]:
        """The names in the dicts that the constructor was told."""
        told = [value for value in self.given.values() if type(value) is dict]
        return [name for value in told for name in value if isinstance(name, str) and name.isidentifier()]

    def arguments(self) -> list[Argument]:
        """The arguments as text."""
        return [
            Argument(name, shown(value), self.origins.get(name, "guessed"))
            for name, value in self.given.items()
        ]


def shown(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).replace('torch.', '')}{list(value.shape)}"
    text = getattr(value, "__name__", None) or repr(value)
    holds_modules = isinstance(value, torch.nn.Module) and next(value.children(), None) is not None
    if holds_modules or getattr(type(value), "__repr__", None) is object.__repr__:
        text = f"{type(value).__name__}(...)"
    if isinstance(value, type) and value.__module__.startswith("torch.nn.modules."):
        text = f"nn.{text}"
    text = " ".join(str(text).split())
    return text if len(text) <= 60 else text[:57] + "..."
