"""What the rules about models claim, held against real backward passes."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from gradlint.flow.model import Model
from gradlint.lint.check_text import check_text
from gradlint.records.finding import Claim, Metric
from gradlint.rule.registry import load
from gradlint.rule.rule import Rule, subject_of
from gradlint.verify.judge import agrees, is_beyond, rises

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
measure = pytest.importorskip("measure")

CHAIN = """
import torch.nn as nn

class Net(nn.Module):
    def __init__(self, depth=10):
        super().__init__()
        layers = []
        for _ in range(depth):
            layers += [nn.Linear(128, 128), nn.ACTIVATION()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(128, 4)

    def forward(self, x):
        return self.head(self.layers(x))
"""

RESIDUAL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(64, 64) * SCALE) for _ in range(12)])

    def forward(self, x):
        for weight in self.weights:
            x = x + torch.relu(x @ weight.t())
        return x
"""

ATTENTION = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(256, 256), nn.Linear(256, 256), nn.Linear(256, 256)
        for layer in (self.q, self.k):
            nn.init.normal_(layer.weight, std=STD)

    def forward(self, x):
        logits = self.q(x) @ self.k(x).transpose(1, 2)
        return logits.softmax(-1) @ self.v(x)
"""

DEAD = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 100), nn.ReLU(inplace=True), nn.Linear(100, 4))
        nn.init.constant_(self.net[0].bias[:COUNT], -10.0)

    def forward(self, x):
        return self.net(x)
"""

ADAPTED = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.base = nn.Linear(32, 32)
        self.a, self.b = nn.Linear(32, 8, bias=False), nn.Linear(8, 32, bias=False)
        for layer in ZERO:
            nn.init.zeros_(layer.weight)

    def forward(self, x):
        return self.base(x) + self.b(self.a(x))
"""

RECURRENT = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(64, 128, batch_first=True)
        self.head = nn.Linear(128, 2)
        INIT

    def forward(self, x):
        return self.head(self.rnn(x)[0]READOUT)
"""

CELL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.RNNCell(64, 128, nonlinearity="relu")

    def forward(self, x):
        h = torch.zeros(x.shape[0], 128)
        for step in range(20):
            h = self.cell(x[:, step], h)
        return h
"""


class Known(NamedTuple):
    """A model with a value that theory gives, in the metric's unit."""

    code: str
    metric: Metric
    subject: str
    value: float
    tolerance: float
    steps: int = 8

    def measured(self) -> float:
        claim = Claim(self.metric, f"Net:{self.subject}", math.inf, self.value, f"steps={self.steps}")
        return float(measure.METRICS[self.metric](_subject(self.code, claim), self.subject))


def _chain(activation: str, gain: float) -> Known:
    code = CHAIN.replace("ACTIVATION", activation)
    return Known(code, Metric.DEPTH_GAIN, "layers.0->layers.18", 9 * math.log10(gain), 0.35)


def _residual(scale: float, metric: Metric, gain: float) -> Known:
    code = RESIDUAL.replace("SCALE", str(scale))
    return Known(code, metric, "weights.0->weights.11", gain, 0.1)


def _adapted(zero: str, name: str, share: float) -> Known:
    return Known(ADAPTED.replace("ZERO", zero), Metric.UNIQUE_GRADIENT_ROWS, name, share, 1e-6)


def _recurrent(init: str, readout: str, gain: float) -> Known:
    code = RECURRENT.replace("INIT", init).replace("READOUT", readout)
    return Known(code, Metric.RECURRENT_GAIN, "rnn", gain, 1.0, 30)


ORTHOGONAL = "nn.init.orthogonal_(self.rnn.weight_hh_l0)"
KNOWN = {
    "sigmoid chain": _chain("Sigmoid", 0.141),
    "relu chain": _chain("ReLU", 0.408),
    "linear chain": _chain("Identity", 0.577),
    "default variance": Known(
        CHAIN.replace("ACTIVATION", "ReLU"), Metric.WEIGHT_VARIANCE, "head.weight", 1 / 3, 0.05
    ),
    "steady residual": _residual(0.01, Metric.ACTIVATION_SCALE, 0.03),
    "plain attention": Known(ATTENTION.replace("STD", "0.0625"), Metric.SATURATION, "", 0.99, 0.02),
    "narrow attention": Known(ATTENTION.replace("STD", "0.005"), Metric.SATURATION, "", 0.0, 0.02),
    "dead outputs": Known(DEAD.replace("COUNT", "60"), Metric.DEAD_UNITS, "net.1", 0.6, 1e-6),
    "starved outputs": Known(DEAD.replace("COUNT", "60"), Metric.DEAD_UNITS, "net.0", 0.6, 1e-6),
    "alive": Known(DEAD.replace("COUNT", "0"), Metric.DEAD_UNITS, "net.1", 0.0, 1e-6),
    "one zero factor": _adapted("[self.b]", "a.weight", 1.0),
    "two zero factors": _adapted("[self.a, self.b]", "a.weight", 1 / 8),
    "last state": _recurrent("pass", "[:, -1]", 29 * math.log10(0.505)),
    "last state, orthogonal": _recurrent(ORTHOGONAL, "[:, -1]", 29 * math.log10(0.791)),
    "all states": _recurrent("pass", "", 0.0),
    "cell": Known(CELL, Metric.RECURRENT_GAIN, "cell", 19 * math.log10(0.415), 0.6, 20),
}
"""Values from the tables of gains per layer and per step; what is counted is exact."""


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
def test_measurements_are_what_theory_knows(known: Known) -> None:
    assert known.measured() == pytest.approx(known.value, abs=known.tolerance)


RULES = [rule for rule in load() if subject_of(rule) is Model]
UNTRAINED = frozenset({"GRD702-the places of the largest scores and nothing else"})
"""Good cases to which no gradient comes, as is meant: they choose for models that train without them."""


def _cases(kind: str) -> list[Any]:
    return [
        pytest.param(rule, code, id=f"{rule.id}-{name}")
        for rule in RULES
        for name, code in getattr(rule, kind).items()
    ]


def _claims(rule: type[Rule], code: str) -> list[Claim]:
    claims = [finding.claim for finding in check_text(code, [rule])]
    return [claim for claim in claims if claim is not None and claim.metric in measure.METRICS]


def _subject(code: str, claim: Claim) -> Any:
    name = claim.subject.partition(":")[0]
    (graph,) = [graph for graph in measure.graphs(code) if graph.name == name]
    return measure.Subject(code, graph, measure.steps_of(claim), updates=measure.updates_of(claim))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_claims_something_or_says_why_not(rule: type[Rule]) -> None:
    claims = [_claims(rule, code) for code in rule.bad.values()]
    section = (inspect.getdoc(rule) or "").partition("### How it is verified")[2].partition("###")[0]
    assert all(claims) or "no claim" in section.lower()


@pytest.mark.parametrize(("rule", "code"), _cases("bad"))
def test_bad_cases_are_confirmed_as_predicted(rule: type[Rule], code: str) -> None:
    for claim in _claims(rule, code):
        value = measure.measured(claim, _subject(code, claim), claim.subject.partition(":")[2])
        assert is_beyond(value, claim), f"measured {value:.3g}, refutes {claim}"
        assert agrees(value, claim), f"measured {value:.3g}, not as predicted: {claim}"


def _mildest(rule: type[Rule]) -> Iterator[Claim]:
    """For every metric that a rule claims, and each direction, the claim that is confirmed most easily."""
    found: dict[tuple[Metric, bool], Claim] = {}
    for claim in [claim for code in rule.bad.values() for claim in _claims(rule, code)]:
        is_rising = rises(claim)
        known = found.setdefault((claim.metric, is_rising), claim)
        if (claim.bound < known.bound) == is_rising:
            found[claim.metric, is_rising] = claim
    yield from found.values()


@pytest.mark.parametrize(("rule", "code"), [case for case in _cases("good") if case.id not in UNTRAINED])
def test_good_cases_are_refuted(rule: type[Rule], code: str) -> None:
    claims, graph = list(_mildest(rule)), measure.graphs(code)[0]
    subjects = {n: measure.Subject(code, graph, updates=n) for n in set(map(measure.updates_of, claims))}
    for claim in claims:
        subject = subjects[measure.updates_of(claim)]
        for name in measure.CANDIDATES[claim.metric](subject):
            value = measure.measured(claim, subject, name)
            assert math.isnan(value) or not is_beyond(value, claim), f"{name}: {value:.3g}, {claim}"
