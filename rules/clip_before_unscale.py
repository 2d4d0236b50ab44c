"""GRD403 clip-before-unscale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Finding, Severity
from gradlint.rule.loops import report
from gradlint.rule.rule import Rule
from gradlint.training.loop import TrainingLoop

_LOOP = """\
import torch
from torch import nn

model = nn.Linear(8, 2).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cuda")
for x, y in loader:
    with torch.autocast("cuda", dtype=torch.float16):
        loss = nn.functional.cross_entropy(model(x), y)
    optimizer.zero_grad()
    scaler.scale(loss).backward()
"""
_CLIP = "    nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
_STEP = "    scaler.step(optimizer)\n    scaler.update()\n"


class ClipBeforeUnscale(Rule):
    """Gradients are clipped while they still bear the scale of the loss.

    ### Why is this bad?
    A `GradScaler` multiplies the loss, and with it every gradient, by a factor that begins at 65536.
    The norm of such gradients is far beyond any threshold, so that clipping shortens all of them, every
    time; unscaling then leaves steps that are smaller by the scale than what was asked for.

    ### How it is verified
    No claim yet: the norm that is clipped is compared with that of the gradients unscaled.

    ### When it is fine
    After `scaler.unscale_(optimizer)`, and where a library clips and unscales by itself
    (`accelerator.clip_grad_norm_`).

    ### Fix safety
    No fix: where to unscale depends on which optimizers the scaler steps.

    ### References
    - [Gradient clipping with a GradScaler](https://docs.pytorch.org/docs/stable/notes/amp_examples.html)
    """

    id = "GRD403"
    name = "clip-before-unscale"
    severity = Severity.ERROR
    help = "call scaler.unscale_(optimizer) before clipping"
    bad: ClassVar[Mapping[str, str]] = {
        "never unscaled": _LOOP + _CLIP + _STEP,
        "unscaled after": _LOOP + _CLIP + "    scaler.unscale_(optimizer)\n" + _STEP,
        "clipped by value": _LOOP + "    nn.utils.clip_grad_value_(model.parameters(), 1.0)\n" + _STEP,
        "clipped by hand": (
            _LOOP + "    for p in model.parameters():\n        p.grad.clamp_(-1, 1)\n" + _STEP
        ),
        "objects from outside": (
            "import torch\n\ndef fit(model, loader, optimizer, scaler, params, loss):\n"
            "    for x, y in loader:\n        optimizer.zero_grad()\n"
            "        scaler.scale(loss(model(x), y)).backward()\n"
            "        torch.nn.utils.clip_grad_norm_(model.parameters(), 5)\n"
            "        scaler.step(optimizer)\n        scaler.update()\n"
        ),
        "in a helper": (
            _LOOP.replace(
                "for x, y",
                "def shorten(net):\n    nn.utils.clip_grad_norm_(net.parameters(), 1.0)\n\nfor x, y",
            )
            + "    shorten(model)\n"
            + _STEP
        ),
        "only where mixed precision is on": (
            "import torch\n\ndef fit(model, loader, optimizer, scaler, args, loss):\n"
            "    for x, y in loader:\n        value = loss(model(x), y)\n        if args.amp:\n"
            "            scaler.scale(value).backward()\n        else:\n            value.backward()\n"
            "        torch.nn.utils.clip_grad_norm_(model.parameters(), 5)\n        if args.amp:\n"
            "            scaler.unscale_(optimizer)\n            scaler.step(optimizer)\n"
            "            scaler.update()\n        else:\n            optimizer.step()\n"
            "        optimizer.zero_grad()\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "unscaled": _LOOP + "    scaler.unscale_(optimizer)\n" + _CLIP + _STEP,
        "no clipping": _LOOP + _STEP,
        "no scaler": _LOOP.replace("scaler.scale(loss)", "loss") + _CLIP + "    optimizer.step()\n",
        "where mixed precision is on": (
            "import torch\n\ndef fit(model, loader, optimizer, scaler, args, loss):\n"
            "    for x, y in loader:\n        value = loss(model(x), y)\n        if args.amp:\n"
            "            scaler.scale(value).backward()\n            scaler.unscale_(optimizer)\n"
            "        else:\n            value.backward()\n"
            "        torch.nn.utils.clip_grad_norm_(model.parameters(), 5)\n        if args.amp:\n"
            "            scaler.step(optimizer)\n            scaler.update()\n        else:\n"
            "            optimizer.step()\n        optimizer.zero_grad()\n"
        ),
        "another optimizer's": (
            _LOOP + "    scaler.unscale_(optimizer)\n" + _CLIP + _STEP + "\n"
            "critic = nn.Linear(8, 1)\nother = torch.optim.SGD(critic.parameters(), lr=0.1)\n"
            "for x in loader:\n    other.zero_grad()\n    critic(x).mean().backward()\n"
            "    nn.utils.clip_grad_norm_(critic.parameters(), 1.0)\n    other.step()\n"
        ),
        "code that is not known may unscale": (
            _LOOP.replace("import torch\n", "import torch\nfrom amp_tools import prepare\n", 1)
            + "    prepare(scaler, optimizer)\n"
            + _CLIP
            + _STEP
        ),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """Between a scaled backward pass and the step, clipping comes before unscaling."""
        for optimizer in loop.optimizers if loop.is_readable else ():
            stops = loop.about(optimizer, "unscale", "clip", "step", "escape")
            for backward in loop.scaled(optimizer):
                first = loop.after(backward, stops)
                clips = [n for n in first.events if loop.event(n).kind == "clip"]
                if clips and first.only(*clips):
                    clip = loop.event(min(clips))
                    message = "gradients are clipped while they bear the scale of the loss"
                    ends = [(backward, "scaled here"), (loop.unscaled(clip, optimizer), "unscaled only here")]
                    yield report(self, loop, clip, message, ends)
