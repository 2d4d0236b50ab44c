"""GRD804 logits-into-probability-loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.objective import Objective
from gradlint.flow.propagate import is_weighted
from gradlint.records.finding import Claim, Finding, Severity
from gradlint.records.graph import Node
from gradlint.rule.joined import loss_gradient, placed
from gradlint.rule.rule import Rule

_LOGARITHMS = ("log_softmax", "logsigmoid")
_PROBABILITIES = ("softmax", "sigmoid", "hardsigmoid")
_CLASSES = ("nll_loss", "kl_div")
_ELSE = {"nll_loss": ("relu", "tanh"), "binary_cross_entropy": ("tanh",)}
"""Activations that end in neither probabilities nor their logarithms."""

_HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n\n"


def _net(last: str, layers: str = "nn.Linear(8, 5)") -> str:
    """A classifier whose forward pass ends in `last`."""
    return (
        f"{_HEAD}class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        f"        self.body = nn.Sequential({layers})\n\n    def forward(self, x):\n"
        f"        x = self.body(x)\n        {last}\n\n\n"
    )


_TRAINED = """def train(loader):
    net, criterion = Net(), nn.NLLLoss()
    for x, y in loader:
        criterion(net(x), y).backward()
"""
_BINARY = "def step(x, y):\n    return F.binary_cross_entropy(Net()(x), y)\n"


class LogitsIntoProbabilityLoss(Rule):
    """A loss of probabilities or of their logarithms is given something else.

    ### Why is this bad?
    `BCELoss` takes the logarithm of its input: it raises an error as soon as a logit leaves [0, 1].
    `NLLLoss` takes none: of probabilities it makes -p instead of -log p, whose derivative p(1 - p) is next
    to nothing where a sample is confidently wrong; of logits it makes a number without a lower bound,
    which falls for ever. `KLDivLoss` and `CTCLoss` expect logarithms as well.

    ### How it is verified
    Probabilities in place of their logarithms: -p is minimised instead of -log p for a class whose logit is
    -10, and the gradient is divided by that of cross-entropy. Logits carry no claim: `BCELoss` raises an
    error before there is a gradient, and for `NLLLoss` the gradient is healthy while the loss has no minimum.

    ### When it is fine
    Where a sigmoid (for `BCELoss`) or a log-softmax (for `NLLLoss`) stands before the loss.

    ### Fix safety
    There is no fix: the code does not tell which of the two is meant, what the model gives or what the loss
    takes.

    ### References
    - [torch.nn.NLLLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html):
      the input is expected to contain log-probabilities.
    - [A loss below 0](https://github.com/yanx27/Pointnet_Pointnet2_pytorch/issues/30), logits in `nll_loss`
    - [torch.nn.BCELoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html)
    """

    id = "GRD804"
    name = "logits-into-probability-loss"
    severity = Severity.ERROR
    help = "give NLLLoss log_softmax, BCELoss a sigmoid, or use the loss that takes logits"
    bad: ClassVar[Mapping[str, str]] = {
        "logits into BCELoss": _net("return x", "nn.Linear(8, 1)") + _BINARY,
        "convolution into BCELoss": _net("return x.flatten(1)", "nn.Conv2d(3, 1, 1)")
        + "bce = nn.BCELoss()\n\n\ndef step(x, y):\n    return bce(Net()(x), y)\n",
        "probabilities into NLLLoss": _net("return F.softmax(x, dim=1)") + _TRAINED,
        "logits into NLLLoss": _net("return x", "nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 5)") + _TRAINED,
        "sigmoid into NLLLoss": _net("return x", "nn.Linear(8, 2), nn.Sigmoid()") + _TRAINED,
        "probabilities into kl_div": _net("return x") + "def step(x, teacher):\n    student = Net()(x)\n"
        "    return F.kl_div(F.softmax(student, 1), F.softmax(teacher(x), 1), reduction='batchmean')\n",
        "logarithms into BCELoss": _net("return F.log_softmax(x, 1)") + _BINARY,
        "relu into NLLLoss": _net("return F.relu(x)") + _TRAINED,
        "tanh into NLLLoss": _net("return x", "nn.Linear(8, 5), nn.Tanh()") + _TRAINED,
        "tanh into BCELoss": _net("return torch.tanh(x)", "nn.Linear(8, 1)") + _BINARY,
        "logits into ctc_loss": _net("return x.transpose(0, 1)")
        + "def step(x, y, n, m):\n    return F.ctc_loss(Net()(x), y, n, m)\n",
    }
    good: ClassVar[Mapping[str, str]] = {
        "log-softmax": _net("return F.log_softmax(x, dim=1)") + _TRAINED,
        "log-softmax as last layer": _net("return x", "nn.Linear(8, 5), nn.LogSoftmax(dim=1)") + _TRAINED,
        "logarithm of probabilities": _net("return torch.log(F.softmax(x, dim=1) + 1e-8)") + _TRAINED,
        "sigmoid": _net("return torch.sigmoid(x)", "nn.Linear(8, 1)") + _BINARY,
        "softmax into BCELoss": _net("return x.softmax(1)") + _BINARY,
        "tanh made a probability": _net("return (torch.tanh(x) + 1) / 2") + _BINARY,
        "relu made a logarithm": _net("return -F.relu(x)") + _TRAINED,
        "relu into BCELoss may be clamped": _net("return F.relu(x).clamp(max=1)") + _BINARY,
        "clamped": _net("return x.clamp(0, 1)") + _BINARY,
        "loss with logits": _net("return x")
        + "def step(x, y):\n    return F.binary_cross_entropy_with_logits(Net()(x), y)\n",
        "distillation with temperature": _net("return x")
        + "def step(x, teacher, T=4.0):\n    student = F.log_softmax(Net()(x) / T, dim=1)\n"
        "    return F.kl_div(student, F.softmax(teacher(x) / T, dim=1)) * T * T\n",
        "activation from outside": _net("return self.last(x)").replace(
            "(self):\n        super().__init__()",
            "(self, last):\n        super().__init__()\n        self.last = last",
        )
        + _BINARY.replace("Net()", "Net(torch.sigmoid)"),
    }

    def check(self, objective: Objective) -> Iterator[Finding]:
        """Losses that take what a model does not give."""
        for loss in objective.losses("binary_cross_entropy", *_CLASSES, "ctc_loss"):
            found = list(objective.sources(loss.inputs[0]))
            wrong = _PROBABILITIES if loss.op != "binary_cross_entropy" else _LOGARITHMS
            wrong = (*wrong, *_ELSE.get(loss.op, ()))
            if all(node.op in wrong or is_weighted(node) for node in found):
                span, others = placed(objective, found[0], loss)
                yield self.finding(
                    span, _said(found[0], loss), _claim(objective, found[0], loss), related=others
                )


def _claim(objective: Objective, before: Node, loss: Node) -> Claim | None:
    measured = before.op in _PROBABILITIES and loss.op in _CLASSES
    return loss_gradient(objective, before, loss.op) if measured else None


def _said(before: Node, loss: Node) -> str:
    given = f"the result of `{before.op}`" if not is_weighted(before) else f"the logits of `{before.op}`"
    wanted = "probabilities" if loss.op == "binary_cross_entropy" else "log-probabilities"
    return f"`{loss.op}` takes {wanted} and is given {given}"
