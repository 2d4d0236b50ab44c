"""GRD408 bce-under-autocast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Finding, Metric, Severity
from gradlint.rule.loops import report, subject
from gradlint.rule.rehearse import at, claimed, rehearsed, told
from gradlint.rule.rule import Rule
from gradlint.steps.loop import TrainingLoop
from gradlint.steps.precision import autocast_of, raises_under_autocast

_LOOP = """\
import torch
from torch import nn

model = nn.Sequential(nn.Linear(8, 1), nn.Sigmoid()).cuda()
criterion = nn.BCELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cuda")
for x, y in loader:
    optimizer.zero_grad()
    with torch.autocast("cuda"):
        loss = criterion(model(x), y)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
"""
_LOSS = "criterion(model(x), y)"


class BceUnderAutocast(Rule):
    """Binary cross-entropy of probabilities is computed under autocast, which refuses it.

    ### Why is this bad?
    A probability close to 1 is 1 in float16, and the logarithm of the rest is lost. Autocast on a GPU
    therefore raises "binary_cross_entropy and torch.nn.BCELoss are unsafe to autocast", for bfloat16 and
    for inputs in float32 as well.

    ### How it is verified
    One iteration on a GPU raises an error; autocast on the processor computes the loss in float32.

    ### When it is fine
    Behind the block, or within `torch.autocast("cuda", enabled=False)`.

    ### Fix safety
    No fix: the sigmoid before the loss has to go as well.

    ### References
    - [Functions to avoid under autocast](https://docs.pytorch.org/docs/stable/amp.html)
    - [Unsafe to autocast](https://github.com/pytorch/pytorch/issues/61098)
    """

    id = "GRD408"
    name = "bce-under-autocast"
    severity = Severity.ERROR
    help = "leave the sigmoid out and use BCEWithLogitsLoss, or compute the loss outside of autocast"
    bad: ClassVar[Mapping[str, str]] = {
        "layer": _LOOP,
        "function": _LOOP.replace("criterion(", "nn.functional.binary_cross_entropy("),
        "weighted": _LOOP.replace("nn.BCELoss()", 'nn.BCELoss(reduction="sum")'),
        "bfloat16": _LOOP.replace('"cuda")', '"cuda", dtype=torch.bfloat16)', 1),
        "old name": _LOOP.replace('torch.autocast("cuda")', "torch.cuda.amp.autocast()"),
        "decorated": (
            "import torch\nfrom torch.nn import functional as F\n\n@torch.autocast(device_type='cuda')\n"
            "def step(model, x, y):\n    return F.binary_cross_entropy(torch.sigmoid(model(x)), y)\n"
        ),
        "attribute of a trainer": (
            "import torch\n\nclass Trainer:\n    def __init__(self, net):\n        self.net = net\n"
            "        self.loss = torch.nn.BCELoss()\n\n    def validate(self, loader):\n        total = 0\n"
            '        with torch.no_grad(), torch.autocast("cuda"):\n            for x, y in loader:\n'
            "                total += self.loss(self.net(x), y).item()\n        return total\n"
        ),
        "in a helper": _LOOP.replace(
            "for x, y in", "def objective(p, y):\n    return 0.5 * criterion(p, y)\n\nfor x, y in"
        ).replace(_LOSS, "objective(model(x), y)"),
    }
    good: ClassVar[Mapping[str, str]] = {
        "of logits": _LOOP.replace(", nn.Sigmoid()", "").replace("BCELoss", "BCEWithLogitsLoss"),
        "behind the block": _LOOP.replace(f"loss = {_LOSS}", "p = model(x)").replace(
            "    scaler.scale(", "    loss = criterion(p.float(), y)\n    scaler.scale("
        ),
        "switched off within": _LOOP.replace(
            f"loss = {_LOSS}",
            'p = model(x)\n        with torch.autocast("cuda", enabled=False):\n'
            "            loss = criterion(p.float(), y)",
        ),
        "on the processor": _LOOP.replace('torch.autocast("cuda")', 'torch.autocast("cpu")'),
        "another loss": _LOOP.replace("nn.BCELoss()", "nn.MSELoss()"),
        "switched off": _LOOP.replace('torch.autocast("cuda")', 'torch.autocast("cuda", enabled=False)'),
        "a loss of its own": _LOOP.replace(
            "criterion = nn.BCELoss()", "def criterion(p, y):\n    return -(y * p.float().log()).mean()\n"
        ),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """Every such loss under an autocast for a GPU."""
        for loss in filter(raises_under_autocast, loop.events("loss")):
            region = autocast_of(loss)
            ends = [(None if region is None else region.place, "autocast begins here")]
            rehearsal = rehearsed(loop, (loss,), told(at(loss), autocast=None))
            condition = "iterations=1,device=cuda"
            claim = claimed(Metric.RAISES, subject(loop, loss), 1, 1, rehearsal, condition=condition)
            yield report(
                self, loop, loss, "autocast refuses binary cross-entropy of probabilities", ends, claim=claim
            )
