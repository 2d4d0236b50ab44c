"""What is known of vanishing and exploding gradients, each statement predicted and measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from gradlint.flow.chain import longest_chain
from gradlint.flow.propagate import GradientFlow, propagate
from gradlint.flow.recurrence import step_gain
from gradlint.lint.check_text import check_text
from gradlint.mathematics.activations import activation
from gradlint.records.finding import Claim, Metric
from gradlint.report.graph import bar, decades, rows
from gradlint.rule.registry import load

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
measure = pytest.importorskip("measure")

NET = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(WIDTH, OUT, bias=BIAS)
        SETUP

    def forward(self, x):
        return FORWARD


class Net(nn.Module):
    def __init__(self, depth=DEPTH):
        super().__init__()
        self.blocks = nn.Sequential(*[Block() for _ in range(depth)])
        self.head = nn.Linear(WIDTH, 10)

    def forward(self, x):
        return self.head(self.blocks(x))
"""


def net(forward: str, depth: int = 10, setup: str = "pass", width: int = 128, **changes: Any) -> str:
    """A plain network of equal blocks; in `forward` and `setup`, Y stands for the linear layer's output."""
    words = {"WIDTH": width, "OUT": changes.get("out", width), "BIAS": changes.get("bias", True)}
    words |= {"SETUP": setup, "FORWARD": forward.replace("Y", "self.linear(x)"), "DEPTH": depth}
    text = NET
    for word, value in words.items():
        text = text.replace(word, str(value))
    return text


def subject(code: str, seed: int = 0) -> Any:
    return measure.Subject(code, measure.graphs(code)[0], seed=seed)


def flow_of(code: str) -> GradientFlow:
    return propagate(measure.graphs(code)[0])


def predicted(code: str) -> float:
    """S over the longest chain; it must be certain."""
    chain = longest_chain(flow_of(code))
    assert chain is not None
    assert chain.is_certain
    assert chain.decades.hi - chain.decades.lo < 0.1
    return chain.decades.centre


@cache
def measured(code: str) -> float:
    """S over the same chain by one backward pass."""
    (name,) = measure.chain(subject(code))
    return float(measure.depth_gain(subject(code), name))


# "σ'(z) = σ(z)(1 - σ(z)) ≤ 1/4"


