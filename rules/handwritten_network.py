"""GRD901 handwritten-network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.handwritten import Handwritten, chain, drawings, layers, softmaxes, through_time
from gradlint.records.finding import Finding, Severity
from gradlint.rule.arrays import CLIP, LOSS, THROUGH_TIME, is_bad, of_chain, of_drawing, of_softmax
from gradlint.rule.places import used_at, within
from gradlint.rule.rule import Rule

_SIGMOID = """
def sigmoid(x):
    return 1 / (1 + np.exp(-x))
"""


_HEAD = "np.random.randn(64, 10) * 0.1"


def _net(w1: str, w2: str = _HEAD, bend: str = "sigmoid", above: str = _SIGMOID) -> str:
    """A network of 256 inputs that is trained on one batch."""
    return f"""import numpy as np
{above}

class Net:
    def __init__(self):
        self.w1 = {w1}
        self.b1 = np.zeros(64)
        self.w2 = {w2}

    def forward(self, x):
        self.h = {bend}(x @ self.w1 + self.b1)
        return self.h @ self.w2

    def step(self, x, y, rate=0.1):
        error = self.forward(x) - y
        back = error @ self.w2.T * self.h * (1 - self.h)
        self.w2 -= rate * self.h.T @ error
        self.w1 -= rate * x.T @ back
