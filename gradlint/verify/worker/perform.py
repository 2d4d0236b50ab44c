"""A task from beginning to end: build the target, find its inputs, measure, answer."""

from __future__ import annotations

import gc
import itertools
import re
import time
import types
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import torch

from . import documented, handwritten, redirect, staging
from .absent import Absent, AbsentError
from .anatomy import Anatomy, anatomy, layers
from .answers import LOSS, OF_FUNCTIONS, of_arrays, of_function, of_loss, of_model, of_procedure, steps_of
from .construct import recipe, resolve
from .eager import run_as_written
from .fit import ATTEMPTS, FEWEST, HURRIED, Fitted, NoForwardError, NoInputError, fit
from .forms import SIDES
from .functions import callee
from .load import FAILED, load, note_opened, opened
from .metrics import WITHOUT_INPUTS, NotExercisedError
from .otherwise import trained_otherwise
from .protocol import Answer, Argument, Built, Failure, Reply, Task
from .recipes import NotBuiltError, Recipe
from .redirect import taken_as
from .subject import STEPS, Subject, affordable, exact
from .untrainable import LATER, is_silent, is_uniform, raised

Tell = Callable[[str], None]


def perform(task: Task, tell: Tell) -> Reply:
    """The reply to a task; `tell` is told what is about to be done."""
    torch.set_num_threads(1)
    run_as_written()
    stage = "importing"
    note_opened()

    def enter(name: str) -> None:
        nonlocal stage
        stage = name
        tell(name)

    failed: dict[str, BaseException] = {}
    try:
        return replace(_perform(task, enter, failed), files=opened())
    except NotBuiltError as error:
        failure = _failure("constructing", error, failed, is_input=False)
    except NoInputError as error:
        failure = _failure("running", error, failed, is_input=True)
    except MemoryError:
        failure = Failure(stage, f"needs more than {task.megabytes} MB of memory (--verify-memory)")
    except BaseException as error:
        failure = Failure(stage, f"{type(error).__name__}: {' '.join(str(error).split())[:400]}")
    return Reply(task.number, None, [], [], failure, device=task.device)


def _failure(
    stage: str, error: NotBuiltError | NoInputError, failed: dict[str, BaseException], *, is_input: bool
) -> Failure:
    """Why a target did not run; where it lacks a name of its module, why that is not there."""
    absent = [cause for cause in failed.values() if isinstance(cause, AbsentError)]
    if absent and re.search(r"\bAbsent\b", str(error)):
        packages = ", ".join(dict.fromkeys(cause.package for cause in absent))
        which = "which is" if "," not in packages else "which are"
        return Failure(stage, f"needs {packages}, {which} not installed: {error}")
    found = re.search(r"NameError: name '(\w+)' is not defined", str(error))
    if not found or found[1] not in failed:
        lacks = isinstance(error, NoForwardError)
        return Failure(stage, str(error), error.missing, is_input=is_input, lacks_forward=lacks)
    cause = failed[found[1]]
    return Failure(
        "importing", f"the statement that binds {found[1]} failed: {type(cause).__name__}: {cause}"
    )


def _perform(task: Task, enter: Tell, failed: dict[str, BaseException]) -> Reply:
    device = _device(task.device)
    if task.questions and all(question.metric == LOSS for question in task.questions):
        enter("measuring")
        answers = [of_loss(question) for question in task.questions]
        return Reply(task.number, _UNBUILT, answers, [], device="cpu")
    if task.questions and all(question.rehearsal is not None for question in task.questions):
        enter("rehearsing")
        return Reply(task.number, _UNBUILT, staging.answers(task, device), [], device=device)
    enter("importing")
    notes = handwritten.watch(task.path) if handwritten.is_about_arrays(task.questions) else None
    with exact(0, torch.float32):
        module = load(task.path, task.name, task.roots, task.text)
    failed.update(vars(module)[FAILED])
    failed.update({n: AbsentError(v._name) for n, v in vars(module).items() if isinstance(v, Absent)})
    if notes is not None:
        enter("constructing")
        return _arrays(task, module, notes)
    if task.questions and all(question.metric in OF_FUNCTIONS for question in task.questions):
        return _function(task, module, enter)
    enter("constructing")
    procedure = _procedure(task, module)
    if procedure is not None:
        answers = [of_procedure(question, procedure) for question in task.questions]
        return Reply(task.number, _UNBUILT, answers, [], device="cpu")
    made, known, subject = _prepared(task, module, device, enter)
    enter("measuring")
    if _is_run(task):
        enter(f"measuring with {_shown(subject)}")
    answers = [of_model(question, subject) for question in task.questions]
    built = _built(task, made, subject, known)
    shown = layers(subject, known) if task.wants_flow and not built.raises else []
    return Reply(task.number, built, answers, shown, device=device)


