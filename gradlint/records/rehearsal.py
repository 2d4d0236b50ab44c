"""A training loop as a program of events that can be run again, as written and with a remedy."""

from __future__ import annotations

from msgspec import Struct

from gradlint.records.graph import Setting

Settings = tuple[tuple[str, Setting], ...]


class Part(Struct, frozen=True):
    """An object of a program: its kind ("model", "optimizer", "scaler", "scheduler"), class and settings.

    `holds` are the models of an optimizer, the optimizer of a scheduler, the layers of a sequence. `path`
    and `name` say where the project defines a model, empty for others; `arguments` are those that it is
    made with, as expressions. `stand_in` is the kind of network that may take the place of a model that
    cannot be had: "deep", "modal" (with BatchNorm and dropout), "rnn", "gru", "lstm", or any.
    """

    number: int
    kind: str
    type: str = ""
    settings: Settings = ()
    holds: tuple[int, ...] = ()
    path: str = ""
    name: str = ""
    arguments: tuple[tuple[str, str], ...] = ()
    stand_in: str = ""


class Act(Struct, frozen=True):
    """Something that a program does with its parts: the event of a training loop of the same kind.

    `of` are the acts whose results it uses, by their numbers; `by` is the scaler that does it.
    """

    number: int
    kind: str
    on: tuple[int, ...] = ()
    of: tuple[int, ...] = ()
    by: int | None = None
    settings: Settings = ()

    def setting(self, name: str) -> Setting:
        """The value of a setting, None where it has none."""
        return dict(self.settings).get(name)


class Program(Struct, frozen=True):
    """What a loop does before, and then again and again."""

    before: tuple[Act, ...]
    cycle: tuple[Act, ...]


class Rehearsal(Struct, frozen=True):
    """A loop in two forms, as written and with its remedy, over the same parts.

    `about` is the optimizer in question, None for all of them.
    """

    parts: tuple[Part, ...]
    written: Program
    remedied: Program
    about: int | None = None
