"""Normalisations written by hand are the layers that they amount to, and predicted like them."""

from __future__ import annotations

from typing import Any

import pytest

from gradlint.flow.chain import longest_chain
from gradlint.flow.propagate import propagate

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
measure = pytest.importorskip("measure")

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, width=256, depth=12, eps=1e-6):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.weight = nn.Parameter(torch.ones(width))
        self.head = nn.Linear(width, 4)
        self.eps = eps

    def norm(self, x):
        mean = x.mean(-1, keepdim=True)
        return NORM

    def forward(self, x):
        for layer in self.layers:
            x = x + 3 * torch.relu(layer(self.norm(x)))
        return self.head(x)
"""
CENTRED = "(x - mean)"
NORMS = {
    "x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight": "rms_norm",
    "(x.float() * torch.rsqrt(x.float().pow(2).mean(-1, True) + self.eps)).type_as(x)": "rms_norm",
    "torch.rsqrt(torch.mean(x * x, dim=-1, keepdim=True) + self.eps) * x": "rms_norm",
    "self.weight * (x / torch.sqrt(x.square().mean(dim=-1, keepdim=True) + self.eps))": "rms_norm",
    "x / ((x**2).mean((-1,), keepdim=True).sqrt() + self.eps)": "rms_norm",
    "x * (x**2).mean(-1, keepdim=True).add(self.eps).pow(-0.5)": "rms_norm",
    "x * (1 / ((x**2).mean(-1, keepdim=True) + self.eps).sqrt())": "rms_norm",
    f"{CENTRED} / torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + self.eps)": "layer_norm",
    f"self.weight * {CENTRED} / (x.std(-1, keepdim=True) + self.eps)": "layer_norm",
    f"{CENTRED} / torch.sqrt({CENTRED}.pow(2).mean(-1, keepdim=True) + self.eps)": "layer_norm",
    f"{CENTRED} * torch.rsqrt(({CENTRED} * {CENTRED}).mean(-1, keepdim=True) + self.eps)": "layer_norm",
}
OTHERS = [
    "x * torch.rsqrt(x.pow(2).mean(0, keepdim=True) + self.eps)",
    "x * torch.rsqrt(x.pow(2).mean() + self.eps)",
    "x * torch.rsqrt(x.pow(2).sum(-1, keepdim=True) + self.eps)",
    "x * torch.rsqrt(x.abs().mean(-1, keepdim=True) + self.eps)",
    "x * torch.sqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)",
    "x / (x.pow(2).mean(-1, keepdim=True) + self.eps)",
    "x / torch.sqrt(x.var(-1, keepdim=True) + self.eps)",
    "torch.relu(x) * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)",
    "torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) / x",
    "(x - x.mean(0, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + self.eps)",
]


@pytest.mark.parametrize("norm", NORMS)
def test_gradients_behind_them_are_predicted(norm: str) -> None:
    text = NET.replace("NORM", norm)
    (graph,) = measure.graphs(text)
    assert [node.op for node in graph.nodes].count(NORMS[norm]) == 12
    chain = longest_chain(propagate(graph))
    assert chain is not None and chain.is_certain
    model = measure.construct(text, "Net").double()
    seen: list[Any] = []
    for layer in (model.layers[0], model.layers[-1]):
        layer.register_forward_hook(lambda _, __, out: seen.append(out))
    torch.manual_seed(0)
    out = model(torch.randn(64, 256, dtype=torch.float64))
    gradients = torch.autograd.grad((out * torch.randn_like(out)).sum(), seen)
    first, last = (each.norm().log10().item() for each in gradients)
    assert chain.decades.widened(0.1 + 3 * chain.deviation).contains(first - last)
    assert chain.decades.hi - chain.decades.lo < 0.2


@pytest.mark.parametrize("norm", OTHERS)
def test_what_only_looks_like_one_is_none(norm: str) -> None:
    (graph,) = measure.graphs(NET.replace("NORM", norm))
    assert not {"rms_norm", "layer_norm"} & {node.op for node in graph.nodes}
