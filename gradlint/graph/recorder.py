"""The graph while it is being built."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from gradlint.graph.initial import used_by
from gradlint.graph.sizes import NOTHING, Sizes, made_by, of_shape, products
from gradlint.graph.values import Anything, Drawn, Layer, Signal, Turned, Weight, held_by, signals, whole_of
from gradlint.records.graph import ModelGraph, Node, Parameter, Place, Setting
from gradlint.records.losses import LOSSES
from gradlint.semantics.interpretation import Site
from gradlint.semantics.value import Known, Value

_SEEN_PER_STEP = 32
"""Values that are looked through for the work of evaluating one node."""

MOST_NODES = 8_000
"""Nodes of one graph; what comes after is unknown."""


class Recorder:
    """Collects the nodes of one forward pass.

    `paths` are the dotted names of modules and weights in the model, by identity. `also` are further
    nodes that the result of one depends on, `escaped` those whose output went where it is not followed,
    `handed` the places where the layers are made that went there,
    `states` pair what a loop's variables were at the start of an iteration with what they are at its end,
    `untracked` those where no gradient is recorded, `optional` those behind a test that constants
    decided: `settled` counts such tests on the way. `work` is told of what else takes time. `is_recast`
    says that a block chose its own precision.
    """

    def __init__(
        self, settled: Callable[[], int] = lambda: 0, work: Callable[[int], object] = lambda steps: None
    ) -> None:
        self.work = work
        self.nodes: list[Node] = []
        self.is_recast = False
        self._sizes: list[Sizes] = []
        self.reasons: Counter[str] = Counter()
        self.paths: dict[int, str] = {}
        self.tracking = [True]
        self._derived: list[Weight] = []
        self.also: dict[int, list[int]] = {}
        self.escaped: set[int] = set()
        self.handed: set[Place] = set()
        self.states: list[tuple[int, int]] = []
        self.optional: set[int] = set()
        self.untracked: set[int] = set()
        self.settled = settled
        self.losses = 0
        self._data: dict[int, tuple[Anything, Signal]] = {}

    def emit(
        self,
        op: str,
        inputs: Sequence[Signal],
        site: Site,
        settings: Mapping[str, Setting] | None = None,
        layer: Layer | None = None,
        parameters: Mapping[str, Value] | None = None,
    ) -> Signal:
        """A new node; its output."""
        is_plain = self.tracking[-1] or op in ("detach", "input")
        if len(self.nodes) >= MOST_NODES:
            op, settings, parameters = "unknown", {"reason": "too large a model"}, None
        numbers = tuple([self._own(signal).number for signal in inputs])
        before = [self._sizes[number].of(number) for number in numbers]
        given = dict(settings or {})
        if (summed := products(op, given, before)) is not None:
            given["products"] = summed
        node = Node(
            len(self.nodes),
            op,
            numbers,
            given,
            self._frozen(op, parameters or (layer.attributes if layer is not None else {})),
            self.paths.get(id(layer), "") if layer is not None else "",
            place_of(site),
            layer.made if layer is not None else None,
            tuple([place_of(caller) for caller in site.callers]),
        )
        self._add(node, made_by(op, node.settings, before))
        self.losses += op in LOSSES
        made = Signal(node.number, self)
        if self.settled():
            self.optional.add(node.number)
        if is_plain:
            return made
        self.untracked.add(node.number)
        return self.emit("detach", (made,), site, {"by": "no_grad"})

    def derived(self, weight: Weight, data: Drawn) -> Weight:
        """The same parameter with other contents: a multiple of it."""
        made = Weight({**weight.attributes, "data": data, "of": weight}, weight.made, weight.is_trained)
        self._derived.append(made)
        self._name_after(made, weight)
        return made

    def turned(self, weight: Weight, order: tuple[int, ...] | None) -> Weight:
        """The same parameter seen with its dimensions in another order."""
        made = Turned(weight.attributes, weight.made, weight.is_trained, order)
        self._derived.append(made)
        self._name_after(made, whole_of(weight))
        return made

    def _name_after(self, made: Weight, weight: Weight) -> None:
        """The path of a weight is that of what it is made of, once the model has paths."""
        if self.paths:
            self.paths[id(made)] = self.paths.get(id(weight), "")

    def depend(self, number: int, values: Iterable[Value]) -> None:
        """What a node gives depends on more than its inputs; weights are not followed there."""
        for value in values:
            if isinstance(value, Weight):
                self.hand_out((value,))
            missing = {signal.number for signal in signals(value) if signal.recorder is self}
            self.also.setdefault(number, []).extend(missing - {number})

    def hand_out(self, values: Iterable[Value]) -> None:
        """Code that is not understood has these, and may do anything with them."""
        handed = held_by(values)
        self.work(len(handed) // _SEEN_PER_STEP)
        for value in handed:
            if isinstance(value, Layer):
                self.handed.add(value.made)
            elif isinstance(value, Weight):
                value.attributes["handed"] = Known(True)
            elif isinstance(value, Signal) and value.recorder is self:
                self.escaped.add(value.number)

    def returns(self, start: Signal | None, lasts: Iterable[Signal]) -> None:
        """A loop of unknown length makes of what one of its variables was what it is."""
        begun = start.number if start is not None and start.recorder is self else -1
        self.states.extend((begun, last.number) for last in lasts if last.recorder is self)

    def unknown(self, reason: str, values: Sequence[Value], site: Site | None = None) -> Signal:
        """The output of something that is not understood, made of `values`."""
        self.reasons[reason] += 1
        self.hand_out(values)
        inputs = [signal for value in values for signal in signals(value) if signal.recorder is self]
        place = place_of(site) if site is not None else None
        numbers = tuple(dict.fromkeys(signal.number for signal in inputs))
        self._add(Node(len(self.nodes), "unknown", numbers, {"reason": reason}, place=place))
        return Signal(len(self.nodes) - 1, self)

    def _add(self, node: Node, sizes: Sizes = NOTHING) -> None:
        self.nodes.append(node)
        self._sizes.append(sizes)

    def sizes(self, value: Value) -> Sizes:
        """The sizes of a signal, a weight or a fresh tensor, as far as known."""
        if isinstance(value, (Weight, Drawn)):
            return of_shape(value.shape)
        is_own = isinstance(value, Signal) and value.recorder is self
        return self._sizes[value.number].of(value.number) if is_own and isinstance(value, Signal) else NOTHING

    def resize(self, signal: Signal, sizes: Sizes) -> None:
        """Say of what sizes a signal is."""
        if signal.recorder is self:
            self._sizes[signal.number] = sizes

    def _own(self, signal: Signal) -> Signal:
        """A signal of this graph: what another forward pass left behind is a constant here."""
        if signal.recorder is self:
            return signal
        self._add(Node(len(self.nodes), "constant", (), {"value": None}))
        return Signal(len(self.nodes) - 1, self)

    def signal(self, value: Value, site: Site) -> Signal:
        """`value` as the output of a node."""
        if isinstance(value, Signal):
            return self._own(value)
        if isinstance(value, Weight):
            made = self.emit("parameter", (), site, {}, None, {"value": value})
            self.resize(made, of_shape(value.shape))
            return made
        if isinstance(value, Drawn):
            signed: dict[str, Setting] = {"is_signed": True} if _is_signed(value) else {}
            made = self.emit("constant", (), site, {"value": _constant(value), **signed})
            self.resize(made, of_shape(value.shape))
            return made
        if isinstance(value, Known) and isinstance(value.value, (int, float)):
            return self.emit("constant", (), site, {"value": float(value.value)})
        if not isinstance(value, Anything):
            return self.unknown("a value that is not known", (value,), site)
        if id(value) not in self._data:
            self._data[id(value)] = value, self.unknown(value.reason or "a value that is not known", (), site)
        return self._data[id(value)][1]

    def _frozen(self, op: str, parameters: Mapping[str, Value]) -> dict[str, Parameter]:
        found = {}
        for name, weight in parameters.items():
            if isinstance(weight, Weight):
                found[name] = frozen(self.paths.get(id(whole_of(weight)), ""), weight, op)
        return found

    def graph(
        self, name: str, place: Place, outputs: Sequence[Signal], arguments: dict[str, str]
    ) -> ModelGraph:
        """The graph of all that the outputs depend on, numbered anew."""
        wanted: set[int] = set()
        outputs = [self._own(output) for output in outputs]
        pending = [output.number for output in outputs]
        while pending:
            number = pending.pop()
            if number not in wanted:
                wanted.add(number)
                pending.extend(self.nodes[number].inputs)
        numbers = {old: new for new, old in enumerate(sorted(wanted))}
        kept = tuple([_renumbered(self.nodes[old], numbers) for old in sorted(wanted)])
        reasons = Counter(str(node.settings["reason"]) for node in kept if node.op == "unknown")
        ends = tuple(dict.fromkeys(numbers[output.number] for output in outputs))
        states = [(numbers.get(start, -1), numbers[end]) for start, end in self.states if end in wanted]
        return ModelGraph(
            name, place, kept, ends, arguments, dict(reasons), states=tuple(states), is_recast=self.is_recast
        )


def frozen(path: str, weight: Weight, op: str = "") -> Parameter:
    """A weight as it is now, as a record; as `op` takes it, where that uses it."""
    data = weight.data
    initial = used_by(op, data.initial)
    return Parameter(path, data.shape, initial, weight.takes_gradient, weight.made, data.pieces)


def _constant(drawn: Drawn) -> float | None:
    """The number that a fresh tensor holds everywhere."""
    initial = drawn.initial
    if initial.scheme in ("zeros", "ones"):
        return float(initial.scheme == "ones") * initial.factor
    return None


def _is_signed(drawn: Drawn) -> bool:
    """Whether a fresh tensor is drawn from numbers on both sides of 0."""
    settings = drawn.initial.settings
    if drawn.initial.scheme == "normal":
        return settings.get("mean", 0.0) == 0.0
    low, high = settings.get("a", 0.0), settings.get("b", 1.0)
    is_known = isinstance(low, float | int) and isinstance(high, float | int)
    return drawn.initial.scheme == "uniform" and is_known and low < 0 < high  # type: ignore[operator]


def place_of(site: Site) -> Place:
    """Where a site stands."""
    return Place(site.path, site.node.span)


def _renumbered(node: Node, numbers: Mapping[int, int]) -> Node:
    inputs = tuple([numbers[old] for old in node.inputs])
    return Node(
        numbers[node.number],
        node.op,
        inputs,
        node.settings,
        node.parameters,
        node.module,
        node.place,
        node.made,
        node.callers,
    )
