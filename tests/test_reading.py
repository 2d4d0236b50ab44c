"""Forms in which models are written, and the operations that are read of them, none unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradlint.flow.propagate import propagate
from gradlint.lint.models import models
from gradlint.mathematics.interval import TOP
from gradlint.records.graph import ModelGraph

HEAD = """
import torch
import torch.nn as nn
import torch.nn.functional as F

"""

FORMS: dict[str, tuple[str, str]] = {
    "the forward pass of a layer of torch, called on an object that derives from it": (
        """
class Net(nn.Conv2d):
    def forward(self, x):
        return nn.Conv2d.forward(self, x).relu()
""",
        "conv2d relu",
    ),
    "a layer of torch with another forward pass and the same constructor": (
        """
class Net(nn.GroupNorm):
    def forward(self, x):
        return super().forward(x.float()).type(x.dtype)
""",
        "reshape group_norm reshape",
    ),
    "a forward pass that could be called without anything": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(100, 16), nn.Linear(16, 2)

    def forward(self, ids=None, embedded=None):
        if embedded is None:
            embedded = self.embed(ids)
        return self.head(embedded)
""",
        "embedding linear",
    ),
    "a list of modules that is spread": (
        """
class Net(nn.Module):
    def __init__(self, depth=2):
        super().__init__()
        blocks = nn.ModuleList()
        for _ in range(depth):
            blocks.append(nn.Linear(8, 8))
        self.body = nn.Sequential(nn.Tanh(), *blocks, *[nn.ReLU(), *nn.Sequential(nn.Sigmoid())])

    def forward(self, x):
        return self.body(x)
""",
        "tanh linear linear relu sigmoid",
    ),
    "an arm that only says that it is never reached": (
        """
class Net(nn.Module):
    def __init__(self, kind):
        super().__init__()
        if kind == "relu":
            self.act = nn.ReLU()
        elif kind == "tanh":
            self.act = nn.Tanh()
        else:
            assert False, kind

    def forward(self, x):
        return self.act(x)
""",
        "relu tanh join",
    ),
    "noise added to a number that is not known": (
        """
class Net(nn.Module):
    def __init__(self, keep):
        super().__init__()
        self.keep = keep

    def forward(self, x):
        mask = self.keep + torch.rand([x.size(0), 1], dtype=x.dtype)
        return x / self.keep * torch.floor(mask)
""",
        "scale scale",
    ),
    "a method behind a decorator that calls that of the base": (
        """
def checked(method):
    def wrapper(self, *args):
        return method(self, *args)
    return wrapper

class Base(nn.Module):
    def forward(self, x):
        return x.tanh()

class Net(Base):
    @checked
    def forward(self, x):
        return super().forward(x)
""",
        "tanh",
    ),
    "an object that is called by a method of its own": (
        """
class Inner(nn.Module):
    def __call__(self, x, scale=2.0):
        return super().__call__(x * scale)

    def forward(self, x):
        return x.sigmoid()

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Inner()

    def forward(self, x):
        return self.inner(x)
""",
        "scale sigmoid",
    ),
    "a registry that is a module": (
        """
import sys

class Kind(nn.Module):
    def forward(self, x):
        return x.tanh()

class Second(Kind):
    def forward(self, x):
        return x.sigmoid()

def of_name(name, *args):
    here = sys.modules[__name__]
    kinds = [v for v in vars(here).values() if isinstance(v, type) and issubclass(v, Kind)]
    for kind in kinds:
        if kind.__name__.lower() == name:
            return kind(*args)
    raise ValueError(name)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = of_name("second")

    def forward(self, x):
        return self.inner(x)
""",
        "sigmoid",
    ),
    "settings that an iterator hands out, layer by layer": (
        """
class Net(nn.Module):
    def __init__(self, pattern=("a", "f"), depth=None, widths=(8, 16)):
        super().__init__()
        self.kinds = pattern * depth
        given = iter([{"bias": False}] * len(self.kinds))
        wide = iter(widths)
        self.body = nn.ModuleList([])
        for kind in self.kinds:
            width = next(wide, 8)
            self.body.append(nn.Linear(width, width, **next(given)) if kind == "a" else nn.ReLU())

    def forward(self, x, memory=None):
        memory = [None] * len(x)
        for kind, layer in zip(self.kinds, self.body):
            past = memory.pop() if memory else None
            if (kind == "a" or x.ndim == 2) and past is not None:
                x = layer(past)
            x = layer(x)
        return x
""",
        "linear relu",
    ),
    "results that depend on a flag, one alone or both": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x, alone=True, both=False):
        alone |= both
        hidden = self.a(x)
        if x.requires_grad:
            return self.b(hidden)
        return hidden, hidden if alone else None
""",
        "linear linear",
    ),
    "functions of which nothing is promised": (
        """
