"""Functions of torch that mean something for training: regions, scalers, clipping, backward passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gradlint.semantics.interpretation import Arguments, Site, known
from gradlint.semantics.value import ClassObject, Instance, Known, Value
from gradlint.training.backward_pass import backward
from gradlint.training.holding import held, is_spent, parameters_of
from gradlint.training.mixed import autocast, kinds_of_device, scaler
from gradlint.training.settings import arguments_of, constant
from gradlint.training.values import (
    SCALE,
    Context,
    Module,
    Parameters,
    Scaler,
    Symbol,
    Tensor,
    options,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts


Meaning = Callable[["TrainingFacts", str, Arguments, Site], Value]


def clipped(facts: TrainingFacts, name: str, arguments: Arguments, site: Site) -> Value:
    """`clip_grad_norm_(parameters, 1.0)` and its kin."""
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
            return Context("unknown", {"lasts": True}, site)
        return Context("enable_grad" if given[0].value else "no_grad", {"lasts": True}, site)
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
    """A deep copy of an object; what is copied with others may keep some of it, and so may its class."""
    of = [operand.value for operand in arguments.positional]
    if name != "copy.deepcopy" or len(of) != 1 or arguments.keywords or arguments.open or _says_how(of[0]):
        return facts.symbols.fresh(type=name)
    return facts.symbols.copy(of[0], name)


def _says_how(value: Value) -> bool:
    """Whether the class of an object may have a way of its own to copy it."""
    for option in options(value):
        cls = option.cls if isinstance(option, Module) else getattr(option, "type", None)
        if isinstance(cls, ClassObject) and any(
            map(cls.member, ("__deepcopy__", "__reduce__", "__reduce_ex__"))
        ):
            return True
    return False


CLIPS = frozenset(
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
