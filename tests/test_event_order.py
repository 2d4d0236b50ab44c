"""The order of events: what reading a program says can follow what, against running it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from programs import FLAGS, programs
from torch_stub import PROGRAM, run

from gradlint.records.training import Training
from gradlint.semantics.project import Project
from gradlint.steps.loop import TrainingLoop
from gradlint.syntax.extract import extract, lower_omitted
from gradlint.training.build import Trainings

KINDS = frozenset(
    {"forward", "backward", "clip", "step", "zero", "unscale", "update", "schedule", "train", "eval"}
)
Pair = tuple[tuple[str, int], tuple[str, int]]
NOTHING = ("", 0)


def read(text: str) -> list[Training]:
    """What trains in a text."""
    project = Project(
        lambda _: extract(text, {}, outline=True), lambda _, omitted: lower_omitted(text, omitted)
    )
    return list(Trainings(project).of(project.scope("program.py"), text))


def executed(text: str) -> set[Pair]:
    """Every event with the one that followed it, over all ways to call the program."""
    code = compile(text, PROGRAM, "exec")
    found: set[Pair] = set()
    loaders: list[list[Any]] = [
        list(items) for length in (1, 2) for items in product((None, 1), repeat=length)
    ]
    runs: list[tuple[int, list[Any]]] = [*product((1, 2, 3), [*loaders, [1] * 3, [1] * 4])]
    for outcomes in product((False, True), repeat=len(FLAGS)):
        for every, loader in runs:
            arguments = SimpleNamespace(**dict(zip(FLAGS, outcomes, strict=True)), n=every, data=loader)
            log = [NOTHING, *run(code, arguments, loader), NOTHING]
            found.update(pairwise(log))
    return found


def is_exact(text: str) -> bool:
    """Whether running a program shows every order that reading it leaves open.

    Not so where what is called may raise, nor where several tests depend on the items of one loader.
    """
    return "try:" not in text and text.count("% args.n") + text.count(" is None:") <= 1


def believed(training: Training) -> set[Pair]:
    """Every event with those that may follow it, as it was read."""
    loop = TrainingLoop(training)
    assert loop.is_readable
    return set(_pairs(loop))


def _pairs(loop: TrainingLoop) -> Iterator[Pair]:
    places = {e.number: (e.kind, e.place.span.line) for e in loop.training.events}
    counted = list(loop.events(*KINDS))
    for event in counted:
        following = loop.after(event, lambda e: e.kind in KINDS)
        for number in following.events:
            yield places[event.number], places[number]
        if following.ends:
            yield places[event.number], NOTHING
    first = loop.ways.first(lambda e: e.kind in KINDS)
    for number in first.events:
        yield NOTHING, places[number]
    if first.ends:
        yield NOTHING, NOTHING


@pytest.mark.parametrize("part", range(4))
def test_order_is_that_of_execution(part: int) -> None:
    """Every order that happens is believed possible, and where it can be told no other one is."""

    @settings(max_examples=550, deadline=None, suppress_health_check=list(HealthCheck))
    @given(programs())
    def check(text: str) -> None:
        found = [each for each in read(text) if each.name == "main"]
        assume(found)
        order, real = believed(found[0]), executed(text)
        assert real == order if is_exact(text) else real <= order, text

    check()
