"""GRD403 clip-before-unscale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.records.rehearsal import Act
from gradlint.records.training import Event
from gradlint.rule.loops import report, subject
from gradlint.rule.rehearse import at, both, claimed, kind, preceded, rehearsed, without
from gradlint.rule.repaired import repaired
from gradlint.rule.rule import Rule
from gradlint.steps.loop import TrainingLoop
from gradlint.steps.scaling import clipped_past_library, clipped_scaled, decades

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
_TRAINER = """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        self.scaler = torch.amp.GradScaler("cuda")

    def fit(self, loader):
        for x, y in loader:
            self.optimizer.zero_grad()
            with torch.autocast("cuda"):
                loss = nn.functional.cross_entropy(self.model(x), y)
            self.scaler.scale(loss).backward()
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
    The gradients that the first step is given, over those of the same step unscaled before;
    what else is wrong with the loop is put right in both.

    ### When it is fine
    After `scaler.unscale_(optimizer)`, with a threshold times `scaler.get_scale()`, and where a library
    clips and unscales by itself (`accelerator.clip_grad_norm_`).

    ### Fix safety
    No fix: where to unscale depends on which optimizers the scaler steps.

    ### References
    - [Gradient clipping with a GradScaler](https://docs.pytorch.org/docs/stable/notes/amp_examples.html)
    - [Clipped before unscaling](https://github.com/milesial/Pytorch-UNet/issues/468)
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
        "where a layer comes too late, and the scaler is never told": (
            "import torch\nfrom torch import nn\n\n"
            "model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))\n"
            "params = list(model.parameters())\noptimizer = torch.optim.SGD(params, lr=0.1)\n"
            "model[2] = nn.Linear(8, 2)\nscaler = torch.amp.GradScaler('cuda')\n"
            "for x, y in loader:\n    optimizer.zero_grad()\n"
            "    scaler.scale(nn.functional.cross_entropy(model(x), y)).backward()\n"
            "    nn.utils.clip_grad_norm_(params, 1.0)\n    scaler.step(optimizer)\n"
        ),
        "by choice": _LOOP + "    if longest is not None:\n    " + _CLIP + _STEP,
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
        "methods of a trainer": (
            _TRAINER + "            self.clip()\n            self.scaler.step(self.optimizer)\n"
            "            self.scaler.update()\n\n    def clip(self):\n"
            "        nn.utils.clip_grad_norm_(self.model.parameters(), 0.5)\n"
        ),
        "accumulated": (
            _LOOP.replace("for x, y in loader", "for i, (x, y) in enumerate(loader)")
            .replace("    optimizer.zero_grad()\n", "")
            .replace("scale(loss)", "scale(loss / 4)")
            + "    if i % 4 == 3:\n    "
            + _CLIP
            + "        scaler.step(optimizer)\n        scaler.update()\n        optimizer.zero_grad()\n"
        ),
        "a closure within": (
            "import torch\n\ndef fit(model, loader, loss, steps):\n"
            "    optimizer = torch.optim.AdamW(model.parameters())\n"
            '    scaler = torch.amp.GradScaler("cuda", init_scale=2.0**12)\n\n    def step(x, y):\n'
            "        optimizer.zero_grad()\n        scaler.scale(loss(model(x), y)).backward()\n"
            "        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
            "        scaler.step(optimizer)\n        scaler.update()\n\n    for x, y in loader:\n"
            "        step(x, y)\n"
        ),
        "two optimizers": (
            "import torch\n\ndef fit(encoder, decoder, loader, loss):\n"
            "    first = torch.optim.Adam(encoder.parameters())\n"
            "    second = torch.optim.Adam(decoder.parameters())\n    scaler = torch.amp.GradScaler()\n"
            "    for x, y in loader:\n        first.zero_grad()\n        second.zero_grad()\n"
            "        scaler.scale(loss(decoder(encoder(x)), y)).backward()\n"
            "        scaler.unscale_(first)\n"
            "        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)\n"
            "        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)\n"
            "        scaler.step(first)\n        scaler.step(second)\n        scaler.update()\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "unscaled": _LOOP + "    scaler.unscale_(optimizer)\n" + _CLIP + _STEP,
        "no clipping": _LOOP + _STEP,
        "both by choice": (
            _LOOP
            + "    if longest is not None:\n        scaler.unscale_(optimizer)\n"
            + "    if longest is not None and longest > 0:\n    "
            + _CLIP
            + _STEP
        ),
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
            "for x, _ in loader:\n    other.zero_grad()\n    critic(x).mean().backward()\n"
            "    nn.utils.clip_grad_norm_(critic.parameters(), 1.0)\n    other.step()\n"
        ),
        "code that is not known may unscale": (
            _LOOP.replace("import torch\n", "import torch\nfrom amp_tools import prepare\n", 1)
            + "    prepare(scaler, optimizer)\n"
            + _CLIP
            + _STEP
        ),
        "a threshold that is scaled too": (_LOOP + _CLIP.replace("1.0", "1.0 * scaler.get_scale()") + _STEP),
        "unscaled in a helper": (
            _TRAINER + "            self.clip()\n            self.scaler.step(self.optimizer)\n"
            "            self.scaler.update()\n\n    def clip(self):\n"
            "        self.scaler.unscale_(self.optimizer)\n"
            "        nn.utils.clip_grad_norm_(self.model.parameters(), 0.5)\n"
        ),
        "divided by hand": (
            _LOOP
            + "    for p in model.parameters():\n        p.grad.div_(scaler.get_scale())\n"
            + _CLIP
            + "    optimizer.step()\n"
        ),
        "the library unscales": (
            "def fit(model, loader, optimizer, accelerator):\n    for x in loader:\n"
            "        accelerator.backward(model(x).mean())\n"
            "        accelerator.clip_grad_norm_(model.parameters(), 1.0)\n        optimizer.step()\n"
            "        optimizer.zero_grad()\n"
        ),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """Between a scaled backward pass and the step, clipping comes before unscaling."""
        for optimizer in loop.optimizers if loop.is_readable else ():
            for clip, backward in clipped_scaled(loop, optimizer):
                message = "gradients are clipped while they bear the scale of the loss"
                later = loop.unscaled(clip, optimizer)
                ends = [(backward, "scaled here"), (later, "unscaled only here")]
                claim = None if later is None else _claim(loop, optimizer, backward, clip)
                yield report(self, loop, clip, message, ends, claim=claim)
            for clip, backward in clipped_past_library(loop, optimizer):
                by = loop.type(min(backward.by))
                message = f"gradients are clipped while they bear the scale that {by} gave the loss"
                yield report(self, loop, clip, message, [(backward, "scaled here")])


def _claim(loop: TrainingLoop, optimizer: frozenset[int], backward: Event, clip: Event) -> Claim | None:
    """The step is shorter by the scale where the gradient is longer than the threshold, else by less."""
    scale = decades(loop, backward)
    if scale is None or scale <= 1:
        return None
    unscale = Act(-1, "unscale", tuple(sorted(optimizer)), by=min(backward.by))
    remedy = both(without(kind("unscale")), preceded(at(clip), unscale))
    rehearsal = rehearsed(loop, (backward, clip), remedy, about=optimizer, assumed=repaired(loop))
    about = subject(loop, backward, clip)
    return claimed(Metric.STEP_SCALE, about, -1.0, -scale, rehearsal, least=-1.0)
