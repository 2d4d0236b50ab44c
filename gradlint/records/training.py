"""How a model is trained: what happens to which object, and what can follow what."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gradlint.records.graph import Place, Setting

DEFAULTS = "defaults"
"""Among settings: the names of those that are what a run takes which is told nothing else, with blanks
between them."""


def is_default(settings: Mapping[str, Setting], name: str) -> bool:
    """Whether one of the settings is only a default: of the command line, or of a file of settings."""
    return name in str(settings.get(DEFAULTS, "")).split()


class Thing(Struct, frozen=True):
    """An object that training is about.

    `kind` is "optimizer", "scaler", "scheduler", "model", "parameters" or "object" for one of which that
    is not known; `type` the qualified name of its class, empty where it is not known. `owners` are the
    things whose parameters an optimizer holds, or that parameters belong to; None where that is not
    known; `is_whole` says that it is all of them. `parts` are things within it. `optimizer` is the one
    that a scheduler changes. `defined` is the file of the project in which its class is. `is_fleeting`
    says that it may be another object in each iteration of a loop. `copied` are the things that it is a deep
    copy of, or of parts of which.
    """

    number: int
    kind: str
    type: str = ""
    place: Place | None = None
    settings: dict[str, Setting] = {}
    owners: tuple[int, ...] | None = None
    is_whole: bool = True
    parts: frozenset[int] = frozenset()
    optimizer: int | None = None
    defined: str | None = None
    is_fleeting: bool = False
    copied: frozenset[int] = frozenset()


class Region(Struct, frozen=True):
    """A block of code in which torch works in another way: "no_grad", "autocast", "enable_grad" …

    `settings` are those of the context manager ("dtype", "device", "enabled"); None where not known.
    """

    kind: str
    place: Place
    settings: dict[str, Setting] = {}


class Event(Struct, frozen=True):
    """Something that happens to `things`: to one of them, where there are several.

    Kinds: "forward", "backward", "unscale", "clip", "step", "update" (a scaler), "schedule", "zero",
    "train", "eval", "freeze", "thaw", "half" (parameters become float16), "widen" (they become wider
    again), "make", "escape" (code that is not known has it), "lend" (such code has what passes
    computed), "detach" (in place), "set" (an attribute of a model), "groups" (the settings of an
    optimizer are looked at or changed), "keep" (a tensor outlives the iteration), "carry" (a state does),
    "loss" (one of torch, under autocast), "load" (weights that were saved), "release" (something is taken
    out of a list), "gradients" (they are switched on or off, or it is not known which, until further
    notice).
    `source` are the events whose results it uses: the forward passes that a loss comes from, through
    operations with a gradient. `by` is the scaler, or the object, that does it. `is_certain` where the
    result is known to hang on its source by a gradient. `states` are the variables that an iteration
    takes from the one before and that it uses, or leaves to the next. `callers` are the calls that led
    here, the outermost first. `cut` are forward passes whose results it uses without their gradient.
    """

    number: int
    kind: str
    place: Place
    things: frozenset[int] = frozenset()
    source: frozenset[int] = frozenset()
    by: frozenset[int] = frozenset()
    is_certain: bool = True
    states: frozenset[int] = frozenset()
    settings: dict[str, Setting] = {}
    regions: tuple[Region, ...] = ()
    callers: tuple[Place, ...] = ()
    cut: frozenset[int] = frozenset()


class Point(Struct, frozen=True):
    """A place in the order of things: an event, or a decision that the way through here has taken.

    `decisions` pairs tests with what they gave; at a point that ends an iteration the tests that it
    `forgets` are open again. `next` are the points that can follow, none at the end and behind a `raise`
    that nothing catches.
    """

    event: int | None = None
    decisions: tuple[tuple[int, bool], ...] = ()
    forgets: frozenset[int] = frozenset()
    next: tuple[int, ...] = ()


class Training(Struct, frozen=True):
    """The events of a function, a method or a script that trains, in every order that is possible.

    It begins at the first point and ends at the last. `name` is that of the function, with its class;
    empty for a script.
    `loops` are, from the outermost in, the points within each loop that may run several times;
    `periodic` the tests that hang on a remainder, and so have one outcome every few iterations only.
    `is_whole` is False where the code behind it was not read to its end.
    """

    name: str
    place: Place
    things: tuple[Thing, ...]
    events: tuple[Event, ...]
    points: tuple[Point, ...]
    loops: tuple[frozenset[int], ...] = ()
    periodic: frozenset[int] = frozenset()
    is_whole: bool = True
