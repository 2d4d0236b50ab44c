"""GRD504 misplaced-clip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Finding, Severity
from gradlint.rule.clipped import unclipped
from gradlint.rule.loops import report
from gradlint.rule.rule import Rule
from gradlint.steps.clipping import clipping_of
from gradlint.steps.loop import TrainingLoop

_START = """\
import torch
from torch import nn

model = nn.Linear(8, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
"""
_LOOP = _START + "for x, y in loader:\n    optimizer.zero_grad()\n"
_BACKWARD = "    nn.functional.cross_entropy(model(x), y).backward()\n"
_CLIP = "    nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
_STEP = "    optimizer.step()\n"


class MisplacedClip(Rule):
    """Gradients are clipped where that reaches no step: too late, too early, or other ones.

    ### Why is this bad?
    Clipping changes what `.grad` holds at that moment. After the step it changes gradients that are
    zeroed next, before the backward pass it changes those that were zeroed, and given other parameters,
    or a generator that nothing is left of, it changes none of those that the optimizer follows. The steps
    are as long as without clipping.

    ### How it is verified
    The gradient that the first step is given over that where it is clipped right before, the loss being
    multiplied so that it is ten times as long as clipping allows. Given a module, it raises an error.

    ### When it is fine
    Between the backward pass and the step, also where several optimizers share them, and after
    `scaler.unscale_(optimizer)`.

    ### Fix safety
    No fix: what the call is meant for is not known.

    ### References
    - [clip_grad_norm_](https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html)
    """

    id = "GRD504"
    name = "misplaced-clip"
    severity = Severity.ERROR
    help = "clip the gradients of model.parameters() between the backward pass and the step"
    bad: ClassVar[Mapping[str, str]] = {
        "after the step": _LOOP + _BACKWARD + _STEP + _CLIP,
        "after the step of a function": (
            "import torch\n\ndef update(model, optimizer, loss):\n    optimizer.zero_grad()\n"
            "    loss.backward()\n    optimizer.step()\n"
            "    torch.nn.utils.clip_grad_value_(model.parameters(), 0.5)\n"
        ),
        "after the step, and nothing zeroes": (_START + "for x, y in loader:\n" + _BACKWARD + _STEP + _CLIP),
        "before the backward pass": _LOOP + _CLIP + _BACKWARD + _STEP,
        "before the backward pass, zeroed after the step": (
            _START + "for x, y in loader:\n" + _CLIP + _BACKWARD + _STEP + "    optimizer.zero_grad()\n"
        ),
        "another model's": (
            _START.replace("optimizer", "critic = nn.Linear(2, 1)\noptimizer", 1)
            + "for x, y in loader:\n    optimizer.zero_grad()\n"
            + _BACKWARD
            + "    nn.utils.clip_grad_norm_(critic.parameters(), 1.0)\n"
            + _STEP
        ),
        "the module itself": (_LOOP + _BACKWARD + "    nn.utils.clip_grad_norm_(model, 1.0)\n" + _STEP),
        "a module from outside": (
            "import torch\n\ndef fit(net, loader, optimizer):\n    for x in loader:\n"
            "        optimizer.zero_grad()\n        net(x).mean().backward()\n"
            "        torch.nn.utils.clip_grad_norm_(net, 1.0)\n        optimizer.step()\n"
        ),
        "a generator that the optimizer has taken": (
            "import torch\nfrom torch import nn\n\nmodel = nn.Linear(8, 2)\nparams = model.parameters()\n"
            "optimizer = torch.optim.SGD(params, lr=0.1)\nfor x, y in loader:\n    optimizer.zero_grad()\n"
            + _BACKWARD
            + "    nn.utils.clip_grad_norm_(params, 1.0)\n"
            + _STEP
        ),
        "a generator that is run through in the first iteration": (
            _START
            + "trained = model.parameters()\nfor x, y in loader:\n"
            + "    optimizer.zero_grad()\n"
            + _BACKWARD
            + "    nn.utils.clip_grad_norm_(trained, 1.0)\n"
            + _STEP
        ),
        "in a class, after a scaler's step": (
            "import torch\nfrom torch import nn\n\nclass Learner:\n    def __init__(self, net):\n"
            "        self.net, self.scaler = net, torch.amp.GradScaler('cuda')\n"
            "        self.adam = torch.optim.Adam(net.parameters(), lr=1e-3)\n\n"
            "    def fit(self, loader):\n        for x, y in loader:\n            self.adam.zero_grad()\n"
            "            loss = nn.functional.mse_loss(self.net(x), y)\n"
            "            self.scaler.scale(loss).backward()\n            self.scaler.step(self.adam)\n"
            "            nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)\n"
            "            self.scaler.update()\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "between backward and step": _LOOP + _BACKWARD + _CLIP + _STEP,
        "zeroed after the step": (
            _START + "for x, y in loader:\n" + _BACKWARD + _CLIP + _STEP + "    optimizer.zero_grad()\n"
        ),
        "an accumulation": (
            _START
            + "for i, (x, y) in enumerate(loader):\n"
            + _BACKWARD
            + _CLIP
            + "    if i % 4 == 3:\n        optimizer.step()\n        optimizer.zero_grad()\n"
        ),
        "a collection of parameters": (
            "import torch\nfrom torch import nn\n\nmodel = nn.Linear(8, 2)\n"
            "params = list(model.parameters())\noptimizer = torch.optim.SGD(params, lr=0.1)\n"
            "for x, y in loader:\n    optimizer.zero_grad()\n"
            + _BACKWARD
            + "    nn.utils.clip_grad_norm_(params, 1.0)\n"
            + _STEP
        ),
        "one way of two": (
            _LOOP
            + _BACKWARD
            + "    params = model.parameters()\n    if y.sum() > 3:\n"
            + "        nn.utils.clip_grad_norm_(params, 1.0)\n    else:\n"
            + "        nn.utils.clip_grad_value_(params, 1.0)\n"
            + _STEP
        ),
        "part of what the optimizer holds": (
            _LOOP.replace("nn.Linear(8, 2)", "nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2))")
            + _BACKWARD
            + "    nn.utils.clip_grad_norm_(model[0].parameters(), 1.0)\n"
            + _STEP
        ),
        "two optimizers": (
            "import torch\nfrom torch import nn\n\nactor, critic = nn.Linear(8, 2), nn.Linear(8, 1)\n"
            "first = torch.optim.Adam(actor.parameters(), lr=1e-3)\n"
            "second = torch.optim.Adam(critic.parameters(), lr=1e-3)\nfor x in loader:\n"
            "    first.zero_grad()\n    actor(x).mean().backward()\n"
            "    nn.utils.clip_grad_norm_(actor.parameters(), 1.0)\n    first.step()\n"
            "    second.zero_grad()\n    critic(x).mean().backward()\n"
            "    nn.utils.clip_grad_norm_(critic.parameters(), 1.0)\n    second.step()\n"
        ),
        "a list of parameters from outside": (
            "import torch\n\ndef shorten(params, loss, optimizer):\n    optimizer.zero_grad()\n"
            "    loss.backward()\n    torch.nn.utils.clip_grad_norm_(params, 1.0)\n    optimizer.step()\n"
        ),
        "by code that is not known": (
            "from steps import advance\n" + _LOOP + _BACKWARD + "    advance(optimizer)\n" + _CLIP + _STEP
        ),
        "the norm after the step, for a report": (
            _LOOP + _BACKWARD + _STEP + "    norm = nn.utils.clip_grad_norm_(model.parameters(), 1e9)\n"
            "    print(norm)\n"
        ),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """Clipped gradients are not those that a step follows, or not those that a backward pass left."""
        for clip, message, ends in clipping_of(loop):
            yield report(self, loop, clip, message, ends, claim=unclipped(loop, clip))
