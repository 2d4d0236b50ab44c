"""A sequence is as long as every call in the file says, and of no known length where one call does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gradlint
from gradlint.lint.check_text import check_text
from gradlint.rule.registry import load

NET = """
import torch
from torch import nn
from somewhere import fit, loader


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(16, 64, batch_first=True)
        self.head = nn.Linear(64, 2)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


"""
RULES = [rule for rule in load() if rule.id == "GRD302"]
KNOWN = {
    "a script": "net = Net()\nprint(net(torch.zeros(8, 40, 16)).shape)\n",
    "the main block": "if __name__ == '__main__':\n    net = Net()\n    net(torch.randn(8, 40, 16))\n",
    "a function": "def main():\n    net = Net()\n    return net(torch.randn(8, 40, 16)).mean()\n",
    "a function that is given the model": (
        "def run(model):\n    x = torch.rand(2, 40, 16)\n    return model(x)\n\n\nrun(Net())\n"
    ),
    "a number with a name": "length = 40\nnet = Net()\nx = torch.randn(8, length, 16)\ny = net(x)\n",
    "training": (
        "net, x = Net(), torch.randn(8, 40, 16)\noptimizer = torch.optim.Adam(net.parameters())\n"
        "for epoch in range(100):\n    optimizer.zero_grad()\n"
        "    loss = nn.functional.cross_entropy(net(x), torch.zeros(8, dtype=torch.long))\n"
        "    loss.backward()\n    optimizer.step()\n"
    ),
    "two calls alike": "net = Net()\nnet(torch.zeros(8, 40, 16))\nNet()(torch.zeros(2, 40, 16))\n",
}
UNKNOWN = {
    "no call": "net = Net()\n",
    "few steps": "net = Net()\nnet(torch.zeros(8, 4, 16))\n",
    "batches": "net = Net()\nnet(torch.zeros(8, 40, 16))\nfor x, y in loader:\n    net(x)\n",
    "another length": "net = Net()\nnet(torch.zeros(8, 40, 16))\nnet(torch.zeros(8, 4, 16))\n",
    "lengths in a loop": "net = Net()\nfor n in (40, 4):\n    net(torch.zeros(8, n, 16))\n",
    "falling lengths": "net = Net()\nfor n in range(40, 2, -1):\n    net(torch.zeros(8, n, 16)).mean()\n",
    "lengths of training": (
        "net = Net()\nfor n in range(40, 2, -1):\n"
        "    nn.functional.cross_entropy(net(torch.zeros(8, n, 16)), torch.zeros(8).long()).backward()\n"
    ),
    "given away": "net = Net()\nnet(torch.zeros(8, 40, 16))\nfit(net)\n",
    "its method given away": "net = Net()\nnet(torch.zeros(8, 40, 16))\nfit(net.forward)\n",
    "within something given away": (
        "net = Net()\nnet(torch.zeros(8, 40, 16))\nfit({'model': [net], 'rate': 0.1})\n"
    ),
    "returned": "def make():\n    return Net()\n\n\nNet()(torch.zeros(8, 40, 16))\n",
    "a function of any input": (
        "net = Net()\nnet(torch.zeros(8, 40, 16))\n\n\ndef predict(x):\n    return net(x).argmax(-1)\n"
    ),
    "a part of another model": (
        "class Whole(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.net = Net()\n\n    def forward(self, x):\n        return self.net(x)\n\n\n"
        "Net()(torch.zeros(8, 40, 16))\n"
    ),
    "a base": "class Other(Net):\n    pass\n\n\nOther()\nNet()(torch.zeros(8, 40, 16))\n",
    "a size that is not known": "net = Net()\nx = torch.zeros(8, len(loader), 16)\nnet(x)\n",
}


def steps(code: str) -> list[str]:
    return [found.message.split(" ")[0] for found in check_text(code, RULES)]


@pytest.mark.parametrize("case", KNOWN)
def test_the_length_that_every_call_says_is_known(case: str) -> None:
    assert steps(NET + KNOWN[case]) == ["40"]


@pytest.mark.parametrize("case", UNKNOWN)
def test_no_length_is_known_where_a_call_may_have_another(case: str) -> None:
    assert steps(NET + UNKNOWN[case]) == []


@pytest.mark.parametrize(
    ("beside", "count"),
    [("", 1), ("from net import Net\n\nNet()\n", 0), ("import net\n\nnet.call()\n", 0), ("x = 1\n", 1)],
)
def test_another_file_that_names_the_model_may_call_it(tmp_path: Path, beside: str, count: int) -> None:
    (tmp_path / "net.py").write_text(NET + KNOWN["a script"])
    if beside:
        (tmp_path / "other.py").write_text(beside)
    found = gradlint.check([str(tmp_path)], select=["GRD302"], isolated=True, jobs=1)
    assert len(found) == count


@pytest.mark.torch
def test_the_loss_over_these_steps_is_measured() -> None:
    torch = pytest.importorskip("torch")
    measure = pytest.importorskip("measure")
    code = NET.replace("from somewhere import fit, loader\n", "") + KNOWN["a script"]
    (found,) = check_text(code, RULES)
    assert found.claim is not None
    assert re.fullmatch(r"steps=40", found.claim.condition)
    torch.manual_seed(0)
    net = measure.construct(code, "Net")
    states = []
    net.rnn.register_forward_hook(lambda module, inputs, out: states.append(out[0]))
    x = torch.randn(8, 40, 16, requires_grad=True)
    net(x).mean().backward()
    norms = x.grad.norm(dim=(0, 2))
    assert (norms[0] / norms[-1]).log10().item() == pytest.approx(found.claim.predicted, abs=2.5)
