"""Where a model does not say how deep it is, a note says from how many layers on that is a risk."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

import gradlint
from gradlint.lint.check_text import check_text
from gradlint.records.finding import Finding, Severity
from gradlint.rule.registry import load

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, DEPTH):
        super().__init__()
        layers = []
        for _ in range(depth):
            layers += [LAYERS]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(128, 10)
        SETUP

    def forward(self, x):
        return self.head(self.layers(x))
"""
LINEAR = "nn.Linear(128, 128)"
HE = "[nn.init.kaiming_normal_(m.weight, nonlinearity='relu') for m in layers if hasattr(m, 'weight')]"
RULES = load()


def net(layers: str, depth: int | None = None, setup: str = "pass") -> str:
    """A network with so many times these layers; None for not saying how many."""
    given = "depth" if depth is None else f"depth={depth}"
    return NET.replace("LAYERS", layers).replace("DEPTH", given).replace("SETUP", setup)


def notes(code: str) -> list[Finding]:
    return [found for found in check_text(code, RULES) if found.rule in ("GRD101", "GRD102")]


RISKS = {
    "relu": (f"{LINEAR}, nn.ReLU()", "GRD102"),
    "gelu": (f"{LINEAR}, nn.GELU()", "GRD102"),
    "tanh": (f"{LINEAR}, nn.Tanh()", "GRD102"),
    "two layers": (f"{LINEAR}, nn.ReLU(), {LINEAR}, nn.SiLU()", "GRD102"),
    "dropout": (f"{LINEAR}, nn.Dropout(0.2), nn.ReLU()", "GRD102"),
    "sigmoid": (f"{LINEAR}, nn.Sigmoid()", "GRD101"),
    "layer norm, sigmoid": (f"{LINEAR}, nn.LayerNorm(128), nn.Sigmoid()", "GRD101"),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", RISKS)
def test_a_note_says_from_how_many_iterations_on(name: str) -> None:
    """With that many three decades are lost, with fewer hardly; each layer loses what the note says."""
    measure = pytest.importorskip("measure")
    layers, rule = RISKS[name]
    (note,) = notes(net(layers))
    assert (note.rule, note.severity, note.claim) == (rule, Severity.NOTE, None)
    found = re.search(r"\((-[\d.]+) decades\): from (\d+) iterations", note.message)
    assert found is not None
    each, depth = float(found[1]), int(found[2])

    def measured(depth: int) -> float:
        code = net(layers, depth)
        subject = measure.Subject(code, measure.graphs(code)[0])
        (chain,) = measure.chain(subject)
        return float(measure.depth_gain(subject, chain))

    per_iteration = each * layers.count("nn.Linear(")
    assert measured(depth) < -2.9
    assert measured(depth - 1) > -3.0 + per_iteration
    assert (measured(depth + 8) - measured(depth)) / 8 == pytest.approx(per_iteration, abs=0.04, rel=0.05)
    assert not notes(net(layers, max(1, depth // 2)))


HEALTHY = {
    "batch norm": (f"{LINEAR}, nn.BatchNorm1d(128), nn.ReLU()", "pass"),
    "layer norm": (f"{LINEAR}, nn.LayerNorm(128), nn.GELU()", "pass"),
    "he": (f"{LINEAR}, nn.ReLU()", HE),
    "only activations": ("nn.ReLU()", "pass"),
    "norms alone": ("nn.LayerNorm(128)", "pass"),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_said_where_no_layer_loses(name: str) -> None:
    layers, setup = HEALTHY[name]
    assert not notes(net(layers, setup=setup))


def test_nothing_is_said_of_a_depth_that_is_known_and_small() -> None:
    assert not notes(net(f"{LINEAR}, nn.ReLU()", 4))
    (known,) = notes(net(f"{LINEAR}, nn.ReLU()", 24))
    assert known.severity is Severity.WARNING


def test_no_size_needs_to_be_known() -> None:
    """fan_in·Var(w) is 1/3 whatever the fan-in is."""
    known, unknown = (notes(net(f"nn.Linear({d}, {d}), nn.ReLU()")) for d in ("128", "unknown.width"))
    share = math.log10(math.sqrt(1 / 6))
    for (note,) in (known, unknown):
        assert f"({share:.2f} decades)" in note.message


STACK = """
import sys
from torch import nn

TABLE = {"small": (1, 2), "base": (2, 3)}


def stage(depth, width=64):
    layers = [nn.Linear(64, width), nn.ReLU()]
    for _ in range(depth - 1):
        layers += [nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*layers)


class Net(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.depth = depth
        self.layers = nn.ModuleList([nn.Linear(64, 64) for _ in range(self.depth)])
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).relu()
        return self.head(x)


class Staged(nn.Module):
    def __init__(self, name):
        super().__init__()
        first, second = TABLE[name]
        self.layers = nn.Sequential(stage(first), stage(depth=second))
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        return self.head(self.layers(x))
"""
SAYS = "        self.depth = depth"
STATED = {
    "by calls": STACK + "\n\nnets = [Net(2), Net(depth=4)]",
    "by a subclass": STACK + "\n\nclass Deep(Net):\n    def __init__(self):\n        super().__init__(5)\n",
    "by assert": STACK.replace(SAYS, f"        assert depth in (2, 3)\n{SAYS}"),
    "by an error": STACK.replace(
        SAYS, f'        if depth > 4:\n            raise ValueError("depth")\n{SAYS}'
    ),
    "by a table": STACK.replace(SAYS, '        self.depth = {"s": 2, "l": 4}.get(depth)'),
    "by a loop over numbers": STACK + "\n\nfor n in (2, 4):\n    net = Net(n)\n",
}
UNSTATED = {
    "depth": STACK,
    "config.depth": STACK.replace(SAYS, "        self.depth = config.depth").replace("depth):", "config):"),
}
UNSTATED["int"] = STACK + "\n\nnet = Net(int(sys.argv[1]))"


@pytest.mark.parametrize("name", STATED)
def test_nothing_is_said_where_the_code_says_how_many(name: str) -> None:
    assert not notes(STATED[name])


@pytest.mark.parametrize("name", UNSTATED)
def test_the_note_names_what_says_how_many(name: str) -> None:
    (note,) = notes(UNSTATED[name])
    assert note.message.endswith(f"`{'depth' if name == 'int' else name}` says how many there are")


def test_calls_in_other_files_say_how_many(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(STACK)
    (tmp_path / "train.py").write_text("from model import Net\nnet = Net(4)\n")
    model, cache = str(tmp_path / "model.py"), str(tmp_path / "cache")
    assert not gradlint.check([model], isolated=True, cache_dir=cache, select=["GRD102"])
    (tmp_path / "train.py").write_text("from model import Net\nnet = Net(depth_of(net))\n")
    assert [f.rule for f in gradlint.check([model], isolated=True, cache_dir=cache)] == ["GRD102"]
