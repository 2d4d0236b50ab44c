"""GRD207 vanishing-init."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.faults import Kind
from gradlint.flow.model import Model
from gradlint.records.finding import Finding, Severity
from gradlint.rule.initialisation import blamed, spread
from gradlint.rule.rule import Rule


def _net(*constructor: str, forward: str = "return self.head(self.layers(x))", rest: str = "") -> str:
    """A model with these lines in its constructor; `rest` stands behind its methods."""
    head = "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n\n"
    head += "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    body = "".join(f"        {line}\n" for line in constructor)
    return f"{head}{body}\n    def forward(self, x):\n        {forward}\n{rest}"


def _stack(layer: str, depth: int) -> tuple[str, ...]:
    """Lines that repeat a layer, and a head."""
    layers = f"self.layers = nn.Sequential(*[m for _ in range({depth}) for m in ({layer})])"
    return (layers, "self.head = nn.Linear(128, 10)")


def _init(call: str, kinds: str = "nn.Linear") -> str:
    """A method that initialises layers of these kinds by `call` and their biases to 0."""
    return f"""
    def _init(self, m):
        if isinstance(m, {kinds}):
            {call}
            nn.init.constant_(m.bias, 0)
"""


_RELU = _stack("nn.Linear(128, 128), nn.ReLU()", 4)
_BLOCK = """
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(128, 128), nn.Linear(128, 128)
        nn.init.normal_(self.down.weight, std=STD)
        nn.init.zeros_(self.down.bias)

    def forward(self, x):
        return FORWARD
"""


class VanishingInit(Rule):
    """Weights are drawn so small for their number of inputs that signal and gradient are lost.

    ### Why is this bad?
    Each layer multiplies the scale of the signal, and of the gradient on its way back, by
    √(fan_in·Var(w)·E[φ²]). Weights of 0.001 with 128 inputs leave about one part in a hundred of both:
    the first layers get next to no gradient, and the model rests near a saddle.

    ### How it is verified
    The flow is predicted with the weights as written and with fan_in·Var(w) = 1/E[φ²] for the activation
    φ that follows; what differs is what this call does. One pass measures S, the decades between first
    and last gradient, or else the scale of what the head is given over that of the input.

    ### When it is fine
    In the output layer, in the last layer of a residual branch, before a norm, or in a shallow model.

    ### Fix safety
    No fix: the right scale depends on the activation.

    ### References
    - He, Zhang, Ren, Sun: [Delving Deep into Rectifiers](https://arxiv.org/abs/1502.01852), 2015, sec. 2.2:
      with deviations of 0.01, models of more than 8 convolutions hardly converge
    - [Why a good initialisation matters](https://muellerzr.github.io/fastai-2019-pt2-notes/why_good_init.html)
    """

    id = "GRD207"
    name = "vanishing-init"
    severity = Severity.WARNING
    help = "use nn.init.kaiming_normal_ or a deviation near 1/√fan_in in hidden layers"
    threshold = "initialisation-decades"
    bad: ClassVar[Mapping[str, str]] = {
        "applied": _net(*_RELU, "self.apply(self._init)", rest=_init("nn.init.normal_(m.weight, std=0.001)")),
        "convolutions": _net(
            "self.layers = nn.Sequential(",
            "    nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),",
            "    nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),",
            ")",
            "self.head = nn.Conv2d(64, 1, 1)",
            "self.apply(self._init)",
            rest=_init("m.weight.data.normal_(0.0, 0.005)", "(nn.Conv2d, nn.Conv1d)"),
        ),
        "scaled by hand": _net(
            "sizes = [64, 128, 128, 10]",
            "self.weights = nn.ParameterList(",
            "    [nn.Parameter(0.001 * torch.randn(a, b)) for a, b in zip(sizes[:-1], sizes[1:])]",
            ")",
            forward="for w in self.weights[:-1]:\n            x = F.relu(x @ w)\n"
            "        return x @ self.weights[2]",
        ),
        "uniform, tanh": _net(
            *_stack("nn.Linear(128, 128), nn.Tanh()", 4),
            "self.apply(self._init)",
            rest=_init("nn.init.uniform_(m.weight, -0.01, 0.01)"),
        ),
        "one hidden layer": _net(
            "self.hidden, self.head = nn.Linear(64, 128), nn.Linear(128, 10)",
            "nn.init.trunc_normal_(self.hidden.weight, std=1e-3)",
            "nn.init.zeros_(self.hidden.bias)",
            forward="return self.head(F.gelu(self.hidden(x)))",
        ),
        "blocks without skips": _net(*_stack("Block(),", 3))
        + _BLOCK.replace("STD", "1e-3").replace("FORWARD", "F.relu(self.down(F.relu(self.up(x))))"),
    }
    good: ClassVar[Mapping[str, str]] = {
        "output layer": _net(
            *_stack("nn.Linear(128, 128), nn.ReLU()", 2), "nn.init.normal_(self.head.weight, std=1e-4)"
        ),
        "end of a residual branch": _net(*_stack("Block(),", 4))
        + _BLOCK.replace("STD", "1e-5").replace("FORWARD", "x + self.down(F.relu(self.up(x)))"),
        "normalised": _net(
            *_stack("nn.Linear(128, 128), nn.LayerNorm(128), nn.ReLU()", 6),
            "self.apply(self._init)",
            rest=_init("nn.init.normal_(m.weight, std=0.001)"),
        ),
        "BatchNorm behind convolutions": _net(
            "self.layers = nn.Sequential(*[m for _ in range(4) for m in (",
            "    nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU())])",
            "self.head = nn.Conv2d(32, 1, 1)",
            "self.layers.apply(self._init)",
            rest=_init("nn.init.normal_(m.weight, 0.0, 0.02)", "nn.Conv2d"),
        ),
        "shallow": _net(
            *_stack("nn.Linear(128, 128), nn.ReLU()", 2),
            "self.apply(self._init)",
            rest=_init("nn.init.normal_(m.weight, std=0.05)"),
        ),
        "embedding": _net(
            "self.embed = nn.Embedding(100, 128)",
            "nn.init.normal_(self.embed.weight, std=1e-3)",
            "self.norm, self.head = nn.LayerNorm(128), nn.Linear(128, 10)",
            forward="return self.head(self.norm(self.embed(x)))",
        ),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report each call that makes weights too small."""
        for span, message, claim, also in blamed(model, Kind.VANISHING, spread):
            yield self.finding(span, message, claim, related=also)
