"""GRD204 uncentred-weight-init."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.faults import Kind
from gradlint.flow.model import Model
from gradlint.records.finding import Finding, Severity
from gradlint.rule.initialisation import blamed, means
from gradlint.rule.rule import Rule


def _net(*constructor: str, forward: str = "return self.head(self.layers(x))", rest: str = "") -> str:
    """A model with these lines in its constructor; `rest` stands behind its methods."""
    head = "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n\n"
    head += "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    body = "".join(f"        {line}\n" for line in constructor)
    return f"{head}{body}\n    def forward(self, x):\n        {forward}\n{rest}"


_STACK = (
    "self.layers = nn.Sequential(*[m for _ in range(3) for m in (nn.Linear(64, 64), nn.ReLU())])",
    "self.head = nn.Linear(64, 10)",
)
_LOOP = "for w in self.weights:\n            x = torch.relu(x @ w)\n        return x"


def _init(call: str) -> str:
    """A method that initialises linear layers by `call`."""
    return f"""
    def _init(self, m):
        if isinstance(m, nn.Linear):
            {call}
"""


class UncentredWeightInit(Rule):
    """Weights are drawn from a range that is not centred at 0, such as that of torch.rand.

    ### Why is this bad?
    A mean m of the weights adds the same term m·Σx to all units of a layer. Behind ReLU or sigmoid,
    where all x are positive, it grows with fan_in instead of √fan_in: three layers of 64 units with
    weights from [0, 1) make the signal 10 000 times larger, and all units do nearly the same.

    ### How it is verified
    The flow is predicted with the weights as written and with weights around 0, of the same variance or
    of that which keeps the scale; what differs is what this call does. One pass measures the scale of
    the last output over that of the input, or S, the decades between first and last gradient.

    ### When it is fine
    For scalars, gates, mixing coefficients, biases and masks: none of them is reported, nor are
    `torch.rand(n, m) * 2 - 1` and `uniform_(w, -k, k)`.

    ### Fix safety
    No fix: the right scale depends on the activation.

    ### References
    - [denizyuret/Knet.jl#311](https://github.com/denizyuret/Knet.jl/pull/311): an initialiser of Xavier's
      whose mean was not 0
    - He, Zhang, Ren, Sun: [Delving Deep into Rectifiers](https://arxiv.org/abs/1502.01852), 2015, sec. 2.2
    """

    id = "GRD204"
    name = "uncentred-weight-init"
    severity = Severity.WARNING
    help = "draw weights around 0: nn.init.kaiming_uniform_, or uniform_(w, -k, k) with k = √(6/fan_in)"
    threshold = "initialisation-decades"
    bad: ClassVar[Mapping[str, str]] = {
        "torch.rand": _net(
            "self.weights = nn.ParameterList([nn.Parameter(torch.rand(64, 64)) for _ in range(3)])",
            forward=_LOOP,
        ),
        "default range, applied": _net(
            *_STACK, "self.apply(self._init)", rest=_init("nn.init.uniform_(m.weight)")
        ),
        "one parameter each": _net(
            "self.w1 = nn.Parameter(torch.rand(128, 32))",
            "self.w2 = nn.Parameter(torch.rand(128, 128))",
            "self.w3 = nn.Parameter(torch.rand(4, 128))",
            "self.b1 = nn.Parameter(torch.zeros(128))",
            forward="x = F.gelu(F.linear(x, self.w1, self.b1))\n"
            "        return F.gelu(x @ self.w2.t()) @ self.w3.t()",
        ),
        "from NumPy": _net(
            "import numpy as np",
            "self.w1 = nn.Parameter(torch.from_numpy(np.random.rand(64, 128).astype(np.float32)))",
            "self.w2 = nn.Parameter(torch.tensor(np.random.rand(128, 128), dtype=torch.float32))",
            "self.w3 = nn.Parameter(torch.randn(128, 10) / 128**0.5)",
            forward="return torch.relu(torch.relu(x @ self.w1) @ self.w2) @ self.w3",
        ),
        "a normal law aside of 0": _net(
            *_STACK,
            "for layer in self.layers[::2]:",
            "    nn.init.normal_(layer.weight, 0.5, 0.1)",
        ),
        "convolutions": _net(
            "self.layers = nn.Sequential(",
            "    nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(),",
            "    nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(),",
            ")",
            "self.head = nn.Conv2d(16, 1, 1)",
            "self.reset()",
            rest="\n    def reset(self):\n        for m in self.layers:\n"
            "            if hasattr(m, 'weight'):\n                nn.init.uniform_(m.weight, 0.0, 0.5)\n",
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "centred by hand": _net(
            "self.weights = nn.ParameterList(",
            "    [nn.Parameter((2 * torch.rand(64, 64) - 1) / 64**0.5) for _ in range(3)]",
            ")",
            forward=_LOOP,
        ),
        "a range around 0": _net(
            *_STACK, "self.apply(self._init)", rest=_init("nn.init.uniform_(m.weight, -0.2, 0.2)")
        ),
        "scalars": _net(
            "self.scale, self.gate = nn.Parameter(torch.rand(1)), nn.Parameter(torch.rand(()))",
            *_STACK,
            forward="return self.head(x * self.scale + self.gate * self.layers(x))",
        ),
        "mixing coefficients": _net(
            "self.mix = nn.Parameter(torch.rand(2))",
            *_STACK,
            forward="a, b = torch.softmax(self.mix, 0)\n        return self.head(a * x + b * self.layers(x))",
        ),
        "gates of features": _net(
            "self.gate = nn.Parameter(torch.rand(64))",
            *_STACK,
            forward="return self.head(self.layers(x) * torch.sigmoid(self.gate))",
        ),
        "biases": _net(*_STACK, "self.apply(self._init)", rest=_init("nn.init.uniform_(m.bias, 0, 0.1)")),
        "mask": _net(
            *_STACK,
            "self.register_buffer('mask', (torch.rand(64) > 0.5).float())",
            forward="return self.head(self.layers(x) * self.mask)",
        ),
        "small and shallow": _net(
            "self.w = nn.Parameter(torch.rand(4, 16) / 4)",
            "self.v = nn.Parameter(torch.randn(16, 1) / 4)",
            forward="return torch.tanh(x @ self.w) @ self.v",
        ),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report each call that draws weights aside of 0."""
        for span, message, claim, also in blamed(model, Kind.UNCENTRED, means):
            yield self.finding(span, message, claim, related=also)
