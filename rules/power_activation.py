"""GRD108 power-activation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from gradlint.flow.attribution import POWERS, Growth
from gradlint.flow.model import Model
from gradlint.records.finding import Finding, Severity
from gradlint.records.graph import Node
from gradlint.rule.depth import LEAST, activation_scale, times
from gradlint.rule.places import related, used_at
from gradlint.rule.rule import Rule


def _net(forward: str, *constructor: str, depth: int = 5, norm: str = "") -> str:
    """A stack of layers that each compute `forward` from `self.f(x)`, a linear layer of 1024 features."""
    lines = "".join(f"        {line}\n" for line in ("self.f = nn.Linear(1024, 1024)", *constructor))
    return f"""import torch
from torch import nn
from torch.nn import functional as F

class Layer(nn.Module):
    def __init__(self):
        super().__init__()
{lines}
    def forward(self, x):
        {forward}

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*[Layer() for _ in range({depth})])
        self.head = nn.Linear(1024, 10)

    def forward(self, x):
        return self.head(self.layers(x){norm})
"""


_XAVIER = "nn.init.xavier_uniform_(self.f.weight)"
_SQUARE = """from torch import nn

class Square(nn.Module):
    def forward(self, x):
        return x.pow(2)
"""


class PowerActivation(Rule):
    """Powers or exponentials stand between layers: the scale of the signal is squared again and again.

    ### Why is this bad?
    A square turns a signal of scale s into one of scale s², the next into s⁴: after l layers s to the
    power of 2ˡ. What lies above a fixed point overflows after a few layers, however little it was above;
    an initialisation that lies below is left within a few steps of training. An exponential is faster.

    ### How it is verified
    The root mean square of the last layer's output over that of the first one's.

    ### When it is fine
    One square, at the output or in a loss, and powers behind which the signal is normalised.

    ### Fix safety
    No fix: another activation makes another model.

    ### References
    - [fancompute/neuroptica#3](https://github.com/fancompute/neuroptica/issues/3): the loss is NaN with a
      squared absolute value as activation
    - Gilad-Bachrach et al.: [CryptoNets](https://proceedings.mlr.press/v48/gilad-bachrach16.html), 2016,
      on why networks with squares stay shallow
    """

    id = "GRD108"
    name = "power-activation"
    severity = Severity.WARNING
    help = "use ReLU, GELU or SiLU, or normalise behind each power"
    threshold = "activation-decades"
    bad: ClassVar[Mapping[str, str]] = {
        "square": _net("return (3 * self.f(x)) ** 2", depth=4),
        "product with itself": _net("y = 2 * self.f(x)\n        return y * y"),
        "torch.pow, cube": _net("return torch.pow(2 * self.f(x), 3)", _XAVIER, depth=3),
        "method, scaled": _net("return self.f(2 * x).square()"),
        "between one layer and the head": _net(
            "x = self.f(x)\n        for _ in range(4):\n            x = (3 * x) ** 2\n        return x",
            depth=1,
        ),
        "module": _SQUARE + _net("return self.act(2 * self.f(x))", "self.act = Square()"),
    }
    good: ClassVar[Mapping[str, str]] = {
        "one square at the end": _net("return F.relu(self.f(x))", norm=" ** 2"),
        "normalised": _net("return self.norm(self.f(x)) ** 2", "self.norm = nn.LayerNorm(1024)"),
        "normalised behind": _net("return self.norm(self.f(x) ** 2)", "self.norm = nn.LayerNorm(1024)"),
        "residual": _net("return x + 0.1 * self.g(F.relu(self.f(x)) ** 2)", "self.g = nn.Linear(1024, 1024)"),
        "powers of a normal density": _net("return torch.exp(-(self.f(x) / 0.1) ** 2)", depth=2),
        "a square and its root": _net("return ((3 * self.f(x)) ** 2 + 1e-6) ** 0.5", depth=1),
        "two layers": _net("return self.f(x) ** 2", depth=2),
        "power of one": _net("return F.relu(self.f(x)) ** 1"),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report the first stretch along which at least two powers blow up the signal."""
        for powers, grown in model.grown_by(POWERS):
            if len(powers) > 1 and grown.least >= LEAST:
                yield self._reported(model, powers, grown)
                return

    def _reported(self, model: Model, powers: Sequence[Node], grown: Growth) -> Finding:
        first, last, decades = grown.first, grown.last, grown.decades.centre
        moved = f"multiply the scale of the signal by {times(decades)} ({decades:+.1f} decades)"
        return self.finding(
            used_at(model.graph, powers[0]),
            f"{len(powers)} powers between layers {moved}",
            activation_scale(model, first, last, grown.decades, grown.least),
            related=related(model.graph, [(first.made, "the first layer"), (last.made, "the last layer")]),
        )