def test_the_slope_of_a_sigmoid_is_at_most_a_quarter() -> None:
    sigmoid = activation("sigmoid", {})
    assert sigmoid is not None
    z = torch.linspace(-8, 8, 1601, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(z.sigmoid().sum(), z)
    assert float(slope.max()) == sigmoid.steepest == 0.25
    assert [sigmoid.slope(float(each)) for each in z.detach()] == pytest.approx(slope.tolist(), abs=1e-12)


def test_a_sigmoid_layer_that_keeps_scale_passes_at_most_a_quarter() -> None:
    """With fan_in·Var(w) = 1 the factor per layer is √E[σ'²] ≤ 1/4."""
    code = net("torch.sigmoid(Y)", setup="nn.init.xavier_normal_(self.linear.weight)")
    assert predicted(code) / 9 <= math.log10(1 / 4)
    assert measured(code) / 9 <= math.log10(1 / 4)


# "the gradient of a deep sigmoid network vanishes with its depth"


@pytest.mark.parametrize("depth", [2, 4, 6, 8, 12, 16, 24])
def test_the_gradient_of_a_sigmoid_network_vanishes_with_its_depth(depth: int) -> None:
    code = net("torch.sigmoid(Y)", depth)
    assert measured(code) == pytest.approx(predicted(code), abs=max(0.15, 0.02 * depth))
    assert measured(code) == pytest.approx((depth - 1) * math.log10(0.141), rel=0.06, abs=0.15)


# "of a hundred layers, the last twenty learn and the first eighty do not"


def _moved(code: str) -> list[float]:
    """Of every layer's weights, the share that one step of gradient descent changes in float32."""
    torch.manual_seed(0)
    model = measure.construct(code, "Net").float()
    before = [block.linear.weight.detach().clone() for block in model.blocks]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, target = torch.randn(64, 128), torch.randint(0, 10, (64,))
    torch.nn.functional.cross_entropy(model(x), target).backward()
    optimizer.step()
    after = [block.linear.weight.detach() for block in model.blocks]
    return [float((a != b).float().mean()) for a, b in zip(after, before, strict=True)]


def test_of_a_hundred_layers_twenty_learn_and_the_report_shows_which() -> None:
    code = net("torch.tanh(Y)", 100)
    learning = [share > 0.5 for share in _moved(code)]
    assert sum(learning) == pytest.approx(20, abs=3)
    assert learning == sorted(learning)
    flow = flow_of(code)
    shown = {row.layer: row for row in rows(flow) if row.op == "linear"}
    column = [shown[f"blocks.{i}.linear"].gradient.centre for i in range(100)]
    calls = subject(code).run().calls
    head = calls["head"][-1].delta
    for i, value in enumerate(column):
        assert math.log10(calls[f"blocks.{i}.linear"][-1].delta / head) == pytest.approx(value, abs=0.6)
    edge = column[learning.index(True)]
    assert [value >= edge for value in column] == learning
    assert bar(shown["blocks.0.linear"].gradient).startswith("██████████│")
    assert float(decades(shown["blocks.0.linear"].gradient)) < -20


# "the gradient of a linear network is the product of its transposed weights"


@pytest.mark.parametrize("gain", [0.5, 1.0, 1.5])
def test_the_gradient_of_a_linear_network_scales_as_the_product_of_its_weights(gain: float) -> None:
    code = net("Y", 20, f"nn.init.orthogonal_(self.linear.weight, gain={gain})", bias=False)
    assert predicted(code) == pytest.approx(19 * math.log10(gain), abs=1e-9)
    assert measured(code) == pytest.approx(19 * math.log10(gain), abs=1e-6)


def test_the_gradient_of_a_linear_network_is_that_product() -> None:
    code = net("Y", 12)
    with measure.exact(0):
        model = measure.construct(code, "Net")
        hidden = torch.randn(64, 128).requires_grad_()
        deltas: list[Any] = []
        for block in model.blocks:
            hidden = block(hidden)
            hidden.register_hook(lambda delta: deltas.insert(0, delta))
        loss = (model.head(hidden) * torch.randn(64, 10)).sum()
        loss.backward()
    by_hand = deltas[-1]
    for block in reversed(model.blocks[1:]):
        by_hand = by_hand @ block.linear.weight.detach()
    assert float((deltas[0] - by_hand).norm() / by_hand.norm()) < 1e-12
    gained = math.log10(float(by_hand.norm() / deltas[-1].norm()))
    assert gained == pytest.approx(predicted(code), abs=0.15)


# "ReLU multiplies by a diagonal of zeros and ones, so the product of weights remains"


@pytest.mark.parametrize("std", [0.0625, 0.125, 0.25, 0.5])
def test_relu_leaves_the_product_of_the_weights(std: float) -> None:
    """Half of the diagonal is one: each layer gains √(fan_in·Var(w)/2), below and above 1."""
    setup = f"nn.init.normal_(self.linear.weight, std={std})"
    code = net("torch.relu(Y)", setup=setup, bias=False)
    per_layer = math.log10(math.sqrt(128 * std**2 / 2))
    assert predicted(code) == pytest.approx(9 * per_layer, abs=1e-6)
    assert measured(code) == pytest.approx(9 * per_layer, abs=0.3)


def test_the_slope_of_relu_is_zero_or_one() -> None:
    relu = activation("relu", {})
    assert relu is not None
    assert {relu.slope(z) for z in (-3.0, -1e-9, 1e-9, 3.0)} == {0.0, 1.0}


# "a dead ReLU gets no gradient"


def test_dead_units_get_no_gradient() -> None:
    setup = "nn.init.constant_(self.linear.bias, -10.0)"
    code = net("torch.relu(Y)", 2, setup)
    flow = flow_of(code)
    (first, *_) = [node.number for node in flow.graph.nodes if node.module == "blocks.0.linear"]
    assert flow.gradient[first].hi < -8
    assert measure.dead_units(subject(code), "blocks.0.linear") == 1.0
    assert subject(code).run().calls["blocks.0.linear"][0].delta == 0.0


# what is reported is what is measured: a loss of three decades, or none at all

DEPTH = {"GRD101", "GRD102", "GRD103", "GRD203", "GRD205"}


def said(code: str) -> list[Claim]:
    """What is claimed of a model's depth by default."""
    claims = [found.claim for found in check_text(code, load()) if found.rule in DEPTH]
    return [claim for claim in claims if claim is not None and abs(claim.least or 0) >= 3.0]


def is_reported(code: str) -> bool:
    """Whether its depth is reported, with the decades that a backward pass shows."""
    claims = said(code)
    for claim in claims:
        real = measure.measured(claim, subject(code), claim.subject.partition(":")[2])
        assert claim.predicted == pytest.approx(real, abs=0.3, rel=0.05)
    return bool(claims)


REPORTED = {
    "sigmoid": net("torch.sigmoid(Y)"),
    "sigmoid, four layers": net("torch.sigmoid(Y)", 4),
    "linear, halved": net("Y", 14, "nn.init.orthogonal_(self.linear.weight, gain=0.5)", bias=False),
    "linear, kept": net("Y", 12, "nn.init.orthogonal_(self.linear.weight)", bias=False),
    "linear, enlarged": net("Y", 22, "nn.init.orthogonal_(self.linear.weight, gain=1.5)", bias=False),
    "relu, large weights": net("torch.relu(Y)", 12, "nn.init.normal_(self.linear.weight, std=0.5)"),
    "relu, twelve layers": net("torch.relu(Y)", 12),
}


@pytest.mark.parametrize("name", REPORTED)
def test_what_is_reported_is_what_is_measured(name: str) -> None:
    assert is_reported(REPORTED[name]) == (abs(measured(REPORTED[name])) > 3.0)
    assert (abs(measured(REPORTED[name])) > 3.0) == (name not in ("sigmoid, four layers", "linear, kept"))


# "what helps": each remedy removes or weakens the loss, as predicted

BASE = "torch.sigmoid(Y)"
NORM = "self.norm = nn.BatchNorm1d(128)"
XAVIER = "nn.init.xavier_uniform_(self.linear.weight)"
HE = "nn.init.kaiming_normal_(self.linear.weight, nonlinearity='relu')"
REMEDIES: dict[str, tuple[str, float]] = {
    "relu": (net("torch.relu(Y)"), 0.408),
    "leaky relu": (net("nn.functional.leaky_relu(Y, 0.2)"), 0.416),
    "prelu": (net("self.act(Y)", setup="self.act = nn.PReLU()"), 0.421),
    "rrelu": (net("nn.functional.rrelu(Y, training=True)"), 0.42),
    "elu": (net("nn.functional.elu(Y)"), 0.560),
    "maxout": (net("Y.view(-1, 128, 2).max(dim=-1).values", out=256), 0.577),
    "maxout by amax": (net("Y.unflatten(-1, (128, 2)).amax(-1)", out=256), 0.577),
    "batch norm": (net("torch.sigmoid(self.norm(Y))", setup=NORM), math.sqrt(1.034)),
    "xavier, sigmoid": (net(BASE, setup=XAVIER), 0.235),
    "xavier, tanh": (net("torch.tanh(Y)", setup=XAVIER), 0.88),
    "he, relu": (net("torch.relu(Y)", setup=HE), 1.0),
    "he, sigmoid": (net(BASE, setup=HE), 0.315),
}
"""Networks with the gain per layer that is known."""


@pytest.mark.parametrize("name", REMEDIES)
def test_remedies_weaken_the_loss_as_predicted(name: str) -> None:
    code, gain = REMEDIES[name]
    s, before = measured(code), measured(net(BASE))
    assert s == pytest.approx(predicted(code), abs=0.25)
    assert abs(s) < abs(before) - 1.5
    assert bool(said(code)) == (abs(s) > 3.25)
    if name != "batch norm":
        assert s == pytest.approx(9 * math.log10(gain), abs=0.3)


# branches that begin at nothing are no explosion: the gradient goes round them

ZERO_GAMMA = net(
    "torch.relu(x + self.norm(torch.relu(Y)))",
    8,
    "self.norm = nn.BatchNorm1d(128); nn.init.zeros_(self.norm.weight)",
)
LAYER_SCALE = net(
    "x + self.gamma * torch.relu(Y)",
    8,
    "self.gamma = nn.Parameter(1e-6 * torch.ones(128))",
)
REZERO = net("x + self.alpha * torch.relu(Y)", 8, "self.alpha = nn.Parameter(torch.zeros(1))")


@pytest.mark.parametrize(
    "code", [ZERO_GAMMA, LAYER_SCALE, REZERO], ids=["zero norm", "layer scale", "rezero"]
)
def test_a_branch_that_begins_at_nothing_is_no_explosion(code: str) -> None:
    stem = "self.stem = nn.Linear(128, 128)\n        self.blocks ="
    code = code.replace("self.blocks =", stem).replace("self.blocks(x)", "self.blocks(self.stem(x))")
    chain = longest_chain(flow_of(code))
    assert chain is None or chain.decades.hi < 1
    assert not [f for f in check_text(code, load()) if f.claim and f.claim.metric is Metric.DEPTH_GAIN]
    calls = subject(code).run().calls
    assert calls["stem"][0].delta > 1e-3 * calls["head"][0].delta
    assert calls["blocks.7.linear"][0].delta < 1e-3 * calls["stem"][0].delta


# "gates carry the gradient over time"

RECURRENT = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.KIND(64, 128, batch_first=True)
        SETUP
        self.head = nn.Linear(128, 2)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])
