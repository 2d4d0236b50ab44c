"""What functions and classes from outside the project mean for training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gradlint.records.graph import Setting
from gradlint.semantics.interpretation import Arguments, Site
from gradlint.semantics.value import Value
from gradlint.training.builtin_calls import GATHERING, PASSING, called_builtin, iterated
from gradlint.training.functions import CLIPS, clipped
from gradlint.training.holding import held, is_parameters, take
from gradlint.training.methods import is_meant
from gradlint.training.model_methods import HALVES
from gradlint.training.profiles import profile_of
from gradlint.training.settings import arguments_of, constant
from gradlint.training.started import started
from gradlint.training.tools import made as made_by
from gradlint.training.torch_calls import PURE, called_torch
from gradlint.training.values import (
    Optimizer,
    Parameters,
    Scheduler,
    Tool,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts

Meaning = Callable[["TrainingFacts", str, Arguments, Site], Value]

_HARMLESS = (
    "builtins.",
    "logging.",
    "wandb.",
    "json.",
    "time.",
    "numpy.",
    "math.",
    "random.",
    "sys.",
    "tqdm.",
)


def called_by_name(facts: TrainingFacts, name: str, arguments: Arguments, site: Site) -> Value:
    """A function or class that no entry of the table is about."""
    last = name.rpartition(".")[2]
    if name.startswith("builtins."):
        return called_builtin(facts, last, arguments, site)
    if _is_unbound(name, arguments):
        return _called_unbound(facts, last, arguments, site)
    profile = profile_of(name)
    if profile is not None:
        made = made_by(profile, name, arguments, site)
        if isinstance(made, Tool):
            started(facts, made, site)
        return made
    if last in CLIPS:
        return clipped(facts, name, arguments, site)
    if name.startswith("torch.optim.lr_scheduler.") or _is_schedule(name, last):
        return _scheduler(facts, name, arguments, site)
    first = next(iter(arguments.values()), None)
    if first is not None and _makes_optimizer(name, last, first, arguments):
        take(first)
        holds = held(first) or Parameters(None, False)
        unknown: dict[str, Setting] = {"eps": None, "fused": None} if arguments.open else {}
        settings = {**unknown, **arguments_of(arguments, ("", "lr"))}
        return facts.makes(Optimizer(name, holds, settings, site))
    if name.startswith("torch."):
        return called_torch(facts, name, last, arguments, site)
    if last in PASSING or last in GATHERING:
        return iterated(facts, last, arguments, site)
    given = facts.mixed(arguments.values())
    if given.passes and not name.startswith(_HARMLESS):
        facts.recorder.note("lend", site, source=given.passes)
        return replace(given, is_certain=False, is_divided=None)
    if not name.startswith(_HARMLESS):
        facts.escapes(arguments.values(), site)
    if name.startswith(PURE):
        return facts.symbols.derived(name, arguments.values())
    made = facts.symbols.fresh(type=name)
    facts.keep(made, arguments.values())
    if last == "from_pretrained" and HALVES & {constant(value) for value in _types(arguments)}:
        facts.recorder.note("half", site, (made,))
    return made


def _is_unbound(name: str, arguments: Arguments) -> bool:
    """Whether a name is that of a method in a class of torch, as in `torch.optim.SGD.step(optimizer)`."""
    of, _, method = name.rpartition(".")
    is_class = name.startswith("torch.") and of.rpartition(".")[2][:1].isupper()
    return is_class and is_meant(method) and bool(arguments.positional)


def _called_unbound(facts: TrainingFacts, name: str, arguments: Arguments, site: Site) -> Value:
    receiver, *rest = arguments.positional
    given = Arguments(tuple(rest), arguments.keywords, arguments.open, max(arguments.certain - 1, 0))
    return facts.method_of(receiver.value, name, given, site)


def _types(arguments: Arguments) -> list[Value]:
    """The types of numbers that a call is given."""
    found = [arguments.keywords.get(name) for name in ("torch_dtype", "dtype")]
    return [operand.value for operand in found if operand is not None]


def _makes_optimizer(name: str, last: str, first: Value, arguments: Arguments) -> bool:
    """Whether a class is given parameters first, and stands among optimizers or takes a learning rate."""
    if name.startswith("torch.optim."):
        return last[:1].isupper()
    return (
        is_parameters(first)
        and last[:1].isupper()
        and ("lr" in arguments.keywords or "optim" in name.lower())
    )


_SCHEDULES = {
    "ExponentialLR": ("gamma",),
    "StepLR": ("step_size", "gamma"),
    "MultiStepLR": ("milestones", "gamma"),
    "CosineAnnealingLR": ("T_max", "eta_min"),
    "OneCycleLR": ("max_lr", "total_steps", "epochs", "steps_per_epoch"),
}
"""What schedules are given after the optimizer."""


def _is_schedule(name: str, last: str) -> bool:
    return name.startswith(("transformers.", "diffusers.")) and last.startswith("get_") and "schedule" in last


def _scheduler(facts: TrainingFacts, name: str, arguments: Arguments, site: Site) -> Value:
    of = arguments.get(0, "optimizer") or arguments.get(1, "optimizer")
    changed = of.value if of is not None else facts.symbols.fresh()
    names = _SCHEDULES.get(name.rpartition(".")[2], ())
    told = [arguments.get(names.index(each) + 1, each) for each in ("T_max", "total_steps") if each in names]
    length = next((operand.value for operand in told if operand is not None), None)
    settings = arguments_of(arguments, ("", *names))
    return Scheduler(name, changed, settings, site, length, facts.symbols.count)


# functions with a meaning of their own