"""


def _script(lines: str) -> str:
    """Lines of a script, below a sigmoid."""
    return "import numpy as np\n" + _SIGMOID + "\n" + lines.replace("| ", "\n") + "\n"


_GENERATOR = "\nrng = np.random.default_rng(0)\n"
_RELU = "\ndef relu(x):\n    return np.maximum(0, x)\n"


_TIME = (
    "W = np.random.randn(64, 64) * 0.05| | def step(xs, errors):|     global W| "
    "    hs, dW, carried = [np.zeros(64)], np.zeros_like(W), np.zeros(64)|     for x in xs:| "
    "        hs.append(np.tanh(W @ hs[-1] + x))|     for t in reversed(range(len(xs))):| "
    "        delta = (errors[t] + carried) * (1 - hs[t + 1] ** 2)| "
    "        dW += np.outer(delta, hs[t])|         carried = W.T @ delta| "
)


def _softmax(minus: str) -> str:
    """A network with softmax behind its last layer."""
    above = f"\ndef softmax(z):\n    e = np.exp(z{minus})\n    return e / e.sum(axis=1, keepdims=True)\n"
    code = _net("np.random.randn(256, 64) / 16", bend="np.tanh", above=above)
    return code.replace("return self.h @ self.w2", "return softmax(self.h @ self.w2)")


class HandwrittenNetwork(Rule):
    """A network written with arrays begins where its gradient does not reach.

    ### Why is this bad?
    Of n inputs, weights from N(0, 1) make sums of size √n and those from [0, 1) of size n/2: a sigmoid or
    tanh is saturated, no step changes anything; behind ReLU the signal grows from layer to layer. A chain of
    sigmoids divides the gradient by four per layer, a loop over time by any factor at every step. Softmax
    overflows from 710 on (88 in single precision) unless the maximum is taken off first.

    ### How it is verified
    The code itself runs on standardised input: the share of saturated arguments, the growth of the signal,
    the decades between the gradients of the first and the last layer, and what logits of 1000 give. How large
    gradients through time become in training is not predicted, so that carries no claim.

    ### When it is fine
    Weights that are centred and scaled by √(1/n) or √(2/n), or small in few layers; few inputs; a softmax
    from whose arguments the largest is taken off; gradients through time that are clipped or divided by
    their size. Random data are not weights.

    ### Fix safety
    There is no fix to apply: other weights train differently.

    ### References
    - Glorot, Bengio (2010), Understanding the difficulty of training deep feedforward neural networks
    - [SoftMax Overflow](https://github.com/FlorianMuellerklein/Machine-Learning/issues/2)
    """

    id = "GRD901"
    name = "handwritten-network"
    severity = Severity.WARNING
    help = "draw centred weights of standard deviation √(1/n), √(2/n) before ReLU; take the maximum off first"
    bad: ClassVar[Mapping[str, str]] = {
        "standard normal": _net("np.random.randn(256, 64)"),
        "not centred": _net("np.random.rand(256, 64)"),
        "wide uniform": _net("np.random.uniform(-1, 1, (256, 64))", bend="np.tanh", above=""),
        "not centred, generator": _net("rng.random((256, 64))", above=_SIGMOID + _GENERATOR),
        "normal before rectifier": _net(
            "np.random.normal(0, 1, size=(256, 64))", "np.random.normal(size=(64, 10))", "relu", _RELU
        ),
        "chain of sigmoids": _script(
            "sizes = [64] * 10| pairs = zip(sizes[:-1], sizes[1:])| "
            "weights = [np.random.randn(a, b) / np.sqrt(a) for a, b in pairs]| | "
            "def forward(x):|     for w in weights:|         x = sigmoid(np.dot(x, w))|     return x| | "
            "print(forward(np.ones((4, 64))))"
        ),
        "unguarded softmax": _softmax(""),
        "back through time": _script(_TIME + "    W -= 0.1 * dW"),
        "tensors": "import torch\n\nw1 = torch.randn(500, 100, requires_grad=True)\n"
        "w2 = torch.randn(100, 10, requires_grad=True)\n\n"
        "def forward(x):\n    return torch.sigmoid(x.mm(w1)).mm(w2)\n",
    }
    good: ClassVar[Mapping[str, str]] = {
        "scaled by the inputs": _net("np.random.randn(256, 64) * np.sqrt(1 / 256)"),
        "scaled for rectifiers": _net("np.random.randn(256, 64) * np.sqrt(2 / 256)", _HEAD, "relu", _RELU),
        "small": _net("np.random.randn(256, 64) * 0.01", bend="np.tanh", above=""),
        "centred": _net("(np.random.rand(256, 64) - 0.5) * 0.1"),
        "largest taken off": _softmax(" - z.max(axis=1, keepdims=True)"),
        "clipped": _script(_TIME + "    np.clip(dW, -5, 5, out=dW)|     W -= 0.1 * dW"),
        "layers without a number": _script(
            "class Net:|     def __init__(self, sizes):|         pairs = zip(sizes[:-1], sizes[1:])| "
            "        self.W = [np.random.randn(a, b) / np.sqrt(a) for a, b in pairs]| | "
            "    def forward(self, x):|         self.a = [x]|         for W in self.W:| "
            "            self.a.append(sigmoid(self.a[-1] @ W))|         return self.a[-1]| | "
            "    def backward(self, y, rate):|         d = self.forward(y) - y| "
            "        for i in reversed(range(len(self.W))):|             step = self.a[i].T @ d| "
            "            d = (d @ self.W[i].T) * self.a[i] * (1 - self.a[i])| "
            "            self.W[i] -= rate * step"
        ),
        "random data": _script(
            "x = np.random.randn(100, 50)| w = np.zeros((50, 1))| for _ in range(100):| "
            "    p = sigmoid(x.dot(w))|     w -= 0.1 * x.T.dot(p - 1) / 100"
        ),
        "no network": _script(
            "points = np.ones((9, 200)) @ np.random.randn(200, 200)| print(np.exp(-points))"
        ),
    }

    def check(self, network: Handwritten) -> Iterator[Finding]:
        """Report what the first iteration does to signal and gradient, and what nothing bounds."""
        found = layers(network)
        drawn = [each for each in drawings(found) if is_bad(each)]
        for each in drawn:
            yield self.finding(within(network.graph, each.drawn), *of_drawing(network, each))
        line = chain(found)
        if line is not None and not drawn and line.least_loss >= LOSS:
            first = found.flow.graph.nodes[line.first]
            yield self.finding(used_at(network.graph, first), *of_chain(network, line, first))
        for step in through_time(network):
            yield self.finding(used_at(network.graph, step), THROUGH_TIME, help=CLIP)
        for written in softmaxes(network):
            severity = None if written.is_close else Severity.NOTE
            place = used_at(network.graph, written.node)
            yield self.finding(place, *of_softmax(network, written), severity=severity)
