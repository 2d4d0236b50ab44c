"""The graph of a model that was only read says what a real forward and backward pass do."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gradlint.flow.chain import longest_chain
from gradlint.flow.linear_layers import fan_in, width_of
from gradlint.flow.propagate import is_weighted, propagate
from gradlint.flow.time import repeated
from gradlint.graph.build import Builder
from gradlint.lint.models import models
from gradlint.records.graph import ModelGraph
from gradlint.semantics.project import Project
from gradlint.syntax.extract import extract, lower_omitted

HEAD = """
import functools
import math
from collections import OrderedDict
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
import torch as t
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

"""

MODELS = {
    "a list that is filled in a loop": """
class Net(nn.Module):
    def __init__(self, depth=5, width=32, act=nn.Tanh):
        super().__init__()
        layers = [nn.Linear(16, width), act()]
        for _ in range(depth):
            layers += [nn.Linear(width, width), act()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, 4)

    def forward(self, x):
        return self.head(self.body(x))
""",
    "blocks in a comprehension, with a norm that may be left out": """
class Block(nn.Module):
    def __init__(self, width, norm_layer=None):
        super().__init__()
        self.norm = norm_layer(width) if norm_layer is not None else nn.Identity()
        self.inner = nn.Linear(width, 2 * width)
        self.outer = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.outer(F.gelu(self.inner(self.norm(x))))


class Net(nn.Module):
    def __init__(self, depth=4):
        super().__init__()
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.embed = nn.Linear(16, 32)
        self.blocks = nn.ModuleList([Block(32, norm) for _ in range(depth)])

    def forward(self, x):
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return x
""",
    "modules by name, initialised through apply": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        for index in range(4):
            self.add_module("lay" + f"er{index}", nn.Linear(16, 16))
        self.apply(self._init)

    @staticmethod
    def _init(module):
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)

    def forward(self, x):
        x = torch.relu(self.layer0(x))
        x = self.layer1(x).relu()
        return self.layer3(F.relu(self.layer2(x)))
""",
    "names from a pattern, one layer initialised apart": """
class Net(nn.Module):
    def __init__(self, depth=3):
        super().__init__()
        self.body = nn.Sequential()
        for index in range(depth):
            self.body.add_module("layer%d" % (index + 1), nn.Linear(16, 16))
            self.body.add_module("act%d" % index, nn.ReLU())
        last = nn.Linear(16, 16)
        self.tail = nn.Sequential(last, nn.Linear(16, 4))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                if module is last:
                    nn.init.normal_(module.weight, std=0.01)
                else:
                    nn.init.kaiming_normal_(module.weight)

    def forward(self, x):
        return self.tail(self.body(x))
""",
    "an ordered dictionary and activations by name": """
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


class Net(nn.Module):
    def __init__(self, act="tanh"):
        super().__init__()
        self.body = nn.Sequential(
            OrderedDict([("one", nn.Linear(16, 24)), ("act", ACTIVATIONS[act]()), ("two", nn.Linear(24, 24))])
        )
        self.act = getattr(F, "leaky_relu")
        self.heads = nn.ModuleDict({"a": nn.Linear(24, 8), "b": nn.Linear(24, 8)})

    def forward(self, x):
        x = self.act(self.body(x), 0.2)
        return torch.cat([head(x) for head in self.heads.values()], dim=-1)
""",
    "inheritance, a configuration and copies": """
@dataclass
class Config:
    width: int = 16
    depth: int = 3


class Base(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        layer = nn.Linear(config.width, config.width)
        self.layers = nn.ModuleList([deepcopy(layer) for _ in range(config.depth)])
        for name, parameter in self.named_parameters():
            if "weight" in name:
                nn.init.orthogonal_(parameter, 1.4)

    def forward(self, x):
        for i, layer in enumerate(self.layers):
            x = layer(x) if i == 0 else layer(torch.sigmoid(x))
        return self.finish(x)


class Net(Base):
    def __init__(self, config: Config = Config(depth=5)):
        super().__init__(config)
        self.out = nn.Linear(config.width, 2, bias=False)

    def finish(self, x):
        return self.out(x)
""",
    "a derived Sequential within a derived layer's company": """
class Unit(nn.Sequential):
    def __init__(self, width):
        super().__init__(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True))


class Scaled(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 0.5


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.units = nn.Sequential(*[Unit(16) for _ in range(3)])
        self.scaled = Scaled(16, 16)

    def forward(self, x):
        for unit in self.units[:2]:
            x = unit(x)
        return self.scaled(self.units[2](x))
""",
    "early returns, helpers and tuples": """
def make(width, n):
    return [nn.Linear(width, width) for _ in range(n)]


class Net(nn.Module):
    def __init__(self, use_skip=True):
        super().__init__()
        self.use_skip = use_skip
        self.first, self.second, self.third = make(16, 3)
        self.gate = nn.Linear(16, 16)

    def split(self, x):
        return self.first(x), self.gate(x)

    def forward(self, x, mask=None):
        y, g = self.split(x)
        if mask is not None:
            y = y * mask
        if self.use_skip:
            x = self.second(x + y * g.sigmoid())
            return self.third(x)
        return self.third(y)
""",
    "decorators, static methods and lists that are emptied": """
def twice(function):
    @functools.wraps(function)
    def wrapper(self, x, **options):
        return function(self, function(self, x), **options)
    return wrapper
class Act(nn.Module):
    @staticmethod
    def forward(x):
        return torch.tanh(x)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.act = nn.Linear(16, 16), Act()
        self.down = nn.ModuleList([nn.Linear(16, 16) for _ in range(3)])
        self.up = nn.ModuleDict({f"up{i}": nn.Linear(16, 16) for i in range(3)})
        self.head = nn.Linear(16, 4)
    @twice
    def body(self, x):
        return self.act(self.first(x))
    def forward(self, x):
        x = self.body(x)
        skips = []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        for name in self.up.keys():
            x = torch.tanh(self.up[name](x + skips.pop()))
        first, *rest = [x, x]
        return self.head(first + rest[0])
""",
    "loops with a test": """
class Net(nn.Module):
    def __init__(self, width=16, least=4, depth=3):
        super().__init__()
        self.body, self.count = nn.Sequential(), 0
        while True:
            if width <= least:
                break
            self.body.add_module(f"narrow{len(self.body)}", nn.Linear(width, width // 2))
            width //= 2
        stem, left = [], 9
        while left and len(stem) < 2:
            stem.append(nn.Linear(16, 16))
            left -= 1
        self.stem = nn.Sequential(*stem)
        while True:
            self.add_module("fc" + str(self.count), nn.Linear(width, width))
            self.count += 1
            if self.count == depth:
                break

    def forward(self, x):
        x, i = self.body(self.stem(x)), 0
        while True:
            x = torch.tanh(getattr(self, "fc" + str(i))(x))
            i += 1
            if i >= self.count:
                return x
""",
}


