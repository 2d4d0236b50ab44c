"""GRD706 rebuilt-loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records import ir
from gradlint.records.finding import Applicability, Claim, Edit, Finding, Fix, Metric, Related, Severity
from gradlint.rule.rewrite import enclosed, lines_alone
from gradlint.rule.rule import Rule
from gradlint.semantics.bindings import walk
from gradlint.semantics.severed import Cut, loss_of, original, severed
from gradlint.semantics.switched import switched_on
from gradlint.semantics.tensor import made, sources
from gradlint.semantics.trace import Trace
from gradlint.semantics.value import ClassObject, Table, Value

_TRAINED = frozenset(
    {f"{module}.LightningModule" for module in ("lightning", "lightning.pytorch", "pytorch_lightning")}
)
_BACKWARD = ("backward", ".backward", ".manual_backward", "manual_backward", "torch.autograd.backward")
_OWN = (
    "import torch\n\ndef step(model, criterion, optimizer, x, y):\n    loss = criterion(model(x), y).mean()\n"
)
_BACK = "    loss.backward()\n    optimizer.step()\n"


class RebuiltLoss(Rule):
    """`backward` starts at a loss that was rebuilt from numbers, so that no parameter gets a gradient.

    ### Why is this bad?
    `torch.tensor(loss)`, `loss.item()`, `Variable(loss.data)` and `loss.detach()` keep the value of a
    loss and drop the graph that computed it. With `requires_grad=True` the error that would tell so
    ("element 0 of tensors does not require grad") is silenced: `backward` runs, fills the gradient of
    the new tensor alone, and the model never learns. The same holds where the model's output was detached
    and `requires_grad` set on the loss of it, and of what `training_step` returns to a trainer that calls
    `backward` on it.

    ### How it is verified
    By a backward pass: of the parameters that computed the loss, none has a gradient afterwards.

    ### When it is fine
    A leaf made from data is no rebuilt loss (the image of an adversarial attack, the start of an
    optimisation). Neither is one whose own gradient is read and handed on, as in training by parts.

    ### Fix safety
    Unsafe: the loss itself takes the place of the rebuilt one, so training does something else from
    then on, namely what was meant.

    ### References
    - [torch.tensor](https://docs.pytorch.org/docs/stable/generated/torch.tensor.html)
    - [torch.Tensor.detach](https://docs.pytorch.org/docs/stable/generated/torch.Tensor.detach.html)
    """

    id = "GRD706"
    name = "rebuilt-loss"
    severity = Severity.ERROR
    help = "call backward on the loss that the model computed"
    triggers: ClassVar[Mapping[str, str]] = {
        "backward(": r"(?<!def )(?<!\w)backward\(",
        "training_step": r"(?<=def )training_step\(",
    }
    bad: ClassVar[Mapping[str, str]] = {
        "data in a variable": (
            "from torch.autograd import Variable\n\ndef train(model, criterion, x, y):\n"
            "    loss = criterion(model(x), y)\n    Variable(loss.data, requires_grad=True).backward()\n"
        ),
        "new tensor": (
            "import torch\n\ndef step(model, optimizer, x, y):\n"
            "    loss = torch.tensor(torch.dist(model(x), y), requires_grad=True)\n    loss.backward()\n"
            "    optimizer.step()\n"
        ),
        "detached": (
            "import torch\n\ndef step(model, x):\n    model(x).mean().detach().requires_grad_().backward()\n"
        ),
        "attribute set": (
            "import torch\n\ndef step(model, x, y):\n    wrong = (model(x).argmax(-1) != y).float().mean()\n"
            "    wrong.requires_grad = True\n    wrong.backward()\n"
        ),
        "switched on behind a detached output": (
            "import torch.nn.functional as F\n\ndef step(model, optimizer, x, y):\n"
            "    out = model(x).detach()\n    loss = F.mse_loss(out, y)\n    loss.requires_grad = True\n"
            "    loss.backward()\n    optimizer.step()\n"
        ),
        "switched on behind arrays": (
            "import torch\n\ndef step(model, criterion, optimizer, x, y):\n"
            "    out = torch.from_numpy(model(x).detach().numpy())\n"
            "    loss = criterion(out, y)\n    loss.requires_grad_(True)\n    loss.backward()\n"
        ),
        "into its own variable": _OWN + "    loss = torch.tensor(loss.item(), requires_grad=True)\n" + _BACK,
        "list of numbers": (
            "import torch as t\n\ndef epoch(model, criterion, loader):\n    losses = []\n"
            "    for x, y in loader:\n        losses.append(criterion(model(x), y).item())\n"
            "    t.tensor(losses, requires_grad=True).mean().backward()\n"
        ),
        "sum of rebuilt parts, scaled": (
            "import torch\n\ndef step(scaler, x, y):\n    a, b = x.mean().item(), y.std().item()\n"
            "    loss = torch.tensor(a) + 0.1 * torch.tensor(b, requires_grad=True)\n"
            "    scaler.scale(loss).backward()\n"
        ),
        "accelerator": (
            "import torch\n\ndef step(self, accelerator, batch, target):\n"
            "    loss = self.criterion(self.model(batch), target)\n"
            "    accelerator.backward(torch.FloatTensor([loss]).requires_grad_())\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "the loss itself": (
            "import torch\n\ndef step(loss, past):\n    past.append(loss.item())\n    loss.backward()\n"
        ),
        "adversarial input": (
            "import torch\n\ndef attack(model, criterion, x, y):\n    x = x.detach().requires_grad_()\n"
            "    loss = criterion(model(x), y)\n    loss.backward()\n    return x.grad.sign()\n"
        ),
        "switched on where it was on": (
            "import torch.nn.functional as F\n\ndef step(model, optimizer, x, y):\n"
            "    loss = F.mse_loss(model(x), y)\n    loss.requires_grad_()\n    loss.backward()\n"
        ),
        "switched on, beside a detached teacher": (
            "import torch.nn.functional as F\n\ndef step(model, teacher, optimizer, x):\n"
            "    loss = F.mse_loss(model(x), teacher(x).detach())\n    loss.requires_grad_(True)\n"
            "    loss.backward()\n"
        ),
        "training by parts": (
            "import torch\n\ndef step(bottom, top, x):\n    hidden = bottom(x)\n"
            "    leaf = hidden.detach().requires_grad_()\n    top(leaf).mean().backward()\n"
            "    hidden.backward(leaf.grad)\n"
        ),
        "starts from zero": (
            "import torch\n\ndef step(model, criterion, loader):\n"
            "    loss = torch.tensor(0.0, requires_grad=True)\n    for x, y in loader:\n"
            "        loss = loss + criterion(model(x), y) * torch.tensor(y.std().item())\n"
            "    loss.backward()\n"
        ),
        "a constant leaf": (
            "import torch\n\nw = torch.tensor([2.0], requires_grad=True)\n(3 * w).sum().backward()\n"
        ),
        "a learned temperature": (
            "import torch\n\n\nclass Temperature:\n    def __init__(self, start):\n"
            "        self.log = torch.log(torch.ones(1) * start).requires_grad_(True)\n\n"
            "    def step(self, entropy):\n"
            "        loss = -(self.log * (entropy + 1.0).detach()).mean()\n        loss.backward()\n"
        ),
        "detached for the log": (
            'def step(fabric, model, x):\n    loss = model(x).mean()\n    fabric.log("loss", loss.detach())\n'
            "    fabric.backward(loss / 4)\n"
        ),
    }
    fixed: ClassVar[Mapping[str, str]] = {
        "data in a variable": (
            "from torch.autograd import Variable\n\ndef train(model, criterion, x, y):\n"
            "    loss = criterion(model(x), y)\n    loss.backward()\n"
        ),
        "new tensor": (
            "import torch\n\ndef step(model, optimizer, x, y):\n    loss = torch.dist(model(x), y)\n"
            "    loss.backward()\n    optimizer.step()\n"
        ),
        "detached": "import torch\n\ndef step(model, x):\n    model(x).mean().backward()\n",
        "into its own variable": _OWN + _BACK,
    }

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report calls of backward whose graph begins at a rebuilt tensor."""
        for backward in trace.applied(*_BACKWARD):
            loss = loss_of(backward)
            rebuilt = severed(loss)
            cut = rebuilt or switched_on(loss)
            if cut is None or _is_read(trace, loss):
                continue
            how = "it was" if rebuilt else "what it is computed of was"
            message = f"no gradient reaches what computed this loss: {how} rebuilt from its value"
            related = (Related(backward.site.node.span, "backward starts here"),)
            claim = Claim(Metric.GRADIENT_ARRIVES, f"{trace.name}:backward", 0.0, 0.0)
            site = cut.application.site if cut.application.site.path == trace.scope.path else backward.site
            yield self.finding(site.node.span, message, claim, related=related, fix=_fix(trace, cut))
        yield from self._returned(trace)

    def _returned(self, trace: Trace) -> Iterator[Finding]:
        """The loss that a method returns from which a library calls backward."""
        cut = severed(_handed_on(trace)) if _is_trained_by_library(trace) else None
        if cut is not None and cut.application.site.path == trace.scope.path:
            message = "no gradient reaches what computed this loss: the trainer is given its value only"
            yield self.finding(cut.application.site.node.span, message, help="return the loss itself")


def _is_trained_by_library(trace: Trace) -> bool:
    """Whether a function is the training step of a class of Lightning that does not go back by itself."""
    function, owner = trace.function, trace.owner
    if owner is None or trace.via is not None or getattr(function, "name", "") != "training_step":
        return False
    return owner.derives_from(_TRAINED) and not any(map(_is_manual, owner.lineage()))


def _is_manual(cls: Value) -> bool:
    nodes = walk(cls.definition) if isinstance(cls, ClassObject) else ()
    return any(isinstance(node, ir.Attribute) and node.name == "automatic_optimization" for node in nodes)


def _handed_on(trace: Trace) -> Value:
    """The loss in what a training step returns: itself, or the entry "loss"."""
    found = trace.returned
    return found.entries.get("loss", found) if isinstance(found, Table) else found


def _is_read(trace: Trace, loss: Value) -> bool:
    """Whether the gradient of what the loss was rebuilt as is asked for."""
    return any(
        a.form == "attribute"
        and getattr(a.site.node, "name", "") == "grad"
        and sources(a.value(0)) & sources(loss)
        for a in trace.everything
    )


def _fix(trace: Trace, cut: Cut) -> Fix | None:
    """The computed loss in place of the rebuilt one."""
    source = original(cut.application) if cut.whole else None
    switches = (a for a in trace.applied("requires_grad_") if made(a.value(0)) is cut.application)
    rebuilt = next(switches, cut.application)
    if source is None or rebuilt.form == "store":
        return None
    written = _written_to_itself(trace, rebuilt.site.node, source.node)
    lines = None if written is None else lines_alone(trace.function.body, written)
    edit = Edit(rebuilt.site.node.span, enclosed(source.node)) if lines is None else Edit(lines, ())
    return Fix("use the loss that was computed", Applicability.UNSAFE, (edit,))


def _written_to_itself(trace: Trace, rebuilt: ir.Expression, source: ir.Expression) -> ir.Assign | None:
    """The statement that puts what was rebuilt into the variable that it came from."""
    for node in walk(trace.function.body):
        if isinstance(node, ir.Assign) and node.value == rebuilt and len(node.targets) == 1:
            target = node.targets[0]
            is_same = isinstance(target, ir.Name) and isinstance(source, ir.Name) and target.id == source.id
            return node if is_same else None
    return None
