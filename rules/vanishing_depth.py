"""GRD102 vanishing-depth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.attribution import POWERS, SATURATING
from gradlint.flow.counterfactual import bypassed
from gradlint.flow.model import Model
from gradlint.records.finding import Finding, Severity
from gradlint.rule.depth import LEAST, depth_gain, ends, is_default, layers_of, per_layer, times, worst
from gradlint.rule.places import within
from gradlint.rule.rule import Rule


def _net(*constructor: str, forward: str = "return self.head(self.layers(x))", above: str = "") -> str:
    """A model with these lines in its constructor and, before the class, those of `above`."""
    head = "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n\n" + above
    head += "\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    body = "".join(f"        {line}\n" for line in (*constructor, "self.head = nn.Linear(64, 10)"))
    return f"{head}{body}\n    def forward(self, x):\n        {forward}\n"


def _block(forward: str, *constructor: str) -> str:
    """A block of 64 features; `self.f` maps 64 to 64."""
    lines = "".join(f"        {line}\n" for line in ("self.f = nn.Linear(64, 64)", *constructor))
    head = "class Block(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    return f"{head}{lines}\n    def forward(self, x):\n        return {forward}\n"


_DEEP = "self.layers = nn.Sequential(*[Block() for _ in range(14)])"
_POOLED = "return self.head(self.layers(x).mean((2, 3)))"
_HELPER = """
def conv(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True))
"""
_HE = """
    def reset(self):
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
"""


class VanishingDepth(Rule):
    """The weights of a plain stack are too small for its depth: the first layers get next to no gradient.

    ### Why is this bad?
    A layer multiplies the squared gradient by fan_in · Var(w) · E[φ'²]. torch draws the weights of linear
    layers and convolutions with fan_in · Var(w) = 1/3, so a layer with ReLU passes on 0.41 of the gradient,
    one with GELU or SiLU 0.29: after ten layers a thousandth or less is left. Signals shrink likewise.

    ### How it is verified
    S, the decades between the gradient at the first layer's output and at the last one's, is measured in
    one backward pass from a random projection of the output; what pooling distributes is left out. Of layers
    that are repeated how often the code does not say, a note says from how many on three decades are lost;
    it makes no claim, for there is no model to build.

    ### When it is fine
    With He's initialisation, with a norm after each layer and with residual connections nothing is
    reported; where the code that draws the weights is to blame, rules about initialisation report it.
    Adam trains some of these stacks all the same, since it scales each gradient by its size.

    ### Fix safety
    No fix: there are several ways to mend it.

    ### References
    - He et al.: [Delving deep into rectifiers](https://arxiv.org/abs/1502.01852), 2015
    - [pytorch/pytorch#15314](https://github.com/pytorch/pytorch/issues/15314): where the 1/3 comes from
    - [torch/nn#449](https://github.com/torch/nn/issues/449): the default and very deep networks
    """

    id = "GRD102"
    name = "vanishing-depth"
    severity = Severity.WARNING
    help = "initialise with nn.init.kaiming_normal_, normalise after each layer, or add residual connections"
    threshold = "vanishing-decades"
    bad: ClassVar[Mapping[str, str]] = {
        "ReLU": _net(
            "layers = []",
            "for _ in range(11):",
            "    layers += [nn.Linear(64, 64), nn.ReLU()]",
            "self.layers = nn.Sequential(*layers)",
        ),
        "convolutions from a helper": _net(
            "self.layers = nn.Sequential(conv(3, 64), *[conv(64, 64) for _ in range(9)])",
            forward=_POOLED,
            above=_HELPER,
        ),
        "GELU in blocks": _net(_DEEP.replace("14", "9"), above=_block("F.gelu(self.f(x))")),
        "depth not known": _net(_DEEP.replace("14", "depth"), above=_block("F.relu(self.f(x))")).replace(
            "(self):\n        super().__init__()\n        self.l",
            "(self, depth):\n        super().__init__()\n        self.l",
        ),
        "tanh at the default": _net(
            "self.layers = nn.ModuleList([nn.Linear(64, 64) for _ in range(16)])",
            forward="for f in self.layers:\n            x = torch.tanh(f(x))\n        return self.head(x)",
        ),
        "halved by hand": _net(_DEEP, "self.reset()", above=_block("F.relu(self.f(x)) * 0.5")) + _HE,
        "dropout between does not help": _net(
            _DEEP, above=_block("self.drop(F.silu(self.f(x)))", "self.drop = nn.Dropout(0.1)")
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "He": _net(_DEEP, "self.reset()", above=_block("F.relu(self.f(x))")) + _HE,
        "shallow": _net(_DEEP.replace("14", "5"), above=_block("F.relu(self.f(x))")),
        "LayerNorm": _net(_DEEP, above=_block("F.relu(self.g(self.f(x)))", "self.g = nn.LayerNorm(64)")),
        "BatchNorm": _net(_DEEP, above=_block("F.gelu(self.g(self.f(x)))", "self.g = nn.BatchNorm1d(64)")),
        "residual": _net(_DEEP, above=_block("x + F.gelu(self.f(x))")),
        "norm at the end of each of three": _net(
            _DEEP.replace("14", "4"),
            above=_block(
                "self.norm(self.h(self.g(self.f(x).relu()).relu())) + x",
                "self.g, self.h = nn.Linear(64, 64), nn.Linear(64, 64)",
                "self.norm = nn.LayerNorm(64)",
            ),
        ),
        "initialised in the script": _net(_DEEP, above=_block("F.relu(self.f(x))"))
        + "\n\ndef start(m):\n    if isinstance(m, nn.Linear):\n"
        "        nn.init.kaiming_normal_(m.weight, nonlinearity='relu')\n\n\nnet = Net().apply(start)\n",
        "a method that the script calls": _net(_DEEP, above=_block("F.relu(self.f(x))"))
        + _HE
        + "\n\nnet = Net()\nnet.reset()\n",
        "SELU, LeCun": _net(_DEEP, "self.reset()", above=_block("F.selu(self.f(x))"))
        + _HE.replace('"relu"', '"linear"'),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report a chain that loses its gradient elsewhere than at saturating activations, or may."""
        for each in model.repeated:
            if _loses_by_weights(each.model):
                span = within(model.graph, each.place)
                yield self.finding(span, per_layer(each), severity=Severity.NOTE)
        chain = model.chain
        if chain is None or not _loses_by_weights(model):
            return
        claim = depth_gain(model, chain)
        layers = layers_of(model) + (" at torch's default initialisation" if is_default(model) else "")
        left = f"leave {times(claim.predicted)} of the gradient at the first ({claim.predicted:.1f} decades)"
        yield self.finding(worst(model, -1), f"{layers} {left}", claim, related=ends(model, chain))


def _loses_by_weights(model: Model) -> bool:
    """Whether it is for the depth of a stack that its gradient is lost; where all of it is, it is not."""
    chain = model.chain
    if chain is None or chain.least_loss < LEAST or math.isinf(chain.decades.centre):
        return False
    if model.is_initialised_to(-1) or model.loses_most_at(SATURATING) or len(model.direct(POWERS)) > 1:
        return False
    return not (bypassed(model.graph, model.graph.nodes[chain.first]) or model.is_initialised_elsewhere)
