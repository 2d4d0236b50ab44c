"""GRD506 undivided-accumulation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.records.training import Event
from gradlint.rule.loops import report, subject
from gradlint.rule.rehearse import at, beneath_clipping, claimed, rehearsed, told
from gradlint.rule.rule import Rule
from gradlint.steps.gradients import Gradients, gradients_of, is_written
from gradlint.steps.known import is_adaptive
from gradlint.steps.lasso import PERIOD
from gradlint.steps.loop import TrainingLoop

_START = """\
import torch
from torch import nn

model = nn.Linear(8, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
"""
_LOOP = _START + "for i, (x, y) in enumerate(loader):\n"
_PASS = "    loss = nn.functional.cross_entropy(model(x), y)\n"
_STEP = "    if (i + 1) % 4 == 0:\n        optimizer.step()\n        optimizer.zero_grad()\n"


class UndividedAccumulation(Rule):
    """The gradients of several batches are summed for one step, and their number is nowhere divided by.

    ### Why is this bad?
    A loss that is the mean over its batch gives a gradient of the size of one batch's. The sum of n of
    them is n times as long as the gradient of the large batch that is meant, and so is the step of SGD:
    the learning rate grows with the number of batches that are accumulated.

    ### How it is verified
    The gradient that the first step is given over that where the loss is divided, with as many as four
    backward passes for a step.

    ### When it is fine
    A loss that is a sum over its batch, a division anywhere between loss and step, and optimizers that
    divide by the size of the gradient themselves (Adam and its kin), which are left alone.

    ### Fix safety
    No fix: the learning rate may have been tuned to the sum.

    ### References
    - [Gradient accumulation](https://docs.pytorch.org/docs/stable/notes/amp_examples.html#gradient-accumulation)
    """

    id = "GRD506"
    name = "undivided-accumulation"
    severity = Severity.WARNING
    help = "divide the loss by the number of batches that make a step"
    bad: ClassVar[Mapping[str, str]] = {
        "plain": _LOOP + _PASS + "    loss.backward()\n" + _STEP,
        "a criterion": (
            _START
            + "criterion = nn.MSELoss()\nfor i, (x, y) in enumerate(loader):\n"
            + "    loss = criterion(model(x), y)\n    loss.backward()\n"
            + _STEP
        ),
        "with the rest of the epoch": (
            _LOOP
            + _PASS
            + "    loss.backward()\n"
            + _STEP.replace("(i + 1) % 4 == 0", "(i + 1) % 4 == 0 or i + 1 == len(loader)")
        ),
        "zeroed where the next begins": (
            _LOOP
            + "    if i % 4 == 0:\n        optimizer.zero_grad()\n"
            + _PASS
            + "    loss.backward()\n    if not (i + 1) % 4:\n        optimizer.step()\n"
        ),
        "in a function": (
            "from torch import nn, optim\n\ndef fit(net, loader, every):\n"
            "    sgd = optim.SGD(net.parameters(), lr=0.1)\n    criterion = nn.CrossEntropyLoss()\n"
            "    for i, (x, y) in enumerate(loader):\n        criterion(net(x), y).backward()\n"
            "        if i % every == every - 1:\n            sgd.step()\n            sgd.zero_grad()\n"
        ),
        "a counter that is set back": (
            _START
            + "held = 0\nfor x, y in loader:\n"
            + _PASS
            + "    loss.backward()\n    held += 1\n    if held == 4:\n        optimizer.step()\n"
            + "        optimizer.zero_grad()\n        held = 0\n"
        ),
        "the mean of what is left": (
            _LOOP + "    loss = (model(x) - y).square().mean()\n    loss.backward()\n" + _STEP
        ),
        "clipped": (
            _LOOP
            + _PASS
            + "    loss.backward()\n    if (i + 1) % 4 == 0:\n"
            + "        nn.utils.clip_grad_norm_(model.parameters(), 0.01)\n        optimizer.step()\n"
            + "        optimizer.zero_grad()\n"
        ),
        "with a scaler": (
            _START
            + "scaler = torch.amp.GradScaler('cuda')\nfor i, (x, y) in enumerate(loader):\n"
            + _PASS
            + "    scaler.scale(loss).backward()\n    if (i + 1) % 4 == 0:\n        scaler.step(optimizer)\n"
            + "        scaler.update()\n        optimizer.zero_grad()\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "divided": _LOOP + _PASS.replace("y)\n", "y) / 4\n") + "    loss.backward()\n" + _STEP,
        "divided by an unknown number": (
            _LOOP + _PASS + "    loss = loss / steps\n    loss.backward()\n" + _STEP
        ),
        "divided where it is passed back": _LOOP + _PASS + "    (loss * 0.25).backward()\n" + _STEP,
        "a sum over the batch": (
            _LOOP + _PASS.replace("y)\n", "y, reduction='sum')\n") + "    loss.backward()\n" + _STEP
        ),
        "the gradients are divided": (
            _LOOP
            + _PASS
            + "    loss.backward()\n"
            + _STEP.replace(
                "        optimizer.step()",
                "        for p in model.parameters():\n            p.grad /= 4\n        optimizer.step()",
            )
        ),
        "an optimizer that divides": (
            _LOOP.replace("optim.SGD", "optim.Adam") + _PASS + "    loss.backward()\n" + _STEP
        ),
        "counted beyond a warm-up": (
            _START
            + "held = 0\nfor x, y in loader:\n    optimizer.zero_grad()\n"
            + _PASS
            + "    loss.backward()\n    held += 1\n    if held >= 4:\n        optimizer.step()\n"
        ),
        "a loss that is not known": (
            "import torch\n\ndef fit(net, loader, optimizer, criterion):\n"
            "    for i, (x, y) in enumerate(loader):\n        criterion(net(x), y).backward()\n"
            "        if i % 4 == 3:\n            optimizer.step()\n            optimizer.zero_grad()\n"
        ),
        "a step for every batch": (
            _LOOP
            + "    optimizer.zero_grad()\n"
            + _PASS
            + "    loss.backward()\n    optimizer.step()\n    if i % 4 == 0:\n        print(i)\n"
        ),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """A mean is passed back in every iteration, undivided, and the step comes every few."""
        for of in gradients_of(loop):
            for backward, step in of.accumulated() if _is_descent(of) else ():
                if _is_undivided(backward):
                    message = "the mean losses of several batches are summed for one step, and not divided"
                    ends = [(step, "steps here")]
                    yield report(self, loop, backward, message, ends, claim=_claim(of, backward, step))


def _claim(of: Gradients, backward: Event, step: Event) -> Claim | None:
    rehearsal = rehearsed(of.loop, (backward, step), told(at(backward), divided=PERIOD), about=of.optimizer)
    times = math.log10(PERIOD)
    about, condition = subject(of.loop, backward, step), beneath_clipping(rehearsal)
    return claimed(Metric.STEP_SCALE, about, times / 2, times, rehearsal, condition=condition)


def _is_undivided(backward: Event) -> bool:
    """Whether a backward pass begins at a mean that is as it was computed."""
    settings = backward.settings
    return settings.get("divided") is False and settings.get("reduction") == "mean" and backward.is_certain


def _is_descent(of: Gradients) -> bool:
    """Whether steps grow with the gradients, and nothing else changes these."""
    types = [of.loop.thing(number).type for number in of.optimizer]
    written = [event for event in of.loop.events("clip", "zero", "hook") if is_written(event)]
    changed = any(of.about("clip", "zero", "hook")(event) for event in written)
    return all(types) and not any(map(is_adaptive, types)) and not changed
