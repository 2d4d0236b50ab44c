"""Models are built without help: of a project only what the model needs is run, the rest is found."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from gradlint.records.evidence import Verdict
from gradlint.records.finding import Claim, Metric
from gradlint.verify.client import Worker
from gradlint.verify.plan import Target, graphs, task
from gradlint.verify.request import Request, TargetSettings
from gradlint.verify.stamp import measured, remedy
from gradlint.verify.worker.protocol import Failure, Reply

pytestmark = pytest.mark.torch
pytest.importorskip("torch")

REQUEST = Request(sys.executable, seconds=30.0)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(sys.executable) as worker:
        yield worker


class Case(NamedTuple):
    """The file with the target, other files by name, what was built, and the arguments that were found."""

    code: str
    files: dict[str, str] = {}
    name: str = "Net"
    path: str = "model.py"
    inputs: str = ""
    arguments: dict[str, str] = {}


NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, SIGNATURE):
        super().__init__()
        SETUP

    def forward(self, INPUTS):
        return RESULT
"""


INNER = """
from torch import nn

class Inner(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.layer = nn.Linear(dim, 8)

    def forward(self, x):
        return self.layer(x)
"""
SETTINGS = """
class Settings:
    def __init__(self, vocab_size=30000, hidden_size=768, num_heads=12):
        self.vocab_size, self.hidden_size, self.num_heads = vocab_size, hidden_size, num_heads
"""
MADE = """
from torch import nn

def made(dim, **rest):
    assert 'depth' in rest, '`depth` must be given'
    return nn.Sequential(*[nn.Linear(dim, dim) for _ in range(rest['depth'])])
"""


def net(
    signature: str, setup: str, inputs: str = "x", result: str = "self.layer(x)", before: str = ""
) -> str:
    body = setup.replace("\n", "\n        ")
    code = NET.replace("SIGNATURE", signature).replace("SETUP", body)
    return before + code.replace("INPUTS", inputs).replace("RESULT", result)


LINEAR = "self.layer = nn.Linear(24, 8)"
PARTS = "from torch import nn\n\ndef block():\n    return nn.Linear(24, 8)\n"
SCRIPT = """
import argparse, urllib.request
parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--hidden", type=int, default=24)
args = parser.parse_args()
data = open(args.data).read()
urllib.request.urlretrieve("http://192.0.2.1/x", "x")
"""
TRAINING = """
model = Net()
optimizer = torch.optim.SGD(model.parameters(), 0.1)
while True:
    optimizer.zero_grad()
    model(torch.randn(2, 24)).sum().backward()
    optimizer.step()
"""
MAIN = """
def main():
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--width", type=int, default=40)
    args = parser.parse_args()
    activations = {"tanh": nn.Tanh}
    with open(args.data) as data:
        model = Net(args.width, activations["tanh"])
        for x in data:
            model(x).sum().backward()

if __name__ == "__main__":
    main()
"""
MAIN_SEQUENCE = """
import torch
from torch import nn

def main():
    width = 40
    data = open("no such file")
    layers = [nn.Linear(width, width)]
    model = nn.Sequential(*layers, nn.Tanh())
    model.append(nn.Linear(width, 3))
    while True:
        model(data).sum().backward()
"""
DATA = """
import pandas_absent as pd
table = pd.read_csv("data.csv")
n_features = table.shape[1]
"""
NOTEBOOK = {
    "cells": [
        {"cell_type": "code", "source": [line], "metadata": {}, "outputs": [], "execution_count": None}
        for line in (
            "%matplotlib inline\\n",
            net("width=24", "self.layer = nn.Linear(width, 8)"),
            "while True: pass",
        )
    ],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}

