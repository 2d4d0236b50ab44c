"""Functions and layers of torch that no entry of a table is about, and its losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gradlint.records.losses import LOSS_LAYERS, LOSSES
from gradlint.semantics.interpretation import Arguments, Site
from gradlint.semantics.value import Value
from gradlint.training.forms import of_function, reduced
from gradlint.training.settings import arguments_of, constant
from gradlint.training.tensor_methods import BOUNDS
from gradlint.training.values import (
    Module,
    Tensor,
    tensors,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts


PURE = (
    "torch.cuda.",
    "torch.distributed.",
    "torch.backends.",
    "torch.is_",
    "torch.version",
    "torch.mps.",
    "torch.xpu.",
    "os.",
)


def called_torch(facts: TrainingFacts, name: str, last: str, arguments: Arguments, site: Site) -> Value:
    """What a function or layer of torch gives."""
    values = arguments.values()
    if name.startswith("torch.nn.") and last in LOSSES:
        note_loss(facts, last, site)
        return _loss(facts, last, arguments_of(arguments).get("reduction", "mean"), arguments)
    if name.startswith("torch.nn.") and last[:1].isupper():
        return Module(name, _settings(arguments), site)
    if name.startswith(PURE):
        return facts.symbols.derived(name, values)
    if last in BOUNDS and any(t.gradient is not None for value in values for t in tensors(value)):
        facts.bounded += 1
    if last.endswith("_") or last.startswith("_foreach_"):
        facts.escapes([value for value in values if any(t.gradient for t in tensors(value))], site)
    if name.startswith("torch.utils.") or last in ("load", "save", "manual_seed"):
        return facts.symbols.fresh()
    return reduced(replace(facts.mixed(values), form=of_function(last, values)), last, values)


def _settings(arguments: Arguments) -> dict[str, Value]:
    """What a layer is given, as attributes: by place, "(0)", or by name."""
    positional = {f"({i})": operand.value for i, operand in enumerate(arguments.positional)}
    return positional | {name: operand.value for name, operand in arguments.keywords.items()}


def note_loss(facts: TrainingFacts, name: str, site: Site) -> None:
    """A loss of torch is computed under autocast, which some do not bear."""
    if any(context.kind == "autocast" for context in facts.recorder.regions):
        facts.recorder.note("loss", site, settings={"loss": name})


def is_loss_layer(value: Value) -> bool:
    """Whether a value is a layer of torch that computes a loss."""
    return isinstance(value, Module) and value.type.rpartition(".")[2] in LOSS_LAYERS


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
