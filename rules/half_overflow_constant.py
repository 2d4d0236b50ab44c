"""GRD406 half-overflow-constant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from msgspec.structs import replace

from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.rule.loops import report, subject
from gradlint.rule.rehearse import claimed, kind, rehearsed, told
from gradlint.rule.rule import Rule
from gradlint.steps.half_constants import LostConstant, lost_constants
from gradlint.steps.loop import TrainingLoop

_MODEL = """\
import torch
from torch import nn

class Attention(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x, mask):
        scores = self.q(x) @ self.k(x).transpose(-1, -2) / 8
        scores = scores.masked_fill(mask == 0, -1e9)
        return scores.softmax(-1) @ self.v(x)

"""
_TRAIN = """\
def train(loader):
    model = Attention()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    scaler = torch.amp.GradScaler("cuda")
    for x, mask in loader:
        with torch.autocast("cuda", dtype=torch.float16):
            loss = model(x, mask).square().mean()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
"""
_ATTENTION = _MODEL + _TRAIN
_FILL = "scores.masked_fill(mask == 0, -1e9)"
_END = "return scores.softmax(-1) @ self.v(x)"


class HalfOverflowConstant(Rule):
    """A model that runs in float16 uses a constant that is inf or 0 there.

    ### Why is this bad?
    float16 ends at 65504 and at 2⁻²⁴ ≈ 6e-8. A mask filled with -1e9 raises "value cannot be converted
    to type c10::Half without overflow"; an epsilon of 1e-8 rounds to 0, so that what it guards is divided
    by 0 after all. Autocast keeps both in float16 where what they meet comes from a matrix product.

    ### How it is verified
    One iteration with the fill value raises an error. For an epsilon there is no claim: the result is inf
    or nan as soon as what it guards is 0.

    ### When it is fine
    In what autocast computes in float32 (softmax, exp, norm, sum and log give that), behind `.float()`,
    and with bfloat16.

    ### Fix safety
    No fix: `torch.finfo(x.dtype).min` suits every type, an epsilon depends on what it guards.

    ### References
    - [Filled with -1e9](https://github.com/NVIDIA/apex/issues/1052)
    - [An epsilon of 1e-12](https://github.com/pytorch/pytorch/issues/32137)
    """

    id = "GRD406"
    name = "half-overflow-constant"
    severity = Severity.ERROR
    help = "fill with torch.finfo(x.dtype).min, take an epsilon of 1e-6 or more, or compute this in float32"
    bad: ClassVar[Mapping[str, str]] = {
        "mask": _ATTENTION,
        "in place": _ATTENTION.replace("scores = scores.masked_fill", "scores.masked_fill_"),
        "default type": _ATTENTION.replace(", dtype=torch.float16", ""),
        "a name for it": _ATTENTION.replace("class A", "NEGATIVE = -1e30\n\nclass A").replace(
            "-1e9", "NEGATIVE"
        ),
        "just too large": _ATTENTION.replace("-1e9", "-1e5"),
        "epsilon of a logarithm": _ATTENTION.replace(
            _END, "return torch.log(torch.sigmoid(self.v(x)) + 1e-8)"
        ),
        "epsilon of a divisor": _ATTENTION.replace(_FILL, "scores")
        .replace(_END, "return scores / (self.v(x).abs() + 1e-10)[..., :1]")
        .replace("[..., :1]", ""),
        "clamped": _ATTENTION.replace(_END, "return torch.relu(self.v(x)).clamp(min=1e-12).log()"),
    }
    good: ClassVar[Mapping[str, str]] = {
        "a smaller fill": _ATTENTION.replace("-1e9", "-1e4"),
        "the smallest of the type": _ATTENTION.replace("-1e9", "torch.finfo(scores.dtype).min"),
        "infinity": _ATTENTION.replace("-1e9", 'float("-inf")'),
        "bfloat16": _ATTENTION.replace("torch.float16", "torch.bfloat16"),
        "float32": _ATTENTION.replace(", dtype=torch.float16)", ", enabled=False)"),
        "cast before": _ATTENTION.replace("scores.masked_fill", "scores.float().masked_fill"),
        "in a block of its own": _ATTENTION.replace(
            f"scores = {_FILL}",
            f'with torch.autocast("cuda", enabled=False):\n            scores = {_FILL}',
        ),
        "a larger epsilon": _ATTENTION.replace("-1e9", "-1e4").replace(
            _END, "return torch.log(torch.sigmoid(self.v(x)) + 1e-6)"
        ),
        "epsilon of a norm": _ATTENTION.replace("-1e9", "-1e4").replace(
            _END, "return self.v(x) / (self.v(x).norm(dim=-1, keepdim=True) + 1e-8)"
        ),
        "behind a softmax": _ATTENTION.replace("-1e9", "-1e4").replace(
            _END, "return torch.log(scores.softmax(-1) + 1e-8)"
        ),
        "an epsilon that guards nothing": _ATTENTION.replace("-1e9", "-1e4").replace(
            _END, "return torch.sigmoid(self.v(x)) + 1e-8"
        ),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """Every such constant in a model that a forward pass runs in float16."""
        for found in lost_constants(loop):
            if found.node.place is None:
                continue
            forward = found.forward
            event = replace(forward, place=found.node.place, callers=(*forward.callers, forward.place))
            used = None if found.used is None else found.used.place
            ends = [(found.since, "float16 from here on"), (used, "where this is 0")]
            yield report(self, loop, event, _message(found), ends, claim=_claim(loop, found))


def _message(found: LostConstant) -> str:
    computed = "in which autocast computes this" if found.is_cast else "as these weights are"
    return f"{found.value:g} is {found.becomes:g} in float16, {computed}"


def _claim(loop: TrainingLoop, found: LostConstant) -> Claim | None:
    if found.becomes == 0:
        return None
    rehearsal = rehearsed(loop, (found.forward,), told(kind("forward"), autocast=None), stand_in="none")
    return claimed(Metric.RAISES, subject(loop, found.forward), 1, 1, rehearsal, condition="iterations=1")
