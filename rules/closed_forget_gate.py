"""GRD305 closed-forget-gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.gates import WrongGate, wrong_gates
from gradlint.flow.model import Model
from gradlint.flow.recurrence import forget_bias
from gradlint.flow.time import Recurrence, recurrences
from gradlint.records.finding import Finding, Severity
from gradlint.rule.depth import times
from gradlint.rule.places import made_at, related, within
from gradlint.rule.rule import Rule
from gradlint.rule.steps import LEAST, gain_over, is_rounded_away, recurrent_gain

_OPEN = 0.5
"""The forget bias from which on a gate counts as open: σ(0.5) = 0.62."""

_STEPS = 50
"""The length of the sequence with which a wrong gate is measured where the code states none."""


def _net(made: str, *forward: str, above: str = "") -> str:
    """A model of 32 inputs and 64 states with these lines in its forward pass."""
    lines = "".join(f"        {line}\n" for line in forward or (_VIEW, _LAST))
    parts = "".join(f"        {part}\n" for part in made.split("\n"))
    head = "import torch\nfrom torch import nn\n" + above
    head += "\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    return f"{head}{parts}        self.head = nn.Linear(64, 10)\n\n    def forward(self, x):\n{lines}"


_VIEW = "x = x.view(-1, 50, 32)"
_LAST = "return self.head(self.rnn(x)[0][:, -1])"
_SHORT = "x = x.view(-1, 12, 32)"
_LSTM = "self.rnn = nn.LSTM(32, 64, batch_first=True)"
_CELL = "self.rnn = nn.LSTMCell(32, 64)"
_LOOP = (
    "h = c = torch.zeros(x.size(0), 64)",
    "for t in range(40):",
    "    h, c = self.rnn(x[:, t], (h, c))",
    "return self.head(h)",
)
_NAMED = """
for name, p in self.rnn.named_parameters():
    if "bias" in name:
        n = p.size(0)
        p.data[n // {} : n // {}].fill_(1.0)"""
_BIASES = "\nfor name, p in self.rnn.named_parameters():\n    if 'bias' in name:\n        {}"
_HELPER = """
def open_gates(lstm):
    for names in lstm._all_weights:
        for name in filter(lambda n: "bias" in n, names):
            bias = getattr(lstm, name)
            n = bias.size(0)
            nn.init.constant_(bias[n // 4 : n // 2], 1.0)
"""


class ClosedForgetGate(Rule):
    """The forget gate of an LSTM starts half closed, or the bias that should open it sits on another gate.

    ### Why is this bad?
    The cell state passes f = σ(b_f + …) at every step. At torch's initialisation b_f is near 0, f is 1/2,
    and after 14 steps three decades of the gradient are gone. Biases are laid out as i, f, g, o: rows H to
    2H belong to the forget gate; `bias_ih` and `bias_hh` are added. What is written to other rows opens
    another gate and leaves this one closed.

    ### How it is verified
    The gradient at the first state over that at the last, in one backward pass from a random projection
    of the output, with a sequence of the length that the code states (50 where a wrong gate is set).

    ### When it is fine
    Where the forget bias is set to about 1 or more, the length is not known or short, or all states are
    read. What the task asks for may lie within the last few steps: a gate that is left alone is a note up
    to some 50 steps, and a warning where less than 2⁻²⁴ is left of the first step, which float32 rounds
    away when the steps are added up. So is a bias on the wrong gate.

    ### Fix safety
    There is no fix to apply: an open gate trains differently.

    ### References
    - Jozefowicz, Zaremba, Sutskever (2015), An empirical exploration of recurrent network architectures, ICML
    - [LSTM forget gate bias initialization](https://github.com/pytorch/pytorch/issues/750)
    - [LSTM forget bias must be initialized properly](https://github.com/pytorch/pytorch/issues/20102)
    """

    id = "GRD305"
    name = "closed-forget-gate"
    severity = Severity.NOTE
    threshold = "recurrence-decades"
    help = "set rows H to 2H of one bias to 1: the order is i, f, g, o, and the two biases add up"
    bad: ClassVar[Mapping[str, str]] = {
        "left alone": _net(_LSTM, "x = x.view(-1, 28, 32)", _LAST),
        "left alone, too long to be added up": _net(_LSTM, "x = x.view(-1, 60, 32)", _LAST),
        "cell in a loop": _net(_CELL, *_LOOP),
        "zeroed": _net(
            _LSTM + _BIASES.format("nn.init.zeros_(p)"), _VIEW, "return self.head(self.rnn(x)[1][0][-1])"
        ),
        "two layers": _net("self.rnn = nn.LSTM(32, 64, num_layers=2, batch_first=True)"),
        "first quarter": _net(_LSTM + "\nself.rnn.bias_ih_l0.data[:64].fill_(1.0)", _LAST),
        "last quarter by name": _net(_LSTM + _NAMED.format("4 * 3", "1"), _LAST),
        "third quarter": _net(_LSTM + "\nself.rnn.bias_hh_l0.data[2 * 64 : 3 * 64] = 2", _LAST),
        "cell, wrong chunk": _net(_CELL + "\nnn.init.constant_(self.rnn.bias_ih.chunk(4)[2], 1.0)", *_LOOP),
    }
    good: ClassVar[Mapping[str, str]] = {
        "opened by name": _net(_LSTM + _NAMED.format(4, 2), _SHORT, _LAST),
        "opened by a helper": _net(_LSTM + "\nopen_gates(self.rnn)", _SHORT, _LAST, above=_HELPER),
        "opened by assignment": _net(_LSTM + "\nself.rnn.bias_ih_l0.data[64:128] = 1", _SHORT, _LAST),
        "opened by chunk": _net(_LSTM + "\nself.rnn.bias_hh_l0.data.chunk(4)[1].fill_(2)", _SHORT, _LAST),
        "all biases": _net(_LSTM + _BIASES.format("p.data.fill_(0.5)"), _SHORT, _LAST),
        "unknown length": _net(_LSTM, _LAST),
        "short": _net(_LSTM, "x = x.view(-1, 8, 32)", _LAST),
        "all states": _net(_LSTM, _VIEW, "return self.head(self.rnn(x)[0].max(dim=1)[0])"),
        "both ways": _net("self.rnn = nn.LSTM(32, 32, batch_first=True, bidirectional=True)", _VIEW, _LAST),
        "closed on purpose": _net(
            _LSTM + "\nself.rnn.bias_ih_l0.data[0:64] = -1\nself.rnn.bias_ih_l0.data[64:128] = 2",
            _SHORT,
            _LAST,
        ),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report forget gates that are left closed, and biases that open another gate instead."""
        by_node = {found.node.number: found for found in recurrences(model) if found.kind.startswith("lstm")}
        for wrong in wrong_gates(model.graph, _OPEN):
            yield self._misplaced(model, wrong, by_node.pop(wrong.node.number, None))
        for found in by_node.values():
            if found.mildest > -LEAST or forget_bias(found.node).hi >= _OPEN:
                continue
            claim = recurrent_gain(found)
            left = (
                f"{times(claim.predicted)} of the gradient at the first step ({claim.predicted:.1f} decades)"
            )
            message = f"{found.steps} steps with a forget gate that starts half closed leave {left}"
            severity = Severity.WARNING if is_rounded_away(found) else None
            yield self.finding(made_at(model.graph, found.node), message, claim, severity=severity)

    def _misplaced(self, model: Model, wrong: WrongGate, found: Recurrence | None) -> Finding:
        """A bias on another gate; the claim is about the length that the code states, or an assumed one."""
        if found is not None:
            claim = recurrent_gain(found)
        else:
            claim = gain_over(wrong.decades(_STEPS), f"{model.graph.name}:{wrong.node.module}", _STEPS)
        return self.finding(
            within(model.graph, wrong.piece.initial.place, wrong.node.made),
            f"rows {wrong.piece.start} to {wrong.piece.stop} are the {wrong.gate} gate; "
            f"the forget gate stays closed (rows {wrong.hidden} to {2 * wrong.hidden})",
            claim,
            severity=Severity.WARNING,
            related=related(model.graph, [(wrong.node.made, "the LSTM")]),
        )