"""
OPEN = "nn.init.constant_(self.rnn.bias_ih_l0[128:256], 1.0)"
LAYERS: dict[str, Callable[[], str]] = {
    "plain": lambda: RECURRENT.replace("KIND", "RNN").replace("SETUP", "pass"),
    "lstm": lambda: RECURRENT.replace("KIND", "LSTM").replace("SETUP", "pass"),
    "gru": lambda: RECURRENT.replace("KIND", "GRU").replace("SETUP", "pass"),
}


def _per_step(kind: str, steps: int = 41) -> tuple[float, float, float]:
    """Least and most predicted gain per step, and the measured one."""
    code = LAYERS[kind]()
    graph = measure.graphs(code)[0]
    (node,) = [node for node in graph.nodes if node.module == "rnn"]
    gain = measure.recurrent_gain(measure.Subject(code, graph, steps), "rnn") / (steps - 1)
    return step_gain(node).lo, step_gain(node).hi, 10**gain


@pytest.mark.parametrize("kind", LAYERS)
def test_recurrence_loses_the_gradient_step_by_step(kind: str) -> None:
    lo, hi, gain = _per_step(kind)
    assert lo <= gain <= hi < 1


def test_gates_weaken_the_loss_over_time() -> None:
    assert _per_step("lstm")[2] > 1.15 * _per_step("plain")[2]
    assert _per_step("gru")[2] > 1.15 * _per_step("plain")[2]


# "weights from [0, 1) in a network written with arrays"

ARRAYS = """
import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class Network:
    def __init__(self, inputs=64, hidden=128, outputs=8):
        self.weights1 = FIRST
        self.weights2 = SECOND

    def forward(self, x):
        self.layer1 = sigmoid(np.dot(x, self.weights1))
        self.output = sigmoid(np.dot(self.layer1, self.weights2))
        return self.output

    def backward(self, x, y):
        error = 2 * (y - self.output) * self.output * (1 - self.output)
        hidden = np.dot(error, self.weights2.T) * self.layer1 * (1 - self.layer1)
        self.weights2 += np.dot(self.layer1.T, error)
        self.weights1 += np.dot(x.T, hidden)
