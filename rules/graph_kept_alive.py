"""GRD507 graph-kept-alive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.records.training import Event
from gradlint.rule.loops import report, subject
from gradlint.rule.rehearse import Change, at, claimed, rehearsed, told, without
from gradlint.rule.rule import Rule
from gradlint.steps.kept import kept
from gradlint.steps.loop import TrainingLoop

_START = """\
import torch
from torch import nn

model = nn.Linear(8, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
total = 0
"""
_LOOP = (
    _START
    + """\
for x, y in loader:
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
"""
)


_METER = """\
class Meter:
    def __init__(self):
        self.sum = 0.0

    def update(self, value):
        self.sum += value

meter = Meter()
"""


class GraphKeptAlive(Rule):
    """The graph of every batch is kept beyond its backward pass, for nothing.

    ### Why is this bad?
    A loss holds the graph that it was computed by. A running sum of losses holds the graphs of all batches
    so far, a list of them too, and `retain_graph=True` the activations of a pass that is not used again:
    memory grows from step to step until there is none left, and the sum is slower with every term.

    ### How it is verified
    How many graphs of one iteration are held after 20 of them, beyond those where the sum is of numbers or
    the graph is not retained: all 20, or the last.

    ### When it is fine
    Sums of `loss.item()`, `loss.detach()` or `float(loss)`; a sum that is passed back itself; graphs that
    a second backward pass, or `torch.autograd.grad`, goes through again.

    ### Fix safety
    No fix: what else the number is used for is not known.

    ### References
    - [My model reports out of memory](https://docs.pytorch.org/docs/stable/notes/faq.html)
    """

    id = "GRD507"
    name = "graph-kept-alive"
    severity = Severity.WARNING
    help = "add up loss.item() or loss.detach(), and keep no graph that is not used again"
    bad: ClassVar[Mapping[str, str]] = {
        "a running sum": _LOOP + "    total += loss\n",
        "a running sum, written out": _LOOP + "    total = total + loss * x.size(0)\n",
        "a running sum in a function": (
            "from torch import nn\n\ndef fit(net, loader, optimizer):\n    running = 0.0\n"
            "    for x, y in loader:\n        optimizer.zero_grad()\n"
            "        loss = nn.functional.mse_loss(net(x), y)\n        running += loss\n"
            "        loss.backward()\n        optimizer.step()\n    return running / len(loader)\n"
        ),
        "a list": _LOOP.replace("total = 0", "losses = []") + "    losses.append(loss)\n",
        "a sum of terms": (
            _LOOP.replace("(model(x), y)", "(model(x), y) + 0.1 * model(x).square().mean()")
            + "    total = total + loss\n"
        ),
        "a loss of a function": (
            "import torch.nn.functional as F\n\ndef loss_of(out, y):\n"
            "    entropy = F.binary_cross_entropy_with_logits(out, y, reduction='sum')\n"
            "    return entropy - 0.5 * (1 - out.pow(2)).sum()\n\n"
            + _LOOP.replace("nn.functional.cross_entropy", "loss_of")
            + "    total += loss\n"
        ),
        "a sum of a list of terms": (
            _LOOP.replace("loss = ", "parts = [model(x).abs().mean(), ").replace(
                "(model(x), y)\n", "(model(x), y)]\n    loss = sum(parts)\n"
            )
            + "    total += loss\n"
        ),
        "a list that is added to": (_LOOP.replace("total = 0", "losses = []") + "    losses += [loss]\n"),
        "a list and one more": (_LOOP.replace("total = 0", "losses = []") + "    losses = losses + [loss]\n"),
        "a list in an attribute": (
            "import torch\nfrom torch import nn\n\nclass Learner:\n    def __init__(self, net):\n"
            "        self.net, self.history = net, []\n"
            "        self.optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)\n\n"
            "    def fit(self, loader):\n        for x, y in loader:\n"
            "            self.optimizer.zero_grad()\n"
            "            loss = nn.functional.mse_loss(self.net(x), y)\n"
            "            loss.backward()\n            self.optimizer.step()\n"
            "            self.history.append(loss)\n"
        ),
        "a meter": _METER + _LOOP + "    meter.update(loss)\n",
        "a mean, in an attribute": (
            "from torch import nn\n\nclass Learner:\n    def __init__(self, net, optimizer):\n"
            "        self.net, self.optimizer, self.total = net, optimizer, 0.0\n\n"
            "    def fit(self, loader):\n        for x, y in loader:\n"
            "            loss = (self.net(x) - y).square().mean()\n            self.optimizer.zero_grad()\n"
            "            loss.backward()\n            self.optimizer.step()\n            self.total += loss\n"
        ),
        "a graph that is retained": _LOOP.replace("backward()", "backward(retain_graph=True)"),
        "a graph of the gradients": _LOOP.replace("backward()", "backward(create_graph=True)"),
        "with a scaler": (
            _LOOP.replace("loss.backward()", "scaler.scale(loss).backward(retain_graph=True)")
            .replace("optimizer.step()", "scaler.step(optimizer)\n    scaler.update()")
            .replace("total = 0", "total, scaler = 0, torch.amp.GradScaler('cuda')")
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "a list of numbers": _LOOP.replace("total = 0", "losses = []") + "    losses.append(loss.item())\n",
        "a list of what is detached": (
            _LOOP.replace("total = 0", "losses = []") + "    losses.append(loss.detach())\n"
        ),
        "a list that is passed back": (
            _START.replace("total = 0", "losses = []")
            + "for x, y in loader:\n    losses.append(nn.functional.cross_entropy(model(x), y))\n"
            "    if len(losses) == 8:\n        sum(losses).backward()\n        optimizer.step()\n"
            "        optimizer.zero_grad()\n        losses.clear()\n"
        ),
        "a list of the last losses": (
            _LOOP.replace("total = 0", "losses = []") + "    losses.append(loss)\n    losses = losses[-10:]\n"
        ),
        "the last ones of a longer list": (
            _LOOP.replace("total = 0", "losses = []")
            + "    losses = losses + [loss]\n    losses = losses[-10:]\n"
        ),
        "a list of every tenth loss": (
            _LOOP.replace("total = 0", "losses = []").replace(
                "for x, y in loader", "for i, (x, y) in enumerate(loader)"
            )
            + "    if i % 10 == 0:\n        losses.append(loss)\n"
        ),
        "a list that is emptied": (
            _LOOP.replace("total = 0", "losses = []")
            + "    losses.append(loss)\n    if len(losses) > 99:\n        del losses[:]\n"
        ),
        "numbers that are added to a list": (
            _LOOP.replace("total = 0", "losses = []") + "    losses += [loss.item()]\n"
        ),
        "terms as numbers": (
            _LOOP.replace("(model(x), y)", "(model(x), y) + model(x).square().mean()")
            + "    total = total + loss.item()\n"
        ),
        "terms that are summed before the pass": (
            _LOOP.replace("    loss = ", "    loss = 0\n    loss += model(x).square().mean()\n    loss += ")
        ),
        "a number": _LOOP + "    total += loss.item()\n",
        "a meter of numbers": _METER + _LOOP + "    meter.update(loss.item())\n",
        "a meter that is passed back": (
            _METER
            + _LOOP.replace(
                "loss.backward()", "meter.sum = 0\n    meter.update(loss)\n    meter.sum.backward()"
            )
        ),
        "detached": _LOOP + "    total += loss.detach()\n",
        "converted": _LOOP + "    total += float(loss)\n",
        "data": _LOOP + "    total += loss.data\n",
        "without gradients": _LOOP + "    with torch.no_grad():\n        total += loss\n",
        "a sum that is passed back": (
            _START
            + "for x, y in loader:\n    optimizer.zero_grad()\n    loss = 0\n    for part in x:\n"
            + "        loss += nn.functional.cross_entropy(model(part), y)\n    loss.backward()\n"
            + "    optimizer.step()\n"
        ),
        "a sum that is returned": (
            "from torch import nn\n\ndef loss_of(net, loader):\n    total = 0\n    for x, y in loader:\n"
            "        total += nn.functional.mse_loss(net(x), y)\n    return total\n\n"
            "def fit(net, loader, optimizer):\n    optimizer.zero_grad()\n"
            "    loss_of(net, loader).backward()\n    optimizer.step()\n"
        ),
        "a graph that is used twice": (
            _START
            + "for x, y in loader:\n    optimizer.zero_grad()\n    out = model(x)\n"
            + "    nn.functional.cross_entropy(out, y).backward(retain_graph=True)\n"
            + "    out.square().mean().backward()\n    optimizer.step()\n"
        ),
        "a penalty on the gradients": (
            _START
            + "for x, y in loader:\n    optimizer.zero_grad()\n    x.requires_grad_()\n"
            + "    loss = nn.functional.cross_entropy(model(x), y)\n    loss.backward(create_graph=True)\n"
            + "    x.grad.square().sum().backward()\n    optimizer.step()\n"
        ),
        "the last loss of an epoch": (
            _START
            + "for epoch in range(9):\n    for x, y in loader:\n        optimizer.zero_grad()\n"
            + "        loss = nn.functional.cross_entropy(model(x), y)\n        loss.backward()\n"
            + "        optimizer.step()\n    total = total + loss\n"
        ),
        "a plain backward pass": _LOOP,
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """A loss that is passed back is added to what outlives the iteration, or its graph is retained."""
        if not loop.is_readable:
            return
        passes = list(loop.events("backward"))
        for keep in loop.events("keep"):
            used = [each for each in passes if keep.source <= each.source and _is_beside(loop, keep, each)]
            is_loss = keep.is_certain and keep.settings.get("loss") is True
            is_list = keep.settings.get("list") is True
            if is_list and not _is_put_away(loop, keep, passes):
                continue
            if is_loss and used and not any(each.states & keep.states for each in passes):
                message = (
                    f"what is {'put into a list' if is_list else 'added up'} keeps the graph of every batch"
                )
                claim = _claim(loop, keep, used[0], without(at(keep)), 20)
                yield report(self, loop, keep, message, [(used[0], "the graph is used here")], claim=claim)
        for backward in passes:
            if _retains(backward) and not _is_used_again(loop, backward):
                released = told(at(backward), retain_graph=None, create_graph=None)
                claim = _claim(loop, backward, backward, released, 1)
                message = "the graph is retained, and nothing uses it again"
                yield report(self, loop, backward, message, claim=claim)


def _claim(loop: TrainingLoop, event: Event, backward: Event, remedy: Change, graphs: int) -> Claim | None:
    rehearsal = rehearsed(loop, (backward, event), remedy)
    about = subject(loop, backward, event)
    return claimed(Metric.KEPT_GRAPHS, about, graphs / 2, graphs, rehearsal, least=graphs / 2)


def _is_beside(loop: TrainingLoop, keep: Event, backward: Event) -> bool:
    """Whether something is kept in every iteration of the loop in which it is passed back."""
    points = loop.around(backward)
    return bool(points) and loop.point(keep) in points


def _is_put_away(loop: TrainingLoop, keep: Event, passes: list[Event]) -> bool:
    """Whether something is put into a list behind each of its backward passes, which nothing goes through
    again, and nothing is taken out of a list in the same loop.
    """
    through = [each for each in passes if each.source & keep.source or not each.source]
    released = [e for e in loop.events("release") if loop.point(e) in loop.around(keep)]
    if len(through) != 1 or _retains(through[0]) or released:
        return False
    (backward,) = through
    before = loop.before(keep, lambda event: event.number in {*keep.source, backward.number})
    behind = loop.after(backward, lambda event: event.number in {keep.number, backward.number})
    is_always = before.only(backward.number) and behind.only(keep.number)
    return is_always and loop.around(keep) == loop.around(backward)


def _retains(backward: Event) -> bool:
    """Whether a backward pass certainly keeps the graph of something that is all in this loop."""
    retains = backward.settings.get("retain_graph") is True or backward.settings.get("create_graph") is True
    return retains and backward.is_certain and bool(backward.source) and not backward.states


def _is_used_again(loop: TrainingLoop, backward: Event) -> bool:
    """Whether anything else may go through the graph of a backward pass, or read its gradients."""
    others = [each for each in loop.events("backward", "grad", "lend") if each.number != backward.number]
    shared = any(each.source & backward.source for each in others)
    unknown = any(not each.source for each in others if each.kind == "backward")
    made = backward.settings.get("create_graph") is True and any(loop.events("read", "escape"))
    by_model = any(left.backward.number == backward.number for left in kept(loop))
    return shared or unknown or made or by_model or any(loop.events("escape"))
