"""GRD203 unscaled-parameter-init."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.faults import Kind
from gradlint.flow.model import Model
from gradlint.records.finding import Finding, Severity
from gradlint.rule.initialisation import blamed, spread
from gradlint.rule.rule import Rule


def _net(*constructor: str, forward: str = "return self.head(self.layers(x))", rest: str = "") -> str:
    """A model with these lines in its constructor; `rest` are further methods."""
    head = "import math\nimport torch\nfrom torch import nn\nfrom torch.nn import functional as F\n\n"
    head += "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    body = "".join(f"        {line}\n" for line in constructor)
    return f"{head}{body}\n    def forward(self, x):\n        {forward}\n{rest}"


_LOOP = "for w in self.weights:\n            x = torch.relu(x @ w)\n        return x"


def _stack(layer: str, depth: int = 4) -> tuple[str, ...]:
    """Lines that repeat a layer, and a head."""
    layers = f"self.layers = nn.Sequential(*[m for _ in range({depth}) for m in ({layer})])"
    return (layers, "self.head = nn.Linear(128, 10)")


def _init(std: float) -> str:
    """A method that draws the weights of linear layers."""
    return f"""
    def _init(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std={std})
            nn.init.zeros_(module.bias)
"""


_START = """
    def start(self):
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight)
                nn.init.zeros_(module.bias)


net = Net()
net.start()
"""
_RELU = _stack("nn.Linear(128, 128), nn.ReLU()")
_NORMED = _stack("nn.Linear(128, 128), nn.LayerNorm(128), nn.ReLU()", 6)
_SMALL = "self.layers, self.head = nn.Sequential(nn.Linear(64, 64), nn.ReLU()), nn.Linear(64, 10)"


class UnscaledParameterInit(Rule):
    """Weights are drawn so large for their number of inputs that the signal grows from layer to layer.

    ### Why is this bad?
    A unit adds up `fan_in` products, so its output has the variance fan_in·Var(w)·E[x²]: weights from
    `torch.randn` multiply the signal by √fan_in in every layer, and the gradient on its way back. The
    loss starts orders of magnitude too high, tanh and softmax saturate, the first steps overshoot.

    ### How it is verified
    The flow is predicted with the weights as written and with fan_in·Var(w) = 1/E[φ²] for the activation
    φ that follows; what differs is what this call does. One pass measures the scale of the last output
    over that of the input, or S, the decades between first and last gradient.

    ### When it is fine
    Where the scale has no effect: before normalisation, in embeddings, tokens and positions, in shallow
    or narrow layers; with `torch.randn(n, m) / math.sqrt(n)`, `normal_(w, std=0.02)` in a normalised model.

    ### Fix safety
    No fix: the right scale depends on the activation.

    ### References
    - He, Zhang, Ren, Sun: [Delving Deep into Rectifiers](https://arxiv.org/abs/1502.01852), 2015, eq. 10
    - [Why a good initialisation matters](https://muellerzr.github.io/fastai-2019-pt2-notes/why_good_init.html):
      weights from torch.randn(512, 512) overflow after 27 layers
    """

    id = "GRD203"
    name = "unscaled-parameter-init"
    severity = Severity.WARNING
    help = "divide by the square root of the number of inputs, or use nn.init.kaiming_normal_"
    threshold = "initialisation-decades"
    bad: ClassVar[Mapping[str, str]] = {
        "randn in a list": _net(
            "self.weights = nn.ParameterList([nn.Parameter(torch.randn(128, 128)) for _ in range(4)])",
            forward=_LOOP,
        ),
        "randn by name": _net(
            "self.w1 = nn.Parameter(torch.randn(256, 64))",
            "self.w2 = nn.Parameter(torch.randn(256, 256))",
            "self.w3 = nn.Parameter(torch.randn(10, 256) / 16)",
            "self.b1 = nn.Parameter(torch.zeros(256))",
            "for w in (self.w1, self.w2):",
            "    nn.init.normal_(w)",
            forward="x = F.relu(F.linear(x, self.w1, self.b1))\n"
            "        return F.linear(F.relu(F.linear(x, self.w2)), self.w3)",
        ),
        "applied": _net(*_RELU, "self.apply(self._init)", rest=_init(1.0)),
        "a method that the script calls": _net(*_RELU, rest=_START),
        "uniform on a wide range": _net(
            "self.layers = nn.Sequential(*[nn.Conv2d(32, 32, 3, padding=1) for _ in range(4)])",
            "self.head = nn.Conv2d(32, 1, 1)",
            "for layer in self.layers:",
            "    nn.init.uniform_(layer.weight, -0.5, 0.5)",
        ),
        "blocks without norm": _net(*_stack("Block(),", 3))
        + """

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(128, 256), nn.Linear(256, 128)
        for layer in (self.up, self.down):
            torch.nn.init.trunc_normal_(layer.weight, std=0.5)

    def forward(self, x):
        return x + self.down(F.relu(self.up(x)))
""",
    }
    good: ClassVar[Mapping[str, str]] = {
        "divided by the root": _net(
            "size = 128",
            "self.weights = nn.ParameterList(",
            "    [nn.Parameter(torch.randn(size, size) * math.sqrt(2 / size)) for _ in range(4)]",
            ")",
            forward=_LOOP,
        ),
        "small and normalised": _net(*_NORMED, "self.apply(self._init)", rest=_init(0.02)),
        "large but normalised": _net(*_NORMED, "self.layers.apply(self._init)", rest=_init(1.0)),
        "embedding": _net(
            "self.embed = nn.Embedding(1000, 64)",
            "nn.init.normal_(self.embed.weight, std=1.0)",
            _SMALL,
            forward="return self.head(self.layers(self.embed(x)))",
        ),
        "tokens and positions": _net(
            "self.token = nn.Parameter(torch.randn(1, 1, 64))",
            "self.position = nn.Parameter(torch.randn(1, 1, 64))",
            _SMALL,
            forward="return self.head(self.layers(x + self.token + self.position))",
        ),
        "a small codebook": _net(
            "self.encode = nn.Sequential(nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 64))",
            "self.codes = nn.Embedding(512, 64)",
            "self.codes.weight.data.uniform_(-1 / 512, 1 / 512)",
            "self.decode = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 256))",
            forward="z = self.encode(x)\n        w = self.codes.weight\n"
            "        near = z.pow(2).sum(1, keepdim=True) + w.pow(2).sum(1) - 2 * z @ w.t()\n"
            "        q = self.codes(near.argmin(1))\n        return self.decode(z + (q - z).detach()), q",
        ),
        "few inputs": _net(
            "self.w1, self.w2 = nn.Parameter(torch.randn(2, 16)), nn.Parameter(torch.randn(16, 1))",
            forward="return torch.tanh(x @ self.w1) @ self.w2",
        ),
        "scales of features": _net(
            "self.scale = nn.Parameter(torch.randn(64))",
            _SMALL,
            forward="return self.head(self.layers(x * self.scale))",
        ),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report each call that makes weights too large."""
        for span, message, claim, also in blamed(model, Kind.UNSCALED, spread):
            yield self.finding(span, message, claim, related=also)