CASES = {
    "a class": Case(net("", LINEAR), inputs="float32[64,24]"),
    "a script that trains without end": Case(net("", LINEAR) + TRAINING, inputs="float32[64,24]"),
    "a script that reads and downloads": Case(SCRIPT + net("", LINEAR), inputs="float32[64,24]"),
    "a factory": Case(net("", LINEAR) + "\ndef make_net(width=3):\n    return Net()", name="make_net"),
    "a sequence of the module": Case(
        "from torch import nn\nnet = nn.Sequential(nn.Linear(24, 2))", name="net"
    ),
    "options with defaults": Case(
        SCRIPT.replace('parser.add_argument("data")\n', "").replace("open", "print")
        + net("", "self.layer = nn.Linear(args.hidden, 8)"),
        inputs="float32[64,24]",
    ),
    "a function of the module": Case(
        net(
            "", "self.layer = nn.Linear(WIDTH, 8)", before="def width():\n    return 24\n\nWIDTH = width()\n"
        ),
        inputs="float32[64,24]",
    ),
    "a registry that a loop fills": Case(
        net(
            "kind='wide'",
            "self.layer = nn.Linear(WIDTHS[kind], 8)",
            before="WIDTHS = {}\nfor name, size in (('wide', 24), ('thin', 4)):\n    WIDTHS[name] = size\n",
        ),
        inputs="float32[64,24]",
    ),
    "relative imports": Case(
        net("", "self.layer = block()", before="from .parts import block\n"),
        {
            "shop/__init__.py": "raise RuntimeError('no database')",
            "shop/parts.py": f"{PARTS}\nprint(open('no'))",
        },
        path="shop/model.py",
        inputs="float32[64,24]",
    ),
    "a module beside the folder": Case(
        net("", "self.layer = block()", before="from library.parts import block\n"),
        {
            "pyproject.toml": "",
            "library/__init__.py": "",
            "library/parts.py": PARTS,
        },
        path="scripts/train.py",
        inputs="float32[64,24]",
    ),
    "packages that are not installed": Case(
        net(
            "",
            LINEAR,
            before="import wandb_absent as wandb\nfrom einops_absent import rearrange\n"
            "@wandb.watch\ndef f(): ...\n",
        ),
        inputs="float32[64,24]",
    ),
    "a base class that is not installed": Case(
        net("", LINEAR, before="import lightning_absent as pl\n").replace("nn.Module", "pl.LightningModule"),
        inputs="float32[64,24]",
    ),
    "a notebook": Case(json.dumps(NOTEBOOK), path="model.ipynb", inputs="float32[64,24]"),
    "a call in the project": Case(
        net("width", "self.layer = nn.Linear(width, 8)") + "\ndef main():\n    model = Net(40)\n",
        inputs="float32[64,40]",
        arguments={"width": "40"},
    ),
    "a list from a call": Case(
        net("sizes", "self.layer = nn.Linear(sizes[0], sizes[1])") + "\ndef main():\n    Net([40, 8])\n",
        inputs="float32[64,40]",
    ),
    "a configuration by attributes": Case(
        net("config", "self.layer = nn.Linear(config.hidden_size, config.num_labels)"),
        arguments={"config.num_labels": "10"},
    ),
    "a configuration by keys": Case(
        net("cfg", "self.layer = nn.Linear(cfg['model']['width'], cfg.get('classes', 5))"),
        inputs="float32[64,32]",
    ),
    "a dataclass": Case(
        net(
            "config: Config",
            "self.layer = nn.Linear(config.width, config.classes)",
            before="from dataclasses import dataclass\n\n@dataclass\nclass Config:\n"
            "    width: int\n    classes: int = 24\n",
        ),
        inputs="float32[64,32]",
    ),
    "a list of sizes": Case(
        net("widths", "self.layer = nn.Sequential(*[nn.Linear(a, b) for a, b in zip(widths, widths[1:])])")
    ),
    "a choice": Case(
        net("mode", "if mode not in ('sum', 'mean'):\n    raise ValueError(mode)\n" + LINEAR),
        inputs="float32[64,24]",
    ),
    "a choice by assertion": Case(net("mode", "assert mode in ['a', 'b']\n" + LINEAR)),
    "a key of a table": Case(net("kind", "self.layer = {'wide': nn.Linear(24, 8)}[kind]")),
    "a divisor": Case(net("dim, heads", "assert dim % heads == 0\nself.layer = nn.Linear(dim, heads)")),
    "an activation": Case(net("act", LINEAR + "\nself.act = act()", result="self.act(self.layer(x))")),
    "an image": Case(net("", "self.layer = nn.Conv2d(3, 8, 3)"), inputs="float32[64,3,32,32]"),
    "an image of one size": Case(
        net(
            "",
            "self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)\nself.layer = nn.Linear(4 * 48 * 48, 8)",
            result="self.layer(self.conv(x).flatten(1))",
        ),
        inputs="float32[64,3,96,96]",
    ),
    "words": Case(
        net("", "self.e = nn.Embedding(50, 24)\n" + LINEAR, "ids", "self.layer(self.e(ids))"),
        inputs="int64<50[64,8]",
    ),
    "words and a mask": Case(
        net(
            "",
            "self.e = nn.Embedding(50, 24)\nself.a = nn.MultiheadAttention(24, 2, batch_first=True)\n"
            + LINEAR,
            "input_ids, attention_mask",
            "self.layer(self.a(*[self.e(input_ids)] * 3, key_padding_mask=~attention_mask)[0])",
        ),
        inputs="int64<50[64,8] bool[64,8]",
    ),
    "a sequence": Case(
        net("", "self.rnn = nn.LSTM(12, 24)\n" + LINEAR, result="self.layer(self.rnn(x)[0])"),
    ),
    "two inputs of different widths": Case(
        net("", "self.a, self.b = nn.Linear(5, 8), nn.Linear(7, 8)", "x, y", "self.a(x) + self.b(y)"),
        inputs="float32[64,5] float32[64,7]",
    ),
    "inputs that are joined": Case(
        net("", "self.layer = nn.Linear(30, 8)", "x, y", "self.layer(torch.cat([x, y], 1))"),
    ),
    "inputs by name": Case(net("", LINEAR, "*, x", "self.layer(x)"), inputs="float32[64,24]"),
    "a tuple of results": Case(net("", LINEAR, result="{'out': self.layer(x), 'n': (x, 3)}")),
    "a result that holds itself": Case(
        net("", LINEAR, result="[d := {'out': self.layer(x)}, d.update(own=[d])][0]"),
    ),
    "batch statistics": Case(
        net("", "self.n = nn.BatchNorm1d(24)\n" + LINEAR, result="self.layer(self.n(x))"),
        inputs="float32[64,24]",
    ),
    "a call within main": Case(
        net("width, act", "self.layer = nn.Sequential(act(), nn.Linear(width, 8))") + MAIN,
        inputs="float32[64,40]",
        arguments={"width": "40", "act": "nn.Tanh"},
    ),
    "a sequence that main trains": Case(MAIN_SEQUENCE, name="main", inputs="float32[64,40]"),
    "a sequence that a script trains": Case(
        SCRIPT + MAIN_SEQUENCE.replace("def main():", "if True:") + "\nmodel = model.cuda()\n",
        name="model",
        inputs="float32[64,40]",
    ),
    "a sequence without a name": Case(
        "from torch import nn\nfrom absent import fit\nfit(nn.Sequential(nn.Linear(24, 2), nn.Tanh()))\n",
        name="Sequential",
        inputs="float32[64,24]",
    ),
    "a sequence that a loop fills by options": Case(
        SCRIPT + "from torch import nn\nparts = []\nfor _ in range(3):\n"
        "    parts.append(nn.Linear(args.hidden, args.hidden))\nnet = nn.Sequential(*parts)\n",
        name="net",
        inputs="float32[64,24]",
    ),
    "a size of data that is not there": Case(
        net("", "self.layer = nn.Linear(n_features, 8)", before=DATA), inputs="float32[64,16]"
    ),
    "weights that are not there": Case(
        net("", LINEAR) + "\nmodel = Net()\nmodel.load_state_dict(torch.load('weights.pt'))\n",
        inputs="float32[64,24]",
    ),
    "hyperparameters of a trainer": Case(
        net(
            "width=24",
            "self.save_hyperparameters()\nself.layer = nn.Linear(self.hparams.width, 8)",
            before="import lightning_absent as pl\n",
        ).replace("nn.Module", "pl.LightningModule")
        + "\npl.Trainer().fit(Net())\n",
        inputs="float32[64,24]",
    ),
    "a graphics card that is not there": Case(
        net(
            "",
            "self.layer = nn.Linear(24, 8).cuda()\nself.w = nn.Parameter(torch.ones(8, device='cuda:0'))",
            result="self.layer(x.to(torch.device('cuda'))) * self.w + torch.cuda.FloatTensor(8).zero_()",
        ),
        inputs="float32[64,24]",
    ),
    "a tuple that is asked for": Case(
        net(
            "depths, features=None",
            "assert isinstance(depths, tuple), 'one number per stage'\nassert features is not None\n"
            "self.layer = nn.Linear(features, 8 * len(depths))",
        ),
        arguments={"depths": "(2, 2, 2, 2)", "features": "16"},
    ),
    "a multiple": Case(
        net(
            "image_size, patch=12",
            "assert image_size % patch == 0\nself.layer = nn.Conv2d(3, 8, patch, patch)\n"
            "self.p = nn.Parameter(torch.zeros((image_size // patch) ** 2))",
            result="self.layer(x).flatten(2) + self.p",
        ),
        inputs="float32[64,3,48,48]",
        arguments={"image_size": "48"},
    ),
    "a model within a model": Case(
        net("encoder", "self.layer = nn.Linear(encoder.positions.shape[1], 8)", result="self.layer(x)")
        + "\nclass Encoder(nn.Module):\n    def __init__(self, dim):\n        super().__init__()\n"
        "        self.positions = nn.Parameter(torch.zeros(9, dim))\n",
        inputs="float32[64,16]",
    ),
    "a model of a class": Case(
        net("inner: Inner", "self.inner = inner", result="self.inner(x)", before=INNER),
        inputs="float32[64,16]",
    ),
    "settings that have defaults": Case(
        net(
            "config: Settings",
            "self.e = nn.Embedding(config.vocab_size, config.hidden_size)\n"
            "self.a = nn.MultiheadAttention(config.hidden_size, config.num_heads, batch_first=True)",
            "input_ids=None, decoder_input_ids=None",
            "self.a(*[self.e(input_ids)] * 3)[0] + self.e(decoder_input_ids)",
            before=SETTINGS,
        ).replace(
            "        return",
            "        if decoder_input_ids is None:\n"
            "            raise ValueError('no input_ids')\n        return",
        ),
        inputs="int64<100[64,8] int64<100[64,8]",
    ),
    "what something behind takes": Case(
        net("**named", "self.layer = made(**named)", before=MADE), arguments={"dim": "16", "depth": "2"}
    ),
    "lengths": Case(
        net(
            "",
            "self.rnn = nn.GRU(12, 24, batch_first=True)\n" + LINEAR,
            "x, lengths",
            "self.layer(self.rnn(nn.utils.rnn.pack_padded_sequence(x, lengths, True))[1])",
        ),
        inputs="float32[64,8,12] int64<9[64]",
    ),
    "lazy layers": Case(net("", "self.layer = nn.LazyLinear(8)")),
}


