"""A weight that two layers share holds what the layer drew whose weight it was, whoever uses it."""

from __future__ import annotations

from typing import Any

import pytest

from gradlint.flow.propagate import GradientFlow, propagate
from gradlint.records.graph import Node

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
measure = pytest.importorskip("measure")

NET = """
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, words=WORDS, width=WIDTH):
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.body = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, words, bias=False)
        SETUP

    def forward(self, tokens):
        return READ
"""
MIXED = "self.norm(self.body(self.embed(tokens)))"
KEPT = "self.norm(self.embed(tokens))"
FORMS = {
    "the embedding's": ("self.head.weight = self.embed.weight", f"self.head({MIXED})"),
    "the head's": ("self.embed.weight = self.head.weight", f"self.head({MIXED})"),
    "a function's": ("del self.head", f"F.linear({MIXED}, self.embed.weight)"),
    "a product's": ("del self.head", f"{MIXED} @ self.embed.weight.t()"),
    "its data": ("self.head.weight.data = self.embed.weight.data", f"self.head({MIXED})"),
    "a copy": ("self.head.weight = nn.Parameter(self.embed.weight.detach().clone())", f"self.head({MIXED})"),
    "a half of it": (
        "self.head.weight = self.embed.weight; self.embed.weight.data.mul_(0.5)",
        f"self.head({MIXED})",
    ),
    "drawn later": (
        "self.head.weight = self.embed.weight; nn.init.normal_(self.embed.weight, std=0.02)",
        f"self.head({MIXED})",
    ),
    "not tied": ("pass", f"self.head({MIXED})"),
    "rows that meet themselves": ("self.head.weight = self.embed.weight", f"self.head({KEPT})"),
}
SIZES = [(1000, 64), (40, 160)]


def code(form: str, words: int, width: int) -> str:
    setup, read = FORMS[form]
    text = NET.replace("WORDS", str(words)).replace("WIDTH", str(width))
    return text.replace("SETUP", setup).replace("READ", read)


def predicted(text: str) -> tuple[GradientFlow, Node, Node]:
    """The flow, the embedding and the head."""
    (graph,) = measure.graphs(text)
    embedding = next(node for node in graph.nodes if node.op == "embedding")
    return propagate(graph), embedding, [node for node in graph.nodes if node.op == "linear"][-1]


@pytest.mark.parametrize(("words", "width"), SIZES, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_scale_and_gradient_are_those_that_torch_shows(form: str, words: int, width: int) -> None:
    text = code(form, words, width)
    flow, embedding, head = predicted(text)
    torch.manual_seed(0)
    model = measure.construct(text, "Net")
    seen: list[Any] = []
    model.embed.register_forward_hook(lambda module, inputs, out: seen.append(out))
    logits = model(torch.randint(0, words, (16, 32)))
    for value in (seen[0], logits):
        value.retain_grad()
    (logits * torch.randn_like(logits)).sum().backward()
    scales = [value.detach().square().mean().sqrt().log10().item() for value in (seen[0], logits)]
    gain = (seen[0].grad.norm() / logits.grad.norm()).log10().item()
    for node, scale in zip((embedding, head), scales, strict=True):
        assert flow.moments[node.number].second.sqrt.decades.widened(0.05).contains(scale)
    assert flow.between(embedding.number, head.number).widened(0.05).contains(gain)


def test_a_row_that_meets_itself_is_as_large_as_predicted() -> None:
    """Between the plain product and 1 + width/words of it: the upper end is what comes with nothing mixed."""
    flow, _, head = predicted(code("rows that meet themselves", 40, 160))
    second = flow.moments[head.number].second
    assert second.hi / second.lo == pytest.approx(1 + 160 / 40)
    torch.manual_seed(0)
    model = measure.construct(code("rows that meet themselves", 40, 160), "Net")
    found = model(torch.randint(0, 40, (64, 64))).square().mean().item()
    assert found == pytest.approx(second.hi, rel=0.05)
    flow, _, head = predicted(code("not tied", 40, 160))
    assert flow.moments[head.number].second.is_finite
    assert flow.moments[head.number].second.lo == flow.moments[head.number].second.hi


@pytest.mark.parametrize("form", ["the embedding's", "the head's"])
def test_both_uses_are_one_parameter_with_the_sum_of_their_gradients(form: str) -> None:
    text = code(form, 50, 32)
    flow, embedding, head = predicted(text)
    used = {node.parameters["weight"].path for node in (embedding, head)}
    assert used == {"embed.weight"}
    torch.manual_seed(0)
    model = measure.construct(text, "Net")
    assert [name for name, _ in model.named_parameters()] == [p.path for p in flow.graph.parameters]
    tokens, weight = torch.randint(0, 50, (8, 16)), model.embed.weight
    along = torch.randn(8, 16, 50)
    whole = torch.autograd.grad((model(tokens) * along).sum(), weight)[0]
    hidden = model.norm(model.body(model.embed(tokens)))
    first = torch.autograd.grad((hidden @ weight.detach().t() * along).sum(), weight, retain_graph=True)[0]
    second = torch.autograd.grad((hidden.detach() @ weight.t() * along).sum(), weight)[0]
    assert torch.allclose(whole, first + second, rtol=1e-4, atol=1e-3)
