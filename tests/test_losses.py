"""What the rules about losses claim, held against real forward and backward passes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

from gradlint.flow.objective import Objective
from gradlint.graph.build import Builder
from gradlint.lint.check_text import check_text
from gradlint.lint.models import Texts
from gradlint.mathematics.loss_gradient import FAR, gradient_left
from gradlint.records.finding import Claim, Metric
from gradlint.rule.registry import load
from gradlint.rule.rule import Rule, subject_of
from gradlint.semantics.project import Project

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = pytest.mark.torch

RULES = [rule for rule in load() if subject_of(rule) is Objective]
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "softmax": lambda z: z.softmax(-1),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "relu6": F.relu6,
    "hardtanh": F.hardtanh,
    "hardsigmoid": F.hardsigmoid,
    "softsign": F.softsign,
}
LOSSES = (
    *("cross_entropy", "nll_loss", "kl_div", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"),
    *("binary_cross_entropy_with_logits", "multilabel_soft_margin_loss", "binary_cross_entropy"),
)
OVER_CLASSES = ("cross_entropy", "nll_loss", "kl_div")


def confidently_wrong(classes: int) -> Any:
    values = [-FAR, FAR, *[0.0] * (classes - 2)][:classes]
    return torch.tensor([values], dtype=torch.float64, requires_grad=True)


def slope(loss: str, a: Any, z: Any) -> float:
    """∂L/∂z₀ of the loss, summed, for the target that is 1 at class 0."""
    target = torch.zeros_like(a)
    target[..., 0] = 1
    function = getattr(F, loss)
    if loss in ("cross_entropy", "nll_loss"):
        target = target.argmax(-1)
    total = function(a, target, reduction="sum")
    if loss == "multilabel_soft_margin_loss":
        total = total * a.shape[-1]
    (gradient,) = torch.autograd.grad(total, z, allow_unused=True)
    return 0.0 if gradient is None else float(gradient.reshape(-1)[0])


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "binary_cross_entropy"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("classes", [1, 2, 10])
def test_the_share_is_what_autograd_gives(activation: str, loss: str, classes: int) -> None:
    if classes == 1 and (activation == "softmax" or loss in OVER_CLASSES):
        pytest.skip("one class of one")
    z = confidently_wrong(classes)
    by_element = activation != "softmax" and loss not in OVER_CLASSES
    fused = slope("binary_cross_entropy_with_logits" if by_element else "cross_entropy", z, z)
    measured = slope(loss, ACTIVATIONS[activation](z), z) / fused
    assert gradient_left(activation, loss, classes) == pytest.approx(abs(measured), rel=1e-6, abs=1e-300)


class Met(Exception):  # noqa: N818
    """The first loss that depends on the logits, with the share of the gradient that it leaves."""

    def __init__(self, share: float) -> None:
        super().__init__(share)
        self.share = share


class Bench:
    """Runs a case with logits that are confidently wrong behind every layer, up to its first loss."""

    def __init__(self, losses: tuple[str, ...] = LOSSES) -> None:
        self.losses = losses
        self.z: Any = None

    def replace(self, module: Any, inputs: Any, output: Any) -> Any:
        """A hook: the last layer decides."""
        self.z = torch.zeros_like(output, dtype=torch.float64).flatten(1)
        self.z[:, 0] = -FAR
        self.z[:, 1:2] = FAR
        self.z = self.z.view_as(output).detach().requires_grad_()
        return self.z.clone()

    def loss(self, name: str) -> Callable[..., Any]:
        original = getattr(F, name)

        def measured(input: Any, target: Any, *rest: Any, **named: Any) -> Any:
            if not input.requires_grad:
                return torch.zeros(())
            with mock.patch.object(F, name, original):
                share = slope(name, input, self.z)
            raise Met(abs(share))

        return measured

    def run(self, code: str) -> float | None:
        """The share, or None where no loss of what is trained was met."""
        module = ModuleType("case")
        patches = [mock.patch.object(F, name, self.loss(name)) for name in self.losses]
        patches.append(mock.patch.object(F, "dropout", lambda x, *rest, **named: x))
        hook = torch.nn.modules.module.register_module_forward_hook(self._layer)
        torch.set_default_dtype(torch.float64)
        try:
            for patch in patches:
                patch.start()
            exec(compile(code, "case.py", "exec"), vars(module))
            for entry in entries(module):
                entry()
        except Met as met:
            return met.share
        finally:
            torch.set_default_dtype(torch.float32)
            hook.remove()
            for patch in patches:
                patch.stop()
        return None

    def _layer(self, module: Any, inputs: Any, output: Any) -> Any:
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            return self.replace(module, inputs, output)
        return None


def entries(module: ModuleType) -> Iterator[Callable[[], Any]]:
    """The functions and trainers of a case, called with tensors that its model takes."""
    model = next(m for n, m in vars(module).items() if n == "Net")()
    first = next(m for m in model.modules() if isinstance(m, (torch.nn.Linear, torch.nn.Conv2d)))
    x = torch.randn(1, *(first.weight.shape[1:2] if first.weight.dim() == 2 else (3, 1, 1)))
    y = torch.zeros(1, 1, dtype=torch.long)
    given = {"loader": [(x, y)], "y": y, "teacher": lambda x: torch.randn(1, 5), "weight": None}
    given |= {"mode": "b", "logits": True, "net": model}
    for value in list(vars(module).values()):
        if inspect.isfunction(value) and value.__module__ == "case" and value.__name__ != "block":
            names = inspect.signature(value).parameters
            arguments = {n: given.get(n, x) for n, p in names.items() if p.default is p.empty}
            yield partial(value, **arguments)
    trainer = vars(module).get("Trainer")
    if trainer is not None:
        yield lambda: trainer().step(x, x)
    yield lambda: model(x, x) if "labels" in inspect.signature(model.forward).parameters else None


def claimed(rule: type[Rule], code: str) -> list[Claim]:
    return [f.claim for f in check_text(code, [rule]) if f.claim is not None]


BAD = [pytest.param(r, r.bad[n], id=f"{r.id}-{n}") for r in RULES for n in r.bad if claimed(r, r.bad[n])]


@pytest.mark.parametrize(("rule", "code"), BAD)
def test_bad_cases_leave_what_is_claimed(rule: type[Rule], code: str) -> None:
    (claim, *_) = claimed(rule, code)
    share = Bench().run(code)
    assert claim.metric is Metric.LOSS_GRADIENT
    assert share is not None
    assert share <= claim.bound
    assert share == pytest.approx(claim.predicted, rel=0.3, abs=1e-12)


OF_LOGITS = [rule for rule in RULES if rule.id in ("GRD801", "GRD802", "GRD803")]
GOOD = [pytest.param(code, id=f"{rule.id}-{name}") for rule in OF_LOGITS for name, code in rule.good.items()]


@pytest.mark.parametrize("code", GOOD)
def test_good_cases_leave_the_gradient(code: str) -> None:
    share = Bench(tuple([name for name in LOSSES if name != "mse_loss"])).run(code)
    assert share is None or share > 0.1


def losses_of(code: str) -> list[list[str]]:
    """For every loss of a file, what came before it, up to the nearest layer."""
    texts = Texts()
    texts._texts["train.py"] = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n" + code
    project = Project(texts.facts, texts.lower)
    scope = project.scope("train.py")
    graphs = list(Builder(project).objectives(scope, texts.text("train.py")))
    return [
        [loss.op, *sorted({node.op for node in objective.sources(loss.inputs[0])})]
        for objective in map(Objective, graphs)
        for loss in objective.losses()
    ]


NET = """
class Net(nn.Module):
    def __init__(self, last=None):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.last = last

    def forward(self, x):
        x = self.fc(x)
        return x if self.last is None else self.last(x)