def ask(worker: Worker, folder: Path, case: Case, request: Request = REQUEST) -> Reply:
    for name, text in (*case.files.items(), (case.path, case.code)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    path = str(folder / case.path)
    known = {graph.name: graph for graph in graphs(path)}
    return worker.ask(task(0, Target(path, case.name, known.get(case.name)), [], request, wants_flow=True))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_target_is_built_and_run(worker: Worker, tmp_path: Path, case: Case) -> None:
    reply = ask(worker, tmp_path, case)
    assert reply.failure is None, reply.failure
    assert reply.built is not None
    assert any(layer.gradient is not None for layer in reply.layers)
    if case.inputs:
        assert " ".join(each.expression for each in reply.built.inputs) == case.inputs
    found = {each.name: each.expression for each in reply.built.arguments}
    assert case.arguments.items() <= found.items()


FORMS = {
    "the constructor raises TypeError: argument after ** must be a mapping, not int": "{'<key>': <value>}",
    "the constructor raises TypeError: int is not a Module subclass": "nn.<Module>(<arguments>)",
    "the constructor raises ValueError: a word that nobody guesses": "<value>",
    "Expected 3D (unbatched) or 4D (batched) input to conv2d": "float32[8,3,32,32]",
    "forward raises KeyError: 7": "<dtype>[<sizes>]",
}


@pytest.mark.parametrize("reason", FORMS)
def test_the_form_of_what_is_missing_is_that_of_the_reason(reason: str) -> None:
    is_input = "constructor" not in reason
    line = remedy(Failure("running", reason, "given", is_input=is_input), "model", "Net")
    settings = msgspec.toml.decode(line.replace("] ", "]\n", 1))["tool"]["gradlint"]["verify"]["targets"]
    assert settings == {"model:Net": {"inputs" if is_input else "arguments": {"given": FORMS[reason]}}}


MISSING = {
    "an argument": (net("plan", "self.layer = nn.Linear(*plan.of('x')[3:5])"), "arguments = { plan ="),
    "an input": (net("", LINEAR, result="self.layer(x.graph.nodes['a'])"), "inputs = { x ="),
    "a package": (net("", LINEAR + "\nabsent.go()[0]", before="import absent\n"), ""),
    "a package in use": (net("", LINEAR + "\nself.n = sum([1, absent.size])", before="import absent\n"), ""),
    "a file": (net("", "self.w = W", before="W = open('weights.txt').read()\n"), ""),
}


@pytest.mark.parametrize(("code", "line"), MISSING.values(), ids=MISSING)
def test_the_one_missing_thing_is_named(worker: Worker, tmp_path: Path, code: str, line: str) -> None:
    reply = ask(worker, tmp_path, Case(code))
    assert reply.failure is not None
    assert line in remedy(reply.failure, "model", "Net")
    assert bool(line) == bool(remedy(reply.failure, "model", "Net"))
    if "absent" in code:
        assert "needs absent, which is not installed" in reply.failure.reason
    if "weights.txt" in code:
        assert "No such file" in reply.failure.reason


INITIALISED = """
import torch
from torch import nn

def start(model):
    for p in model.parameters():
        nn.init.normal_(p, 0, 5.0)

def main():
    model = nn.Sequential(nn.Linear(100, 10), nn.Tanh())
    start(model)
    model.load_state_dict(torch.load("weights.pt"))
    model(torch.load("data.pt")).sum().backward()
"""


@pytest.mark.parametrize("name", ["main", "model"])
def test_functions_that_write_to_a_model_are_run(worker: Worker, tmp_path: Path, name: str) -> None:
    code = INITIALISED if name == "main" else INITIALISED.replace("def main():", "if True:")
    code = (
        code
        if name == "main"
        else code.replace("    model(torch", "    print(torch").replace(".sum().backward()", "")
    )
    reply = ask(worker, tmp_path, Case(code, name=name))
    assert reply.failure is None, reply.failure
    assert reply.layers[0].scale == pytest.approx(math.log10(50), abs=0.2)


def by_hand(bend: str, scale: str) -> str:
    return f"""
import numpy as np

def softmax(z):
    e = np.exp({bend})
    return e / e.sum(axis=1, keepdims=True)

class Net:
    def __init__(self, inputs=200):
        self.layers = {{"w": np.random.randn(inputs, 50) {scale}, "v": np.random.randn(50, 10)}}

    def forward(self, x):
        h = np.tanh(x @ self.layers["w"])
        return softmax(h @ self.layers["v"])
"""


@pytest.mark.parametrize(
    ("bend", "scale", "expected"),
    [
        ("z", "", (Verdict.CONFIRMED, Verdict.CONFIRMED)),
        ("z - z.max(1, keepdims=True)", "* 0.01", (Verdict.REFUTED, Verdict.REFUTED)),
    ],
)
def test_a_network_of_arrays_is_run(
    worker: Worker, tmp_path: Path, bend: str, scale: str, expected: tuple[Verdict, Verdict]
) -> None:
    pytest.importorskip("numpy")
    path = tmp_path / "net.py"
    path.write_text(by_hand(bend, scale))
    saturated = Claim(Metric.SATURATION, "Net.forward:13", 0.5, 0.8)
    overflows = Claim(Metric.NON_FINITE_VALUE, "Net.forward:softmax", math.inf, math.nan, "logits of 1000")
    target = Target(str(path), "Net.forward")
    found = [measured(worker, target, [claim], REQUEST)[0] for claim in (saturated, overflows)]
    assert tuple(each.verdict for each in found) == expected, found


def test_what_is_configured_is_used(worker: Worker, tmp_path: Path) -> None:
    code = net(
        "width, act", "self.layer, self.act = nn.Linear(width, 8), act", result="self.act(self.layer(x))"
    )
    settings = TargetSettings((("width", "6 * 2"), ("act", "nn.Tanh()")), (("x", "float32", (5, 12)),))
    request = Request(sys.executable, targets={"model:Net": settings})
    reply = ask(worker, tmp_path, Case(code), request)
    assert reply.built is not None
    assert [(a.expression, a.origin) for a in reply.built.arguments] == [
        ("12", "configuration"),
        ("Tanh()", "configuration"),
    ]
    assert [a.expression for a in reply.built.inputs] == ["float32[5,12]"]
