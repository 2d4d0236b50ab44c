"""GRD401 fp16-without-loss-scaling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.records.graph import Place
from gradlint.records.training import Event
from gradlint.rule.loops import report, subject
from gradlint.rule.rehearse import claimed, kind, rehearsed, told
from gradlint.rule.rule import Rule
from gradlint.steps.loop import TrainingLoop
from gradlint.steps.precision import unscaled_half

_HEAD = """\
import torch
from torch import nn

model = nn.Sequential(*[nn.Sequential(nn.Linear(64, 64), nn.ReLU()) for _ in range(8)]).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
"""
_LOOP = (
    _HEAD
    + """\
for x, y in loader:
    optimizer.zero_grad()
    with torch.autocast("cuda", dtype=torch.float16):
        loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
"""
)
_FIT = """\
import torch

def fit(model, loader, optimizer, criterion, args, scaler=None):
    for x, y in loader:
        optimizer.zero_grad()
        with AUTOCAST:
            loss = criterion(model(x), y)
        BACKWARD
"""
_PLAIN = "loss.backward()\n        optimizer.step()"
_SCALED = "scaler.scale(loss).backward()\n        scaler.step(optimizer)\n        scaler.update()"


def _fit(autocast: str, backward: str = _PLAIN) -> str:
    return _FIT.replace("AUTOCAST", autocast).replace("BACKWARD", backward)


class Fp16WithoutLossScaling(Rule):
    """A loss that is computed in float16 goes backward without a gradient scaler.

    ### Why is this bad?
    float16 ends at 2⁻²⁴ ≈ 6e-8: what is smaller becomes 0. Gradients of activations are often that small,
    the more so the better the model fits, and then part of the weights stops learning. A `GradScaler`
    multiplies the loss, and divides the gradients once they are float32.

    ### How it is verified
    The share of the weights' gradients that is 0 in float16 and not in float32, the loss being 0.001.
    Small networks lose a few per cent of them, deep or convolutional ones nearly all; in the first steps
    of training, while the loss is large, few are lost.

    ### When it is fine
    With bfloat16, which has the range of float32, and where a library scales by itself (Accelerate,
    Lightning, DeepSpeed).

    ### Fix safety
    No fix: a scaler belongs to the whole of training, and into its checkpoints.

    ### References
    - [Mixed precision training](https://arxiv.org/abs/1710.03740), section 3.2
    - [Gradient scaling](https://docs.pytorch.org/docs/stable/amp.html#gradient-scaling)
    """

    id = "GRD401"
    name = "fp16-without-loss-scaling"
    severity = Severity.WARNING
    help = "scale the loss with torch.amp.GradScaler, or compute in bfloat16"
    bad: ClassVar[Mapping[str, str]] = {
        "float16": _LOOP,
        "CUDA's default": _LOOP.replace(", dtype=torch.float16", ""),
        "old name": _LOOP.replace('torch.autocast("cuda", dtype=torch.float16)', "torch.cuda.amp.autocast()"),
        "a loss that may be nothing": (
            _HEAD
            + "\ndef objective(out, y):\n    if y.numel() == 0:\n"
            + "        return torch.tensor(0.0, requires_grad=True)\n"
            + "    return nn.functional.cross_entropy(out, y)\n\nfor x, y in loader:\n"
            + "    optimizer.zero_grad()\n    with torch.autocast('cuda'):\n        out = model(x)\n"
            + "    objective(out, y).backward()\n    optimizer.step()\n"
        ),
        "objects from outside": _fit("torch.cuda.amp.autocast(dtype=torch.half)"),
        "where a flag says so": _fit('torch.autocast("cuda", enabled=args.fp16)'),
        "half of a conditional": (
            "from contextlib import nullcontext\n"
            + _fit('torch.autocast("cuda") if args.fp16 else nullcontext()')
        ),
        "the device that there is": (
            _LOOP.replace(
                "for x, y",
                'device = torch.device("cuda" if torch.cuda.is_available() else "cpu")\nfor x, y',
            ).replace('"cuda", dtype=torch.float16', "device_type=device.type")
        ),
        "decorated": (
            _HEAD
            + "\n@torch.cuda.amp.autocast()\ndef objective(x, y):\n"
            + "    return nn.functional.cross_entropy(model(x), y)\n\nfor x, y in loader:\n"
            + "    optimizer.zero_grad()\n    objective(x, y).backward()\n    optimizer.step()\n"
        ),
        "accumulated": (
            "import torch\n\nclass Trainer:\n    def __init__(self, model, every):\n"
            "        self.model = model\n        self.every = every\n"
            "        self.optimizer = torch.optim.AdamW(model.parameters())\n\n"
            "    def run(self, batches):\n        for i, batch in enumerate(batches):\n"
            '            with torch.amp.autocast(device_type="cuda"):\n'
            "                loss = self.model(**batch).loss / self.every\n            loss.backward()\n"
            "            if (i + 1) % self.every == 0:\n                self.optimizer.step()\n"
            "                self.optimizer.zero_grad()\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "scaled": (
            _LOOP.replace("for x, y", "scaler = torch.amp.GradScaler()\nfor x, y")
            .replace("loss.backward()", "scaler.scale(loss).backward()")
            .replace("optimizer.step()", "scaler.step(optimizer)\n    scaler.update()")
        ),
        "bfloat16": _LOOP.replace("float16", "bfloat16"),
        "bfloat16 is the processor's default": _LOOP.replace('"cuda", dtype=torch.float16', '"cpu"'),
        "inference": (
            _LOOP.replace("    loss.backward()\n    optimizer.step()\n", "    print(loss.item())\n")
        ),
        "a scaler from outside": _fit('torch.autocast("cuda")', _SCALED),
        "one or the other": _fit(
            "torch.cuda.amp.autocast(enabled=scaler is not None)",
            "if scaler is not None:\n            scaler.scale(loss).backward()\n"
            "            scaler.step(optimizer)\n            scaler.update()\n        else:\n"
            "            loss.backward()\n            optimizer.step()",
        ),
        "switched off": _fit('torch.autocast("cuda", enabled=False)'),
        "switched off within": _LOOP.replace(
            "loss = nn", 'with torch.autocast("cuda", enabled=False):\n            loss = nn'
        ),
        "the type is an option": _fit(
            'torch.autocast("cuda", dtype={"half": torch.float16, "bf16": torch.bfloat16}[args.dtype])'
        ),
        "the library scales": _fit(
            'torch.autocast("cuda")', "args.accelerator.backward(loss)\n        optimizer.step()"
        ),
        "a scaler of the project": (
            "import torch\n\nclass LossScaler:\n    def __init__(self):\n"
            "        self._scaler = torch.cuda.amp.GradScaler()\n\n"
            "    def __call__(self, loss, optimizer):\n        self._scaler.scale(loss).backward()\n"
            "        self._scaler.step(optimizer)\n        self._scaler.update()\n\n"
            "def fit(model, loader, optimizer):\n    scaler = LossScaler()\n    for x in loader:\n"
            "        optimizer.zero_grad()\n        with torch.cuda.amp.autocast():\n"
            "            loss = model(x).mean()\n        scaler(loss, optimizer)\n"
        ),
        "scaled by hand": _fit(
            'torch.autocast("cuda")',
            "(loss * 1024).backward()\n        for p in model.parameters():\n"
            "            p.grad.div_(1024)\n        optimizer.step()",
        ),
        "a frozen teacher alone": (
            _HEAD
            + "teacher = nn.Linear(64, 64).cuda().eval()\nfor x, y in loader:\n    optimizer.zero_grad()\n"
            '    with torch.autocast("cuda"):\n        target = teacher(x)\n'
            "    loss = nn.functional.mse_loss(model(x), target)\n    loss.backward()\n    optimizer.step()\n"
        ),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """A backward pass through float16 that no scaler has to do with, and the step after it."""
        for optimizer in loop.optimizers if loop.is_readable else ():
            for backward, half, step in unscaled_half(loop, optimizer):
                message = f"float16 gradients below {2.0**-24:.0e} become 0, as the loss is not scaled"
                ends: list[tuple[Event | Place, str]] = [
                    (half.place, "computed in float16 here"),
                    (step, "stepped here"),
                ]
                yield report(self, loop, backward, message, ends, claim=_claim(loop, backward, step))


def _claim(loop: TrainingLoop, backward: Event, step: Event) -> Claim | None:
    """From a hundredth of the gradients to all: what five networks of four kinds showed."""
    about = subject(loop, backward, step)
    exact = told(kind("forward"), autocast=None)
    rehearsal = rehearsed(loop, (backward, step), exact, about=step.things, stand_in="deep")
    return claimed(Metric.FLUSHED_GRADIENTS, about, 0.01, 0.5, rehearsal, condition="loss=0.001", least=0.01)
