"""The interpretation of networks written by hand: arrays of NumPy, or tensors, that are multiplied.

What code draws at random stays what it was when it was drawn: a step of gradient descent leaves it as
it is, so that whatever is computed is computed with the weights of the first iteration.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from gradlint.graph import initial
from gradlint.graph.interpret import GraphFacts
from gradlint.graph.values import Anything, Drawn, Signal, Weight, held_by, number, setting
from gradlint.records.graph import DRAWING, TRANSPOSED, Initial, Place, Setting
from gradlint.semantics.interpretation import Arguments, Budget, Count, Operand, Site
from gradlint.semantics.value import Instance, Items, Known, Reference, Value

_RANDOM = ("numpy.random.", "cupy.random.")
_ARRAYS = ("numpy.", "cupy.", "autograd.numpy.")
_BY_SIZES = {"rand": "uniform", "randn": "normal"}
_BY_SIZE = {"random": "uniform", "random_sample": "uniform", "ranf": "uniform", "sample": "uniform"}
_LAWS = {"uniform": ("low", "high"), "normal": ("loc", "scale")}
_NAMES = {"low": "a", "high": "b", "loc": "mean", "scale": "std"}
_PRODUCTS = frozenset({"dot", "matmul", "mm", "inner"})
_REDUCED = {"sum": "sum", "max": "amax", "amax": "amax", "mean": "mean", "nanmax": "amax"}
_SAME = frozenset(
    {"array", "asarray", "asmatrix", "mat", "float32", "float64", "atleast_2d", "copy", "squeeze"}
)
_KEEPING = frozenset(
    {"astype", "reshape", "copy", "flatten", "ravel", "squeeze", "requires_grad_", "to", "double"}
)
_ACTIVATED = {"expit": "sigmoid", "tanh": "tanh", "sigmoid": "sigmoid", "relu": "relu"}


class ArrayFacts(GraphFacts):
    """Runs code on arrays: every product with something drawn at random becomes a layer.

    `updated` are the places of drawings that a step of gradient descent changes, `kept` of those that
    an object holds.
    """

    budget = Budget(unrolled=32, rounds=256, steps=60_000, objects=200, recursion=1)

    def __init__(self) -> None:
        super().__init__()
        self.updated: set[Place] = set()
        self.kept: set[Place] = set()
        self._data: dict[int, tuple[Value, Signal]] = {}
        self._drawings = 0

    def begin(self, is_training: bool = False, ends_at_loss: bool = True) -> None:
        """Forget what one function did before another is run."""
        super().begin(is_training, ends_at_loss)
        self._data = {}

    def forgotten(self, value: Value, count: Count) -> Value:
        """A loop begins: the first iteration has everything as it was."""
        return value

    def is_counted_once(self, iterable: Value | None) -> bool:
        """The first iteration is one of many."""
        return False

    def stored(self, receiver: Value, name: str, value: Operand, site: Site) -> Value | None:
        """What an object draws and keeps are its weights."""
        if isinstance(receiver, Instance):
            self.kept.update(place for place in map(_drawn_at, _inside(value.value)) if place is not None)
        return super().stored(receiver, name, value, site)

    # functions

    def call(self, reference: Reference, arguments: Arguments, site: Site) -> Value:
        """A function of NumPy, or of anything else."""
        name = reference.name
        last = name.rpartition(".")[2]
        if name == "numpy.random.default_rng" or name == "numpy.random.RandomState":
            return Reference("numpy.random")
        if name.startswith(_RANDOM):
            return self._random(last, arguments, site)
        if name.startswith(_ARRAYS):
            return self._array_function(last, arguments, site)
        if last == "expit":
            return self._applied("sigmoid", arguments, site)
        if name.startswith("torch.") and last in _PRODUCTS:
            return self._product(arguments.values(), site)
        return super().call(reference, arguments, site)

    def _random(self, name: str, arguments: Arguments, site: Site) -> Value:
        place = Place(site.path, site.node.span)
        self._drawings += 1
        settings: dict[str, Setting] = {DRAWING: self._drawings}
        if name in _BY_SIZES:
            shape = initial.shape_of(_positional(arguments))
            return Drawn(Initial(_BY_SIZES[name], settings, 1.0, place), shape)
        if name in _BY_SIZE or name == "standard_normal":
            size = arguments.get(0, "size")
            return Drawn(Initial(_BY_SIZE.get(name, "normal"), settings, 1.0, place), _shape(size))
        if name in _LAWS:
            for position, key in enumerate(_LAWS[name]):
                given = arguments.get(position, key)
                if given is not None:
                    settings[_NAMES[key]] = setting(given.value)
            return Drawn(Initial(name, settings, 1.0, place), _shape(arguments.get(2, "size")))
        return Anything()

    def _array_function(self, name: str, arguments: Arguments, site: Site) -> Value:
        values = arguments.values()
        first = values[0] if values else None
        if name in _PRODUCTS:
            return self._product(values, site)
        if name == "outer" and any(isinstance(value, Signal) for value in values):
            return self.recorder.emit("matmul", [self._input(value, site) for value in values[:2]], site)
        if name in ("zeros", "ones", "empty", "full", "eye"):
            fresh = initial.fresh(name, arguments, Place(site.path, site.node.span))
            return fresh if fresh is not None else Anything()
        if name in _SAME and first is not None:
            return first if isinstance(first, (Signal, Drawn)) else Anything()
        if isinstance(first, Known) or not any(isinstance(value, Signal) for value in values):
            known = isinstance(first, Known) and name != "maximum"
            if known or not any(isinstance(value, Signal) for value in values):
                return self.python.call(f"numpy.{name}", arguments, site) if known else Anything()
        return self._of_signals(name, arguments, site)

    def _of_signals(self, name: str, arguments: Arguments, site: Site) -> Value:
        values = arguments.values()
        if name in ("maximum", "fmax") and len(values) > 1:
            return self._largest(values[:2], site)
        if name == "where" and len(values) == 3:
            chosen = [value for value in values[1:] if isinstance(value, Signal)]
            is_relu = len(chosen) == 1 and any(number(value) == 0 for value in values[1:])
            return self.recorder.emit("relu" if is_relu else "join", chosen, site)
        if name in _REDUCED and isinstance(values[0], Signal):
            return self.recorder.emit(_REDUCED[name], (values[0],), site)
        if name in ("negative", "add", "subtract", "multiply", "divide", "true_divide"):
            operators = {"negative": "neg", "subtract": "sub", "multiply": "mul"}
            operator = operators.get(name, "add" if name == "add" else "truediv")
            operands = arguments.positional[: 1 if name == "negative" else 2]
            return self.operator(operator, operands, site)
        return self.applier.function(name, arguments, site)

    def _largest(self, values: Sequence[Value], site: Site) -> Value:
        found = [value for value in values if isinstance(value, Signal)]
        if len(found) == 1 and any(number(value) == 0 for value in values):
            return self.recorder.emit("relu", found, site)
        return self.recorder.emit("masked" if len(found) == 1 else "join", found, site)

    def _applied(self, op: str, arguments: Arguments, site: Site) -> Value:
        first = arguments.positional[0].value if arguments.positional else None
        return self.recorder.emit(op, (first,), site) if isinstance(first, Signal) else Anything()

    # methods and operators

    def method(self, receiver: Operand, name: str, arguments: Arguments, site: Site) -> Value:
        """A method of an array."""
        value = receiver.value
        if isinstance(value, Reference) and value.name == "numpy.random":
            return self._random(name, arguments, site)
        if not isinstance(value, (Signal, Drawn, Anything)):
            return super().method(receiver, name, arguments, site)
        everything = [value, *arguments.values()]
        if name in _PRODUCTS:
            return self._product(everything, site)
        if name in _KEEPING and isinstance(value, Drawn):
            return value
        if name in ("transpose", "t") and isinstance(value, Drawn):
            return _transposed(value)
        if name in _REDUCED and isinstance(value, Signal):
            return self.recorder.emit(_REDUCED[name], (value,), site)
        if isinstance(value, Drawn) and not name.endswith("_"):
            return Anything()
        return super().method(receiver, name, arguments, site)

    def attribute(self, receiver: Operand, name: str, site: Site) -> Value:
        """An attribute of an array."""
        value = receiver.value
        if isinstance(value, Drawn) and name == "T":
            return _transposed(value)
        return super().attribute(receiver, name, site)

    def index(self, receiver: Operand, index: Value, site: Site) -> Value:
        """A part of an array, or of a list."""
        value = receiver.value
        key = index.value if isinstance(index, Known) else None
        if isinstance(value, Items) and not value.open and isinstance(key, tuple) and key[:1] == ("slice",):
            return Items(value.kind, value.items[slice(*key[1:])], value.node)
        return super().index(receiver, index, site)

    def operator(self, name: str, operands: tuple[Operand, ...], site: Site) -> Value:
        """An operator on arrays."""
        values = [operand.value for operand in operands]
        plain = name[1:] if name in ("iadd", "isub", "imul", "itruediv", "imatmul") else name
        if plain == "matmul":
            return self._product(values, site)
        if len(values) == 2 and plain in ("add", "sub", "mul", "truediv"):
            found = self._on_drawn(plain, values) or self._written(plain, values, site)
            if found is not None:
                return found
            operands = tuple([Operand(self._as_signal(o.value, values, site), o.node) for o in operands])
        if any(isinstance(value, (Signal, Drawn)) for value in values) or all(map(_is_known, values)):
            return super().operator(plain, operands, site)
        return Anything()

    def _on_drawn(self, name: str, values: Sequence[Value]) -> Value | None:
        """Something drawn, moved or scaled by a number; or changed by a step of gradient descent."""
        first, second = values
        if isinstance(first, Drawn) and isinstance(second, Signal) and name in ("add", "sub"):
            place = _drawn_at(first)
            if place is not None and len(first.shape or ()) > 1:
                self.updated.add(place)
                return first
        if isinstance(first, Drawn) and number(second) is not None:
            return _moved(first, name, number(second) or 0.0)
        if isinstance(second, Drawn) and number(first) is not None and name in ("add", "mul"):
            return _moved(second, name, number(first) or 0.0)
        if isinstance(first, Drawn) and name in ("mul", "truediv") and isinstance(second, Anything):
            return Drawn(Initial("unknown", {}, 1.0, first.initial.place), first.shape)
        if isinstance(second, Drawn) and name == "mul" and isinstance(first, Anything):
            return Drawn(Initial("unknown", {}, 1.0, second.initial.place), second.shape)
        return None

    def _written(self, name: str, values: Sequence[Value], site: Site) -> Value | None:
        """Sigmoid, ReLU and softmax as people write them."""
        first, second = values
        if name == "truediv" and isinstance(second, Signal):
            return self._quotient(first, second, site)
        if name == "mul" and isinstance(first, Signal) and isinstance(second, Signal):
            gate = self._node(second)
            if gate[0] in ("compare", "gt", "ge") and gate[1][:1] == (first.number,):
                return self.recorder.emit("relu", (first,), site)
        return None

    def _quotient(self, first: Value, second: Signal, site: Site) -> Value | None:
        """1/(1 + exp(-x)), exp(x)/(1 + exp(x)), exp(x)/Σexp(x)."""
        op, inputs = self._node(second)
        if op == "shift" and self.recorder.nodes[second.number].settings.get("value") == 1:
            inner, behind = self._at(inputs[0])
            if inner == "exp" and number(first) == 1:
                negated, source = self._at(behind[0])
                if negated == "neg":
                    return self.recorder.emit("sigmoid", (self._signal(source[0]),), site)
            if inner == "exp" and isinstance(first, Signal) and self._node(first) == (inner, behind):
                return self.recorder.emit("sigmoid", (self._signal(behind[0]),), site)
        if isinstance(first, Signal) and self._node(first)[0] == "exp":
            return self._softmax(first, op, inputs, site)
        return None

    def _softmax(self, first: Signal, op: str, inputs: tuple[int, ...], site: Site) -> Value | None:
        """exp(x) over a sum of exp(x)."""
        while op in ("reshape", "expand", "select"):
            op, inputs = self._at(inputs[0])
        if op != "sum" or (inputs[0] != first.number and self._at(inputs[0]) != self._node(first)):
            return None
        (source,) = self._node(first)[1]
        settings = {"guarded": self._is_guarded(source)}
        return self.recorder.emit("softmax", (self._signal(source),), site, settings)

    def _is_guarded(self, source: int) -> bool:
        """Whether the largest was taken off, or the values are bounded, before the exponential."""
        op, inputs = self._at(source)
        while op in ("reshape", "expand", "scale", "neg"):
            op, inputs = self._at(inputs[0])
        if op in ("clamp", "tanh", "sigmoid", "log_softmax"):
            return True
        return op == "sub" and len(inputs) > 1 and self._comes_from_largest(inputs[1])

    def _comes_from_largest(self, number_: int) -> bool:
        op, inputs = self._at(number_)
        while op in ("reshape", "expand", "select") and inputs:
            op, inputs = self._at(inputs[0])
        return op in ("amax", "max", "logsumexp", "unknown", "mean")

    def _node(self, signal: Signal) -> tuple[str, tuple[int, ...]]:
        return self._at(signal.number) if signal.recorder is self.recorder else ("", ())

    def _at(self, number_: int) -> tuple[str, tuple[int, ...]]:
        node = self.recorder.nodes[number_]
        return node.op, node.inputs

    def _signal(self, number_: int) -> Signal:
        return Signal(number_, self.recorder)

    # products

    def _product(self, values: Sequence[Value], site: Site) -> Value:
        """A layer, where one of the two was drawn at random and the other is data or a signal."""
        if len(values) < 2:
            return Anything()
        first, second = values[:2]
        if _is_matrix(second) and not self._is_chosen(first, second):
            return self._layer(first, second, False, site)
        if _is_matrix(first):
            return self._layer(second, first, True, site)
        if not any(isinstance(value, Signal) for value in (first, second)):
            return Anything()
        inputs = [self._input(value, site) for value in (first, second)]
        return self.recorder.emit("matmul", inputs, site)

    def _is_chosen(self, first: Value, second: Value) -> bool:
        """Of two matrices that were drawn, whether the first is known for a weight and not the second."""
        weights = [_drawn_at(value) in self.updated | self.kept for value in (first, second)]
        return _is_matrix(first) and weights == [True, False]

    def _layer(self, data: Value, weight: Value, is_left: bool, site: Site) -> Value:
        assert isinstance(weight, Drawn) and weight.shape is not None
        into, out = weight.shape[-1 if is_left else 0], weight.shape[0 if is_left else -1]
        settings: dict[str, Setting] = {"in_features": into, "out_features": out, "bias": False}
        settings["left"] = is_left
        settings[TRANSPOSED] = weight.initial.settings.get(TRANSPOSED) is True
        held = Weight({"data": Drawn(weight.initial, (out, into))}, Place(site.path, site.node.span), False)
        return self.recorder.emit(
            "linear", (self._input(data, site),), site, settings, None, {"weight": held}
        )

    def _input(self, value: Value, site: Site) -> Signal:
        """A signal, or the input of the network where data come in."""
        if isinstance(value, Signal):
            return self.recorder.signal(value, site)
        if id(value) not in self._data:
            self._data[id(value)] = value, self.recorder.emit("input", (), site, {"name": "", "index": 0})
        return self._data[id(value)][1]

    def _as_signal(self, value: Value, values: Sequence[Value], site: Site) -> Value:
        """Something drawn that is added to a signal, as a node of its own."""
        if not isinstance(value, Drawn) or not any(isinstance(other, Signal) for other in values):
            return value
        held = Weight({"data": value}, Place(site.path, site.node.span), False)
        return self.recorder.emit("parameter", (), site, {}, None, {"value": held})


def _positional(arguments: Arguments) -> list[Value]:
    return [operand.value for operand in arguments.positional]


def _shape(size: Operand | None) -> tuple[int | None, ...] | None:
    return None if size is None else initial.shape_of([size.value])


def _is_known(value: Value) -> bool:
    return isinstance(value, Known)


def _is_matrix(value: Value) -> bool:
    return isinstance(value, Drawn) and len(value.shape or ()) > 1


def _drawn_at(value: Value) -> Place | None:
    """Where something was drawn at random."""
    is_random = isinstance(value, Drawn) and value.initial.scheme in ("uniform", "normal", "unknown")
    return value.initial.place if is_random and isinstance(value, Drawn) else None


def _inside(value: Value) -> Sequence[Value]:
    return [value] if isinstance(value, Drawn) else list(held_by((value,)))


def _transposed(drawn: Drawn) -> Drawn:
    """The same numbers the other way round, as gradients go through them."""
    turned = not drawn.initial.settings.get(TRANSPOSED)
    initial_ = replace(drawn.initial, settings={**drawn.initial.settings, TRANSPOSED: turned})
    return Drawn(initial_, None if drawn.shape is None else drawn.shape[::-1])


def _moved(drawn: Drawn, name: str, by: float) -> Drawn:
    """Something drawn after a sum or a product with a number, its law written out."""
    old = drawn.initial
    factor = {"mul": by, "truediv": 1 / by if by else 0.0}.get(name, 1.0)
    shift = {"add": by, "sub": -by}.get(name, 0.0)
    names = {"uniform": (("a", 0.0), ("b", 1.0)), "normal": (("mean", 0.0), ("std", 1.0))}.get(old.scheme)
    values = [old.settings.get(key, default) for key, default in names] if names else []
    if not names or not all(isinstance(value, (int, float)) for value in values):
        scheme = old.scheme if name in ("mul", "truediv") else "unknown"
        return Drawn(Initial(scheme, old.settings, old.factor * factor, old.place), drawn.shape)
    numbers = [float(value) * old.factor * factor for value in values if isinstance(value, (int, float))]
    if old.scheme == "uniform":
        numbers = sorted(value + shift for value in numbers)
    else:
        numbers = [numbers[0] + shift, abs(numbers[1])]
    settings: dict[str, Setting] = {key: value for (key, _), value in zip(names, numbers, strict=True)}
    settings[DRAWING] = old.settings.get(DRAWING)
    return Drawn(Initial(old.scheme, settings, 1.0, old.place), drawn.shape)