"""


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param(
            "def train(model, loss_fn, loader):\n    for x, y in loader:\n        loss_fn(model(x), y)\n\n\n"
            "def main(loader):\n    for epoch in range(30):\n"
            "        train(Net(F.relu), nn.CrossEntropyLoss(), loader)\n",
            [["cross_entropy", "relu"]],
            id="model and loss are handed on, one epoch is enough",
        ),
        pytest.param(
            "net = Net(nn.Tanh())\nnet = nn.parallel.DistributedDataParallel(net.cuda())\n\n\n"
            "def step(x, y):\n    return F.mse_loss(net.module(x), y)\n\n\nstep(None, None)\n",
            [["mse_loss", "tanh"]],
            id="globals of a script that are bound twice",
        ),
        pytest.param(
            "def step(x, y, flag):\n    out = Net()(x)\n    out = out.sigmoid() if flag else out\n"
            "    return F.cross_entropy(out, y)\n",
            [["cross_entropy", "linear", "sigmoid"]],
            id="a branch that is not known",
        ),
        pytest.param(
            "def step(x, y):\n    with torch.no_grad():\n        return F.cross_entropy(Net()(x), y)\n",
            [["cross_entropy", "detach"]],
            id="without gradient",
        ),
        pytest.param(
            "def step(x, y):\n    from torchvision import models\n"
            "    model = models.resnet18(weights='DEFAULT')\n    model.fc = Net(nn.Softmax(1))\n"
            "    return F.cross_entropy(model.cuda()(x), y)\n",
            [["cross_entropy", "softmax"]],
            id="a pretrained model with a new last layer",
        ),
        pytest.param(
            "class Task:\n    loss = staticmethod(F.cross_entropy)\n\n    def __init__(self):\n"
            "        self.net = Net()\n        self.fn = {'a': nn.MSELoss(), 'b': nn.L1Loss()}\n\n"
            "    def step(self, x, y=None):\n        if y is not None:\n"
            "            return self.fn['b'](self.net(x), y)\n",
            [["l1_loss", "linear"]],
            id="a loss out of a dictionary, with a target that may be left out",
        ),
    ],
)
def test_training_code_is_followed_to_its_losses(code: str, expected: list[list[str]]) -> None:
    assert losses_of(NET + code) == expected
