"""The interpretation that reads training code: models are opaque, what happens to them is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from gradlint.records import ir
from gradlint.records.graph import Setting
from gradlint.semantics.bindings import stored, walk
from gradlint.semantics.classes import is_module as is_module_class
from gradlint.semantics.classes import is_optimizer
from gradlint.semantics.interpretation import Arguments, Budget, Operand, Site
from gradlint.semantics.scope import Frame
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
from gradlint.training.calls import CALLS, called_by_name, loss_of
from gradlint.training.forms import of_operator
from gradlint.training.holding import held
from gradlint.training.methods import BOUNDS, attribute_of_tensor, call_method, divided, is_method
from gradlint.training.ordered import NOWHERE
from gradlint.training.profiles import hooks
from gradlint.training.settings import arguments_of
from gradlint.training.started import started
from gradlint.training.states import Stateful
from gradlint.training.tools import call_tool, profile_of_class
from gradlint.training.tools import made as made_by
from gradlint.training.values import (
    Bound,
    Context,
    Either,
    Given,
    Module,
    Optimizer,
    Parameters,
    Scaler,
    Scheduler,
    Symbol,
    Tensor,
    Tool,
    Weight,
    has_tensors,
    options,
    tensors,
    within,
)

_STEPS = frozenset(
    {
        *("backward", "zero_grad", "clip_grad_norm_", "clip_grad_value_", "unscale_", "manual_backward"),
        *("GradScaler", "configure_optimizers", "optim"),
    }
)
"""Names by which code is known to train."""

_DETACHING = frozenset({"detach", "detach_", "data", "no_grad", "inference_mode", "item", "numpy"})
"""Names in a model by which a state may leave it without its graph."""

_MOST_OPTIONS = 8
_CALLED = (Closure, ClassObject, Instance, Reference, Partial, Bound)
_KEPT = (Symbol, Module, Instance, Optimizer, Items, Table, Parameters, Bound, Closure, Partial)


class TrainingFacts(Stateful):
    """Runs training code on optimizers, scalers, models and tensors that are known by identity."""

    budget = Budget(unrolled=8, rounds=64, steps=60_000, objects=200, recursion=2)

    def __init__(self) -> None:
        super().__init__()
        self.followed: set[int] = set()
        self._keeping: dict[int, tuple[Closure, bool]] = {}
        self._named: dict[int, tuple[ClassObject, frozenset[str]]] = {}
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
        loss = loss_of(self, model, arguments, site) if isinstance(model, Module) else None
        if loss is not None:
            return loss
        given = self.mixed(arguments.values())
        settings: dict[str, Setting] = {"method": name}
        if any(map(self._keeps, options(model))):
            settings["keeps"] = True
        if given.states:
            settings |= self.taken(arguments)
            settings["detaches"] = any(map(self._detaches, options(model)))
            settings["is_optional"] = any(_is_optional(each, settings.get("at")) for each in options(model))
        number = self.recorder.note(
            "forward",
            site,
            (model if about is None else about,),
            source=given.passes,
            states=given.states,
            settings=settings,
            cut=given.cut,
        )
        if not self.is_tracked:
            return Tensor(is_certain=not self._aside, cut=given.cut | {number})
        return Tensor(given.passes | {number}, given.states, given.is_certain, cut=given.cut)

    def _keeps(self, model: Value) -> bool:
        """Whether the forward pass of a model writes to attributes of its own."""
        cls = _class_of(model)
        forward = None if cls is None else cls.member("forward")
        if not isinstance(forward, Closure) or not isinstance(forward.function, ir.Function):
            return False
        key = id(forward.function)
        if key not in self._keeping:
            self._keeping[key] = forward, next(stored(forward.function), None) is not None
        return self._keeping[key][1]

    def _detaches(self, model: Value) -> bool:
        """Whether a model's class names what takes a tensor off its graph; True where it is not known."""
        cls = _class_of(model)
        if cls is not None:
            return self._names(cls, _DETACHING)
        return not (isinstance(model, Module) and model.type.startswith("torch.nn."))

    def escapes(self, values: Iterable[Value], site: Site | None = None) -> None:
        """Code that is not known has these objects, and may do anything with them."""
        pending, seen = list(values), set[int]()
        gone: dict[int, Value] = {}
        while pending:
            for part in within(pending.pop(), 400):
                if isinstance(part, (Optimizer, Scaler, Module, Parameters, Symbol)):
                    gone[id(part)] = part
                elif isinstance(part, Tensor) and part.gradient is not None:
                    gone[id(part.gradient)] = part.gradient
                elif isinstance(part, Closure) and id(part.function) not in seen:
                    seen.add(id(part.function))
                    pending.extend(self._reached(part))
        if gone and site is not None:
            self.recorder.note("escape", site, gone.values())

    def _reached(self, closure: Closure) -> Iterator[Value]:
        """The objects outside a function that its code names."""
        names = {node.id: node for node in walk(closure.function) if isinstance(node, ir.Name)}
        frame = Frame(closure.scope, closure.frame)
        script = self.evaluator.script
        for name, node in names.items():
            found = frame.lookup(name)
            if found is None and script is not None and script.scope is closure.scope:
                found = script.variables.get(name)
            defined = closure.scope.binding(name) if found is None else ()
            if any(not isinstance(statement, ir.Binding) for statement in defined):
                found = self.evaluator.evaluate(node, frame)
            if found is not None:
                yield found

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

    def unbound(self, name: str) -> Value:
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
            joined = _joined([value for value in distinct if isinstance(value, Tensor)])
            if joined is not None:
                return joined
        if sum(1 for value in distinct for _ in options(value)) > _MOST_OPTIONS:
            return self.unknown(distinct)
        return Either(tuple(distinct), self._merging if len(distinct) == 2 else None)

    def call(self, reference: Reference, arguments: Arguments, site: Site) -> Value:
        """A function or class from outside the project."""
        arguments = self._settled(arguments)
        function = CALLS.get(reference.name)
        if function is not None:
            return function(self, reference.name, arguments, site)
        return called_by_name(self, reference.name, arguments, site)

    def method(self, receiver: Operand, name: str, arguments: Arguments, site: Site) -> Value:
        """A method of an object that is not of the project, or of its base that is not."""
        value, arguments = receiver.value, self._settled(arguments)
        if isinstance(value, Symbol) and value.default is not None:
            found = defaults.method(self.symbols, value, name, arguments)
            if found is not None:
                return found
        if isinstance(value, Either):
            return self._of_options(value, name, arguments, site)
        if isinstance(value, Bound) and name == "__call__":
            return self._called_bound(value, arguments, site)
        if isinstance(value, (Optimizer, Scaler)) and name in value.attributes:
            return self.method_of(value.attributes[name], "__call__", arguments, site)
        if isinstance(value, Tool):
            return call_tool(self, value, name, arguments, site)
        if isinstance(value, Given) and name == "__call__":
            return value.value
        return call_method(self, value, name, arguments, site)

    def _settled(self, arguments: Arguments) -> Arguments:
        """What code from outside the project is given: settings by their defaults, where these apply."""
        return arguments if self.is_by_default else defaults.otherwise(self.symbols, arguments)

    def _called_bound(self, method: Bound, arguments: Arguments, site: Site) -> Value:
        """A method is called that was kept, as it was then."""
        if isinstance(method.receiver, Tool):
            return call_tool(self, method.receiver, method.name, arguments, site)
        return call_method(self, method.receiver, method.name, arguments, site)

    def _of_options(self, value: Either, name: str, arguments: Arguments, site: Site) -> Value:
        """Each of two objects in turn, where a test says which; None has no methods."""
        alike = {type(option) for option in options(value)}
        if name == "__call__" and alike & set(_CALLED):
            return self._called_either(value, arguments, site)
        if len(value.options) != 2 or value.test is None or (len(alike) == 1 and alike <= set(_SINGLE)):
            return self._of_first(value, name, arguments, site)
        self.recorder.order.chooses(value.test)
        results = []
        for position, option in enumerate(value.options):
            self.recorder.order.takes(position)
            if isinstance(option, Known) and option.value is None:
                self.recorder.order.leaves("raise")
                continue
            results.append(self.method_of(option, name, arguments, site))
        self.recorder.order.chosen()
        self._merging = value.test if len(results) == 2 else None
        result = self.evaluator.join(results) if results else self.symbols.fresh()
        self._merging = None
        return value if name.endswith("_") else result

    def _called_either(self, value: Either, arguments: Arguments, site: Site) -> Value:
        """One of several functions is called."""
        self.recorder.order.chooses(value.test if len(value.options) == 2 else None)
        results = []
        for position, option in enumerate(value.options):
            self.recorder.order.takes(position)
            results.append(self.method_of(option, "__call__", arguments, site))
        self.recorder.order.chosen()
        self._merging = value.test if len(results) == 2 else None
        result = self.evaluator.join(results)
        self._merging = None
        return result

    def method_of(self, value: Value, name: str, arguments: Arguments, site: Site) -> Value:
        """`value.name(…)`, whatever `value` is."""
        operand = Operand(value, site.node)
        if name == "__call__" and isinstance(value, _CALLED):
            return self.evaluator.call(value, arguments, site)
        if isinstance(value, (Instance, Items, Table, Closure, ClassObject)):
            target = self.evaluator.attribute(operand, name, site)
            return self.evaluator.call(target, arguments, site)
        return self.method(operand, name, arguments, site)

    def _of_first(self, value: Either, name: str, arguments: Arguments, site: Site) -> Value:
        first = next(options(value))
        return call_method(self, first, name, arguments, site, about=value)

    def attribute(self, receiver: Operand, name: str, site: Site) -> Value:
        """An attribute of something unknown: always the same one."""
        value = receiver.value
        if isinstance(value, Either):
            found = [self._option_attribute(option, name, site) for option in options(value)]
            return self.evaluator.join(found)
        if isinstance(value, (Optimizer, Scaler)) and name in value.attributes:
            return value.attributes[name]
        if is_method(value, name):
            return Bound(value, name, site)
        if isinstance(value, Tensor):
            return attribute_of_tensor(self, value, name)
        if isinstance(value, Tool) and name in value.arguments:
            return value.arguments[name]
        if isinstance(value, Weight):
            return Tensor(gradient=value.of) if name == "grad" else value if name == "data" else Tensor()
        if isinstance(value, Optimizer) and name == "param_groups":
            self.recorder.note("groups", site, (value,))
            return Items("list", [_group(value.held, site.node)], site.node, True)
        if name == "grad" and isinstance(value, Symbol) and name not in value.attributes:
            return Tensor(gradient=Parameters((value,), False))
        if isinstance(value, Module):
            return value.attributes.setdefault(name, self.symbols.fresh(value, name=name))
        if isinstance(value, Instance):
            made = self.symbols.fresh(value, name=name)
            self.evaluator.heap.write(value.attributes, name, made)
            return made
        if isinstance(value, Symbol):
            if name == "module":
                return value
            return value.attributes.setdefault(name, self.symbols.part(value, name))
        return self.symbols.derived(("attribute", name), (value,))

    def _option_attribute(self, option: Value, name: str, site: Site) -> Value:
        return self.evaluator.attribute(Operand(option, site.node), name, site)

    def index(self, receiver: Operand, index: Value, site: Site) -> Value:
        """An item: of a tensor a tensor, of something unknown always the same one."""
        value = receiver.value
        found = list(tensors(value))
        if found:
            return found[0] if len(found) == 1 else self.mixed((value,))
        if isinstance(value, Either):
            return self.evaluator.join(list(options(value)))
        if isinstance(value, (Items, Table)):
            held_values = value.items if isinstance(value, Items) else value.values()
            if isinstance(value, Table) and not value.open and isinstance(index, Known):
                return self.symbols.fresh()  # there is none
            return self.evaluator.join(held_values) if held_values else self.symbols.fresh()
        if isinstance(value, Parameters):
            return Weight(value)
        setting = defaults.item(self.symbols, value, index) if isinstance(value, Symbol) else None
        return self.symbols.derived("index", (value, index)) if setting is None else setting

    def element(self, iterable: Value, site: Site) -> Value:
        """One item of an iteration."""
        if isinstance(iterable, Parameters):
            weight = Weight(Parameters(iterable.owners, iterable.is_whole))
            if not iterable.is_named:
                return weight
            return Items("tuple", [self.symbols.fresh(), weight], site.node)
        if isinstance(iterable, (Items, Table)):
            inside = iterable.items if isinstance(iterable, Items) else iterable.values()
            return self.evaluator.join(inside) if inside else self.symbols.fresh()
        found = list(tensors(iterable))
        if found:
            return self.mixed((iterable,))
        return self.symbols.fresh(iterable if isinstance(iterable, (Symbol, Module, Instance)) else None)

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

    def items(self, value: Value) -> Items | None:
        """Ranges are loops, however short."""
        if isinstance(value, Known) and isinstance(value.value, range):
            nowhere = ir.Literal(NOWHERE, None)
            return Items("list", [self.symbols.fresh()], nowhere, True)
        return None

    def operator(self, name: str, operands: tuple[Operand, ...], site: Site) -> Value:
        """Arithmetic on tensors, tests of everything else."""
        values = [operand.value for operand in operands]
        if not any(map(has_tensors, values)):
            return self.symbols.operator(name, operands)
        if name in ("and", "or", "not", "is", "is_not", "in", "not_in"):
            return self.symbols.fresh()
        plain = [value for value in values if not list(tensors(value))]
        reductions = {t.reduction for value in values if isinstance(value, Tensor) for t in tensors(value)}
        kept = reductions.pop() if len(reductions) == len(values) - len(plain) == 1 else ""
        mixed = replace(self.mixed(values), form=of_operator(name, values), reduction=kept)
        if name in ("add", "iadd", "sub", "isub") and mixed.states and mixed.passes:
            self.recorder.note(
                "keep",
                site,
                source=mixed.passes,
                states=mixed.states,
                is_certain=mixed.is_certain,
                settings={"loss": any(t.reduction for value in values for t in tensors(value))},
            )
        if name in ("truediv", "itruediv", "mul", "imul") and plain and mixed.is_divided is False:
            return divided(mixed)
        return mixed

    def truth(self, value: Value) -> bool | None:
        """Objects are true."""
        return self.symbols.outcome(value)

    def inherited(self, receiver: Value, name: str, arguments: Arguments, site: Site) -> Value:
        """`super().__init__()` of a base outside the project does nothing that matters."""
        if name == "__init__":
            return Known(None)
        return call_method(self, receiver, name, arguments, site)

    def is_opaque(self, target: Instance) -> bool:
        """The forward pass of a model is one event."""
        return is_module_class(target.type)

    def called(self, target: Instance, arguments: Arguments, site: Site) -> Value:
        """A model is called."""
        return self.passes(target, arguments, site)

    def construct(self, cls: ClassObject, arguments: Arguments, site: Site) -> Value:
        """An object whose constructor is not run."""
        arguments = self._settled(arguments)
        first = next(iter(arguments.values()), Known(None))
        name = f"{cls.scope.name}.{cls.definition.name}"
        if is_module_class(cls):
            return Module(name, {f"({i})": v for i, v in enumerate(arguments.values())}, site, cls)
        if is_optimizer(cls):
            holds = held(first) or Parameters(None, False)
            return self.makes(Optimizer(name, holds, arguments_of(arguments), site))
        if any(isinstance(b, Reference) and b.name.endswith("GradScaler") for b in cls.lineage()):
            return Scaler(name, arguments_of(arguments), site)
        profile = profile_of_class(cls)
        if profile is not None:
            replaced = () if profile.automatic is None else profile.automatic.replaced
            is_open = arguments.open or any(cls.member(method) is not None for method in replaced)
            given = Arguments(arguments.positional, arguments.keywords, is_open, arguments.certain)
            tool = made_by(profile, name, given, site)
            if isinstance(tool, Tool):
                started(self, tool, site)
            return tool
        made = self.symbols.fresh(type=name)
        self.keep(made, arguments.values())
        self.escapes(arguments.values(), site)
        return made

    def follows(self, target: Closure | ClassObject, depth: int) -> bool:
        """Functions are followed, and the constructors of what may train."""
        if isinstance(target, ClassObject):
            return depth < 8 and self.is_worth_constructing(target)
        self.followed.add(id(target.function))
        return depth < 16

    def is_worth_constructing(self, cls: ClassObject) -> bool:
        """Whether an object's own methods may train, or hold what is trained."""
        if is_optimizer(cls) or profile_of_class(cls) is not None:
            return False
        if is_module_class(cls):
            return self.trains(cls) or any(cls.member(name) is not None for name in hooks())
        return not any(isinstance(base, Reference) for base in cls.lineage()) or self.trains(cls)

    def trains(self, cls: ClassObject) -> bool:
        """Whether a class names what only training code does."""
        return self._names(cls, _STEPS)

    def _names(self, cls: ClassObject, names: frozenset[str]) -> bool:
        """Whether the bodies of a class and of its bases in the project use one of these names."""
        if id(cls) not in self._named:
            bodies = [base.definition for base in cls.lineage() if isinstance(base, ClassObject)]
            found = (
                node.name if isinstance(node, ir.Attribute) else getattr(node, "id", "")
                for body in bodies
                for node in walk(body)
                if isinstance(node, (ir.Attribute, ir.Name))
            )
            self._named[id(cls)] = cls, frozenset(found)
        return not names.isdisjoint(self._named[id(cls)][1])

    def stored(self, receiver: Value, name: str, value: Operand, site: Site) -> Value | None:
        """`p.requires_grad = False`, `p.grad = None`, and attributes of unknown objects."""
        for option in options(receiver):
            is_model = isinstance(option, Module) and name
            if is_model or (isinstance(option, (Symbol, Module)) and _holds_module(value.value)):
                self.recorder.note("set", site, (option,), settings={"name": name})
            if isinstance(option, (Weight, Tensor)):
                self._written(option, name, value.value, site)
            elif isinstance(option, (Optimizer, Scaler)) and name:
                self.evaluator.heap.write(option.attributes, name, value.value)
            elif isinstance(option, (Symbol, Module)) and name:
                if name == "requires_grad" and isinstance(value.value, Known):
                    kind = "thaw" if value.value.value else "freeze"
                    self.recorder.note(kind, site, (Parameters((option,), False),))
                elif name == "grad" and isinstance(value.value, Known):
                    self.recorder.note("zero", site, (Parameters((option,), False),))
                holding, before = self.holding(option), option.attributes.get(name)
                self.evaluator.heap.write(option.attributes, name, value.value)
                is_wrapped = before is not None and any(part is before for part in within(value.value))
                if (isinstance(option, Module) or holding) and _holds_module(value.value) and not is_wrapped:
                    by = (*holding, value.value) if holding else ()
                    self.recorder.note("replace", site, (option,), by=by, settings={"name": name})
        return None

    def _written(self, weight: Weight | Tensor, name: str, value: Value, site: Site) -> None:
        of = weight.of if isinstance(weight, Weight) else Parameters((weight,), False)
        if name == "grad":
            is_none = isinstance(value, Known) and value.value is None
            gradients = [t for t in tensors(value) if t.gradient is not None]
            if is_none or not gradients:
                self.recorder.note("zero", site, (of,), is_certain=is_none)
            else:
                self.recorder.note("clip", site, (of,), settings={"form": "assigned"})
        elif name == "requires_grad" and isinstance(value, Known):
            self.recorder.note("thaw" if value.value else "freeze", site, (of,))
        elif name == "data" and any(t.gradient is not None for t in tensors(value)):
            self.recorder.note("step", site, (of,), settings={"form": "manual"})

    def replaced(self, receiver: Operand, index: Operand, value: Operand, site: Site) -> Value:
        """`x[i] = v`."""
        if has_tensors(receiver.value) or has_tensors(value.value):
            return self.mixed((receiver.value, value.value))
        if _holds_module(value.value):
            self.recorder.note("set", site, (receiver.value,), settings={"name": ""})
        return receiver.value

    def collected(self, method: Method, arguments: Arguments, site: Site) -> None:
        """A tensor with its graph is put into a list that may outlive the iteration."""
        if method.name not in ("append", "add", "insert", "extend"):
            return
        mixed = self.mixed(arguments.values())
        if mixed.passes:
            settings: dict[str, Setting] = {"method": method.name}
            self.recorder.note(
                "collect", site, (), source=mixed.passes, is_certain=mixed.is_certain, settings=settings
            )

    def dropped(self, value: Value, node: ir.Expression, site: Site) -> None:
        """What a clamp of a gradient gives, or the norm that clipping does, is thrown away."""
        if isinstance(value, Tensor) and isinstance(node, ir.Call) and not _writes(node):
            name = getattr(node.function, "name", "") or getattr(node.function, "id", "")
            of = () if value.gradient is None else (value.gradient,)
            if of and name in BOUNDS:
                self.recorder.note("drop", site, of, settings={"form": name})
            elif not of:
                self.recorder.add("clip", site, {"dropped": True})

    def hooked(self, hook: Value, of: Parameters, site: Site) -> None:
        """A gradient gets a hook; `bounds` is False where that bounds a copy, and gives nothing back."""
        own, self.recorder, before = self.recorder, self._recorder(), self.bounded
        result: Value = self.symbols.fresh()
        if isinstance(hook, Closure):
            gradient = Operand(Tensor(gradient=of), site.node)
            result = self.evaluator.call(hook, Arguments((gradient,), {}), site)
        changes = self.recorder.has("clip", "zero", "escape") or not self.recorder.is_whole
        self.recorder = own
        gives = not isinstance(result, Known) or result.value is not None
        bounds = None if gives or changes or self.bounded == before else False
        self.recorder.note("hook", site, (of,), settings={"bounds": bounds})


