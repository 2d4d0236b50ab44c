"""GRD805 squared-error-on-sigmoid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.objective import Objective
from gradlint.records.finding import Finding, Severity
from gradlint.records.graph import Node
from gradlint.rule.joined import loss_gradient, placed
from gradlint.rule.rule import Rule

_HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n\n"


def _net(last: str, layers: str = "nn.Linear(8, 1)") -> str:
    """A classifier whose forward pass ends in `last`."""
    return (
        f"{_HEAD}class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        f"        self.body = nn.Sequential({layers})\n\n    def forward(self, x):\n"
        f"        x = self.body(x)\n        {last}\n\n\n"
    )


_TRAINED = """def train(loader):
    net, criterion = Net(), nn.MSELoss()
    for x, y in loader:
        criterion(net(x), y).backward()
"""


class SquaredErrorOnSigmoid(Rule):
    """The squared error of a sigmoid or softmax output is minimised.

    ### Why is this bad?
    The gradient at the logit carries the factor σ(1 - σ) of the sigmoid. Where the output is confidently
    wrong, this is next to nothing, so the worst samples are corrected least; cross-entropy cancels the
    factor.

    ### How it is verified
    A class of target 1 has the logit -10: the squared error passes on 2(σ - 1)·σ(1 - σ), about 9e-05 of a
    sigmoid, where cross-entropy passes on σ - 1, nearly -1. Both gradients are computed and divided.

    ### When it is fine
    Where values in [0, 1] are reconstructed or regressed: images, colours, coordinates. Only one output
    that looks like a class, one-hot targets and softmax are reported. Also where two networks are to
    agree (mean teacher).

    ### Fix safety
    There is no fix: squared errors, also called the Brier score, bound what a mislabelled sample can do, and
    may be wanted for that; learning rates found for one loss do not suit the other.

    ### References
    - Glorot, Bengio: [Understanding the difficulty of training deep feedforward neural
      networks](https://proceedings.mlr.press/v9/glorot10a.html), AISTATS 2010, section 4.1: plateaus of the
      quadratic cost that cross-entropy does not have
    - Nielsen: [Neural networks and deep learning](http://neuralnetworksanddeeplearning.com/chap3.html), 2015,
      chapter 3: learning slows down where the output is badly wrong
    """

    id = "GRD805"
    name = "squared-error-on-sigmoid"
    severity = Severity.NOTE
    help = "for classes, use binary_cross_entropy_with_logits or cross_entropy on the logits"
    bad: ClassVar[Mapping[str, str]] = {
        "sigmoid": _net("return torch.sigmoid(x)") + _TRAINED,
        "last layer": _net("return x", "nn.Linear(2, 4), nn.Sigmoid(), nn.Linear(4, 1), nn.Sigmoid()")
        + _TRAINED,
        "softmax": _net("return x.softmax(-1)", "nn.Linear(8, 10)") + _TRAINED,
        "one-hot targets": _net("return F.sigmoid(x)", "nn.Linear(8, 10)")
        + "def step(x, y):\n    return F.mse_loss(Net()(x), F.one_hot(y, 10).float())\n",
        "exclusive or": _net("return x.sigmoid()", "nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)")
        + "x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])\n"
        "y = torch.tensor([[0.0], [1.0], [1.0], [0.0]])\nmodel = Net()\nloss_fn = torch.nn.MSELoss()\n"
        "for epoch in range(1000):\n    loss = loss_fn(model(x), y)\n    loss.backward()\n",
    }
    good: ClassVar[Mapping[str, str]] = {
        "regression": _net("return x") + _TRAINED,
        "autoencoder": _net("return torch.sigmoid(x)", "nn.Linear(64, 1), nn.Linear(1, 1)")
        + "def train(loader):\n    net, criterion = Net(), nn.MSELoss()\n    for images, _ in loader:\n"
        "        images = images.view(-1, 64).to('cpu')\n        criterion(net(images), images).backward()\n",
        "denoising": _net("return torch.sigmoid(x)", "nn.Linear(1, 1)")
        + "def step(x):\n    return F.mse_loss(Net()(x + 0.1 * torch.randn_like(x)), x)\n",
        "colours": _net("return torch.sigmoid(x)", "nn.Linear(60, 64), nn.ReLU(), nn.Linear(64, 3)")
        + _TRAINED,
        "images": _net("return torch.sigmoid(x)", "nn.ConvTranspose2d(8, 3, 4, 2, 1)") + _TRAINED,
        "cross-entropy": _net("return torch.sigmoid(x)")
        + "def step(x, y):\n    return F.binary_cross_entropy(Net()(x), y)\n",
        "mean teacher": _net("return x")
        + "def agree(x, teacher):\n    return F.mse_loss(Net()(x).softmax(1), teacher(x).softmax(1))\n",
        "tanh": _net("return torch.tanh(x)") + _TRAINED,
    }

    def check(self, objective: Objective) -> Iterator[Finding]:
        """The squared error of what is squashed, where classes are learnt."""
        for loss in objective.losses("mse_loss"):
            before = objective.activation(loss, "sigmoid", "softmax")
            if before is not None and _learns_classes(objective, before, loss):
                span, others = placed(objective, before, loss)
                claim = loss_gradient(objective, before, loss.op)
                left = f"{claim.predicted:.0e} of the gradient where it is sure and wrong"
                message = f"the squared error of a {before.op} leaves {left}"
                yield self.finding(span, message, claim, related=others)


def _learns_classes(objective: Objective, before: Node, loss: Node) -> bool:
    """Whether an output is a class: one of one, or one against others."""
    if len(loss.inputs) < 2 or objective.reconstructs(loss):
        return False
    targets = [node.op for node in objective.sources(loss.inputs[1])]
    if before.op == "softmax":
        return "softmax" not in targets
    return "one_hot" in targets or objective.classes(before) == 1
