"""What methods of modules, weights and signals do."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from gradlint.graph import spaced
from gradlint.graph.distributions import sampled
from gradlint.graph.functions import ACTIVATIONS, ALIASING, FLOAT_FUNCTIONAL, PIECES, SIZES, UNARY
from gradlint.graph.message_passing import is_message_passing
from gradlint.graph.modules import ITSELF, ClassName
from gradlint.graph.naming import Registered
from gradlint.graph.pretrained import Pretrained
from gradlint.graph.sizes import SizeOf, of_shape, size_at, whole
from gradlint.graph.spaced import Spaced
from gradlint.graph.unbound import RecordClass, Unbound, is_class_name, record
from gradlint.graph.values import (
    Anything,
    Choice,
    Container,
    Drawn,
    Layer,
    Part,
    Signal,
    Weight,
    signals,
)
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.value import Closure, Instance, Items, Known, Value

if TYPE_CHECKING:
    from gradlint.graph.interpret import GraphFacts

_CALLS = ("__call__", "forward")

_OF_MAPPINGS = frozenset({"items", "values", "pop", "get"})
"""Methods by which an input of a forward pass shows itself to be a dictionary of tensors."""


class _Call(Struct, frozen=True):
    """A call of the method `name` of something."""

    receiver: Operand
    name: str
    arguments: Arguments
    site: Site

    @property
    def value(self) -> Value:
        """What the method belongs to."""
        return self.receiver.value


class Methods:
    """Calls a method: the first that knows the receiver says what comes of it."""

    def __init__(self, facts: GraphFacts) -> None:
        self._facts = facts
        self._knowing: tuple[Callable[[_Call], Value | None], ...] = (
            self._of_choice,
            self._of_quantised,
            self._of_module,
            self._of_pretrained,
            self._of_record,
            self._of_registered,
            self._of_spaced,
            self._of_weight,
            self._of_anything,
            self._of_tensor,
        )

    def call(self, receiver: Operand, name: str, arguments: Arguments, site: Site) -> Value:
        """A method of a module, a weight or a signal."""
        call = _Call(receiver, name, arguments, site)
        for knows in self._knowing:
            found = knows(call)
            if found is not None:
                return found
        reason = f"a method {name} of something unknown"
        return self._facts.foreign.unknown_call(reason, [receiver.value, *arguments.values()], site)

    def _of_choice(self, call: _Call) -> Value | None:
        if not isinstance(call.value, Choice):
            return None
        chosen = call.value if call.name in _CALLS else self._of_each(call.value, call.name)
        return None if chosen is None else self._each(chosen, call.arguments, call.site)

    def _each(self, choice: Choice, arguments: Arguments, site: Site) -> Value:
        evaluator = self._facts.evaluator
        options = [o for o in choice.options if not (isinstance(o, Known) and o.value is None)]
        results = [evaluator.call(option, arguments, site) for option in options]
        return results[0] if len(results) == 1 else evaluator.join(results)

    def _of_each(self, choice: Choice, name: str) -> Choice | None:
        """A method that all of several objects of the project have."""
        found: list[Value] = []
        for option in choice.options:
            member = option.type.member(name) if isinstance(option, Instance) else None
            if not isinstance(member, Closure):
                return None
            found.append(self._facts.evaluator.bound(member, option))
        return Choice(tuple(found))

    def _of_quantised(self, call: _Call) -> Value | None:
        """`FloatFunctional().add_relu(a, b)`."""
        value, applier = call.value, self._facts.applier
        if not isinstance(value, Layer) or value.type != "FloatFunctional":
            return None
        if call.name not in FLOAT_FUNCTIONAL:
            return None
        made = applier.function(FLOAT_FUNCTIONAL[call.name], call.arguments, call.site)
        if call.name != "add_relu":
            return made
        return applier.function("relu", Arguments((Operand(made, call.site.node),)), call.site)

    def _of_module(self, call: _Call) -> Value | None:
        value, name, arguments, site = call.value, call.name, call.arguments, call.site
        if not isinstance(value, (Layer, Container, Choice, Instance)):
            return None
        if name in _CALLS:
            return self._facts.applier.module(value, arguments, site)
        if self._facts.members.wraps_itself(value, name):
            return self._facts.evaluator.call(value, arguments, site)
        if isinstance(value, Instance) and is_message_passing(value):
            passed = self._facts.messages.method(value, name, arguments, site)
            if passed is not None:
                return passed
        return self._facts.members.method(value, name, arguments, site)

    def _of_pretrained(self, call: _Call) -> Value | None:
        """A method of a pretrained model: called, it applies its last layer to something unknown."""
        model = call.value
        if not isinstance(model, Pretrained):
            return None
        if call.name in ITSELF:
            return model
        values = call.arguments.values()
        if call.name not in _CALLS:
            return self._facts.foreign.unknown_call(f"a method {call.name}", values, call.site)
        head = model.attributes.get(model.head)
        if head is None or not self._facts.is_training:
            return self._facts.foreign.unknown_call("a pretrained model", values, call.site)
        features = self._facts.recorder.unknown("a pretrained model", values, call.site)
        return self._facts.evaluator.call(head, Arguments((Operand(features, call.site.node),)), call.site)

    def _of_record(self, call: _Call) -> Value | None:
        if call.name != "__call__":
            return None
        if isinstance(call.value, RecordClass):
            return record(call.arguments, call.site, call.value.fields)
        if isinstance(call.value, Unbound) and self._is_record(call.value, call.arguments):
            return record(call.arguments, call.site)
        return None

    def _is_record(self, called: Unbound, arguments: Arguments) -> bool:
        """Whether a forward pass makes an object of signals: models are not made of these."""
        is_made_of_signals = any(next(signals(value), None) is not None for value in arguments.values())
        return not self._facts.is_constructing and is_class_name(called.name) and is_made_of_signals

    def _of_registered(self, call: _Call) -> Value | None:
        value = call.value
        if not isinstance(value, Registered):
            return None
        read = self._facts.members.of_registered(value, call.name, call.arguments, call.site)
        if read is not None:
            return read
        return self._facts.foreign.unknown_call(f"a method {call.name}", [value.of], call.site)

    def _of_spaced(self, call: _Call) -> Value | None:
        if not isinstance(call.value, Spaced):
            return None
        return spaced.method(call.value, call.name, call.arguments)

    def _of_weight(self, call: _Call) -> Value | None:
        """What initialises, changes or detaches a weight, or is another view of it."""
        value, name, site = call.value, call.name, call.site
        if not isinstance(value, (Weight, Drawn)):
            return None
        recorder, is_weight = self._facts.recorder, isinstance(value, Weight)
        if is_weight and name.endswith("_"):
            self._facts.overwritten(value)
        if is_weight and name == "detach" and recorder.paths:
            return recorder.emit("detach", (recorder.signal(value, site),), site)
        written = self._facts.members.written(value, name, call.arguments, site)
        if written is not None:
            return written
        if is_weight and self._facts.is_constructing and name in ALIASING:
            part = self._facts.members.index(value, Anything(), site)
            return Items("tuple", [part], site.node, True) if name in PIECES else part
        return None

    def _of_anything(self, call: _Call) -> Value | None:
        """Something unknown in another shape is as unknown; of names of classes nothing else is."""
        is_reshaped = call.name in UNARY and UNARY[call.name].op == "reshape"
        if isinstance(call.value, Anything) and is_reshaped:
            return call.value
        return Anything() if isinstance(call.value, ClassName) else None

    def _of_tensor(self, call: _Call) -> Value | None:
        value, name, arguments, site = call.value, call.name, call.arguments, call.site
        starts = self._facts.is_training and isinstance(value, Anything) and name in ACTIVATIONS
        if not starts and not isinstance(value, (Signal, Weight, Drawn)):
            return None
        if name in SIZES:
            return self._size(value, name, arguments)
        if name.startswith("new_"):
            rebuilt = self._facts.making.rebuilt(name, arguments, site) if name == "new_tensor" else None
            return rebuilt or self._facts.recorder.emit("constant", (), site, {"value": None})
        if isinstance(value, Signal):
            if name in _OF_MAPPINGS:
                return self._entries(value, name, site)
            sample = sampled(self._facts.recorder, value, name, site)
            if sample is not None:
                return sample
        everything = Arguments((call.receiver, *arguments.positional), arguments.keywords, arguments.open)
        return self._facts.applier.function(name, everything, site)

    def _entries(self, signal: Signal, name: str, site: Site) -> Value:
        """What a dictionary of tensors gives that came into the forward pass."""
        entry = self._facts.recorder.emit("select", (signal,), site)
        if name in ("pop", "get"):
            return entry
        pair = Items("tuple", [Anything(), entry], site.node)
        return Items("list", [pair if name == "items" else entry], site.node, True)

    def _size(self, value: Value, name: str, arguments: Arguments) -> Value:
        sizes = of_shape(value.item_shape) if isinstance(value, Part) else self._facts.recorder.sizes(value)
        if name in ("dim", "ndimension"):
            is_known = isinstance(value, (Weight, Drawn)) and sizes.rank is not None
            return Known(sizes.rank) if is_known else Anything()
        if name in ("numel", "nelement"):
            is_whole = sizes.rank is not None and len(sizes.known) == sizes.rank
            return Known(math.prod(sizes.known.values())) if is_whole else Anything()
        if name != "size":
            return Anything()
        dimension = arguments.get(0, "dim")
        if dimension is None:
            return SizeOf(sizes=sizes)
        return size_at(sizes, whole(dimension.value))
