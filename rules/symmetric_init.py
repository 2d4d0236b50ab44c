"""GRD202 symmetric-init."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from gradlint.flow.model import Model
from gradlint.flow.starvation import starved
from gradlint.flow.symmetry import twins
from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.records.graph import Parameter
from gradlint.rule.places import related, within
from gradlint.rule.rule import Rule

_HEAD = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n\nclass Net(nn.Module):\n"
_LAYERS = "self.net = nn.Sequential(nn.Linear(16, 32), nn.{}(), nn.Linear(32, 32), nn.{}(), nn.Linear(32, 4))"
_LORA = (
    "self.base = nn.Linear(16, 16)",
    "self.a = nn.Parameter(torch.{}(16, 4))",
    "self.b = nn.Parameter(torch.{}(4, 16))",
)
_BLOCK = ("self.inner = nn.Linear(16, 32)", "self.outer = nn.Linear(32, 16)")


def _net(*constructor: str, forward: str = "return self.net(x)") -> str:
    """A module with these lines in its constructor."""
    lines = ("super().__init__()", *constructor)
    body = "    def __init__(self):\n" + "".join(f"        {line}\n" for line in lines)
    return f"{_HEAD}{body}\n    def forward(self, x):\n        {forward}\n"


def _filled(layer: str, weight: float) -> tuple[str, ...]:
    """A block of two layers, one of which holds one number throughout."""
    lines = f"nn.init.constant_(self.{layer}.weight, {weight})", f"nn.init.zeros_(self.{layer}.bias)"
    return (*_BLOCK, *lines)


def _set(weight: str, bias: str, act: str = "Tanh") -> tuple[str, ...]:
    """An MLP whose layers are all initialised in a loop."""
    loop = ("for m in self.modules():", "    if isinstance(m, nn.Linear):")
    return (_LAYERS.format(act, act), *loop, f"        {weight}", f"        {bias}")


class SymmetricInit(Rule):
    """Equal or zero weights keep a layer's units equal, or at zero, for ever.

    ### Why is this bad?
    Units with equal weights that the next layer weighs equally get equal gradients: they stay copies of
    one unit, whatever the width. A product of two factors that are both zero passes a gradient to neither:
    dL/dA = Bᵀ·δ·xᵀ and dL/dB = δ·(A·x)ᵀ, so both stay zero.

    ### How it is verified
    The share of different rows in the gradient of the weight: 1/n where all n rows are the same one.

    ### When it is fine
    Where only one factor is zero: the last layer of a branch (ReZero, Fixup, zero-gamma, adaLN-zero), one
    matrix of a LoRA pair, a gate, an output head, a positional embedding. Biases and weights of norms may
    all be equal. Random weights in the next layer tell equal units apart, and so does dropout.

    ### Fix safety
    No fix is offered: which of the two stays constant is a decision.

    ### References
    - Hu et al. 2021, [LoRA](https://arxiv.org/abs/2106.09685): one matrix random, the other zero
    - [Both LoRA matrices zero: no training](https://github.com/nvidia-cosmos/cosmos-predict2.5/pull/15)
    - [A question on two zero matrices in ReLoRA](https://github.com/Guitaricet/relora/issues/18)
    - Goodfellow et al. 2016, Deep Learning, section 8.4: initial parameters must break the symmetry
    """

    id = "GRD202"
    name = "symmetric-init"
    severity = Severity.ERROR
    help = "draw the weights of one of the two at random, for example with nn.init.xavier_uniform_"
    bad: ClassVar[Mapping[str, str]] = {
        "constant weights": _net(*_set("nn.init.constant_(m.weight, 0.1)", "nn.init.zeros_(m.bias)")),
        "all zero": _net(*_set("m.weight.data.zero_()", "m.bias.data.zero_()", "ReLU")),
        "ones through apply": _net(_LAYERS.format("Sigmoid", "Sigmoid"), "self.apply(self._init)")
        + "\n    @staticmethod\n    def _init(m):\n        if type(m) == nn.Linear:\n"
        "            m.weight.data.fill_(1.0)\n            m.bias.data.fill_(0.01)\n",
        "both matrices of LoRA": _net(
            *[line.format("zeros") for line in _LORA], forward="return self.base(x) + x @ self.a @ self.b"
        ),
        "zero gate before zero projection": _net(
            *_filled("outer", 0.0),
            "self.gamma = nn.Parameter(torch.zeros(1))",
            forward="return x + self.gamma * self.outer(F.gelu(self.inner(x)))",
        ),
        "zero layer before a ReLU": _net(
            *_filled("inner", 0.0),
            forward="return x + self.outer(F.relu(self.inner(x)))",
        ),
        "convolutions": _net(
            "self.a, self.b = nn.Conv2d(3, 8, 3, bias=False), nn.Conv2d(8, 8, 3, bias=False)",
            "for conv in (self.a, self.b):",
            "    nn.init.ones_(conv.weight)",
            forward="return self.b(torch.tanh(self.a(x))).mean((2, 3))",
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "one matrix of LoRA": _net(
            *[line.format(kind) for line, kind in zip(_LORA, ("", "randn", "zeros"), strict=True)],
            forward="return self.base(x) + x @ self.a @ self.b",
        ),
        "zero biases": _net(*_set("nn.init.xavier_uniform_(m.weight)", "nn.init.zeros_(m.bias)")),
        "last layer of a branch": _net(
            *_filled("outer", 0.0),
            forward="return x + self.outer(F.relu(self.inner(x)))",
        ),
        "zero gamma": _net(
            "self.conv, self.norm = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)",
            "nn.init.zeros_(self.norm.weight)",
            forward="return F.relu(x + self.norm(self.conv(x)))",
        ),
        "zero modulation and zero head": _net(
            *_BLOCK,
            "self.norm, self.head = nn.LayerNorm(16, elementwise_affine=False), nn.Linear(16, 4)",
            "self.modulation = nn.Linear(16, 16)",
            "for p in (*self.modulation.parameters(), *self.head.parameters()):",
            "    p.data.zero_()",
            forward="h = x + self.modulation(x) * self.outer(F.silu(self.inner(self.norm(x))))\n"
            "        return self.head(h)",
        ),
        "gate": _net(
            *_BLOCK,
            "self.alpha = nn.Parameter(torch.zeros(()))",
            forward="return x + self.alpha * self.outer(torch.relu(self.inner(x)))",
        ),
        "positional embedding": _net(
            "self.net, self.position = nn.Linear(16, 4), nn.Parameter(torch.zeros(1, 16))",
            forward="return self.net(x + self.position)",
        ),
        "random layer behind": _net(
            *_filled("inner", 0.1),
            forward="return self.outer(torch.tanh(self.inner(x)))",
        ),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report zeros that meet zeros, or else the first layer whose units stay equal."""
        zeros = starved(model.graph)
        if zeros:
            names = " and ".join(p.path for p in zeros[:2])
            verbs = ("starts", "gets") if len(zeros) == 1 else ("start", "get")
            yield self._reported(model, f"{names} {verbs[0]} at zero and never {verbs[1]} a gradient", zeros)
            return
        for found in twins(model.graph):
            parts = [found.layer.parameters["weight"], found.next.parameters["weight"]]
            units = found.units or "all"
            yield self._reported(model, f"{units} equal units of {parts[0].path} get one gradient", parts)

    def _reported(self, model: Model, message: str, parts: Sequence[Parameter]) -> Finding:
        graph, first = model.graph, parts[0]
        rows = first.shape[0] if first.shape else None
        share = 1 / rows if rows else 0.0
        claim = Claim(Metric.UNIQUE_GRADIENT_ROWS, f"{graph.name}:{first.path}", 0.5, share)
        places = [p.initial.place or p.made for p in parts]
        beside = [
            part.made if place == places[0] else place for place, part in zip(places, parts, strict=True)
        ]
        said = [(place, f"{part.path} too") for place, part in zip(beside[1:6], parts[1:6], strict=True)]
        others = [each for each in said if each[0] != places[0]]
        span = within(graph, places[0], first.made)
        return self.finding(span, message, claim, related=related(graph, others))
