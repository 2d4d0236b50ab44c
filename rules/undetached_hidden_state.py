"""GRD304 undetached-hidden-state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.records.training import Event
from gradlint.rule.loops import report, subject
from gradlint.rule.rehearse import at, claimed, rehearsed, told
from gradlint.rule.rule import Rule
from gradlint.steps.carried import carried
from gradlint.steps.kept import kept
from gradlint.steps.loop import TrainingLoop

_HEAD = "import torch\nfrom torch import nn\n\n"
_NET = (
    "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.rnn = nn.LSTM(32, 64)\n        self.head = nn.Linear(64, 10)\n\n"
    "    def forward(self, x, state):\n        out, state = self.rnn(x, state)\n"
    "        return self.head(out), state\n\n"
    "    def start(self):\n        return torch.zeros(1, 8, 64), torch.zeros(1, 8, 64)\n\n"
)
_KEEPING = (
    "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.rnn = nn.LSTM(32, 64)\n        self.head = nn.Linear(64, 10)\n"
    "        self.state = (torch.zeros(1, 8, 64), torch.zeros(1, 8, 64))\n\n"
    "    def forward(self, x):\n        out, self.state = self.rnn(x, self.state)\n"
    "        return self.head(out)\n\n"
)
_MADE = "model = Net()\noptimizer = torch.optim.Adam(model.parameters())\nloss_of = nn.CrossEntropyLoss()\n"
_START = "state = model.start()\n"
_FOR = "for x, y in loader:\n"
_LOSS = "    loss = loss_of(out.flatten(0, 1), y.flatten())\n"
_PASS = "    out, state = model(x, state)\n" + _LOSS
_END = (
    "    optimizer.zero_grad()\n    loss.backward()\n"
    "    nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n    optimizer.step()\n"
)
_ALL = _HEAD + _NET + _MADE
_UNKNOWN = (
    _HEAD + "def train(model, loader, optimizer, loss_of):\n    state = None\n    for x, y in loader:\n"
    "        out, state = model(x, state)\n        optimizer.zero_grad()\n"
    "        loss_of(out, y).backward()\n        optimizer.step()\n"
)
_RETAINED = "backward(retain_graph=True)"


def _with(before: str = "", after: str = "") -> str:
    """Training with these lines before the forward pass, and after the step."""
    return f"{_ALL}{_START}{_FOR}{before}{_PASS}{_END}{after}"


def _keeping(before: str = "") -> str:
    """Training of a model that keeps its state, with these lines before the forward pass."""
    return f"{_HEAD}{_KEEPING}{_MADE}{_FOR}{before}    out = model(x)\n{_LOSS}{_END}"


class UndetachedHiddenState(Rule):
    """The state of one batch is given to the next with the graph of the forward pass that made it.

    ### Why is this bad?
    The second backward pass goes on through the state into the graph of the first batch, whose buffers
    are freed: "Trying to backward through the graph a second time". `retain_graph=True` silences that by
    keeping every graph since the beginning, so that memory and the time of each step grow without end,
    and weights that were changed since are found in them ("modified by an inplace operation").

    ### How it is verified
    Three iterations raise an error, also with `retain_graph=True` once weights were stepped; detached, they
    do not.

    ### When it is fine
    Where the state is detached between two batches (`detach`, `.data`, under `no_grad`, by a helper),
    begins anew with each batch, or is carried from step to step of one sequence whose loss is
    backpropagated once, at its end.

    ### Fix safety
    No fix: where to detach says how far back the gradient shall reach.

    ### References
    - [The state has to be taken off its graph](https://github.com/MorvanZhou/PyTorch-Tutorial/issues/57)
    - [Memory leak problem in LSTM and RNN](https://github.com/pytorch/pytorch/issues/2198)
    """

    id = "GRD304"
    name = "undetached-hidden-state"
    severity = Severity.ERROR
    help = "detach the state between batches: state = tuple(part.detach() for part in state)"
    bad: ClassVar[Mapping[str, str]] = {
        "never detached": _with(),
        "graph retained": _with().replace("backward()", _RETAINED),
        "begins with none": _with().replace(_START, "state = None\n").replace("state):", "state=None):"),
        "layer of torch": (
            _HEAD
            + "rnn, head = nn.GRU(32, 64), nn.Linear(64, 1)\nh = torch.zeros(1, 8, 64)\n"
            + "optimizer = torch.optim.Adam([*rnn.parameters(), *head.parameters()])\n"
            + "for x, y in loader:\n    out, h = rnn(x, h)\n    optimizer.zero_grad()\n"
            + "    nn.functional.mse_loss(head(out), y).backward()\n    optimizer.step()\n"
        ),
        "kept by the model": _keeping(),
        "detached and dropped": _with("    state[0].detach()\n"),
        "model that is not known": _UNKNOWN.replace("backward()", _RETAINED),
    }
    good: ClassVar[Mapping[str, str]] = {
        "detached": _with("    state = tuple(part.detach() for part in state)\n"),
        "data taken": _with("    state = tuple([part.data for part in state])\n"),
        "detached in place": _with("    for part in state:\n        part.detach_()\n"),
        "detached after the step": _with(after="    state = [part.detach() for part in state]\n"),
        "without gradients": _with(after="    with torch.no_grad():\n        _, state = model(x, state)\n"),
        "repackaged": _with("    state = repackage(state)\n").replace(
            "model = Net()",
            "def repackage(h):\n    if isinstance(h, torch.Tensor):\n        return h.detach()\n"
            "    return tuple(repackage(part) for part in h)\n\nmodel = Net()",
        ),
        "repackaged elsewhere": "from states import repackage\n" + _with("    state = repackage(state)\n"),
        "new for every batch": f"{_ALL}{_FOR}    {_START}{_PASS}{_END}",
        "detached in the model": _with().replace(
            "(x, state)\n        ret", "(x, state.detach())\n        ret"
        ),
        "one sequence, one backward pass": (
            f"{_ALL}for sequence, y in loader:\n    {_START}    for x in sequence:\n"
            f"        out, state = model(x, state)\n{_LOSS}{_END}"
        ),
        "kept, but begun anew": _keeping("    model.state = None\n"),
        "kept, but begun anew by a method": _keeping("    model.reset()\n").replace(
            "    def forward", "    def reset(self):\n        self.state = None\n\n    def forward"
        ),
        "kept detached": _keeping().replace(
            "        return self.head(out)\n",
            "        self.state = [part.detach() for part in self.state]\n        return self.head(out)\n",
        ),
        "kept, but not used": _keeping().replace("self.rnn(x, self.state)", "self.rnn(x)"),
        "every few steps": (
            f"{_ALL}{_START}total = 0\nfor i, (x, y) in enumerate(loader):\n{_PASS}"
            "    total = total + loss\n    if i % 20 == 19:\n        optimizer.zero_grad()\n"
            "        total.backward()\n        optimizer.step()\n        total = 0\n"
            "        state = tuple(part.detach() for part in state)\n"
        ),
        "given but not taken": _with().replace("self.rnn(x, state)", "self.rnn(x)"),
        "model that is not known": _UNKNOWN,
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """A forward pass takes what it gave before, and the backward pass of the same loop follows it."""
        for found in carried(loop) if loop.is_readable else ():
            message = "the state of the batch before is used with its graph"
            if found.is_retained:
                message = "the state keeps the graphs of all batches before, which retain_graph=True holds"
            ends = [(found.backward, "backpropagated here")]
            claim = _claim(loop, found.forward, found.backward)
            yield report(self, loop, found.forward, message, ends, claim=claim)
        for left in kept(loop) if loop.is_readable else ():
            message = f"the model goes on from the graph of the batch before, in its attribute {left.name}"
            claim = _claim(loop, left.forward, left.backward)
            ends = [(left.backward, "backpropagated here")]
            yield report(self, loop, left.forward, message, ends, claim=claim)


def _claim(loop: TrainingLoop, forward: Event, backward: Event) -> Claim | None:
    rehearsal = rehearsed(
        loop,
        (forward, backward),
        told(at(forward), carried="detached"),
        stand_in="lstm",
        assumed=told(at(forward), carried="graph"),
    )
    about = subject(loop, forward, backward)
    return claimed(Metric.RAISES, about, 1, 1, rehearsal, condition="iterations=3")