def graph_of(tmp_path: Path, code: str) -> ModelGraph:
    path = tmp_path / "model.py"
    path.write_text(HEAD + code)
    (graph,) = models(str(path), "Net")
    return graph


@pytest.mark.torch
@pytest.mark.parametrize("title", MODELS)
def test_layers_stand_in_the_order_in_which_they_run(title: str, tmp_path: Path) -> None:
    model = _model(MODELS[title])
    ran: list[str] = []
    for name, module in model.named_modules():
        if type(module).__name__.startswith(("Linear", "BatchNorm", "LayerNorm", "Scaled")):
            module.register_forward_hook(lambda *_, name=name: ran.append(name))
    model(_torch().randn(8, 16))
    graph = graph_of(tmp_path, MODELS[title])
    assert graph.reasons == {}
    assert [node.module for node in graph.nodes if "weight" in node.parameters] == ran


@pytest.mark.torch
@pytest.mark.parametrize("title", MODELS)
def test_gradients_are_as_predicted(title: str, tmp_path: Path) -> None:
    torch = _torch()
    graph = graph_of(tmp_path, MODELS[title])
    flow = propagate(graph)
    chain = longest_chain(flow)
    assert chain is not None and chain.is_certain
    first, last = graph.nodes[chain.first].module, graph.nodes[chain.last].module
    measured = []
    for seed in range(8):
        torch.manual_seed(seed)
        measured.append(_decades(_model(MODELS[title]), first, last))
    mean = sum(measured) / len(measured)
    assert chain.decades.lo - 0.25 <= mean <= chain.decades.hi + 0.25, (mean, chain.decades)


