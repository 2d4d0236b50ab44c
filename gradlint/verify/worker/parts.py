"""Models that a target takes as arguments: made of the project's classes, by what is asked of them."""

from __future__ import annotations

import ast
import copy
import glob
import importlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from .blame import definition, definitions
from .guesses import is_configuration
from .load import imported
from .recipes import NotBuiltError, Recipe
from .signatures import signature_of
from .stand_in import Settings

_SECONDS = 3.0
"""For one part."""
_DEEPEST = 3
_MOST = 2
_OTHERS = 6
"""So many parts are tried in the place of one."""
_FILES = 200
"""So many files beside those of a target are looked at."""
_making: list[type] = []
"""The classes of parts that are being made, the outermost first."""


@dataclass(frozen=True)
class Part:
    """How a part was made: of which class, with which sizes, with what chosen; `slots` may be changed."""

    kind: type
    size: int
    chosen: dict[str, Any]
    slots: dict[str, Any]


_origins: WeakKeyDictionary[nn.Module, Part] = WeakKeyDictionary()


def origin(value: Any) -> Part | None:
    """How a value was made, if it is a part."""
    return _origins.get(value) if isinstance(value, nn.Module) else None


def part(kind: type, size: int, chosen: dict[str, Any] | None = None) -> nn.Module | None:
    """A model of a class, its arguments guessed and repaired as a target's are; None where that fails.

    Each call makes another one.
    """
    if kind.__module__.startswith("torch.") or kind in _making or len(_making) >= _DEEPEST:
        return None
    key = (kind, size, repr(chosen))
    before = Settings.chosen, Settings.read
    _making.append(kind)
    try:
        if key not in _recipes:
            _recipes[key] = _recipe(kind, size, chosen or {})
        recipe = _recipes[key]
        made = recipe.make() if recipe is not None else None
        if recipe is None or not isinstance(made, nn.Module):
            return None
        _origins[made] = Part(kind, size, recipe.chosen, recipe.changeable())
    finally:
        _making.pop()
        Settings.chosen, Settings.read = before
    return made


_recipes: dict[tuple[type, int, str], Recipe | None] = {}


def _recipe(kind: type, size: int, chosen: dict[str, Any]) -> Recipe | None:
    from .attempts import Maker, search

    try:
        return search(Maker(kind, signature_of(kind), {}), {}, [], _SECONDS, (size,), (chosen,))
    except NotBuiltError:
        return None


def within(value: Any) -> dict[str, Any]:
    """What may be changed within a value: about how a part was made, and the settings of a configuration."""
    known = origin(value)
    if known is not None:
        return known.slots
    return dict(vars(value)) if is_configuration(value) else {}


def renewed(value: Any, changes: dict[str, Any]) -> Any:
    """A part or configuration made anew, with other choices; of any other value a copy.

    Raises `NotBuiltError`.
    """
    known = origin(value)
    if known is None:
        made = copy.deepcopy(value)
        for name, other in changes.items() if is_configuration(value) else ():
            setattr(made, name, other)
        return made
    part_made = part(known.kind, known.size, {**known.chosen, **changes})
    if part_made is None:
        raise NotBuiltError(f"{known.kind.__name__} cannot be constructed otherwise")
    return part_made


def having(attribute: str, others: Iterable[str], names: dict[str, Any], size: int) -> Iterator[nn.Module]:
    """Models that set an attribute, those first that set most of the others.

    Of classes among some names, then of all in the project's files, then of the files beside these.
    """
    loaded = list(dict.fromkeys([*_classes(names), *_loaded()]))
    able = [kind for kind in loaded if _sets(kind, attribute)]
    made = (
        each for kinds in (able, _beside(attribute)) for each in _made_of(kinds, {attribute, *others}, size)
    )
    yield from islice(made, _MOST)


def instead(value: nn.Module, asked: set[str], size: int) -> Iterator[nn.Module]:
    """Models of other classes than a part that set as much of what is asked of it."""
    known = origin(value)
    wanted = {each for each in asked if known is not None and _sets(known.kind, each)}
    if known is None or not wanted:
        return
    able = [kind for kind in (*_loaded(), *_beside(*wanted)) if all(_sets(kind, each) for each in wanted)]
    others = [kind for kind in dict.fromkeys(able) if kind is not known.kind]
    yield from islice(_made_of(others, asked, size), _OTHERS)


def _made_of(kinds: Iterable[type], asked: set[str], size: int) -> Iterator[nn.Module]:
    """Models of the classes that can be made, those first that set most of what is asked."""
    for kind in sorted(kinds, key=lambda kind: -sum(_sets(kind, each) for each in asked)):
        if (made := part(kind, size)) is not None:
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


def _beside(*attributes: str) -> Iterator[type]:
    """The modules' classes that set all of these attributes, of files beside those that ran."""
    files = set(imported())
    folders = {
        os.path.dirname(file): module.__package__ or ""
        for module in list(sys.modules.values())
        if (file := getattr(module, "__file__", None)) in files and file is not None
    }
    for folder, package in folders.items():
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*.py")))[:_FILES]:
            if path not in files and _defines(path, attributes):
                name = os.path.splitext(os.path.basename(path))[0]
                with suppress(Exception, SystemExit):
                    module = importlib.import_module(f"{package}.{name}" if package else name)
                    kinds = [kind for kind in _classes(vars(module)) if kind.__module__ == module.__name__]
                    yield from (kind for kind in kinds if all(_sets(kind, each) for each in attributes))


@cache
def _defines(path: str, attributes: tuple[str, ...]) -> bool:
    """Whether a class at the top of a file assigns all of these attributes itself."""
    return any({*attributes} <= assigned_in(tree) for tree in definitions(path).values())


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
    tree = definition(kind)
    return assigned_in(tree) if tree is not None else frozenset()


def assigned_in(tree: ast.ClassDef) -> frozenset[str]:
    """The attributes that a definition assigns."""
    stored = (n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store))
    return frozenset(node.attr for node in stored if isinstance(node.value, ast.Name))
