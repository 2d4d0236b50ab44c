"""GRD304 undetached-hidden-state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Finding, Severity
from gradlint.rule.loops import report
from gradlint.rule.rule import Rule
from gradlint.training.carried import carried
from gradlint.training.kept import kept
from gradlint.training.loop import TrainingLoop

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
_PASS = "    out, state = model(x, state)\n    loss = loss_of(out.flatten(0, 1), y.flatten())\n"
_BACK = "    optimizer.zero_grad()\n    loss.backward()\n"
_STEP = "    optimizer.step()\n"
_ALL = _HEAD + _NET + _MADE
_CLIP = "    nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"


def _with(start: str = _START, before: str = "", back: str = _BACK, after: str = _CLIP + _STEP) -> str:
    """Training with these lines before the loop, before the forward pass, and from the backward pass on."""
    return f"{_ALL}{start}{_FOR}{before}{_PASS}{back}{after}"


def _keeping(before: str = "") -> str:
    """Training of a model that keeps its state, with these lines before the forward pass."""
    loss = "    loss = loss_of(model(x).flatten(0, 1), y.flatten())\n"
    return f"{_HEAD}{_KEEPING}{_MADE}{_FOR}{before}{loss}{_BACK}{_CLIP}{_STEP}"


_RETAINED = _BACK.replace("backward()", "backward(retain_graph=True)")
_CELL = (
    "class Cell(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.inner = nn.Linear(32, 64)\n        self.outer = nn.Linear(64, 64)\n\n"
    "    def forward(self, x, h):\n        return torch.tanh(self.inner(x) + self.outer(h))\n\n"
)


class UndetachedHiddenState(Rule):
    """The state of one batch is given to the next with the graph of the forward pass that made it.

    ### Why is this bad?
    The second backward pass goes on through the state into the graph of the first batch, whose buffers
    are freed: "Trying to backward through the graph a second time". `retain_graph=True` silences that by
    keeping every graph since the beginning, so that memory and the time of each step grow without end,
    and weights that were changed since are found in them ("modified by an inplace operation").

    ### How it is verified
    No claim: the second iteration raises, or the third takes longer than the second.

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
        "graph retained": _with(back=_RETAINED),
        "begins with none": _with(start="state = None\n").replace("x, state):", "x, state=None):"),
        "layer of torch": (
            _HEAD
            + "rnn = nn.GRU(32, 64)\nhead = nn.Linear(64, 1)\n"
            + "optimizer = torch.optim.SGD([*rnn.parameters(), *head.parameters()], lr=0.1)\n"
            + "h = torch.zeros(1, 8, 64)\n"
            + "for x, y in loader:\n    out, h = rnn(x, h)\n"
            + "    loss = nn.functional.mse_loss(head(out), y)\n    optimizer.zero_grad()\n"
            + "    loss.backward()\n    nn.utils.clip_grad_norm_(rnn.parameters(), 1.0)\n"
            + _STEP
        ),
        "two variables": (
            _ALL
            + "h, c = model.start()\n"
            + _FOR
            + _PASS.replace("out, state = model(x, state)", "out, (h, c) = model(x, (h, c))")
            + _BACK
            + _CLIP
            + _STEP
        ),
        "kept by the model": _keeping(),
        "written by hand": (
            _HEAD
            + _CELL
            + "def train(loader):\n    cell = Cell()\n"
            + "    optimizer = torch.optim.SGD(cell.parameters(), lr=0.01)\n    h = torch.zeros(8, 64)\n"
            + "    for x, y in loader:\n        h = cell(x, h)\n        loss = (h - y).square().mean()\n"
            + "        optimizer.zero_grad()\n        loss.backward(retain_graph=True)\n"
            + "        nn.utils.clip_grad_norm_(cell.parameters(), 1.0)\n        optimizer.step()\n"
        ),
        "detached and dropped": _with(before="    state[0].detach()\n"),
        "model that is not known": (
            _HEAD
            + "def train(model, loader, optimizer, loss_of):\n    state = None\n"
            + "    for x, y in loader:\n        out, state = model(x, state)\n"
            + "        optimizer.zero_grad()\n        loss_of(out, y).backward(retain_graph=True)\n"
            + "        optimizer.step()\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "detached": _with(before="    state = tuple(part.detach() for part in state)\n"),
        "data taken": _with(before="    state = tuple([part.data for part in state])\n"),
        "detached in place": _with(before="    for part in state:\n        part.detach_()\n"),
        "detached after the step": _with(after=_CLIP + _STEP + "    state = [s.detach() for s in state]\n"),
        "without gradients": _with(
            after=_CLIP + _STEP + "    with torch.no_grad():\n        _, state = model(x, state)\n"
        ),
        "repackaged": _with(before="    state = repackage(state)\n").replace(
            "model = Net()",
            "def repackage(h):\n    if isinstance(h, torch.Tensor):\n        return h.detach()\n"
            "    return tuple(repackage(part) for part in h)\n\nmodel = Net()",
        ),
        "repackaged elsewhere": _with(before="    state = repackage(state)\n").replace(
            "import torch\n", "import torch\nfrom states import repackage\n", 1
        ),
        "new for every batch": f"{_ALL}{_FOR}    {_START}{_PASS}{_BACK}{_CLIP}{_STEP}",
        "detached in the model": _with().replace(
            "self.rnn(x, state)", "self.rnn(x, tuple(s.detach() for s in state))"
        ),
        "one sequence, one backward pass": (
            _ALL
            + "for sequence, y in loader:\n    state = model.start()\n    for x in sequence:\n"
            + "        out, state = model(x, state)\n    loss = loss_of(out.flatten(0, 1), y.flatten())\n"
            + _BACK
            + _CLIP
            + _STEP
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
            _ALL
            + _START
            + "total = 0\nfor i, (x, y) in enumerate(loader):\n"
            + _PASS
            + "    total = total + loss\n    if i % 20 == 19:\n        optimizer.zero_grad()\n"
            + "        total.backward()\n        nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
            + "        optimizer.step()\n        total = 0\n"
            + "        state = tuple(part.detach() for part in state)\n"
        ),
        "given but not taken": _with().replace("self.rnn(x, state)", "self.rnn(x)"),
        "evaluated only": f"{_ALL}{_START}{_FOR}{_PASS}    print(loss.item())\n    optimizer.zero_grad()\n",
        "model that is not known": (
            _HEAD
            + "def train(model, loader, optimizer, loss_of):\n    state = None\n"
            + "    for x, y in loader:\n        out, state = model(x, state)\n"
            + "        optimizer.zero_grad()\n        loss_of(out, y).backward()\n        optimizer.step()\n"
        ),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """A forward pass takes what it gave before, and the backward pass of the same loop follows it."""
        for found in carried(loop) if loop.is_readable else ():
            message = "the state of the batch before is used with its graph"
            if found.is_retained:
                message = "the state keeps the graphs of all batches before, which retain_graph=True holds"
            ends = [(found.backward, "backpropagated here")]
            yield report(self, loop, found.forward, message, ends)
        for left in kept(loop) if loop.is_readable else ():
            message = f"the model goes on from the graph of the batch before, in its attribute {left.name}"
            yield report(self, loop, left.forward, message, [(left.backward, "backpropagated here")])