def test_what_initialisers_leave_is_known_in_the_order_they_ran(tmp_path: Path) -> None:
    code = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 8)
        self.b = nn.Linear(8, 8)
        self.c = nn.Parameter(torch.randn(8, 8) / math.sqrt(8))
        nn.init.normal_(self.a.weight, std=0.02)
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.xavier_uniform_(m.weight, gain=nn.init.calculate_gain("tanh"))
        self.b.weight.data.uniform_(-0.1, 0.1)
        self.b.bias.data.fill_(1.0)

    def forward(self, x):
        return self.b(self.a(x)) @ self.c
"""
    a, b, c = [node for node in graph_of(tmp_path, code).nodes if is_weighted(node)]
    assert a.parameters["weight"].initial.scheme == "xavier_uniform"
    assert a.parameters["weight"].initial.settings == {"gain": pytest.approx(5 / 3)}
    assert (b.parameters["weight"].initial.scheme, b.parameters["bias"].initial.settings) == (
        "uniform",
        {"val": 1.0},
    )
    drawn = c.parameters["weight"].initial
    assert drawn.scheme == "normal"
    assert drawn.factor == pytest.approx(8**-0.5)


def test_inputs_may_be_given_by_name(tmp_path: Path) -> None:
    code = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 8)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), 2)

    def forward(self, x):
        x = F.linear(input=x, weight=self.a.weight)
        x = torch.chunk(input=F.relu(input=x), chunks=2)[0]
        return self.encoder(mask=None)
"""
    graph = graph_of(tmp_path, code)
    assert graph.reasons == {"a layer without inputs": 1}
    whole = graph_of(tmp_path, code.replace("self.encoder(mask=None)", "x"))
    assert [node.op for node in whole.nodes] == ["input", "linear", "relu", "select"]


UNKNOWN = {
    "call": "x = undefined(x)",
    "branch": "x = self.a(x) if n else somewhere.b(x)",
}


@pytest.mark.parametrize("body", UNKNOWN.values(), ids=list(UNKNOWN))
def test_what_is_not_understood_is_unknown_and_counted(body: str, tmp_path: Path) -> None:
    code = f"""
class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.n = n
        self.first = nn.Linear(8, 8)
        self.a = nn.Linear(8, 8)
        self.last = nn.Linear(8, 8)
        self.head = nn.Linear(8, 8)

    def forward(self, x):
        n = self.n
        x = self.first(x)
        {body}
        return self.head(self.last(x))
"""
    graph = graph_of(tmp_path, code)
    chain = longest_chain(propagate(graph))
    assert graph.reasons
    assert chain is not None and not chain.is_certain
    looped = graph_of(tmp_path, code.replace(body, "for _ in range(n): x = self.a(x)"))
    chain = longest_chain(propagate(looped))
    assert [n.op for n in looped.nodes] == ["input", "linear", "linear", "repeat", "linear", "linear"]
    assert chain is not None and not chain.is_certain


def test_a_model_is_constructed_as_its_file_does_it(tmp_path: Path) -> None:
    code = """
class Block(nn.Module):
    def __init__(self, width, act):
        super().__init__()
        self.fc, self.act = nn.Linear(width, width), act
    def forward(self, x):
        return self.act(self.fc(x))
def make(depth, width, **kwargs):
    return Net(Block, [width] * depth, **kwargs)
def small():
    return make(2, 8, act=nn.Tanh())
class Net(nn.Module):
    def __init__(self, block, widths, act, rate):
        super().__init__()
        self.body = nn.Sequential(*[block(width, act) for width in widths])
    def forward(self, x):
        return self.body(x)
"""
    graph = graph_of(tmp_path, code)
    assert not graph.reasons
    assert [node.op for node in graph.nodes] == ["input", "linear", "tanh", "linear", "tanh"]
    assert [node.settings["in_features"] for node in graph.nodes if node.op == "linear"] == [8, 8]


