"""GRD511 misordered-scheduler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.records.training import Event
from gradlint.rule.loops import report, subject
from gradlint.rule.rehearse import at, both, claimed, followed, moved, new, rehearsed, without
from gradlint.rule.rule import Rule
from gradlint.steps.loop import TrainingLoop
from gradlint.steps.schedules import schedules_of

_START = """\
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, MultiStepLR, OneCycleLR, StepLR

model = nn.Linear(8, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
"""
_EPOCH = "for epoch in range(90):\n"
_BATCHES = """\
    for x, y in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
"""


class MisorderedScheduler(Rule):
    """A learning rate schedule is stepped before the optimizer, or at another pace than it is made for.

    ### Why is this bad?
    Stepped before the optimizer's first step, a schedule skips its first rate. An exponential or a step
    schedule of epochs that is stepped with every batch has brought the rate down to nothing within the
    first epochs, a cosine of as many steps as there are epochs goes up and down from then on, and a cycle
    over all batches that is stepped once per epoch never leaves its warm-up. One that is stepped with both
    has no pace at all. Lightning steps a schedule with every epoch unless its "interval" is "step".

    ### How it is verified
    By how many rates the schedule is ahead of one that is stepped in the right place, in 20 steps of the
    optimizer; epochs are taken to be longer than that, so that there is no claim about a schedule of both.

    ### When it is fine
    `OneCycleLR` with every batch, schedules of epochs behind the loop over batches, and schedules whose
    numbers are not known.

    ### Fix safety
    No fix: a call that moves to another loop changes what the numbers of the schedule mean.

    ### References
    - [How to adjust the learning rate](https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate)
    """

    id = "GRD511"
    name = "misordered-scheduler"
    severity = Severity.WARNING
    help = "step the schedule after the optimizer, per batch or per epoch as its numbers are meant"
    bad: ClassVar[Mapping[str, str]] = {
        "before the epoch": (
            _START + "scheduler = StepLR(optimizer, 30)\n" + _EPOCH + "    scheduler.step()\n" + _BATCHES
        ),
        "before the optimizer's step": (
            _START
            + "scheduler = CosineAnnealingLR(optimizer, T_max=steps)\nfor x, y in loader:\n"
            + "    optimizer.zero_grad()\n    nn.functional.cross_entropy(model(x), y).backward()\n"
            + "    scheduler.step()\n    optimizer.step()\n"
        ),
        "a decay of epochs with every batch": (
            _START
            + "scheduler = ExponentialLR(optimizer, gamma=0.9)\n"
            + _EPOCH
            + _BATCHES
            + "        scheduler.step()\n"
        ),
        "steps of epochs with every batch": (
            _START
            + "scheduler = StepLR(optimizer, step_size=10, gamma=0.1)\n"
            + _EPOCH
            + _BATCHES
            + "        scheduler.step()\n"
        ),
        "half of the epochs, in batches": (
            _START
            + "scheduler = StepLR(optimizer, step_size=45)\n"
            + _EPOCH
            + _BATCHES
            + "        scheduler.step()\n"
        ),
        "a cosine of as many steps as epochs, with every batch": (
            "from torch import nn, optim\n\ndef fit(net, loader, epochs):\n"
            "    sgd = optim.SGD(net.parameters(), lr=0.1)\n"
            "    schedule = optim.lr_scheduler.CosineAnnealingLR(sgd, T_max=epochs)\n"
            "    for epoch in range(epochs):\n        for x, y in loader:\n            sgd.zero_grad()\n"
            "            nn.functional.mse_loss(net(x), y).backward()\n            sgd.step()\n"
            "            schedule.step()\n"
        ),
        "a cosine over all batches, with every epoch": (
            _START
            + "scheduler = CosineAnnealingLR(optimizer, T_max=90 * len(loader))\n"
            + _EPOCH
            + _BATCHES
            + "    scheduler.step()\n"
        ),
        "with every batch and every epoch": (
            _START
            + "scheduler = CosineAnnealingLR(optimizer, T_max=90)\n"
            + _EPOCH
            + _BATCHES
            + "        scheduler.step()\n    scheduler.step()\n"
        ),
        "before an epoch and with every batch": (
            "from torch import nn, optim\n\ndef epoch_of(net, loader, sgd, schedule):\n"
            "    schedule.step()\n    for x, y in loader:\n        sgd.zero_grad()\n"
            "        nn.functional.mse_loss(net(x), y).backward()\n        sgd.step()\n"
            "        schedule.step()\n\n\ndef fit(net, loader, warm):\n"
            "    sgd = optim.SGD(net.parameters(), lr=0.1)\n"
            "    schedule = optim.lr_scheduler.LambdaLR(sgd, warm)\n    for epoch in range(9):\n"
            "        if epoch < 8:\n            epoch_of(net, loader, sgd, schedule)\n"
        ),
        "a cycle of batches once per epoch": (
            _START
            + "scheduler = OneCycleLR(optimizer, 0.1, epochs=90, steps_per_epoch=len(loader))\n"
            + _EPOCH
            + _BATCHES
            + "    scheduler.step()\n"
        ),
        "in a function": (
            "from torch import nn, optim\n\ndef fit(net, loader, epochs):\n"
            "    sgd = optim.SGD(net.parameters(), lr=0.1)\n"
            "    schedule = optim.lr_scheduler.MultiStepLR(sgd, [30, 60], gamma=0.1)\n"
            "    for epoch in range(epochs):\n        schedule.step()\n        for x, y in loader:\n"
            "            loss = nn.functional.mse_loss(net(x), y)\n            sgd.zero_grad()\n"
            "            loss.backward()\n            sgd.step()\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "behind the epoch": (
            _START + "scheduler = StepLR(optimizer, 30)\n" + _EPOCH + _BATCHES + "    scheduler.step()\n"
        ),
        "one cycle with every batch": (
            _START
            + "scheduler = OneCycleLR(optimizer, 0.1, epochs=90, steps_per_epoch=len(loader))\n"
            + _EPOCH
            + _BATCHES
            + "        scheduler.step()\n"
        ),
        "a cosine over the epochs": (
            _START
            + "scheduler = CosineAnnealingLR(optimizer, T_max=90)\n"
            + _EPOCH
            + _BATCHES
            + "    scheduler.step()\n"
        ),
        "a cosine over all batches": (
            _START
            + "scheduler = CosineAnnealingLR(optimizer, T_max=90 * len(loader))\n"
            + _EPOCH
            + _BATCHES
            + "        scheduler.step()\n"
        ),
        "as many seeds as steps": (
            "from torch import nn, optim\n\ndef fit(make, loader):\n    for seed in range(10):\n"
            "        net = make(seed)\n        sgd = optim.SGD(net.parameters(), lr=0.1)\n"
            "        schedule = optim.lr_scheduler.CosineAnnealingLR(sgd, T_max=10)\n"
            "        for step in range(10):\n            sgd.zero_grad()\n"
            "            net(next(loader)).mean().backward()\n            sgd.step()\n"
            "            schedule.step()\n"
        ),
        "with every batch or every epoch": (
            _START
            + "scheduler = CosineAnnealingLR(optimizer, T_max=steps)\n"
            + _EPOCH
            + _BATCHES
            + "        if hasty:\n            scheduler.step()\n    if not hasty:\n        scheduler.step()\n"
        ),
        "two schedules": (
            _START
            + "warm = CosineAnnealingLR(optimizer, T_max=steps)\nscheduler = StepLR(optimizer, 30)\n"
            + _EPOCH
            + _BATCHES
            + "        warm.step()\n    scheduler.step()\n"
        ),
        "a slow decay with every batch": (
            _START
            + "scheduler = ExponentialLR(optimizer, gamma=0.9999)\n"
            + _EPOCH
            + _BATCHES
            + "        scheduler.step()\n"
        ),
        "steps of many batches": (
            _START
            + "scheduler = StepLR(optimizer, step_size=10000, gamma=0.5)\n"
            + _EPOCH
            + _BATCHES
            + "        scheduler.step()\n"
        ),
        "on a plateau": (
            _START
            + "scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)\n"
            + _EPOCH
            + _BATCHES
            + "    scheduler.step(loss_on(valid))\n"
        ),
        "a batch that is left out at first": (
            _START
            + "scheduler = StepLR(optimizer, 30)\n"
            + _EPOCH
            + "    if epoch > 0:\n        scheduler.step()\n"
            + _BATCHES
        ),
        "training in code that is not known": (
            "from engine import train\n"
            + _START
            + "scheduler = StepLR(optimizer, 30)\n"
            + _EPOCH
            + "    train(model, optimizer)\n    scheduler.step()\n"
            + _BATCHES
        ),
        "several batches in one loop": (
            _START
            + "scheduler = ExponentialLR(optimizer, gamma=0.99)\nfor step in range(100):\n"
            + "    optimizer.zero_grad()\n    model(batch()).mean().backward()\n    optimizer.step()\n"
            + "    scheduler.step()\n"
        ),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """The first step is the schedule's, or the schedule is in another loop than its numbers say."""
        for schedule, step, reason, said, lead in schedules_of(loop):
            claim = _claim(loop, schedule, step, lead) if lead else None
            yield report(self, loop, schedule, reason, [(step, said)], claim=claim)


def _claim(loop: TrainingLoop, schedule: Event, step: Event, lead: int) -> Claim | None:
    """A schedule belongs behind the step, in the loop of epochs, or in that of batches, by its lead."""
    once, never = new("schedule", schedule.things), without(at(schedule))
    remedies = {1: moved(at(schedule), at(step)), 19: never, -19: followed(at(step), once)}
    rehearsal = rehearsed(
        loop, (step, schedule), remedies[lead], about=step.things, assumed=never if lead < 0 else both()
    )
    about = subject(loop, schedule, step)
    return claimed(Metric.SCHEDULE_LEAD, about, lead if lead == 1 else lead / 2, lead, rehearsal)
