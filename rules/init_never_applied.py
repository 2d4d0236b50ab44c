"""GRD206 init-never-applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.model import Model
from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.records.graph import ModelGraph, Parameter, Unapplied
from gradlint.rule.rule import Rule

_HEAD = "import torch\nfrom torch import nn\n\n\n"
_BOUND = 0.5
"""fan_in · Var(w) between torch's default, 1/3, and what initialisers are called for, 1 and more."""

_SAID = {
    "unmatched": "no module passes the tests of {name}: {weight} is as torch made it",
    "uncalled": "nothing calls {name}: {weight} is as torch made it",
    "replaced": "{name} takes the place of a layer that was initialised: {weight} is as torch made it",
    "dropped": "{name} changes a copy of {weight} that nothing keeps",
}

_MLP = "self.net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))"


def _init(test: str, draw: str = "nn.init.kaiming_normal_(m.weight)", name: str = "init") -> str:
    """A function that initialises the modules that pass a test."""
    return f"def {name}(m):\n    if {test}:\n        {draw}\n\n\n"


_LINEAR = _init("isinstance(m, nn.Linear)")


def _net(*constructor: str, method: str = "", after: str = "") -> str:
    """A model with these lines in its constructor, a method, and code behind it."""
    body = "".join(f"        {line}\n" for line in ("super().__init__()", *constructor))
    return (
        f"class Net(nn.Module):\n    def __init__(self):\n{body}{method}\n"
        f"    def forward(self, x):\n        return self.net(x)\n{after}"
    )


def _method(name: str) -> str:
    """A method that initialises every linear layer."""
    return (
        f"\n    def {name}(self):\n        for m in self.modules():\n"
        "            if isinstance(m, nn.Linear):\n                nn.init.orthogonal_(m.weight)\n"
    )


class InitNeverApplied(Rule):
    """An initialiser is written and leaves the weights of the model as they are.

    ### Why is this bad?
    Nothing calls it, no module passes its tests, the layer that it drew is replaced afterwards, or a method
    without an underscore changes a copy. The layers keep torch's own initialisation, fan_in · Var(w) = 1/3,
    which loses signal from layer to layer. Nothing fails; the model only trains worse.

    ### How it is verified
    fan_in · Var(w) of a weight of the model once it is constructed: still 1/3.

    ### When it is fine
    Where the constructor, a base class or other code of the project calls it, or other modules of the model
    pass its tests.

    ### Fix safety
    No fix is offered: results change once the weights are drawn as was meant.

    ### References
    - [Where is init_weights called?](https://github.com/taoyang1122/adapt-image-models/issues/17)
    - [An initialiser that is only defined](https://github.com/lavi135246/pytorch-Learning-to-See-in-the-Dark/issues/17)
    - [torch.nn.Module.apply](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.apply)
    """

    id = "GRD206"
    name = "init-never-applied"
    severity = Severity.WARNING
    help = "call it at the end of the constructor, for the classes of layers that the model has"
    bad: ClassVar[Mapping[str, str]] = {
        "another kind of layer": _HEAD + _init("isinstance(m, nn.Conv2d)") + _net(_MLP, "self.apply(init)"),
        "exact type of a base": _HEAD
        + _init("type(m) == nn.Conv1d", "m.weight.data.normal_(0, 0.2)")
        + _net(_MLP, "self.net.apply(init)"),
        "several kinds, none of them there": _HEAD
        + _init("isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))", "nn.init.xavier_uniform_(m.weight)")
        + _net("self.net = nn.Linear(32, 32)", "self.apply(init)"),
        "method that nobody calls": _HEAD
        + _net(_MLP, method=_method("init_weights"), after="\n\nnet = Net()\n"),
        "function that nobody calls": _HEAD + _LINEAR + _net(_MLP) + "\n\nnet = Net()\n",
        "drawn, then replaced": _HEAD
        + _LINEAR
        + _net(
            _MLP, "self.head = nn.Linear(8, 8)", "self.apply(init)", "self.head = nn.Linear(8, 8)"
        ).replace("self.net(x)", "self.head(self.net(x))"),
        "a copy is scaled": _HEAD + _net("self.net = nn.Linear(64, 64)", "self.net.weight.data.mul(0.1)"),
        "drawn behind weight_norm": "from torch.nn.utils.parametrizations import weight_norm\n"
        + _HEAD
        + _net("self.net = weight_norm(nn.Linear(64, 64))", "nn.init.normal_(self.net.weight, std=0.01)"),
        "private method that nobody calls": _HEAD
        + _net(
            "self.net = nn.ModuleList([nn.Linear(32, 32)])[0]",
            method=_method("_initialise"),
            after="\n\ndef build():\n    return Net().train()\n",
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "kind of layer that is there": _HEAD + _LINEAR + _net(_MLP, "self.apply(init)"),
        "called in the constructor": _HEAD + _net(_MLP, "self.start()", method=_method("start")),
        "called from outside": _HEAD
        + _net(_MLP, method=_method("start"), after="\n\nnet = Net()\nnet.start()\n"),
        "called in a base class": _HEAD
        + "class Base(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        + "        self.build()\n        self.start()\n\n\n"
        + _net(method=_method("start") + f"\n    def build(self):\n        {_MLP}\n").replace(
            "Net(nn.Module)", "Net(Base)"
        ),
        "handed on by its module": "import sys\n"
        + _HEAD
        + _init("isinstance(m, nn.Linear)", name="start")
        + _net(_MLP, after="\n\nthis = sys.modules[__name__]\nnet = Net()\nnet.apply(this.start)\n"),
        "called by name": _HEAD
        + _net(_MLP, "getattr(self, 'start')()", method=_method("start"), after="\n\nnet = Net()\n"),
        "replaced, then drawn": _HEAD
        + _LINEAR
        + _net("self.net = nn.Linear(8, 8)", "self.net = nn.Linear(8, 8)", "self.apply(init)"),
        "scaled in place": _HEAD + _net("self.net = nn.Linear(8, 8)", "self.net.weight.data.mul_(2.0)"),
        "kept": _HEAD + _net("net = self.net = nn.Linear(8, 8)", "net.weight.data = net.weight.mul(2.0)"),
        "the other function matches": _HEAD
        + _init("isinstance(m, nn.Conv2d)", name="first")
        + _init("isinstance(m, nn.Linear)", name="second")
        + _net(_MLP, "self.apply(first)", "self.apply(second)"),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report initialisers of a model whose weights are all as torch made them, or that one is."""
        graph = model.graph
        for each in graph.unapplied:
            weight = _weight(graph, each)
            if weight is not None and each.place.path == graph.place.path:
                subject = f"{graph.name}:{weight.path}"
                is_default = weight.initial.scheme == "default"
                claim = Claim(Metric.WEIGHT_VARIANCE, subject, _BOUND, 1 / 3) if is_default else None
                said = _SAID[each.reason].format(name=each.name, weight=weight.path)
                yield self.finding(each.place.span, said, claim)


def _weight(graph: ModelGraph, of: Unapplied) -> Parameter | None:
    """The weight that an initialiser has no effect on; for all of a model, one of a layer."""
    if of.path:
        return next((p for p in graph.parameters if p.path == of.path), None)
    weights = [p for p in graph.parameters if p.shape is None or len(p.shape) > 1]
    mixing = [node for node in graph.nodes if node.op in ("linear", "conv1d", "conv2d", "conv3d")]
    if not mixing or any(p.initial.scheme != "default" for p in weights):
        return None
    return mixing[0].parameters.get("weight")
