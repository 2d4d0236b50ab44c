"""GRD508 excessive-learning-rate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

from msgspec.structs import replace

from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.records.training import Event, Thing, is_default
from gradlint.rule.loops import report, subject
from gradlint.rule.rehearse import claimed, new, opened, rehearsed
from gradlint.rule.rule import Rule
from gradlint.steps.gradients import Gradients, gradients_of
from gradlint.steps.known import is_descent
from gradlint.steps.loop import TrainingLoop
from gradlint.steps.rates import hasty

_NET = """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
        )

    def forward(self, x):
        return self.layers(x)

"""
_LOOP = """\
for x, y in loader:
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
"""


class ExcessiveLearningRate(Rule):
    """A network is trained at a learning rate that no layer of it can take.

    ### Why is this bad?
    Adam moves every weight by about the learning rate in each step, whatever the size of the gradient.
    Weights of a layer with n inputs begin at about 1/√n; at 0.1 the first steps replace all that the
    initialisation has set up, units saturate or die, and the loss stays where it is. SGD multiplies the
    gradient: at 10 and more a step overshoots wherever the curvature is above a fifth.

    ### How it is verified
    By how much the first step, or of SGD any of the first 20, changes the weights as a share of their size:
    healthy training moves them by a thousandth to a hundredth, more than a tenth is no learning.

    ### When it is fine
    Fits of a few numbers, pixels of an image and linear models take such rates, and schedules that begin
    at 0 reach them late. Only networks of several layers of weights, without a schedule, are reported, and
    of those with a layer whose weights are small beside the rate: with 25 inputs and more, at 0.1.
    Clipping bounds the steps of plain descent, which then takes any rate: language models with an `LSTM`
    are trained at 20 with gradients clipped to a norm of 0.25.

    ### Fix safety
    No fix: the rate that is right is not known.

    ### References
    - Kingma and Ba, [Adam: a method for stochastic optimization](https://arxiv.org/abs/1412.6980), §2.1:
      the size of the steps is bounded by about the learning rate
    """

    id = "GRD508"
    name = "excessive-learning-rate"
    severity = Severity.WARNING
    help = "begin at 1e-3 for Adam and its kin, and at 0.1 or below for SGD"
    bad: ClassVar[Mapping[str, str]] = {
        "Adam at 0.1": (
            _NET + "model = Net()\noptimizer = torch.optim.Adam(model.parameters(), lr=0.1)\n" + _LOOP
        ),
        "AdamW at 1, by position": (
            _NET + "model = Net()\noptimizer = torch.optim.AdamW(model.parameters(), 1.0)\n" + _LOOP
        ),
        "SGD at 10": (
            _NET + "model = Net()\noptimizer = torch.optim.SGD(model.parameters(), lr=10)\n" + _LOOP
        ),
        "a constant": (
            _NET
            + "RATE = 5e-1\nmodel = Net()\noptimizer = torch.optim.RMSprop(model.parameters(), lr=RATE)\n"
            + _LOOP
        ),
        "in a function": (
            _NET
            + "def fit(loader):\n    model = Net()\n"
            + "    optimizer = torch.optim.NAdam(model.parameters(), lr=0.2)\n    for x, y in loader:\n"
            + "        loss = nn.functional.cross_entropy(model(x), y)\n        loss.backward()\n"
            + "        optimizer.step()\n        optimizer.zero_grad()\n"
        ),
        "one of several": (
            _NET
            + "model = Net()\nif method == 'sgd':\n"
            + "    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)\n"
            + "else:\n    optimizer = torch.optim.Adam(model.parameters(), lr=1.0)\n"
            + _LOOP
        ),
        "layers in a row": (
            "import torch\nfrom torch import nn\n\nmodel = nn.Sequential(\n    nn.Linear(64, 128), "
            "nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)\n).to(device)\n"
            "optimizer = torch.optim.Adam(model.parameters(), lr=0.5)\n" + _LOOP
        ),
        "in a class": (
            _NET
            + "class Learner:\n    def __init__(self):\n        self.net = Net()\n"
            + "        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=0.3)\n\n"
            + "    def update(self, x, y):\n        self.optimizer.zero_grad()\n"
            + "        nn.functional.cross_entropy(self.net(x), y).backward()\n"
            + "        self.optimizer.step()\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "Adam at 0.001": (
            _NET + "model = Net()\noptimizer = torch.optim.Adam(model.parameters(), lr=1e-3)\n" + _LOOP
        ),
        "SGD at 0.1": (
            _NET + "model = Net()\noptimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n" + _LOOP
        ),
        "SGD at 1": (
            _NET + "model = Net()\noptimizer = torch.optim.SGD(model.parameters(), lr=1.0)\n" + _LOOP
        ),
        "SGD at 20, clipped": (
            _NET
            + "model = Net()\noptimizer = torch.optim.SGD(model.parameters(), lr=20)\n"
            + _LOOP.replace(
                "optimizer.step()",
                "nn.utils.clip_grad_norm_(model.parameters(), 0.25)\n    optimizer.step()",
            )
        ),
        "a schedule that begins at 0": (
            _NET
            + "model = Net()\noptimizer = torch.optim.Adam(model.parameters(), lr=0.1)\n"
            + "warm = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, step / 1e5))\n"
            + _LOOP
            + "    warm.step()\n"
        ),
        "a linear model": (
            "import torch\nfrom torch import nn\n\nmodel = nn.Linear(8, 2)\n"
            "optimizer = torch.optim.Adam(model.parameters(), lr=0.1)\n" + _LOOP
        ),
        "a toy": (
            _NET.replace("64", "6").replace("128", "12")
            + "model = Net()\noptimizer = torch.optim.Adam(model.parameters(), lr=0.1)\n"
            + _LOOP
        ),
        "a few layers of a few numbers": (
            "import torch\nfrom torch import nn\n\nmodel = nn.Sequential(\n    nn.Linear(2, 8), nn.Tanh(), "
            "nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1)\n)\n"
            "optimizer = torch.optim.Adam(model.parameters(), lr=0.1)\n" + _LOOP
        ),
        "an image": (
            "import torch\n\nimage = torch.rand(3, 64, 64, requires_grad=True)\n"
            "optimizer = torch.optim.Adam([image], lr=0.1)\nfor step in range(100):\n"
            "    optimizer.zero_grad()\n    image.square().mean().backward()\n    optimizer.step()\n"
        ),
        "Adadelta at its default": (
            _NET + "model = Net()\noptimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)\n" + _LOOP
        ),
        "a model that is not known": (
            "import torch\nfrom torch import nn\n\ndef fit(model, loader):\n"
            "    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)\n    for x, y in loader:\n"
            "        optimizer.zero_grad()\n        nn.functional.mse_loss(model(x), y).backward()\n"
            "        optimizer.step()\n"
        ),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """A network of several layers is stepped at a rate beyond what the optimizer can take, or one of
        those that it may be.
        """
        for of in gradients_of(loop):
            for optimizer, rate, step in hasty(of):
                default = "default " if is_default(optimizer.settings, "lr") else ""
                kind = optimizer.type.rpartition(".")[2]
                message = f"a {default}learning rate of {rate:g} is beyond what {kind} can take"
                made = replace(step, place=optimizer.place or step.place)
                claim = _claim(of, step, optimizer, rate)
                yield report(self, loop, made, message, [(step, "steps here")], claim=claim)


def _claim(of: Gradients, step: Event, optimizer: Thing, rate: float) -> Claim | None:
    """Adam's kin move each weight by the rate, of a layer with 30 inputs by ten times the rate of its size;
    how far SGD moves them goes with the gradient, which soon grows where steps are too long.
    """
    plain, slow = is_descent(optimizer.type), optimizer.type.endswith("RMSprop")
    lower = opened(new("make", [optimizer.number], lr=0.1 if plain else 1e-4 if slow else 1e-3))
    rehearsal = rehearsed(of.loop, (step,), lower, about=[optimizer.number])
    predicted, condition = (0.0, "steps=20") if plain else (math.log10(10 * rate), "")
    about = subject(of.loop, step)
    return claimed(Metric.UPDATE_RATIO, about, -1.0, predicted, rehearsal, condition=condition, least=-1.0)
