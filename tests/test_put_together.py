"""Names of layers that are put together, objects that only hold tensors, kernels of extensions."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradlint.lint.models import models
from gradlint.records.graph import ModelGraph

HEAD = """
import inspect
from collections import namedtuple
import torch
from torch import nn
from torch.nn import functional as F
from mmcv.cnn import ConvModule, build_norm_layer
from torch.quantization import DeQuantStub, QuantStub
from torch.utils.cpp_extension import load
"""
NAMED = """
class Net(nn.Module):
    def __init__(self, count{default}):
        super().__init__()
        self.count = count
        for i in range(count):
            {store}

    def forward(self, x):
        for i in range(self.count):
            x = {read}(x)
        return x
"""
STORED = {
    "format": ("setattr(self, 'layer{}'.format(i), nn.Linear(8, 8))", "getattr(self, 'layer{}'.format(i))"),
    "f-string": ("setattr(self, f'layer{i}', nn.Linear(8, 8))", "getattr(self, f'layer{i}')"),
    "percent": ("self.add_module('a%d_b' % i, nn.Linear(8, 8))", "self._modules['a%d_b' % i]"),
    "sum": ("self.add_module('layer' + str(i), nn.Linear(8, 8))", "self.__getattr__('layer' + str(i))"),
}


def graph_of(tmp_path: Path, code: str) -> ModelGraph:
    path = tmp_path / "model.py"
    path.write_text(HEAD + code)
    (graph,) = models(str(path), "Net")
    return graph


def ops(graph: ModelGraph) -> list[str]:
    return [node.op for node in graph.nodes if node.op != "input"]


@pytest.mark.parametrize("form", STORED)
def test_layers_are_found_under_names_that_are_put_together(form: str, tmp_path: Path) -> None:
    store, read = STORED[form]
    known = graph_of(tmp_path, NAMED.format(default="=3", store=store, read=read))
    assert ops(known) == ["linear"] * 3
    assert len({node.module for node in known.nodes if node.op == "linear"}) == 3
    unknown = graph_of(tmp_path, NAMED.format(default="", store=store, read=read))
    assert ops(unknown) == ["linear", "repeat"] and not unknown.reasons


def test_under_an_unknown_name_there_may_be_any_part(tmp_path: Path) -> None:
    code = """
class Net(nn.Module):
    def __init__(self, name):
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.add_module({name}, nn.Linear(8, 8))

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x
"""
    assert ops(graph_of(tmp_path, code.format(name="'_'.join(['a', 'b'])"))) == ["linear", "linear"]
    assert "unknown" in ops(graph_of(tmp_path, code.format(name="name")))


def test_of_several_layers_under_one_unknown_name_any_may_be_meant(tmp_path: Path) -> None:
    code = """
class Net(nn.Module):
    def __init__(self, name):
        super().__init__()
        self.name, self.a_first = name, nn.Tanh()
        setattr(self, 'a_' + name, nn.Linear(8, 8))
        setattr(self, 'a_' + name, nn.ReLU())

    def forward(self, x):
        return getattr(self, 'a_' + self.name)(self.a_first(x))