_SINGLE = (Optimizer, Scaler, Scheduler, Module, Symbol, Parameters, Context)


def _group(held_parameters: Parameters, node: ir.Expression) -> Symbol | Table:
    """One of the groups of an optimizer."""
    return Table({"params": Parameters(held_parameters.owners, False)}, node, True)


def _joined(values: Sequence[Tensor]) -> Tensor | None:
    """What is known of one of several tensors; None where they bear different scales."""
    first, *others = values
    if any(other.scaled is not first.scaled for other in others):
        return None
    divided = {value.is_divided for value in values}
    return Tensor(
        frozenset().union(*[value.passes for value in values]),
        frozenset().union(*[value.states for value in values]),
        all(value.is_certain and bool(value.passes) == bool(first.passes) for value in values),
        divided.pop() if len(divided) == 1 else None,
        first.scaled,
        first.gradient if all(value.gradient is not None for value in values) else None,
        first.reduction if all(value.reduction == first.reduction for value in values) else "",
        frozenset().union(*[value.cut for value in values]),
        first.form if all(value.form == first.form for value in values) else "",
        all(value.is_certain or value.is_sometimes for value in values) and not any(map(_is_cut, values)),
    )


def _is_cut(value: Tensor) -> bool:
    """Whether no gradient leads from a tensor to what it is computed of."""
    return not value.passes and bool(value.states or value.cut)


def _class_of(model: Value) -> ClassObject | None:
    """The class of a model, where it is in the project."""
    cls = model.cls if isinstance(model, Module) else model.type if isinstance(model, Instance) else None
    return cls if isinstance(cls, ClassObject) else None


def _is_optional(model: Value, at: Setting) -> bool:
    """Whether the argument at a position, or of a name, has a default in a model's forward pass."""
    cls = _class_of(model)
    forward = None if cls is None else cls.member("forward")
    if not isinstance(forward, Closure):
        return False
    taken = forward.function.parameters[1:]
    found = [p for position, p in enumerate(taken) if at in (position, p.name)]
    return any(parameter.default is not None for parameter in found)


def _writes(call: ir.Call) -> bool:
    """Whether a call is told where its result goes."""
    return any(keyword.name in ("out", None) for keyword in call.keywords)


def _holds_module(value: Value) -> bool:
    return any(isinstance(option, (Module, Instance)) for option in options(value))
