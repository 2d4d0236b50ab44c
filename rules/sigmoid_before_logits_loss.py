"""GRD802 sigmoid-before-logits-loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.objective import Objective
from gradlint.records.finding import Finding, Severity
from gradlint.rule.joined import loss_gradient, placed
from gradlint.rule.rule import Rule

_LOSSES = ("binary_cross_entropy_with_logits", "multilabel_soft_margin_loss")
_SQUASHING = ("sigmoid", "hardsigmoid", "softmax")

_HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n\n"


def _net(last: str, layers: str = "nn.Linear(8, 1)") -> str:
    """A classifier whose forward pass ends in `last`."""
    return (
        f"{_HEAD}class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        f"        self.body = nn.Sequential({layers})\n\n    def forward(self, x):\n"
        f"        x = self.body(x)\n        {last}\n\n\n"
    )


_TRAINED = """def train(loader, weight=None):
    net = Net()
    criterion = nn.BCEWithLogitsLoss(pos_weight=weight)
    for x, y in loader:
        criterion(net(x).squeeze(1), y.float()).backward()
"""


class SigmoidBeforeLogitsLoss(Rule):
    """A sigmoid stands between a model and a binary cross-entropy that takes logits.

    ### Why is this bad?
    The loss applies a sigmoid itself. Of a number in [0, 1] it makes a probability between 0.5 and 0.73:
    the loss of a negative cannot come below log 2. And where the first sigmoid is sure of the wrong
    answer, its derivative σ(1 - σ) lets nearly no gradient through.

    ### How it is verified
    A single logit of -10 has the target 1. Through the loss alone it gets a gradient of nearly 1; through the
    sigmoid before it, whose slope is 5e-05 there, 2e-05 of that.

    ### When it is fine
    Where the sigmoid serves inference or a metric only, or where the loss is `BCELoss`.

    ### Fix safety
    There is no fix: either the sigmoid goes, and thresholds of 0.5 become 0, or the loss becomes `BCELoss`,
    which raises under float16 autocast.

    ### References
    - [torch.nn.BCEWithLogitsLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html):
      combines a sigmoid layer and the BCELoss in one class.
    - [No score below 0.5](https://github.com/itakurah/focal-loss-pytorch/pull/5), a focal loss
    - [A loss that does not fall](https://github.com/avBuffer/UNet3plus_pth/issues/23), a segmentation model
    """

    id = "GRD802"
    name = "sigmoid-before-logits-loss"
    severity = Severity.ERROR
    help = "return logits from the model and apply the sigmoid where probabilities are read"
    bad: ClassVar[Mapping[str, str]] = {
        "in forward": _net("return torch.sigmoid(x)") + _TRAINED,
        "last layer": _net("return x", "nn.Linear(8, 1), nn.Sigmoid()") + _TRAINED,
        "method": _net("return x.sigmoid().flatten(1)") + _TRAINED,
        "at the loss": _net("return x") + "def step(x, y):\n    output = Net()(x)\n"
        "    return F.binary_cross_entropy_with_logits(F.sigmoid(output), y)\n",
        "many labels": _net("return F.hardsigmoid(x)", "nn.Linear(8, 6)")
        + "def step(x, y):\n    return F.multilabel_soft_margin_loss(Net()(x), y)\n",
        "two sigmoids": _net("return torch.sigmoid(torch.sigmoid(x))")
        + "def step(x, y):\n    return nn.BCELoss()(Net()(x), y)\n",
        "focal loss of the project": _net("return torch.sigmoid(x)")
        + "def focal(output, target, gamma=2.0):\n"
        "    bce = F.binary_cross_entropy_with_logits(output, target, reduction='none')\n"
        "    return ((1 - torch.exp(-bce)) ** gamma * bce).mean()\n\n\n"
        "def step(x, y):\n    return focal(Net()(x), y)\n",
        "discriminator and generator": _net("return torch.sigmoid(x)") + "bce = nn.BCEWithLogitsLoss()\n\n\n"
        "def step(real, fake):\n    critic = Net()\n    one, zero = torch.ones(4, 1), torch.zeros(4, 1)\n"
        "    return bce(critic(real), one) + bce(critic(fake.detach()), zero)\n",
    }
    good: ClassVar[Mapping[str, str]] = {
        "logits": _net("return x") + _TRAINED,
        "probabilities into BCELoss": _net("return x.sigmoid()")
        + "def step(x, y):\n    return nn.BCELoss()(Net()(x), y)\n",
        "inference only": _net("return x if self.training else torch.sigmoid(x)") + _TRAINED,
        "metric beside the loss": _net("return x")
        + "def step(x, y):\n    output = Net()(x)\n    hits = (torch.sigmoid(output) > 0.5) == y\n"
        "    return F.binary_cross_entropy_with_logits(output, y), hits\n",
        "gate before the last layer": _net("return x", "nn.Linear(8, 8), nn.Sigmoid(), nn.Linear(8, 1)")
        + _TRAINED,
        "a sigmoid added": _net("return x + torch.sigmoid(x)") + _TRAINED,
        "soft target": _net("return x") + "def step(x, teacher):\n    target = teacher(x).sigmoid()\n"
        "    return F.binary_cross_entropy_with_logits(Net()(x), target)\n",
        "either loss": _net("return x")
        + "def step(x, y, logits: bool):\n    output = Net()(x)\n    if not logits:\n"
        "        return F.binary_cross_entropy(output.sigmoid(), y)\n"
        "    return F.binary_cross_entropy_with_logits(output, y)\n",
    }

    def check(self, objective: Objective) -> Iterator[Finding]:
        """A loss with logits of something that was squashed."""
        for loss, kind, sources in objective.logits(*_LOSSES):
            before = sources[-1]
            if all(node.op in _SQUASHING for node in sources):
                span, others = placed(objective, before, loss)
                message = f"the loss takes the sigmoid of a {before.op}: it sees no probability below 0.5"
                yield self.finding(span, message, loss_gradient(objective, before, kind), related=others)