@pytest.mark.parametrize(
    ("body", "ops"),
    [
        ("x[:, 0] = self.a(x)[:, 0]\n        return x", {"linear", "select", "join"}),
        ("x[:, :2] = 0\n        return self.a(x)", {"linear", "masked"}),
        (
            "var, mean = torch.var_mean(self.a(x), dim=1)\n        return var + mean",
            {"linear", "var", "mean", "add"},
        ),
        (
            "y = [f(z) for f, z in zip([self.a, self.b], x)]\n        return y[0] + y[1]",
            {"linear", "select", "add"},
        ),
        (
            "y = 0\n        if x.sum() > 0:\n            y = self.a(x)\n        return y",
            {"linear", "constant", "join"},
        ),
        ("return Out(first=self.a(x))", {"linear"}),
        ("return Out(x, self.a(x)).second", {"linear"}),
        ("return getattr(self, 'a')(self.__getattr__('b')(x))", {"linear"}),
    ],
)
def test_forms_of_code_are_understood(body: str, ops: set[str], tmp_path: Path) -> None:
    code = f"""
class Out(NamedTuple):
    first: Tensor
    second: Tensor = None
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)
    def forward(self, x):
        {body}
"""
    graph = graph_of(tmp_path, code)
    assert not graph.reasons
    assert {node.op for node in graph.nodes} - {"input"} == ops


def test_alternatives_are_joined(tmp_path: Path) -> None:
    code = """
class Net(nn.Module):
    def __init__(self, flag):
        super().__init__()
        self.flag = flag
        self.a = nn.Linear(8, 8)
        self.b = nn.Linear(8, 8)

    def forward(self, x):
        if self.flag:
            x = torch.tanh(self.a(x))
        else:
            x = torch.relu(self.a(x))
        return self.b(x)
"""
    graph = graph_of(tmp_path, code)
    assert graph.reasons == {}
    (join,) = [node for node in graph.nodes if node.op == "join"]
    assert sorted(graph.nodes[number].op for number in join.inputs) == ["relu", "tanh"]


def test_the_command_prints_what_is_predicted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gradlint.cli.main import run

    path = tmp_path / "model.py"
    path.write_text(HEAD + MODELS["a list that is filled in a loop"])
    assert run(["graph", f"{path}::Net", "--arg", "depth=9"]) == 0
    shown = capsys.readouterr().out
    assert "Net(depth=9)" in shown and "from body.0 to body.18, 10 layers with weights" in shown
    assert run(["graph", str(path), "--format", "json"]) == 0
    (described,) = json.loads(capsys.readouterr().out)
    assert [node["op"] for node in described["nodes"]][:3] == ["input", "linear", "tanh"]
    assert run(["graph", str(path), "--format", "dot"]) == 0
    assert capsys.readouterr().out.startswith('digraph "Net" {')
    for words, message in (
        ([f"{path}::Nets"], "did you mean `Net`"),
        ([str(tmp_path / "none.py")], "does not exist"),
        ([str(tmp_path)], "is not a file"),
        ([str(path), "--arg", "depth"], "expected NAME=VALUE"),
        ([str(path), "--arg", "dept=3"], "did you mean `depth`"),
        ([str(path), "--arg", "depth=abc"], "`depth` is a number"),
        ([str(path), "--format", "png"], "`png`"),
        ([], "name a file"),
    ):
        assert run(["graph", *words]) == 2
        assert message in capsys.readouterr().err


def _torch() -> Any:
    return pytest.importorskip("torch")


def _model(code: str) -> Any:
    _torch()
    module = sys.modules["model"] = ModuleType("model")
    exec(compile(HEAD + code, "model.py", "exec"), vars(module))
    return module.Net()


def _decades(model: Any, first: str, last: str) -> float:
    """S = log10(‖δ_first‖₂ / ‖δ_last‖₂) of one backward pass of a random projection of the output."""
    torch = _torch()
    norms: dict[str, float] = {}

    def watch(name: str) -> Any:
        def hook(module: Any, inputs: Any, output: Any) -> None:
            output.register_hook(lambda gradient: norms.__setitem__(name, float(gradient.norm())))

        return hook

    for name in (first, last):
        model.get_submodule(name).register_forward_hook(watch(name))
    output = model(torch.randn(64, 16))
    (output * torch.randn_like(output)).sum().backward()
    return float(torch.tensor(norms[first] / norms[last]).log10())