class Net(nn.Module):
    def forward(self, x, y):
        left, scale, right = torch.svd(torch.cdist(x, y))
        return torch.atan2(scale, torch.fft.rfft(y)) + left.inverse()
""",
        "cdist svd svd rfft atan2 inverse add",
    ),
    "a product of tensors in a list": (
        """
class Net(nn.Module):
    def forward(self, x):
        return torch.einsum("bi,bi->b", [x, x.tanh()])
""",
        "tanh einsum",
    ),
    "a module that is run on several devices": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Linear(4, 4)

    def forward(self, x):
        return nn.parallel.data_parallel(self.main, x, range(2)).tanh()
""",
        "linear tanh",
    ),
    "a layer of torch constructed by its name within one that derives from it": (
        """
class Mixin:
    pass

class Net(nn.Linear, Mixin):
    def __init__(self, width):
        nn.Linear.__init__(self, width, 2, bias=False)
        self.scale = 2.0

    def forward(self, x):
        return nn.Linear.forward(self, x) * self.scale
""",
        "linear scale",
    ),
    "operands that are named, and a remainder": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Linear(4, 4)

    def forward(self, x):
        return torch.bmm(input=self.main(x), mat2=x) % 3.0
""",
        "linear matmul remainder",
    ),
    "a dictionary of tensors that comes in": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Linear(4, 4)

    def forward(self, batch):
        mask = batch.pop("mask")
        out = {key: self.main(value) for key, value in batch.items()}
        return out["a"] * mask
""",
        "select select linear mul",
    ),
    "items that are folded": (
        """
from functools import reduce

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])

    def forward(self, x):
        return reduce(lambda a, b: a + b, [part(x) for part in self.parts])
""",
        "linear linear linear add add",
    ),
    "a tensor that may be left out elsewhere": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.main, self.side = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x, condition=None):
        return self.main(x) + self.side(condition)
""",
        "linear linear add",
    ),
    "numbers computed by torch that choose a layer": (
        """
from somewhere import Stochastic

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Linear(4, 4)
        rates = [rate.item() for rate in torch.linspace(0, 0.1, 2)]
        self.drop = nn.Identity()
        self.unused = Stochastic(rates[1])

    def forward(self, x):
        return self.drop(self.main(x))
""",
        "linear identity",
    ),
    "a list of numbers that is continued as often as nobody says": (
        """
class Net(nn.Module):
    def __init__(self, width, depth):
        super().__init__()
        layers = []
        for stride in [2] + [1] * (depth - 1):
            layers.append(nn.Conv1d(width, width, 3, stride))
        self.body = nn.Sequential(*layers)

    def forward(self, x):
        return self.body(x)
""",
        "conv1d conv1d",
    ),
    "layers of which one is chosen, and one that may be left out": (
        """
class Net(nn.Module):
    def __init__(self, width, deep, normal):
        super().__init__()
        layers = [nn.Linear(width, width)]
        if deep:
            layers.append(nn.Tanh())
        else:
            layers.append(nn.ReLU())
        if normal == "batch":
            layers.append(nn.BatchNorm1d(width))
        elif normal is not None:
            raise ValueError(normal)
        self.body = nn.Sequential(*layers)
        self.heads = nn.ModuleList()
        if deep:
            self.heads.append(nn.Linear(width, 2))

    def forward(self, x):
        return self.heads[0](self.body(x))
""",
        "linear tanh relu join batch_norm identity join linear identity join",
    ),
    "one of several tensors in a list": (
        """
class Net(nn.Module):
    def __init__(self, deep):
        super().__init__()
        self.deep, self.a, self.b = deep, nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        found = [x]
        if self.deep:
            found.append(self.a(x))
        else:
            found.append(self.b(x))
        return torch.cat(found)
""",
        "linear linear join cat",
    ),
    "blocks that nobody gives": (
        """
class Plain(nn.Module):
    expansion = 1

    def __init__(self, width, planes):
        super().__init__()
        self.main = nn.Linear(width, planes)

    def forward(self, x):
        return self.main(x).relu()

class Wide(Plain):
    expansion = 2

    def __init__(self, width, planes):
        super().__init__(width, planes)
        self.main = nn.Linear(width, 2 * planes)

class Head(nn.Module):
    def forward(self, x):
        return x.exp()

class Net(nn.Module):
    def __init__(self, block, layers):
        super().__init__()
        self.body = nn.Sequential(*[block(64, 64) for _ in range(layers[0])])
        self.head = nn.Linear(64 * block.expansion, 10)

    def forward(self, x):
        return self.head(self.body(x))
""",
        "linear relu linear relu join linear",
    ),
    "what other code imports from transformers": (
        """
