"""Which parameters were frozen, by which step, and what an optimizer was given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

from gradlint.records import ir
from gradlint.records.losses import LOSSES
from gradlint.semantics.bindings import walk
from gradlint.semantics.interpretation import Operand, Site
from gradlint.semantics.objects import LEAVES, SAME_OBJECT, is_layer, is_optimizer
from gradlint.semantics.ops import NON_DIFFERENTIABLE
from gradlint.semantics.tensor import Application, Tensor, producer, same
from gradlint.semantics.trace import Trace
from gradlint.semantics.value import Instance, Items, Known, Table, Value
from gradlint.semantics.value_facts import StoredAttribute

_LIKE = re.compile(r"req\w{2,6}?_?grad(?:s|_|ient|ients)?", re.IGNORECASE)
_LISTING = ("parameters", ".parameters", "named_parameters", ".named_parameters")
_SWITCH = ("requires_grad_", ".requires_grad_")
_MODULE_METHODS = frozenset(
    {"eval", "train", "state_dict", "load_state_dict", "modules", "named_modules", "zero_grad", "children"}
)
_RETURNING = (*(SAME_OBJECT - {"apply"}), "eval", *_SWITCH)
_HARMLESS = (
    {*_LISTING, *_SWITCH} | _MODULE_METHODS | SAME_OBJECT | {f".{m}" for m in _MODULE_METHODS | SAME_OBJECT}
) - {"apply", ".apply"}


class Given(Struct, frozen=True, eq=False):
    """What a call of an optimizer's class was given as parameters; `frozen` is where they were frozen."""

    operand: Operand
    optimizer: Application
    frozen: Site
    is_module: bool


def misspelt(trace: Trace) -> Iterator[StoredAttribute]:
    """The stores to something like `requires_grad` that no tensor has, and that nothing else reads."""
    for store in trace.stores:
        is_torch = isinstance(store.receiver, Tensor) or is_layer(store.receiver)
        if store.name == "requires_grad" or not is_torch or not _LIKE.fullmatch(store.name):
            continue
        if _is_false(store.operand.value) and getattr(store.receiver, "grad", None) is False:
            continue  # it requires no gradient anyway
        if store.name == "requires_grad_" or not _is_read(trace, store.name):
            yield store


def on_modules(trace: Trace) -> Iterator[StoredAttribute]:
    """The stores of `requires_grad` on a module, which has no such attribute."""
    for store in trace.stores:
        if store.name == "requires_grad" and _is_module(trace, store):
            yield store


def frozen_in_optimizer(trace: Trace) -> Iterator[Given]:
    """What optimizers were given although it requires no gradient."""
    for index, optimizer in enumerate(trace.everything):
        operand = optimizer.operand(0, "params")
        if optimizer.form != "constructor" or not is_optimizer(optimizer.primitive) or operand is None:
            continue
        module = _module_of(operand.value)
        if module is not None:
            site = _frozen_module(trace, module, index, optimizer.site)
            if site is not None:
                yield Given(operand, optimizer, site, True)
        else:
            yield from _frozen_tensors(trace, operand.value, optimizer)


def _is_read(trace: Trace, name: str) -> bool:
    """Whether the module reads an attribute of this name, so that it is one of its own."""
    nodes = [node for statement in trace.scope.facts.body for node in walk(statement)]
    targets = {id(target) for node in nodes if isinstance(node, ir.Assign) for target in node.targets}
    return any(
        isinstance(node, ir.Attribute) and node.name == name and id(node) not in targets for node in nodes
    )


def _is_module(trace: Trace, store: StoredAttribute) -> bool:
    """Whether something is stored on a module: by the call that made it, or by what is asked of it there."""
    value = store.receiver
    if is_layer(value):
        return True
    made = producer(value)
    if made is not None and made.primitive.startswith("torchvision.models."):
        return True
    return any(
        a.primitive in (*_LISTING, "state_dict", "load_state_dict", "eval")
        and same(a.operands[0].value, value)
        and (a.site.always_before(store.site) or store.site.always_before(a.site))
        for a in trace.everything
    )


def _module_of(parameters: Value) -> Value | None:
    """The module whose `parameters()` these are."""
    if isinstance(parameters, Items) and len(parameters.items) == 1:
        only = parameters.items[0]
        return _module_of(only.entries.get("params", only)) if isinstance(only, Table) else _module_of(only)
    made = producer(parameters, *_LISTING)
    return _itself(made.operands[0].value) if made is not None else None


