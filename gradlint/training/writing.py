"""What is written to objects that training is about, put away, or thrown away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.records import ir
from gradlint.records.graph import Setting
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.value import (
    Closure,
    Instance,
    Items,
    Known,
    Method,
    Reference,
    Value,
)
from gradlint.training.profiles import profile_of
from gradlint.training.tensor_methods import BOUNDS
from gradlint.training.values import (
    BY_CALL,
    BY_METHOD,
    PREPARED,
    Context,
    Module,
    Optimizer,
    Parameters,
    Scaler,
    Symbol,
    Tensor,
    Weight,
    options,
    parts,
    tensors,
    within,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts


GRADIENT = ("grad", "_grad")
"""The attributes of a tensor by which its gradient is written."""


def stored(facts: TrainingFacts, receiver: Value, name: str, value: Operand, site: Site) -> Value | None:
    """`p.requires_grad = False`, `p.grad = None`, and attributes of unknown objects."""
    for option in options(receiver):
        is_model = isinstance(option, Module) and name
        if is_model or (isinstance(option, (Symbol, Module)) and holds_module(value.value)):
            facts.recorder.note("set", site, (option,), settings={"name": name})
        if isinstance(option, (Weight, Tensor)):
            _written(facts, option, name, value.value, site)
        elif isinstance(option, (Optimizer, Scaler)) and name:
            facts.evaluator.heap.write(option.attributes, name, value.value)
        elif isinstance(option, (Symbol, Module)) and name:
            if name == "requires_grad" and isinstance(value.value, Known):
                kind = "thaw" if value.value.value else "freeze"
                facts.recorder.note(kind, site, (Parameters((option,), False),))
            elif name in GRADIENT and isinstance(value.value, Known):
                facts.recorder.note("zero", site, (Parameters((option,), False),))
            holding, before = facts.holding(option), option.attributes.get(name)
            facts.evaluator.heap.write(option.attributes, name, value.value)
            is_wrapped = before is not None and any(part is before for part in within(value.value))
            if (isinstance(option, Module) or holding) and holds_module(value.value) and not is_wrapped:
                by = (*holding, value.value) if holding else ()
                facts.recorder.note("replace", site, (option,), by=by, settings={"name": name})
    return None


def _written(facts: TrainingFacts, weight: Weight | Tensor, name: str, value: Value, site: Site) -> None:
    of = weight.of if isinstance(weight, Weight) else Parameters((weight,), False)
    if name in GRADIENT:
        is_none = isinstance(value, Known) and value.value is None
        gradients = [t for t in tensors(value) if t.gradient is not None]
        if is_none or not gradients:
            facts.recorder.note("zero", site, (of,), is_certain=is_none)
        else:
            facts.recorder.note("clip", site, (of,), settings={"form": "assigned"})
    elif name == "requires_grad" and isinstance(value, Known) and not _is_computed(weight):
        facts.recorder.note("thaw" if value.value else "freeze", site, (of,))
    elif name == "data" and any(t.gradient is not None for t in tensors(value)):
        facts.recorder.note("step", site, (of,), settings={"form": "manual"})


def _is_computed(tensor: Weight | Tensor) -> bool:
    """Whether a forward pass led to a tensor, which then is no parameter."""
    return isinstance(tensor, Tensor) and tensor.gradient is None and bool(tensor.passes | tensor.cut)


def collected(facts: TrainingFacts, method: Method, arguments: Arguments, site: Site) -> None:
    """A tensor with its graph is put into a list that was there before the loop, or a list is emptied."""
    if method.name in ("clear", "pop"):
        facts.recorder.note("release", site)
    if method.name in ("append", "extend") and _is_lasting(method.receiver):
        mixed = facts.mixed(arguments.values())
        if mixed.passes:
            is_loss = any(t.reduction for value in arguments.values() for t in tensors(value))
            settings: dict[str, Setting] = {"loss": is_loss, "list": True}
            facts.recorder.note(
                "keep", site, source=mixed.passes, is_certain=mixed.is_certain, settings=settings
            )


def _is_lasting(value: Value) -> bool:
    """Whether a value is a list that began empty, of which it is not known any more how much it holds."""
    if not isinstance(value, Items) or value.kind != "list" or not value.open:
        return False
    return isinstance(value.node, ir.Display) and not value.node.items


def dropped(facts: TrainingFacts, value: Value, node: ir.Expression, site: Site) -> None:
    """What a clamp of a gradient gives, or the norm that clipping does, is thrown away, or what a library
    prepared; or something that is not known was called for its effect alone.
    """
    for option in value.items if isinstance(value, Items) else (value,):
        if isinstance(option, Optimizer) and PREPARED in option.attributes:
            facts.evaluator.heap.write(option.attributes, PREPARED, Known(False))
    if isinstance(value, Symbol) and value.parent is not None:
        _done(facts, value, value.parent, site)
    if isinstance(value, Context) and value.settings.get("lasts"):
        facts.recorder.note("gradients", site, settings={"enabled": _ENABLED.get(value.kind)})
    if isinstance(value, Tensor) and isinstance(node, ir.Call) and not _writes(node):
        name = getattr(node.function, "name", "") or getattr(node.function, "id", "")
        of = () if value.gradient is None else (value.gradient,)
        if of and name in BOUNDS:
            facts.recorder.note("drop", site, of, settings={"form": name})
        elif not of:
            facts.recorder.add("clip", site, {"dropped": True})
            passed = facts.recorder.last("forward", site)
            if passed and all(_is_unknown(facts, each) for each in passed):
                facts.recorder.note("escape", site, passed, settings={"reach": "anything"})


_ENABLED = {"enable_grad": True, "no_grad": False}


def _done(facts: TrainingFacts, result: Symbol, by: Value, site: Site) -> None:
    """A function may do anything to what is trained; a method to an optimizer that its object has."""
    if result.name == BY_CALL:
        facts.recorder.note("escape", site, (by,), settings={"reach": "anything"})
    elif result.name == BY_METHOD and isinstance(by, Instance) and _has_other_methods(by):
        facts.escapes((by,), site)
    elif result.name == BY_METHOD and any(map(_is_stepped, parts(by))):
        facts.recorder.note("escape", site, (by,))


def _has_other_methods(instance: Instance) -> bool:
    """Whether the class of an object may inherit from code of which nothing is known."""
    foreign = [base.name for base in instance.type.lineage() if isinstance(base, Reference)]
    return not foreign or any(not name.startswith(_KNOWN) and profile_of(name) is None for name in foreign)


_KNOWN = ("torch.", "builtins.", "abc.", "typing.")
"""Where bases come from whose methods leave alone what their objects train."""


def _is_unknown(facts: TrainingFacts, called: Value) -> bool:
    """Whether nothing but a call says what an object is."""
    is_model = bool(_OF_MODELS & called.attributes.keys()) if isinstance(called, Symbol) else True
    return not is_model and not facts.holding(called)


_OF_MODELS = frozenset({"train", "eval", "parameters", "zero_grad", "state_dict"})


def _is_stepped(value: Value) -> bool:
    """Whether a value is an optimizer, by what it is or what is asked of it."""
    return isinstance(value, Optimizer) or (isinstance(value, Symbol) and "step" in value.attributes)


def hooked(facts: TrainingFacts, hook: Value, of: Parameters, site: Site) -> None:
    """A gradient gets a hook; `bounds` is False where that bounds a copy, and gives nothing back."""
    own, facts.recorder, before = facts.recorder, facts.fresh_recorder(), facts.bounded
    result: Value = facts.symbols.fresh()
    if isinstance(hook, Closure):
        gradient = Operand(Tensor(gradient=of), site.node)
        result = facts.evaluator.call(hook, Arguments((gradient,), {}), site)
    changes = facts.recorder.has("clip", "zero", "escape") or not facts.recorder.is_whole
    facts.recorder = own
    gives = not isinstance(result, Known) or result.value is not None
    bounds = None if gives or changes or facts.bounded == before else False
    facts.recorder.note("hook", site, (of,), settings={"bounds": bounds})


def _writes(call: ir.Call) -> bool:
    """Whether a call is told where its result goes."""
    return any(keyword.name in ("out", None) for keyword in call.keywords)


def holds_module(value: Value) -> bool:
    """Whether a value is a model, or may be one."""
    return any(isinstance(option, (Module, Instance)) for option in options(value))
