"""GRD402 half-precision-parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.mathematics.half import SPACING
from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.rule.loops import report, subject
from gradlint.rule.rehearse import at, claimed, rehearsed, without
from gradlint.rule.rule import Rule
from gradlint.steps.half_weights import HalfWeights, half_weights
from gradlint.steps.loop import TrainingLoop

_NET = (
    "import torch\nfrom torch import nn\n\n"
    "model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))"
)
_SGD = "\noptimizer = torch.optim.SGD(model.parameters(), lr=0.01)\n"
_ADAM = "\noptimizer = torch.optim.Adam(model.parameters(), lr=1e-3)\n"
_STEP = (
    "for x, y in loader:\n    optimizer.zero_grad()\n"
    "    loss = nn.functional.cross_entropy(model(x.half()), y)\n    loss.backward()\n    optimizer.step()\n"
)
_SCALED = _STEP.replace("loss.backward()", "scaler.scale(loss).backward()").replace(
    "optimizer.step()", "scaler.step(optimizer)\n    scaler.update()"
)

_STEPS = 6
"""Steps after which Adam's have the size that they keep."""


class HalfPrecisionParameters(Rule):
    """The weights themselves are float16 while an optimizer changes them.

    ### Why is this bad?
    Neighbours in float16 differ by a thousandth, so that smaller steps change nothing: half of them at
    an SGD rate of 0.01, nearly all at 0.001. The optimizer's state is float16 as well: squared gradients
    become 0, as does the epsilon 1e-8 of Adam, and what is divided by both is inf.

    ### How it is verified
    The share of the weights that the first step, or one of Adam's later ones, leaves as they were or makes
    inf, though the same step in float32 changes them. Under a gradient scaler the step raises an error.

    ### When it is fine
    For inference, and with an epsilon that float16 has (`eps=1e-4`) or in fused kernels, which compute in
    float32, where Adam's steps are of the size of its rate and that is above 1e-4. Mixed precision keeps the
    weights in float32 and casts them for each operation; some optimizers of other libraries keep float32
    copies.

    ### Fix safety
    No fix: without `half()` the inputs must stay float32 too.

    ### References
    - [NaN from Adam on half weights](https://discuss.pytorch.org/t/adam-half-precision-nans/1765)
    - [Mixed precision training](https://arxiv.org/abs/1710.03740), section 3.1: a copy in float32
    """

    id = "GRD402"
    name = "half-precision-parameters"
    severity = Severity.ERROR
    help = "keep the weights in float32 and compute under torch.autocast, or use bfloat16"
    bad: ClassVar[Mapping[str, str]] = {
        "half": _NET + ".half()" + _SGD + _STEP,
        "to a type": _NET + ".to(torch.float16)" + _ADAM + _STEP,
        "to a device and a type": _NET + '\nmodel.to("cpu", dtype=torch.half)' + _ADAM + _STEP,
        "after the optimizer was made": _NET + _ADAM + "model.half()\n" + _STEP,
        "in a function": (
            "import torch\n\ndef fit(model, loader, criterion):\n    model = model.half().train()\n"
            "    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5)\n    for x, y in loader:\n"
            "        loss = criterion(model(x.half()), y)\n        loss.backward()\n"
            "        optimizer.step()\n        optimizer.zero_grad()\n"
        ),
        "with a scaler": (_NET + ".half()" + _SGD + 'scaler = torch.amp.GradScaler("cpu")\n' + _SCALED),
        "a small epsilon": _NET + ".half()" + _ADAM.replace("1e-3", "1e-3, eps=1e-10") + _STEP,
        "a fused kernel, and small steps": _NET
        + ".half()"
        + _ADAM.replace("Adam(", "AdamW(").replace("1e-3", "1e-5, fused=True")
        + _STEP,
        "methods of a trainer": (
            "import torch\nfrom torch import nn\n\nclass Trainer:\n    def __init__(self):\n"
            "        self.net = nn.Linear(64, 10)\n        self.net.half()\n"
            "        self.optimizer = torch.optim.RMSprop(self.net.parameters(), lr=1e-3)\n\n"
            "    def fit(self, loader):\n        for x, y in loader:\n"
            "            self.net.half()\n            self.optimizer.zero_grad()\n"
            "            nn.functional.cross_entropy(self.net(x), y).backward()\n"
            "            self.optimizer.step()\n"
        ),
        "loaded in half": (
            "import torch\nfrom transformers import AutoModel\n\ndef tune(name, loader):\n"
            "    model = AutoModel.from_pretrained(name, torch_dtype=torch.float16).cuda()\n"
            "    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)\n    for batch in loader:\n"
            "        model(**batch).loss.backward()\n        optimizer.step()\n"
            "        optimizer.zero_grad()\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "float32": _NET + _SGD + _STEP.replace("x.half()", "x"),
        "bfloat16": _NET + ".to(torch.bfloat16)" + _ADAM + _STEP.replace("half", "bfloat16"),
        "inference": _NET + ".half()\n\nfor x in loader:\n    print(model(x.half()).argmax(-1))\n",
        "half for the test alone": (
            _NET + _SGD + "\ndef test(x):\n    model.half().eval()\n    found = model(x.half())\n"
            "    model.float().train()\n    return found\n\n"
            + _STEP.replace("x.half()", "x")
            + "    test(x)\n"
        ),
        "autocast": _NET + _SGD + 'scaler = torch.amp.GradScaler("cpu")\n' + _SCALED.replace("x.half()", "x"),
        "a copy in float32 is stepped": (
            _NET + ".half()\nmaster = [p.detach().clone().float() for p in model.parameters()]\n"
            "optimizer = torch.optim.SGD(master, lr=0.1)\nfor x, y in loader:\n"
            "    nn.functional.cross_entropy(model(x.half()), y).backward()\n"
            "    for copy, p in zip(master, model.parameters()):\n        copy.grad = p.grad.float()\n"
            "    optimizer.step()\n    for copy, p in zip(master, model.parameters()):\n"
            "        p.data.copy_(copy)\n"
        ),
        "another model is half": (
            _NET + _SGD + "teacher = nn.Linear(64, 10).half().eval()\nfor x, y in loader:\n"
            "    with torch.no_grad():\n        target = teacher(x.half()).float()\n"
            "    optimizer.zero_grad()\n    nn.functional.mse_loss(model(x), target).backward()\n"
            "    optimizer.step()\n"
        ),
        "frozen in half, a head in float32": (
            _NET + ".half()\nhead = nn.Linear(10, 10)\n"
            "optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)\nfor x, y in loader:\n"
            "    optimizer.zero_grad()\n"
            "    nn.functional.cross_entropy(head(model(x.half()).float()), y).backward()\n"
            "    optimizer.step()\n"
        ),
        "some parameters are float32 again": (
            _NET + ".half()\nfor p in model[2].parameters():\n    p.data = p.data.float()\n"
            "optimizer = torch.optim.Adam([p for p in model.parameters() if p.dtype == torch.float32])\n"
            + _STEP.replace("model(x.half())", "model[2](model[:2](x.half()).float())")
        ),
        "a fused kernel": _NET + ".half()" + _ADAM.replace("1e-3", "1e-3, fused=True") + _STEP,
        "a larger epsilon": _NET + ".half()" + _ADAM.replace("1e-3", "1e-3, eps=1e-4") + _STEP,
        "another library's optimizer": (
            "from apex.optimizers import FusedAdam\n" + _NET + ".half()\n"
            "optimizer = FusedAdam(model.parameters(), master_weights=True)\n" + _STEP
        ),
        "widened before the step": _NET
        + _SGD
        + _STEP.replace("    loss.backward()\n", "    loss.backward()\n    model.float()\n").replace(
            "    loss =", "    model.half()\n    loss ="
        ),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """From where the weights become float16, the step comes before they leave it."""
        for optimizer in loop.optimizers if loop.is_readable else ():
            for found in half_weights(loop, optimizer):
                ends = [(found.optimizer.place, "changed by this"), (found.step.place, "stepped here")]
                yield report(self, loop, found.half, _message(found), ends, claim=_claim(loop, found))


def _message(found: HalfWeights) -> str:
    name = found.optimizer.type.rpartition(".")[2]
    if found.is_refused:
        return "weights are float16, whose gradients a gradient scaler refuses to unscale"
    if found.divides_by_zero:
        return f"weights are changed in float16, where the epsilon {found.epsilon:g} of {name} is 0"
    return f"weights are changed in float16, where steps below 1/{4 / SPACING:.0f} of them are lost"


def _claim(loop: TrainingLoop, found: HalfWeights) -> Claim | None:
    """What steps of one network showed: Adam's kin make most weights inf at once, or lose steps, mostly once
    they are shorter than the rate; of the steps of SGD a tenth to nearly all are lost, by its rate.
    """
    about = subject(loop, found.half, found.step)
    rehearsal = rehearsed(loop, (found.half, found.step), without(at(found.half)), about=found.step.things)
    if found.is_refused:
        return claimed(Metric.RAISES, about, 1, 1, rehearsal, condition="iterations=1")
    is_adam = "Adam" in found.optimizer.type
    predicted, least = (0.75, 0.1) if found.divides_by_zero and is_adam else (0.5, 0.01)
    later = f"steps={_STEPS}" if is_adam and not found.divides_by_zero else ""
    return claimed(Metric.LOST_UPDATES, about, 0.01, predicted, rehearsal, least=least, condition=later)
