"""GRD407 needless-scaler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Finding, Metric, Severity
from gradlint.rule.loops import report, subject
from gradlint.rule.rehearse import both, by_none, claimed, kind, rehearsed, without
from gradlint.rule.rule import Rule
from gradlint.steps.loop import TrainingLoop
from gradlint.steps.precision import needlessly_scaled

_LOOP = """\
import torch
from torch import nn

model = nn.Linear(8, 2).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cuda")
for x, y in loader:
    optimizer.zero_grad()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        loss = nn.functional.cross_entropy(model(x), y)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
"""
_FIT = """\
import torch

def fit(model, loader, optimizer, criterion, args):
    SCALER
    for x, y in loader:
        with AUTOCAST:
            loss = criterion(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
"""


def _fit(autocast: str, scaler: str = "scaler = torch.cuda.amp.GradScaler()") -> str:
    return _FIT.replace("AUTOCAST", autocast).replace("SCALER", scaler)


class NeedlessScaler(Rule):
    """A loss that is computed in bfloat16 is scaled as if it were float16.

    ### Why is this bad?
    bfloat16 has the range of float32, so that no gradient is lost that a scale would save. The scaler
    costs a pass over all gradients in every step, and leaves out steps at whose scale they are inf.

    ### How it is verified
    How far the weights after 20 steps are from those without the scaler: nowhere.

    ### When it is fine
    Where the type is an option and the scaler is switched on for float16 alone.

    ### Fix safety
    No fix: checkpoints may hold the state of the scaler.

    ### References
    - [No scaling in bfloat16](https://github.com/huggingface/accelerate/pull/1036)
    - [What scaling costs](https://github.com/ecmwf/WeatherGenerator/issues/874)
    """

    id = "GRD407"
    name = "needless-scaler"
    severity = Severity.NOTE
    help = (
        "leave the scaler out, or switch it on for float16 alone: GradScaler(enabled=dtype == torch.float16)"
    )
    bad: ClassVar[Mapping[str, str]] = {
        "bfloat16": _LOOP,
        "the processor's default": _LOOP.replace('"cuda", dtype=torch.bfloat16', '"cpu"'),
        "old name": _LOOP.replace('torch.autocast("cuda", ', "torch.cuda.amp.autocast("),
        "objects from outside": _fit('torch.autocast("cuda", torch.bfloat16)'),
        "where a flag says so": _fit('torch.autocast("cuda", dtype=torch.bfloat16, enabled=args.amp)'),
        "by a type of its own": _fit(
            "torch.autocast(args.device, dtype=dtype)",
            'dtype = torch.bfloat16\n    scaler = torch.amp.GradScaler("cuda", enabled=True)',
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "float16": _LOOP.replace("bfloat16", "float16"),
        "no scaler": (
            _LOOP.replace("scaler.scale(loss)", "loss")
            .replace("scaler.step(optimizer)", "optimizer.step()")
            .replace("    scaler.update()\n", "")
        ),
        "on for float16 alone": _fit(
            'torch.autocast("cuda", dtype=torch.bfloat16)',
            'scaler = torch.amp.GradScaler("cuda", enabled=args.dtype == "float16")',
        ),
        "switched off": _fit(
            'torch.autocast("cuda", dtype=torch.bfloat16)', "scaler = torch.amp.GradScaler(enabled=False)"
        ),
        "the type is an option": _fit(
            'torch.autocast("cuda", dtype=torch.bfloat16 if args.bf16 else torch.float16)'
        ),
        "part of it in float16": _LOOP.replace(
            "    scaler.scale",
            '    with torch.autocast("cuda"):\n        loss = loss + model(x).mean()\n    scaler.scale',
        ),
        "a scaler from outside": _fit('torch.autocast("cuda", dtype=torch.bfloat16)', "scaler = args.scaler"),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """A scaled loss that comes from bfloat16 alone."""
        for backward in loop.events("backward") if loop.is_readable else ():
            region = needlessly_scaled(loop, backward)
            if region is not None:
                scaler = loop.thing(min(backward.by))
                ends = [(region.place, "computed in bfloat16 here"), (scaler.place, "the scaler")]
                message = "the loss is scaled though it is computed in bfloat16"
                plain = both(by_none(kind("backward", "step")), without(kind("unscale", "update")))
                rehearsal = rehearsed(loop, (backward,), plain)
                about = subject(loop, backward)
                claim = claimed(Metric.TRAINING_DIFFERENCE, about, 0.01, 0.0, rehearsal)
                yield report(self, loop, backward, message, ends, claim=claim)