Prepared = tuple[Recipe, Anatomy, Subject]


def _prepared(task: Task, module: types.ModuleType, device: str, enter: Tell) -> Prepared:
    """The target made, with inputs where they are needed: as guessed, or else as documentation uses it.

    Where neither runs, what is guessed is changed by the error of the run. Raises `NotBuiltError` and
    `NoInputError`.
    """
    made: Recipe | None = None
    until = time.monotonic() + _SHARE * task.seconds
    try:
        with exact(0, torch.float32):
            made = recipe(module, task.name, task.arguments, task.seconds / 3, line=task.line)
        return _ready(task, made, device, enter)
    except (NotBuiltError, NoInputError) as error:
        with exact(0, torch.float32):
            found = _otherwise(task, module, (made, error), device, enter, until)
        if found is None:
            raise
        return found


_SHARE = 0.7
"""The share of a task's time after which nothing else is tried."""
_HURRIED = 12
"""The part of a task's time that the search for inputs of each other recipe may take: a twelfth."""
_OTHERS = 30
"""So many recipes that the error of a run suggests."""


def _otherwise(
    task: Task,
    module: types.ModuleType,
    failed: tuple[Recipe | None, NotBuiltError | NoInputError],
    device: str,
    enter: Tell,
    until: float,
) -> Prepared | None:
    """The target made in another way: as documentation does, and as the errors of the runs suggest, in turn.

    What leads to another error than the runs before is followed first.
    """
    waiting = deque([documented.recipes(module, task.name, task.arguments), _suggested(*failed)])
    known = {_cause(failed[1])}
    while waiting and time.monotonic() < until:
        others = waiting.popleft()
        other = next(others, None)
        if other is None:
            continue
        waiting.append(others)
        found = _tried(task, other, device, enter)
        if isinstance(found, tuple):
            return found
        if found is not None and _cause(found) not in known and other.usage is None:
            known.add(_cause(found))
            waiting.appendleft(_suggested(other, found))
    return None


def _tried(task: Task, made: Recipe, device: str, enter: Tell) -> Prepared | NoInputError | None:
    """The target as a recipe makes it, or why it does not run; None where it cannot even be made."""
    try:
        return _ready(task, made, device, enter, _HURRIED)
    except NoInputError as error:
        return error
    except (Exception, SystemExit):
        return None


def _suggested(made: Recipe | None, error: NotBuiltError | NoInputError) -> Iterator[Recipe]:
    """The recipes that the error of a run suggests."""
    cause = error.cause if isinstance(error, NoInputError) else None
    if made is not None and cause is not None:
        yield from itertools.islice(made.remade(cause), _OTHERS)


def _cause(error: NotBuiltError | NoInputError) -> str:
    return repr(error.cause if isinstance(error, NoInputError) else error)


def _ready(task: Task, made: Recipe, device: str, enter: Tell, share: int = 3) -> Prepared:
    with exact(0, torch.float32):
        known = anatomy(made.make())
    subject = _subject(task, made, device, share)
    if _is_run(task):
        enter("searching inputs")
        subject.fitted(subject.steps)
    if known.parameters > _MANY:
        gc.collect()  # errors of the search for inputs hold copies of the model
    return made, known, subject


_MANY = 2**24
"""From so many parameters on, memory is short."""


PLACES = ("backward", "parameters")
"""What claims about functions that train are about."""
_UNBUILT = Built([], [], [], "float64", 0, 0, [], [])


def _procedure(task: Task, module: types.ModuleType) -> types.FunctionType | None:
    """The function that trains, where all questions are about one."""
    if not task.questions or not all(question.subject in PLACES for question in task.questions):
        return None
    found = resolve(module, task.name)
    return found if isinstance(found, types.FunctionType) else None


def _arrays(task: Task, module: types.ModuleType, notes: handwritten.Notes) -> Reply:
    with exact(0, torch.float64):
        try:
            if task.name:
                found = handwritten.network(module, task.name, task.arguments, task.seconds / 3, notes)
            else:
                lines = sorted({int(q.subject) for q in task.questions if q.subject.isdigit()})
                found = handwritten.script(module, lines, notes)
        except NotExercisedError as error:
            answers = [Answer(q.number, "not exercised", [], reason=str(error)) for q in task.questions]
            return Reply(task.number, _UNBUILT, answers, [], device="cpu")
    answers = [of_arrays(question, found) for question in task.questions]
    shapes = [Argument(n, f"float64{list(x.shape)}", "inferred") for n, x in found.given.items()]
    built = replace(_UNBUILT, arguments=found.arguments, inputs=shapes)
    return Reply(task.number, built, answers, [], device="cpu")