WEIGHT_FORMS = {
    "x @ self.w": (8, 4),
    "torch.matmul(x, self.w)": (8, 4),
    "x @ self.v.T": (4, 8),
    "x.mm(self.v.t())": (4, 8),
    "F.linear(x, self.w)": (4, 8),
    "F.linear(x, self.v.transpose(0, 1))": (8, 4),
    "self.w @ x": (4, 8),
    "torch.einsum('bi,io->bo', x, self.w)": (8, 4),
    "torch.einsum('oi, ...i -> ...o', self.v, x)": (4, 8),
    "torch.addmm(self.b, x, self.w)": (8, 4),
    "torch.bmm(x, self.u)": (8, 4),
    "torch.einsum('bhi,hio->bo', x, self.u)": (24, 4),
    "x @ self.b": (4, 1),
}


@pytest.mark.parametrize(("form", "sizes"), WEIGHT_FORMS.items(), ids=WEIGHT_FORMS)
def test_bare_weights_add_up_the_right_side(form: str, sizes: tuple[int, int], tmp_path: Path) -> None:
    code = f"""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.w, self.v = nn.Parameter(torch.randn(8, 4)), nn.Parameter(torch.randn(8, 4))
        self.u = nn.Parameter(torch.randn(3, 8, 4))
        self.b = nn.Parameter(torch.randn(4))

    def forward(self, x):
        return {form}
"""
    (layer,) = [node for node in graph_of(tmp_path, code).nodes if is_weighted(node)]
    assert (fan_in(layer), width_of(layer)) == sizes


SEQUENCES = """
import torch.nn as nn
from torch import nn as layers


def start(module):
    if isinstance(module, nn.Linear):
        nn.init.orthogonal_(module.weight)


def block(width):
    return nn.Sequential(nn.Linear(width, width), nn.Tanh())


def deep(depth=3, width=8):
    parts = [block(width) for _ in range(depth)]
    return nn.Sequential(*parts, nn.Linear(width, 2))


body = layers.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)).to("cpu")
body.apply(start)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4, 4))

    def forward(self, x):
        return self.inner(x)


if __name__ == "__main__":
    model = nn.Sequential(nn.Linear(8, 8), body)
"""


def test_sequences_outside_of_classes_are_models(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(SEQUENCES)
    found = {graph.name: graph for graph in models(str(path)) if graph.name != "block"}
    assert list(found) == ["Net", "model", "deep"]
    weights = {name: [n.module for n in graph.nodes if n.parameters] for name, graph in found.items()}
    assert weights["deep"] == ["0.0", "1.0", "2.0", "3"]
    assert weights["model"] == ["0", "1.0", "1.2"]
    schemes = [n.parameters["weight"].initial.scheme for n in found["model"].nodes if n.parameters]
    assert schemes == ["default", "orthogonal", "orthogonal"]


TIED = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 16)
        self.head = nn.Linear(16, 10, bias=False)
        self.head.weight = self.embed.weight
        self.apply(self.draw)

    def draw(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=1.0)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)

    def forward(self, x):
        return self.head(self.embed(x))
"""


def test_of_a_weight_that_two_layers_share_the_last_one_applied_to_decides(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(TIED)
    (graph,) = models(str(path))
    drawn = [node.parameters["weight"].initial.settings for node in graph.nodes if node.parameters]
    assert drawn == [{"std": 1.0}, {"std": 1.0}]


STATE = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(100, 64)
        self.rnn = nn.LSTM(64, 256, 2, batch_first=True)
        self.head = nn.Linear(256, 100)

    def forward(self, x):
        y, state = self.rnn(self.embed(x))
        return RESULT
"""


@pytest.mark.parametrize(
    ("result", "is_bounded"),
    [("self.head(y)", True), ("self.head(state[0][-1])", True), ("(self.head(y), state)", False)],
)
def test_what_comes_by_a_state_beside_the_outputs_is_not_bounded(
    result: str, is_bounded: bool, tmp_path: Path
) -> None:
    path = tmp_path / "model.py"
    path.write_text(STATE.replace("RESULT", result))
    (graph,) = models(str(path))
    chain = longest_chain(propagate(graph))
    assert chain is not None
    assert math.isfinite(chain.decades.lo)
    assert math.isfinite(chain.decades.hi) == is_bounded


def _first_graph(*lines: str, forward: str = "return self.rnn(x)[0][:, -1]") -> Any:
    body = "".join(f"        {line}\n" for line in lines)
    code = (
        "import torch\nfrom torch import nn\n\nclass Net(nn.Module):\n    def __init__(self, n=8):\n"
        f"        super().__init__()\n{body}\n    def forward(self, x):\n        {forward}\n"
    )
    facts = extract(code, {}, outline=True)
    project = Project(lambda _: facts, lambda _, omitted: lower_omitted(code, omitted))
    return next(iter(Builder(project).models(project.scope("<text>.py"), code)))


