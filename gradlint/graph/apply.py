"""Operations on signals: modules that are called, functions and methods of tensors, operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gradlint.graph.arithmetic import Arithmetic, as_weight, has_gradient, has_signal
from gradlint.graph.blocks import TRANSFORMERS, Blocks
from gradlint.graph.from_torchvision import CHAINS
from gradlint.graph.functions import (
    ACTIVATIONS,
    BINARY,
    CONSTANT,
    NOT_DIFFERENTIABLE,
    OPERATORS,
    PIECES,
    UNARY,
    UNBOUNDED,
    Form,
)
from gradlint.graph.layers import LAYERS
from gradlint.graph.multihead import multihead
from gradlint.graph.rearrange import cut, indexed, rearranged
from gradlint.graph.sizes import MOST, whole
from gradlint.graph.values import (
    BASE,
    Anything,
    Choice,
    Container,
    Drawn,
    Layer,
    Signal,
    Weight,
    children,
    is_module,
    setting,
    signals,
    tuple_of,
    whole_of,
)
from gradlint.records import ir
from gradlint.records.graph import Setting
from gradlint.records.losses import LOSS_LAYERS, LOSSES
from gradlint.semantics.evaluate import EXHAUSTED
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.value import Instance, Items, Known, Reference, Value

if TYPE_CHECKING:
    from gradlint.graph.interpret import GraphFacts

_RECURRENT = frozenset({"rnn", "lstm", "gru"})
_DATA = ("query", "key", "value", "src", "tgt", "memory", "input", "x")
"""Parameters of layers that take signals, in order."""

_WEIGHT_AT = {
    "bilinear": 2,
    "layer_norm": 2,
    "rms_norm": 2,
    "group_norm": 2,
    "batch_norm": 3,
    "instance_norm": 3,
}
"""Where functions take their weight, if not behind the data."""

_PAIRS = frozenset({"bilinear", "cosine_similarity", "pairwise_distance"})
"""Operations on two signals."""

_WEIGHED = frozenset({"linear", "embedding", "embedding_bag", *_WEIGHT_AT})
"""Functions that are given their weight."""

_CUT_BY = {"chunk": "chunks", "split": "split_size", "split_with_sizes": "split_sizes"}
"""What the argument is called that says how a tensor is cut."""

_BIASED = frozenset({"addmm", "baddbmm", "addmv"})
"""bias + x·w."""

_FACTORS = frozenset({"alpha", "beta"})
"""Of the product and of the bias."""

_TOGETHER = {"var_mean": ("var", "mean"), "std_mean": ("std", "mean")}
"""Functions that give several results at once."""

_OVERWRITING = frozenset({"zero", "fill", "normal", "uniform", "exponential", "random", "bernoulli"})
"""Methods in place after which nothing is left of what a tensor held."""

_CELLS = frozenset({"rnn_cell", "lstm_cell", "gru_cell"})


class Applier:
    """Turns operations on signals into nodes."""

    def __init__(self, facts: GraphFacts) -> None:
        self._facts = facts
        self._recorder = facts.recorder
        self._blocks = Blocks(facts.recorder)
        self._arithmetic = Arithmetic(facts)

    # modules

    def module(self, value: Value, arguments: Arguments, site: Site) -> Value:
        """`value(*arguments)`."""
        if not self._facts.evaluator.affords(1):
            return self._recorder.unknown(EXHAUSTED, arguments.values(), site)
        if isinstance(value, Instance):
            inner = value.attributes.get(BASE)
            if isinstance(inner, Container):
                return self._chain([part for _, part in children(value) if is_module(part)], arguments, site)
            return (
                self.module(inner, arguments, site)
                if inner is not None and is_module(inner)
                else self._lost(value, arguments, site)
            )
        if isinstance(value, Container):
            if value.type != "Sequential" or value.held.open:
                return self._lost(value, arguments, site)
            return self._chain([part for _, part in children(value)], arguments, site)
        if isinstance(value, Choice):
            return self._facts.evaluator.call(value, arguments, site)
        assert isinstance(value, Layer)
        return self._layer(value, arguments, site)

    def _lost(self, value: Value, arguments: Arguments, site: Site) -> Value:
        what = (
            "a container of unknown length" if isinstance(value, Container) else "a module without a forward"
        )
        return self._recorder.unknown(what, [value, *arguments.values()], site)

    def _chain(self, members: Sequence[Value], arguments: Arguments, site: Site) -> Value:
        for member in members:
            if _is_missing(member):
                continue
            result = self._facts.evaluator.call(member, arguments, site)
            arguments = Arguments((Operand(result, site.node),))
        return arguments.positional[0].value if arguments.positional else Anything()

    def _layer(self, layer: Layer, arguments: Arguments, site: Site) -> Value:
        if layer.type in LOSS_LAYERS:
            return self._loss(LOSS_LAYERS[layer.type], arguments, site, layer)
        inputs = [
            self._recorder.signal(o.value, site) for o in arguments.positional if not _is_missing(o.value)
        ]
        named = [arguments.keywords[name] for name in _DATA if name in arguments.keywords]
        inputs += [self._recorder.signal(operand.value, site) for operand in named]
        if layer.type == "MultiheadAttention":
            attended = self._blocks.multihead(layer, inputs, site)
            return tuple_of([attended, Anything()], site.node)
        if layer.type in TRANSFORMERS:
            return self._blocks.transformer(layer, inputs, site)
        if not inputs and arguments.positional:
            inputs = [self._given(arguments.positional[0], site)]
        if not inputs:
            return self._recorder.unknown("a layer without inputs", (layer,), site)
        if layer.type in ("TransformerEncoder", "TransformerDecoder"):
            return self._stack(layer, inputs, site)
        if layer.type in CHAINS:
            return self._classified(layer, inputs[0], site)
        if layer.type == "Transformer":
            return self._encoded(layer, inputs, site)
        op = LAYERS[layer.type].op
        if op in _RECURRENT | _CELLS:
            return self._recurrent(op, layer, inputs[0], arguments.get(1, "hx"), site)
        if op == "unknown":
            return self._recorder.unknown(layer.type, [layer, *inputs], site)
        taken = inputs[:2] if op in _PAIRS else inputs[:1]
        made = self._recorder.emit(op, taken, site, layer.settings, layer)
        self._recorder.depend(made.number, inputs[len(taken) :])
        return self._indexed(made, site)

    def _given(self, missing: Operand, site: Site) -> Signal:
        """What a layer is called with may be left out elsewhere, here it is a tensor."""
        name = missing.node.id if isinstance(missing.node, ir.Name) else "input"
        return self._recorder.emit("input", (), site, {"name": name, "index": 0})

    def _indexed(self, made: Signal, site: Site) -> Value:
        """What pooling gives, and where it was taken from if that is asked for."""
        if self._recorder.nodes[made.number].settings.get("return_indices") is not True:
            return made
        return tuple_of([made, self._recorder.emit("argmax", (made,), site)], site.node)

    def _classified(self, layer: Layer, data: Signal, site: Site) -> Value:
        """What the convolutions find, pooled, as one vector, is told apart."""
        call, node = self._facts.evaluator.call, site.node
        found = call(layer.parts["features"], Arguments((Operand(data, node),)), site)
        pooled = call(layer.parts["avgpool"], Arguments((Operand(found, node),)), site)
        flat = self.function("flatten", Arguments((Operand(pooled, node), Operand(Known(1), node))), site)
        return call(layer.parts["classifier"], Arguments((Operand(flat, node),)), site)

    def _encoded(self, layer: Layer, inputs: Sequence[Signal], site: Site) -> Value:
        """An encoder of the first input, and a decoder of the second that looks at what that gives."""
        call, node = self._facts.evaluator.call, site.node
        source, target = inputs[0], inputs[-1]
        memory = call(layer.parts["encoder"], Arguments((Operand(source, node),)), site)
        return call(layer.parts["decoder"], Arguments((Operand(target, node), Operand(memory, node))), site)

    def _stack(self, layer: Layer, inputs: Sequence[Signal], site: Site) -> Value:
        stack = layer.parts["layers"]
        assert isinstance(stack, Container)
        signal: Value = inputs[0]
        if stack.held.open or not isinstance(stack.held, Items):
            return self._recorder.unknown("a stack of unknown depth", [layer, *inputs], site)
        for member in (*stack.held.items, *([layer.parts["norm"]] if "norm" in layer.parts else [])):
            given = [signal, *inputs[1:]] if isinstance(member, (Layer, Instance)) else [signal]
            operands = tuple([Operand(each, site.node) for each in given])
            signal = self._facts.evaluator.call(member, Arguments(operands), site)
        return signal

    def _recurrent(self, op: str, layer: Layer, data: Signal, state: Operand | None, site: Site) -> Value:
        """The step of a cell, or all steps of a layer; the states it begins with follow the data."""
        begins = list(signals(state.value)) if state is not None else []
        states = list({each.number: each for each in begins if each.recorder is self._recorder}.values())
        settings = dict(layer.settings)
        steps = self._recorder.sizes(data).at(1 if settings.get("batch_first") else 0)
        if op in _RECURRENT and steps is not None:
            settings["steps"] = steps
        made = self._recorder.emit(op, (data, *states), site, settings, layer)
        if op == "lstm_cell":
            return tuple_of([made, made], site.node)
        if op in _CELLS:
            return made
        last = self._recorder.emit("select", (made,), site, {"state": True})
        ends: Value = tuple_of([last, last], site.node) if op == "lstm" else last
        return tuple_of([made, ends], site.node)

    # functions

    def function(self, name: str, arguments: Arguments, site: Site) -> Value:
        """A function of torch, or a method with its receiver as the first argument."""
        start = len(self._recorder.nodes)
        result = self._function(name, arguments, site)
        self._depend(start, arguments.values())
        first = arguments.positional[0].value if arguments.positional else None
        if isinstance(result, Signal) and first is not None:
            sizes = rearranged(name, self._recorder.sizes(first), arguments)
            if sizes is not None:
                self._recorder.resize(result, sizes)
        return result

    def _depend(self, first: int, values: Sequence[Value]) -> None:
        """What the nodes from `first` on do not name among the values goes in as well."""
        new = self._recorder.nodes[first:]
        if not new:
            return
        named = {number for node in new for number in node.inputs}
        weights = {parameter.path for node in new for parameter in node.parameters.values()}
        rest: list[Value] = [s for value in values for s in signals(value) if s.number not in named]
        rest += [v for v in values if isinstance(v, Weight) and self._path(v) not in weights]
        self._recorder.depend(new[-1].number, rest)

    def _path(self, weight: Weight) -> str:
        return self._recorder.paths.get(id(whole_of(weight)), "")

    def _function(self, name: str, arguments: Arguments, site: Site) -> Value:
        plain = name[:-1] if name.endswith("_") and not name.endswith("__") else name
        arguments = _in_order(arguments) if plain in BINARY else arguments
        values = arguments.values()
        if plain in CONSTANT:
            return self._recorder.emit("constant", (), site, {"value": None})
        if plain in LOSSES:
            return self._loss(plain, arguments, site)
        carries = any(has_gradient(value) or self._are_weights(value) for value in values)
        if plain in ACTIVATIONS and self._is_left_out(values):
            first, *rest = arguments.positional
            signal = Operand(self._given(first, site), first.node)
            return self._function(name, replace(arguments, positional=(signal, *rest)), site)
        if not carries and not self._starts_here(plain, values):
            self._recorder.hand_out(values)
            return Anything(f"{name} of nothing that is known")
        if plain == "sum_of" or plain in ("cat", "concat", "concatenate", "stack", "hstack", "vstack"):
            return self._joined(plain, arguments, site)
        if plain in _WEIGHED:
            return self._with_weights(plain, arguments, site)
        if plain.startswith("conv") and plain[-1:] == "d":
            return self._with_weights(plain, arguments, site)
        if plain in _PAIRS and len(arguments.positional) > 1:
            return self._recorder.emit(plain, [self._recorder.signal(v, site) for v in values[:2]], site)
        if plain == "multi_head_attention_forward":
            return self._multihead(arguments, site)
        if plain == "scaled_dot_product_attention" or plain == "flex_attention":
            return self._attention(arguments, site)
        if plain in NOT_DIFFERENTIABLE:
            given = [self._first(arguments, site)] if self._starts_here(plain, values) else values
            return self._not_differentiable(plain, name, given, site)
        if plain in ("to", "type", "type_as") and any(map(_is_whole_type, values)):
            return self._not_differentiable("cast_int", name, values, site)
        if plain in _TOGETHER:
            parts = [self._unary(UNARY[part], arguments, site) for part in _TOGETHER[plain]]
            return tuple_of(parts, site.node)
        if plain == "pad_packed_sequence":
            return tuple_of([self._unary(UNARY["reshape"], arguments, site), Anything()], site.node)
        if plain in _OVERWRITING and name.endswith("_"):
            return self._recorder.emit("constant", (), site, {"value": None})
        if plain == "new":
            return self._recorder.emit("constant", (), site, {"value": None})
        if plain == "pack" or (plain == "pad_sequence" and not _has_signal_itself(values)):
            packed = self._packed(arguments, site)
            return packed if plain == "pack" or not isinstance(packed, Items) else packed.items[0]
        if plain == "unpack":
            return self._unpacked(arguments, site)
        if plain == "lerp" and len(arguments.positional) == 3:
            return self._arithmetic.lerp(arguments, site)
        if plain in PIECES:
            return self._pieces(plain, arguments, site)
        if plain in ("max", "min", "median", "topk", "sort", "kthvalue", "mode"):
            return self._extreme(plain, arguments, site)
        if plain == "where" and len(arguments.positional) == 3:
            return self._either(arguments.positional[1:], site)
        if plain in ("masked_fill", "masked_scatter", "index_fill", "scatter", "scatter_add", "index_add"):
            filled = arguments.get(2, "value") if plain == "masked_fill" else None
            value = {} if filled is None else {"value": setting(filled.value)}
            return self._recorder.emit("masked", [self._first(arguments, site)], site, value)
        if plain in BINARY and len(arguments.positional) > 1:
            return self._binary(plain, arguments, site)
        if plain in _BIASED and len(arguments.positional) == 3 and arguments.keywords.keys() <= _FACTORS:
            return self._arithmetic.biased(arguments, site)
        form = UNARY.get(plain) or UNARY.get(name)
        if form is not None:
            return self._unary(form, arguments, site)
        if plain in UNBOUNDED:
            return self._unbounded(plain, values, site)
        return self._recorder.unknown(f"the function {name}", values, site)

    def _unbounded(self, op: str, values: Sequence[Value], site: Site) -> Value:
        """The results of a function of which only the inputs are known."""
        inputs = [self._recorder.signal(value, site) for value in values if isinstance(value, Weight)]
        inputs += [signal for value in values for signal in signals(value)]
        made: list[Value] = [self._recorder.emit(op, inputs, site) for _ in range(UNBOUNDED[op])]
        return made[0] if len(made) == 1 else tuple_of(made, site.node)

    def _is_left_out(self, values: Sequence[Value]) -> bool:
        """Whether a forward pass activates what its caller may leave out, and here does not."""
        return bool(values) and _is_missing(values[0]) and not self._facts.is_constructing

    def _starts_here(self, name: str, values: Sequence[Value]) -> bool:
        """Whether a training pass meets its first tensor here: what is activated is no number."""
        return name in ACTIVATIONS and bool(values) and self._arithmetic.is_data(values[0])

    def _are_weights(self, value: Value) -> bool:
        """Whether a value is a collection of weights that the forward pass puts together."""
        is_forward = not self._facts.is_constructing
        return is_forward and isinstance(value, Items) and any(isinstance(v, Weight) for v in value.items)

    def _loss(self, op: str, arguments: Arguments, site: Site, layer: Layer | None = None) -> Value:
        loss = LOSSES[op]
        given = [arguments.get(position, name) for position, name in enumerate(loss.data)]
        if given[0] is None or arguments.open:
            return self._recorder.unknown("a loss of unknown inputs", arguments.values(), site)
        inputs = [self._recorder.signal(operand.value, site) for operand in given if operand is not None]
        if layer is not None:
            return self._recorder.emit(op, inputs, site, layer.settings, layer)
        settings: dict[str, Setting] = {}
        for position, (name, default) in enumerate(loss.settings, len(loss.data)):
            operand = arguments.get(position, name)
            settings[name] = default if operand is None else setting(operand.value)
        return self._recorder.emit(op, inputs, site, settings)

    def _not_differentiable(self, op: str, by: str, values: Sequence[Value], site: Site) -> Value:
        inputs = [signal for value in values for signal in signals(value)]
        inputs += [self._recorder.signal(value, site) for value in values if isinstance(value, Weight)]
        return self._recorder.emit(op, inputs, site, {"by": by}) if inputs else Anything()

    def _first(self, arguments: Arguments, site: Site) -> Signal:
        first, *_ = arguments.values()
        return self._recorder.signal(first, site)

    def _unary(self, form: Form, arguments: Arguments, site: Site) -> Value:
        settings: dict[str, Setting] = {}
        for position, (name, default) in enumerate(form.signature, 1):
            given = arguments.get(position, name)
            settings[name] = default if given is None else setting(given.value)
        if form.op.startswith(("dropout", "drop_path")) and settings.get("training") is False:
            return self._recorder.emit("identity", [self._first(arguments, site)], site)
        settings.pop("training", None)
        parameters = {}
        if form.op == "prelu" and len(arguments.positional) > 1:
            parameters = {"weight": arguments.positional[1].value}
        made = self._recorder.emit(form.op, [self._first(arguments, site)], site, settings, None, parameters)
        return self._indexed(made, site)

    def _joined(self, name: str, arguments: Arguments, site: Site) -> Value:
        first = arguments.get(0, "tensors")
        items = first.value if first is not None else None
        is_whole = isinstance(items, Items) and not items.open
        found = (
            [item for item in items.items if is_whole or has_gradient(item)]
            if isinstance(items, Items)
            else []
        )
        if isinstance(items, Signal):
            found = [items]
        if not found or (name == "sum_of" and not is_whole):
            return self._recorder.unknown("tensors of unknown number", arguments.values(), site)
        parts = [self._recorder.signal(item, site) for item in found]
        if not is_whole:
            return self._some(parts, site)
        if name == "sum_of":
            total = parts[0]
            for part in parts[1:]:
                total = self._recorder.emit("add", (total, part), site)
            return total
        axis = arguments.get(1, "dim") or arguments.get(1, "axis")
        dim = setting(axis.value) if axis is not None else 0
        if name == "stack":
            return self._recorder.emit("stack", parts, site, {"dim": dim})
        at = dim if isinstance(dim, int) else None
        sizes = tuple([self._recorder.sizes(part).at(at) for part in parts])
        settings: dict[str, Setting] = {"dim": dim, "sizes": sizes} if any(sizes) else {"dim": dim}
        return self._recorder.emit("cat", parts, site, settings)

    def _some(self, parts: Sequence[Signal], site: Site) -> Signal:
        """Any number of tensors like these, one behind the other: each element is of one of them."""
        one = self._recorder.emit("join", parts, site) if len(parts) > 1 else parts[0]
        return self._recorder.emit("reshape", (one,), site)

    def _packed(self, arguments: Arguments, site: Site) -> Value:
        """`einops.pack`: tensors one behind the other, and what `unpack` needs to take them apart."""
        first = arguments.get(0, "tensors")
        number_of = len(first.value.items) if first is not None and isinstance(first.value, Items) else 1
        shapes = Items("list", [Anything() for _ in range(number_of)], site.node, not _is_listed(first))
        if first is None or not isinstance(first.value, Items) or (number_of == 1 and not first.value.open):
            one = first.value.items[0] if first is not None and isinstance(first.value, Items) else None
            packed = self._recorder.signal(one, site) if one is not None else self._first(arguments, site)
            return tuple_of([self._recorder.emit("reshape", (packed,), site), shapes], site.node)
        return tuple_of([self._joined("pack", Arguments((first,)), site), shapes], site.node)

    def _unpacked(self, arguments: Arguments, site: Site) -> Value:
        """`einops.unpack`: the parts of a tensor."""
        signal, shapes = self._first(arguments, site), arguments.get(1, "packed_shapes")
        listed = shapes.value if shapes is not None and isinstance(shapes.value, Items) else None
        count = len(listed.items) if listed is not None else 1
        op = "reshape" if count == 1 and listed is not None and not listed.open else "select"
        parts: list[Value] = [self._recorder.emit(op, (signal,), site) for _ in range(count)]
        return Items("list", parts, site.node, listed is None or listed.open)

    def _with_computed(
        self, name: str, weight: Operand, bias: Operand | None, arguments: Arguments, site: Site
    ) -> Value:
        """A layer of which the weight is computed by the model itself."""
        inputs = (self._first(arguments, site), self._recorder.signal(weight.value, site))
        op = "matmul" if name == "linear" else f"computed_{name}"
        made: Value = self._recorder.emit(op, inputs, site)
        if bias is None or _is_missing(bias.value):
            return made
        return self._arithmetic.binary("add", (Operand(made, site.node), bias), site)

    def _with_weights(self, name: str, arguments: Arguments, site: Site) -> Value:
        weight_at = _WEIGHT_AT.get(name, 1)
        weight = arguments.get(weight_at, "weight")
        bias = arguments.get(weight_at + 1, "bias")
        parameters: dict[str, Value] = {}
        if weight is not None and isinstance(weight.value, (Weight, Drawn)):
            parameters["weight"] = as_weight(weight.value, site)
        elif weight is not None and has_signal(weight.value) and name.startswith(("linear", "conv")):
            return self._with_computed(name, weight, bias, arguments, site)
        elif name in ("linear", "bilinear", "embedding", "embedding_bag") or name.startswith("conv"):
            return self._recorder.unknown("a weight that is computed", arguments.values(), site)
        if bias is not None and isinstance(bias.value, (Weight, Drawn)):
            parameters["bias"] = as_weight(bias.value, site)
        settings: dict[str, Setting] = {"bias": "bias" in parameters}
        held = weight.value if weight is not None and name in ("linear", "bilinear") else None
        shape = held.shape if isinstance(held, Weight) else None
        if shape is not None and len(shape) == 2:
            settings |= {"out_features": shape[0], "in_features": shape[1]}
        if shape is not None and len(shape) == 3:
            settings |= {"out_features": shape[0], "in1_features": shape[1], "in2_features": shape[2]}
        if name.startswith("conv"):
            for position, (key, default) in enumerate((("stride", 1), ("padding", 0)), 3):
                given = arguments.get(position, key)
                settings[key] = default if given is None else setting(given.value)
            given = arguments.get(7 if "transpose" in name else 6, "groups")
            settings["groups"] = 1 if given is None else setting(given.value)
        if name == "group_norm":
            given = arguments.get(1, "num_groups")
            settings["num_groups"] = setting(given.value) if given is not None else None
        op = "embedding" if name == "embedding_bag" else name
        inputs = [self._recorder.signal(each, site) for each in arguments.values()[: 1 + (op in _PAIRS)]]
        return self._recorder.emit(op, inputs, site, settings, None, parameters)

    def _attention(self, arguments: Arguments, site: Site) -> Value:
        given = [arguments.get(position, name) for position, name in enumerate(("query", "key", "value"))]
        inputs = [self._recorder.signal(o.value, site) for o in given if o is not None]
        if len(inputs) < 3:
            return self._recorder.unknown("attention", arguments.values(), site)
        causal, scale = arguments.get(5, "is_causal"), arguments.get(6, "scale")
        settings = {
            "is_causal": setting(causal.value) if causal is not None else False,
            "scale": setting(scale.value) if scale is not None else None,
        }
        return self._recorder.emit("attention", inputs, site, settings)

    def _multihead(self, arguments: Arguments, site: Site) -> Value:
        made = multihead(self._recorder, arguments, site)
        if made is None:
            return self._recorder.unknown("attention", arguments.values(), site)
        return tuple_of([made, Anything()], site.node)

    def _pieces(self, name: str, arguments: Arguments, site: Site) -> Value:
        signal = self._first(arguments, site)
        if name == "unbind":
            return self._unbound(signal, arguments, site)
        given, axis = arguments.get(1, _CUT_BY.get(name, "indices_or_sections")), arguments.get(2, "dim")
        dimension = whole(axis.value) if axis is not None else 0
        before = self._recorder.sizes(signal)
        lengths = None if given is None else cut(name, given.value, before.at(dimension))
        equal = len(lengths) if lengths and len(set(lengths)) == 1 else None
        parts: list[Value] = []
        for part, length in enumerate(lengths or (None,)):
            made = self._recorder.emit("select", (signal,), site, {"part": part, "parts": equal})
            self._recorder.resize(made, before.cut(dimension, length))
            parts.append(made)
        return Items("tuple", parts, site.node, lengths is None)

    def _unbound(self, signal: Signal, arguments: Arguments, site: Site) -> Value:
        given = arguments.get(1, "dim")
        dimension = whole(given.value) if given is not None else 0
        parts = self.parts(signal, dimension, site)
        if parts is not None:
            return parts
        return Items("tuple", [self._recorder.emit("select", (signal,), site)], site.node, True)

    def parts(self, signal: Signal, dimension: int | None, site: Site) -> Items | None:
        """The parts of a signal along a dimension of known size, or None."""
        before = self._recorder.sizes(signal)
        size, at = before.at(dimension), before.position(dimension)
        if size is None or at is None or size > MOST:
            return None
        keys = Items("tuple", [*[Known(("slice", None, None, None))] * at, Known(0)], site.node)
        sizes, _ = indexed(before, keys)
        found: list[Value] = []
        for part in range(size):
            place = (*(None,) * at, part)
            made = self._recorder.emit("select", (signal,), site, {"at": place, "part": part, "parts": size})
            self._recorder.resize(made, sizes)
            found.append(made)
        return Items("tuple", found, site.node)

    def _extreme(self, name: str, arguments: Arguments, site: Site) -> Value:
        if len(arguments.positional) > 1 and has_gradient(arguments.positional[1].value):
            return self._either(arguments.positional[:2], site)
        made = self._recorder.emit(name, [self._first(arguments, site)], site)
        if len(arguments.positional) == 1 and not arguments.keywords and name in ("max", "min", "median"):
            return made
        index = self._recorder.emit("argmax", [self._first(arguments, site)], site, {"by": name})
        return tuple_of([made, index], site.node)

    def _either(self, operands: Sequence[Operand], site: Site) -> Value:
        found = [self._recorder.signal(o.value, site) for o in operands if has_gradient(o.value)]
        if len(found) == 1:
            return self._recorder.emit("masked", found, site)
        return self._recorder.emit("join", found, site)

    # operators

    def operator(self, name: str, operands: tuple[Operand, ...], site: Site) -> Value:
        """`a + b` and the like."""
        first = len(self._recorder.nodes)
        result = self._operator(name, operands, site)
        self._depend(first, [operand.value for operand in operands])
        return result

    def _operator(self, name: str, operands: tuple[Operand, ...], site: Site) -> Value:
        values = [operand.value for operand in operands]
        if not any(has_gradient(value) for value in values):
            return Anything()
        if name in OPERATORS and len(operands) == 2:
            return self._arithmetic.binary(OPERATORS[name], operands, site)
        if name == "neg":
            return self._arithmetic.one("neg", values[0], site)
        if name in ("pos", "invert"):
            return values[0]
        if name == "mod":
            return self._unbounded("remainder", values, site)
        if name == "floordiv":
            return self._not_differentiable("floor", name, values, site)
        return self._not_differentiable("compare", name, values, site)

    def _binary(self, name: str, arguments: Arguments, site: Site) -> Value:
        if name == "einsum":
            return self._arithmetic.einsum(arguments, site)
        op = BINARY[name]
        if op in ("maximum", "minimum"):
            return self._either(arguments.positional[:2], site)
        return self._arithmetic.binary(op, arguments.positional[:2], site)


def _in_order(arguments: Arguments) -> Arguments:
    """`torch.matmul(input=a, other=b)` as `torch.matmul(a, b)`."""
    named = dict(arguments.keywords)
    given = list(arguments.positional)
    for position, names in enumerate((("input",), ("other", "mat2", "vec2", "exponent"))):
        name = next((each for each in names if each in named), None)
        if name is not None and len(given) == position and not arguments.open:
            given.append(named.pop(name))
    return Arguments(tuple(given), named, arguments.open, arguments.certain)


_WHOLE = frozenset({"long", "int", "int64", "int32", "int16", "int8", "uint8", "bool", "short"})


def _is_whole_type(value: Value) -> bool:
    name = value.name.rpartition(".")[2] if isinstance(value, Reference) else ""
    return name in _WHOLE or name in ("LongTensor", "IntTensor", "BoolTensor", "ByteTensor")


def _is_listed(operand: Operand | None) -> bool:
    return operand is not None and isinstance(operand.value, Items) and not operand.value.open


def _has_signal_itself(values: Sequence[Value]) -> bool:
    return bool(values) and isinstance(values[0], Signal)


def _is_missing(value: Value) -> bool:
    return isinstance(value, Known) and value.value is None