"""
UNCENTRED = ("np.random.rand(inputs, hidden)", "np.random.rand(hidden, outputs)")
SCALED = (
    "np.random.randn(inputs, hidden) / np.sqrt(inputs)",
    "np.random.randn(hidden, outputs) / np.sqrt(hidden)",
)


def _arrays(weights: tuple[str, str]) -> tuple[str, float, float]:
    """The code, the share of saturated outputs, and how far one step of descent moves the second weights."""
    numpy = pytest.importorskip("numpy")
    code = ARRAYS.replace("FIRST", weights[0]).replace("SECOND", weights[1])
    namespace: dict[str, Any] = {}
    exec(compile(code, "<arrays>", "exec"), namespace)
    numpy.random.seed(0)
    network, x, y = namespace["Network"](), numpy.random.randn(64, 64), numpy.random.rand(64, 8)
    before = network.weights2.copy()
    output = network.forward(x)
    network.backward(x, y)
    saturated = float(((output > 1 / (1 + math.exp(-6))) | (output < 1 / (1 + math.exp(6)))).mean())
    return code, saturated, float(numpy.abs(network.weights2 - before).max())


def test_uncentred_weights_of_an_array_network_saturate_it() -> None:
    code, saturated, moved = _arrays(UNCENTRED)
    (finding,) = [f for f in check_text(code, load()) if f.rule == "GRD901"]
    assert "not centred" in finding.message
    assert saturated > 0.5
    assert moved < _arrays(SCALED)[2] / 10


def test_centred_and_scaled_weights_of_an_array_network_learn() -> None:
    code, saturated, moved = _arrays(SCALED)
    assert not [f for f in check_text(code, load()) if f.rule == "GRD901"]
    assert saturated < 0.05
    assert moved > 1.0