def _function(task: Task, module: types.ModuleType, enter: Tell) -> Reply:
    enter("searching inputs")
    found = callee(module, task.name, task.arguments, task.seconds / 3)
    enter("measuring")
    answers = [of_function(question, found) for question in task.questions]
    inputs = [Argument(name, form.describe("float32"), form.origin) for name, form in found.forms.items()]
    built = Built(found.arguments, inputs, [], "float32", 0, 0, [], [])
    return Reply(task.number, built, answers, [], device="cpu")


def _device(asked: str) -> str:
    """The device to run on. Raises `NotBuiltError` where there is none of that kind."""
    has_mps = bool(getattr(torch.backends, "mps", None) and torch.backends.mps.is_available())
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    if asked.startswith("cuda") and not torch.cuda.is_available():
        raise NotBuiltError("this machine has no CUDA device that torch can use (--device cpu)")
    if asked == "mps" and not has_mps:
        raise NotBuiltError("this machine has no MPS device that torch can use (--device cpu)")
    return asked


def _subject(task: Task, made: Recipe, device: str, share: int) -> Subject:
    """The target; its inputs are searched when a run first needs them, for a share of the task's time."""

    @cache
    def fitted(steps: int) -> Fitted:
        with exact(0, torch.float32):
            taken_as("cpu")
            if made.usage is not None and not task.inputs:
                shown = documented.fitted(made.make().train(), made.usage, torch.float32)
                if shown is not None:
                    return shown
            seconds, side = task.seconds / share, made.side or SIDES[0]
            most = FEWEST if made.usage is not None else HURRIED if share == _HURRIED else ATTEMPTS
            model = made.make().train()
            return fit(model, task.inputs, seconds, steps, side=side, fields=made.fields, attempts=most)

    @cache
    def batch(steps: int) -> int:
        return affordable(made.make, fitted(steps), torch.float32, task.seconds / _PASSES)

    dtype = getattr(torch, task.dtype)
    return Subject(made.make, fitted, dtype, device, steps=_steps(task), affordable=batch)


_PASSES = 50
"""Of a task's time so many forward passes may take all: its runs are several, each with a backward pass."""


def _is_run(task: Task) -> bool:
    """Whether anything is asked that takes a run of the model, and so its inputs."""
    return task.wants_flow or any(question.metric not in WITHOUT_INPUTS for question in task.questions)


def _shown(subject: Subject) -> str:
    """The inputs of the runs, with where they are from."""
    dtype = str(subject.dtype).replace("torch.", "")
    forms = subject.fitted(subject.steps).sized(subject.batch)
    return ", ".join(f"{name}={form.describe(dtype)} ({form.origin})" for name, form in forms.items())


def _steps(task: Task) -> int:
    """The time steps that the questions are about, where they are."""
    return next((steps for steps in map(steps_of, task.questions) if steps), STEPS)


def _built(task: Task, made: Recipe, subject: Subject, known: Anatomy) -> Built:
    dtype = str(subject.dtype).replace("torch.", "")
    built = Built(made.arguments(), [], made.notes, dtype, known.parameters, known.trained, [], [])
    if not _is_run(task):
        return built
    raises, fitted = raised(subject), subject.fitted(subject.steps)
    forms = fitted.sized(subject.batch)
    inputs = [Argument(name, form.describe(dtype), form.origin) for name, form in forms.items()]
    notes = [*made.notes, *fitted.notes, *redirect.notes()]
    uniform = [each for each in inputs if is_uniform(forms[each.name])]
    guessed = [each for each in built.arguments if each.origin == "guessed"]
    presumed = [f"{each.name}={each.expression}" for each in (*uniform, *guessed)]
    built = replace(built, inputs=inputs, notes=notes, raises=raises, presumed=presumed)
    return built if raises else _reached(built, subject)


def _reached(built: Built, subject: Subject) -> Built:
    """What is built, with what the gradient reaches."""
    run = subject.run()
    outputs = [f"the loss takes all {run.outputs} outputs of forward"] if run.outputs > 1 else []
    cut = run.cut and [name for name in replace(subject, updates=LATER).run().cut if name in run.cut]
    meant = trained_otherwise(subject, cut)
    cut = [name for name in cut if name not in meant]
    return replace(
        built,
        notes=[*built.notes, *outputs],
        unused=run.unused,
        non_finite=run.non_finite,
        cut=cut,
        is_silent=is_silent(subject),
    )