"""
    graph = graph_of(tmp_path, code)
    assert ops(graph) == ["tanh", "linear", "relu", "join", "linear", "relu", "join"]


BODIES = {
    "modules": ("for name, layer in self._modules.items(): x = layer(x)", ["linear", "linear"]),
    "modules, written": ("for layer in self._modules.values(): x = layer(x)", ["linear", "linear"]),
    "record": ("out = BaseOutput(hidden=self.a(x), other=x)\n        x = out.hidden", ["linear"]),
    "named tuple": ("x = Pair(x, self.a(x)).second", ["linear"]),
    "function": ("f = self.a\n        x = f(x) if not inspect.isfunction(f) else 0", ["linear"]),
    "factors": (
        "x = torch.addmm(x, x, self.a(x), beta=0.5, alpha=2.0)",
        ["linear", "matmul", "scale", "scale", "add"],
    ),
    "largest": ("x = max(x, self.a(x))", ["linear", "join"]),
    "functional": (
        "x = self.float.add_relu(self.quant(x), self.a(x))",
        ["identity", "linear", "add", "relu"],
    ),
    "left out": ("x = F.silu(None) + self.a(x)", ["silu", "linear", "add"]),
    "slice": ("y = [x]\n        y[0:0] = [self.a(x)]\n        x = y[0]", ["linear"]),
}


@pytest.mark.parametrize(("body", "operations"), BODIES.values(), ids=list(BODIES))
def test_forms_of_code_are_read(body: str, operations: list[str], tmp_path: Path) -> None:
    code = f"""
Pair = namedtuple("Pair", "first, second")

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 8)
        self._modules["b"] = nn.Linear(8, 8)
        self.float, self.quant = [nn.quantized.FloatFunctional(), QuantStub()]

    def forward(self, x):
        {body}
        return x
"""
    if "_modules" in body:
        code = code.replace("        self.float, self.quant =", "        _ =")
    graph = graph_of(tmp_path, code)
    assert not graph.reasons
    assert ops(graph) == operations


KERNEL = """
extension = load("extension", sources=["extension.cpp"])

class Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx, run, x):
        return {call}

class Net(nn.Module):
    def __init__(self, run):
        super().__init__()
        self.a, self.run = nn.Linear(8, 8), run

    def forward(self, x):
        return Fused.apply(self.run, self.a(x))
"""


def test_a_kernel_is_a_function_of_tensors_but_not_what_is_given_to_run(tmp_path: Path) -> None:
    kernel = graph_of(tmp_path, KERNEL.format(call="extension.fused(x, 0.2)"))
    assert "kernel" in ops(kernel) and not kernel.reasons
    for call in ("run(x)", "run.forward(x)"):
        assert graph_of(tmp_path, KERNEL.format(call=call)).reasons


def test_a_conv_module_is_what_its_settings_say(tmp_path: Path) -> None:
    code = """
class Net(nn.Module):
    def __init__(self, norm_cfg=dict(type="BN", requires_grad=True)):
        super().__init__()
        self.a = ConvModule(8, 8, 3, norm_cfg=norm_cfg, act_cfg=dict(type="LeakyReLU", negative_slope=0.2))
        self.b = ConvModule(8, 8, 3, act_cfg=None)
        name, norm = build_norm_layer(dict(type="GN", num_groups=4), 8)
        self.add_module(name, norm)

    def forward(self, x):
        return self.norm(self.b(self.a(x)))
"""
    graph = graph_of(tmp_path, code)
    assert ops(graph) == ["conv2d", "batch_norm", "leaky_relu", "conv2d", "group_norm"]
    first, *_, last = [node for node in graph.nodes if node.op == "conv2d"]
    assert set(first.parameters) == {"weight"} and set(last.parameters) == {"weight", "bias"}
    assert first.parameters["weight"].initial.settings["a"] == 0.2
    assert last.parameters["bias"].initial.scheme == "zeros"
    assert graph_of(
        tmp_path, code.replace('norm_cfg=dict(type="BN", requires_grad=True)', "norm_cfg")
    ).reasons


CHAINS = """
import torchvision

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        vgg = torchvision.models.vgg16({given})
        self.first, self.vgg = nn.Sequential(), vgg
        for at in range(4):
            self.first.add_module(str(at), vgg.features[at])
        self.vgg.classifier[6] = nn.Linear(4096, 10)

    def forward(self, x):
        return {forward}
