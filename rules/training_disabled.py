"""GRD509 training-disabled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.records.training import Event
from gradlint.rule.loops import report, subject
from gradlint.rule.rehearse import Change, at, claimed, kind, new, preceded, rehearsed, told, without
from gradlint.rule.rule import Rule
from gradlint.steps.disabled import disabled_in
from gradlint.steps.loop import TrainingLoop

_START = """\
import torch
from torch import nn

model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(), nn.Linear(8, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
"""
_BATCHES = """\
    for x, y in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
"""
_VALID = """\
    model.eval()
    with torch.no_grad():
        print(model(valid).argmax(-1))
"""
_FLAT = _BATCHES.replace("\n    ", "\n").removeprefix("    ")
_EPOCHS = (
    _START
    + "for epoch in range(3):\n"
    + _BATCHES.replace("    ", "        ").replace("        for", "    for")
)
_SWITCHED = """\
    torch.set_grad_enabled(False)
    print(model(valid).argmax(-1))
"""
_FORCED = _FLAT.replace("nn.functional.cross", "loss = nn.functional.cross").replace(
    ".backward()", "\n    loss.requires_grad = True\n    loss.backward()"
)

_TUNED = """\
import torch
from torch import nn
from torchvision import models

model = models.resnet18(weights="DEFAULT")
for p in model.parameters():
    p.requires_grad = False
HEAD
optimizer = torch.optim.Adam(model.fc.parameters(), lr=1e-3)
for x, y in loader:
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
"""


class TrainingDisabled(Rule):
    """What is meant to be trained runs without gradients, in evaluation mode, or frozen.

    ### Why is this bad?
    Under `torch.no_grad()` a forward pass leaves no graph, so that there is nothing to pass back. In
    evaluation mode dropout does nothing and BatchNorm uses the statistics that it has: where validation
    ends an epoch and nothing calls `train()`, only the first epoch trains as it should. Frozen parameters
    get no gradient, whatever the optimizer does.

    ### How it is verified
    Without gradients, and with all parameters frozen, the backward pass raises an error. Of evaluation mode,
    how far the weights after 20 steps are from those after 20 in training mode.

    ### When it is fine
    Validation under `no_grad()`, a frozen backbone below a head that is trained, a discriminator that is
    frozen for the generator's step and thawed after, a model that is trained in evaluation mode from the
    first batch on, and models without layers that know a mode.

    ### Fix safety
    No fix: which of the two calls is in the wrong place is not known.

    ### References
    - [Locally disabling gradient computation](https://docs.pytorch.org/docs/stable/notes/autograd.html)
    """

    id = "GRD509"
    name = "training-disabled"
    severity = Severity.ERROR
    help = "call model.train() before each epoch, and keep no_grad() and frozen parameters out of training"
    bad: ClassVar[Mapping[str, str]] = {
        "without gradients": (
            _START
            + "for x, y in loader:\n    optimizer.zero_grad()\n    with torch.no_grad():\n"
            + "        out = model(x)\n    nn.functional.cross_entropy(out, y).backward()\n"
            + "    optimizer.step()\n"
        ),
        "in inference mode": (
            "import torch\nfrom torch import nn\n\ndef fit(x, y):\n    net = nn.Linear(8, 2)\n"
            "    sgd = torch.optim.SGD(net.parameters(), lr=0.1)\n    with torch.inference_mode():\n"
            "        loss = nn.functional.mse_loss(net(x), y)\n    sgd.zero_grad()\n    loss.backward()\n"
            "    sgd.step()\n"
        ),
        "evaluation mode at the end of an epoch": (
            _START + "model.train()\nfor epoch in range(9):\n" + _BATCHES + _VALID
        ),
        "never in training mode again": _START + "for epoch in range(9):\n" + _BATCHES + _VALID,
        "evaluation amid an epoch": (
            _START
            + "for epoch in range(9):\n    model.train()\n    for i, (x, y) in enumerate(loader):\n"
            + "        if i % 4 == 0:\n            model.eval()\n            with torch.no_grad():\n"
            + "                print(model(valid).mean())\n        optimizer.zero_grad()\n"
            + "        nn.functional.cross_entropy(model(x), y).backward()\n        optimizer.step()\n"
        ),
        "evaluation in a helper": (
            _START
            + "def score(net):\n    net.eval()\n    with torch.no_grad():\n"
            + "        return net(valid).mean()\n\nfor epoch in range(9):\n"
            + _BATCHES
            + "    print(score(model))\n"
        ),
        "everything is frozen": (
            _START + "for p in model.parameters():\n    p.requires_grad = False\n" + _FLAT
        ),
        "gradients switched off for good": _EPOCHS + _SWITCHED,
        "gradients switched off by a function": "import torch\n\ndef validate(model, x):\n"
        "    torch.set_grad_enabled(False)\n    return model(x).argmax(-1)\n\n"
        + _EPOCHS
        + "    validate(model, valid)\n",
        "frozen at once": _START + "model.requires_grad_(False)\n" + _FLAT,
        "frozen, and the loss is made to require a gradient": (
            _START + "for p in model.parameters():\n    p.requires_grad = False\n" + _FORCED
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "gradients switched on again": _EPOCHS + _SWITCHED + "    torch.set_grad_enabled(True)\n",
        "gradients switched on by every epoch": _EPOCHS.replace(
            "range(3):\n", "range(3):\n    torch.set_grad_enabled(True)\n"
        )
        + _SWITCHED,
        "gradients switched as they were": _EPOCHS.replace(
            "range(3):\n", "range(3):\n    before = torch.is_grad_enabled()\n"
        )
        + _SWITCHED
        + "    torch.set_grad_enabled(before)\n",
        "gradients switched by what is not known": _EPOCHS + _SWITCHED + "    torch.set_grad_enabled(mode)\n",
        "gradients switched off after the last epoch": _EPOCHS + _SWITCHED.replace("\n    ", "\n")[4:],
        "gradients switched off within a block": _EPOCHS
        + "    with torch.no_grad():\n    "
        + _SWITCHED.replace("\n    ", "\n        "),
        "gradients switched off in a function without them": "import torch\n\n@torch.no_grad()\n"
        "def validate(model, x):\n    torch.set_grad_enabled(False)\n    return model(x).argmax(-1)\n\n"
        + _EPOCHS
        + "    validate(model, valid)\n",
        "gradients switched on around the pass": _EPOCHS.replace(
            "    for x, y", "    with torch.enable_grad():\n     for x, y"
        )
        + _SWITCHED,
        "validation": (_START + "for epoch in range(9):\n    model.train()\n" + _BATCHES + _VALID),
        "validation first": _START + "for epoch in range(9):\n" + _VALID + "    model.train()\n" + _BATCHES,
        "trained in evaluation mode": _START + "model.eval()\nfor epoch in range(9):\n" + _BATCHES,
        "a model without modes": (
            _START.replace("nn.Sequential(nn.Linear(8, 8), nn.Dropout(), nn.Linear(8, 2))", "nn.Linear(8, 2)")
            + "for epoch in range(9):\n"
            + _BATCHES
            + _VALID
        ),
        "a sequence without modes": (
            _START.replace("nn.Dropout()", "nn.ReLU()") + "for epoch in range(9):\n" + _BATCHES + _VALID
        ),
        "a head on features without gradients": (
            "import torch\nfrom torch import nn\n\nbackbone, head = nn.Linear(8, 8), nn.Linear(8, 2)\n"
            "optimizer = torch.optim.SGD(head.parameters(), lr=0.1)\nfor x, y in loader:\n"
            "    with torch.no_grad():\n        features = backbone(x)\n    optimizer.zero_grad()\n"
            "    nn.functional.cross_entropy(head(features), y).backward()\n    optimizer.step()\n"
        ),
        "a frozen backbone with a new head": (
            _START
            + "for p in model.parameters():\n    p.requires_grad = False\n"
            + "for p in model[2].parameters():\n    p.requires_grad = True\n"
            + _FLAT
        ),
        "a head that is new": _TUNED.replace("HEAD", "model.fc = nn.Linear(512, 2)"),
        "a head that is new, all held": (
            _TUNED.replace("HEAD", "model.fc = nn.Linear(512, 2)").replace("model.fc.p", "model.p")
        ),
        "a last layer that is new": (
            _TUNED.replace("HEAD", "model.classifier[6] = nn.Linear(4096, 2)").replace(
                "model.fc.p", "model.p"
            )
        ),
        "layers that are new, by name": (
            _TUNED.replace("HEAD", "for name in names:\n    setattr(model, name, nn.Linear(512, 2))").replace(
                "model.fc.p", "model.p"
            )
        ),
        "frozen for a while": (
            _START + "model.requires_grad_(False)\nprobe(model)\nmodel.requires_grad_(True)\n" + _FLAT
        ),
        "the discriminator is frozen for the generator's step": (
            "import torch\nfrom torch import nn\n\nmake, judge = nn.Linear(4, 8), nn.Linear(8, 1)\n"
            "first = torch.optim.Adam(make.parameters(), lr=1e-3)\n"
            "second = torch.optim.Adam(judge.parameters(), lr=1e-3)\nfor real in loader:\n"
            "    judge.requires_grad_(False)\n    first.zero_grad()\n"
            "    (-judge(make(torch.randn(16, 4))).mean()).backward()\n    first.step()\n"
            "    judge.requires_grad_(True)\n    second.zero_grad()\n    judge(real).mean().backward()\n"
            "    second.step()\n"
        ),
        "another loss, of a tensor that another optimizer holds": (
            "import torch\n\nactor = torch.nn.Linear(4, 4)\n"
            "log_alpha = torch.zeros(1, requires_grad=True)\n"
            "first = torch.optim.Adam(actor.parameters(), lr=1e-3)\n"
            "second = torch.optim.Adam([log_alpha], lr=1e-3)\nfor x in loader:\n"
            "    first.zero_grad()\n    actor(x).mean().backward()\n    first.step()\n"
            "    with torch.no_grad():\n        log_pi = actor(x)\n    second.zero_grad()\n"
            "    (-log_alpha.exp() * (log_pi + 4)).mean().backward()\n    second.step()\n"
        ),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """A trained pass has no gradients, or stands behind a mode that is not left again."""
        for event, reason, ends in disabled_in(loop):
            claim = _claim(loop, event, *[end for end, _ in ends])
            yield report(self, loop, event, reason, ends, claim=claim)


def _claim(loop: TrainingLoop, event: Event, *others: Event) -> Claim | None:
    """What training in the right mode shows beside this one."""
    rehearsal = rehearsed(loop, (*others, event), _remedy(event, others), stand_in="modal")
    about = subject(loop, *others, event)
    if event.kind == "gradients":
        trained = kind("forward")
        rehearsal = rehearsed(
            loop,
            others,
            told(trained, no_grad=None),
            stand_in="modal",
            assumed=told(trained, no_grad=True),
        )
    if event.kind != "eval":
        return claimed(Metric.RAISES, about, 1, 1, rehearsal, condition="iterations=1")
    return claimed(Metric.TRAINING_DIFFERENCE, about, 0.01, 0.5, rehearsal, least=0.01)


def _remedy(event: Event, trained: Sequence[Event]) -> Change:
    if event.kind == "eval":
        return preceded(at(*trained), new("train", event.things))
    return without(kind("freeze")) if event.kind == "freeze" else told(kind("forward"), no_grad=None)
