"""GRD301 unclipped-recurrent-training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Finding, Severity
from gradlint.records.training import Event
from gradlint.rule.loops import report
from gradlint.rule.rule import Rule
from gradlint.training.known import is_adaptive, is_descent
from gradlint.training.loop import TrainingLoop
from gradlint.training.recurrent import Recurrent, trained_recurrence

_HEAD = "import torch\nfrom torch import nn\n\n"
_NET = (
    "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.rnn = nn.LSTM(32, 64, batch_first=True)\n        self.head = nn.Linear(64, 10)\n\n"
    "    def forward(self, x):\n        out, _ = self.rnn(x)\n        return self.head(out[:, -1])\n\n"
)
_SGD = "model = Net()\noptimizer = torch.optim.SGD(model.parameters(), lr=20)\n"
_LOOP = (
    "for x, y in loader:\n    loss = nn.functional.cross_entropy(model(x), y)\n"
    "    optimizer.zero_grad()\n    loss.backward()\n"
)
_STEP = "    optimizer.step()\n"
_BEFORE = _HEAD + _NET + _SGD + _LOOP
_CELL = (
    "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.mix = nn.Linear(96, 64)\n        self.head = nn.Linear(64, 10)\n\n"
    "    def forward(self, x, h):\n        h = torch.tanh(self.mix(torch.cat([x, h], 1)))\n"
    "        return self.head(h), h\n\n"
)
_MODULE = (
    "import pytorch_lightning as pl\nimport torch\nfrom torch import nn\n\n"
    "class Net(pl.LightningModule):\n    def __init__(self):\n        super().__init__()\n"
    "        self.rnn = nn.GRU(32, 64)\n        self.head = nn.Linear(64, 10)\n\n"
    "    def training_step(self, batch, index):\n        x, y = batch\n"
    "        out, _ = self.rnn(x)\n        return nn.functional.cross_entropy(self.head(out[-1]), y)\n\n"
    "    def configure_optimizers(self):\n"
    "        return torch.optim.SGD(self.parameters(), lr=1.0)\n\n"
)
_WRITTEN = (
    _HEAD + "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.inner, self.outer = nn.Linear(32, 64), nn.Linear(64, 64)\n"
    "        self.head = nn.Linear(64, 10)\n\n"
    "    def forward(self, x):\n        h = torch.zeros(x.size(0), 64)\n"
    "        for step in x.unbind(1):\n            h = torch.tanh(self.inner(step) + self.outer(h))\n"
    "        return self.head(h)\n\n"
)
_MANUAL = "        self.automatic_optimization = False\n"
_OUTSIDE = _HEAD.replace("import torch\n", "import torch\n{}\n") + _NET


class UnclippedRecurrentTraining(Rule):
    """A recurrent network is trained, and nothing bounds its gradients before the step.

    ### Why is this bad?
    Over a sequence of T steps the gradient passes the recurrent weights T times, so it grows as the T-th
    power of how much they stretch. At torch's initialisation they shrink it; training moves them, and
    where the loss falls off a cliff a single step of plain descent goes as far as the gradient is long.
    A language model that `SGD` trains at a rate of 20 goes from a loss of 5.3 to 56 without clipping and
    to 2.4 with it; at a rate of 0.1, or with `Adam` at 1e-3, the same omission changes nothing in the
    first steps. So the finding is a warning for plain descent on plain recurrences, on a summed loss or
    at a raised rate, and a note else.

    ### How it is verified
    No claim: what grows, grows in the course of training on the real data, not in one backward pass.

    ### When it is fine
    Where anything bounds the gradient: `clip_grad_norm_` and `clip_grad_value_`, also in a helper or by
    a library's trainer, a hook that clamps, `.grad` clamped by hand, an optimizer that normalises its
    step; and where unknown code is given the model or the optimizer before the step.

    ### Fix safety
    No fix: the threshold depends on the model, so look at the norm that `clip_grad_norm_` returns first.

    ### References
    - Pascanu, Mikolov, Bengio (2013), On the difficulty of training recurrent neural networks, ICML
    - [nan in the training of a text recogniser](https://github.com/GitYCC/crnn-pytorch/issues/7)
    - [nan at the last iteration](https://github.com/mravanelli/pytorch-kaldi/issues/112)
    """

    id = "GRD301"
    name = "unclipped-recurrent-training"
    severity = Severity.WARNING
    help = "call torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm) between backward and step"
    bad: ClassVar[Mapping[str, str]] = {
        "language model": _BEFORE + _STEP,
        "in functions": (
            _HEAD
            + _NET
            + "def train(model, optimizer, loader):\n    for x, y in loader:\n"
            + "        optimizer.zero_grad()\n        nn.functional.cross_entropy(model(x), y).backward()\n"
            + "        optimizer.step()\n\n"
            + "def main():\n    net = Net()\n"
            + "    train(net, torch.optim.RMSprop(net.parameters(), lr=1e-3), load())\n\nmain()\n"
        ),
        "cell fed by the loop": (
            _HEAD
            + _CELL
            + "model = Net()\noptimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
            + "for line, y in loader:\n    h = torch.zeros(1, 64)\n    optimizer.zero_grad()\n"
            + "    for x in line:\n        out, h = model(x, h)\n"
            + "    nn.functional.cross_entropy(out, y).backward()\n    optimizer.step()\n"
        ),
        "layers of torch": (
            _HEAD
            + "rnn = nn.GRU(8, 64)\nhead = nn.Linear(64, 2)\n"
            + "optimizer = torch.optim.Adam([*rnn.parameters(), *head.parameters()], lr=0.1)\n"
            + "for x, y in loader:\n    optimizer.zero_grad()\n"
            + "    nn.functional.mse_loss(head(rnn(x)[0]), y, reduction='sum').backward()\n"
            + "    optimizer.step()\n"
        ),
        "a method that trains": (
            _HEAD
            + _NET
            + "class Trainer:\n    def __init__(self, loader):\n        self.model = Net()\n"
            + "        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.5, momentum=0.9)\n"
            + "        self.loader = loader\n\n    def fit(self):\n        for x, y in self.loader:\n"
            + "            loss = nn.functional.cross_entropy(self.model(x), y)\n"
            + "            self.optimizer.zero_grad()\n            loss.backward()\n"
            + "            self.optimizer.step()\n"
        ),
        "a trainer of a library": _MODULE + "pl.Trainer(max_epochs=3, precision=16).fit(Net(), loader)\n",
        "an accelerator": (
            _OUTSIDE.format("from accelerate import Accelerator")
            + "accelerator = Accelerator(mixed_precision='fp16')\n"
            + _SGD
            + "model, optimizer, loader = accelerator.prepare(model, optimizer, loader)\n"
            + _LOOP.replace("loss.backward()", "accelerator.backward(loss)")
            + _STEP
        ),
        "clipping turned off": (
            _OUTSIDE.format("from transformers import Trainer, TrainingArguments")
            + "arguments = TrainingArguments('out', max_grad_norm=0, learning_rate=0.1)\n"
            + "Trainer(model=Net(), args=arguments, train_dataset=data).train()\n"
        ),
        "cell over a sequence": (
            _HEAD
            + "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            + "        self.cell = nn.LSTMCell(32, 64)\n        self.head = nn.Linear(64, 10)\n\n"
            + "    def forward(self, x):\n        h = c = torch.zeros(x.size(0), 64)\n"
            + "        for t in range(x.size(1)):\n            h, c = self.cell(x[:, t], (h, c))\n"
            + "        return self.head(h)\n\n"
            + _SGD
            + _LOOP
            + _STEP
        ),
        "written by hand": (_WRITTEN + _SGD.replace("lr=20", "lr=0.1") + _LOOP + _STEP),
        "another model is clipped": (
            _HEAD
            + _NET
            + "critic = nn.Linear(10, 1)\nother = torch.optim.SGD(critic.parameters(), lr=0.1)\n"
            + _SGD
            + "for x, y in loader:\n    out = model(x)\n    other.zero_grad()\n"
            + "    critic(out.detach()).mean().backward()\n"
            + "    nn.utils.clip_grad_norm_(critic.parameters(), 1.0)\n    other.step()\n"
            + "    optimizer.zero_grad()\n    nn.functional.cross_entropy(out, y).backward()\n"
            + "    optimizer.step()\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "clipped by norm": _BEFORE + "    nn.utils.clip_grad_norm_(model.parameters(), 0.25)\n" + _STEP,
        "clipped by value": _BEFORE + "    nn.utils.clip_grad_value_(model.parameters(), 0.25)\n" + _STEP,
        "clipped to a norm that is known": (
            _BEFORE
            + "    norm = nn.utils.get_total_norm([p.grad for p in model.parameters()])\n"
            + "    nn.utils.clip_grads_with_norm_(model.parameters(), 0.25, norm)\n"
            + _STEP
        ),
        "clamped by hand": (
            _BEFORE + "    for p in model.parameters():\n        p.grad.data.clamp_(-1, 1)\n" + _STEP
        ),
        "assigned": (
            _BEFORE
            + "    for p in model.parameters():\n        p.grad = torch.clamp(p.grad, -1, 1)\n"
            + _STEP
        ),
        "hooks that clamp": (
            _HEAD
            + _NET
            + _SGD
            + "for p in model.parameters():\n    p.register_hook(lambda g: g.clamp(-1, 1))\n"
            + _LOOP
            + _STEP
        ),
        "a helper that clips": (
            _HEAD
            + _NET
            + "def limit(net, most=1.0):\n    nn.utils.clip_grad_norm_(net.parameters(), most)\n\n"
            + _SGD
            + _LOOP
            + "    limit(model)\n"
            + _STEP
        ),
        "a helper of another module": (
            _BEFORE.replace("import torch\n", "import torch\nfrom gradients import limit\n", 1)
            + "    limit(model)\n"
            + _STEP
        ),
        "clipped where asked for": (
            _BEFORE
            + "    if config.clip:\n        nn.utils.clip_grad_norm_(model.parameters(), config.clip)\n"
            + _STEP
        ),
        "an optimizer that clips": (
            _BEFORE.replace("torch.optim.SGD", "torch.optim.Adafactor").replace("lr=20", "lr=0.01") + _STEP
        ),
        "an optimizer of the project": (
            _HEAD
            + _NET
            + "class Clipped(torch.optim.SGD):\n    def step(self, closure=None):\n"
            + "        for group in self.param_groups:\n"
            + "            nn.utils.clip_grad_norm_(group['params'], 1.0)\n"
            + "        return super().step(closure)\n\n"
            + _SGD.replace("torch.optim.SGD", "Clipped")
            + _LOOP
            + _STEP
        ),
        "a trainer that clips": (
            _MODULE + "trainer = pl.Trainer(gradient_clip_val=0.5)\ntrainer.fit(Net(), loader)\n"
        ),
        "a trainer told from outside": (
            _MODULE + "trainer = pl.Trainer(gradient_clip_val=config.clip)\ntrainer.fit(Net(), loader)\n"
        ),
        "a module that clips": (
            _MODULE
            + "class Bounded(Net):\n    def on_before_optimizer_step(self, optimizer):\n"
            + "        nn.utils.clip_grad_norm_(self.parameters(), 1.0)\n\n"
            + "pl.Trainer().fit(Bounded(), loader)\n"
        ),
        "a module with a loop of its own": (
            _MODULE.replace(
                "super().__init__()\n", "super().__init__()\n        self.automatic_optimization = False\n"
            )
            .replace("        return nn.functional", "        loss = nn.functional")
            .replace(
                "y)\n\n",
                "y)\n        optimizer = self.optimizers()\n        optimizer.zero_grad()\n"
                "        self.manual_backward(loss)\n"
                "        self.clip_gradients(optimizer, gradient_clip_val=0.5)\n        optimizer.step()\n\n",
            )
            + "pl.Trainer().fit(Net(), loader)\n"
        ),
        "an accelerator that clips": (
            _OUTSIDE.format("from accelerate import Accelerator")
            + "accelerator = Accelerator()\n"
            + _SGD
            + "model, optimizer, loader = accelerator.prepare(model, optimizer, loader)\n"
            + _LOOP.replace("loss.backward()", "accelerator.backward(loss)")
            + "    if accelerator.sync_gradients:\n"
            + "        accelerator.clip_grad_norm_(model.parameters(), 1.0)\n"
            + _STEP
        ),
        "a fabric that clips": (
            _OUTSIDE.format("from lightning.fabric import Fabric")
            + "fabric = Fabric(precision='16-mixed')\n"
            + _SGD
            + "model, optimizer = fabric.setup(model, optimizer)\n"
            + _LOOP.replace("loss.backward()", "fabric.backward(loss)")
            + "    fabric.clip_gradients(model, optimizer, max_norm=1.0)\n"
            + _STEP
        ),
        "clipped by default": (
            _OUTSIDE.format("from transformers import Trainer, TrainingArguments")
            + "arguments = TrainingArguments('out', learning_rate=0.1)\n"
            + "Trainer(model=Net(), args=arguments, train_dataset=data).train()\n"
        ),
        "an engine that clips": (
            _OUTSIDE.format("import deepspeed")
            + _SGD
            + "config = {'train_batch_size': 8, 'gradient_clipping': 1.0}\n"
            + "engine, _, _, _ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)\n"
            + "for x, y in loader:\n    loss = nn.functional.cross_entropy(engine(x), y)\n"
            + "    engine.backward(loss)\n    engine.step()\n"
        ),
        "a learner with a callback that clips": (
            _OUTSIDE.format(
                "from fastai.callback.training import GradientClip\nfrom fastai.learner import Learner"
            )
            + "learner = Learner(loaders, Net(), opt_func=torch.optim.SGD, cbs=[GradientClip(0.5)])\n"
            + "learner.fit_one_cycle(3, 0.1)\n"
        ),
        "no recurrence": (
            _BEFORE.replace("nn.LSTM(32, 64, batch_first=True)", "nn.Linear(32, 64)").replace(
                "out, _ = self.rnn(x)", "out = self.rnn(x).relu()"
            )
            + _STEP
        ),
        "layers of an unknown number": (
            _WRITTEN.replace(
                "    def forward", "        self.layers = nn.ModuleList(made(sizes))\n\n    def forward"
            )
            .replace("for step in x.unbind(1):", "for layer, step in zip(self.layers, x.unbind(1)):")
            .replace("self.outer(h)", "layer(h)")
            + _SGD
            + _LOOP
            + _STEP
        ),
        "refined some times": (
            _WRITTEN.replace("for step in x.unbind(1):", "for _ in range(self.rounds):").replace(
                "self.inner(step)", "self.inner(x)"
            )
            + _SGD
            + _LOOP
            + _STEP
        ),
        "only the head is trained": (
            _BEFORE.replace("SGD(model.parameters()", "SGD(model.head.parameters()") + _STEP
        ),
        "nothing is stepped": _BEFORE,
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """From a backward pass through a recurrence every way leads to the step and none to a bound."""
        for optimizer in loop.optimizers if loop.is_readable else ():
            is_known = all(is_adaptive(t) or is_descent(t) for t in map(loop.type, optimizer))
            if not is_known or loop.may_bound(optimizer):
                continue
            for backward in filter(loop.filling(optimizer), loop.events("backward")):
                first = loop.after(backward, loop.about(optimizer, "step", "escape"))
                steps = [loop.event(n) for n in first.events if loop.event(n).kind == "step"]
                found = trained_recurrence(loop, backward, optimizer) if steps else None
                if found is not None and first.only(*[step.number for step in steps]):
                    yield self._reported(loop, found, backward, steps[0])

    def _reported(self, loop: TrainingLoop, found: Recurrent, backward: Event, step: Event) -> Finding:
        optimizer = loop.thing(min(step.things))
        rate, name = optimizer.settings.get("lr"), optimizer.type.rpartition(".")[2]
        at = f" at a rate of {rate:g}" if isinstance(rate, float | int) else ""
        severity = Severity.WARNING if _is_risky(found, optimizer.type, rate, backward) else Severity.NOTE
        message = f"{name} trains {found.shown}{at} and nothing clips the gradients before its step"
        ends = [(found.place, "the recurrence"), (step, "stepped here")]
        return report(self, loop, backward, message, ends, severity=severity)


def _is_risky(found: Recurrent, optimizer: str, rate: object, backward: Event) -> bool:
    """Whether the norm grows in few steps: measured on models of 64 states and 50 or 200 steps."""
    raised = isinstance(rate, float | int) and rate >= (1.0 if is_descent(optimizer) else 0.05)
    summed = backward.settings.get("reduction") == "sum"
    return raised or (is_descent(optimizer) and (summed or not found.is_gated))