"""


@pytest.mark.parametrize(("given", "scheme"), [("", "kaiming_normal"), ("pretrained=True", "unknown")])
def test_parts_of_a_model_of_torchvision_are_known(given: str, scheme: str, tmp_path: Path) -> None:
    part = graph_of(tmp_path, CHAINS.format(given=given, forward="self.first(x)"))
    assert ops(part) == ["conv2d", "relu", "conv2d", "relu"]
    assert {node.parameters["weight"].initial.scheme for node in part.nodes if node.parameters} == {scheme}
    whole = graph_of(tmp_path, CHAINS.format(given=given, forward="self.vgg(x)"))
    layers = [node for node in whole.nodes if node.parameters]
    assert len(layers) == 16 and layers[-1].settings["out_features"] == 10 and not whole.reasons


def test_methods_and_attributes_of_one_of_several_blocks(tmp_path: Path) -> None:
    code = """
class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.a = nn.Linear(8, width)

    def run(self, x):
        return self.a(x)

class Net(nn.Module):
    def __init__(self, at):
        super().__init__()
        self.blocks, self.at = nn.ModuleList([Block(8), Block(16)]), at

    def forward(self, x):
        return self.blocks[self.at].run(x) + F.linear(x, self.blocks[self.at].a.weight)
"""
    graph = graph_of(tmp_path, code)
    assert ops(graph) == ["linear", "linear", "join", "linear", "add"] and not graph.reasons


OUTPUTS = """
from collections import OrderedDict
from dataclasses import dataclass
from transformers.activations import ACT2FN

class ModelOutput(OrderedDict):
    pass

@dataclass
class Output(ModelOutput):
    loss: torch.Tensor = None
    logits: torch.Tensor = None
    hidden: torch.Tensor = None

class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 8)

    def forward(self, x):
        return Output(hidden=x, loss=None, logits=self.a(x))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.act = Inner(), ACT2FN["{activation}"]

    def forward(self, x):
        return self.act(self.inner(x)[{index}])
"""


@pytest.mark.parametrize(("index", "behind"), [("0", ["linear"]), ("1", []), ("'hidden'", [])])
def test_items_of_an_output_are_the_fields_that_are_given(
    index: str, behind: list[str], tmp_path: Path
) -> None:
    graph = graph_of(tmp_path, OUTPUTS.format(index=index, activation="relu2"))
    assert ops(graph) == [*behind, "relu", "square"] and not graph.reasons
    gated = graph_of(tmp_path, OUTPUTS.format(index=index, activation="quick_gelu"))
    assert ops(gated) == [*behind, "scale", "sigmoid", "mul"] and not gated.reasons


KEYED = """
class Net(nn.Module):
    def __init__(self, names, task):
        super().__init__()
        self.task = task
        self.parts = {made}

    def forward(self, x):
        {run}
        return x
"""
FILLED = {
    "written": "nn.ModuleDict()\n        for name in names: self.parts[name] = nn.Linear(8, 8)",
    "comprehension": "nn.ModuleDict({name: nn.Linear(8, 8) for name in names})",
}


@pytest.mark.parametrize("made", FILLED.values(), ids=list(FILLED))
def test_layers_under_keys_that_are_not_known(made: str, tmp_path: Path) -> None:
    for run in ("x = self.parts[self.task](x)", "for name, part in self.parts.items(): x = part(x)"):
        graph = graph_of(tmp_path, KEYED.format(made=made, run=run))
        assert ops(graph)[0] == "linear" and not graph.reasons
        assert [parameter.path for parameter in graph.parameters] == ["parts.….weight", "parts.….bias"]
    made += "\n        self.parts['last'] = nn.ReLU()\n        self.parts.update({'a' + task: nn.Tanh()})"
    graph = graph_of(tmp_path, KEYED.format(made=made, run="x = self.parts[self.task](x)"))
    assert sorted(ops(graph)) == ["join", "linear", "relu", "tanh"]
    compared = KEYED.format(made=made, run="if 'a' in self.parts: x = self.parts['last'](x)")
    assert ops(graph_of(tmp_path, compared)) == ["relu", "join"]
