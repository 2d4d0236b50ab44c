"""What functions and classes from outside the project mean for training."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from gradlint.records.losses import LOSS_LAYERS, LOSSES
from gradlint.semantics.evaluate import Generator
from gradlint.semantics.interpretation import Arguments, Site, known
from gradlint.semantics.value import Instance, Items, Known, Value
from gradlint.training.defaults import entries
from gradlint.training.forms import of_function, reduced
from gradlint.training.holding import held, is_parameters, is_spent, parameters_of, take
from gradlint.training.methods import BOUNDS, HALVES, backward, is_meant
from gradlint.training.mixed import autocast, kinds_of_device, scaler
from gradlint.training.profiles import profile_of
from gradlint.training.settings import arguments_of, constant
from gradlint.training.started import started
from gradlint.training.tools import made as made_by
from gradlint.training.values import (
    SCALE,
    Context,
    Module,
    Optimizer,
    Parameters,
    Scaler,
    Scheduler,
    Symbol,
    Tensor,
    Tool,
    has_tensors,
    options,
    tensors,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts

Meaning = Callable[["TrainingFacts", str, Arguments, Site], Value]

_PURE = (
    "torch.cuda.",
    "torch.distributed.",
    "torch.backends.",
    "torch.is_",
    "torch.version",
    "torch.mps.",
    "torch.xpu.",
    "os.",
)
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
_GATHERING = frozenset(
    {"list", "tuple", "set", "sorted", "iter", "reversed", "filter", "chain", "from_iterable"}
)
_PASSING = frozenset({"tqdm", "trange", "enumerate", "zip", "islice", "cycle", "track", "prefetch"})
_TESTS = frozenset({"isinstance", "hasattr", "callable", "issubclass", "len", "type", "id", "getattr"})


def called_by_name(facts: TrainingFacts, name: str, arguments: Arguments, site: Site) -> Value:
    """A function or class that no entry of the table is about."""
    last = name.rpartition(".")[2]
    if name.startswith("builtins."):
        return _builtin(facts, last, arguments, site)
    if _is_unbound(name, arguments):
        return _called_unbound(facts, last, arguments, site)
    profile = profile_of(name)
    if profile is not None:
        made = made_by(profile, name, arguments, site)
        if isinstance(made, Tool):
            started(facts, made, site)
        return made
    if last in _CLIPS:
        return _clip(facts, name, arguments, site)
    if name.startswith("torch.optim.lr_scheduler.") or _is_schedule(name, last):
        return _scheduler(facts, name, arguments, site)
    first = next(iter(arguments.values()), None)
    if first is not None and _makes_optimizer(name, last, first, arguments):
        take(first)
        holds = held(first) or Parameters(None, False)
        return facts.makes(Optimizer(name, holds, arguments_of(arguments, ("", "lr")), site))
    if name.startswith("torch."):
        return _torch(facts, name, last, arguments, site)
    if last in _PASSING or last in _GATHERING:
        return _iterated(facts, last, arguments, site)
    given = facts.mixed(arguments.values())
    if given.passes and not name.startswith(_HARMLESS):
        facts.recorder.note("lend", site, source=given.passes)
        return replace(given, is_certain=False, is_divided=None)
    if not name.startswith(_HARMLESS):
        facts.escapes(arguments.values(), site)
    if name.startswith(_PURE):
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
    return Scheduler(name, changed, arguments_of(arguments, ("", *names)), site)


def _builtin(facts: TrainingFacts, last: str, arguments: Arguments, site: Site) -> Value:
    values = arguments.values()
    if last == "exec" or (last == "eval" and "(" in str(constant(values[0]) if values else "")):
        facts.not_understood("code in a text")
    if last == "getattr" and values:
        facts.escapes(values[:1], site)
    if last in _PASSING or last in _GATHERING:
        return _iterated(facts, last, arguments, site)
    if values and isinstance(values[0], Symbol) and values[0].default is not None:
        if last == "vars":
            return values[0]
        if last == "dict" and len(values) == 1:
            return entries(values[0]) or facts.symbols.fresh()
        if last in _CONVERSIONS:
            default = _converted(last, values[0].default)
            return facts.symbols.derived(("builtin", last), values, default=default)
    if last in _TESTS and not any(map(has_tensors, values)):
        return facts.symbols.derived(("builtin", last), values)
    if last in ("sum", "max", "min") and any(map(has_tensors, values)):
        return facts.mixed(values)
    if last in ("next", "vars"):
        return facts.element(values[0], site) if values else facts.symbols.fresh()
    if last == "str" and kinds_of_device(values[:1]):
        return values[0]
    return facts.symbols.fresh()


_CONVERSIONS: dict[str, Callable[[int | float | str], Any]] = {"float": float, "int": int, "str": str}


def _converted(name: str, default: Value | None) -> Value | None:
    """The default of a setting as a number or a text."""
    if not isinstance(default, Known) or not isinstance(default.value, (int, float, str)):
        return None
    try:
        return Known(_CONVERSIONS[name](default.value))
    except (ValueError, OverflowError):
        return None


def _iterated(facts: TrainingFacts, last: str, arguments: Arguments, site: Site) -> Value:
    """What goes through other iterables: parameters stay parameters, and tensors tensors."""
    values = arguments.values()
    generators = [value for value in values if isinstance(value, Generator)]
    if last == "zip" and not generators:
        return Items(
            "list", [Items("tuple", [facts.element(v, site) for v in values], site.node)], site.node, True
        )
    of = [found for value in values if is_parameters(value) and (found := held(value)) is not None]
    if of:
        owners = {id(owner): owner for part in of for owner in part.owners or ()}
        is_whole = last != "filter" and all(part.is_whole for part in of)
        named = any(part.is_named for part in of)
        lazy = last in ("filter", "chain", "from_iterable", "iter")
        spent: dict[str, Value] | None = {"drawn": Known(facts.symbols.fresh().number)} if lazy else None
        return Parameters(tuple(owners.values()), is_whole, named, spent)
    if generators and last in ("enumerate", "zip"):
        return replace(generators[0], shape=partial(_paired, facts, values, generators[0], last, site))
    items = [facts.element(value, site) for value in values if not isinstance(value, Known)]
    if last == "enumerate" and items:
        pair = Items("tuple", [facts.symbols.fresh(), items[0]], site.node)
        return Items("list", [pair], site.node, True)
    return values[0] if values and not isinstance(values[0], Known) else facts.symbols.fresh()


def _paired(
    facts: TrainingFacts, values: list[Value], generator: Generator, last: str, site: Site, value: Value
) -> Value:
    """What `enumerate` and `zip` make of a value that a generator yields."""
    if last == "enumerate":
        return Items("tuple", [facts.symbols.fresh(), value], site.node)
    items = [value if each is generator else facts.element(each, site) for each in values]
    return Items("tuple", items, site.node)


def _torch(facts: TrainingFacts, name: str, last: str, arguments: Arguments, site: Site) -> Value:
    values = arguments.values()
    if name.startswith("torch.nn.") and last in LOSSES:
        note_loss(facts, last, site)
        return _loss(facts, last, arguments_of(arguments).get("reduction", "mean"), arguments)
    if name.startswith("torch.nn.") and last[:1].isupper():
        return Module(name, {f"({i})": v for i, v in enumerate(values)} | _settings(arguments), site)
    if name.startswith(_PURE):
        return facts.symbols.derived(name, values)
    if last in BOUNDS and any(t.gradient is not None for value in values for t in tensors(value)):
        facts.bounded += 1
    if last.endswith("_") or last.startswith("_foreach_"):
        facts.escapes([value for value in values if any(t.gradient for t in tensors(value))], site)
    if name.startswith("torch.utils.") or last in ("load", "save", "manual_seed"):
        return facts.symbols.fresh()
    return reduced(replace(facts.mixed(values), form=of_function(last, values)), last, values)


def _settings(arguments: Arguments) -> dict[str, Value]:
    """The named arguments of a layer, as attributes."""
    return {name: operand.value for name, operand in arguments.keywords.items()}


def note_loss(facts: TrainingFacts, name: str, site: Site) -> None:
    """A loss of torch is computed under autocast, which some do not bear."""
    if any(context.kind == "autocast" for context in facts.recorder.regions):
        facts.recorder.note("loss", site, settings={"loss": name})


def loss_of(facts: TrainingFacts, layer: Module, arguments: Arguments, site: Site) -> Tensor | None:
    """What a layer of torch that computes a loss gives; None for another layer."""
    name = layer.type.rpartition(".")[2]
    if not layer.type.startswith("torch.nn.") or name not in LOSS_LAYERS:
        return None
    note_loss(facts, LOSS_LAYERS[name], site)
    reduction = layer.attributes.get("reduction")
    return _loss(facts, name, constant(reduction) if reduction is not None else "mean", arguments)


def _loss(facts: TrainingFacts, name: str, reduction: object, arguments: Arguments) -> Tensor:
    mixed = facts.mixed(arguments.values())
    form = of_function(name, arguments.values())
    known = reduction if isinstance(reduction, str) else "unknown"
    return replace(mixed, reduction=known, is_divided=False, form=form)


# functions with a meaning of their own


def _clip(facts: TrainingFacts, name: str, arguments: Arguments, site: Site) -> Value:
    first, bound = arguments.get(0, "parameters"), arguments.get(1, "max_norm")
    is_bound = bound is None or not (isinstance(bound.value, Known) and bound.value.value is None)
    if first is not None and is_bound:
        settings = {**arguments_of(arguments, ("", "max_norm")), "form": name.rpartition(".")[2]}
        if any(isinstance(option, (Module, Instance)) for option in options(first.value)):
            things: Value = parameters_of(first.value)
            settings["given"] = "module"
        else:
            things = held(first.value) or Parameters(None, False)
            if isinstance(first.value, Symbol):
                settings["given"] = "object"
            elif is_spent(first.value, facts.recorder.order.loop):
                settings["given"] = "spent"
        if any(isinstance(value, Symbol) and value.type == SCALE for value in arguments.values()):
            settings["threshold"] = "scaled"
        facts.recorder.note("clip", site, (things,), settings=settings)
    return Tensor()


def _same(facts: TrainingFacts, name: str, arguments: Arguments, site: Site) -> Value:
    first = arguments.get(0, "module") or arguments.get(0, "model")
    return first.value if first is not None else facts.symbols.fresh()


def _gradients_mode(facts: TrainingFacts, name: str, arguments: Arguments, site: Site) -> Value:
    kind = name.rpartition(".")[2]
    given = arguments.values()
    if kind == "set_grad_enabled":
        if not given or not isinstance(given[0], Known):
            return Context("unknown", {}, site)
        return Context("enable_grad" if given[0].value else "no_grad", {}, site)
    if kind == "inference_mode" and given and constant(given[0]) is False:
        return Context("null", {}, site)
    if given and not isinstance(given[0], Known):
        return given[0]  # the decorator's argument
    return Context(kind, {}, site)


def _autocast(facts: TrainingFacts, name: str, arguments: Arguments, site: Site) -> Value:
    return Context("autocast", autocast(name, arguments), site)


def _device(facts: TrainingFacts, name: str, arguments: Arguments, site: Site) -> Value:
    """`torch.device("cuda:0")`, whose type is "cuda"."""
    made = facts.symbols.derived(name, arguments.values())
    kinds = kinds_of_device(arguments.values()[:1])
    if kinds:
        made.attributes.setdefault("type", facts.evaluator.join([Known(kind) for kind in kinds]))
    return made


def _null(facts: TrainingFacts, name: str, arguments: Arguments, site: Site) -> Value:
    return Context("null", {}, site)


def _grad_scaler(facts: TrainingFacts, name: str, arguments: Arguments, site: Site) -> Value:
    return Scaler(name, scaler(name, arguments), site)


def _autograd_backward(facts: TrainingFacts, name: str, arguments: Arguments, site: Site) -> Value:
    losses = arguments.get(0, "tensors")
    if losses is None:
        return Known(None)
    return backward(facts, losses.value, Arguments((), arguments.keywords), site)


def _grad(facts: TrainingFacts, name: str, arguments: Arguments, site: Site) -> Value:
    """`torch.autograd.grad` fills nothing; its results hang on the inputs only with `create_graph`."""
    mixed = facts.mixed(arguments.values())
    facts.recorder.note("grad", site, source=mixed.passes, states=mixed.states, is_certain=mixed.is_certain)
    return mixed if constant_of(arguments, "create_graph") is True else replace(mixed, passes=frozenset())


def constant_of(arguments: Arguments, name: str) -> object:
    """A named constant, or None."""
    return known(arguments.keywords.get(name))


def _copy(facts: TrainingFacts, name: str, arguments: Arguments, site: Site) -> Value:
    return facts.symbols.fresh(type=name)


_CLIPS = frozenset(
    {
        *(
            "clip_grad_norm_",
            "clip_grad_norm",
            "clip_grad_value_",
            "clip_grads_with_norm_",
            "adaptive_clip_grad",
        ),
        *("dispatch_clip_grad", "clip_grad_value", "clip_grad_norm_dist"),
    }
)
CALLS: dict[str, Meaning] = {
    **dict.fromkeys(
        (
            *("torch.compile", "torch.jit.script", "torch.nn.DataParallel", "torch.nn.parallel.DataParallel"),
            *("torch.nn.parallel.DistributedDataParallel", "torch.nn.SyncBatchNorm.convert_sync_batchnorm"),
            *("torch.autograd.Variable", "torch.autograd.variable.Variable", "typing.cast"),
            *("torch.distributed.fsdp.FullyShardedDataParallel", "apex.parallel.DistributedDataParallel"),
            *("apex.parallel.convert_syncbn_model", "torch.utils.data.distributed.DistributedSampler"),
        ),
        _same,
    ),
    **dict.fromkeys(
        (
            *("torch.no_grad", "torch.inference_mode", "torch.enable_grad", "torch.set_grad_enabled"),
            *("torch.autograd.no_grad", "torch.autograd.enable_grad", "torch.autograd.set_grad_enabled"),
        ),
        _gradients_mode,
    ),
    **dict.fromkeys(
        ("torch.autocast", "torch.amp.autocast", "torch.cuda.amp.autocast", "torch.cpu.amp.autocast"),
        _autocast,
    ),
    **dict.fromkeys(("torch.amp.autocast_mode.autocast", "torch.cuda.amp.autocast_mode.autocast"), _autocast),
    **dict.fromkeys(
        (
            *("torch.GradScaler", "torch.amp.GradScaler", "torch.cuda.amp.GradScaler"),
            *("torch.amp.grad_scaler.GradScaler", "torch.cuda.amp.grad_scaler.GradScaler"),
        ),
        _grad_scaler,
    ),
    "contextlib.nullcontext": _null,
    "torch.device": _device,
    "torch.autograd.backward": _autograd_backward,
    "torch.autograd.grad": _grad,
    "copy.deepcopy": _copy,
    "copy.copy": _copy,
}
