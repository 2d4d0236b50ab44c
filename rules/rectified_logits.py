"""GRD803 rectified-logits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.objective import Objective
from gradlint.mathematics.loss_gradient import least_cross_entropy
from gradlint.records.finding import Finding, Severity
from gradlint.records.graph import Node
from gradlint.rule.joined import loss_gradient, placed
from gradlint.rule.rule import Rule

_BINARY = ("binary_cross_entropy_with_logits", "multilabel_soft_margin_loss")
_RANGES = {
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
    "sigmoid": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
}
_VALUES = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
_DOUBLED = frozenset({"sigmoid", "hardsigmoid"})
"""Before a binary loss another rule reports these."""

_HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n\n"


def _net(last: str, layers: str = "nn.Linear(8, 5)") -> str:
    """A classifier whose forward pass ends in `last`."""
    return (
        f"{_HEAD}class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        f"        self.body = nn.Sequential({layers})\n\n    def forward(self, x):\n"
        f"        x = self.body(x)\n        {last}\n\n\n"
    )


_TRAINED = """def train(loader):
    net, criterion = Net(), nn.CrossEntropyLoss()
    for x, y in loader:
        criterion(net(x), y).backward()
"""


class RectifiedLogits(Rule):
    """The last layer's numbers are cut or squashed before a loss that wants all of them.

    ### Why is this bad?
    What ReLU sets to 0 gets no gradient: the class, or a target below 0, is out of reach for that sample,
    and if this happens on all samples, for ever. A sigmoid or tanh bounds the odds between two classes by e
    or e², so the loss cannot approach 0, and lets next to no gradient through where it is saturated.

    ### How it is verified
    An output of -10 where 1 is wanted goes through the activation into the loss, in the company of a wrong
    class at 10; the gradient that comes back to it is compared with that of the bare output.

    ### When it is fine
    Where a layer or a factor follows (`30 * tanh(x / 30)`), where the loss is meant for such values, or where
    what is regressed is never negative: ReLU is reported there only if the code makes targets of both signs
    (noise, what is centred, and what is made of these).

    ### Fix safety
    There is no fix: without the activation the model's output has another range, on which others may rely.

    ### References
    - [torch.nn.CrossEntropyLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html):
      the logits do not need to be positive or sum to 1.
    - [ReLU before cross-entropy in a tutorial of torch](https://github.com/pytorch/tutorials/pull/1644)
    - [A regression that came to give 0 only](https://github.com/ProteomicsML/ProteomicsML/pull/203)
    """

    id = "GRD803"
    name = "rectified-logits"
    severity = Severity.WARNING
    help = "leave out the activation behind the last layer"
    bad: ClassVar[Mapping[str, str]] = {
        "relu": _net("return F.relu(x)") + _TRAINED,
        "relu as last layer": _net("return x", "nn.Linear(8, 5), nn.ReLU(inplace=True)") + _TRAINED,
        "sigmoid": _net("return torch.sigmoid(x)") + _TRAINED,
        "tanh and dropout": _net("return F.dropout(x.tanh(), 0.1)") + _TRAINED,
        "blocks that all end in relu": _HEAD
        + "def block(i, o):\n    return [nn.Linear(i, o), nn.ReLU()]\n\n\n"
        "class Net(nn.Module):\n    def __init__(self, widths=(8, 16, 3)):\n        super().__init__()\n"
        "        layers = []\n        for i, o in zip(widths, widths[1:]):\n"
        "            layers += block(i, o)\n"
        "        self.layers = nn.Sequential(*layers)\n\n    def forward(self, x):\n"
        "        return self.layers(x)\n\n\n" + _TRAINED,
        "relu before log-softmax": _net("return F.log_softmax(F.relu(x), dim=1)")
        + "def step(x, y):\n    return F.nll_loss(Net()(x), y)\n",
        "relu before targets of both signs": _net("return F.relu(x)", "nn.Linear(8, 1)")
        + "x = torch.randn(64, 8)\ny = torch.sin(x[:, :1])\nmodel = Net()\n"
        "loss = nn.MSELoss()(model(x), y)\nloss.backward()\n",
        "relu before noise": _net("return x", "nn.Linear(8, 8), nn.ReLU()")
        + "def step(x, t):\n    noise = torch.randn_like(x)\n"
        "    return F.l1_loss(Net()(t * x + (1 - t) * noise), noise)\n",
        "relu before a binary loss": _net("return F.relu(x)", "nn.Linear(8, 1)")
        + "def step(x, y):\n    return F.binary_cross_entropy_with_logits(Net()(x)[:, 0], y)\n",
    }
    good: ClassVar[Mapping[str, str]] = {
        "logits": _net("return x") + _TRAINED,
        "relu between layers": _net("return x", "nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 5)") + _TRAINED,
        "soft cap": _net("return 30 * torch.tanh(x / 30)") + _TRAINED,
        "leaky": _net("return F.leaky_relu(x, 0.2)") + _TRAINED,
        "bounded with its own loss": _net("return torch.sigmoid(x)", "nn.Linear(8, 1)")
        + "def step(x, y):\n    return F.binary_cross_entropy(Net()(x), y)\n",
        "positive regression": _net("return F.relu(x)", "nn.Linear(8, 1)")
        + "def step(x, y):\n    return F.mse_loss(Net()(x), y)\n",
        "noise that is never negative": _net("return F.relu(x)", "nn.Linear(8, 8)")
        + "def step(x):\n    noise = torch.rand_like(x)\n    return F.mse_loss(Net()(x + noise), noise)\n",
        "plus a residual": _net("return x + F.relu(x)") + _TRAINED,
        "in a branch": _net("return x").replace("(self, x)", "(self, x, clip=False)")
        + "def step(x, y, mode):\n    output = Net()(x)\n"
        "    if mode == 'a':\n        output = F.relu(output)\n"
        "    return F.cross_entropy(output, y)\n",
    }

    def check(self, objective: Objective) -> Iterator[Finding]:
        """A loss that takes logits, of values in a range; targets below 0, of values that are not."""
        for loss in objective.losses(*_VALUES):
            last = objective.activation(loss, "relu", "relu6")
            if last is not None and len(loss.inputs) > 1 and objective.is_signed(loss.inputs[1]):
                span, others = placed(objective, last, loss)
                message = f"`{last.op}` gives no negative number, and the targets are of both signs"
                yield self.finding(span, message, loss_gradient(objective, last, loss.op), related=others)
        for loss, kind, sources in objective.logits("cross_entropy", *_BINARY):
            before = sources[-1]
            ops = {node.op for node in sources}
            if ops <= _RANGES.keys() and not (kind in _BINARY and ops & _DOUBLED):
                span, others = placed(objective, before, loss)
                message = _said(before, kind, objective.classes(before))
                yield self.finding(span, message, loss_gradient(objective, before, kind), related=others)


def _said(before: Node, loss: str, classes: int | None) -> str:
    low, high = _RANGES[before.op]
    if high == math.inf:
        return f"`{before.op}` sets negative logits to 0, where they get no gradient"
    if loss in _BINARY or classes is None:
        return f"`{before.op}` keeps the logits between {low:g} and {high:g}"
    least = least_cross_entropy(high, low, classes)
    return f"`{before.op}` bounds the logits: with {classes} classes the loss stays above {least:.2f}"
