"""GRD510 optimizer-misses-parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.records.training import Event
from gradlint.rule.loops import report, subject
from gradlint.rule.rehearse import Change, at, claimed, new, opened, rehearsed, told
from gradlint.rule.repaired import repaired
from gradlint.rule.rule import Rule
from gradlint.steps.loop import TrainingLoop
from gradlint.steps.missed import missed_in

_START = """\
import torch
from torch import nn
from torchvision.models import resnet18

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.body(x).relu())

model = Net()
"""
_SGD = "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
_LOOP = """\
for x, y in loader:
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
"""
_GAN = """\
import torch
from torch import nn

make, judge = nn.Linear(4, 8), nn.Linear(8, 1)
first = torch.optim.Adam(make.parameters(), lr=1e-3)
second = torch.optim.Adam(judge.parameters(), lr=1e-3)
for real in loader:
    fake = make(torch.randn(16, 4))
    second.zero_grad()
    (judge(fake.detach()).mean() - judge(real).mean()).backward()
    second.step()
    first.zero_grad()
    (-judge(fake).mean()).backward()
    first.step()
"""


class OptimizerMissesParameters(Rule):
    """What is trained is not what the optimizer holds.

    ### Why is this bad?
    An optimizer keeps the parameters that it is given when it is made. A layer that is put into the model
    later, a model that is made anew, or the parameters of the wrong model leave it with tensors that get
    no gradient or are used no more: the new ones never change, and nothing fails.

    ### How it is verified
    Of the parameters that 20 steps change where the optimizer is made of what is trained, the share that they
    change.

    ### When it is fine
    A layer that is replaced before the optimizer is made, given to `add_param_group`, or held by another
    optimizer; `model.to(device)`, which keeps the parameters; parts of a model that are left out beside
    others that are trained, which may be meant.

    ### Fix safety
    No fix: moving the call that makes the optimizer may change what else it depends on.

    ### References
    - [Constructing an optimizer](https://docs.pytorch.org/docs/stable/optim.html#constructing-it)
    """

    id = "GRD510"
    name = "optimizer-misses-parameters"
    severity = Severity.ERROR
    help = "make the optimizer when the model is complete, of the parameters that are to be trained"
    bad: ClassVar[Mapping[str, str]] = {
        "the head is replaced": _START + _SGD + "model.head = nn.Linear(8, 5)\n" + _LOOP,
        "the head of a model from a library": (
            _START.replace("Net()", "resnet18(weights='DEFAULT')")
            + _SGD
            + "model.fc = nn.Linear(512, 5)\n"
            + _LOOP
        ),
        "in a function": (
            "import torch\nfrom torch import nn\n\ndef tune(model, loader, classes):\n"
            "    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)\n"
            "    model.classifier = nn.Linear(512, classes)\n    for x, y in loader:\n"
            "        optimizer.zero_grad()\n        nn.functional.cross_entropy(model(x), y).backward()\n"
            "        optimizer.step()\n"
        ),
        "made anew": _START + _SGD + "model = Net()\n" + _LOOP,
        "made a second time, with a state": (
            "import torch\nfrom torch import nn\n\nclass Cell(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n        self.mix = nn.Linear(4, 4)\n\n"
            "    def forward(self, x, h):\n        return x.sum() * self.mix(h), self.mix(h)\n\n"
            "net = Cell()\nprint(net(torch.zeros(1, 8), torch.zeros(1, 4)))\n"
            "sgd = torch.optim.SGD(net.parameters(), lr=0.1)\nnet = Cell()\nfor xs, y in loader:\n"
            "    sgd.zero_grad()\n    h = torch.zeros(1, 4)\n    for x in xs:\n        out, h = net(x, h)\n"
            "    nn.functional.mse_loss(out, y).backward()\n    sgd.step()\n"
        ),
        "the other model's": _GAN.replace("Adam(judge.parameters()", "Adam(make.parameters()"),
        "the generator's": _GAN.replace("Adam(make.parameters()", "Adam(judge.parameters()"),
        "a model that is forgotten": (
            _START
            + "other = Net()\noptimizer = torch.optim.SGD(other.parameters(), lr=0.1)\n"
            + "for x, y in loader:\n    optimizer.zero_grad()\n"
            + "    loss = nn.functional.cross_entropy(model(x), y)\n    loss.backward()\n"
            + "    optimizer.step()\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "replaced before": _START + "model.head = nn.Linear(8, 5)\n" + _SGD + _LOOP,
        "added to the optimizer": (
            _START
            + _SGD
            + "model.head = nn.Linear(8, 5)\n"
            + "optimizer.add_param_group({'params': model.head.parameters()})\n"
            + _LOOP
        ),
        "an optimizer of its own": (
            _START
            + _SGD
            + "model.head = nn.Linear(8, 5)\n"
            + "second = torch.optim.SGD(model.head.parameters(), lr=1.0)\n"
            + _LOOP
            + "    second.step()\n    second.zero_grad()\n"
        ),
        "made again": _START + _SGD + "model.head = nn.Linear(8, 5)\n" + _SGD + _LOOP,
        "one of two that are held": (
            _START
            + "if wide:\n    model = Net()\n"
            + _SGD
            + "other = Net()\nfor x, y in loader:\n    optimizer.zero_grad()\n"
            + "    nn.functional.cross_entropy((model if wide else other)(x), y).backward()\n"
            + "    optimizer.step()\n"
        ),
        "moved": _START + _SGD + "model = model.to('cuda')\n" + _LOOP,
        "wrapped": _START + _SGD + "model.head = nn.Sequential(model.head, nn.Tanh())\n" + _LOOP,
        "two optimizers": _GAN,
        "the head alone": (_START + "optimizer = torch.optim.SGD(model.head.parameters(), lr=0.1)\n" + _LOOP),
        "gradients of the input": (
            _START
            + _SGD
            + "teacher = Net()\nfor x, y in loader:\n    x.requires_grad_()\n"
            + "    teacher(x).mean().backward()\n    x = (x + x.grad.sign()).detach()\n"
            + "    optimizer.zero_grad()\n    nn.functional.cross_entropy(model(x), y).backward()\n"
            + "    optimizer.step()\n"
        ),
        "an image through a model": (
            _START
            + "image = torch.rand(1, 8, requires_grad=True)\n"
            + "optimizer = torch.optim.LBFGS([image])\nfor step in range(9):\n    optimizer.zero_grad()\n"
            + "    model(image).mean().backward()\n    optimizer.step()\n"
        ),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """A module comes after the optimizer, or nothing that is trained is in any optimizer."""
        for event, reason, step in missed_in(loop):
            ends = [(step, "the optimizer steps here")]
            yield report(self, loop, event, reason, ends, claim=_claim(loop, event, step))


def _claim(loop: TrainingLoop, event: Event, step: Event) -> Claim | None:
    others = repaired(loop, but="replace")
    rehearsal = rehearsed(loop, (event, step), _remedy(loop, event, step), assumed=others)
    about = subject(loop, event, step)
    return claimed(Metric.TRAINED_SHARE, about, 0.99, 0.5, rehearsal, least=0.0)


def _remedy(loop: TrainingLoop, event: Event, step: Event) -> Change:
    """The optimizer is made last, or of the models that the loss comes from."""
    if event.kind == "replace":
        return told(at(event), first=True)
    models = {n for number in event.source for n in loop.event(number).things}
    return opened(new("make", step.things, of=sorted(models)))
