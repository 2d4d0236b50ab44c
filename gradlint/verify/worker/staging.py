"""Who plays a training loop: its own models where they can be had and run, stand-ins else."""

from __future__ import annotations

import time
import types
from dataclasses import replace

import torch

from .acts import ACTS
from .company import BATCH, Company, UnknownPartError
from .compared import COMPARISONS, Stage, rounds_of
from .construct import recipe
from .fit import Fitted, fit
from .load import load
from .metrics import NotExercisedError
from .protocol import Answer, Question, Task
from .recipes import NotBuiltError, Recipe
from .rehearsal import Act, Program, Rehearsal
from .rounds import Conditions, Rounds, called
from .subject import exact

NONE = "none"
"""What stands for a model without which a claim says nothing."""
SEEDS = (0, 1, 2)
_OF_ORDER = ("schedule-lead",)
"""What the order of steps alone decides, with whatever network."""
_ROUNDS = 240
"""A forward pass may take so small a part of a task's time, or smaller batches are taken if they run."""
_PASSES = ("forward", "half", "widen", "train", "eval", "replace")


def answers(task: Task, device: str) -> list[Answer]:
    """The answers to all questions of a task about training loops."""
    targets, reason = _targets(task)
    return [_answer(question, targets, reason, device, task) for question in task.questions]


def _targets(task: Task) -> tuple[dict[str, Recipe], str]:
    """How the model that the loop trains is made, and why it cannot be where that is so."""
    if not task.name or all(question.metric in _OF_ORDER for question in task.questions):
        return {}, ""
    try:
        with exact(0, torch.float32):
            module: types.ModuleType = load(task.path, task.name, task.roots, task.text)
            made = recipe(module, task.name, task.arguments, task.seconds / 3, line=task.line)
    except NotBuiltError as error:
        return {}, str(error)
    except Exception as error:
        return {}, f"{type(error).__name__}: {error}"
    return {task.name: made}, ""


def _answer(question: Question, targets: dict[str, Recipe], reason: str, device: str, task: Task) -> Answer:
    rehearsal = question.rehearsal
    assert rehearsal is not None
    try:
        company, why = _cast(question, rehearsal, targets, device, task)
        values = _values(question, rehearsal, company)
        built = _built(question, rehearsal, company, reason or why)
    except NotExercisedError as error:
        return Answer(question.number, "not exercised", [], reason=str(error))
    except Exception as error:
        return Answer(question.number, "failed", [], reason=f"{type(error).__name__}: {str(error)[:300]}")
    is_weak = company.uses_stand_ins and question.metric not in _OF_ORDER
    return Answer(question.number, "measured", values, "float32", "", built, is_weak)


def _values(question: Question, rehearsal: Rehearsal, company: Company) -> list[float]:
    """One value; one for each seed where the first is near the bound."""
    measure = COMPARISONS[question.metric]
    values = [measure(Stage(rehearsal, company, Conditions(seed=SEEDS[0])), question)]
    is_near = abs(values[0] - question.bound) <= 0.1 * abs(question.bound)
    if is_near and values[0] != question.predicted:
        values += [measure(Stage(rehearsal, company, Conditions(seed=seed)), question) for seed in SEEDS[1:]]
    return values


def _cast(
    question: Question, rehearsal: Rehearsal, targets: dict[str, Recipe], device: str, task: Task
) -> tuple[Company, str]:
    """Who plays for a question, and why not the loop's own models; they play for no order of steps."""
    if question.metric in _OF_ORDER:
        parts = {part.number: part for part in rehearsal.parts}
        return Company(parts, {}, device=device, uses_stand_ins=True), "any model takes these steps"
    return _company(rehearsal, targets, device, task)


def _company(
    rehearsal: Rehearsal, targets: dict[str, Recipe], device: str, task: Task
) -> tuple[Company, str]:
    """The loop's own models with inputs, or stand-ins and why."""
    parts = {part.number: part for part in rehearsal.parts}
    own = Company(parts, targets, device=device)
    passes = [act for act in rehearsal.remedied.cycle if act.kind == "forward"]
    running: list[Company] = []
    try:
        inputs = {act.on[0]: _fitted(own, act, task) for act in passes if act.on and not act.of}
        for batch in (BATCH, 0):
            company = replace(own, inputs=inputs, batch=batch)
            started = time.process_time()
            error = _played(company, rehearsal)
            running += [company] if error is None else []
            if running and _ROUNDS * (time.process_time() - started) < task.seconds:
                break
        if running:
            return running[-1], ""
    except Exception as failed:
        error = failed
    if any(part.stand_in == NONE for part in rehearsal.parts):
        raise NotExercisedError(f"the model cannot be run: {' '.join(str(error).split())[:200]}")
    name = "" if isinstance(error, UnknownPartError) else f"{type(error).__name__}: "
    return replace(own, uses_stand_ins=True), f"{name}{error}"


def _fitted(company: Company, act: Act, task: Task) -> Fitted:
    with exact(0, torch.float32):
        return fit(company.model(act.on[0]), task.inputs, task.seconds / 3)


def _played(company: Company, rehearsal: Rehearsal) -> Exception | None:
    """Why the models cannot be run one after the other as the loop does it, None where they can."""
    written = rehearsal.remedied
    acts = [act for act in written.cycle if act.kind in _PASSES]
    program = Program([act for act in written.before if act.kind in _PASSES], acts)
    return Rounds(company, program, Conditions(rounds=1), ACTS).run().error


def _built(question: Question, rehearsal: Rehearsal, company: Company, reason: str) -> str:
    """What was run, in a line."""
    acts = (*rehearsal.written.before, *rehearsal.written.cycle)
    models = called(acts, company)
    optimizers = [part.number for part in rehearsal.parts if part.kind == "optimizer"]
    text = company.described([*models, *optimizers])
    inputs = [
        f"{n}={f.describe('float32')} {f.origin}"
        for fitted in company.inputs.values()
        for n, f in fitted.sized(company.batch).items()
    ]
    data = f"input {', '.join(inputs)}" if inputs and not company.uses_stand_ins else "random data"
    why = f" ({reason[:120]})" if reason and company.uses_stand_ins else ""
    return f"{text}, {rounds_of(question)} on {data}{why}"
