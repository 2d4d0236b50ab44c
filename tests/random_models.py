"""Models drawn at random, each twice: as a graph for the prediction, as torch functions to measure."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from gradlint.flow.moments import STANDARDISED, UNIT_RANGE
from gradlint.flow.propagate import propagate
from gradlint.mathematics.interval import Interval
from gradlint.records.graph import Initial, ModelGraph, Node, Parameter, Place, Setting
from gradlint.records.span import Span

NOWHERE = Place("model.py", Span(1, 1, 1, 1))

ACTIVATIONS: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(F, name)
        for name in [
            "relu",
            "relu6",
            "leaky_relu",
            "elu",
            "celu",
            "selu",
            "gelu",
            "silu",
            "mish",
            "softplus",
            "logsigmoid",
            "hardsigmoid",
            "hardtanh",
            "hardswish",
            "softsign",
            "tanhshrink",
            "softshrink",
            "hardshrink",
            "rrelu",
        ]
    },
    **{
        name: getattr(torch, name)
        for name in ["sigmoid", "tanh", "erf", "atan", "abs", "square", "sin", "cos", "neg"]
    },
    "prelu": lambda x: F.prelu(x, torch.tensor([0.25])),
    "identity": lambda x: x,
    "threshold": lambda x, threshold, value: F.threshold(x, threshold, value),
    "clamp": torch.clamp,
    "pow": torch.pow,
}
REQUIRED: dict[str, dict[str, Setting]] = {
    "threshold": {"threshold": 0.1, "value": -0.2},
    "clamp": {"min": -0.5, "max": 2.0},
    "pow": {"exponent": 3},
    "rrelu": {"training": True},
}
USUAL = [
    "relu",
    "leaky_relu",
    "prelu",
    "elu",
    "celu",
    "selu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "sigmoid",
    "hardsigmoid",
    "tanh",
    "hardtanh",
    "hardswish",
    "softsign",
    "relu6",
    "rrelu",
    "identity",
]

SCHEMES: tuple[tuple[str, dict[str, Setting]], ...] = (
    ("default", {}),
    ("default", {}),
    ("xavier_uniform", {}),
    ("xavier_normal", {"gain": 1.4142135}),
    ("kaiming_normal", {"nonlinearity": "relu"}),
    ("kaiming_uniform", {"nonlinearity": "relu", "mode": "fan_out"}),
    ("kaiming_normal", {"nonlinearity": "linear"}),
    ("orthogonal", {}),
    ("orthogonal", {"gain": 1.5}),
    ("normal", {"std": 0.02}),
    ("normal", {"std": 0.1}),
    ("trunc_normal", {"std": 0.02}),
    ("uniform", {"a": -0.1, "b": 0.1}),
)

KEYS = (
    *("in_features", "out_features", "in_channels", "out_channels"),
    *("kernel_size", "stride", "padding", "groups", "num_groups", "eps"),
)


class Measured(NamedTuple):
    """S and the last rms in decades, measured and predicted; σ of S by width; what the model is."""

    decades: float
    predicted: Interval
    rms: float
    predicted_rms: Interval
    deviation: float
    description: str

    @property
    def error(self) -> float:
        """Distance of the measured S from the middle of the prediction."""
        return abs(self.decades - self.predicted.centre)

    @property
    def distance(self) -> float:
        """How far the measured S lies outside of the predicted interval, 0 inside."""
        return max(self.predicted.lo - self.decades, self.decades - self.predicted.hi, 0.0)

    def agrees(self) -> bool:
        """Whether the measured S is what the interval says, but for 0.3 decades or a tenth."""
        return self.distance <= max(0.3, 0.1 * abs(self.decades))

    def is_inside(self, sigmas: float = 3.0, floor: float = 0.1) -> bool:
        """Whether S lies in the prediction, widened by the error bar."""
        return self.predicted.widened(sigmas * self.deviation + floor).contains(self.decades)


@dataclass
class Twin:
    """A model under construction, node by node, and its computation in torch."""

    nodes: list[Node] = field(default_factory=list)
    steps: list[Callable[..., Any]] = field(default_factory=list)

    def emit(
        self,
        op: str,
        call: Callable[..., Any],
        *inputs: int,
        settings: dict[str, Setting] | None = None,
        parameters: dict[str, Parameter] | None = None,
    ) -> int:
        """Append one operation in both forms; its number."""
        number = len(self.nodes)
        self.nodes.append(Node(number, op, inputs, settings or {}, parameters or {}))
        self.steps.append(call)
        return number

    def input(self) -> int:
        return self.emit("input", lambda: None)

    def activation(self, name: str, x: int) -> int:
        settings = REQUIRED.get(name, {})
        known = {key: value for key, value in settings.items() if key != "training"}
        return self.emit(name, lambda t: ACTIVATIONS[name](t, **settings), x, settings=known)

    def layer(
        self,
        op: str,
        layer: nn.Module,
        x: int,
        scheme: str = "default",
        arguments: dict[str, Setting] | None = None,
        bias: str = "default",
    ) -> int:
        """A layer with weights, initialised by torch as the node says."""
        parameters = {}
        for name, parameter in layer.named_parameters():
            initial = Initial(scheme, arguments or {}) if name == "weight" else Initial(bias)
            if initial.scheme != "default":
                getattr(nn.init, initial.scheme + "_")(parameter, **initial.settings)
            parameters[name] = Parameter(f"{len(self.nodes)}.{name}", tuple(parameter.shape), initial)
        settings = {key: getattr(layer, key) for key in KEYS if getattr(layer, key, None) is not None}
        return self.emit(op, layer, x, settings=settings, parameters=parameters)

    def graph(self) -> ModelGraph:
        return ModelGraph("Model", NOWHERE, tuple(self.nodes), (len(self.nodes) - 1,))

    def run(self, x: Any) -> list[Any]:
        values: list[Any] = []
        for node, step in zip(self.nodes, self.steps, strict=True):
            values.append(x if node.op == "input" else step(*[values[number] for number in node.inputs]))
        return values

    def measure(self, x: Any, first: int, last: int, description: str = "", raw: bool = False) -> Measured:
        """One real backward pass of a random projection of `last`, beside the prediction."""
        values = self.run(x)
        projection = torch.randn_like(values[last])
        (gradient,) = torch.autograd.grad((values[last] * projection).sum(), values[first])
        flow = propagate(self.graph(), UNIT_RANGE if raw else STANDARDISED)
        second = flow.moments[last].second
        return Measured(
            _log10(gradient.double().norm() / projection.double().norm()),
            flow.between(first, last, spreading=True),
            _log10(values[last].detach().double().pow(2).mean().sqrt()),
            second.decades * 0.5,
            flow.deviation(first, last),
            description,
        )


def _log10(x: Any) -> float:
    value = float(x)
    return math.log10(value) if value > 0 else -math.inf


@dataclass(frozen=True)
class Plan:
    """What is drawn for one model."""

    kind: str
    depth: int
    activation: str
    scheme: tuple[str, dict[str, Setting]]
    bias: str
    norm: str | None
    dropout: float
    residual: str
    widths: tuple[int, ...]
    raw: bool
    pools: tuple[str, ...]
    seed: int

    def __str__(self) -> str:
        scheme = self.scheme[0] + (f"{self.scheme[1]}" if self.scheme[1] else "")
        return (
            f"{self.depth} {self.kind} {self.activation} {scheme} bias={self.bias} norm={self.norm} "
            f"drop={self.dropout} res={self.residual} raw={self.raw} pools={','.join(self.pools)} "
            f"widths={self.widths[:3]} seed={self.seed}"
        )


def draw(choose: Callable[[Any], Any], seed: int) -> Plan:
    """A plan; `choose` picks one of a sequence."""
    kind = choose(("linear", "linear", "linear", "conv2d", "conv_transpose2d", "conv1d", "transformer"))
    depth = choose(range(2, 21))
    residual = (
        choose(("no", "no", "pre", "plain", "post", "activated"))
        if kind != "transformer"
        else choose(("pre", "post"))
    )
    same = residual != "no" or choose((True, False))
    width = choose((64, 128, 256))
    is_convolution = kind.startswith("conv")
    widths = tuple(width if same else choose((64, 96, 128, 192)) for _ in range(depth + 1))
    if is_convolution:
        widths = tuple(min(each, 96) for each in widths)
        depth = min(depth, 12)
    norms = (None, None, None, "batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm")
    norm = choose(norms)
    if (not is_convolution and norm == "instance_norm") or (
        is_convolution and norm in ("layer_norm", "rms_norm")
    ):
        norm = "group_norm"
    if kind == "transformer":
        norm, depth = "layer_norm", min(depth, 8)
    return Plan(
        kind,
        depth,
        choose(USUAL),
        choose(SCHEMES),
        choose(("default", "zeros", "none")),
        norm,
        choose((0.0, 0.0, 0.0, 0.1, 0.5)),
        residual,
        widths,
        choose((False, False, True)),
        choose(((), (), ("max_pool",), ("avg_pool",))) if kind == "conv2d" and residual == "no" else (),
        seed,
    )


def random_plan(seed: int) -> Plan:
    return draw(random.Random(seed).choice, seed)


def measured(plan: Plan) -> Measured:
    """Build both forms of a plan and measure."""
    torch.manual_seed(plan.seed)
    twin = Twin()
    build = BUILD[plan.kind == "transformer"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first, last = build(twin, plan)
        return twin.measure(_data(plan), first, last, str(plan), plan.raw)


def _data(plan: Plan) -> Any:
    width = plan.widths[0]
    side = 16 if plan.pools else 8
    shape = {
        "linear": (64, width),
        "conv2d": (16, width, side, side),
        "conv_transpose2d": (16, width, side, side),
        "conv1d": (32, width, 32),
        "transformer": (16, 16, width),
    }[plan.kind]
    return (torch.rand(shape) if plan.raw else torch.randn(shape)).requires_grad_()


def _mixing(plan: Plan, i: int, o: int) -> nn.Module:
    bias = plan.bias != "none"
    if plan.kind == "linear":
        return nn.Linear(i, o, bias=bias)
    if plan.kind == "conv1d":
        return nn.Conv1d(i, o, 3, padding=1, bias=bias)
    if plan.kind == "conv2d":
        return nn.Conv2d(i, o, 3, padding=1, bias=bias)
    return nn.ConvTranspose2d(i, o, 3, padding=1, bias=bias)


def _mixed(twin: Twin, plan: Plan, x: int, i: int, o: int) -> int:
    scheme, arguments = plan.scheme
    bias = "zeros" if plan.bias == "zeros" else "default"
    return twin.layer(plan.kind, _mixing(plan, i, o), x, scheme, arguments, bias)


def _normed(twin: Twin, plan: Plan, x: int, width: int) -> int:
    spatial = {"conv2d": 2, "conv_transpose2d": 2, "conv1d": 1}.get(plan.kind, 0)
    layer: nn.Module
    if plan.norm == "batch_norm":
        layer = nn.BatchNorm2d(width) if spatial == 2 else nn.BatchNorm1d(width)
    elif plan.norm == "instance_norm":
        layer = nn.InstanceNorm2d(width) if spatial == 2 else nn.InstanceNorm1d(width)
    elif plan.norm == "layer_norm":
        layer = nn.LayerNorm(width)
    elif plan.norm == "rms_norm":
        layer = nn.RMSNorm(width, eps=1e-5)
    elif plan.norm == "group_norm":
        layer = nn.GroupNorm(4, width)
    else:
        return x
    return twin.layer(plan.norm, layer, x)


def _ended(twin: Twin, plan: Plan, x: int) -> int:
    x = twin.activation(plan.activation, x)
    if plan.dropout:
        x = twin.emit("dropout", lambda t: F.dropout(t, plan.dropout), x, settings={"p": plan.dropout})
    return x


def _chain(twin: Twin, plan: Plan) -> tuple[int, int]:
    """Mixing layer, norm, activation, dropout; or residual blocks of them."""
    x = first = _mixed(twin, plan, twin.input(), plan.widths[0], plan.widths[0])
    if plan.residual == "no":
        x = _ended(twin, plan, _normed(twin, plan, x, plan.widths[0]))
    last = x
    for index, (i, o) in enumerate(zip(plan.widths[: plan.depth], plan.widths[1:], strict=False)):
        if plan.residual == "no":
            last = _mixed(twin, plan, x, i, o)
            x = _ended(twin, plan, _normed(twin, plan, last, o))
            x = _pooled(twin, plan, x, index)
            continue
        branch = _normed(twin, plan, x, i) if plan.residual == "pre" else x
        branch = _mixed(twin, plan, branch, i, o)
        if plan.residual in ("plain", "activated"):
            branch = _normed(twin, plan, branch, o)
        branch = _ended(twin, plan, branch)
        if plan.residual != "plain":
            branch = _mixed(twin, plan, branch, o, o)
        if plan.residual == "activated":
            branch = _normed(twin, plan, branch, o)
        x = last = twin.emit("add", torch.add, x, branch)
        if plan.residual == "activated":
            x = last = twin.activation(plan.activation, x)
        if plan.residual == "post":
            x = last = _normed(twin, plan, x, o)
    return first, last


def _pooled(twin: Twin, plan: Plan, x: int, index: int) -> int:
    if index not in (1, 3) or not plan.pools:
        return x
    kind = plan.pools[0]
    call = F.max_pool2d if kind == "max_pool" else F.avg_pool2d
    return twin.emit(kind, lambda t: call(t, 2), x, settings={"kernel_size": 2, "stride": 2})


def _transformer(twin: Twin, plan: Plan) -> tuple[int, int]:
    """Blocks of attention and a wide activation layer, normalised before or after."""
    width, heads = plan.widths[0], 4
    first = x = twin.layer("linear", nn.Linear(width, width), twin.input())
    for _ in range(plan.depth):
        y = twin.layer("layer_norm", nn.LayerNorm(width), x) if plan.residual == "pre" else x
        q, k, v = (_to_heads(twin, twin.layer("linear", nn.Linear(width, width), y), heads) for _ in range(3))
        a = twin.emit("attention", F.scaled_dot_product_attention, q, k, v)
        a = twin.emit("reshape", lambda t: t.transpose(1, 2).flatten(2), a)
        x = _joined(twin, plan, x, twin.layer("linear", nn.Linear(width, width), a), width)
        y = twin.layer("layer_norm", nn.LayerNorm(width), x) if plan.residual == "pre" else x
        y = twin.activation(
            plan.activation, twin.layer("linear", nn.Linear(width, 4 * width), y, *plan.scheme)
        )
        x = _joined(twin, plan, x, twin.layer("linear", nn.Linear(4 * width, width), y, *plan.scheme), width)
    return first, x


def _to_heads(twin: Twin, x: int, heads: int) -> int:
    return twin.emit("reshape", lambda t: t.unflatten(-1, (heads, -1)).transpose(1, 2), x)


def _joined(twin: Twin, plan: Plan, x: int, branch: int, width: int) -> int:
    x = twin.emit("add", torch.add, x, branch)
    return x if plan.residual == "pre" else twin.layer("layer_norm", nn.LayerNorm(width), x)


BUILD = (_chain, _transformer)
__all__ = [
    "ACTIVATIONS",
    "BUILD",
    "NOWHERE",
    "REQUIRED",
    "SCHEMES",
    "USUAL",
    "Measured",
    "Plan",
    "Twin",
    "replace",
]
