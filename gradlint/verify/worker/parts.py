"""Models that a target takes as arguments: made of the project's classes, by what is asked of them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from torch import nn

from .blame import definition
from .load import imported
from .stand_in import Settings

_SECONDS = 3.0
"""For one part."""
_DEEPEST = 3
_MOST = 2
_making: list[type] = []
"""The classes of parts that are being made, the outermost first."""


def part(kind: type, size: int) -> nn.Module | None:
    """A model of a class, its arguments guessed and repaired as a target's are; None where that fails."""
    if (kind, size) not in _made:
        _made[kind, size] = _part(kind, size)
    return _made[kind, size]


_made: dict[tuple[type, int], nn.Module | None] = {}


def _part(kind: type, size: int) -> nn.Module | None:
    if kind.__module__.startswith("torch.") or kind in _making or len(_making) >= _DEEPEST:
        return None
    from .construct import Maker, NotBuiltError, search, signature_of

    before = Settings.chosen, Settings.read
    _making.append(kind)
    try:
        made = search(Maker(kind, signature_of(kind), {}), {}, [], _SECONDS, (size,)).make()
    except NotBuiltError:
        return None
    finally:
        _making.pop()
        Settings.chosen, Settings.read = before
    return made if isinstance(made, nn.Module) else None


def having(attribute: str, others: Iterable[str], names: dict[str, Any], size: int) -> Iterator[nn.Module]:
    """Models that set an attribute, those first that set most of the others.

    Of classes among some names, then of all in the project's files.
    """
    known = dict.fromkeys([*_classes(names), *_loaded()])
    able = [kind for kind in known if _sets(kind, attribute)]
    count = 0
    for kind in sorted(able, key=lambda kind: -sum(_sets(kind, other) for other in others)):
        if count < _MOST and (made := part(kind, size)) is not None:
            count += 1
            yield made


def named(name: str, size: int) -> nn.Module | None:
    """A model of the project's class that has a name: `ViT` for "vit", `SwinBlock` for "swin_block"."""
    word = name.replace("_", "").lower()
    kinds = (kind for kind in dict.fromkeys(_loaded()) if kind.__name__.lower() == word)
    return next((made for kind in kinds if (made := part(kind, size)) is not None), None)


def _loaded() -> Iterator[type]:
    files = set(imported())
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) in files:
            yield from _classes(vars(module))


def _classes(names: dict[str, Any]) -> Iterator[type]:
    """The modules' classes among some names that are not torch's own."""
    for value in list(names.values()):
        if isinstance(value, type) and issubclass(value, nn.Module) and not _is_of_torch(value):
            yield value


def _is_of_torch(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "torch"


@cache
def _sets(kind: type, attribute: str) -> bool:
    """Whether the class or one it derives from assigns the attribute."""
    own = [each for each in kind.__mro__ if each is not object and not _is_of_torch(each)]
    return any(attribute in vars(each) or attribute in _assigned(each) for each in own)


@cache
def _assigned(kind: type) -> frozenset[str]:
    """The attributes that the methods of a class assign."""
    nodes = ast.walk(tree) if (tree := definition(kind)) is not None else ()
    stored = (node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    return frozenset(node.attr for node in stored if isinstance(node.value, ast.Name))
