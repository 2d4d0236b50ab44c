"""What all samples share at one position, attention averages out over the positions."""

from __future__ import annotations

import pytest

from gradlint.flow.propagate import propagate
from gradlint.mathematics.interval import Interval

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
measure = pytest.importorskip("measure")

NET = """
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, tokens=TOKENS, width=WIDTH):
        super().__init__()
        self.first = nn.Linear(32, width)
        self.place = nn.Parameter(torch.randn(SHAPE))
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x):
        x = self.norm(self.first(x) + self.place)
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return self.out(READ)
"""
READS = {
    "written out": "(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v",
    "of torch": "F.scaled_dot_product_attention(q, k, v)",
    "a layer": "self.attention(x, x, x)[0]",
    "a mean": "x.mean(1, keepdim=True)",
}
TABLES, SHARED = ["1, tokens, width", "tokens, width"], ["width", "1, 1, width"]


def scales(shape: str, read: str, tokens: int, width: int) -> tuple[Interval, float]:
    """The scale of the output in decades, predicted and measured."""
    text = NET.replace("SHAPE", shape).replace("READ", READS[read])
    text = text.replace("TOKENS", str(tokens)).replace("WIDTH", str(width))
    (graph,) = measure.graphs(text)
    flow = propagate(graph)
    torch.manual_seed(0)
    model = measure.construct(text, "Net")
    found = model(torch.randn(16, tokens, 32)).detach().square().mean().sqrt().log10().item()
    return flow.moments[graph.outputs[0]].second.sqrt.decades, found


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("shape", TABLES + SHARED)
@pytest.mark.parametrize(("tokens", "width"), [(8, 64), (64, 64), (64, 256)])
def test_projections_behind_attention_are_as_large_as_predicted(
    shape: str, read: str, tokens: int, width: int
) -> None:
    predicted, found = scales(shape, read, tokens, width)
    assert predicted.widened(0.1).contains(found)


@pytest.mark.parametrize("read", READS)
def test_what_all_positions_share_is_left(read: str) -> None:
    """A vector that is added to every token is still there; of a table little is."""
    (shared, whole), (apart, little) = scales("width", read, 64, 64), scales("tokens, width", read, 64, 64)
    assert shared.lo > apart.lo + 0.5
    assert whole > little + 0.3
