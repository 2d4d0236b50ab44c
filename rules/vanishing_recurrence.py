"""GRD302 vanishing-recurrence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.model import Model
from gradlint.flow.time import Recurrence, keeps_lengths, recurrences
from gradlint.records.finding import Finding, Severity
from gradlint.rule.depth import times
from gradlint.rule.rule import Rule
from gradlint.rule.steps import LEAST, is_rounded_away, place_of, recurrent_gain

_HEAD = "import torch\nfrom torch import nn\n\nclass Net(nn.Module):\n"


def _net(made: str, *forward: str, arguments: str = "self") -> str:
    """A model of 32 inputs and 64 states with these lines in its forward pass."""
    lines = "".join(f"        {line}\n" for line in forward)
    parts = "".join(f"        {part.strip()}\n" for part in made.split(";"))
    head = f"{_HEAD}    def __init__({arguments}):\n        super().__init__()\n"
    return f"{head}{parts}        self.head = nn.Linear(64, 10)\n\n    def forward(self, x):\n{lines}"


_RNN = "self.rnn = nn.RNN(32, 64, batch_first=True)"
_CELL = "self.cell = nn.RNNCell(32, 64)"
_LSTM = "self.rnn = nn.LSTM(32, 64, batch_first=True)"
_LINEAR = "self.inner = nn.Linear(32, 64); self.outer = nn.Linear(64, 64)"
_LAST = "return self.head(self.rnn(x)[0][:, -1])"
_VIEW = "x = x.view(-1, 28, 32)"


def _loop(step: str, over: str) -> tuple[str, ...]:
    """A recurrence whose last state is read."""
    return ("h = torch.zeros(x.size(0), 64)", f"for {over}:", f"    h = {step}", "return self.head(h)")


class VanishingRecurrence(Rule):
    """A recurrent network is longer than its gradient lasts, and only its last step is read.

    ### Why is this bad?
    On the way back from the last step to the first, the gradient passes the recurrent weights once per
    step. At torch's initialisation a step of `nn.RNN` leaves about half of it (√(1/3 · E[tanh'²])), so
    ten steps cost three decades: what stands at the beginning of the sequence is not learned.

    ### How it is verified
    The gradient at the first state over that at the last, in one backward pass from a random projection
    of the output, with a sequence of the length that the code states.

    ### When it is fine
    Where the length is short or not known, for neither the model says it nor all calls of it; where the
    recurrent matrix is orthogonal or the identity; where all states are read, by attention, by pooling or by
    a loss at every step. A GRU or another cell that
    carries its state past the weights learns to open its gates from what stands near the end: it is a note
    up to some 50 steps, and a warning where less than 2⁻²⁴ is left of the first step, which float32 rounds
    away when the steps are added up. An LSTM has [a rule of its own](closed-forget-gate.md).

    ### Fix safety
    There is no fix to apply: other cells and other initialisations train differently.

    ### References
    - Pascanu, Mikolov, Bengio (2013), On the difficulty of training recurrent neural networks, ICML
    - Le, Jaitly, Hinton: [A simple way to initialize](https://arxiv.org/abs/1504.00941), 2015
    - [Proper CUDNN RNN initialisation](https://github.com/speechbrain/speechbrain/issues/104)
    """

    id = "GRD302"
    name = "vanishing-recurrence"
    severity = Severity.WARNING
    threshold = "recurrence-decades"
    help = "use orthogonal recurrent weights, or gated cells whose gates begin open, or read all states"
    bad: ClassVar[Mapping[str, str]] = {
        "rows of an image": _net(_RNN, _VIEW, "out, _ = self.rnn(x)", "return self.head(out[:, -1, :])"),
        "last state": _net(
            "self.length = length; self.rnn = nn.RNN(32, 64)",
            "x = x.reshape(self.length, -1, 32)",
            "return self.head(self.rnn(x)[1].squeeze(0))",
            arguments="self, length=40",
        ),
        "cell in a loop": _net(_CELL, *_loop("self.cell(x[:, t], h)", "t in range(30)")),
        "written by hand": _net(
            _LINEAR, _VIEW, *_loop("torch.tanh(self.inner(step) + self.outer(h))", "step in x.unbind(1)")
        ),
        "input and state joined": _net(
            "self.step = nn.Linear(96, 64)",
            _VIEW,
            *_loop("self.step(torch.cat([x[:, t], h], dim=1)).tanh()", "t in range(x.size(1))"),
        ),
        "small matrix": _net(
            "self.inner = nn.Linear(32, 64); self.w = nn.Parameter(torch.randn(64, 64) * 0.05)",
            *_loop("torch.tanh(self.inner(x[:, t]) + h @ self.w)", "t in range(12)"),
        ),
        "repeated code": _net(
            "self.embed = nn.Linear(32, 32); self.rnn = nn.RNN(32, 64, nonlinearity='relu')",
            "x = self.embed(x).unsqueeze(0).repeat(50, 1, 1)",
            "return self.head(self.rnn(x)[0][-1])",
        ),
        "every call of one length": _net(_RNN, _LAST) + "\nnet = Net()\nnet(torch.zeros(8, 40, 32))\n",
        "gated": _net("self.rnn = nn.GRU(32, 64, batch_first=True)", "x = x.view(-1, 24, 32)", _LAST),
        "gated, too long to be added up": _net(
            "self.rnn = nn.GRU(32, 64, batch_first=True)", "x = x.view(-1, 60, 32)", _LAST
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "unknown length": _net(_RNN, "out, _ = self.rnn(x)", "return self.head(out[:, -1])"),
        "calls of two lengths": (
            _net(_RNN, _LAST) + "\nnet = Net()\nnet(torch.zeros(8, 40, 32))\nnet(torch.zeros(8, 4, 32))\n"
        ),
        "short": _net(_RNN, "x = x.view(-1, 6, 32)", _LAST),
        "orthogonal": _net(
            f"{_RNN}; nn.init.orthogonal_(self.rnn.weight_hh_l0)", "x = x.view(-1, 20, 32)", _LAST
        ),
        "identity": _net(
            "self.cell = nn.RNNCell(32, 64, nonlinearity='relu'); nn.init.eye_(self.cell.weight_hh)",
            *_loop("self.cell(x[:, t], h)", "t in range(30)"),
        ),
        "mean over all states": _net(_RNN, _VIEW, "return self.head(self.rnn(x)[0].mean(dim=1))"),
        "output at every step": _net(_RNN, _VIEW, "return self.head(self.rnn(x)[0])"),
        "attention over all states": _net(
            f"{_RNN}; self.score = nn.Linear(64, 1)",
            _VIEW,
            "out, _ = self.rnn(x)",
            "return self.head((self.score(out).softmax(dim=1) * out).sum(dim=1))",
        ),
        "all states of cells": _net(
            _CELL,
            *("h, states = torch.zeros(x.size(0), 64), []", "for t in range(30):"),
            *("    h = self.cell(x[:, t], h)", "    states.append(h)"),
            "return self.head(torch.stack(states, dim=1).mean(dim=1))",
        ),
        "layers in a row": _net(
            "self.inner = nn.Linear(32, 64); self.layers = nn.ModuleList([nn.Linear(64, 64) for _ in 'abc'])",
            *("x = self.inner(x)", "for layer in self.layers:", "    x = torch.tanh(layer(x))"),
            "return self.head(x)",
        ),
        "update gate opened": _net(
            "self.rnn = nn.GRU(32, 64, batch_first=True); self.rnn.bias_hh_l0.data[64:128] = 2.0",
            "x = x.view(-1, 30, 32)",
            _LAST,
        ),
        "open gates": _net(
            f"{_LSTM}; self.rnn.bias_ih_l0.data[64:128] = 2.0", "x = x.view(-1, 20, 32)", _LAST
        ),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report recurrences of which too little of the gradient arrives at the first step."""
        for found in recurrences(model):
            is_kept = found.kind.startswith("lstm") or any(map(keeps_lengths, found.weights))
            if found.mildest > -LEAST or is_kept:
                continue
            claim = recurrent_gain(found)
            yield self.finding(
                place_of(model, found),
                f"{_written(found)} leave {times(claim.predicted)} of the gradient at the first step "
                f"({claim.predicted:.1f} decades)",
                claim,
                severity=Severity.NOTE if found.is_carried and not is_rounded_away(found) else None,
            )


def _written(found: Recurrence) -> str:
    kind = {"rnn": "nn.RNN", "gru": "nn.GRU", "rnn_cell": "nn.RNNCell", "gru_cell": "nn.GRUCell"}.get(
        found.kind
    )
    return f"{found.steps} steps of {kind or 'this recurrence'}"
