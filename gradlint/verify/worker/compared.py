"""Claims about training loops: both forms are run, and one number is made of what they show."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from .acts import ACTS, threshold
from .company import Company
from .metrics import NotExercisedError, log10_ratio
from .protocol import Question
from .rehearsal import Program, Rehearsal
from .rounds import ROUNDS, Conditions, Rounds
from .shown import Show, Step
from .synthetic import norm


@dataclass(frozen=True)
class Stage:
    """A loop with the company that plays it, under the conditions that hold for both forms."""

    rehearsal: Rehearsal
    company: Company
    conditions: Conditions

    def show(self, program: Program, conditions: Conditions | None = None) -> Show:
        """What a form of the loop shows. Raises `NotExercisedError` where it cannot be run."""
        found = self.tried(program, conditions)
        if found.error is not None:
            error = found.error
            raise NotExercisedError(
                f"the loop raises {type(error).__name__}: {' '.join(str(error).split())[:200]}"
            )
        return found

    def tried(self, program: Program, conditions: Conditions | None = None) -> Show:
        """The same; an error is part of what it shows."""
        return Rounds(self.company, program, conditions or self.conditions, ACTS).run()

    def both(self, conditions: Conditions | None = None) -> tuple[Show, Show]:
        """What both forms show: as written, and with the remedy."""
        return self.show(self.rehearsal.written, conditions), self.show(self.rehearsal.remedied, conditions)


def number(question: Question, name: str, default: float) -> float:
    """What a condition says of a name: 20 for "steps" in "steps=20,norm=10"."""
    found = re.search(rf"\b{name}=(-?[\d.]+)", question.condition)
    return float(found[1]) if found else default


def step_scale(stage: Stage, question: Question) -> float:
    """log10 of the largest ‖g‖₂ that a step is given, over that with the remedy."""
    steps = int(number(question, "steps", 1))
    conditions = replace(stage.conditions, steps=steps, judged=_judged(question))
    times = number(question, "norm", 0.0)
    if times:
        conditions = replace(conditions, factor=_lengthened(stage, conditions, times))
    if "clip=first" in question.condition:
        conditions = replace(
            conditions,
            threshold=_largest(stage.show(stage.rehearsal.written, replace(conditions, steps=1)), stage),
        )
    written, remedied = stage.both(conditions)
    return log10_ratio(_largest(written, stage), _largest(remedied, stage))


def _judged(question: Question) -> float | None:
    """The logit that samples are judged with, where the condition says so."""
    return number(question, "fake", 0.0) if "fake=" in question.condition else None


def _largest(show: Show, stage: Stage) -> float:
    return max([step.norm for step in _taken(show, stage)], default=0.0)


def _taken(show: Show, stage: Stage) -> list[Step]:
    return show.taken(stage.rehearsal.about)


def _lengthened(stage: Stage, conditions: Conditions, times: float) -> float:
    """The factor of the loss with which the gradient is so many times as large as what it is clipped to."""
    program = stage.rehearsal.remedied
    every = [threshold(act, conditions.threshold) for act in program.cycle if act.kind == "clip"]
    bounds = [bound for bound in every if math.isfinite(bound)]
    if every and not bounds and times < 1:
        return 1.0
    found = stage.show(program, replace(conditions, steps=1, threshold=math.inf)).clipped
    if not bounds or not found or not found[0]:
        raise NotExercisedError("the loop clips nothing with the remedy either")
    return times * bounds[0] / found[0]


def flushed_gradients(stage: Stage, question: Question) -> float:
    """The share of zeros among the first gradients, of those that are not zero in float32."""
    conditions = replace(stage.conditions, steps=1, value=number(question, "loss", 0.001))
    half = _first(stage.show(stage.rehearsal.written, conditions), stage).gradients
    exact = _first(stage.show(stage.rehearsal.written, replace(conditions, is_exact=True)), stage).gradients
    there = sum(int((e != 0).sum()) for e in exact)
    if not there:
        raise NotExercisedError("no gradient arrives in float32 either")
    return sum(int(((e != 0) & (h == 0)).sum()) for h, e in zip(half, exact)) / there


def _first(show: Show, stage: Stage) -> Step:
    return _some(show, stage)[0]


def _some(show: Show, stage: Stage) -> list[Step]:
    steps = _taken(show, stage)
    if not steps:
        raise NotExercisedError("the optimizer takes no step")
    return steps


def lost_updates(stage: Stage, question: Question) -> float:
    """The share of float16 elements that a step leaves, of those that it changes in float32: the first one,
    or the last of so many.
    """
    count = int(number(question, "steps", 1))
    conditions = replace(stage.conditions, steps=count, follows_weights=count > 1)
    return _some(stage.show(stage.rehearsal.written, conditions), stage)[-1].lost


def raises(stage: Stage, question: Question) -> float:
    """1 where so many rounds end in an error as written, and not in that one with the remedy.

    Another error with the remedy is another defect of the loop.
    """
    rounds = int(number(question, "iterations", 1))
    conditions = replace(stage.conditions, rounds=rounds)
    written = stage.tried(stage.rehearsal.written, conditions).error
    remedied = stage.tried(stage.rehearsal.remedied, conditions).error
    if remedied is not None and (written is None or _words(written) == _words(remedied)):
        stage.show(stage.rehearsal.remedied, conditions)
    return float(written is not None)


def _words(error: Exception) -> tuple[str, str]:
    """An error without its numbers."""
    return type(error).__name__, re.sub(r"\d+", "", str(error))


def kept_graphs(stage: Stage, question: Question) -> float:
    """The graphs held after all rounds beyond those with the remedy, in graphs of one round."""
    written, remedied = stage.both(replace(stage.conditions, counts_graphs=True))
    return written.graphs - remedied.graphs


def trained_share(stage: Stage, question: Question) -> float:
    """Of the parameters that change with the remedy, the share that change as written."""
    written, remedied = stage.both()
    moved = [name for name in remedied.end if _has_moved(remedied, name)]
    if not moved:
        raise NotExercisedError("no parameter changes with the remedy either")
    return sum(_has_moved(written, name) for name in moved) / len(moved)


def _has_moved(show: Show, name: str) -> bool:
    return name in show.start and not torch.equal(show.start[name], show.end[name])


def training_difference(stage: Stage, question: Question) -> float:
    """‖w - w*‖₂ / ‖w* - w₀‖₂ after all rounds, w* with the remedy."""
    written, remedied = stage.both(replace(stage.conditions, judged=_judged(question)))
    names = remedied.end.keys() & written.end.keys()
    moved = norm([remedied.end[n] - remedied.start[n] for n in names])
    if not moved:
        raise NotExercisedError("nothing is trained with the remedy either")
    return norm([written.end[n] - remedied.end[n] for n in names]) / moved


def update_ratio(stage: Stage, question: Question) -> float:
    """log10 of ‖Δw‖₂/‖w‖₂ over the first of so many steps that goes to the bound, or else the longest."""
    count = int(number(question, "steps", 1))
    conditions = replace(stage.conditions, steps=count, follows_weights=True)
    ratios = [step.ratio for step in _some(stage.show(stage.rehearsal.written, conditions), stage)]
    return log10_ratio(next((each for each in ratios if not each < 10**question.bound), max(ratios)), 1.0)


def schedule_lead(stage: Stage, question: Question) -> float:
    """By how many rates the schedule is ahead of the remedy, in the step where that is furthest from 0."""
    written, remedied = stage.both()
    pairs = zip(_taken(written, stage), _taken(remedied, stage))
    return float(max((w.position - r.position for w, r in pairs), key=abs, default=0))


COMPARISONS: dict[str, Callable[[Stage, Question], float]] = {
    "step-scale": step_scale,
    "flushed-gradients": flushed_gradients,
    "lost-updates": lost_updates,
    "raises": raises,
    "kept-graphs": kept_graphs,
    "trained-share": trained_share,
    "training-difference": training_difference,
    "update-ratio": update_ratio,
    "schedule-lead": schedule_lead,
}
_ONE_ROUND = ("flushed-gradients",)
_ONE_STEP = ("step-scale", "update-ratio", "lost-updates")


def rounds_of(question: Question) -> str:
    """How long the loop is run for a question, in words."""
    if question.metric == "raises":
        count = int(number(question, "iterations", 1))
    else:
        count = (
            1
            if question.metric in _ONE_ROUND
            else int(number(question, "steps", 0)) or (1 if question.metric in _ONE_STEP else ROUNDS)
        )
    return f"{count} {'iteration' if question.metric == 'raises' else 'step'}{'s' if count > 1 else ''}"
