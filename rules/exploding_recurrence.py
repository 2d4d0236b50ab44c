"""GRD303 exploding-recurrence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.model import Model
from gradlint.flow.time import keeps_lengths, radius, recurrences
from gradlint.records.finding import Finding, Severity
from gradlint.rule.depth import times
from gradlint.rule.rule import Rule
from gradlint.rule.steps import LEAST, place_of, recurrent_gain


def _net(made: str, *forward: str) -> str:
    """A model of 32 inputs and 64 states with these lines in its forward pass."""
    lines = "".join(f"        {line}\n" for line in forward)
    parts = "".join(f"        {part.strip()}\n" for part in made.split(";"))
    head = "import torch\nfrom torch import nn\n\nclass Net(nn.Module):\n    def __init__(self):\n"
    return (
        f"{head}        super().__init__()\n{parts}        self.head = nn.Linear(64, 10)\n\n"
        f"    def forward(self, x):\n{lines}"
    )


_RNN = "self.rnn = nn.RNN(32, 64, batch_first=True)"
_RELU = "self.rnn = nn.RNN(32, 64, nonlinearity='relu', batch_first=True)"
_MATRIX = "self.inner = nn.Linear(32, 64); self.w = nn.Parameter(torch.randn(64, 64))"
_VIEW = "x = x.view(-1, 60, 32)"
_LAST = "return self.head(self.rnn(x)[0][:, -1])"
_STATE = "h = torch.zeros(x.size(0), 64)"


class ExplodingRecurrence(Rule):
    """The recurrent weights of a network are so large that its gradient explodes over the steps.

    ### Why is this bad?
    Every step multiplies the gradient by the recurrent matrix and the slope of the activation. Where the
    spectral radius times the largest slope exceeds 1 it may grow, and with ReLU or no activation it does,
    exponentially in the length of the sequence: the loss is nan within a few steps of training.

    ### How it is verified
    The gradient at the first state over that at the last, in one backward pass from a random projection
    of the output, with a sequence of the length that the code states.

    ### When it is fine
    Where the length is not known, the matrix is orthogonal or the identity, or torch's own
    initialisation, with which no recurrent layer explodes. Clipping bounds the step but does not bring
    back what the first states should have learned.

    ### Fix safety
    There is no fix to apply: other weights train differently.

    ### References
    - Pascanu, Mikolov, Bengio (2013), On the difficulty of training recurrent neural networks, ICML
    - [Recurrent network initialisation with ReLU](https://github.com/lmjohns3/theanets/issues/75)
    - [Initialization of recurrent weight](https://github.com/batzner/indrnn/issues/9)
    """

    id = "GRD303"
    name = "exploding-recurrence"
    severity = Severity.WARNING
    threshold = "recurrence-decades"
    help = "initialise the recurrent weights orthogonally or as the identity, and clip the gradient"
    bad: ClassVar[Mapping[str, str]] = {
        "standard normal": _net(f"{_RNN}; nn.init.normal_(self.rnn.weight_hh_l0)", _VIEW, _LAST),
        "large uniform": _net(f"{_RELU}; self.rnn.weight_hh_l0.data.uniform_(-1, 1)", _VIEW, _LAST),
        "all weights of the model": _net(
            f"{_RNN}; [nn.init.normal_(p, std=0.8) for n, p in self.rnn.named_parameters() if 'weight' in n]",
            _VIEW,
            _LAST,
        ),
        "cell in a loop": _net(
            "self.cell = nn.RNNCell(32, 64); nn.init.normal_(self.cell.weight_hh, 0, 1)",
            _STATE,
            "for t in range(40):",
            "    h = self.cell(x[:, t], h)",
            "return self.head(h)",
        ),
        "linear recurrence": _net(
            _MATRIX,
            _STATE,
            "for t in range(20):",
            "    h = self.inner(x[:, t]) + h @ self.w",
            "return self.head(h)",
        ),
        "rectified recurrence": _net(
            _MATRIX,
            "x = x.view(-1, 20, 32)",
            _STATE,
            "for step in x.unbind(dim=1):",
            "    h = torch.relu(self.inner(step) + torch.mm(h, self.w))",
            "return self.head(h)",
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "unknown length": _net(f"{_RNN}; nn.init.normal_(self.rnn.weight_hh_l0, std=0.3)", _LAST),
        "torch's initialisation": _net(_RELU, "x = x.view(-1, 8, 32)", _LAST),
        "orthogonal": _net(f"{_RNN}; nn.init.orthogonal_(self.rnn.weight_hh_l0)", _VIEW, _LAST),
        "identity": _net(f"{_RELU}; nn.init.eye_(self.rnn.weight_hh_l0)", "x = x.view(-1, 20, 32)", _LAST),
        "radius of one": _net(
            "self.inner = nn.Linear(32, 64); self.w = nn.Parameter(torch.randn(64, 64) / 8)",
            _STATE,
            "for t in range(20):",
            "    h = torch.tanh(self.inner(x[:, t]) + h @ self.w)",
            "return self.head(h)",
        ),
        "bent by tanh": _net(
            f"{_RNN}; nn.init.normal_(self.rnn.weight_hh_l0, std=0.15)", "x = x.view(-1, 20, 32)", _LAST
        ),
        "few steps": _net(f"{_RNN}; nn.init.normal_(self.rnn.weight_hh_l0)", "x = x.view(-1, 4, 32)", _LAST),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report recurrences whose gradient grows from the last step to the first."""
        for found in recurrences(model):
            if found.mildest < LEAST or any(map(keeps_lengths, found.weights)):
                continue
            claim = recurrent_gain(found)
            sizes = [size for weight in found.weights if (size := radius(weight)) is not None]
            radii = f" with weights of spectral radius {max(sizes):.1f}" if sizes else ""
            message = (
                f"{found.steps} steps{radii} multiply the gradient by {times(claim.predicted)} "
                f"({claim.predicted:+.1f} decades)"
            )
            yield self.finding(place_of(model, found), message, claim)
