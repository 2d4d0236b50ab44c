"""GRD701 gradient-cut."""

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
        "import math\nimport numpy as np\nimport torch\nfrom torch import nn\n\nclass Net(nn.Module):\n"
        "    def __init__(self, frozen=True):\n        super().__init__()\n"
        "        self.first = nn.Linear(8, 16)\n        self.last = nn.Linear(16, 8)\n"
        f"        self.frozen = frozen\n{layers}\n    def forward(self, x):\n{body}{methods}"
    )


_SAMPLING = frozenset({"sample", "sample_n"})


class GradientCut(Rule):
    """A step takes the numbers out of a tensor, and trained parameters get no gradient past it.

    ### Why is this bad?
    `.detach()`, `.data`, `.item()`, `.numpy()`, `.tolist()`, `torch.tensor(x)`, `float(x)` and everything
    under `no_grad` give the same numbers without the history that a backward pass follows; so does
    `sample()` of a distribution, where `rsample()` keeps it. Nothing fails as long as some other
    parameter is trained: the layers before the cut stay as they were drawn.

    ### How it is verified
    One backward pass from all that the model returns: the parameter's gradient is None, or there is
    nothing to go back from.

    ### When it is fine
    Where the parameters get their gradient another way: a residual, a straight-through estimator, a
    second output, a loss kept in an attribute, another method. Where they are frozen, are copies of
    others that are trained, or are written by hand; where a flag decides; targets and statistics.

    ### Fix safety
    No fix: whether the cut is meant is not in the code.

    ### References
    - [Usage of functions breaks the computation graph](https://github.com/speechbrain/speechbrain/issues/1396)
    - [Locally disabling gradients](https://docs.pytorch.org/docs/stable/notes/autograd.html)
    """

    id = "GRD701"
    name = "gradient-cut"
    severity = Severity.ERROR
    help = "go on with the tensor itself (a sample: rsample); to keep parameters fixed, set requires_grad"
    bad: ClassVar[Mapping[str, str]] = {
        "wrapped anew": _net("x = torch.relu(self.first(x))", "return self.last(torch.tensor(x))"),
        "through numpy": _net(
            "h = self.first(x).detach().cpu().numpy()",
            "h = torch.from_numpy(np.tanh(h)).float()",
            "return self.last(h)",
        ),
        "data": _net("h = self.first(x)", "h = h.data.clamp(-1, 1)", "return self.last(h)"),
        "no_grad around a layer": _net(
            "with torch.no_grad():", "    h = self.first(x)", "return self.last(h).tanh()"
        ),
        "numbers in a list": _net(
            "scores = []",
            "for row in range(4):",
            "    scores.append(self.last(self.first(x[row])).sum().item())",
            "return torch.tensor(scores)",
        ),
        "a block in a sequence": (
            "import torch\nimport torch.nn as nn\n\nclass Stop(nn.Module):\n    def forward(self, x):\n"
            "        return x.detach()\n\nclass Net(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n        self.body = nn.Sequential(\n"
            "            nn.Conv1d(1, 4, 3), nn.ReLU(), Stop(), nn.Conv1d(4, 1, 3)\n        )\n\n"
            "    def forward(self, x):\n        return self.body(x)\n"
        ),
        "a sample": _net(
            "mean, spread = torch.relu(self.first(x)).chunk(2, 1)",
            "z = torch.distributions.Normal(mean, spread.exp()).sample()",
            "return self.last(torch.cat([z, z], 1))",
        ),
        "everything": _net("y = self.last(self.first(x).relu())", "return y.detach()"),
    }
    good: ClassVar[Mapping[str, str]] = {
        "straight through": _net(
            "h = self.first(x)", "h = h + (torch.round(h) - h).detach()", "return self.last(h)"
        ),
        "a residual": _net("h = self.first(x)", "return self.last(h + h.detach().mean())"),
        "scaled by its own size": _net("h = self.first(x)", "return self.last(h / h.norm().detach())"),
        "a second output": _net("h = self.first(x)", "return self.last(h.detach()), h"),
        "frozen": _net(
            "return self.last(self.first(x).detach())",
            layers="        for p in self.first.parameters():\n            p.requires_grad = False\n",
        ),
        "a flag decides": _net(
            "h = self.first(x)", "if self.frozen:", "    h = h.detach()", "return self.last(h)"
        ),
        "a flag decides on the mode": _net(
            "with torch.set_grad_enabled(not self.frozen):",
            "    h = self.first(x)",
            "return self.last(h)",
        ),
        "a target that follows": _net(
            "with torch.no_grad():",
            "    target = self.target(x)",
            "return self.last(self.first(x)), target",
            layers="        self.target = nn.Linear(8, 16)\n",
            methods=(
                "\n    def follow(self):\n"
                "        for p, q in zip(self.first.parameters(), self.target.parameters()):\n"
                "            q.data.mul_(0.99).add_(p.data, alpha=0.01)\n"
            ),
        ),
        "a loss kept for later": _net(
            "h = self.first(x)", "self.penalty = h.square().mean()", "return self.last(h.detach())"
        ),
        "a sample that keeps its history": _net(
            "h = torch.distributions.Normal(self.first(x), 1.0).rsample()", "return self.last(h)"
        ),
        "a sample and its probability": _net(
            "choice = torch.distributions.Categorical(logits=self.first(x))",
            "index = choice.sample()",
            "return self.last(nn.functional.one_hot(index, 16).float()), choice.log_prob(index)",
        ),
        "a sample and what it was drawn from": _net(
            "h = self.first(x)",
            "z = torch.distributions.Normal(h, 1.0).sample()",
            "return self.last(z), h",
        ),
        "state between batches": _net(
            "h = torch.tanh(self.first(x) + self.state)",
            "self.state = h.detach()",
            "return self.last(h)",
            layers="        self.state = torch.zeros(16)\n",
        ),
        "trained by another method": _net(
            "return self.last(self.first(x)).argmax(-1).tolist()",
            methods="\n    def loss(self, x, y):\n        return (self.last(self.first(x)) - y).mean()\n",
        ),
        "a target that may be left out": (
            "import torch\nfrom torch import nn\n\nclass Net(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n        self.first = nn.Linear(8, 8)\n\n"
            "    def forward(self, x, y=None):\n        h, loss = self.first(x), 0\n"
            "        if y is not None:\n            loss = nn.functional.cross_entropy(h, y)\n"
            "        return loss, h.detach()\n"
        ),
        "a codebook": (
            "import torch\nfrom torch import nn\n\nclass Quantizer(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n        self.codes = nn.Embedding(16, 8)\n"
            "        self.first = nn.Linear(8, 8)\n\n    def forward(self, x):\n        z = self.first(x)\n"
            "        index = torch.cdist(z, self.codes.weight).argmin(-1)\n        q = self.codes(index)\n"
            "        loss = (q - z.detach()).square().mean() + (z - q.detach()).square().mean()\n"
            "        return z + (q - z).detach(), loss\n"
        ),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report each step that leaves parameters without a gradient."""
        for cut in severed(model, reading=True):
            if cut.by == "no_grad" and cut.is_everything:
                continue  # a model that is only evaluated
            if cut.by in _SAMPLING and (cut.is_everything or cut.is_last):
                continue  # a choice for code that follows it
            way = cut.by if cut.by == "data" else f"{cut.by}()"
            message = f"no gradient gets past {way} to {named(cut.parameters)}"
            claim = no_gradient(model, cut.parameters[0])
            span = within(model.graph, cut.place)
            yield self.finding(span, message, claim, related=made(model, cut.parameters))