from transformers.activations import ACT2FN, get_activation
from transformers.pytorch_utils import Conv1D, apply_chunking_to_forward

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Conv1D(16, 8), nn.Linear(16, 8)
        self.norm = BertLayerNorm(8, eps=1e-6)
        self.act, self.known = ACT2FN["gelu_new"], get_activation("swish")

    def chunk(self, x):
        return self.second(self.act(self.first(x)))

    def forward(self, x):
        return self.known(self.norm(apply_chunking_to_forward(self.chunk, 2, 1, x)))
""",
        "linear gelu linear layer_norm silu",
    ),
    "an activation that a configuration decides": (
        """
from transformers.activations import ACT2FN

class Net(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.main, self.act = nn.Linear(8, 8), ACT2FN[config.hidden_act]

    def forward(self, x):
        return self.act(self.main(x))
""",
        "linear gelu relu silu tanh sigmoid mish leaky_relu join",
    ),
    "positions turned by angles of a base that nobody gives": (
        """
class Net(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.main = nn.Linear(8, 8)
        self.register_buffer("turns", 1.0 / (base ** (torch.arange(0, 8, 2).float() / 8)))

    def forward(self, x):
        return self.main(x) * self.turns.cos()
""",
        "constant reshape scale scale exp reciprocal scale linear cos mul",
    ),
    "attention that is given its weights": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.out = nn.Linear(8, 8)

    def forward(self, x):
        attended, _ = F.multi_head_attention_forward(
            x, x, x, 8, 2, None, torch.cat([self.q.bias, self.k.bias, self.v.bias]), None, None, False, 0.0,
            self.out.weight, self.out.bias, use_separate_proj_weight=True, q_proj_weight=self.q.weight,
            k_proj_weight=self.k.weight, v_proj_weight=self.v.weight,
        )
        return attended
""",
        "parameter parameter parameter cat linear add linear add linear add attention linear",
    ),
}

UNBOUND = """
class Net(Module):
    def __init__(self):
        super().__init__()
        self.main = Sequential(nn.Linear(8, 8), ReLU())

    def forward(self, x):
        return rearrange(F.gelu(self.main(x)), "b (h w) -> b h w", h=2)
"""


def graph_of(tmp_path: Path, code: str) -> ModelGraph:
    path = tmp_path / "model.py"
    path.write_text(HEAD + code)
    return next(graph for graph in models(str(path), "Net"))


def ops(graph: ModelGraph) -> list[str]:
    return [node.op for node in graph.nodes if node.op != "input"]


@pytest.mark.parametrize("form", FORMS)
def test_forms_are_read(form: str, tmp_path: Path) -> None:
    code, expected = FORMS[form]
    graph = graph_of(tmp_path, code)
    assert not graph.reasons
    assert ops(graph) == expected.split()


@pytest.mark.parametrize(("head", "is_read"), [("", True), ("from shapes import *\n", False)])
def test_names_that_nothing_binds_mean_what_they_mean_in_the_field(
    head: str, is_read: bool, tmp_path: Path
) -> None:
    path = tmp_path / "model.py"
    path.write_text(head + UNBOUND)
    found = [ops(graph) for graph in models(str(path), "Net") if graph is not None]
    assert (found == [["linear", "relu", "gelu", "reshape"]]) is is_read


FUNCTION = """
class Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x * torch.sigmoid(weight)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        return grad, None

own = Own.apply

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.weight = nn.Parameter(torch.zeros(4))

    def forward(self, x):
        return {call}(self.first(x), self.weight)
"""


@pytest.mark.parametrize("call", ["Own.apply", "own"])
def test_a_backward_pass_of_its_own_may_give_anything(call: str, tmp_path: Path) -> None:
    graph = graph_of(tmp_path, FUNCTION.replace("{call}", call))
    assert not graph.reasons
    node = graph.nodes[graph.outputs[0]]
    assert (node.op, node.settings["name"]) == ("function", "Own")
    result, weight, data = [graph.nodes[number] for number in node.inputs]
    assert (result.op, weight.op, data.op) == ("detach", "parameter", "linear")
    effect = propagate(graph).effects[node.number]
    assert [gain.hi for gain in effect.gains] == [0.0, TOP.hi, TOP.hi]
    assert not graph.severed


def test_a_forward_pass_that_cannot_be_read_leaves_the_result_unknown(tmp_path: Path) -> None:
    code = FUNCTION.replace("return x * torch.sigmoid(weight)", "return extension.run(x, weight)")
    graph = graph_of(tmp_path, code.replace("{call}", "own"))
    (kernel,) = [node for node in graph.nodes if node.op == "kernel"]
    assert {graph.nodes[number].op for number in kernel.inputs} == {"linear", "detach"}
    moments = propagate(graph).moments[kernel.number]
    assert not moments.is_certain
    assert moments.second.hi == TOP.hi
