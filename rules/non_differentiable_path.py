"""GRD702 non-differentiable-path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.model import Model
from gradlint.records.finding import Finding, Severity
from gradlint.rule.cuts import made, named, no_gradient, severed
from gradlint.rule.places import within
from gradlint.rule.rule import Rule


def _net(*forward: str, layers: str = "", methods: str = "") -> str:
    """A module of two layers, `first` and `last`, and others."""
    body = "".join(f"        {line}\n" for line in forward)
    return (
        "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n\nclass Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.first = nn.Linear(8, 16)\n        self.last = nn.Linear(16, 8)\n"
        f"{layers}\n    def forward(self, x):\n{body}{methods}"
    )


_PLACES = frozenset({"topk", "sort", "argsort"})
"""Functions that say where something stands: a model of which only that comes out chooses for others."""


class NonDifferentiablePath(Rule):
    """An operation without a derivative stands between trained parameters and all that is returned.

    ### Why is this bad?
    argmax, comparisons, one_hot, bincount and casts to whole numbers give tensors that no gradient
    comes back from; round, floor and sign are constant wherever they are smooth, so that theirs is 0. The
    parameters before them are never moved, though the loss may go down: the layers behind still learn.

    ### How it is verified
    One backward pass from all that the model returns: the parameter's gradient is None or all 0.

    ### When it is fine
    With a straight-through estimator, gumbel_softmax, or a custom autograd function; where the index
    only picks what carries a gradient itself, such as the largest scores; in metrics and in code for
    inference; beside another output; where another method trains the parameters; in a model that gives
    nothing but the places of the largest scores, for others to look up.

    ### Fix safety
    No fix: there is more than one way to make a choice smooth.

    ### References
    - [Gradient of a learnable threshold](https://github.com/Hiyuur/SR-TOD/issues/5)
    - [Derivative for binary weights](https://github.com/MatthieuCourbariaux/BinaryConnect/issues/7)
    - [Bengio et al. 2013, Estimating or Propagating Gradients](https://arxiv.org/abs/1308.3432)
    - [Jang et al. 2016, Gumbel-Softmax](https://arxiv.org/abs/1611.01144)
    """

    id = "GRD702"
    name = "non-differentiable-path"
    severity = Severity.ERROR
    help = "use a smooth version (softmax, sigmoid, gumbel_softmax) or a straight-through estimator"
    bad: ClassVar[Mapping[str, str]] = {
        "the class instead of the scores": _net(
            "x = torch.relu(self.first(x))", "return torch.argmax(self.last(x), dim=1)"
        ),
        "a step in the middle": _net("h = (self.first(x) > 0).float()", "return self.last(h)"),
        "rounded": _net("h = self.first(x).tanh()", "h = (h * 4).round() / 4", "return self.last(h)"),
        "the sign": _net("return self.last(torch.sign(self.first(x)))"),
        "looked up": _net(
            "token = F.softmax(self.first(x), dim=-1).argmax(-1)",
            "return self.table(token)",
            layers="        self.table = nn.Embedding(16, 4)\n",
        ),
        "one hot": _net(
            "index = self.first(x).argmax(dim=-1)",
            "return self.last(F.one_hot(index, 16).float())",
        ),
        "cast": _net("h = self.first(x).long()", "return self.last(h.float())"),
        "a threshold that is learnt": _net(
            "h = self.first(x)",
            "mask = (torch.sign(h.abs() - self.threshold) + 1) * 0.5",
            "return self.last(h * mask)",
            layers="        self.threshold = nn.Parameter(torch.tensor([0.1]))\n",
        ),
        "the index of the largest": _net(
            "_, index = self.first(x).max(dim=-1)",
            "return self.last(F.one_hot(index, 16).float())",
        ),
        "a hard mask": _net(
            "mask = torch.sigmoid(self.gate(x)).ge(0.5).float()",
            "return self.last(self.first(x) * mask)",
            layers="        self.gate = nn.Linear(8, 16)\n",
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "straight through": _net(
            "h = self.first(x)", "h = (h.sign() - h).detach() + h", "return self.last(h)"
        ),
        "beside the scores": _net("y = self.last(self.first(x))", "return y, y.argmax(dim=-1)"),
        "gumbel": _net("h = F.gumbel_softmax(self.first(x), hard=True)", "return self.last(h)"),
        "a mask of its own": _net("h = self.first(x)", "return self.last(h * (h > 0).float())"),
        "the largest scores": _net(
            "scores, index = self.first(x).topk(2, dim=-1)",
            "chosen = self.first.weight.sum(-1)[index]",
            "return chosen * scores.softmax(-1)",
        ),
        "the places of the largest scores and nothing else": _net(
            "scores = self.last(torch.relu(self.first(x)))",
            "found = scores.topk(2, dim=-1).indices",
            "return torch.where(found < 4, found, torch.full_like(found, -1))",
        ),
        "only at inference": _net(
            "y = self.last(self.first(x))", "if self.training:", "    return y", "return y.argmax(-1)"
        ),
        "trained by another method": _net(
            "return self.last(self.first(x)).argmax(-1)",
            methods=(
                "\n    def loss(self, x, y):\n        return F.cross_entropy(self.last(self.first(x)), y)\n"
            ),
        ),
        "an estimator of its own": (
            "import torch\nfrom torch import nn\n\nclass Step(torch.autograd.Function):\n    @staticmethod\n"
            "    def forward(ctx, x):\n        return (x > 0).float()\n\n    @staticmethod\n"
            "    def backward(ctx, grad):\n        return grad\n\nclass Net(nn.Module):\n"
            "    def __init__(self):\n        super().__init__()\n        self.first = nn.Linear(8, 16)\n"
            "        self.last = nn.Linear(16, 8)\n\n    def forward(self, x):\n"
            "        return self.last(Step.apply(self.first(x)))\n"
        ),
        "no parameters": _net("h = self.first(x)", "return self.last(h) + (x > 0).float()"),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report each operation that leaves parameters without a gradient."""
        for cut in severed(model, reading=False):
            if cut.is_everything and cut.by in _PLACES:
                continue
            what = "a comparison" if cut.op == "compare" else f"{cut.by}()"
            message = f"{what} has no gradient for {named(cut.parameters)}"
            claim = no_gradient(model, cut.parameters[0])
            span = within(model.graph, cut.place)
            yield self.finding(span, message, claim, related=made(model, cut.parameters))
