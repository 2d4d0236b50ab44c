"""From a question to its answer: which measurement it asks for, with how many seeds."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable
from dataclasses import replace

import torch

from . import functions, losses, procedures
from .functions import Callee
from .handwritten import Network
from .metrics import METRICS, NoGradientError, NotExercisedError
from .protocol import NO_GRADIENT, Answer, Question
from .subject import Subject

SEEDS = (0, 1, 2)
NEAR = 0.5
"""So near to its bound, in the metric's unit, one seed does not settle a claim."""
LOSS = "loss-gradient"
OF_FUNCTIONS = frozenset({functions.GRADIENT, functions.VALUE})


def of_model(question: Question, subject: Subject) -> Answer:
    """What is measured of a model: one seed; three where that settles nothing.

    Where it gives no number as it is made, it is measured after as many steps of gradient descent as the
    question has patience for, which the answer's reason says.
    """
    own = replace(
        subject,
        steps=steps_of(question) or subject.steps,
        updates=_number(question, "updates"),
        follows_stream="stream" in question.condition,
    )
    answer = _answered(question, lambda: _values(question, own))
    patience = _number(question, "patience")
    waits = answer.state == NO_GRADIENT or answer.values
    if not patience or not waits or any(map(math.isfinite, answer.values)):
        return answer
    later = replace(own, updates=patience)
    found = _answered(question, lambda: _values(question, later))
    is_told = any(map(math.isfinite, found.values))
    return replace(found, reason=f"after {patience} steps of gradient descent") if is_told else answer


def steps_of(question: Question) -> int:
    """The time steps that a question is about, 0 where it is about none."""
    return _number(question, "steps")


def _number(question: Question, name: str) -> int:
    """What the condition says of a name, as of "updates" in "updates=2"; 0 where nothing."""
    found = re.search(rf"\b{name}=(\d+)", question.condition)
    return int(found[1]) if found else 0


def of_function(question: Question, callee: Callee) -> Answer:
    """What is measured of a function."""
    return _answered(question, lambda: ([functions.measure(question, callee)], "float32"))


def of_loss(question: Question) -> Answer:
    """What is measured of a loss behind an activation; no model is needed for that."""
    found = re.search(r"classes=(\d+)", question.condition)
    classes = int(found[1]) if found else 2
    return _answered(question, lambda: ([losses.loss_gradient(question.subject, classes)], "float64"))


def of_arrays(question: Question, network: Network) -> Answer:
    """What is measured of a network that is written with arrays."""
    return _answered(question, lambda: ([network.measure(question)], "float64"))


def of_procedure(question: Question, function: Callable[..., object]) -> Answer:
    """What is measured of a function that trains."""
    return _answered(question, lambda: ([procedures.gradient_arrives(function)], "float32"))


def _answered(question: Question, measure: Callable[[], tuple[list[float], str]]) -> Answer:
    try:
        values, dtype = measure()
    except NoGradientError as error:
        return Answer(question.number, NO_GRADIENT, [], reason=str(error))
    except NotExercisedError as error:
        return Answer(question.number, "not exercised", [], reason=str(error))
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return Answer(question.number, "failed", [], reason=reason)
    return Answer(question.number, "measured", values, dtype)


def _values(question: Question, subject: Subject) -> tuple[list[float], str]:
    measure = METRICS.get(question.metric)
    if measure is None:
        raise NotExercisedError(f"there is no measurement of {question.metric} for this target")
    value = measure(subject, question.subject) - question.offset
    if math.isnan(value) and "patience" in question.condition and not subject.updates:
        return [value], _name(subject)
    if not math.isfinite(value) and subject.dtype is torch.float32 and question.metric != "weight-variance":
        doubled = replace(subject, dtype=torch.float64)
        with contextlib.suppress(RuntimeError):
            value, subject = measure(doubled, question.subject) - question.offset, doubled
    values = [value]
    if abs(value - question.bound) <= NEAR or not _agrees(value, question):
        others = [replace(subject, seed=seed) for seed in SEEDS[1:]]
        values += [measure(other, question.subject) - question.offset for other in others]
    return values, _name(subject)


def _name(subject: Subject) -> str:
    return str(subject.dtype).replace("torch.", "")


def _agrees(value: float, question: Question) -> bool:
    near = abs(value - question.predicted) <= max(0.3, 0.1 * abs(question.predicted))
    return value == question.predicted or near