@pytest.mark.parametrize(
    ("write", "pieces"),
    [
        ("self.rnn.bias_ih_l0.data[n : 2 * n] = 1", [(8, 16)]),
        ("self.rnn.bias_ih_l0[n : 2 * n].data.fill_(1.0)", [(8, 16)]),
        ("nn.init.constant_(self.rnn.bias_ih_l0[-n:], 1.0)", [(24, 32)]),
        ("self.rnn.bias_ih_l0.data.chunk(4)[2].fill_(1)", [(16, 24)]),
        ("self.rnn.bias_ih_l0.data[unknown:].fill_(1)", [(None, None)]),
        ("nn.init.zeros_(self.rnn.bias_ih_l0)", []),
    ],
)
def test_rows_of_a_weight_are_written_apart_from_the_rest(write: str, pieces: list[Any]) -> None:
    graph = _first_graph("self.rnn = nn.LSTM(4, n, batch_first=True)", write)
    (bias,) = [p for p in graph.parameters if p.path == "rnn.bias_ih_l0"]
    assert [(piece.start, piece.stop) for piece in bias.pieces] == pieces


@pytest.mark.parametrize(
    ("forward", "steps"),
    [
        ("return self.rnn(x.view(-1, 28, 4))[0][:, -1]", 28),
        ("return self.rnn(x.unsqueeze(1).repeat(1, 12, 1))[1]", 12),
        ("return self.rnn(x.expand(-1, 30, -1))[0].mean(1)", 30),
        ("return self.rnn(x.reshape(4, -1, 17).permute(1, 2, 0))[0]", 17),
        ("return self.rnn(torch.cat([x.view(-1, 5, 4), x.view(-1, 7, 4)], dim=1))[0]", 12),
        ("return self.rnn(x.view(-1, 28, 4)[:, 3:])[0]", 25),
        ("return self.rnn(x)[0]", None),
        ("return self.rnn(x.view(x.size(0), -1, 4))[0]", None),
    ],
)
def test_the_length_of_a_sequence_is_known_where_the_code_states_it(forward: str, steps: int | None) -> None:
    graph = _first_graph("self.rnn = nn.GRU(4, n, batch_first=True)", forward=forward)
    (layer,) = [node for node in graph.nodes if node.op == "gru"]
    assert layer.settings.get("steps") == steps


HOSTILE = """
import torch
from torch import nn


class Chosen(nn.Module):
    def __init__(self, flags):
        super().__init__()
        self.layers = nn.ModuleList()
        for flag in (flags.a, flags.b, flags.c, flags.d, flags.e, flags.f):
            if flag:
                self.layers.append(nn.Linear(4, 4))
            else:
                self.layers.append(nn.Sigmoid())

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class Lambda(nn.Module):
    forward = lambda self, x: x.exp().exp() ** 500


class Empty(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool, self.norm, self.drop = nn.AvgPool2d(0), nn.GroupNorm(0, 0), nn.Dropout(1.0)

    def forward(self, x):
        return self.drop(self.norm(self.pool(x))) / 0
"""


def test_what_makes_no_sense_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(HOSTILE)
    found = {graph.name: graph for graph in models(str(path))}
    flows = {name: propagate(graph) for name, graph in found.items()}
    assert flows.keys() == {"Chosen", "Lambda", "Empty"}
    assert sum(node.op == "join" for node in found["Chosen"].nodes) == 6, "one of two layers each"
    assert flows["Chosen"].moments[-1].second.hi >= 0.25, "the last one may be a sigmoid"


