"""Training loops in two forms, as written and with a remedy, for claims that running both can refute."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from gradlint.records.finding import Claim, Metric
from gradlint.records.graph import Setting
from gradlint.records.rehearsal import Act, Part, Program, Rehearsal
from gradlint.records.training import Event
from gradlint.rule.loops import subject
from gradlint.steps.loop import TrainingLoop
from gradlint.steps.rehearsal import cast

Which = Callable[[Act], bool]
Change = Callable[[Program], Program]

_NEW = 1_000_000
"""Acts that a remedy adds are numbered from here on."""


def rehearsed(
    loop: TrainingLoop,
    events: Iterable[Event],
    remedy: Change,
    *,
    about: Iterable[int] = (),
    stand_in: str = "",
    assumed: Change = lambda program: program,
    is_shortest: bool = False,
) -> Rehearsal | None:
    """The loop past these events, and what a remedy makes of it; None where it cannot be run again.

    `about` are the numbers of the optimizer in question, `stand_in` is what may take the place of models
    that cannot be had, "none" where nothing may. `assumed` changes both forms by what is taken to be so. With
    `is_shortest` nothing happens that need not.
    """
    found = cast(loop, *[loop.event(event.number) for event in events], is_shortest=is_shortest)
    if found is None:
        return None
    parts = tuple([_standing(part, stand_in) for part in found.parts])
    written = assumed(found.program)
    known = frozenset([part.number for part in parts if part.kind == "optimizer"])
    optimizer = next((n for n in sorted(about) if n in known), None)

    def settled(form: Program) -> Program:
        return _each(form, lambda act: (_by_one(act, known, optimizer),))

    return Rehearsal(parts, settled(written), settled(remedy(written)), optimizer)


def _by_one(act: Act, optimizers: frozenset[int], about: int | None) -> Act:
    """An act that may be about one of several optimizers, about the one in question."""
    several = [n for n in act.on if n in optimizers]
    if len(several) < 2:
        return act
    return replace(act, on=(about if about in several else several[0],))


def _standing(part: Part, stand_in: str) -> Part:
    return replace(part, stand_in=stand_in) if part.kind == "model" else part


# which acts


def kind(*kinds: str) -> Which:
    """Acts of these kinds."""
    return lambda act: act.kind in kinds


def at(*events: Event) -> Which:
    """The acts that are these events."""
    numbers = {event.number for event in events}
    return lambda act: act.number in numbers


def on(which: Which, things: Iterable[int]) -> Which:
    """Those of some acts that are about any of these parts."""
    numbers = set(things)
    return lambda act: which(act) and bool(numbers & set(act.on))


# what a remedy does


def new(kind: str, things: Iterable[int] = (), of: Iterable[int] = (), **settings: Setting) -> Act:
    """An act that the code lacks."""
    return Act(_NEW, kind, tuple(sorted(things)), tuple(of), settings=tuple(sorted(settings.items())))


def without(which: Which) -> Change:
    """Leave out acts."""
    return lambda program: _each(program, lambda act: () if which(act) else (act,))


def followed(which: Which, *acts: Act) -> Change:
    """Do something right after each of these."""
    return lambda program: _each(program, lambda act: (act, *acts) if which(act) else (act,))


def preceded(which: Which, *acts: Act) -> Change:
    """Do something right before each of these."""
    return lambda program: _each(program, lambda act: (*acts, act) if which(act) else (act,))


def told(which: Which, **settings: Setting) -> Change:
    """Give acts other settings; one that is None is taken away."""

    def changed(act: Act) -> tuple[Act, ...]:
        found = {name: value for name, value in (dict(act.settings) | settings).items() if value is not None}
        return (replace(act, settings=tuple(sorted(found.items()))) if which(act) else act,)

    return lambda program: _each(program, changed)


def by_none(which: Which) -> Change:
    """Let acts be done without a scaler."""
    return lambda program: _each(program, lambda act: (replace(act, by=None) if which(act) else act,))


def opened(*acts: Act) -> Change:
    """Begin everything with something."""
    return lambda program: replace(program, before=(*acts, *program.before))


def moved(which: Which, behind: Which) -> Change:
    """Put an act of a round right behind the last of others."""

    def made(program: Program) -> Program:
        acts = tuple(filter(which, program.cycle))[:1]
        kept = tuple(act for act in program.cycle if not which(act))
        place = max((n for n, act in enumerate(kept) if behind(act)), default=len(kept) - 1) + 1
        return replace(program, cycle=(*kept[:place], *acts, *kept[place:]))

    return made


def both(*changes: Change) -> Change:
    """One change after the other."""

    def made(program: Program) -> Program:
        for change in changes:
            program = change(program)
        return program

    return made


def _each(program: Program, change: Callable[[Act], tuple[Act, ...]]) -> Program:
    before, cycle = (
        tuple(new for act in acts for new in change(act)) for acts in (program.before, program.cycle)
    )
    return Program(before, cycle)


def claimed(
    metric: Metric,
    about: str,
    bound: float,
    predicted: float,
    rehearsal: Rehearsal | None,
    *,
    condition: str = "",
    least: float | None = None,
) -> Claim | None:
    """A claim about a loop; None where that cannot be run."""
    if rehearsal is None:
        return None
    return Claim(metric, about, bound, predicted, condition, least, rehearsal)


def beneath_clipping(rehearsal: Rehearsal | None) -> str:
    """The condition under which a loop clips nothing: gradients a hundredth as long as it lets them be.

    Where clipping shortens every step, its length tells nothing of what it is made of. Empty where the
    loop does not clip.
    """
    clips = rehearsal is not None and any(act.kind == "clip" for act in rehearsal.remedied.cycle)
    return "norm=0.01" if clips else ""


def no_gradient(loop: TrainingLoop, step: Event, others: Sequence[Event], remedy: Change) -> Claim | None:
    """A claim that a step finds no gradient, at which a scaler raises an error."""
    rehearsal = rehearsed(loop, (*others, step), remedy, about=step.things)
    about = subject(loop, *others, step)
    if step.by:
        return claimed(Metric.RAISES, about, 1, 1, rehearsal, condition="iterations=1")
    return claimed(Metric.STEP_SCALE, about, -1.0, -math.inf, rehearsal, condition="steps=20")
