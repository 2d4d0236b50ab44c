"""A training loop as it comes to the worker: its parts, and what it does with them in two forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Part:
    """An object of a program: a model, an optimizer, a scaler or a scheduler.

    `settings` are those of its constructor, positional ones as "(0)". `holds` are the models of an
    optimizer, the optimizer of a scheduler, the layers of a sequence. `name` is what the task's file calls
    a model, empty for others; `stand_in` the kind of network that takes its place where it cannot be had.
    """

    number: int
    kind: str
    type: str
    settings: dict[str, Any]
    holds: list[int]
    name: str = ""
    stand_in: str = ""


@dataclass(frozen=True)
class Act:
    """Something that is done `on` parts, with the results `of` other acts, `by` a scaler or a part."""

    number: int
    kind: str
    on: list[int]
    of: list[int]
    by: int | None
    settings: dict[str, Any]


@dataclass(frozen=True)
class Program:
    """What is done before, and then again and again."""

    before: list[Act]
    cycle: list[Act]


@dataclass(frozen=True)
class Rehearsal:
    """A loop as written and with its remedy; `about` is the optimizer in question, None for all of them."""

    parts: list[Part]
    written: Program
    remedied: Program
    about: int | None = None


def decode(fields: dict[str, Any]) -> Rehearsal:
    """The rehearsal that an object of JSON holds."""
    parts = [Part(**each) for each in fields["parts"]]
    written, remedied = (_program(fields[form]) for form in ("written", "remedied"))
    return Rehearsal(parts, written, remedied, fields["about"])


def _program(fields: dict[str, Any]) -> Program:
    return Program([Act(**each) for each in fields["before"]], [Act(**each) for each in fields["cycle"]])
