"""GRD704 frozen-by-accident."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Claim, Finding, Metric, Related, Severity
from gradlint.rule.rule import Rule
from gradlint.rule.switch import called, spelt
from gradlint.semantics.freezing import frozen_in_optimizer, misspelt, on_modules
from gradlint.semantics.interpretation import Site
from gradlint.semantics.trace import Trace

_OWN = """from torch import nn

class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 8)

    def forward(self, x):
        return self.layer(x)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.head = Encoder(), nn.Linear(8, 2)
        self.encoder.{}

    def forward(self, x):
        return self.head(self.encoder(x))
"""


class FrozenByAccident(Rule):
    """Parameters are frozen, or meant to be, by something that does not do what it says.

    ### Why is this bad?
    Python lets any attribute be set. `p.require_grad = False`, `p.requires_grad_ = False` and
    `model.requires_grad = False` (a module has no such switch) all run, and all parameters go on
    being trained. The other way round, an optimizer takes parameters that require no gradient
    without a word and never moves them.

    ### How it is verified
    By a backward pass: whether a gradient arrives at the parameters in question, against what the
    code says.

    ### When it is fine
    Where a new head is put on a frozen model or a part of it is thawed, before or after; where the
    frozen module is another one than that which is optimized (a teacher); where freezing depends on
    an option; where the attribute is one of the code's own that it reads elsewhere.

    ### Fix safety
    Unsafe: from then on the parameters are trained, or are not, as the code says.

    ### References
    - [Locally disabling gradient computation](https://docs.pytorch.org/docs/stable/notes/autograd.html)
    - [torch.nn.Module.requires_grad_](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html)
    """

    id = "GRD704"
    name = "frozen-by-accident"
    severity = Severity.ERROR
    help = "set requires_grad on tensors, call requires_grad_ on modules, optimize what requires a gradient"
    triggers: ClassVar[Mapping[str, str]] = {
        ".req": r"\.req\w*[gG]rad\w*(?:\s*=(?!=)|\(\s*(?:requires_grad\s*=\s*)?False)",
        "([": r"(?:(?<=SGD)|(?<=Adam)|(?<=AdamW)|(?<=RMSprop)|(?<=LBFGS)|(?<=Adagrad))\(\[",
    }
    bad: ClassVar[Mapping[str, str]] = {
        "misspelt": "def freeze(model):\n    for p in model.parameters():\n        p.require_grad = False\n",
        "method replaced": (
            "import torch\n\nw = torch.nn.Parameter(torch.ones(4))\nw.requires_grad_ = False\n"
        ),
        "attribute of a module": (
            "from torchvision import models\n\nnet = models.resnet18()\nnet.requires_grad = False\n"
        ),
        "all frozen, then optimized": (
            "import torch\n\ndef train(model):\n    for p in model.parameters():\n"
            "        p.requires_grad = False\n    return torch.optim.SGD(model.parameters(), lr=0.1)\n"
        ),
        "frozen as a whole": (
            "import torch\n\ndef train(model):\n    model.requires_grad_(False)\n"
            "    return torch.optim.SGD(model.parameters(), lr=0.1)\n"
        ),
        "moved, then frozen as a whole": (
            "import torch\n\ndef train(model):\n"
            '    model = model.to("cpu").requires_grad_(requires_grad=False)\n'
            "    return torch.optim.Adam(model.train().parameters())\n"
        ),
        "frozen by a helper": (
            "from torch import nn, optim\n\ndef freeze(module):\n"
            "    for name, p in module.named_parameters():\n        p.requires_grad_(False)\n\n"
            "def prepare(net: nn.Module):\n    freeze(net)\n"
            '    return optim.Adam([{"params": net.parameters(), "lr": 1e-3}])\n'
        ),
        "all frozen, and the losses made to require a gradient": (
            "import torch\n\ndef train(x, y):\n    model = torch.nn.Linear(16, 16)\n"
            "    for p in model.parameters():\n        p.requires_grad = False\n"
            "    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
            "    first, second = (model(x) - y).sum(), torch.nn.functional.mse_loss(model(x), y)\n"
            "    first.requires_grad_()\n    first.backward()\n"
            "    second.requires_grad = True\n    (2 * second).backward()\n"
            "    optimizer.step()\n"
        ),
        "a tensor without a gradient": (
            "import torch\n\nw, b = torch.ones(3, requires_grad=True), torch.zeros(1)\n"
            "optimizer = torch.optim.SGD([w, b])\n"
        ),
        "attribute of an own module": (_OWN.format("requires_grad = False")),
    }
    good: ClassVar[Mapping[str, str]] = {
        "new head": (
            "import torch\nimport torchvision\n\nmodel = torchvision.models.resnet18()\n"
            "for p in model.parameters():\n    p.requires_grad = False\nmodel.fc = torch.nn.Linear(512, 10)\n"
            "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        ),
        "part thawed": (
            "import torch\n\ndef f(net):\n    net.requires_grad_(False)\n    net.fc.requires_grad_()\n"
            "    return torch.optim.Adam(net.parameters())\n"
        ),
        "by name": (
            "import torch\n\ndef prepare(model):\n    for name, p in model.named_parameters():\n"
            '        if name.startswith("head"):\n            continue\n        p.requires_grad = False\n'
            "    return torch.optim.AdamW(model.parameters())\n"
        ),
        "part thawed elsewhere": (
            "import torch\nfrom helpers import unfreeze\n\ndef f(net):\n    net.requires_grad_(False)\n"
            "    unfreeze(net.fc)\n    return torch.optim.Adam(net.parameters())\n"
        ),
        "parts thawed by methods of theirs": (
            "import torch\n\ndef f(net):\n    for p in net.parameters():\n        p.requires_grad = False\n"
            "    for block in net.blocks[-2:]:\n        block.unfreeze()\n"
            "    return torch.optim.Adam(net.parameters())\n"
        ),
        "teacher": (
            "import copy\nimport torch\n\ndef distil(student):\n"
            "    teacher = copy.deepcopy(student).requires_grad_(False)\n    for p in teacher.parameters():\n"
            "        p.requires_grad = False\n    return torch.optim.SGD(student.parameters(), lr=0.1)\n"
        ),
        "an option": (
            "import torch\n\ndef prepare(model, args):\n    if args.freeze:\n"
            "        model.requires_grad_(False)\n"
            "    return torch.optim.SGD(model.parameters(), lr=args.lr)\n"
        ),
        "thawed later": (
            "import torch\n\ndef train(model, epochs):\n    model.requires_grad_(False)\n"
            "    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n    for epoch in range(epochs):\n"
            "        model.requires_grad_(epoch > 2)\n        optimizer.step()\n"
        ),
        "an attribute of one's own": (
            "class Value:\n    def __init__(self, data):\n"
            "        self.data, self.require_grad = data, False\n\ndef leaf(config):\n"
            "    config.require_grads = True\n    return config.require_grads\n"
        ),
        "tensors with a gradient": (
            "import torch\n\nw = torch.zeros(3).requires_grad_()\nb = torch.nn.Parameter(torch.zeros(1))\n"
            "s = torch.ones(1)\ns.requires_grad = True\n"
            'optimizer = torch.optim.Adam([w, {"params": [b, s]}])\n'
        ),
    }
    fixed: ClassVar[Mapping[str, str]] = {
        "misspelt": "def freeze(model):\n    for p in model.parameters():\n        p.requires_grad = False\n",
        "method replaced": "import torch\n\nw = torch.nn.Parameter(torch.ones(4))\nw.requires_grad = False\n",
        "attribute of a module": (
            "from torchvision import models\n\nnet = models.resnet18()\nnet.requires_grad_(False)\n"
        ),
        "attribute of an own module": (_OWN.format("requires_grad_(False)")),
    }

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report switches that switch nothing, and what an optimizer cannot move."""
        for store in misspelt(trace):
            message = f"setting {store.name} changes nothing: requires_grad stays as it was"
            yield self.finding(
                store.site.node.span, message, _claim(trace, store.site, 1.0), fix=spelt(store)
            )
        for store in on_modules(trace):
            message = "a module has no requires_grad: that of its parameters stays as it was"
            yield self.finding(
                store.site.node.span, message, _claim(trace, store.site, 1.0), fix=called(store)
            )
        for given in frozen_in_optimizer(trace):
            what = (
                "all that the optimizer is given was frozen"
                if given.is_module
                else "this requires no gradient"
            )
            related = (Related(given.frozen.node.span, "frozen here" if given.is_module else "made here"),)
            place = given.operand.node.span
            claim = _claim(trace, given.optimizer.site, 0.0)
            yield self.finding(place, f"{what}: it never moves", claim, related=related)


def _claim(trace: Trace, site: Site, share: float) -> Claim:
    """The share of the parameters at which a gradient arrives."""
    return Claim(Metric.GRADIENT_ARRIVES, f"{trace.name_at(site)}:parameters", share, share)
