"""GRD101 saturating-activation-chain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.attribution import SATURATING
from gradlint.flow.model import Model
from gradlint.records.finding import Finding, Severity
from gradlint.rule.depth import LEAST, counted, depth_gain, ends, per_layer, times
from gradlint.rule.places import made_at, within
from gradlint.rule.rule import Rule

_ERROR = 6.0


def _net(*constructor: str, forward: str = "return self.head(self.layers(x))", above: str = "") -> str:
    """A model with these lines in its constructor and, before the class, those of `above`."""
    head = "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n" + above
    head += "\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    body = "".join(f"        {line}\n" for line in (*constructor, "self.head = nn.Linear(64, 10)"))
    return f"{head}{body}\n    def forward(self, x):\n        {forward}\n"


def _block(forward: str, *constructor: str) -> str:
    """A block of 64 features; `self.f` maps 64 to 64."""
    lines = "".join(f"        {line}\n" for line in ("self.f = nn.Linear(64, 64)", *constructor))
    head = "class Block(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    return f"{head}{lines}\n    def forward(self, x):\n        return {forward}\n"


_BLOCKS = "self.layers = nn.Sequential(*[Block() for _ in range(9)])"
_CONV = "self.f = nn.Conv2d(64, 64, 3, padding=1)"
_GATE = "self.gate = nn.Linear(64, 64)"
_SQUEEZE = "self.squeeze = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 64), nn.Sigmoid())"
_XAVIER = """
    def reset(self):
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
"""


class SaturatingActivationChain(Rule):
    """Saturating activations follow one another until next to nothing of the gradient is left.

    ### Why is this bad?
    The derivative of a sigmoid is at most 1/4, σ'(z) = σ(z)(1 - σ(z)), so each sigmoid layer divides the
    gradient by four or more; a hardsigmoid by six, a softmax by at least two, a tanh whose arguments
    are large by any number. The first layers get too little to learn from.

    ### How it is verified
    S, the decades between the gradient at the first layer's output and at the last one's, is measured in
    one backward pass from a random projection of the output; what pooling distributes is left out. Of layers
    that are repeated how often the code does not say, a note says from how many on three decades are lost;
    it makes no claim, for there is no model to build.

    ### When it is fine
    Where the activation is a gate (`x * sigmoid(y)`), the output, or a part of attention or of a residual
    block, or BatchNorm stands before each sigmoid, nothing is reported. Layers that are loaded with
    trained weights or trained one by one may work all the same.

    ### Fix safety
    No fix: another activation makes another model.

    ### References
    - Glorot, Bengio: [Understanding the difficulty of training deep feedforward neural
      networks](https://proceedings.mlr.press/v9/glorot10a.html), 2010
    - Hochreiter: The vanishing gradient problem during learning recurrent neural nets and problem
      solutions, Int. J. of Uncertainty, Fuzziness and Knowledge-Based Systems 6(2), 1998
    """

    id = "GRD101"
    name = "saturating-activation-chain"
    severity = Severity.WARNING
    help = "use ReLU, GELU or SiLU between layers, or put BatchNorm before each activation"
    threshold = "vanishing-decades"
    bad: ClassVar[Mapping[str, str]] = {
        "sequence": _net(
            "self.layers = nn.Sequential(",
            "    nn.Linear(32, 64), nn.Sigmoid(), nn.Linear(64, 64), nn.Sigmoid(), nn.Linear(64, 64),",
            "    nn.Sigmoid(), nn.Linear(64, 64), nn.Sigmoid(), nn.Linear(64, 64), nn.Sigmoid(),",
            ")",
        ),
        "method in a loop": _net(
            "self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(9))",
            forward="for f in self.layers:\n            x = f(x).sigmoid()\n        return self.head(x)",
        ),
        "blocks of convolutions": _net(
            _BLOCKS,
            forward="return self.head(self.layers(x).mean((2, 3)))",
            above=_block("torch.sigmoid(self.f(x))", _CONV),
        ),
        "LayerNorm before each": _net(
            _BLOCKS, above=_block("torch.sigmoid(self.norm(self.f(x)))", "self.norm = nn.LayerNorm(64)")
        ),
        "chosen by name, Xavier": _net(
            _BLOCKS,
            "self.reset()",
            above="CHOICE = {'relu': F.relu, 'hard': F.hardsigmoid}\n\n"
            + _block("self.act(self.f(x))", "self.act = CHOICE['hard']"),
        )
        + _XAVIER,
    }
    good: ClassVar[Mapping[str, str]] = {
        "two layers": _net(
            "self.layers = nn.Sequential(nn.Linear(64, 64), nn.Sigmoid(), nn.Linear(64, 64), nn.Sigmoid())"
        ),
        "gates": _net(_BLOCKS, above=_block("2 * self.f(x) * torch.sigmoid(self.gate(x))", _GATE)),
        "squeeze and excite": _net(
            _BLOCKS,
            forward="return self.head(self.layers(x).mean((2, 3)))",
            above=_block("x + self.f(x) * self.squeeze(x.mean((2, 3)))[:, :, None, None]", _CONV, _SQUEEZE),
        ),
        "attention": _net(
            _BLOCKS, above=_block("x + torch.softmax(x @ x.transpose(1, 2) / 8, -1) @ self.f(x)")
        ),
        "output sigmoid": _net(
            "self.layers = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())",
            forward="return torch.sigmoid(self.head(self.layers(x)))",
        ),
        "BatchNorm before each": _net(
            _BLOCKS, above=_block("torch.sigmoid(self.norm(self.f(x)))", "self.norm = nn.BatchNorm1d(64)")
        ),
        "residual": _net(_BLOCKS, above=_block("x + torch.sigmoid(self.f(x))")),
        "tanh, Xavier": _net(_BLOCKS, "self.reset()", above=_block("torch.tanh(self.f(x))")) + _XAVIER,
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report a chain that loses the better half of its gradient at saturating activations, or may."""
        for each in model.repeated:
            if each.model.loses_most_at(SATURATING):
                span = within(model.graph, each.place)
                yield self.finding(span, per_layer(each), severity=Severity.NOTE)
        chain, guilty = model.chain, model.direct(SATURATING)
        if chain is None or chain.least_loss < LEAST or not model.loses_most_at(SATURATING):
            return
        claim = depth_gain(model, chain)
        left = f"{times(claim.predicted)} of the gradient at the first of {chain.layers} layers"
        message = f"{counted(guilty)} activations leave {left} ({claim.predicted:.1f} decades)"
        yield self.finding(
            made_at(model.graph, guilty[0]),
            message,
            claim,
            severity=Severity.ERROR if chain.least_loss >= _ERROR else None,
            related=ends(model, chain, (guilty[0], f"the first {guilty[0].op}")),
        )
