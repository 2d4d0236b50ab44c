"""What methods of models do: modes, types, parameters, clipping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.semantics.interpretation import Arguments, Operand, Site, known
from gradlint.semantics.value import Instance, Reference, Value
from gradlint.training.holding import held, is_parameters, parameters_of
from gradlint.training.settings import arguments_of
from gradlint.training.stepping import Meaning, Result, may_be
from gradlint.training.values import (
    Bound,
    Either,
    Module,
    Optimizer,
    Parameters,
    Scaler,
    Scheduler,
    Symbol,
    Tensor,
    options,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts


SAME = frozenset(
    {
        *(
            "to",
            "cuda",
            "cpu",
            "float",
            "double",
            "bfloat16",
            "type",
            "train",
            "eval",
            "half",
            "share_memory",
        ),
        *("requires_grad_", "apply", "contiguous", "compile", "xpu", "npu", "to_empty", "tie_weights"),
        *("gradient_checkpointing_enable", "unsqueeze", "squeeze", "view", "reshape", "clone", "pin_memory"),
    }
)
"""Methods that give the object itself, or one that is trained as the same."""

MODELS = (Module, Instance, Symbol)


HALVES = frozenset({"torch.float16", "torch.half"})


_WIDER = frozenset({"torch.float32", "torch.float", "torch.float64", "torch.double", "torch.bfloat16"})


def takes_part(value: Value) -> bool:
    """Whether a value is a model, parameters, or one of the objects that step."""
    return is_parameters(value) or any(
        isinstance(option, (Optimizer, Scaler, Scheduler, Module, Instance, Bound))
        for option in options(value)
    )


def _takes_part_or_symbol(operand: Operand) -> bool:
    return takes_part(operand.value) or isinstance(operand.value, (Symbol, Either))


def apply(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`model.apply(function)` calls it with every part, which are not told apart."""
    function = arguments.get(0, "fn")
    if function is None or not may_be(value, *MODELS):
        return None
    part = Operand(facts.symbols.fresh(value), site.node)
    facts.method_of(function.value, "__call__", Arguments((part,)), site)
    return value


def parameters(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`model.parameters()`, a generator."""
    return parameters_of(value, drawn=facts.symbols.fresh().number) if may_be(value, *MODELS) else None


def named_parameters(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`model.named_parameters()`."""
    return parameters_of(value, is_named=True) if may_be(value, *MODELS) else None


def mode(kind: str) -> Meaning:
    """`model.train()`, `model.eval()`."""

    def change(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
        flag = arguments.get(0, "mode")
        if not may_be(value, *MODELS):
            return None
        if kind == "train" and flag is not None and known(flag) is None:
            return value
        facts.recorder.note("eval" if known(flag) is False else kind, site, (value,))
        return value

    return change


def requires_grad(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`model.requires_grad_(flag)`."""
    return switch(facts, parameters_of(value), arguments, site) and value


def switch(facts: TrainingFacts, of: Parameters, arguments: Arguments, site: Site) -> Value:
    """`requires_grad_(flag)`."""
    flag = arguments.get(0, "requires_grad")
    if flag is None or known(flag) is not None:
        facts.recorder.note("freeze" if known(flag) is False else "thaw", site, (of,))
    return of


def precision(kind: str) -> Meaning:
    """`model.half()`, `model.float()`: the parameters change their type."""

    def change(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
        if not may_be(value, *MODELS):
            return None
        facts.recorder.note(kind, site, (value,))
        return value

    return change


def to(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`model.to(torch.float16)`."""
    names = {given.name for given in arguments.values() if isinstance(given, Reference)}
    kind = "half" if names & HALVES else "widen" if names & _WIDER else ""
    if may_be(value, *MODELS) and kind:
        facts.recorder.note(kind, site, (value,))
    return value


def clipping(name: str) -> Meaning:
    """`accelerator.clip_grad_norm_(parameters, 1.0)`, `fabric.clip_gradients(model, optimizer, …)`,
    `model.clip_grad_norm_(1.0)` of a sharded model.
    """

    def clip(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
        first = arguments.get(0, "parameters") or arguments.get(0, "model")
        settings = {**arguments_of(arguments, ("", "max_norm")), "form": name}
        optimizers = [given for given in arguments.values() if may_be(given, Optimizer)]
        if optimizers:
            facts.recorder.note("clip", site, optimizers, by=(value,), settings=settings)
        elif first is not None and _takes_part_or_symbol(first):
            things = held(first.value) or parameters_of(first.value)
            facts.recorder.note("clip", site, (things,), by=(value,), settings=settings)
        else:
            settings = {**arguments_of(arguments, ("max_norm",)), "form": name}
            facts.recorder.note("clip", site, (parameters_of(value),), settings=settings)
        return Tensor()

    return clip


def forward(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`model.forward(x)`."""
    return facts.passes(value, arguments, site) if may_be(value, *MODELS) else None


def load(facts: TrainingFacts, value: Value, arguments: Arguments, site: Site) -> Result:
    """`model.load_state_dict(…)`."""
    if may_be(value, Module, Instance):
        facts.recorder.note("load", site, (value,))
    return facts.symbols.fresh()
