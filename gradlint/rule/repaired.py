"""What else is wrong with a training loop, put right in both forms in which a claim about it is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gradlint.rule.rehearse import Change, at, both, followed, new, told, without
from gradlint.steps.clipping import clipping_of
from gradlint.steps.gradients import gradients_of
from gradlint.steps.loop import TrainingLoop
from gradlint.steps.missed import missed_in
from gradlint.steps.scaling import never_updated


def repaired(loop: TrainingLoop, but: str = "") -> Change:
    """Repair all that is known to be wrong with a loop and would disturb a measurement, but one kind of it:
    "clip" (clipping that no step feels), "zero" (gradients that are never zeroed), "update" (a scaler that is
    never updated) or "replace" (layers that come after the optimizer).
    """
    return both(*[change for kind, repairs in _REPAIRS.items() if kind != but for change in repairs(loop)])


def _clips(loop: TrainingLoop) -> Iterator[Change]:
    yield without(at(*[found.clip for found in clipping_of(loop)]))


def _zeros(loop: TrainingLoop) -> Iterator[Change]:
    for of in gradients_of(loop):
        for step in {step.number: step for step, _ in of.kept()}.values():
            yield followed(at(step), new("zero", step.things))


def _updates(loop: TrainingLoop) -> Iterator[Change]:
    for optimizer in loop.optimizers if loop.is_readable else ():
        steps = [step for step, _ in never_updated(loop, optimizer)]
        for step in {step.number: step for step in steps}.values():
            yield followed(at(step), new("update", step.by))


def _replaced(loop: TrainingLoop) -> Iterator[Change]:
    for found in missed_in(loop):
        if found[0].kind == "replace":
            yield told(at(found[0]), first=True)


_REPAIRS: dict[str, Callable[[TrainingLoop], Iterator[Change]]] = {
    "clip": _clips,
    "zero": _zeros,
    "update": _updates,
    "replace": _replaced,
}
