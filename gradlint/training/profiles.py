"""What libraries that train by themselves do, read from one small file for each."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import msgspec
from msgspec import Struct

from gradlint.records.graph import Setting

FOLDER = Path(__file__).parent / "frameworks"


class Option(Struct, frozen=True, forbid_unknown_fields=True):
    """A setting: the argument that holds it, and what it is where that is not given."""

    argument: str
    default: float | int | str | bool


class Half(Struct, frozen=True, forbid_unknown_fields=True):
    """An argument, and its values for which forward passes run under autocast to a type."""

    argument: str
    values: tuple[float | int | str | bool, ...]
    dtype: str


class Made(Struct, frozen=True, forbid_unknown_fields=True):
    """An optimizer that a library makes: its class, `settings`, and those in `options` of the profile."""

    type: str
    options: dict[str, str] = {}
    settings: dict[str, Setting] = {}


class Automatic(Struct, frozen=True, forbid_unknown_fields=True):
    """How the loop that a library runs is put together.

    `model` and `optimizer` are arguments; `loss` and `optimizers` methods of the model, which is called
    itself where `loss` is empty, and which derives from `base`; `default` is the class of the optimizer where
    none is given, or the option `choice` names one of `choices`. The loop is the model's own where its
    attribute `manual` is False. The methods `before_batch`, `after_backward`, `before_step` and `after_batch`
    of the model run there; where one that is `replaced` is written in the project, it may do anything.
    `callbacks` is the argument that holds objects which may act at every point. With `warmup` the
    library makes its schedule. `batches` and `epochs` are the attributes that say how many there are in all,
    for schedules that are stepped with every epoch unless their "interval" says "step".
    """

    model: str
    loss: str = ""
    optimizers: str = ""
    optimizer: str = ""
    default: str = ""
    choice: str = ""
    choices: dict[str, Made] = {}
    manual: str = ""
    base: str = ""
    before_batch: tuple[str, ...] = ()
    after_batch: tuple[str, ...] = ()
    after_backward: tuple[str, ...] = ()
    before_step: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    callbacks: str = ""
    warmup: bool = False
    batches: str = ""
    epochs: str = ""


class Starts(Struct, frozen=True, forbid_unknown_fields=True):
    """What an object makes, and runs at once `unless` that argument is False.

    `maker` makes the trainer and `of` is the argument that holds the class of the model; they become its
    attributes `trainer` and `model`, which are also the sections of its files. `settings` is the argument
    with those of the trainer; `options` the one that names `files` of settings.
    """

    maker: str
    trainer: str
    model: str
    of: str
    settings: str
    files: str
    options: str
    unless: str


class Profile(Struct, frozen=True, forbid_unknown_fields=True):
    """Classes or functions of a library that make objects which take part in training.

    `parameters` are the names of positional arguments. `methods` says what methods of such an object
    mean: "train" (runs the automatic loop), "same" (gives back what it is given), "prepare" (the same, and
    unscales in the steps of it), "itself", "backward", "clip", "unscale", "autocast", "null", "step", "mode",
    "escape". `configuration` is the argument that
    holds further arguments, nested by dots in a file; `elsewhere` are arguments that say where others stand,
    which is not read. `results` are what a function gives, arguments by their
    names, the object itself where empty. `calls` is the argument that is called with the object. `starts`
    says what it makes and runs by itself.
    """

    name: str
    packages: tuple[str, ...]
    classes: tuple[str, ...]
    parameters: tuple[str, ...] = ()
    methods: dict[str, str] = {}
    configuration: str = ""
    elsewhere: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    calls: str = ""
    options: dict[str, Option] = {}
    half: tuple[Half, ...] = ()
    automatic: Automatic | None = None
    starts: Starts | None = None


@lru_cache(maxsize=1)
def profiles() -> dict[tuple[str, str], Profile]:
    """The profile of every maker, by package and name."""
    read = [msgspec.toml.decode(path.read_bytes(), type=Profile) for path in sorted(FOLDER.glob("*.toml"))]
    return {(package, name): p for p in read for package in p.packages for name in p.classes}


def profile_of(name: str) -> Profile | None:
    """The profile of what a qualified name makes."""
    return profiles().get((name.partition(".")[0], name.rpartition(".")[2]))


@lru_cache(maxsize=1)
def trained() -> dict[tuple[str, str], Profile]:
    """The profile that trains models of a class of a library, by package and name."""
    found = [(each.automatic.base, each) for each in profiles().values() if each.automatic is not None]
    return {(package, base): each for base, each in found if base for package in each.packages}


@lru_cache(maxsize=1)
def hooks() -> frozenset[str]:
    """The methods of models that a library calls to train them."""
    found = [profile.automatic for profile in profiles().values() if profile.automatic is not None]
    return frozenset([name for each in found for name in (each.loss, each.optimizers) if name])
