"""GRD505 ineffective-clip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Finding, Severity
from gradlint.records.training import is_default
from gradlint.rule.clipped import unclipped
from gradlint.rule.loops import report
from gradlint.rule.rule import Rule
from gradlint.steps.clipping import LOOSE, bound
from gradlint.steps.loop import TrainingLoop

_START = """\
import math
import torch
from torch import nn

model = nn.Linear(8, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
"""
_LOOP = (
    _START
    + """\
for x, y in loader:
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
"""
)
_STEP = "    optimizer.step()\n"


class IneffectiveClip(Rule):
    """Gradients are clipped in a way that leaves them as they are.

    ### Why is this bad?
    A norm of a thousand or more is far above what gradients have before training has diverged, and
    `clamp` without the underscore gives a new tensor and leaves the gradient alone, in a hook that returns
    nothing as well. The code says that steps are bounded, and they are not.

    ### How it is verified
    The gradient that the first step is given over that where it is clipped to 1, the loss being multiplied
    so that it is ten times as long.

    ### When it is fine
    `clip_grad_norm_(parameters, math.inf)` measures the norm: where its result is used, nothing is said.

    ### Fix safety
    No fix: the bound that was meant is not known.

    ### References
    - [clip_grad_norm_](https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html)
    - [Tensor.register_hook](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.register_hook.html):
      a hook replaces the gradient by what it returns
    """

    id = "GRD505"
    name = "ineffective-clip"
    severity = Severity.WARNING
    help = "clip to a norm near that of healthy gradients (1.0), in place or with the result returned"
    bad: ClassVar[Mapping[str, str]] = {
        "a norm of ten thousand": (_LOOP + "    nn.utils.clip_grad_norm_(model.parameters(), 1e4)\n" + _STEP),
        "no bound": _LOOP + "    nn.utils.clip_grad_norm_(model.parameters(), math.inf)\n" + _STEP,
        "a constant in another place": (
            _LOOP.replace("for x", "BOUND = 5000\nfor x")
            + "    torch.nn.utils.clip_grad_value_(model.parameters(), clip_value=BOUND)\n"
            + _STEP
        ),
        "clamp that is not in place": (
            _LOOP + "    for p in model.parameters():\n        p.grad.clamp(-1, 1)\n" + _STEP
        ),
        "torch.clamp that is not in place": (
            _LOOP
            + "    for name, p in model.named_parameters():\n        if p.grad is not None:\n"
            + "            torch.clamp(p.grad, -1, 1)\n"
            + _STEP
        ),
        "a hook that returns nothing": (
            _START
            + "def bound(gradient):\n    gradient = torch.clamp(gradient, -1, 1)\n\n"
            + "for p in model.parameters():\n    p.register_hook(bound)\n"
            + _LOOP.removeprefix(_START)
            + _STEP
        ),
        "in a class": (
            "import torch\nfrom torch import nn\n\nclass Learner:\n    def __init__(self, net):\n"
            "        self.net = net\n        self.sgd = torch.optim.SGD(net.parameters(), lr=0.1)\n\n"
            "    def step(self, loss):\n        self.sgd.zero_grad()\n        loss.backward()\n"
            "        for p in self.net.parameters():\n            p.grad.data.clamp(-0.1, 0.1)\n"
            "        self.sgd.step()\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "a norm of one": _LOOP + "    nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n" + _STEP,
        "a norm of a hundred": _LOOP + "    nn.utils.clip_grad_norm_(model.parameters(), 100)\n" + _STEP,
        "the norm is measured": (
            _LOOP
            + "    norm = nn.utils.clip_grad_norm_(model.parameters(), math.inf)\n    print(norm)\n"
            + _STEP
        ),
        "the norm is measured in a function": (
            _START
            + "def norm_of(net):\n    return nn.utils.clip_grad_norm_(net.parameters(), float('inf'))\n\n"
            + _LOOP.removeprefix(_START)
            + "    print(norm_of(model))\n"
            + _STEP
        ),
        "clamp in place": (
            _LOOP + "    for p in model.parameters():\n        p.grad.clamp_(-1, 1)\n" + _STEP
        ),
        "the result is kept": (
            _LOOP + "    for p in model.parameters():\n        p.grad = torch.clamp(p.grad, -1, 1)\n" + _STEP
        ),
        "clamp into the gradient": (
            _LOOP
            + "    for p in model.parameters():\n        torch.clamp(p.grad, -1, 1, out=p.grad)\n"
            + _STEP
        ),
        "a hook that returns the result": (
            _START
            + "for p in model.parameters():\n    p.register_hook(lambda g: torch.clamp(g, -1, 1))\n"
            + _LOOP.removeprefix(_START)
            + _STEP
        ),
        "a hook that clamps in place": (
            _START
            + "def bound(gradient):\n    gradient.clamp_(-1, 1)\n\n"
            + "for p in model.parameters():\n    p.register_hook(bound)\n"
            + _LOOP.removeprefix(_START)
            + _STEP
        ),
        "a hook that reports": (
            _START
            + "for p in model.parameters():\n    p.register_hook(lambda g: print(g.norm()))\n"
            + _LOOP.removeprefix(_START)
            + _STEP
        ),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """A bound is out of reach, or a bounded copy is thrown away."""
        for clip in loop.events("clip"):
            size = bound(clip)
            if is_default(clip.settings, "max_norm"):
                continue  # a bound that is there to be given
            if size is not None and size >= LOOSE and (size < float("inf") or "dropped" in clip.settings):
                yield report(
                    self,
                    loop,
                    clip,
                    f"gradients are clipped at {size:g}, which is no bound",
                    claim=unclipped(loop, clip),
                )
        for drop in loop.events("drop"):
            yield report(
                self,
                loop,
                drop,
                "the bounded copy of the gradient is thrown away",
                claim=unclipped(loop, drop),
            )
        for hook in loop.events("hook"):
            if hook.settings.get("bounds") is False:
                message = "the hook bounds a copy of the gradient and returns nothing"
                yield report(self, loop, hook, message, claim=unclipped(loop, hook))
