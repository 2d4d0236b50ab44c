"""GRD201 uninitialised-parameter."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.model import Model
from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.rule.rule import Rule

_HEAD = "import torch\nfrom torch import nn\n\nclass Net(nn.Module):\n    def __init__(self):\n"
_FILLED = "uninitialised memory is filled"
_FORWARD = "\n    def forward(self, x):\n        return x @ self.weight\n"


def _net(*constructor: str, forward: str = _FORWARD) -> str:
    """A module with these lines in its constructor."""
    lines = ("super().__init__()", *constructor)
    return _HEAD + "".join(f"        {line}\n" for line in lines) + forward


class UninitialisedParameter(Rule):
    """A parameter is made of memory that nothing writes before training.

    ### Why is this bad?
    `torch.empty` and `torch.Tensor(n, m)` hand out memory as it is: zeros on a fresh page, else what was
    there before, be it 1e30 or nan. The same code trains in one run and fails in the next.

    ### How it is verified
    The model is made with `torch.use_deterministic_algorithms(True)`, under which torch fills such memory
    with nan: the variance of the parameter is finite only where something wrote it.

    ### When it is fine
    Where the constructor, `reset_parameters`, an initialiser given to `apply` or a loop over the parameters
    writes it, also in a base class, or code outside of the constructor does (a method that callers run,
    a checkpoint that the class loads).

    ### Fix safety
    No fix is offered: which distribution belongs there depends on the layer.

    ### References
    - [torch.empty](https://docs.pytorch.org/docs/stable/generated/torch.empty.html)
    - [torch.utils.deterministic](https://docs.pytorch.org/docs/stable/deterministic.html)
    - [An attention projection of uninitialised memory](https://github.com/tail-unica/hopwise/issues/271)
    - [A reset_parameters that nobody calls](https://github.com/amirhfarzaneh/lsoftmax-pytorch/issues/7)
    """

    id = "GRD201"
    name = "uninitialised-parameter"
    severity = Severity.ERROR
    help = "fill it in the constructor, for example with an initialiser of torch.nn.init"
    bad: ClassVar[Mapping[str, str]] = {
        "empty": _net("self.weight = nn.Parameter(torch.empty(16, 8))"),
        "legacy constructor": _net("self.weight = nn.Parameter(torch.Tensor(16, 8), requires_grad=True)"),
        "registered by name": _net(
            "self.register_parameter('weight', nn.Parameter(torch.FloatTensor(16, 8)))"
        ),
        "only the other one is written": _net(
            "self.weight = nn.Parameter(torch.empty(16, 8))",
            "self.bias = nn.Parameter(torch.empty(8))",
            "nn.init.zeros_(self.bias)",
            forward="\n    def forward(self, x):\n        return x @ self.weight + self.bias\n",
        ),
        "a loop over layers does not reach it": _net(
            "self.weight = nn.Parameter(torch.empty(16, 16))",
            "self.layers = nn.ModuleList([nn.Linear(16, 16) for _ in range(2)])",
            "for m in self.modules():",
            "    if isinstance(m, nn.Linear):",
            "        nn.init.xavier_uniform_(m.weight)",
            forward="\n    def forward(self, x):\n        for layer in self.layers:\n"
            "            x = layer(x @ self.weight).relu()\n        return x\n",
        ),
        "in a part": "import torch as t\n\nclass Scale(t.nn.Module):\n    def __init__(self, n):\n"
        "        super().__init__()\n        self.gain = t.nn.Parameter(t.empty(n))\n\n"
        "    def forward(self, x):\n        return x * self.gain\n\n\nclass Net(t.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.net = t.nn.Sequential(t.nn.Linear(16, 8), Scale(8))\n\n"
        "    def forward(self, x):\n        return self.net(x)\n",
        "the initialiser returns a new tensor": _net(
            "self.weight = nn.Parameter(torch.empty(16, 8))", "torch.randn_like(self.weight)"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "written at once": _net("self.weight = nn.Parameter(torch.empty(16, 8).normal_(0, 0.25))"),
        "initialiser around it": _net(
            "self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(16, 8)))"
        ),
        "reset_parameters": _net("self.weight = nn.Parameter(torch.empty(16, 8))", "self.reset_parameters()")
        + "\n    def reset_parameters(self):\n        nn.init.kaiming_uniform_(self.weight, a=5**0.5)\n",
        "base class": "import torch\nfrom torch import nn\n\nclass Base(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.build()\n"
        "        for p in self.parameters():\n            if p.dim() > 1:\n"
        "                nn.init.orthogonal_(p)\n\n\nclass Net(Base):\n    def build(self):\n"
        "        self.weight = nn.Parameter(torch.empty(16, 8))\n" + _FORWARD,
        "apply": _net("self.weight = nn.Parameter(torch.Tensor(16, 8))", "self.apply(self._init)")
        + "\n    @staticmethod\n    def _init(m):\n        if hasattr(m, 'weight'):\n"
        "            m.weight.data.uniform_(-0.1, 0.1)\n",
        "part by part": _net(
            "self.weight = nn.Parameter(torch.empty(16, 8))",
            "with torch.no_grad():",
            "    self.weight[:8] = torch.eye(8)",
            "    self.weight[8:].zero_()",
        ),
        "contents": _net("self.weight = nn.Parameter(torch.Tensor([[0.5], [0.25]]))"),
        "written by code that is not here": _net(
            "self.weight = nn.Parameter(torch.empty(16, 8))",
            "nn.utils.vector_to_parameters(torch.randn(128), [self.weight])",
        ),
        "callers initialise": _net("self.weight = nn.Parameter(torch.empty(16, 8))")
        + "\n    def init_weights(self):\n        nn.init.normal_(self.weight, std=0.02)\n"
        + "\n\nnet = Net()\nnet.init_weights()\n",
        "function of the file": _net("self.weight = nn.Parameter(torch.empty(16, 8))")
        + "\n\ndef build():\n    net = Net()\n    nn.init.normal_(net.weight, std=0.02)\n    return net\n"
        + "\n\nnet = build()\n",
        "a checkpoint of its own": _net("self.weight = nn.Parameter(torch.empty(16, 8))")
        + "\n    def restore(self, state):\n        self.load_state_dict(state)\n"
        + "\n\nnet = Net()\nnet.restore({'weight': torch.ones(16, 8)})\n",
        "never trained": _net("self.register_buffer('weight', torch.empty(16, 8))"),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report trained parameters that still hold what memory held."""
        graph = model.graph
        for parameter in graph.parameters:
            made = parameter.made
            if (
                parameter.initial.scheme != "empty"
                or not parameter.is_trained
                or 0 in (parameter.shape or ())
            ):
                continue
            if made is not None and made.path == graph.place.path and not model.is_initialised_elsewhere:
                subject = f"{graph.name}:{parameter.path}"
                claim = Claim(Metric.WEIGHT_VARIANCE, subject, math.inf, math.inf, _FILLED)
                yield self.finding(made.span, f"{parameter.path} is memory that nothing writes", claim)
