"""Attributes and items of objects that training is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.records import ir
from gradlint.semantics.interpretation import Operand, Site
from gradlint.semantics.value import (
    Instance,
    Items,
    Known,
    Table,
    Value,
)
from gradlint.training import defaults
from gradlint.training.methods import is_method
from gradlint.training.tensor_methods import attribute_of_tensor
from gradlint.training.values import (
    Bound,
    Either,
    Module,
    Optimizer,
    Parameters,
    Scaler,
    Symbol,
    Tensor,
    Tool,
    Weight,
    options,
    tensors,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts


def attribute(facts: TrainingFacts, value: Value, name: str, site: Site) -> Value:
    """An attribute of something unknown: always the same one."""
    if isinstance(value, Either):
        found = [_option_attribute(facts, option, name, site) for option in options(value)]
        return facts.evaluator.join(found)
    if isinstance(value, (Optimizer, Scaler)) and name in value.attributes:
        return value.attributes[name]
    if is_method(value, name):
        return Bound(value, name, site)
    if isinstance(value, Tensor):
        return attribute_of_tensor(facts, value, name)
    if isinstance(value, Tool) and name in value.arguments:
        return value.arguments[name]
    if isinstance(value, Weight):
        return Tensor(gradient=value.of) if name == "grad" else value if name == "data" else Tensor()
    if isinstance(value, Optimizer) and name == "param_groups":
        facts.recorder.note("groups", site, (value,))
        return Items("list", [_group(value.held, site.node)], site.node, True)
    if name == "grad" and isinstance(value, Symbol) and name not in value.attributes:
        return Tensor(gradient=Parameters((value,), False))
    if name == "module" and isinstance(value, Module) and (value.cls is None or not value.cls.member(name)):
        return value.attributes.get(name, value)
    if isinstance(value, Module):
        return value.attributes.setdefault(name, facts.symbols.fresh(value, name=name))
    if isinstance(value, Instance):
        made = facts.symbols.fresh(value, name=name)
        facts.evaluator.heap.write(value.attributes, name, made)
        return made
    if isinstance(value, Symbol):
        if name == "module":
            return value
        return value.attributes.setdefault(name, facts.symbols.part(value, name))
    return facts.symbols.derived(("attribute", name), (value,))


def _option_attribute(facts: TrainingFacts, option: Value, name: str, site: Site) -> Value:
    return facts.evaluator.attribute(Operand(option, site.node), name, site)


def item(facts: TrainingFacts, value: Value, index: Value) -> Value:
    """An item: of a tensor a tensor, of something unknown always the same one."""
    found = list(tensors(value))
    if found:
        return found[0] if len(found) == 1 else facts.mixed((value,))
    if isinstance(value, Either):
        return facts.evaluator.join(list(options(value)))
    if isinstance(value, (Items, Table)):
        held_values = value.items if isinstance(value, Items) else value.values()
        if isinstance(value, Table) and not value.open and isinstance(index, Known):
            return facts.symbols.fresh()  # there is none
        return facts.evaluator.join(held_values) if held_values else facts.symbols.fresh()
    if isinstance(value, Parameters):
        return Weight(value)
    setting = defaults.item(facts.symbols, value, index) if isinstance(value, Symbol) else None
    return facts.symbols.derived("index", (value, index)) if setting is None else setting


def element(facts: TrainingFacts, iterable: Value, site: Site) -> Value:
    """One item of an iteration."""
    if isinstance(iterable, Parameters):
        weight = Weight(Parameters(iterable.owners, iterable.is_whole))
        if not iterable.is_named:
            return weight
        return Items("tuple", [facts.symbols.fresh(), weight], site.node)
    if isinstance(iterable, (Items, Table)):
        inside = iterable.items if isinstance(iterable, Items) else iterable.values()
        return facts.evaluator.join(inside) if inside else facts.symbols.fresh()
    found = list(tensors(iterable))
    if found:
        return facts.mixed((iterable,))
    made = facts.symbols.fresh(iterable if isinstance(iterable, (Symbol, Module, Instance)) else None)
    facts.symbols.lengths.draws(made, iterable)
    return made


def _group(held_parameters: Parameters, node: ir.Expression) -> Symbol | Table:
    """One of the groups of an optimizer."""
    return Table({"params": Parameters(held_parameters.owners, False)}, node, True)
