"""Layers of torch.nn that are made of others: attention and the layers of a transformer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gradlint.graph.construct import bound, layer
from gradlint.graph.layers import REQUIRED, Settings
from gradlint.graph.recorder import Recorder
from gradlint.graph.values import Anything, Drawn, Layer, Signal, Weight
from gradlint.records import ir
from gradlint.records.graph import Initial, Place, Setting
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.value import Known, Value

_LAYER: tuple[tuple[str, Setting], ...] = (
    ("d_model", REQUIRED),
    ("nhead", REQUIRED),
    ("dim_feedforward", 2048),
    ("dropout", 0.1),
    ("activation", "relu"),
    ("layer_norm_eps", 1e-5),
    ("batch_first", False),
    ("norm_first", False),
)
_WHOLE: tuple[tuple[str, Setting], ...] = (
    ("d_model", 512),
    ("nhead", 8),
    ("num_encoder_layers", 6),
    ("num_decoder_layers", 6),
    ("dim_feedforward", 2048),
    ("dropout", 0.1),
    ("activation", "relu"),
    ("custom_encoder", None),
    ("custom_decoder", None),
    ("layer_norm_eps", 1e-5),
    ("batch_first", False),
    ("norm_first", False),
)
TRANSFORMERS = frozenset({"TransformerEncoderLayer", "TransformerDecoderLayer"})


def attention(arguments: Arguments, place: Place) -> Layer:
    """`nn.MultiheadAttention`: the stacked projection and, as a part, the one of the output."""
    made = layer("MultiheadAttention", arguments, place)
    assert made is not None
    width = _value(made.settings["embed_dim"])
    bias = _value(made.settings["bias"])
    projection = _made("Linear", place, width, width, bias)
    if "bias" in projection.attributes:
        projection.attributes["bias"] = Weight({"data": Drawn(Initial("zeros"))}, place)
    if "in_proj_bias" in made.attributes:
        made.attributes["in_proj_bias"] = Weight({"data": Drawn(Initial("zeros"))}, place)
    weight = made.attributes["in_proj_weight"]
    assert isinstance(weight, Weight)
    weight.attributes["data"] = Drawn(Initial("xavier_uniform", {}, 1.0, place), weight.shape)
    made.parts["out_proj"] = projection
    return made


def transformer_layer(type_: str, arguments: Arguments, place: Place) -> Layer:
    """`nn.TransformerEncoderLayer` or `nn.TransformerDecoderLayer`."""
    settings = bound(_LAYER, arguments)
    width, inner = _value(settings["d_model"]), _value(settings["dim_feedforward"])
    heads = Operand(_value(settings["nhead"]), arguments.positional[0].node) if arguments.positional else None
    attend = Arguments((Operand(width, heads.node), heads)) if heads is not None else Arguments()
    parts: dict[str, Value] = {"self_attn": attention(attend, place)}
    if type_ == "TransformerDecoderLayer":
        parts["multihead_attn"] = attention(attend, place)
    parts["linear1"] = _made("Linear", place, width, inner, Known(True))
    parts["linear2"] = _made("Linear", place, inner, width, Known(True))
    for norm in ("norm1", "norm2", "norm3")[: len(parts) - 1]:
        parts[norm] = _made("LayerNorm", place, width)
    return Layer(type_, settings, {}, place, parts)


class Stack(NamedTuple):
    """A class of torch.nn that stacks layers, and with what it is constructed."""

    type: str
    arguments: Arguments


def stack_of(kind: str, arguments: Arguments, place: Place, site: Site) -> Stack:
    """What `nn.Transformer` constructs as its "encoder" or "decoder" of its own arguments."""
    given = {
        name: arguments.get(position, name) or Operand(Known(default), site.node)
        for position, (name, default) in enumerate(_WHOLE)
    }
    named = {name: given[name] for name, _ in _LAYER if name in given and name not in ("d_model", "nhead")}
    type_ = f"Transformer{kind.capitalize()}"
    one = transformer_layer(f"{type_}Layer", Arguments((given["d_model"], given["nhead"]), named), place)
    norm = _made("LayerNorm", place, given["d_model"].value)
    count = given[f"num_{kind}_layers"]
    return Stack(type_, Arguments((Operand(one, site.node), count, Operand(norm, site.node))))


def _value(setting: Setting) -> Value:
    return Anything() if setting is None else Known(setting)


def _made(type_: str, place: Place, *values: Value) -> Layer:
    node = ir.Literal(place.span, None)
    made = layer(type_, Arguments(tuple([Operand(value, node) for value in values])), place)
    assert made is not None
    return made


class Blocks:
    """Runs layers that are made of others on signals."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def multihead(self, of: Layer, inputs: Sequence[Signal], site: Site) -> Signal:
        """Attention with projections of queries, keys and values, and of what it gives."""
        emit = self._recorder.emit
        query, key, value = (*inputs, *([inputs[-1]] * 3))[:3] if inputs else (None, None, None)
        if query is None or key is None or value is None:
            return self._recorder.unknown("attention without inputs", (of,), site)
        width = of.settings.get("embed_dim")
        projection: Settings = {"in_features": width, "out_features": width, "bias": of.settings.get("bias")}
        parameters = {"weight": of.attributes["in_proj_weight"]}
        if "in_proj_bias" in of.attributes:
            parameters["bias"] = of.attributes["in_proj_bias"]
        projected = [
            emit("linear", (signal,), site, projection, of, parameters) for signal in (query, key, value)
        ]
        attended = emit("attention", projected, site, {"heads": of.settings.get("num_heads")})
        out = of.parts["out_proj"]
        assert isinstance(out, Layer)
        return emit("linear", (attended,), site, out.settings, out)

    def transformer(self, of: Layer, inputs: Sequence[Signal], site: Site) -> Signal:
        """One layer of an encoder, or of a decoder whose second input is the memory."""
        if not inputs:
            return self._recorder.unknown("a layer without inputs", (of,), site)
        norm_first = of.settings.get("norm_first")
        if norm_first is None:
            return self._recorder.unknown("norm_first that is not known", [of, *inputs], site)
        signal = inputs[0]
        steps = [("self_attn", "norm1"), ("linear", "norm2")]
        if of.type == "TransformerDecoderLayer":
            steps = [("self_attn", "norm1"), ("multihead_attn", "norm2"), ("linear", "norm3")]
        for step, norm in steps:
            before = self._plain(of, norm, signal, site) if norm_first else signal
            added = self._dropped(of, self._step(of, step, before, inputs, site), site)
            signal = self._recorder.emit("add", (signal, added), site)
            if not norm_first:
                signal = self._plain(of, norm, signal, site)
        return signal

    def _step(self, of: Layer, step: str, signal: Signal, inputs: Sequence[Signal], site: Site) -> Signal:
        if step == "linear":
            inner = self._plain(of, "linear1", signal, site)
            name = str(of.settings.get("activation") or "").rpartition(".")[2].lower()
            if name not in ("relu", "gelu"):
                active = self._recorder.unknown("an activation that is not known", (inner,), site)
            else:
                active = self._recorder.emit(name, (inner,), site)
            return self._plain(of, "linear2", self._dropped(of, active, site), site)
        attend = of.parts[step]
        assert isinstance(attend, Layer)
        memory = inputs[1] if step == "multihead_attn" and len(inputs) > 1 else signal
        return self.multihead(attend, (signal, memory, memory), site)

    def _plain(self, of: Layer, part: str, signal: Signal, site: Site) -> Signal:
        made = of.parts[part]
        assert isinstance(made, Layer)
        op = "linear" if made.type == "Linear" else "layer_norm"
        return self._recorder.emit(op, (signal,), site, made.settings, made)

    def _dropped(self, of: Layer, signal: Signal, site: Site) -> Signal:
        return self._recorder.emit("dropout", (signal,), site, {"p": of.settings.get("dropout")})
