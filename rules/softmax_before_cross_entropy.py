"""GRD801 softmax-before-cross-entropy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.objective import Objective
from gradlint.mathematics.loss_gradient import least_cross_entropy
from gradlint.records.finding import Finding, Severity
from gradlint.rule.joined import loss_gradient, placed
from gradlint.rule.rule import Rule

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


class SoftmaxBeforeCrossEntropy(Rule):
    """A softmax stands between a model and the cross-entropy, which takes logits.

    ### Why is this bad?
    Cross-entropy applies log-softmax itself. Of numbers in [0, 1] it makes probabilities that differ by a
    factor of e at most, so the loss cannot come below log(1 + (C - 1)/e): 1.46 for ten classes. And where
    the first softmax is sure of a wrong class, its derivative p(1 - p) lets nearly no gradient through.

    ### How it is verified
    Of ten logits, or as many as the last layer has, the true class gets -10 and one wrong class 10. What
    arrives at the true class' logit through both softmaxes is divided by what arrives through one: next to
    nothing is left, where cross-entropy alone gives nearly 1.

    ### When it is fine
    Where softmax serves inference only (`if not self.training`, a method of its own), for targets and
    teachers, or before a logarithm. Log-softmax before cross-entropy changes nothing and is not reported.

    ### Fix safety
    There is no fix: without its softmax the model gives logits to everybody who calls it, to those who
    read probabilities as well.

    ### References
    - [torch.nn.CrossEntropyLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html):
      the input is expected to contain the unnormalized logits.
    - [A loss that stays near 1](https://github.com/ariecattan/SciCo/issues/2), bounded by a softmax
    """

    id = "GRD801"
    name = "softmax-before-cross-entropy"
    severity = Severity.WARNING
    help = "return logits from the model and apply softmax where probabilities are read"
    bad: ClassVar[Mapping[str, str]] = {
        "in forward": _net("return F.softmax(x, dim=1)") + _TRAINED,
        "last layer": _net("return x", "nn.Linear(8, 5), nn.Softmax(dim=-1)") + _TRAINED,
        "method and reshape": _net("return x.softmax(-1).view(-1, 5)") + _TRAINED,
        "at the loss": _net("return x")
        + "def step(net: Net, x, y):\n    return F.cross_entropy(torch.softmax(net(x), 1), y)\n",
        "script with globals": _net("return torch.softmax(x, 1)")
        + "model = Net()\nmodel = nn.DataParallel(model).to('cpu')\nloss_fn = nn.CrossEntropyLoss()\n\n\n"
        "def run(x, y):\n    probabilities = model(x)\n    return loss_fn(probabilities, y)\n\n\n"
        "for epoch in range(9):\n    for x, y in []:\n        run(x, y)\n",
        "log-softmax of a softmax": _net("return F.log_softmax(F.softmax(x, 1), 1)")
        + "def step(x, y):\n    return F.nll_loss(Net()(x), y)\n",
        "own criterion": _net("return x, x.softmax(1)")
        + "class Smooth(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.ce = nn.CrossEntropyLoss(label_smoothing=0.1)\n\n"
        "    def forward(self, output, target):\n        return self.ce(output, target)\n\n\n"
        "class Trainer:\n    def __init__(self, model=None):\n        self.model = model or Net()\n"
        "        self.criterion = Smooth()\n\n    def step(self, x, y):\n"
        "        logits, output = self.model(x)\n        return self.criterion(output, y)\n",
        "loss within the model": _HEAD
        + "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.fc = nn.Linear(8, 5)\n\n    def forward(self, x, labels=None):\n"
        "        output = F.softmax(self.fc(x), dim=-1)\n        if labels is not None:\n"
        "            return F.cross_entropy(input=output, target=labels)\n        return output\n",
    }
    good: ClassVar[Mapping[str, str]] = {
        "logits": _net("return x") + _TRAINED,
        "log-softmax": _net("return F.log_softmax(x, dim=1)") + _TRAINED,
        "inference only": _net("return x if self.training else x.softmax(1)") + _TRAINED,
        "on request": (
            _net("return x").replace("(self, x)", "(self, x, probabilities=False)")
            + "    def predict(self, x):\n        return self(x).softmax(1)\n\n\n"
        ).replace("        return x\n\n\n", "        return x.softmax(1) if probabilities else x\n\n")
        + _TRAINED,
        "other output": _net("return x, x.softmax(1)")
        + "def step(net, x, y):\n    logits, probabilities = Net()(x)\n"
        "    print(probabilities.max())\n    return F.cross_entropy(logits, y)\n",
        "soft targets": _net("return x") + "def distil(x, teacher, student=None):\n    student = Net()\n"
        "    return F.cross_entropy(student(x), teacher(x).softmax(1))\n",
        "measured without gradient": _net("return x.softmax(1)")
        + "@torch.no_grad()\ndef validate(x, y):\n    return F.cross_entropy(Net()(x), y)\n",
        "attention": _net("return torch.softmax(x @ x.T, 1) @ x") + _TRAINED,
        "logarithm between": _net("return x.softmax(1)")
        + "def step(x, y):\n    return F.cross_entropy(torch.log(Net()(x) + 1e-8), y)\n",
    }

    def check(self, objective: Objective) -> Iterator[Finding]:
        """Cross-entropy of a softmax."""
        for loss, kind, sources in objective.logits("cross_entropy"):
            before = sources[-1]
            if all(node.op == "softmax" for node in sources):
                span, others = placed(objective, before, loss)
                message = f"cross-entropy takes the softmax of a softmax{_limit(objective.classes(before))}"
                yield self.finding(span, message, loss_gradient(objective, before, kind), related=others)


def _limit(classes: int | None) -> str:
    if classes is None:
        return ""
    return f": with {classes} classes the loss stays above {least_cross_entropy(1.0, 0.0, classes):.2f}"
