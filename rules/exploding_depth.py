"""GRD103 exploding-depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.attribution import NORMS, POWERS
from gradlint.flow.model import Model
from gradlint.records.finding import Finding, Severity
from gradlint.rule.depth import LEAST, depth_gain, ends, layers_of, times, worst
from gradlint.rule.places import made_at
from gradlint.rule.rule import Rule

_ERROR = 6.0


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


def _apply(written: str) -> str:
    """A method that draws the weights of linear layers with this call."""
    return (
        f"\n    def draw(self, module):\n        if isinstance(module, nn.Linear):\n            {written}\n"
    )


def _stack(depth: int) -> str:
    return f"self.layers = nn.Sequential(*[Block() for _ in range({depth})])"


_RELU = _block("F.relu(self.f(x))")
_NORMED = _block("F.relu(self.norm(self.f(x)))", "self.norm = nn.BatchNorm1d(64)")


class ExplodingDepth(Rule):
    """The gradient grows from layer to layer on its way back, beyond what the depth allows.

    ### Why is this bad?
    What multiplies a signal in each layer multiplies the gradient on its way back: a factor of six over
    what the weights take away makes hundreds of it after a dozen layers. The first layers get gradients
    that are thousands of times those of the last, and one step of the optimizer destroys them. Batch
    normalisation before ReLU multiplies the squared gradient by π/(π - 1) per layer, whatever the weights.

    ### How it is verified
    S, the decades between the gradient at the first layer's output and at the last one's, is measured in
    one backward pass from a random projection of the output; what pooling distributes is left out.

    ### When it is fine
    Normalised stacks of some sixty layers still train, since each step makes them flatter: they are
    warnings. Where the code that draws the weights is to blame, rules about initialisation report it.

    ### Fix safety
    No fix: there are several ways to mend it.

    ### References
    - Yang et al.: [A mean field theory of batch normalization](https://arxiv.org/abs/1902.08129), 2019
    - [huangleiBuaa/ONI#1](https://github.com/huangleiBuaa/ONI/issues/1): a scale per layer that is too large
    """

    id = "GRD103"
    name = "exploding-depth"
    severity = Severity.WARNING
    help = "take out the factor, or add residual connections around a few layers each"
    threshold = "exploding-decades"
    bad: ClassVar[Mapping[str, str]] = {
        "BatchNorm and ReLU, fifty layers": _net(_stack(50), above=_NORMED),
        "convolutions in a list": _net(
            "layers = [nn.Conv2d(3, 64, 3, padding=1)]",
            "for _ in range(50):",
            "    layers += [nn.BatchNorm2d(64), nn.ReLU(True), nn.Conv2d(64, 64, 1, bias=False)]",
            "self.layers = nn.Sequential(*layers)",
            forward="return self.head(self.layers(x).mean((2, 3)))",
        ),
        "a factor in each layer": _net(_stack(11), above=_block("6 * F.relu(self.f(x))")),
        "divided by a temperature": _net(
            "self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(9))",
            "self.temperature = 0.1",
            forward="for f in self.layers:\n            x = F.gelu(f(x)) / self.temperature\n"
            "        return self.head(x)",
        ),
        "scales of their own": _net(
            _stack(11),
            above=_block("self.scale * self.f(x).relu()", "self.scale = nn.Parameter(6 * torch.ones(64))"),
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "He": _net(_stack(40), "self.apply(self.draw)", above=_RELU)
        + _apply("nn.init.kaiming_normal_(module.weight, nonlinearity='relu')"),
        "Xavier, tanh": _net(_stack(20), "self.apply(self.draw)", above=_block("torch.tanh(self.f(x))"))
        + _apply("nn.init.xavier_normal_(module.weight, gain=nn.init.calculate_gain('tanh'))"),
        "BatchNorm and ReLU, twenty layers": _net(_stack(20), above=_NORMED),
        "standard normal, LayerNorm": _net(
            _stack(6),
            "self.apply(self.draw)",
            above=_block("F.relu(self.norm(self.f(x)))", "self.norm = nn.LayerNorm(64)"),
        )
        + _apply("nn.init.normal_(module.weight)"),
        "only the head": _net(
            _stack(4),
            "self.out = nn.Linear(64, 10)",
            "nn.init.normal_(self.out.weight)",
            forward="return self.out(self.layers(x))",
            above=_RELU,
        ),
        "branches that start small": _net(
            _stack(9), above=_block("x + 1e-4 * self.g(F.relu(self.f(x)))", "self.g = nn.Linear(64, 64)")
        ),
        "scaled by hand": _net(_stack(10), "self.apply(self.draw)", above=_RELU)
        + _apply("nn.init.normal_(module.weight, std=(2 / module.in_features) ** 0.5)"),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report a chain along which the gradient grows, by weights, norms or activations."""
        chain = model.chain
        if chain is None or chain.least_growth < LEAST or model.is_initialised_to(1):
            return
        if not model.is_passed_by_all or len(model.direct(POWERS)) > 1 or model.gains_at_sums:
            return
        claim, norms = depth_gain(model, chain), model.direct(NORMS)
        grown = f"pass {times(claim.predicted)} times the gradient at the last on to the first"
        message = f"{layers_of(model)} {grown} ({claim.predicted:+.1f} decades)"
        is_mild = bool(norms) or chain.least_growth < _ERROR
        place = made_at(model.graph, norms[0]) if norms else worst(model, 1)
        severity = None if is_mild else Severity.ERROR
        yield self.finding(place, message, claim, severity=severity, related=ends(model, chain))
