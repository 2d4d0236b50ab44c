"""GRD205 mismatched-init-gain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.faults import Kind
from gradlint.flow.model import Model
from gradlint.records.finding import Finding, Severity
from gradlint.rule.initialisation import blamed, gains
from gradlint.rule.rule import Rule


def _net(body: str, init: str, *more: str, width: int = 128) -> str:
    """A model of layers whose weights `init` writes, as a helper that is applied."""
    lines = "".join(f"        {line}\n" for line in more)
    return f"""import math
import torch
from torch import nn
from torch.nn import functional as F

def init_weights(m):
    if isinstance(m, (nn.Linear, nn.Conv2d)):
        {init}
        nn.init.zeros_(m.bias)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*[m for _ in range({body}])
        self.head = nn.Linear({width}, 10)
        self.apply(init_weights)
{lines}
    def forward(self, x):
        return self.head(self.layers(x))
"""


_GAIN = "nn.init.calculate_gain"
_RELU = "for m in (nn.Linear(128, 128), nn.ReLU())"


class MismatchedInitGain(Rule):
    """Weights are initialised with the gain of another activation than the one that follows.

    ### Why is this bad?
    The initialisers of Glorot and He keep the variance of the signal if their gain makes up for what
    the activation takes: 1/√E[φ(z)²], which is √2 for ReLU, 1.6 for tanh, 1 without activation. A gain
    that belongs to another activation is off by a factor in every layer, which adds up with depth:
    Xavier's gain of 1 loses half of the gradient's norm every two ReLUs.

    ### How it is verified
    The flow is predicted with the gain as written and with that of the activation that follows; what
    differs is what this call does. One backward pass measures S, the decades by which the gradient
    differs between the first layer and the last, or one forward pass the scale of the signal.

    ### When it is fine
    In shallow models and wherever normalisation or residual paths keep the scale: neither is reported.

    ### Fix safety
    No fix: another gain changes what a model is trained from.

    ### References
    - He, Zhang, Ren, Sun: [Delving Deep into Rectifiers](https://arxiv.org/abs/1502.01852), 2015, sec. 2.2
    - [Lasagne/Lasagne#658](https://github.com/Lasagne/Lasagne/issues/658): Glorot's gain of 1 before ReLU
    - [pytorch/pytorch#129302](https://github.com/pytorch/pytorch/issues/129302): what a = √5 stands for
    """

    id = "GRD205"
    name = "mismatched-init-gain"
    severity = Severity.WARNING
    help = "give the initialiser the gain of the activation that follows"
    threshold = "initialisation-decades"
    bad: ClassVar[Mapping[str, str]] = {
        "Xavier before ReLU": _net(f"16) {_RELU}", "nn.init.xavier_uniform_(m.weight)"),
        "linear before ReLU": _net(
            f"16) {_RELU}", "nn.init.kaiming_normal_(m.weight, nonlinearity='linear')"
        ),
        "slope of another activation": _net(
            f"8) {_RELU}", "nn.init.kaiming_uniform_(m.weight, a=math.sqrt(5))"
        ),
        "orthogonal before GELU": _net(
            "12) for m in (nn.Linear(128, 128), nn.GELU())", "nn.init.orthogonal_(m.weight)"
        ),
        "ReLU's gain without ReLU": _net(
            "14) for m in (nn.Linear(128, 128), nn.Identity())",
            f"nn.init.xavier_normal_(m.weight, gain={_GAIN}('relu'))",
        ),
        "scaled twice": _net(
            f"8) {_RELU}",
            "nn.init.kaiming_normal_(m.weight)",
            "for m in self.layers:",
            "    if isinstance(m, nn.Linear):",
            "        m.weight.data.mul_(2.0)",
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "shallow": _net(f"3) {_RELU}", "nn.init.xavier_uniform_(m.weight)"),
        "normalised": _net(
            "16) for m in (nn.Linear(128, 128), nn.LayerNorm(128), nn.ReLU())",
            "nn.init.xavier_uniform_(m.weight)",
        ),
        "ReLU's gain": _net(f"16) {_RELU}", f"nn.init.xavier_uniform_(m.weight, gain={_GAIN}('relu'))"),
        "He before ReLU": _net(f"16) {_RELU}", "nn.init.kaiming_uniform_(m.weight, nonlinearity='relu')"),
        "Xavier before tanh": _net(
            "12) for m in (nn.Linear(128, 128), nn.Tanh())", "nn.init.xavier_normal_(m.weight)"
        ),
        "orthogonal, leaky": _net(
            "16) for m in (nn.Linear(128, 128), nn.LeakyReLU(0.2))",
            f"nn.init.orthogonal_(m.weight, {_GAIN}('leaky_relu', 0.2))",
        ),
        "LeCun before SELU": _net(
            "16) for m in (nn.Linear(128, 128), nn.SELU())",
            "nn.init.kaiming_normal_(m.weight, nonlinearity='linear')",
        ),
        "residual": _net("16) for m in (Block(),)", "nn.init.xavier_uniform_(m.weight, gain=0.5)")
        + """
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Linear(128, 128)

    def forward(self, x):
        return x + 0.2 * torch.relu(self.f(x))
""",
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report each call whose gain does not fit."""
        for span, message, claim, also in blamed(model, Kind.MISMATCHED, gains):
            yield self.finding(span, message, claim, related=also)
