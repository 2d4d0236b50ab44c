"""GRD501 missing-zero-grad."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.records.training import Event
from gradlint.rule.loops import report, subject
from gradlint.rule.rehearse import at, beneath_clipping, claimed, followed, new, rehearsed
from gradlint.rule.repaired import repaired
from gradlint.rule.rule import Rule
from gradlint.steps.gradients import Gradients, gradients_of
from gradlint.steps.loop import TrainingLoop

_START = """\
import torch
from torch import nn

model = nn.Linear(8, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
"""
_PASS = "    loss = nn.functional.cross_entropy(model(x), y)\n"
_STEP = "    loss.backward()\n    optimizer.step()\n"
_GAN = """\
import torch
from torch import nn

generator, critic = nn.Linear(4, 8), nn.Linear(8, 1)
for_generator = torch.optim.Adam(generator.parameters(), lr=1e-3)
for_critic = torch.optim.Adam(critic.parameters(), lr=1e-3)
for real in loader:
    fake = generator(torch.randn(16, 4))
    for_critic.zero_grad()
    (critic(fake.detach()).mean() - critic(real).mean()).backward()
    for_critic.step()
"""


class MissingZeroGrad(Rule):
    """The gradients of a step are still there when the next backward pass adds its own.

    ### Why is this bad?
    `backward()` adds to what `.grad` holds. Without a `zero_grad()` every step follows the sum of the
    gradients of all batches since the beginning: it grows with their number, and old batches outweigh
    the present one.

    ### How it is verified
    The longest gradient that 20 steps on one batch are given, over that where gradients are zeroed after
    each step; what else is wrong with the loop is put right in both. There is no claim where a gradient
    scaler steps: while it is on, it divides what is left of old gradients by its scale as well, which hides
    them; nor for steps that are given a function to run.

    ### When it is fine
    Where several backward passes belong to one step, the gradients are zeroed after that step. Code that
    is not known and is given the optimizer or the model may zero them; then nothing is said.

    ### Fix safety
    No fix: whether the gradients are zeroed before the backward pass or after the step is a choice.

    ### References
    - [Zeroing out gradients in PyTorch](https://docs.pytorch.org/tutorials/recipes/recipes/zeroing_out_gradients.html)
    """

    id = "GRD501"
    name = "missing-zero-grad"
    severity = Severity.ERROR
    help = "call optimizer.zero_grad() before the backward pass, or after the step"
    bad: ClassVar[Mapping[str, str]] = {
        "never": _START + "for x, y in loader:\n" + _PASS + _STEP,
        "once per epoch": (
            _START
            + "for epoch in range(9):\n    optimizer.zero_grad()\n    for x, y in loader:\n        loss = "
            "nn.functional.mse_loss(model(x), y)\n        loss.backward()\n        optimizer.step()\n"
        ),
        "accumulated without end": (
            _START
            + "for i, (x, y) in enumerate(loader):\n    loss = nn.functional.cross_entropy(model(x), y) / 4\n"
            "    loss.backward()\n    if (i + 1) % 4 == 0:\n        optimizer.step()\n"
        ),
        "accumulated, zeroed once per epoch": (
            _START
            + "for epoch in range(9):\n    optimizer.zero_grad()\n    for i, (x, y) in enumerate(loader):\n"
            "        loss = nn.functional.mse_loss(model(x), y) / 4\n        loss.backward()\n"
            "        if (i + 1) % 4 == 0:\n            optimizer.step()\n"
        ),
        "a step with the last batch of an epoch, and no zeroing": (
            _START + "for epoch in range(9):\n    for i, (x, y) in enumerate(loader):\n"
            "        loss = nn.functional.mse_loss(model(x), y) / len(loader)\n        loss.backward()\n"
            "        if i == len(loader) - 1:\n            optimizer.step()\n"
        ),
        "a getter that is handed in": (
            "def fit(model, draw, optimizer, criterion):\n    for _ in range(1000):\n        x, y = draw()\n"
            "        criterion(model(x), y).backward()\n        optimizer.step()\n"
        ),
        "beside an average of the weights": (
            "from collections import OrderedDict\n\nimport torch\nfrom torch import nn\n"
            "from torch.nn.parallel import DistributedDataParallel\n\n\n@torch.no_grad()\n"
            "def update(average, model):\n    kept = OrderedDict(average.named_parameters())\n"
            "    for name, p in OrderedDict(model.named_parameters()).items():\n"
            "        kept[name].mul_(0.999).add_(p.data, alpha=0.001)\n\n\ndef fit(loader, average):\n"
            "    model = DistributedDataParallel(nn.Linear(8, 2))\n"
            "    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)\n    for x, y in loader:\n"
            "        nn.functional.mse_loss(model(x), y).backward()\n        optimizer.step()\n"
            "        update(average, model.module)\n"
        ),
        "one of two optimizers": (
            _GAN + "    loss = -critic(generator(torch.randn(16, 4))).mean()\n    loss.backward()\n"
            "    for_generator.step()\n"
        ),
        "clipped": (
            _START
            + "for x, y in loader:\n"
            + _PASS
            + "    loss.backward()\n    nn.utils.clip_grad_norm_(model.parameters(), 0.01)\n"
            + "    optimizer.step()\n"
        ),
        "clipped after the step": (
            _START
            + "for x, y in loader:\n"
            + _PASS
            + _STEP
            + "    nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
        ),
        "everything from outside": (
            "def fit(model, loader, optimizer, criterion):\n    for x, y in loader:\n"
            "        criterion(model(x), y).backward()\n        optimizer.step()\n"
        ),
        "a class": (
            "import torch\nfrom torch import nn\n\nclass Learner:\n    def __init__(self):\n"
            "        self.net = nn.Linear(8, 2)\n"
            "        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=1e-3)\n\n"
            "    def update(self, x, y):\n        loss = nn.functional.mse_loss(self.net(x), y)\n"
            "        loss.backward()\n        self.optimizer.step()\n        return loss.item()\n\n"
            "    def fit(self, loader):\n        for x, y in loader:\n            print(self.update(x, y))\n"
        ),
        "with a scaler": (
            _START
            + "scaler = torch.amp.GradScaler('cuda')\nfor x, y in loader:\n"
            + _PASS
            + "    scaler.scale(loss).backward()\n    scaler.step(optimizer)\n    scaler.update()\n"
        ),
        "a closure": (
            _START.replace("SGD", "LBFGS")
            + "for x, y in loader:\n    def closure():\n"
            + "        loss = nn.functional.mse_loss(model(x), y)\n        loss.backward()\n"
            + "        return loss\n    optimizer.step(closure)\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "before the backward pass": (
            _START + "for x, y in loader:\n    optimizer.zero_grad()\n" + _PASS + _STEP
        ),
        "after the step": _START + "for x, y in loader:\n" + _PASS + _STEP + "    optimizer.zero_grad()\n",
        "accumulation over four batches": (
            _START
            + "for i, (x, y) in enumerate(loader):\n    loss = nn.functional.cross_entropy(model(x), y) / 4\n"
            "    loss.backward()\n    if (i + 1) % 4 == 0:\n        optimizer.step()\n"
            "        optimizer.zero_grad()\n"
        ),
        "accumulation, zeroed where the next begins": (
            _START
            + "for i, (x, y) in enumerate(loader):\n    if i % 4 == 0:\n        optimizer.zero_grad()\n"
            "    loss = nn.functional.cross_entropy(model(x), y) / 4\n    loss.backward()\n"
            "    if i % 4 == 3:\n        optimizer.step()\n"
        ),
        "accumulation, what is left over zeroed with each epoch": (
            _START
            + "for epoch in range(9):\n    optimizer.zero_grad()\n    for i, (x, y) in enumerate(loader):\n"
            "        loss = nn.functional.mse_loss(model(x), y) / 4\n        loss.backward()\n"
            "        if (i + 1) % 4 == 0:\n            optimizer.step()\n            optimizer.zero_grad()\n"
        ),
        "a step with the last batch": (
            _START
            + "for epoch in range(9):\n    optimizer.zero_grad()\n    for i, (x, y) in enumerate(loader):\n"
            "        loss = nn.functional.mse_loss(model(x), y) / len(loader)\n        loss.backward()\n"
            "        if i == len(loader) - 1:\n            optimizer.step()\n"
        ),
        "a step with the last batch, by a remainder": (
            _START
            + "for epoch in range(9):\n    optimizer.zero_grad()\n    for i, (x, y) in enumerate(loader):\n"
            "        loss = nn.functional.mse_loss(model(x), y) / len(loader)\n        loss.backward()\n"
            "        if (i + 1) % len(loader) == 0:\n            optimizer.step()\n"
        ),
        "by a function that is handed in": (
            "def fit(model, loader, optimizer, criterion, clear):\n    for x, y in loader:\n"
            "        clear()\n        criterion(model(x), y).backward()\n        optimizer.step()\n"
        ),
        "by a function that an object is given": (
            "import torch\nfrom torch import nn\n\nclass Learner:\n    def __init__(self, net, reset_fn):\n"
            "        self.net = net\n        self.reset_fn = reset_fn\n"
            "        self.optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)\n\n"
            "    def fit(self, loader):\n        for x, y in loader:\n            self.reset_fn()\n"
            "            nn.functional.mse_loss(self.net(x), y).backward()\n"
            "            self.optimizer.step()\n"
        ),
        "by what is told of each step": (
            "def fit(model, loader, optimizer, criterion, callbacks):\n"
            "    for i, (x, y) in enumerate(loader):\n"
            "        criterion(model(x), y).backward()\n        optimizer.step()\n"
            "        for callback in callbacks:\n            callback(i)\n"
        ),
        "in a helper": (
            _START
            + "def forget(net):\n    for p in net.parameters():\n        p.grad = None\n\n"
            + "for x, y in loader:\n    forget(model)\n"
            + _PASS
            + _STEP
        ),
        "by the model": _START + "for x, y in loader:\n    model.zero_grad()\n" + _PASS + _STEP,
        "one parameter after the other": (
            _START + "for x, y in loader:\n    for p in model.parameters():\n        if p.grad is not None:\n"
            "            p.grad.zero_()\n" + _PASS + _STEP
        ),
        "another framework": (
            "import mxnet\n\ndef fit(model, loader, optimizer, criterion):\n    for x, y in loader:\n"
            "        criterion(model(x), y).backward()\n        optimizer.step()\n"
        ),
        "code that is not known": (
            "from training_tools import prepare\n"
            + _START
            + "for x, y in loader:\n    prepare(optimizer)\n"
            + _PASS
            + _STEP
        ),
        "one step": (
            "def update(model, optimizer, x, y, criterion):\n    loss = criterion(model(x), y)\n"
            "    loss.backward()\n    optimizer.step()\n    return loss.item()\n"
        ),
        "an engine that steps and zeroes": (
            "def fit(engine, loader, criterion):\n    for x, y in loader:\n"
            "        loss = criterion(engine(x), y)\n        engine.backward(loss)\n        engine.step()\n"
        ),
        "gradients that are not accumulated": (
            "import torch\nfrom torch import nn\n\nmodel = nn.Linear(8, 2)\n"
            "rate = 0.1\nfor x, y in loader:\n    loss = nn.functional.mse_loss(model(x), y)\n"
            "    gradients = torch.autograd.grad(loss, list(model.parameters()))\n    with torch.no_grad():\n"
            "        for p, g in zip(model.parameters(), gradients):\n            p -= rate * g\n"
        ),
        "two optimizers": (
            _GAN + "    for_generator.zero_grad()\n    loss = -critic(generator(torch.randn(16, 4))).mean()\n"
            "    loss.backward()\n    for_generator.step()\n"
        ),
        "optimizers in a list": (
            _START
            + "optimizers = [optimizer, torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)]\n"
            + "for x, y in loader:\n    for each in optimizers:\n        each.zero_grad()\n"
            + _PASS
            + "    loss.backward()\n    for each in optimizers:\n        each.step()\n"
        ),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """From a step on, every way through the loop leads to a backward pass before gradients are zeroed."""
        for of in gradients_of(loop):
            for step, backward in of.kept():
                message = "this pass adds to gradients that a step has used already"
                claim = _claim(of, step, backward)
                yield report(self, loop, backward, message, [(step, "used here")], claim=claim)


def _claim(of: Gradients, step: Event, backward: Event) -> Claim | None:
    """Gradients that add up grow until the weights pass the minimum that they accelerate towards."""
    if step.by:
        return None
    remedy = followed(at(step), new("zero", step.things))
    others = repaired(of.loop, but="zero")
    rehearsal = rehearsed(of.loop, (step, backward), remedy, about=of.optimizer, assumed=others)
    about = subject(of.loop, step, backward)
    condition = ",".join(filter(None, ("steps=20", beneath_clipping(rehearsal))))
    return claimed(Metric.STEP_SCALE, about, 0.3, 1.3, rehearsal, condition=condition, least=0.3)
