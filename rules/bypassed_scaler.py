"""GRD404 bypassed-scaler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Finding, Metric, Severity
from gradlint.rule.loops import report, subject
from gradlint.rule.rehearse import at, by_none, claimed, followed, kind, new, rehearsed, without
from gradlint.rule.rule import Rule
from gradlint.steps.loop import TrainingLoop
from gradlint.steps.scaling import (
    decades,
    never_updated,
    stepped_past,
    stepped_scaled,
    unscaled_again,
    unscaled_by_library,
)

_LOOP = """\
import torch
from torch import nn

model = nn.Linear(8, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cpu")
for x, y in loader:
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    scaler.scale(loss).backward()
"""
_UNSCALE = "    scaler.unscale_(optimizer)\n"
_CLIP = "    nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
_STEP = "    scaler.step(optimizer)\n"
_UPDATE = "    scaler.update()\n"
_EVERY = "for i, (x, y) in enumerate(loader):"
_TRAINER = """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        self.scaler = torch.amp.GradScaler("cuda", init_scale=1024.0)

    def backward(self, loss):
        self.scaler.scale(loss).backward()

    def fit(self, loader):
        for x, y in loader:
            self.backward(nn.functional.cross_entropy(self.model(x), y))
            STEP
            self.optimizer.zero_grad()
"""
_TWO = """\
import torch

def fit(generator, critic, loader):
    scaler = torch.amp.GradScaler("cuda")
    first = torch.optim.Adam(generator.parameters())
    second = torch.optim.Adam(critic.parameters())
    for noise, real in loader:
        first.zero_grad()
        scaler.scale(-critic(generator(noise)).mean()).backward()
        scaler.step(first)
        second.zero_grad()
        scaler.scale(critic(generator(noise).detach()).mean() - critic(real).mean()).backward()
        scaler.step(second)
        scaler.update()
"""
_PREPARED = """\
import torch
from accelerate import Accelerator
from torch import nn

def fit(model, loader, precision):
    accelerator = Accelerator(mixed_precision="fp16")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model, optimizer = accelerator.prepare(model, optimizer)
    for x, y in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
"""


class BypassedScaler(Rule):
    """A gradient scaler is only half used: what it scaled is stepped without it, or it is never updated.

    ### Why is this bad?
    `scale(loss)` multiplies the gradients by 65536 at first. Only `scaler.step(optimizer)` divides them
    again and leaves out steps with inf; `optimizer.step()` takes them as they are. `update()` ends the
    iteration: without it the next `step` or `unscale_` for the same optimizer raises an error. An
    optimizer that Accelerate prepared for float16 unscales in `step()`, which raises an error where the loss
    went backward without `accelerator.backward(loss)`.

    ### How it is verified
    The gradients that the first step is given over those of the same step without scaling, where they are
    not clipped, or that two iterations raise an error.

    ### When it is fine
    After gradients were divided by `scaler.get_scale()` by hand; where one `update()` follows the steps
    of several optimizers.

    ### Fix safety
    No fix: a step without the scaler can be meant, and then it is the scale that is wrong.

    ### References
    - [Scaled, but stepped without](https://github.com/nerfstudio-project/nerfacc/issues/307)
    - [No update in an example](https://github.com/Azure/MS-AMP/pull/45)
    - [A loss that Accelerate does not scale](https://github.com/starrytong/SCNet/issues/7)
    - [Unscaled again after a step left out](https://github.com/Haian-Jin/LVSM/pull/19)
    """

    id = "GRD404"
    name = "bypassed-scaler"
    severity = Severity.ERROR
    help = "call scaler.step(optimizer) in place of optimizer.step(), and scaler.update() in every iteration"
    bad: ClassVar[Mapping[str, str]] = {
        "stepped without the scaler": _LOOP + "    optimizer.step()\n",
        "clipped and stepped without it": _LOOP + _CLIP + "    optimizer.step()\n",
        "methods of a trainer": _TRAINER.replace("STEP", "self.optimizer.step()"),
        "objects from outside": (
            "def fit(model, loader, optimizer, scaler, criterion):\n    for x, y in loader:\n"
            "        optimizer.zero_grad()\n        scaler.scale(criterion(model(x), y)).backward()\n"
            "        optimizer.step()\n"
        ),
        "unscaled, then stepped without it": _LOOP + _UNSCALE + "    optimizer.step()\n" + _UPDATE,
        "no update": _LOOP + _STEP,
        "no update in a trainer": _TRAINER.replace("STEP", "self.scaler.step(self.optimizer)"),
        "unscaled twice": _LOOP + _UNSCALE + _CLIP + _UNSCALE + _STEP + _UPDATE,
        "unscaled in every part of a batch": (
            _LOOP.replace("for x, y in loader:", _EVERY).replace("    optimizer.zero_grad()\n", "")
            + _UNSCALE
            + _CLIP
            + "    if (i + 1) % 4 == 0:\n        scaler.step(optimizer)\n        scaler.update()\n"
            + "        optimizer.zero_grad()\n"
        ),
        "a loss that the library does not scale": _PREPARED,
        "updated only where there is a step": (
            _LOOP
            + _UNSCALE
            + "    norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
            + "    if norm > 0.1:\n        continue\n"
            + _STEP
            + _UPDATE
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "steps without it where gradients are finite": (
            _LOOP
            + _UNSCALE
            + "    norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
            + "    if torch.isfinite(norm):\n        optimizer.step()\n"
            + _UPDATE
        ),
        "scaler": _LOOP + _STEP + _UPDATE,
        "the library scales": _PREPARED.replace("loss.backward()", "accelerator.backward(loss)"),
        "the library has nothing to scale": _PREPARED.replace('"fp16"', '"bf16"'),
        "the library may have": _PREPARED.replace('"fp16"', "precision"),
        "the library does not know the optimizer": _PREPARED.replace(
            "(model, optimizer)", "(model), optimizer"
        ),
        "clipped": _LOOP + _UNSCALE + _CLIP + _STEP + _UPDATE,
        "updated without a step": (
            _LOOP + _UNSCALE + "    norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
            "    if norm < 0.1:\n        scaler.step(optimizer)\n" + _UPDATE
        ),
        "accumulated": (
            _LOOP.replace("for x, y in loader:", _EVERY)
            + "    if (i + 1) % 4 == 0:\n        scaler.unscale_(optimizer)\n        scaler.step(optimizer)\n"
            + "        scaler.update()\n"
        ),
        "one update for two": _TWO,
        "every optimizer in turn": (
            "def fit(model, loader, optimizers, scaler):\n    for batch in loader:\n"
            "        scaler.scale(model(batch).mean()).backward()\n"
            "        for optimizer in optimizers:\n            scaler.unscale_(optimizer)\n"
            "            scaler.step(optimizer)\n            optimizer.zero_grad()\n        scaler.update()\n"
        ),
        "with mixed precision or without": (
            "def fit(model, loader, optimizer, scaler, args):\n    for batch in loader:\n"
            "        loss = model(batch).mean()\n        if args.amp:\n"
            "            scaler.scale(loss).backward()\n            scaler.step(optimizer)\n"
            "            scaler.update()\n        else:\n            loss.backward()\n"
            "            optimizer.step()\n        optimizer.zero_grad()\n"
        ),
        "no step at all": (
            "def gradients(model, loader, optimizer, scaler):\n    for batch in loader:\n"
            "        optimizer.zero_grad()\n        scaler.scale(model(batch).mean()).backward()\n"
            "        print(optimizer.param_groups)\n"
        ),
        "updated by the caller": (
            "def step(model, batch, optimizer, scaler):\n"
            "    scaler.scale(model(batch).mean()).backward()\n    scaler.step(optimizer)\n"
        ),
        "divided by hand": (
            _LOOP + "    for p in model.parameters():\n        p.grad.div_(scaler.get_scale())\n"
            "    optimizer.step()\n"
        ),
        "the schedule of an optimizer": (
            "import torch\n\n"
            "def fit(model, loader, make, criterion):\n"
            "    optimizer = torch.optim.AdamW(model.parameters())\n    warmup = make(optimizer)\n"
            "    scaler = torch.amp.GradScaler()\n    for x, y in loader:\n"
            "        scaler.scale(criterion(model(x), y)).backward()\n        warmup.step()\n"
            "        scaler.step(optimizer)\n        scaler.update()\n        optimizer.zero_grad()\n"
        ),
        "switched off": _LOOP.replace('"cpu"', '"cpu", enabled=False') + "    optimizer.step()\n",
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """For every optimizer, what is done past the scaler and what the scaler is not told."""
        for optimizer in loop.optimizers if loop.is_readable else ():
            yield from self._stepped(loop, optimizer)
            for step, unscale in stepped_past(loop, optimizer):
                message = "the optimizer steps even where gradients are inf, as the scaler is not asked"
                yield report(self, loop, step, message, [(unscale, "unscaled here")])
            for step, other in never_updated(loop, optimizer):
                message = f"the scaler is never updated between this and its next {other.kind}"
                update = followed(at(step), new("update", step.by))
                rehearsal = rehearsed(loop, (step, other), update)
                about = subject(loop, step, other)
                claim = claimed(Metric.RAISES, about, 1, 1, rehearsal, condition="iterations=2")
                yield report(self, loop, step, message, [(other, "called again here")], claim=claim)
            for backward, step in unscaled_by_library(loop, optimizer):
                message = "the library unscales gradients in its step, and nothing scales this loss"
                help = "go backward by the library, which scales: accelerator.backward(loss)"
                yield report(self, loop, backward, message, [(step, "unscaled here")], help=help)
            for again, first in unscaled_again(loop, optimizer):
                message = "gradients are unscaled again before the scaler is updated"
                rehearsal = rehearsed(loop, (first, again), without(kind("unscale")), is_shortest=True)
                about = subject(loop, first, again)
                claim = claimed(Metric.RAISES, about, 1, 1, rehearsal, condition="iterations=8")
                yield report(self, loop, again, message, [(first, "unscaled here")], claim=claim)

    def _stepped(self, loop: TrainingLoop, optimizer: frozenset[int]) -> Iterator[Finding]:
        for step, backward in stepped_scaled(loop, optimizer):
            scale = decades(loop, backward)
            said = "" if scale is None else f" by {10**scale:.0f} at first"
            message = f"the optimizer steps with gradients that are scaled{said}"
            about = subject(loop, backward, step)
            clipped = loop.after(backward, loop.about(optimizer, "clip", "step")).events != {step.number}
            known = None if clipped else scale
            claim = None
            if known is not None:
                plain = by_none(at(backward))
                rehearsal = rehearsed(loop, (backward, step), plain, about=optimizer)
                claim = claimed(Metric.STEP_SCALE, about, known / 2, known, rehearsal)
            yield report(self, loop, step, message, [(backward, "scaled here")], claim=claim)
