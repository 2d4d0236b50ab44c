"""Findings about training: at an event, with the other ends beside it."""

from __future__ import annotations

import os
from collections.abc import Iterable

from msgspec.structs import replace

from gradlint.records.finding import Claim, Finding, Related, Severity
from gradlint.records.graph import Place
from gradlint.records.training import Event
from gradlint.rule.rule import Rule
from gradlint.steps.loop import TrainingLoop


def report(
    rule: Rule,
    loop: TrainingLoop,
    event: Event,
    message: str,
    ends: Iterable[tuple[Event | Place | None, str]] = (),
    *,
    claim: Claim | None = None,
    severity: Severity | None = None,
    help: str | None = None,
) -> Finding:
    """A finding at an event, wherever that is; the call that leads there from the checked file is named."""
    places = [(end.place if isinstance(end, Event) else end, said) for end, said in ends if end is not None]
    related = [_beside(place, said, event.place.path) for place, said in places if place != event.place]
    finding = rule.finding(
        event.place.span, message, claim, severity=severity, related=tuple(related), help=help
    )
    own = loop.training.place.path
    if event.place.path == own:
        return finding
    calls = [caller for caller in event.callers if caller.path == own]
    call = Related((calls[-1] if calls else loop.training.place).span, "called here", own)
    return replace(finding, path=event.place.path, related=(call, *finding.related))


def subject(loop: TrainingLoop, *events: Event) -> str:
    """What a claim about training is about: the function and the events, each with its line; of an event
    in another file, "step@train.py:15".
    """
    own = loop.training.place.path
    files = ["" if e.place.path == own else f"{os.path.basename(e.place.path)}:" for e in events]
    named = [f"{e.kind}@{file}{e.place.span.line}" for e, file in zip(events, files, strict=True)]
    return f"{loop.training.name}:{'->'.join(named)}"


def _beside(place: Place, said: str, path: str) -> Related:
    return Related(place.span, said, "" if place.path == path else place.path)
