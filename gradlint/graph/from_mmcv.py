"""Layers of mmcv that other code imports, where its source is not there.

Their meaning is that of mmcv.cnn.bricks: `ConvModule` is a convolution without a bias where a
normalisation follows, drawn by `kaiming_normal_` over the outputs; settings come as dictionaries of
which `type` names a class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.graph.construct import layer
from gradlint.graph.values import Container, Layer, Weight, tuple_of
from gradlint.records import ir
from gradlint.records.graph import Initial, Place, Setting
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.value import Known, Table, Value

if TYPE_CHECKING:
    from gradlint.graph.interpret import GraphFacts

PACKAGE = "mmcv."
_CONVOLUTIONS = {"Conv": "Conv2d", "Conv1d": "Conv1d", "Conv2d": "Conv2d", "Conv3d": "Conv3d"}
_NORMALISATIONS = {
    "BN": "BatchNorm2d",
    "BN1d": "BatchNorm1d",
    "BN2d": "BatchNorm2d",
    "BN3d": "BatchNorm3d",
    "SyncBN": "SyncBatchNorm",
    "GN": "GroupNorm",
    "LN": "LayerNorm",
    "IN": "InstanceNorm2d",
    "IN1d": "InstanceNorm1d",
    "IN2d": "InstanceNorm2d",
    "IN3d": "InstanceNorm3d",
}
_ACTIVATIONS = {
    "HSwish": "Hardswish",
    "Swish": "SiLU",
    **{name: name for name in ("ReLU", "LeakyReLU", "PReLU", "RReLU", "ReLU6", "ELU", "Sigmoid", "Tanh")},
    **{name: name for name in ("GELU", "SiLU", "Mish")},
}
_CONV_ARGUMENTS = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
_ORDER = ("conv", "norm", "act")
_MODULE = (*_CONV_ARGUMENTS, "bias", "conv_cfg", "norm_cfg", "act_cfg", "inplace", "with_spectral_norm")
_UNUSUAL = ("with_spectral_norm", "padding_mode", "order")


def call(facts: GraphFacts, name: str, arguments: Arguments, site: Site) -> Value | None:
    """What a function or a class of mmcv gives; None where that is not known."""
    last = name.rpartition(".")[2]
    given = arguments.positional[0] if arguments.positional else arguments.keywords.get("cfg")
    if last == "ConvModule":
        return _conv_module(facts, arguments, site)
    if given is None or arguments.open:
        return None
    rest = [operand for operand in arguments.positional if operand is not given]
    keywords = {key: operand for key, operand in arguments.keywords.items() if key != "cfg"}
    if last == "build_conv_layer":
        return _convolution(given.value, Arguments(tuple(rest), keywords), site)
    if last == "build_norm_layer" and len(rest) in (1, 2):
        made = _normalisation(given.value, rest[0], site)
        return None if made is None else tuple_of([Known("norm"), made], site.node)
    return _activation(given.value, site) if last == "build_activation_layer" else None


def _conv_module(facts: GraphFacts, arguments: Arguments, site: Site) -> Container | None:
    given = dict(zip(_MODULE, arguments.positional, strict=False)) | arguments.keywords
    if arguments.open or any(name in given for name in _UNUSUAL):
        return None
    nothing, relu = Operand(Known(None), site.node), Operand(_settings_of("ReLU", site.node), site.node)
    norm, act = given.get("norm_cfg", nothing).value, given.get("act_cfg", relu).value
    bias = given.get("bias")
    if bias is None or (isinstance(bias.value, Known) and bias.value.value == "auto"):
        bias = Operand(Known(_is_none(norm)), site.node)
    own = {name: given[name] for name in _CONV_ARGUMENTS if name in given} | {"bias": bias}
    width = given.get("out_channels")
    conv = _convolution(given.get("conv_cfg", nothing).value, Arguments((), own), site)
    parts: dict[str, Value | None] = {"conv": conv}
    if not _is_none(norm):
        parts["bn"] = _normalisation(norm, width, site) if width is not None else None
    if not _is_none(act):
        parts["activate"] = _activation(act, site)
    if conv is None or any(part is None for part in parts.values()):
        return None
    _draw(facts, conv, act, Place(site.path, site.node.span))
    entries = {name: part for name, part in parts.items() if part is not None}
    return Container("Sequential", Table(dict(entries), site.node), Place(site.path, site.node.span))


def _draw(facts: GraphFacts, conv: Layer, act: Value, place: Place) -> None:
    """`kaiming_init`: normal, over the outputs; the bias is 0."""
    settings: dict[str, Setting] = {"a": 0.0, "mode": "fan_out", "nonlinearity": "relu"}
    if isinstance(act, Table) and _type(act) == "LeakyReLU":
        slope = act.entries.get("negative_slope", Known(0.01))
        settings |= {"nonlinearity": "leaky_relu", "a": slope.value if isinstance(slope, Known) else None}
    drawn = {"weight": Initial("kaiming_normal", settings, 1.0, place)}
    drawn["bias"] = Initial("zeros", {}, 1.0, place)
    for name, initial in drawn.items():
        weight = conv.attributes.get(name)
        if isinstance(weight, Weight):
            facts.members.initialise(weight, initial)


def _convolution(settings: Value, arguments: Arguments, site: Site) -> Layer | None:
    class_ = "Conv2d" if _is_none(settings) else _CONVOLUTIONS.get(_type(settings))
    return None if class_ is None else layer(class_, arguments, Place(site.path, site.node.span))


def _normalisation(settings: Value, width: Operand, site: Site) -> Layer | None:
    class_ = _NORMALISATIONS.get(_type(settings))
    if class_ is None or not isinstance(settings, Table):
        return None
    others = {"type", "requires_grad", "num_groups"}
    keywords = {
        str(key): Operand(value, site.node) for key, value in settings.entries.items() if key not in others
    }
    positional: tuple[Operand, ...] = (width,)
    if class_ == "GroupNorm" and "num_groups" in settings.entries:
        positional = (Operand(settings.entries["num_groups"], site.node), width)
    return layer(class_, Arguments(positional, keywords), Place(site.path, site.node.span))


def _activation(settings: Value, site: Site) -> Layer | None:
    class_ = _ACTIVATIONS.get(_type(settings))
    if class_ is None or not isinstance(settings, Table):
        return None
    keywords = {str(k): Operand(v, site.node) for k, v in settings.entries.items() if k != "type"}
    return layer(class_, Arguments((), keywords), Place(site.path, site.node.span))


def _settings_of(type_: str, node: ir.Expression) -> Table:
    return Table({"type": Known(type_)}, node)


def _type(settings: Value) -> str:
    """The class that settings name; empty where that is not known."""
    if not isinstance(settings, Table) or settings.open or settings.others:
        return ""
    named = settings.entries.get("type")
    return named.value if isinstance(named, Known) and isinstance(named.value, str) else ""


def _is_none(value: Value) -> bool:
    return isinstance(value, Known) and value.value is None
