"""GRD301 unclipped-recurrent-training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.records.training import Event, is_default
from gradlint.rule.loops import report, subject
from gradlint.rule.rehearse import at, claimed, new, preceded, rehearsed
from gradlint.rule.rule import Rule
from gradlint.steps.known import is_descent
from gradlint.steps.loop import TrainingLoop
from gradlint.steps.recurrent import Recurrent, descending, is_risky, trained_recurrence, vanishes

_HEAD = "import torch\nfrom torch import nn\n\n"


def _net(made: str, *forward: str) -> str:
    """A model of 32 inputs and 64 states."""
    lines = "".join(f"        {line}\n" for line in forward)
    return (
        f"class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        {made}\n"
        f"        self.head = nn.Linear(64, 10)\n\n    def forward(self, x):\n{lines}"
        "        return self.head(h)\n\n"
    )


_NET = _net("self.rnn = nn.LSTM(32, 64)", "h = self.rnn(x)[0][-1]")
_WRITTEN = _net(
    "self.inner, self.outer = nn.Linear(32, 64), nn.Linear(64, 64)",
    "h = torch.zeros(x.size(1), 64)",
    "for step in x.unbind(0):",
    "    h = torch.tanh(self.inner(step) + self.outer(h))",
)
_CELL = _net(
    "self.cell = nn.LSTMCell(32, 64)",
    "h = c = torch.zeros(x.size(1), 64)",
    "for t in range(x.size(0)):",
    "    h, c = self.cell(x[t], (h, c))",
)
_SGD = "model = Net()\noptimizer = torch.optim.SGD(model.parameters(), lr=20)\n"
_LOOP = (
    "for x, y in loader:\n    loss = nn.functional.cross_entropy(model(x), y)\n"
    "    optimizer.zero_grad()\n    loss.backward()\n"
)
_STEP = "    optimizer.step()\n"
_BEFORE = _HEAD + _NET + _SGD + _LOOP


def _between(*lines: str) -> str:
    """Training with these lines between the backward pass and the step."""
    return _BEFORE + "".join(f"    {line}\n" for line in lines) + _STEP


def _trained(net: str, made: str = _SGD) -> str:
    """Training of another model, or by another optimizer."""
    return _HEAD + net + made + _LOOP + _STEP


_CERTAIN = 10.0
"""Rates of plain descent from which on the gradients of any recurrence explode within a few steps."""


class UnclippedRecurrentTraining(Rule):
    """A recurrent network is trained, and nothing bounds its gradients before the step.

    ### Why is this bad?
    Over a sequence of T steps the gradient passes the recurrent weights T times, so it grows as the T-th
    power of how much they stretch. At torch's initialisation they shrink it; training moves them, and
    where the loss falls off a cliff a single step of plain descent goes as far as the gradient is long.
    A language model that `SGD` trains at a rate of 20 goes from a loss of 5.3 to 56 without clipping and
    to 2.4 with it; at a rate of 0.1 the same omission changes nothing in the first steps. `Adam` and its
    kin step as far as their rate, whatever the gradient: over 50 and 200 steps of a sequence, at rates of
    0.05 and 0.1, the loss of a tanh, LSTM or GRU network falls though the norm of its gradient may grow,
    while that of a ReLU or linear recurrence goes up by as much as 10³⁵. So the finding is a warning for
    plain descent on plain recurrences, on a summed loss or at a rate of 1 and above, and for adaptive
    steps at a rate of 0.05 and above where nothing bounds the state; else a note.

    ### How it is verified
    The longest gradient that 20 steps on one batch are given over that where it is clipped to the length that
    it has at first. There is a claim only for plain descent at rates of 10 and more: at lower ones the norm
    grows in the course of training on the real data, not in 20 steps.

    ### When it is fine
    Where anything bounds the gradient: `clip_grad_norm_` and `clip_grad_value_`, also in a helper or by
    a library's trainer, a hook that clamps, `.grad` clamped by hand, an optimizer that normalises its
    step; where unknown code is given the model or the optimizer before the step; and where
    [the gradient vanishes](vanishing-recurrence.md) over the known length of the sequence.

    ### Fix safety
    No fix: the threshold depends on the model, so look at the norm that `clip_grad_norm_` returns first.

    ### References
    - Pascanu, Mikolov, Bengio (2013), On the difficulty of training recurrent neural networks, ICML
    - [nan in the training of a text recogniser](https://github.com/GitYCC/crnn-pytorch/issues/7)
    - [nan at the last iteration](https://github.com/mravanelli/pytorch-kaldi/issues/112)
    """

    id = "GRD301"
    name = "unclipped-recurrent-training"
    severity = Severity.WARNING
    help = "call torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm) between backward and step"
    bad: ClassVar[Mapping[str, str]] = {
        "language model": _between(),
        "cell over a sequence": _trained(_CELL),
        "written by hand": _trained(_WRITTEN, _SGD.replace("lr=20", "lr=0.1")),
        "fed by the loop": (
            _HEAD
            + _net("self.mix = nn.Linear(96, 64)", "h = torch.tanh(self.mix(torch.cat(x, 1)))")
            .replace("return self.head(h)", "return self.head(h), h")
            .replace("(self, x)", "(self, *x)")
            + _SGD
            + "for line, y in loader:\n    h = torch.zeros(1, 64)\n    optimizer.zero_grad()\n"
            + "    for x in line:\n        out, h = model(x, h)\n"
            + "    nn.functional.cross_entropy(out, y).backward()\n    optimizer.step()\n"
        ),
        "stepped by hand": (
            _HEAD
            + _WRITTEN
            + "model = Net()\nfor x, y in loader:\n    model.zero_grad()\n"
            + "    nn.functional.cross_entropy(model(x), y).backward()\n"
            + "    for p in model.parameters():\n        p.data.add_(p.grad.data, alpha=-0.005)\n"
        ),
        "layers of torch": (
            _HEAD
            + "rnn, head = nn.GRU(8, 64), nn.Linear(64, 2)\n"
            + "optimizer = torch.optim.Adam([*rnn.parameters(), *head.parameters()], lr=0.1)\n"
            + "for x, y in loader:\n    optimizer.zero_grad()\n"
            + "    nn.functional.mse_loss(head(rnn(x)[0]), y, reduction='sum').backward()\n"
            + _STEP
        ),
        "another model is clipped": _between(
            "optimizer.zero_grad()",
            "nn.utils.clip_grad_norm_(critic.parameters(), 1.0)",
            "nn.functional.cross_entropy(model(x), y).backward()",
        ).replace("model = Net()\n", "model, critic = Net(), nn.Linear(10, 1)\n"),
    }
    good: ClassVar[Mapping[str, str]] = {
        "clipped by norm": _between("nn.utils.clip_grad_norm_(model.parameters(), 0.25)"),
        "clipped by value": _between("nn.utils.clip_grad_value_(model.parameters(), 0.25)"),
        "clipped by a known norm": _between(
            "norm = nn.utils.get_total_norm([p.grad for p in model.parameters()])",
            "nn.utils.clip_grads_with_norm_(model.parameters(), 0.25, norm)",
        ),
        "clamped by hand": _between("for p in model.parameters():", "    p.grad.data.clamp_(-1, 1)"),
        "assigned": _between("for p in model.parameters():", "    p.grad = torch.clamp(p.grad, -1, 1)"),
        "hooks that clamp": _between().replace(
            "for x, y",
            "for p in model.parameters():\n    p.register_hook(lambda g: g.clamp(-1, 1))\nfor x, y",
        ),
        "a helper of another module": "from gradients import limit\n" + _between("limit(model)"),
        "where asked for": _between(
            "if config.clip:", "    nn.utils.clip_grad_norm_(model.parameters(), config.clip)"
        ),
        "an optimizer that clips": _trained(_NET, _SGD.replace("SGD", "Adafactor").replace("20", "0.01")),
        "no recurrence": _trained(_net("self.rnn = nn.Linear(32, 64)", "h = self.rnn(x).relu()")),
        "refined some times": _trained(
            _WRITTEN.replace("for step in x.unbind(0):", "for _ in range(self.rounds):").replace(
                "self.inner(step)", "self.inner(x)"
            )
        ),
        "next to nothing comes back": _trained(
            _net("self.rnn = nn.RNN(32, 64)", "h = self.rnn(x.view(40, -1, 32))[0][-1]"),
            _SGD.replace("lr=20", "lr=0.1"),
        ),
        "only the head is trained": _trained(_NET, _SGD.replace("model.param", "model.head.param")),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """From a backward pass through a recurrence every way leads to the step and none to a bound."""
        for optimizer in descending(loop) if loop.is_readable else ():
            if loop.may_bound(optimizer):
                continue
            for backward in filter(loop.filling(optimizer), loop.events("backward")):
                first = loop.after(backward, loop.about(optimizer, "step", "escape"))
                steps = [loop.event(n) for n in first.events if loop.event(n).kind == "step"]
                found = trained_recurrence(loop, backward, optimizer) if steps else None
                if found is not None and first.only(*[step.number for step in steps]):
                    reported = self._reported(loop, found, backward, steps[0])
                    if reported.claim is not None or not vanishes(loop, found):
                        yield reported

    def _reported(self, loop: TrainingLoop, found: Recurrent, backward: Event, step: Event) -> Finding:
        optimizer = loop.thing(min(step.things))
        rate, name = optimizer.settings.get("lr"), optimizer.type.rpartition(".")[2] or "plain descent"
        which = "default rate" if is_default(optimizer.settings, "lr") else "rate"
        at = f" at a {which} of {rate:g}" if isinstance(rate, float | int) else ""
        severity = Severity.WARNING if is_risky(found, optimizer.type, rate, backward) else Severity.NOTE
        message = f"nothing clips the gradients of {found.shown} before {name} steps{at}"
        ends = [(found.place, "the recurrence"), (step, "stepped here")]
        claim = _claim(loop, found, backward, step) if is_descent(optimizer.type) else None
        return report(self, loop, backward, message, ends, severity=severity, claim=claim)


def _claim(loop: TrainingLoop, found: Recurrent, backward: Event, step: Event) -> Claim | None:
    """What models of each kind showed at a rate of 20. Where the loop itself is the recurrence, no claim."""
    rate = loop.thing(min(step.things)).settings.get("lr")
    is_outside = any(found.place == event.place for event in loop.events("forward"))
    if not isinstance(rate, float | int) or rate < _CERTAIN or is_outside:
        return None
    clip = new("clip", step.things, form="clip_grad_norm_")
    stand_in = found.kind if found.is_gated else "rnn"
    rehearsal = rehearsed(
        loop, (backward, step), preceded(at(step), clip), about=step.things, stand_in=stand_in
    )
    about = subject(loop, backward, step)
    return claimed(Metric.STEP_SCALE, about, 1.0, 2.0, rehearsal, condition="steps=20,clip=first", least=1.0)
