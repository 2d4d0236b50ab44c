"""GRD502 zero-grad-before-step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.records.training import Event
from gradlint.rule.loops import report, subject
from gradlint.rule.rehearse import (
    Change,
    at,
    beneath_clipping,
    both,
    claimed,
    followed,
    kind,
    new,
    no_gradient,
    on,
    rehearsed,
    without,
)
from gradlint.rule.rule import Rule
from gradlint.steps.gradients import Broken, Gradients, gradients_of
from gradlint.steps.lasso import PERIOD
from gradlint.steps.loop import TrainingLoop

_START = """\
import torch
from torch import nn

model = nn.Linear(8, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
"""
_PASS = """\
    loss = nn.functional.cross_entropy(model(x), y) / 4
    loss.backward()
"""
_LOOP = _START + "for x, y in loader:\n" + _PASS
_COUNTED = _START + "for i, (x, y) in enumerate(loader):\n"


class ZeroGradBeforeStep(Rule):
    """Gradients are zeroed between the backward pass that computes them and the step that should use them.

    ### Why is this bad?
    The step follows what is in `.grad`, which is nothing by then: the parameters stay where they are. In
    an accumulation, zeroing in every iteration leaves the step the last batch only, at a fraction of its
    size.

    ### How it is verified
    The gradients that steps are given over those where they are zeroed after each step only: nothing, or of
    an accumulation the share of one batch. A gradient scaler raises an error where it finds none.

    ### When it is fine
    Gradients that no step is meant to use can be thrown away: those that an adversarial example, a
    penalty or a report was made of, those of a critic after the generator's pass, and those of a batch
    whose loss was not finite.

    ### Fix safety
    No fix: the call may belong before the backward pass or behind the step.

    ### References
    - [Zeroing out gradients in PyTorch](https://docs.pytorch.org/tutorials/recipes/recipes/zeroing_out_gradients.html)
    """

    id = "GRD502"
    name = "zero-grad-before-step"
    severity = Severity.ERROR
    help = "zero the gradients after the step, or before the first backward pass that belongs to it"
    bad: ClassVar[Mapping[str, str]] = {
        "between backward and step": _LOOP + "    optimizer.zero_grad()\n    optimizer.step()\n",
        "by the model": _LOOP + "    model.zero_grad()\n    optimizer.step()\n",
        "one parameter after the other": (
            _LOOP + "    for p in model.parameters():\n        p.grad = None\n    optimizer.step()\n"
        ),
        "everything from outside": (
            "def update(model, optimizer, criterion, x, y):\n    loss = criterion(model(x), y)\n"
            "    loss.backward()\n    optimizer.zero_grad()\n    optimizer.step()\n"
        ),
        "before clipping": (
            _LOOP
            + "    optimizer.zero_grad()\n    nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
            + "    optimizer.step()\n"
        ),
        "with a scaler": (
            _LOOP.replace("loss.backward()", "scaler.scale(loss).backward()").replace(
                "for x", "scaler = torch.amp.GradScaler('cuda')\nfor x"
            )
            + "    optimizer.zero_grad()\n    scaler.step(optimizer)\n    scaler.update()\n"
        ),
        "an accumulation that is zeroed in every iteration": (
            _COUNTED
            + _PASS
            + "    if (i + 1) % 4 == 0:\n        optimizer.step()\n    optimizer.zero_grad()\n"
        ),
        "an accumulation that begins anew with every batch": (
            _COUNTED
            + "    optimizer.zero_grad()\n"
            + _PASS
            + "    if i % 4 == 3 or i + 1 == len(loader):\n        optimizer.step()\n"
        ),
        "parts of a batch of which each begins anew": (
            _START
            + "for batch, target in loader:\n    for x, y in zip(batch.chunk(4), target.chunk(4)):\n"
            + "        optimizer.zero_grad()\n"
            + _PASS.replace("    loss", "        loss")
            + "    optimizer.step()\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "before the backward pass": (
            _START + "for x, y in loader:\n    optimizer.zero_grad()\n" + _PASS + "    optimizer.step()\n"
        ),
        "after the step": _LOOP + "    optimizer.step()\n    optimizer.zero_grad()\n",
        "an accumulation": (
            _COUNTED
            + _PASS
            + "    if (i + 1) % 4 == 0:\n        optimizer.step()\n        optimizer.zero_grad()\n"
        ),
        "steps that are not finite are left out": (
            _START
            + "for i, (x, y) in enumerate(loader):\n    optimizer.zero_grad()\n"
            + _PASS
            + "    if i % 100 == 0:\n        print(i)\n"
            + "    if torch.isfinite(loss):\n        optimizer.step()\n"
        ),
        "an adversarial example": (
            _START
            + "for x, y in loader:\n    x.requires_grad_()\n"
            + _PASS
            + "    y = y.clone()\n    x = (x + x.grad.sign()).detach()\n    model.zero_grad()\n"
            + _PASS
            + "    optimizer.step()\n    optimizer.zero_grad()\n"
        ),
        "the critic's gradients from the generator's pass": (
            "import torch\nfrom torch import nn\n\ngenerator, critic = nn.Linear(4, 8), nn.Linear(8, 1)\n"
            "first = torch.optim.Adam(generator.parameters(), lr=1e-3)\n"
            "second = torch.optim.Adam(critic.parameters(), lr=1e-3)\nfor real in loader:\n"
            "    first.zero_grad()\n    fake = generator(torch.randn(16, 4))\n"
            "    (-critic(fake).mean()).backward()\n    first.step()\n    second.zero_grad()\n"
            "    (critic(fake.detach()).mean() - critic(real).mean()).backward()\n    second.step()\n"
        ),
        "gradients that are put together by hand": (
            _LOOP
            + "    kept = [p.grad.clone() for p in model.parameters()]\n    optimizer.zero_grad()\n"
            + "    for p, g in zip(model.parameters(), kept):\n        p.grad = g\n    optimizer.step()\n"
        ),
        "zeroed at the beginning of an epoch": (
            _START
            + "for epoch in range(9):\n    optimizer.zero_grad()\n    for i, (x, y) in enumerate(loader):\n"
            + _PASS.replace("    loss", "        loss")
            + "        if (i + 1) % 4 == 0:\n            optimizer.step()\n"
            + "            optimizer.zero_grad()\n"
        ),
        "parts of a batch": (
            _START
            + "for batch, target in loader:\n    optimizer.zero_grad()\n"
            + "    for x, y in zip(batch.chunk(4), target.chunk(4)):\n"
            + _PASS.replace("    loss", "        loss")
            + "    optimizer.step()\n"
        ),
        "those of one layer": (
            _START.replace("nn.Linear(8, 2)", "nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2))")
            + "for x, y in loader:\n    optimizer.zero_grad()\n"
            + _PASS
            + "    for p in model[0].parameters():\n        p.grad = None\n    optimizer.step()\n"
        ),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """A backward pass, zeroed gradients and a step follow one another, or would within a period."""
        for of in gradients_of(loop):
            for zero, step in of.idle():
                last = loop.before(zero, of.writing, of.about("step"))
                if last.only(*of.filled) and not loop.before(step, of.filling).ends:
                    message = "gradients are zeroed before the step that should use them"
                    backward = of.filled[max(last.events)]
                    ends = [(backward, "computed here"), (step, "steps here")]
                    claim = no_gradient(loop, step, (backward, zero), _remedy(of, step))
                    yield report(self, loop, zero, message, ends, claim=claim)
            for broken in of.broken():
                backward, step, zero = broken
                message = "gradients are zeroed in every iteration, while a step follows only some"
                ends = [(backward, "computed here"), (step, "steps here")]
                yield report(self, loop, zero, message, ends, claim=_claim(of, broken))
            for backward, step, zero in of.restarted():
                message = "gradients are zeroed in every iteration, while a step follows only the last"
                yield report(self, loop, zero, message, [(backward, "computed here"), (step, "steps here")])


def _remedy(of: Gradients, step: Event) -> Change:
    """Gradients are zeroed after each step, and nowhere else."""
    held = of.loop.owners(of.optimizer) or frozenset()
    zeros = on(kind("zero"), of.optimizer | held)
    return both(without(zeros), followed(at(step), new("zero", step.things)))


def _claim(of: Gradients, broken: Broken) -> Claim | None:
    """Of as many batches as make a step, one is left."""
    rehearsal = rehearsed(of.loop, broken, _remedy(of, broken.step), about=of.optimizer)
    share = -math.log10(PERIOD)
    about, condition = subject(of.loop, *broken), beneath_clipping(rehearsal)
    return claimed(Metric.STEP_SCALE, about, share / 2, share, rehearsal, condition=condition)
