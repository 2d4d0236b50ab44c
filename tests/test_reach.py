"""What is said to get no gradient gets none in a real backward pass, and nothing else is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradlint.lint.models import models
from gradlint.records.graph import ModelGraph

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore::UserWarning")]
torch = pytest.importorskip("torch")

LAYERS = ("first", "second", "third", "fourth")
HEAD = """
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.third = nn.Linear(8, 8)
        self.fourth = nn.Linear(8, 8)

    def quantised(self, x):
        return x + (torch.round(x) + 1 - x).detach()

    def mixed(self, x, scale=1.0):
        for _ in range(2):
            x = torch.tanh(x * scale)
        return x

"""
SMOOTH = (
    *("torch.tanh({0})", "{0} + {1}", "{0} * {1}", "self.quantised({0})", "torch.where({0} > 0, {1}, {0})"),
    *("{0} * ({1} > 0).float()", "torch.cat([{0}, {1}], 1)[:, 4:12]", "self.mixed({0})", "{0}.t().sigmoid()"),
    *("torch.stack([{0}, {1}]).mean(0)", "{0} / (1 + {1}.norm().detach())", "{0}.softmax(-1) @ {1}"),
)
CUTTING = (
    *("{0}.detach()", "{0}.data", "torch.tensor({0})", "torch.round({0})", "({0} > 0).float()", "{0}.sign()"),
    *("F.one_hot({0}.argmax(-1), 8).float()", "{0}.long().float()", "torch.ones(8, 8) * {0}.mean().item()"),
    *("torch.from_numpy(np.tanh({0}.detach().numpy()))", "F.one_hot({0}.max(-1)[1], 8).float()"),
    *("torch.distributions.Normal({0}, 1.0).sample()", "torch.floor({0} * 4) / 4"),
    *("torch.tensor({0}.tolist())", "torch.zeros(8, 8).add({0}.detach())"),
)


@st.composite
def programs(draw: st.DrawFn) -> str:
    """A forward pass over some of the layers, with steps that a gradient comes back through or not."""
    lines, names = [], ["x"]
    for number in range(draw(st.integers(2, 8))):
        operands = [draw(st.sampled_from(names)) for _ in range(2)]
        kind = draw(st.integers(0, 9))
        if kind < 5:
            step = f"self.{draw(st.sampled_from(LAYERS))}({operands[0]})"
        else:
            step = draw(st.sampled_from(SMOOTH if kind < 8 else CUTTING)).format(*operands)
        names.append(f"h{number}")
        lines.append(f"        {names[-1]} = {step}\n")
    returned = names[-1] if draw(st.booleans()) else f"{names[-1]}, {draw(st.sampled_from(names[1:]))}"
    return f"{HEAD}    def forward(self, x):\n{''.join(lines)}        return {returned}\n"


def without_gradient(code: str) -> set[str]:
    """The parameters that a backward pass from all outputs leaves without a gradient."""
    scope: dict[str, Any] = {"__name__": "model"}
    exec(code, scope)
    torch.manual_seed(0)
    model = scope["Net"]()
    result = model(torch.randn(8, 8))
    outputs = [o for o in (result if isinstance(result, tuple) else (result,)) if o.requires_grad]
    if outputs:
        sum((output * torch.randn_like(output)).sum() for output in outputs).backward()
    return {name for name, p in model.named_parameters() if p.grad is None or not bool((p.grad != 0).any())}


def graph_of(folder: Path, code: str) -> ModelGraph:
    """The graph of the only model in a text."""
    path = folder / "model.py"
    path.write_text(code)
    (graph,) = models(str(path))
    return graph


def lost(graph: ModelGraph) -> set[str]:
    """The parameters that are said to get no gradient though the outputs depend on them."""
    return {parameter.path for each in graph.severed for parameter in each.parameters}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(code=programs())
def test_exactly_what_lies_behind_a_cut_gets_no_gradient(code: str, tmp_path: Path) -> None:
    graph = graph_of(tmp_path, code)
    needed = {parameter.path for node in graph.nodes for parameter in node.parameters.values()}
    needed |= lost(graph)
    dead = without_gradient(code)
    assert lost(graph) == dead & needed
    assert {p.path for unused in graph.unused for p in unused.parameters} <= dead - needed


KEPT = {
    "a loss in an attribute": "self.loss = h.mean()\n        return self.second(h.detach())",
    "code from elsewhere": "monitor(h)\n        return self.second(h.detach())",
    "an object from elsewhere": "x.hidden = h\n        return self.second(h.detach())",
    "a closure": "monitor(lambda: self.first)\n        return self.second(h.detach())",
    "a constant decides": "if self.is_fixed:\n            h = h.detach()\n        return self.second(h)",
    "what a constant left": (
        "if not self.is_fixed:\n            return self.second(h)\n        return self.second(h.detach())"
    ),
    "a loop that carries it": (
        "state = x\n        for _ in x:\n            y = self.second(h.detach()) + state\n"
        "            state = h * state\n        return y"
    ),
    "a target that may be left out": (
        "loss = 0\n        if target is not None:\n            loss = (h - target).abs().mean()\n"
        "        return loss, self.second(h.detach())"
    ),
    "the probability of a sample": (
        "drawn = torch.distributions.Normal(h, 1.0)\n        z = drawn.sample()\n"
        "        return self.second(z), drawn.log_prob(z)"
    ),
    "how far a distribution is from another": (
        "drawn, prior = torch.distributions.Normal(h, 1.0), torch.distributions.Normal(0 * x, 1.0)\n"
        "        far = torch.distributions.kl_divergence(drawn, prior)\n"
        "        return self.second(drawn.sample()), far"
    ),
    "a distribution that is returned": (
        "drawn = torch.distributions.Normal(h, 1.0)\n        return self.second(drawn.sample()), drawn"
    ),
    "written by hand": "self.first.weight.data.add_(0.1)\n        return self.second(h.detach())",
}


@pytest.mark.parametrize("title", KEPT)
def test_nothing_is_said_where_a_gradient_may_come_otherwise(title: str, tmp_path: Path) -> None:
    code = HEAD.replace("        self.fourth =", "        self.is_fixed = True\n        self.fourth =")
    forward = f"    def forward(self, x, target=None):\n        h = self.first(x)\n        {KEPT[title]}\n"
    graph = graph_of(tmp_path, f"from elsewhere import monitor\n{code}{forward}")
    certain = {p.path for each in graph.severed if not each.is_optional for p in each.parameters}
    assert "first.weight" not in certain


def test_what_another_file_uses_is_not_unused(tmp_path: Path) -> None:
    code = f"{HEAD}    def forward(self, x):\n        return self.third(self.second(self.first(x)))\n"
    assert [unused.path for unused in graph_of(tmp_path, code).unused] == ["fourth"]
    (tmp_path / "train.py").write_text("def loss(net, x):\n    return net.fourth(x).mean()\n")
    assert graph_of(tmp_path, code).unused == ()
