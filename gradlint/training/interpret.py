"""The interpretation that reads training code: models are opaque, what happens to them is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from gradlint.records import ir
from gradlint.semantics.classes import is_module as is_module_class
from gradlint.semantics.interpretation import Arguments, Budget, Operand, Site
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Instance,
    Items,
    Known,
    Method,
    Partial,
    Reference,
    Table,
    Value,
)
from gradlint.training import defaults
from gradlint.training.attributes import attribute, element, item
from gradlint.training.calls import called_by_name
from gradlint.training.choices import joined
from gradlint.training.dispatch import called_method, method_of
from gradlint.training.escaping import escaped
from gradlint.training.functions import CALLS
from gradlint.training.holding import held
from gradlint.training.making import constructed
from gradlint.training.methods import call_method
from gradlint.training.models import Models
from gradlint.training.operators import applied
from gradlint.training.ordered import NOWHERE
from gradlint.training.passing import passed
from gradlint.training.states import Stateful
from gradlint.training.values import (
    Bound,
    Either,
    Module,
    Optimizer,
    Parameters,
    Symbol,
    Tensor,
    Weight,
    has_tensors,
    options,
    tensors,
    within,
)
from gradlint.training.worth import is_loss, is_worth_constructing
from gradlint.training.writing import collected, dropped, holds_module, hooked, stored

_MOST_OPTIONS = 8
_KEPT = (Symbol, Module, Instance, Optimizer, Items, Table, Parameters, Bound, Closure, Partial)


class TrainingFacts(Stateful):
    """Runs training code on optimizers, scalers, models and tensors that are known by identity."""

    budget = Budget(unrolled=8, rounds=64, steps=60_000, objects=200, recursion=2)

    def __init__(self) -> None:
        super().__init__()
        self.followed: set[int] = set()
        self.models = Models()
        self._optimizers: list[Optimizer] = []
        self.bounded = 0
        """How often a gradient was bounded by a function that leaves it as it is."""

    def begin(self) -> None:
        """Forget the events of one entry before another is run."""
        super().begin()
        self._optimizers.clear()

    # events

    def makes(self, optimizer: Optimizer) -> Optimizer:
        """An optimizer begins to hold what its models have by now."""
        self._optimizers.append(optimizer)
        return optimizer

    def made_so_far(self) -> list[Optimizer]:
        """The optimizers of the entry, as far as they were made."""
        return list(self._optimizers)

    def holding(self, model: Value) -> list[Optimizer]:
        """The optimizers made so far that hold the parameters of a model, or of one that it is part of."""
        return [
            optimizer
            for optimizer in self._optimizers
            if any(part is model for owner in optimizer.held.owners or () for part in within(owner))
        ]

    def passes(
        self,
        model: Value,
        arguments: Arguments,
        site: Site,
        name: str = "forward",
        about: Value | None = None,
    ) -> Tensor:
        """A model is called, or one of several (`about`) of which it is the first: its output."""
        return passed(self, model, arguments, site, name, about)

    def escapes(self, values: Iterable[Value], site: Site | None = None) -> None:
        """Code that is not known has these objects, and may do anything with them."""
        gone = escaped(self, values)
        if gone and site is not None:
            self.recorder.note("escape", site, gone)

    # values

    def unknown(self, sources: Sequence[Value]) -> Value:
        """A tensor, where one went in, else something of which nothing is known."""
        found = [tensor for source in sources for tensor in tensors(source)]
        if found:
            mixed = self.mixed(sources)
            return Tensor(mixed.passes, mixed.states, False, None, mixed.scaled)
        made = self.symbols.fresh()
        self.keep(made, sources)
        return made

    def keep(self, made: Symbol, sources: Iterable[Value]) -> None:
        """An unknown object may hold what it was made of."""
        for position, source in enumerate(sources):
            if isinstance(source, _KEPT):
                made.attributes[f"({position})"] = source

    def unbound(self, name: str, scope: ModuleScope) -> Value:
        """It means the same wherever it is used."""
        return self.symbols.derived(("name", name), ())

    def parameter(self, parameter: ir.Parameter, closure: Closure) -> Value:
        """What a function is given when it is called from outside."""
        if parameter.kind == "arguments":
            return Items("tuple", [self.symbols.fresh()], ir.Display(parameter.span, "tuple", ()), True)
        if parameter.kind == "keywords":
            return Table({}, ir.Dictionary(parameter.span, (), ()), True)
        return self.symbols.fresh()

    def join(self, values: Sequence[Value]) -> Value:
        """Either of several."""
        distinct = list({id(value): value for value in values}.values())
        if len(distinct) == 1:
            return distinct[0]
        if all(isinstance(value, Tensor) for value in distinct):
            whole = joined([value for value in distinct if isinstance(value, Tensor)])
            if whole is not None:
                return whole
        if sum(1 for value in distinct for _ in options(value)) > _MOST_OPTIONS:
            return self.unknown(distinct)
        return Either(tuple(distinct), self.merging if len(distinct) == 2 else None)

    def call(self, reference: Reference, arguments: Arguments, site: Site) -> Value:
        """A function or class from outside the project."""
        arguments = self.settled(arguments)
        function = CALLS.get(reference.name)
        if function is not None:
            return function(self, reference.name, arguments, site)
        return called_by_name(self, reference.name, arguments, site)

    def method(self, receiver: Operand, name: str, arguments: Arguments, site: Site) -> Value:
        """A method of an object that is not of the project, or of its base that is not."""
        return called_method(self, receiver.value, name, arguments, site)

    def method_of(self, value: Value, name: str, arguments: Arguments, site: Site) -> Value:
        """`value.name(…)`, whatever `value` is."""
        return method_of(self, value, name, arguments, site)

    def settled(self, arguments: Arguments) -> Arguments:
        """What code from outside the project is given: settings by their defaults, where these apply."""
        return arguments if self.is_by_default else defaults.otherwise(self.symbols, arguments)

    def attribute(self, receiver: Operand, name: str, site: Site) -> Value:
        """An attribute of something unknown: always the same one."""
        return attribute(self, receiver.value, name, site)

    def index(self, receiver: Operand, index: Value, site: Site) -> Value:
        """An item: of a tensor a tensor, of something unknown always the same one."""
        return item(self, receiver.value, index)

    def element(self, iterable: Value, site: Site) -> Value:
        """One item of an iteration."""
        return element(self, iterable, site)

    def operator(self, name: str, operands: tuple[Operand, ...], site: Site) -> Value:
        """Arithmetic on tensors, tests of everything else."""
        return applied(self, name, operands, site)

    def settings(self, found: Table) -> Value:
        """Symbols, with what they are by default."""
        return defaults.configured(self.symbols, found)

    def table(self, value: Value) -> Table | None:
        """What settings contain."""
        return defaults.entries(value)

    def chosen_key(self, value: Value) -> Value:
        """A registry is asked for what a run by default takes."""
        default = value.default if isinstance(value, Symbol) and self.is_by_default else None
        return default if isinstance(default, Known) and isinstance(default.value, str) else value

    def lazily(self, found: Items) -> Value:
        """Parameters that a generator gives are gone through once."""
        if not found.items or not all(isinstance(item, Weight) for item in found.items):
            return found
        given = held(found) or Parameters(None, False)
        return replace(given, spent={"drawn": Known(self.symbols.fresh().number)})

    def items(self, value: Value) -> Items | None:
        """Ranges are loops, however short."""
        if isinstance(value, Known) and isinstance(value.value, range):
            index = self.symbols.fresh()
            if value.value.step == 1:
                self.symbols.lengths.counts(index, Known(len(value.value)), value.value.start)
            return Items("list", [index], ir.Literal(NOWHERE, None), True)
        return None

    def truth(self, value: Value) -> bool | None:
        """Objects are true."""
        return self.symbols.outcome(value)

    def inherited(self, receiver: Value, name: str, arguments: Arguments, site: Site) -> Value:
        """`super().__init__()` of a base outside the project does nothing that matters."""
        if name == "__init__":
            return Known(None)
        return call_method(self, receiver, name, arguments, site)

    def is_opaque(self, target: Instance) -> bool:
        """The forward pass of a model is one event; a loss is computed."""
        return is_module_class(target.type) and not is_loss(self.models, target)

    def called(self, target: Instance, arguments: Arguments, site: Site) -> Value:
        """A model is called."""
        return self.passes(target, arguments, site)

    def construct(self, cls: ClassObject, arguments: Arguments, site: Site) -> Value:
        """An object whose constructor is not run."""
        return constructed(self, cls, arguments, site)

    def follows(self, target: Closure | ClassObject, depth: int) -> bool:
        """Functions are followed, and the constructors of what may train."""
        if isinstance(target, ClassObject):
            return depth < 8 and is_worth_constructing(self.models, target)
        self.followed.add(id(target.function))
        return depth < 16

    def replaced(self, receiver: Operand, index: Operand, value: Operand, site: Site) -> Value:
        """`x[i] = v`."""
        if has_tensors(receiver.value) or has_tensors(value.value):
            return self.mixed((receiver.value, value.value))
        if holds_module(value.value):
            self.recorder.note("set", site, (receiver.value,), settings={"name": ""})
        return receiver.value

    def stored(self, receiver: Value, name: str, value: Operand, site: Site) -> Value | None:
        """`p.requires_grad = False`, `p.grad = None`, and attributes of unknown objects."""
        return stored(self, receiver, name, value, site)

    def collected(self, method: Method, arguments: Arguments, site: Site) -> None:
        """A tensor with its graph is put into a list that may outlive the iteration."""
        collected(self, method, arguments, site)

    def dropped(self, value: Value, node: ir.Expression, site: Site) -> None:
        """What a clamp of a gradient gives, or the norm that clipping does, is thrown away."""
        dropped(self, value, node, site)

    def hooked(self, hook: Value, of: Parameters, site: Site) -> None:
        """A gradient gets a hook."""
        hooked(self, hook, of, site)
