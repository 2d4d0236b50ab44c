"""GRD503 step-before-backward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Finding, Severity
from gradlint.rule.loops import report
from gradlint.rule.rehearse import at, moved, new, no_gradient, preceded
from gradlint.rule.rule import Rule
from gradlint.steps.gradients import gradients_of
from gradlint.steps.loop import TrainingLoop

_START = """\
import torch
from torch import nn

model = nn.Linear(8, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
"""
_LOOP = _START + "for x, y in loader:\n    optimizer.zero_grad()\n"
_LOSS = "    loss = nn.functional.cross_entropy(model(x), y)\n"


class StepBeforeBackward(Rule):
    """The optimizer steps on gradients that were zeroed, before the backward pass has filled them.

    ### Why is this bad?
    A step without gradients leaves the parameters where they are, except for weight decay and momentum,
    and the gradients that the backward pass computes afterwards are zeroed before the next step: nothing
    is learned, and nothing fails.

    ### How it is verified
    The gradients that 20 steps are given, nothing, over those where the step comes after a backward pass. A
    gradient scaler raises an error where it finds none.

    ### When it is fine
    An optimizer that is given a closure runs the backward pass itself. A single step before the loop,
    as a warm start of a schedule, is left alone, and so is code that fills `.grad` by hand.

    ### Fix safety
    No fix: which of the calls is in the wrong place is not known.

    ### References
    - [Optimization in PyTorch](https://docs.pytorch.org/docs/stable/optim.html#taking-an-optimization-step)
    """

    id = "GRD503"
    name = "step-before-backward"
    severity = Severity.ERROR
    help = "call the optimizer's step after the backward pass"
    bad: ClassVar[Mapping[str, str]] = {
        "no backward pass at all": _LOOP + _LOSS + "    optimizer.step()\n",
        "before the backward pass": _LOOP + _LOSS + "    optimizer.step()\n    loss.backward()\n",
        "before the forward pass": _LOOP + "    optimizer.step()\n" + _LOSS + "    loss.backward()\n",
        "everything from outside": (
            "def fit(model, loader, optimizer, criterion):\n    for x, y in loader:\n"
            "        loss = criterion(model(x), y)\n        optimizer.zero_grad()\n"
            "        optimizer.step()\n        loss.backward()\n"
        ),
        "with a scaler": (
            _LOOP
            + _LOSS
            + "    scaler.step(optimizer)\n    scaler.scale(loss).backward()\n    scaler.update()\n"
        ).replace("for x", "scaler = torch.amp.GradScaler('cuda')\nfor x"),
        "in a class": (
            "import torch\nfrom torch import nn\n\nclass Learner:\n    def __init__(self, net):\n"
            "        self.net = net\n        self.sgd = torch.optim.SGD(net.parameters(), lr=0.1)\n\n"
            "    def fit(self, loader):\n        for x, y in loader:\n            self.net.zero_grad()\n"
            "            self.sgd.step()\n            nn.functional.mse_loss(self.net(x), y).backward()\n"
        ),
        "zeroed by a helper": (
            _START
            + "def begin(net):\n    for p in net.parameters():\n        p.grad = None\n\n"
            + "for epoch in range(3):\n    for x, y in loader:\n        begin(model)\n"
            + "        optimizer.step()\n        nn.functional.cross_entropy(model(x), y).backward()\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "code that is not known may backpropagate": (
            "from losses import backpropagate\n"
            + _LOOP
            + _LOSS
            + "    backpropagate(loss)\n    optimizer.step()\n"
        ),
        "after the backward pass": _LOOP + _LOSS + "    loss.backward()\n    optimizer.step()\n",
        "a closure": (
            _LOOP.replace("SGD", "LBFGS")
            + "    def closure():\n        optimizer.zero_grad()\n"
            + _LOSS.replace("    loss", "        loss")
            + "        loss.backward()\n        return loss\n    optimizer.step(closure)\n"
        ),
        "a closure from outside": (
            "def fit(model, loader, optimizer, closure, criterion):\n    for x, y in loader:\n"
            "        optimizer.zero_grad()\n        optimizer.step(closure)\n"
            "        criterion(model(x), y).backward()\n"
        ),
        "a warm start": (
            _START
            + "optimizer.zero_grad()\noptimizer.step()\nfor x, y in loader:\n"
            + _LOSS
            + "    optimizer.zero_grad()\n    loss.backward()\n    optimizer.step()\n"
        ),
        "gradients written by hand": (
            _LOOP
            + "    for p in model.parameters():\n        p.grad = torch.randn_like(p)\n    optimizer.step()\n"
            + _LOSS
            + "    loss.backward()\n"
        ),
        "by code that is not known": (
            "from ranks import average\n"
            + _LOOP
            + "    average(model, y)\n    optimizer.step()\n"
            + _LOSS
            + "    loss.backward()\n"
        ),
        "with the gradients of the batch before": (
            _START
            + "for x, y in loader:\n    optimizer.step()\n    optimizer.zero_grad()\n"
            + _LOSS
            + "    loss.backward()\n"
        ),
        "two optimizers in turn": (
            _START
            + "other = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)\n"
            + "for x, y in loader:\n    optimizer.zero_grad()\n"
            + _LOSS
            + "    loss.backward()\n    optimizer.step()\n    other.zero_grad()\n"
            + "    optimizer.zero_grad()\n"
        ),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """In a loop, a step comes before the backward pass, right after gradients were zeroed, or without."""
        for of in gradients_of(loop):
            for zero, step in of.idle():
                late = of.around(step, of.filled.values(), of.writing, of.about("step"))
                passes = [each for n, each in sorted(of.filled.items()) if n in late.events]
                if passes and loop.before(step, of.filling).ends:
                    ends = [(zero, "zeroed here"), (passes[0], "filled only here")]
                    claim = no_gradient(loop, step, (zero, passes[0]), moved(at(step), at(*passes)))
                    message = "steps before the backward pass, on no gradient"
                    yield report(self, loop, step, message, ends, claim=claim)
            for forward, step in of.forgotten():
                ends = [(forward, "what is computed here is never backpropagated")]
                remedy = preceded(at(step), new("backward", of=[forward.number]))
                claim = no_gradient(loop, step, (forward,), remedy)
                message = "steps, but no backward pass gives it a gradient"
                yield report(self, loop, step, message, ends, claim=claim)