READ = {
    "list in a loop": (
        "parts = []\n        for _ in range(self.n): parts += [self.a(x)]\n        x = torch.cat(parts, 1)",
        ["linear", "cat"],
    ),
    "comprehension": ("x = torch.stack([self.a(x) for _ in range(self.n)])", ["linear", "stack"]),
    "input list": ("x = self.a(torch.cat(x, dim=1))", ["reshape", "linear"]),
    "rows": ("for a, b in zip([self.a], x.split(2)): x = a(b)", ["select", "linear"]),
    "type in between": (
        "import typing\n        x = typing.cast(int, self.a)(torch.jit.annotate(torch.Tensor, x))",
        ["linear"],
    ),
    "eval": ("x = eval('F.relu')(self.a(x))", ["linear", "relu"]),
    "own module": ("x = getattr(sys.modules[__name__], 'twice')(x)", ["scale"]),
    "globals": ("x = globals()['twice'](x)", ["scale"]),
    "packed": ("x, shapes = pack([x, self.a(x)], 'b *')", ["linear", "cat"]),
    "unpacked": (
        "x, s = pack([x], '* d'); [x] = unpack(self.a(x), s, '* d')",
        ["reshape", "linear", "reshape"],
    ),
    "lerp": ("x = x.lerp(self.a(x), 0.5)", ["linear", "sub", "scale", "add"]),
    "computed weight": ("x = F.linear(x, self.a(x))", ["linear", "matmul"]),
    "some results": ("x = self.some(x)[0]", ["linear", "linear", "join"]),
    "text": ("x = self.act(x)", ["relu", "tanh", "join"]),
}


@pytest.mark.parametrize(("body", "operations"), READ.values(), ids=list(READ))
def test_forms_of_code_that_are_read(body: str, operations: list[str], tmp_path: Path) -> None:
    code = f"""
import sys
from einops import pack, unpack

ACTS = {{"relu": nn.ReLU(), "tanh": nn.Tanh()}}

def twice(x):
    return 2.0 * x

class Net(nn.Module):
    def __init__(self, n, act):
        super().__init__()
        self.n = n
        self.a = nn.Linear(8, 8)
        self.act = ACTS[act] if isinstance(act, str) else act

    def some(self, x):
        return (self.a(x), x) if self.n else (self.a(x),)

    def forward(self, x):
        {body}
        return x
"""
    graph = graph_of(tmp_path, code)
    assert not graph.reasons
    found = [node.op for node in graph.nodes if node.op not in ("input", "repeat")]
    assert found[-len(operations) :] == operations


def test_states_of_loops_over_sequences_of_unknown_length(tmp_path: Path) -> None:
    text = (
        "import torch\nfrom torch import nn\n\nclass Net(nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.inner, self.outer = nn.Linear(3, 4), nn.Linear(4, 4)\n\n"
        "    def forward(self, x):\n        h = torch.zeros(x.size(0), 4)\n        for step in {}:\n"
        "            h = torch.tanh(self.inner({}) + self.outer(h))\n        return h\n"
    )
    over = graph_of(tmp_path, text.format("x.unbind(1)", "step"))
    assert [over.nodes[end].op for _, end in over.states] == ["tanh"]
    assert [found.node.module for found in repeated(over)] == ["outer"]
    again = graph_of(tmp_path, text.format("range(self.rounds)", "x"))
    assert list(repeated(again)) == []


_SPLIT = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, dim=512, heads=2):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, dim * 3)

    def forward(self, x):
        {}
        return q @ k.transpose(-2, -1)
"""


@pytest.mark.parametrize(
    ("lines", "features"),
    [
        ("b, n, c = x.shape; q, k, _ = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads)", 256),
        ("b, n, _ = x.shape; q, k, _ = self.qkv(x).reshape(b, n, 3, self.heads, -1)", 256),
        ("b, n, _ = x.size(); q, k, _ = self.qkv(x.relu()).view(b, n, 3, self.heads, -1)", 256),
        ("n, b, c = x.shape; q, k, _ = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads)", None),
        ("b, n, d, c = x.shape; q, k, _ = self.qkv(x).reshape(b, n, 3, self.heads, -1)", None),
        ("b, n, _ = x.shape; q, k, _ = self.qkv(x.flatten(1)).reshape(b, n, 3, self.heads, -1)", None),
        ("b, n = x.shape[:2]; q, k, _ = self.qkv(x).reshape(b, n, 3, self.heads, -1)", None),
    ],
)
def test_a_size_follows_from_the_others_where_those_in_front_stay(
    lines: str, features: int | None, tmp_path: Path
) -> None:
    code = _SPLIT.format(lines.replace("; ", "\n        ") + ".permute(2, 0, 3, 1, 4)")
    graph = graph_of(tmp_path, code)
    assert graph.nodes[graph.outputs[0]].settings.get("products") == features
