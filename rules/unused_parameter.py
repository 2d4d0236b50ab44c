"""GRD705 unused-parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.model import Model
from gradlint.records.finding import Finding, Severity
from gradlint.rule.cuts import no_gradient
from gradlint.rule.rule import Rule


def _net(*layers: str, forward: str = "self.last(self.first(x))", methods: str = "") -> str:
    """A module of two layers, `first` and `last`, and others."""
    body = "".join(f"        {line}\n" for line in layers)
    return (
        "import torch\nfrom torch import nn\n\nclass Block(nn.Module):\n    def __init__(self, width):\n"
        "        super().__init__()\n        self.inner = nn.Linear(width, width)\n"
        "        self.norm = nn.LayerNorm(width)\n\n    def forward(self, x):\n"
        "        return x + self.inner(self.norm(x))\n\nclass Net(nn.Module):\n"
        "    def __init__(self, auxiliary=False):\n        super().__init__()\n"
        "        self.auxiliary = auxiliary\n        self.first = nn.Linear(8, 16)\n"
        f"        self.last = nn.Linear(16, 8)\n{body}\n    def forward(self, x):\n"
        f"        return {forward}\n{methods}"
    )


class UnusedParameter(Rule):
    """A part of the model holds parameters that no code of its class reads.

    ### Why is this bad?
    The layer was meant to do something: often another one is called in its place by mistake. Its
    parameters take up memory and checkpoints, get no gradient (DistributedDataParallel stops with an
    error for that), and a weight decay still moves them.

    ### How it is verified
    One backward pass from all that the model returns: the parameter's gradient is None.

    ### When it is fine
    Where other code uses the part: another method, a class that derives from this one, another file.
    Where a flag selects it, or it is tied to one that is used.

    ### Fix safety
    No fix: either the layer or its use is what is wrong.

    ### References
    - [Defined but unused convolution](https://github.com/tianzhi0549/FCOS/issues/217)
    - [Training fails if a layer is not used](https://github.com/pytorch/pytorch/issues/19791)
    - [DistributedDataParallel, find_unused_parameters](https://docs.pytorch.org/docs/stable/generated/torch.nn.parallel.DistributedDataParallel.html)
    """

    id = "GRD705"
    name = "unused-parameter"
    severity = Severity.NOTE
    help = "use the layer in forward, or do not make it"
    bad: ClassVar[Mapping[str, str]] = {
        "another is called twice": _net("self.second = nn.Linear(16, 16)"),
        "a bare parameter": _net("self.scale = nn.Parameter(torch.ones(8))"),
        "a block": _net("self.block = Block(16)"),
        "a sequence": _net("self.extra = nn.Sequential(nn.Linear(16, 16), nn.ReLU())"),
        "a list of layers": _net("self.norms = nn.ModuleList([nn.LayerNorm(16) for _ in range(3)])"),
        "in a block that is repeated": (
            "import torch.nn as nn\n\nclass Block(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n        self.inner = nn.Linear(8, 8)\n"
            "        self.norm = nn.LayerNorm(8)\n\n    def forward(self, x):\n"
            "        return x + self.inner(x)\n\nclass Net(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n"
            "        self.blocks = nn.Sequential(*[Block() for _ in range(3)])\n\n"
            "    def forward(self, x):\n        return self.blocks(x)\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "all are used": _net("self.block = Block(16)", forward="self.last(self.block(self.first(x)))"),
        "another method": _net(
            "self.head = nn.Linear(16, 2)",
            methods="\n    def classify(self, x):\n        return self.head(self.first(x))\n",
        ),
        "a flag selects it": _net(
            "self.head = nn.Linear(8, 8)",
            forward="self.head(self.last(self.first(x))) if self.auxiliary else self.last(self.first(x))",
        ),
        "tied": _net(
            "self.decoder = nn.Linear(8, 16, bias=False)",
            "self.decoder.weight = self.first.weight",
        ),
        "frozen": _net("self.prior = nn.Parameter(torch.zeros(8), requires_grad=False)"),
        "by its name": _net(
            "self.head_a = nn.Linear(8, 8)",
            methods="\n    def head(self, name):\n        return getattr(self, 'head_' + name)\n",
        ),
        "a class that derives from it": _net("self.head = nn.Linear(16, 2)")
        + "\nclass Classifier(Net):\n    def forward(self, x):\n"
        "        return self.head(self.first(x)) + self.last(self.first(x)).mean()\n",
        "handed on": _net(
            "self.block = Block(16)",
            "self.runner = [self.block]",
            forward="self.last(self.runner[0](self.first(x)))",
        ),
        "a template": _net(
            "self.layer = nn.TransformerEncoderLayer(8, 2)",
            "self.encoder = nn.TransformerEncoder(self.layer, 2)",
            forward="self.last(self.first(self.encoder(x)))",
        ),
        "nothing to train": _net("self.act = nn.ReLU()", "self.drop = nn.Dropout(0.1)"),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report each part that nothing reads."""
        for unused in model.graph.unused:
            if unused.place.path == model.graph.place.path:
                count = len(unused.parameters)
                what = "its parameter gets" if count == 1 else f"its {count} parameters get"
                message = f"{unused.path} is never used: {what} no gradient"
                claim = no_gradient(model, unused.parameters[0])
                yield self.finding(unused.place.span, message, claim)