def _itself(module: Value) -> Value:
    """The module that methods gave back which return the module itself."""
    while (made := producer(module, *_RETURNING)) is not None and made.form == "method" and made.operands:
        module = made.operands[0].value
    return module


def _frozen_module(trace: Trace, module: Value, index: int, site: Site) -> Site | None:
    """Where all parameters of a module were frozen before the optimizer, if nothing may have changed that."""
    frozen = [s for order, s in _freezes(trace, module) if order <= index and s.always_before(site)]
    return None if not frozen or _is_thawed(trace) or _is_changed(trace, module) else frozen[0]


def _freezes(trace: Trace, module: Value) -> Iterator[tuple[int, Site]]:
    """The steps that freeze a module or each of its parameters, with the number of those before."""
    for store in trace.stores:
        is_freeze = store.name == "requires_grad" and _is_false(store.operand.value)
        if is_freeze and same(_module_of(store.receiver), module):
            yield store.order, store.site
    for index, a in enumerate(trace.everything):
        if a.primitive in _SWITCH and a.form == "method" and _is_false(a.value(1, "requires_grad")):
            receiver = a.operands[0].value
            if same(_itself(receiver), module) or same(_module_of(receiver), module):
                yield index, a.site


def _is_thawed(trace: Trace) -> bool:
    """Whether anything but a loss is made to require a gradient, which brings none to what it is made of."""
    stores = [s for s in trace.stores if s.name == "requires_grad" and not _is_false(s.operand.value)]
    switches = [a for a in trace.everything if a.primitive in _SWITCH and a.form == "method"]
    on = [a.operands[0].value for a in switches if not _is_false(a.value(1, "requires_grad"))]
    return not all(_is_loss(trace, value) for value in (*[s.receiver for s in stores], *on))


def _is_loss(trace: Trace, value: Value) -> bool:
    """Whether a value is computed by a loss, or passed back."""
    if producer(value, *LOSSES) is not None:
        return True
    return any(
        a.primitive == "backward" and a.form == "method" and same(_unswitched(a.operands[0].value), value)
        for a in trace.everything
    )


def _unswitched(value: Value) -> Value:
    """A tensor as it was before it was made to require a gradient."""
    switch = producer(value, "requires_grad_")
    return switch.operands[0].value if switch is not None else value


def _is_changed(trace: Trace, module: Value) -> bool:
    """Whether a module may have got new parts: an attribute is stored, or something unknown sees it."""
    if any(s.name != "requires_grad" and not isinstance(s.receiver, Instance) for s in trace.stores):
        return True
    return any(
        _is_within(operand.value, module, a)
        for a in trace.everything
        if a.primitive not in _HARMLESS
        for operand in (*a.operands, *a.keywords.values())
    )


def _is_within(value: Value, module: Value, by: Application) -> bool:
    """Whether a value is the module, or may be a part of it: an attribute, or an item of one."""
    if same(_itself(value), module):
        return True
    if not isinstance(value, Tensor) or not isinstance(module, Tensor) or producer(value, *_LISTING):
        return False
    is_foreign = by.form == "method" or "." in by.primitive
    is_frozen_part = value.grad is False and value.producer is None and is_foreign
    return (bool(value.roots) and value.roots <= module.roots) or (not value.roots and is_frozen_part)


def _is_false(value: Value | None) -> bool:
    return isinstance(value, Known) and value.value is False


def _frozen_tensors(trace: Trace, parameters: Value, optimizer: Application) -> Iterator[Given]:
    for operand in _listed(parameters):
        made = producer(operand.value)
        value = operand.value
        if made is None or not isinstance(value, Tensor) or value.grad is not False:
            continue
        if made.primitive in NON_DIFFERENTIABLE | LEAVES and not _is_switched(trace, value):
            yield Given(operand, optimizer, made.site, False)


def _listed(parameters: Value) -> Iterator[Operand]:
    """The tensors that are written out in a list of parameters, with the expressions that name them."""
    if not isinstance(parameters, Items) or not isinstance(parameters.node, ir.Display):
        return
    nodes: Iterable[ir.Expression] = parameters.node.items
    if len(parameters.items) == len(parameters.node.items):
        for value, node in zip(parameters.items, nodes, strict=True):
            inner = value.entries.get("params") if isinstance(value, Table) else value
            if isinstance(inner, Items):
                yield from _listed(inner)
            elif inner is not None:
                yield Operand(inner, node)


def _is_switched(trace: Trace, value: Tensor) -> bool:
    return any(a.primitive in _SWITCH and same(a.operands[0].value, value) for a in trace.everything)
