"""The program of a training loop: its parts and events as far as they are known, to be run again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from gradlint.records.graph import Setting
from gradlint.records.rehearsal import Act, Part, Program, Settings
from gradlint.records.training import Event, Thing
from gradlint.steps.lasso import lasso
from gradlint.steps.loop import TrainingLoop
from gradlint.steps.precision import autocast_of

_WANTED = ("forward", "backward", "unscale", "clip", "step", "update", "zero", "schedule")
_MODEL_KINDS = ("train", "eval", "freeze", "thaw", "half", "widen", "replace", "detach", "loss", "keep")
_KINDS = frozenset((*_WANTED, *_MODEL_KINDS, "hook"))
_CALLS = ("forward", "__call__")
_UNTRACKED = ("no_grad", "inference_mode")
_IN_ONE_CALL = ("closure", "given")
_PASS = -1
"""The number of a pass that is put in."""


class Cast(NamedTuple):
    """A program with the parts that it is about."""

    parts: tuple[Part, ...]
    program: Program


def cast(loop: TrainingLoop, *required: Event, is_shortest: bool = False) -> Cast | None:
    """The program of a loop that leads past these events in every round; None where there is none.

    Steps that are given a function which computes the loss are no program.
    """
    if any(set(_IN_ONE_CALL) & step.settings.keys() for step in loop.events("step")):
        return None
    passes = [n for e in required for n in sorted(e.source | e.cut) if loop.event(n).kind == "forward"]
    known = [loop.event(n) for n in dict.fromkeys([*passes, *[e.number for e in required]])]
    wanted = [] if is_shortest else [e for e in loop.events(*_WANTED) if e not in known]
    found = lasso(loop, known, wanted) or lasso(loop, required, wanted)
    if found is None:
        return None
    program = Program(tuple(_acts(loop, found.before)), tuple(_acts(loop, found.cycle)))
    parts = tuple(_parts(loop, program))
    return _with_passes(parts, program)


def _with_passes(parts: tuple[Part, ...], program: Program) -> Cast:
    """A program in which a pass of what the optimizer holds computes each loss that is from elsewhere."""
    passes = {act.number for act in (*program.before, *program.cycle) if act.kind == "forward"}

    def is_lost(act: Act) -> bool:
        return act.kind == "backward" and passes.isdisjoint(act.of)

    if not any(map(is_lost, program.cycle)):
        return Cast(parts, program)
    number = _trained(parts)
    forward = Act(_PASS, "forward", (number,))
    before, cycle = (
        tuple(each for a in acts for each in ((forward, replace(a, of=(_PASS,))) if is_lost(a) else (a,)))
        for acts in (program.before, program.cycle)
    )
    known = parts if number in [part.number for part in parts] else (*parts, Part(number, "model"))
    return Cast(known, Program(before, cycle))


def _trained(parts: tuple[Part, ...]) -> int:
    """A model that an optimizer holds, or any; a new number where there is none."""
    held = [n for part in parts if part.kind == "optimizer" for n in part.holds]
    models = [part.number for part in parts if part.kind == "model"]
    return next(iter([*held, *models]), max((part.number for part in parts), default=0) + 1)


def _acts(loop: TrainingLoop, events: Sequence[Event]) -> Iterator[Act]:
    for event in events:
        if event.kind in _KINDS and (event.kind != "forward" or _is_model(loop, event)):
            yield _act(loop, event)


def _is_model(loop: TrainingLoop, forward: Event) -> bool:
    """Whether a model is called: an object of which nothing is known, and which no optimizer holds, is taken
    for a loss where it is given what a model computed.
    """
    if forward.settings.get("method") not in _CALLS:
        return False
    held = {n for optimizer in loop.optimizers for n in loop.owners(optimizer) or ()}
    unknown = all(loop.thing(n).kind == "object" and n not in held for n in forward.things)
    return not (unknown and forward.source)


def _act(loop: TrainingLoop, event: Event) -> Act:
    of = event.source | event.cut if event.kind == "forward" else event.source or event.cut
    things = sorted({number for each in event.things for number in _stands_for(loop, each)})
    if event.kind == "backward":
        things = []
    scalers = [n for n in sorted(event.by) if loop.role(n) == "scaler"]
    by = scalers[0] if scalers else None
    if event.kind == "replace":
        by = next((n for n in sorted(event.by) if loop.role(n) != "optimizer"), None)
    return Act(event.number, event.kind, tuple(things), tuple(sorted(of)), by, _settings(event))


def _stands_for(loop: TrainingLoop, number: int) -> tuple[int, ...]:
    """The parts of a program that an event about an object is about: the models of parameters, and of a
    model that cannot be made what of it is called.
    """
    thing = loop.thing(number)
    if thing.kind == "parameters":
        return tuple(part for owner in thing.owners or () for part in _stands_for(loop, owner))
    return loop.called_within(number) or (number,)


def _settings(event: Event) -> Settings:
    """What an event is told, with the regions that it is in."""
    found: dict[str, Setting] = dict(event.settings)
    region = autocast_of(event)
    if region is not None and region.settings.get("enabled") is not False:
        found["autocast"] = region.settings.get("dtype")
    modes = [each.kind for each in event.regions if each.kind.endswith(("grad", "mode"))]
    found["no_grad"] = True if modes and modes[-1] in _UNTRACKED else None
    found["cut"] = tuple(sorted(event.cut)) if event.kind == "forward" else None
    return tuple(sorted((name, value) for name, value in found.items() if value is not None))


def _parts(loop: TrainingLoop, program: Program) -> Iterator[Part]:
    """The objects that the acts are about, and those that these hold."""
    acts = (*program.before, *program.cycle)
    pending = [n for act in acts for n in (*act.on, *(() if act.by is None else (act.by,)))]
    seen: set[int] = set()
    while pending:
        number = pending.pop(0)
        if number not in seen:
            seen.add(number)
            part = _part(loop, loop.thing(number))
            yield part
            pending += part.holds


def _part(loop: TrainingLoop, thing: Thing) -> Part:
    role = loop.role(thing.number)
    kind = role if role in ("optimizer", "scaler", "scheduler") else "model"
    holds: tuple[int, ...] = ()
    if kind == "optimizer":
        owners = loop.owners(frozenset({thing.number}))
        holds = tuple(sorted({n for owner in owners or () for n in _stands_for(loop, owner)}))
    elif kind == "scheduler":
        holds = (thing.optimizer,) if thing.optimizer is not None else ()
    elif thing.type == "torch.nn.Sequential" and not any(loop.thing(n).is_fleeting for n in thing.parts):
        holds = tuple(sorted(thing.parts))
    settings = tuple(sorted((name, value) for name, value in thing.settings.items()))
    graph = loop.graphs(thing) if kind == "model" and not thing.type.startswith("torch.") else None
    if graph is None:
        return Part(thing.number, kind, thing.type, settings, holds)
    arguments = tuple(sorted(graph.arguments.items()))
    return Part(thing.number, kind, thing.type, settings, holds, graph.place.path, graph.name, arguments)
