"""The claim that clipping does not make gradients shorter that are ten times as long as it allows."""

from __future__ import annotations

from msgspec.structs import replace

from gradlint.records.finding import Claim, Metric
from gradlint.records.graph import Setting
from gradlint.records.rehearsal import Act, Program
from gradlint.records.training import Event
from gradlint.rule.loops import subject
from gradlint.rule.rehearse import Change, at, both, claimed, kind, new, on, preceded, rehearsed, without
from gradlint.rule.repaired import repaired
from gradlint.steps.clipping import LOOSE, bound
from gradlint.steps.gradients import Gradients, gradients_of
from gradlint.steps.loop import TrainingLoop

_TIMES = 10.0
_KEPT = ("max_norm", "clip_value", "max", "clip_val", "form")


def unclipped(loop: TrainingLoop, clip: Event) -> Claim | None:
    """That steps are as long as without clipping; that it raises an error where it is given a module."""
    of = _concerned(loop, clip)
    step = min(of.steps.values(), key=lambda e: e.number) if of is not None and of.steps else None
    if of is None or step is None:
        return None
    others = repaired(loop, but="clip")
    rehearsal = rehearsed(loop, (clip, step), _remedy(of, clip, step), about=of.optimizer, assumed=others)
    about = subject(loop, clip, step)
    if clip.settings.get("given") in ("module", "object"):
        return claimed(Metric.RAISES, about, 1, 1, rehearsal, condition="iterations=1")
    return claimed(Metric.STEP_SCALE, about, 0.3, 1.0, rehearsal, condition=f"norm={_TIMES:g}", least=0.3)


def _concerned(loop: TrainingLoop, clip: Event) -> Gradients | None:
    """The gradients that clipping is meant for: those that it is about, or else the first."""
    every = list(gradients_of(loop))
    about = [of for of in every if loop.concerns(clip, of.optimizer)]
    return next(iter([*about, *every]), None)


def _remedy(of: Gradients, clip: Event, step: Event) -> Change:
    """Clip what the optimizer holds right before its step, unscaled where a scaler steps."""

    def made(program: Program) -> Program:
        scalers = [act.by for act in program.cycle if act.kind == "step" and act.by is not None]
        unscale = tuple(Act(-1, "unscale", tuple(step.things), by=n) for n in scalers[:1])
        unscaled = on(kind("unscale"), of.optimizer)
        settings = tuple(sorted(_settings(clip).items()))
        clipped = replace(new("clip", step.things), settings=settings)
        change = both(
            without(at(clip)),
            without(unscaled) if unscale else lambda program: program,
            preceded(at(step), *unscale, clipped),
        )
        return change(program)

    return made


def _settings(clip: Event) -> dict[str, Setting]:
    """How it is meant to be clipped; to a norm or value of 1 where the code says nothing useful."""
    size = bound(clip)
    found = {name: value for name, value in clip.settings.items() if name in _KEPT}
    if size is not None and size < LOOSE:
        return found
    form = "clip_grad_norm_" if "norm" in str(found.get("form")) else "clip_grad_value_"
    return {"form": form, "max_norm": 1.0}
