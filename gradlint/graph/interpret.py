"""The interpretation that builds model graphs: constructors make layers, forward passes make nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec import Struct

from gradlint.graph import spaced
from gradlint.graph.apply import Applier
from gradlint.graph.arms import Arms
from gradlint.graph.construct import (
    table,
    torch_base,
)
from gradlint.graph.custom import Custom, apply_of
from gradlint.graph.fitting import fitting, is_asked_as_class
from gradlint.graph.foreign import GRAD, NO_GRAD, Foreign
from gradlint.graph.from_transformers import ANY_ACTIVATION, output_item
from gradlint.graph.functions import (
    METADATA,
)
from gradlint.graph.geometric import Geometric, stands_for
from gradlint.graph.joining import Joining
from gradlint.graph.making import Making
from gradlint.graph.memory import Memory, Traces
from gradlint.graph.message_passing import MessagePassing, is_message_passing
from gradlint.graph.methods import Methods
from gradlint.graph.modules import Members
from gradlint.graph.naming import Registered, Text, key_of, put_together, registered, text_of
from gradlint.graph.pretrained import Pretrained
from gradlint.graph.python import Python
from gradlint.graph.rearrange import indexed
from gradlint.graph.recorder import Recorder
from gradlint.graph.sizes import SizeOf, size_at, whole
from gradlint.graph.spaced import Spaced
from gradlint.graph.unapplied import Copied, Replaced
from gradlint.graph.unbound import Unbound, meaning
from gradlint.graph.values import (
    BASE,
    Anything,
    Choice,
    Container,
    Drawn,
    Layer,
    OneOf,
    Signal,
    Weight,
    held_by,
    is_module,
    signals,
)
from gradlint.records import ir
from gradlint.records.graph import Initial, Place, Unapplied
from gradlint.records.span import Span
from gradlint.semantics.bystanders import holds_activations
from gradlint.semantics.classes import is_module as is_module_class
from gradlint.semantics.evaluate import ARM_EXHAUSTED, EXHAUSTED
from gradlint.semantics.interpretation import Arguments, Budget, Count, Interpretation, Operand, Site
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Instance,
    Items,
    Known,
    Partial,
    Reference,
    Table,
    Value,
)

_DICTIONARIES = frozenset({"builtins.dict", "collections.OrderedDict"})


_TRAINING = Budget(unrolled=256, rounds=4096, steps=40_000, objects=4000, recursion=6)
"""A pass of training code is worth less work than a model: only what its losses take is looked at."""

_ENDS = 2
"""So many modules of each end of a long list are run where code trains."""


class Sought(Struct, frozen=True):
    """A class of which it is asked with what it is called; `is_enough` says when that is known."""

    definition: ir.Class
    is_enough: Callable[[Arguments], bool]


class GraphFacts(Interpretation):
    """Runs models on signals: every operation on one becomes a node of the recorder.

    `is_constructing` until the forward pass begins; `unread` gathers why the construction of a model was
    not followed to its end, `unmatched` the initialisers that changed nothing, `uncounted` where its
    constructor iterates how often is not known, `displaced` the layers that took the place of others, and
    `copied` the changed copies of weights that nothing keeps. `repetitions` is how often some of these
    iterations are taken to run.
    """

    budget = Budget(unrolled=256, rounds=4096, steps=60_000, arm=16_000, objects=4000, recursion=6)

    def __init__(self) -> None:
        self.ran: set[tuple[str, Span]] = set()
        self.built: set[tuple[str, Span]] = set()
        self.recorder = Recorder()
        self.is_training = self._ends_at_loss = False
        self.followed: set[int] = set()
        self.sequences: list[Container] = []
        self.members = Members(self)
        self.applier = Applier(self)
        self.messages = MessagePassing(self)
        self.geometric = Geometric(self)
        self.custom = Custom(self)
        self.foreign = Foreign(self)
        self.making = Making(self)
        self.python = Python(self)
        self.methods = Methods(self)
        self.joining = Joining(self)
        self.memory = Memory()
        self.is_constructing = False
        self.unread: list[str] = []
        self.unmatched: list[Unapplied] = []
        self.displaced: list[Replaced] = []
        self.copied: list[Copied] = []
        self.uncounted: list[Place] = []
        self.repetitions: Mapping[Place, int] = {}
        self._constructed_with: list[tuple[ClassObject, Arguments]] = []
        self._sought: Sought | None = None

    def made(self, target: Closure | ClassObject, arguments: Arguments, make: Callable[[], Value]) -> Value:
        """What was made before from the same is copied."""
        if isinstance(target, ClassObject):
            self._constructed_with.append((target, arguments))
            if self._sought is not None and self._sought.definition is target.definition:
                return self._met(self._sought, target, arguments)
        if self.evaluator.imported.is_changed:
            return make()
        result, traces = self.memory.recall(
            target, arguments, lambda: self._traced(make), self.evaluator.heap.write
        )
        if traces is not None:
            self.evaluator.consulted |= traces.consulted
            self.evaluator.ran |= traces.ran
            self.unread.extend(traces.unread)
            self._constructed_with.extend(traces.constructed)
            self.uncounted.extend(traces.uncounted)
            self.is_new([result], arguments)
        return result

    def is_new(self, made: Sequence[Value], arguments: Arguments) -> None:
        """What was made just now, out of these arguments, is nowhere else."""
        heap = self.evaluator.heap
        if heap.is_branching:
            given = {id(each) for each in held_by(arguments.values())}
            for each in held_by(made):
                if id(each) not in given and isinstance(each, (Instance, Layer, Weight)):
                    heap.creates(each.attributes)

    def _met(self, sought: Sought, cls: ClassObject, arguments: Arguments) -> Value:
        """What stands for an object of which only the arguments are wanted."""
        if sought.is_enough(arguments):
            self.evaluator.stop()
        return Anything(f"an object of {cls.definition.name}")

    def _traced(self, make: Callable[[], Value]) -> tuple[Value, Traces | None]:
        """What a call gives and leaves; None where it did something that a copy would not repeat."""
        evaluator, effects = self.evaluator, self._effects()
        unread, constructed = len(self.unread), len(self._constructed_with)
        uncounted = len(self.uncounted)
        outer, evaluator.ran = evaluator.ran, set()
        with evaluator.noting() as consulted:
            result = make()
        own = Traces(
            frozenset(consulted),
            frozenset(evaluator.ran),
            tuple(self.unread[unread:]),
            tuple(self._constructed_with[constructed:]),
            tuple(self.uncounted[uncounted:]),
        )
        outer |= own.ran
        evaluator.ran = outer
        is_pure = effects == self._effects()
        return result, own if is_pure and self._is_whole(own) else None

    def _effects(self) -> tuple[int, ...]:
        """How much was noted, or changed beside the arguments, that a copy of a call's result leaves out."""
        noted = (self.recorder.nodes, self.unmatched, self.displaced, self.copied)
        return (*[len(each) for each in noted], self.evaluator.imported.disturbed)

    def _is_whole(self, traces: Traces) -> bool:
        """Whether a call was followed to its end."""
        sought = None if self._sought is None else self._sought.definition
        met = any(cls.definition is sought for cls, _ in traces.constructed)
        return not met and {EXHAUSTED, ARM_EXHAUSTED}.isdisjoint(traces.unread)

    def note(self, target: Value | None) -> None:
        """A function runs."""
        if isinstance(target, Closure):
            self.ran.add((target.scope.path, target.function.span))

    def begin(self, is_training: bool = False, ends_at_loss: bool = True) -> None:
        """Forget the nodes of one forward pass before another is run, or a function that trains.

        An iteration over the data is taken to be like the next once a loss was met, if that `ends_at_loss`.
        """
        self.evaluator.imported.put_back()
        self.recorder = Recorder(lambda: self.evaluator.settled, self.evaluator.affords)
        self.applier = Applier(self)
        self.is_training = is_training
        self._ends_at_loss = is_training and ends_at_loss
        self.budget = _TRAINING if is_training else GraphFacts.budget
        self.is_constructing = not is_training
        self.unread = []
        self.unmatched = []
        self.displaced = []
        self.copied = []
        self.uncounted = []
        self._constructed_with.clear()

    @contextmanager
    def watching(self, sought: Sought | None = None) -> Iterator[list[tuple[ClassObject, Arguments]]]:
        """The objects of the project that are made within the block, with their arguments.

        Those of a class that is sought are not followed any further.
        """
        made: list[tuple[ClassObject, Arguments]] = []
        self._constructed_with, self._sought = made, sought
        try:
            yield made
        finally:
            self._constructed_with, self._sought = [], None

    # values

    def unknown(self, sources: Sequence[Value]) -> Value:
        """A node of which only the inputs are known, or something that no signal went into."""
        if any(next(signals(source), None) is not None for source in sources):
            return self.recorder.unknown("something that is not understood", sources)
        self.recorder.hand_out(sources)
        self.members.escape(sources)
        return Anything()

    def unbound(self, name: str, scope: ModuleScope) -> Value:
        """A name that is known in the field means what it does there."""
        return meaning(name, scope) or Unbound(name=name)

    def text(self, parts: Sequence[Value]) -> Value:
        """What is known of a text may be enough to tell which attribute it names."""
        return text_of(parts)

    def name_of(self, value: Value) -> str:
        """Attributes that are written under a name which is known in parts are found under it."""
        return value.pattern if isinstance(value, Text) else super().name_of(value)

    def parameter(self, parameter: ir.Parameter, closure: Closure) -> Value:
        """What a constructor or forward is given when it is called from outside: its default."""
        if parameter.kind in ("arguments", "keywords"):
            empty = ir.Display(parameter.span, "tuple", ())
            return Items("tuple", [], empty) if parameter.kind == "arguments" else Table({}, empty)
        if parameter.default is not None:
            return self.evaluator.default(parameter, closure)
        if parameter.annotation is not None:
            configuration = self.evaluator.annotated(parameter.annotation, closure)
            if configuration is not None:
                return configuration
        return self._fitting(parameter, closure)

    def _fitting(self, parameter: ir.Parameter, closure: Closure) -> Value:
        """A class of blocks that nobody gives is one of those in the module that have what it is asked."""
        asked = is_asked_as_class(parameter, closure)
        if not asked or not self.is_constructing:
            return Anything()
        scope = closure.scope
        defined = [
            name
            for name, bound in scope.bindings.items()
            if any(isinstance(each, ir.Class) or getattr(each, "defines_class", False) for each in bound)
        ]
        values = [self.evaluator.module_name(scope, name) for name in defined]
        found = fitting(asked, [value for value in values if value is not None], closure.receiver)
        return Choice(tuple(found)) if len(found) > 1 else next(iter(found), Anything())

    def join(self, values: Sequence[Value]) -> Value:
        """One of several: a node that is either input, a choice of modules, or anything."""
        return self.joining.join(values)

    def truth(self, value: Value) -> bool | None:
        """Modules, functions and objects are true; empty containers are not."""
        if isinstance(value, Container):
            inside = value.held.items if isinstance(value.held, Items) else value.held.entries
            return bool(inside) if not value.held.open else (True if inside else None)
        if isinstance(value, Items):
            return bool(value.items) if not value.open else (True if value.items else None)
        if isinstance(value, Choice):
            return None if any(isinstance(option, Known) for option in value.options) else True
        if isinstance(value, Instance) and any(map(value.type.member, ("__bool__", "__len__"))):
            return None
        if isinstance(value, (Layer, Instance, Closure, ClassObject, Reference, Partial)):
            return True
        return None

    def items(self, value: Value) -> Items | None:
        """The members of a container, or of an object that derives from one."""
        if isinstance(value, Instance):
            inner = value.attributes.get(BASE)
            return self.items(inner) if inner is not None else None
        if isinstance(value, Signal):
            return self._parts(value)
        if isinstance(value, Registered):
            inside = registered(value, ir.Literal(Span(1, 1, 1, 1), None))
            return Items("list", [Known(name) for name in inside.entries], inside.node, inside.open)
        if isinstance(value, Spaced):
            return spaced.listed(value)
        if not isinstance(value, Container):
            return None
        if isinstance(value.held, Items):
            return value.held
        return Items("list", [key_of(key) for key in value.held.entries], value.held.node, value.held.open)

    def _parts(self, signal: Signal) -> Items | None:
        """What an iteration over a signal whose first dimension is known gives."""
        place = self.recorder.nodes[signal.number].place if signal.recorder is self.recorder else None
        if place is None:
            return None
        return self.applier.parts(signal, 0, Site(ir.Literal(place.span, None), place.path))

    def element(self, iterable: Value, site: Site) -> Value:
        """One item of an iteration of unknown length."""
        inside = iterable if isinstance(iterable, Items) else self.items(iterable)
        if inside is not None and inside.items:
            return inside.items[0] if len(inside.items) == 1 else self.join(inside.items)
        if isinstance(iterable, Signal):
            return self.recorder.emit("select", (iterable,), site)
        return self.unknown((iterable,))

    def is_counted_once(self, iterable: Value | None) -> bool:
        """A loop of unknown length counts as one iteration, not one that is merely long."""
        if self.is_training or isinstance(iterable, (Known, SizeOf, Table)):
            return False
        return not isinstance(iterable, Items) or len(iterable.items) == 1

    def assumed(self, iterable: Value, site: Site) -> int | None:
        """In constructors the places of such iterations are noted, and one may be taken to be so long."""
        is_over_numbers = isinstance(iterable, Signal)
        if not self.is_constructing or is_over_numbers or not self.is_counted_once(iterable):
            return None
        place = Place(site.path, site.node.span)
        if place in self.repetitions:
            return self.repetitions[place]
        self.uncounted.append(place)
        return None

    def listed(self, items: Items, site: Site) -> Sequence[Value] | None:
        """In constructors all of a list like `[2] + [1] * (depth - 1)` is gone through."""
        is_put_together = isinstance(items.node, ir.Operation) and len(items.items) > 1
        if not self.is_constructing or not is_put_together or len(items.items) > self.budget.unrolled:
            return None
        place = Place(site.path, site.node.span)
        if place in self.repetitions:
            return [*items.items, *items.items[-1:] * (self.repetitions[place] - 1)]
        self.uncounted.append(place)
        return list(items.items)

    def arms(self, variables: Mapping[str, Value], site: Site) -> Arms | None:
        """Models put one of several layers, or none, into lists; or one of several tensors."""
        if self.is_training:
            return None
        return Arms(variables, self.join, Place(site.path, site.node.span))

    @contextmanager
    def repeating(self, repetitions: Mapping[Place, int]) -> Iterator[None]:
        """Within the block constructors iterate so often at places of which that is not known."""
        memory, self.memory = self.memory, Memory(self.memory)
        self.repetitions = repetitions
        try:
            yield
        finally:
            self.memory, self.repetitions = memory, {}

    def takes_as_listed(self) -> bool:
        """A model is constructed with what its callers write down."""
        return self.is_constructing

    def is_exemplary(self, items: Sequence[Value]) -> bool:
        """One module or tensor stands for the others; numbers may all differ."""
        return any(_holds_module(item) or next(signals(item), None) is not None for item in items)

    def forgotten(self, value: Value, count: Count) -> Value:
        """Numbers change in every iteration; a loop that counts as one has its tensors as they were."""
        if count > Count.ALIKE or isinstance(value, (Known, Drawn)):
            return self.unknown((value,))
        return value

    def repeated(self, first: Value, last: Value, site: Site) -> Value:
        """A signal that every iteration changes: nothing is promised of its size after many of them."""
        if isinstance(first, Signal) and isinstance(last, Signal):
            return self.recorder.emit("repeat", (last,), site)
        return last

    # outside the project

    def call(self, reference: Reference, arguments: Arguments, site: Site) -> Value:
        """A function or a class from outside the project."""
        return self.foreign.call(reference, arguments, site)

    # objects

    def construct(self, cls: ClassObject, arguments: Arguments, site: Site) -> Value:
        """An object of the project whose constructor could not be run."""
        return Anything(f"an object of {cls.definition.name}")

    def called(self, target: Instance, arguments: Arguments, site: Site) -> Value:
        """An object that derives from a layer or a container of torch.nn and has no forward of its own."""
        return self.applier.module(target, arguments, site)

    def initialised(self, model: Instance, initialise: Value, site: Site) -> Value:
        """The innermost modules come first."""
        return self.members.initialise_all(model, initialise, site)

    def inherited(self, receiver: Value, name: str, arguments: Arguments, site: Site) -> Value:
        """A method of a base from outside the project."""
        if not isinstance(receiver, Instance):
            return Anything()
        if is_message_passing(receiver):
            passed = self.messages.method(receiver, name, arguments, site)
            if passed is not None:
                return passed
        if name == "__init__":
            base = torch_base(receiver)
            if base is not None:
                made = self.making.module(base, arguments, Place(site.path, site.node.span), site)
                if made is not None:
                    self.evaluator.heap.write(receiver.attributes, BASE, made)
            elif receiver.type.derives_from(_DICTIONARIES):
                self.evaluator.heap.write(receiver.attributes, BASE, table(arguments, site.node))
            return Known(None)
        if name == "__call__" and isinstance(forward := receiver.type.member("forward"), Closure):
            return self.evaluator.call(self.evaluator.bound(forward, receiver), arguments, site)
        if name in ("forward", "__call__"):
            return self.applier.module(receiver, arguments, site)
        return self.members.method(receiver, name, arguments, site)

    def method(self, receiver: Operand, name: str, arguments: Arguments, site: Site) -> Value:
        """A method of a module, a weight or a signal."""
        return self.methods.call(receiver, name, arguments, site)

    def operator(self, name: str, operands: tuple[Operand, ...], site: Site) -> Value:
        """An operator on signals, or a comparison that can be decided."""
        decided = self.members.compared(name, [operand.value for operand in operands])
        if decided is not None:
            return Known(decided)
        if name == "mul" and (often := _any_number_of(operands, site)) is not None:
            return often
        if (text := put_together(name, operands)) is not None:
            return text
        if name == "not":
            truth = self.truth(operands[0].value)
            return Anything() if truth is None else Known(not truth)
        if name in ("and", "or"):
            return self.evaluator.join([operand.value for operand in operands])
        return self.applier.operator(ir.IN_PLACE.get(name, name), operands, site)

    def attribute(self, receiver: Operand, name: str, site: Site) -> Value:
        """An attribute of a module, a weight or a signal."""
        value = receiver.value
        if isinstance(value, Signal):
            if name == "shape":
                return SizeOf(sizes=self.recorder.sizes(value))
            if name in METADATA:
                return Anything()
            if name == "data":
                return self.recorder.emit("detach", (value,), site, {"by": "data"})
            op = "reshape" if name in ("T", "mT", "H", "mH", "real") else "select"
            return self.recorder.emit(op, (value,), site)
        if isinstance(value, Pretrained):
            return (
                value if name == "module" else value.attributes.get(name) or Anything(f"an attribute {name}")
            )
        return self.members.attribute(value, name)

    def perhaps(self, owner: Value, found: Value, default: Value) -> Value:
        """A model that is constructed without a configuration gets what that may leave out, as parameters
        get their defaults.
        """
        is_free = self.is_constructing and isinstance(owner, Anything) and isinstance(found, Anything)
        return default if is_free else found

    def index(self, receiver: Operand, index: Value, site: Site) -> Value:
        """An item of a container, a weight or a signal."""
        value = receiver.value
        if isinstance(value, Signal):
            chosen = self._selected(value, index, site)
            self.recorder.depend(chosen.number, (index,))
            return chosen
        if isinstance(value, SizeOf):
            return size_at(value.sizes, whole(index))
        if isinstance(value, Instance) and holds_activations(value) and not isinstance(index, Known):
            return ANY_ACTIVATION
        if isinstance(value, Spaced) and (at := whole(index)) is not None:
            return spaced.item(value, at)
        if isinstance(value, Instance) and isinstance(value.attributes.get(BASE), Table):
            return self.members.item(value, index)
        if isinstance(value, Instance) and (field := output_item(value, index)) is not None:
            return field
        if isinstance(value, Items) and value.items:
            return value.items[0] if value.open and len(value.items) == 1 else self.join(value.items)
        if isinstance(value, Table) and value.values() and not isinstance(index, Known):
            return self.join(value.values())
        if isinstance(value, Table) and value.others:
            return self.join(value.others)
        return self.members.index(value, index, site)

    def settings(self, found: Table) -> Value:
        """A model is built as it is by default."""
        return found

    def unpacked(self, value: Value, count: int) -> Value:
        """The size of a signal has as many items as there are variables for them."""
        return SizeOf(sizes=value.sizes.ranked(count)) if isinstance(value, SizeOf) else value

    def _selected(self, signal: Signal, index: Value, site: Site) -> Signal:
        sizes, at = indexed(self.recorder.sizes(signal), index)
        made = self.recorder.emit("select", (signal,), site, {} if at is None else {"at": at})
        self.recorder.resize(made, sizes)
        return made

    def replaced(self, receiver: Operand, index: Operand, value: Operand, site: Site) -> Value:
        """`receiver[index] = value`."""
        if isinstance(receiver.value, Registered):
            self.members.method(receiver.value.of, "add_module", Arguments((index, value)), site)
            return receiver.value
        if isinstance(receiver.value, Container):
            self.members.put(receiver.value, index.value, value.value)
            return receiver.value
        if isinstance(receiver.value, Weight):
            self.members.assigned(receiver.value, index.value, value.value, site)
        if isinstance(receiver.value, (Weight, Instance, Anything)):
            self.recorder.hand_out((value.value,))
            self.overwritten(receiver.value)
            return receiver.value
        return self._filled(receiver.value, value.value, site)

    def _filled(self, receiver: Value, value: Value, site: Site) -> Value:
        """A tensor of which a part was overwritten: there it is the new value, elsewhere the old one."""
        if isinstance(receiver, Drawn) and not isinstance(value, Signal):
            return Drawn(Initial("unknown"), receiver.shape)
        if not isinstance(receiver, (Signal, Drawn)):
            return self.foreign.unknown_call("an assignment to items", [receiver, value], site)
        old = self.recorder.signal(receiver, site)
        if isinstance(value, (Signal, Drawn, Weight)):
            return self.recorder.emit("join", (old, self.recorder.signal(value, site)), site)
        return self.recorder.emit("masked", (old,), site)

    def replacing(self, receiver: Instance, name: str, value: Value) -> None:
        """A layer whose weight was drawn gives way to a new one of its kind."""
        old = receiver.attributes.get(name) if self.is_constructing else None
        if isinstance(old, Layer) and isinstance(value, Layer) and old.type == value.type:
            weight = old.attributes.get("weight")
            if old is not value and isinstance(weight, Weight):
                self.displaced.append(Replaced(receiver, name, value, weight.data.initial))

    def dropped(self, value: Value, node: ir.Expression, site: Site) -> None:
        """A changed copy of a weight that nothing keeps leaves the weight as it is."""
        called = node.function if isinstance(node, ir.Call) else None
        if self.is_constructing and isinstance(called, ir.Attribute):
            weight = value.attributes.get("of") if isinstance(value, Weight) else None
            if isinstance(weight, Weight):
                self.copied.append(Copied(called.name, weight, Place(site.path, node.span)))

    def stored(self, receiver: Value, name: str, value: Operand, site: Site) -> Value | None:
        """`layer.weight = …`, `layer.weight.data = …`."""
        if isinstance(receiver, Pretrained):
            self.evaluator.heap.write(receiver.attributes, name, value.value)
        elif isinstance(receiver, Layer) and name in receiver.parts:
            self.evaluator.heap.write(receiver.parts, name, value.value)
        elif isinstance(receiver, OneOf) and name == "data":
            place = Place(site.path, site.node.span)
            self.members.initialise(receiver, Initial("unknown", {}, 1.0, place))
        elif isinstance(receiver, Weight) and name == "data" and isinstance(value.value, (Drawn, Weight)):
            data = value.value.data if isinstance(value.value, Weight) else value.value
            self.evaluator.heap.write(receiver.attributes, "data", data)
        elif isinstance(receiver, Weight) and name == "data":
            place = Place(site.path, site.node.span)
            self.members.initialise(receiver, Initial("unknown", {}, 1.0, place))
        elif (isinstance(receiver, Layer) and isinstance(value.value, Weight)) or (
            isinstance(receiver, Weight) and name == "requires_grad"
        ):
            self.evaluator.heap.write(receiver.attributes, name, value.value)
        elif not isinstance(receiver, Instance):
            self.recorder.hand_out((value.value,))
        return None

    def overwritten(self, value: Value) -> None:
        """A weight that the forward pass writes to is looked after there."""
        if isinstance(value, Weight) and self.recorder.paths:
            self.recorder.hand_out((value,))

    def skipped(self, values: Sequence[Value]) -> None:
        """What code uses that constants decided against may be used with other ones."""
        self.recorder.hand_out([value for value in values if not isinstance(value, Instance)])
        self.recorder.hand_out(
            [v for v in values if isinstance(v, Instance) and self.recorder.paths.get(id(v))]
        )

    def carried(self, values: Sequence[Value], before: Sequence[Value]) -> None:
        """What one iteration leaves to the next is not followed around the loop."""
        for value, start in zip(values, before, strict=True):
            self.recorder.hand_out(list(signals(value)))
            if value is not start:
                self.recorder.returns(start if isinstance(start, Signal) else None, signals(value))

    def enter(self, context: Value) -> None:
        """Under no_grad nothing carries a gradient."""
        if isinstance(context, Reference) and context.name in NO_GRAD | GRAD:
            self.recorder.tracking.append(context.name in GRAD)

    def leave(self, context: Value) -> None:
        """The block ends."""
        if isinstance(context, Reference) and context.name in NO_GRAD | GRAD:
            self.recorder.tracking.pop()

    def follows(self, target: Closure | ClassObject, depth: int) -> bool:
        """Everything is followed, so deep."""
        self.note(target)
        if self.is_training and isinstance(target, Closure):
            self.followed.add(id(target.function))
        return depth < 60

    def telling(self, items: Sequence[Value]) -> Sequence[Value]:
        """What a loss is computed of is decided by the last of many modules; how they begin, by the first."""
        if not self.is_training or len(items) <= 2 * _ENDS or not all(map(_holds_module, items)):
            return items
        return [*items[:_ENDS], *items[-_ENDS:]]

    def progress(self) -> int:
        """The losses that a training pass has met: one iteration over the data is like the next."""
        return self.recorder.losses if self._ends_at_loss else 0

    def of_class(self, cls: ClassObject, name: str, site: Site) -> Value:
        """`apply` of a function with a backward pass of its own."""
        found = apply_of(cls, site) if name == "apply" else None
        return Anything(f"an attribute {name}") if found is None else found

    def stands_for(self, module: str, name: str) -> Value | None:
        """Parts of torch_geometric are known by what they compute."""
        return stands_for(module, name)

    def is_configuration(self, cls: ClassObject) -> bool:
        """Configurations hold numbers; models and tensors are not made of nothing, nor, where code
        trains, what other libraries bring along: data, loggers.
        """
        if self.is_training and any(isinstance(base, Reference) for base in cls.lineage()):
            return False
        return not is_module_class(cls)

    def not_understood(self, reason: str) -> None:
        """Counted with the graph."""
        self.recorder.reasons[reason] += 1
        if self.is_constructing:
            self.unread.append(reason)


def _any_number_of(operands: Sequence[Operand], site: Site) -> Items | None:
    """`items * n` where n is not known: names of layers come once, as layers do in a loop of unknown
    length, of anything else there is any number.
    """
    for items, count in (operands, operands[::-1]):
        is_given = not isinstance(count.value, Known) or count.value.value is None
        if isinstance(items.value, Items) and is_given and not isinstance(count.value, (Items, Signal)):
            inside = items.value.items
            if inside and all(isinstance(each, Known) and isinstance(each.value, str) for each in inside):
                return Items(items.value.kind, list(inside), site.node, items.value.open)
            if len(inside) == 1:
                return Items(items.value.kind, list(inside), site.node, True)
    return None


def _holds_module(value: Value) -> bool:
    """Whether a value is a module, or a tuple with one, as `enumerate` and `zip` give it."""
    return is_module(value) or (isinstance(value, Items) and any(map(is_module, value.items)))
