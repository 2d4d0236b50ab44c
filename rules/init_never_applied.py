"""GRD206 init-never-applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.model import Model
from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.records.graph import ModelGraph, Parameter
from gradlint.rule.rule import Rule

_HEAD = "import torch\nfrom torch import nn\n\n\n"
_BOUND = 0.5
"""fan_in · Var(w) between torch's default, 1/3, and what initialisers are called for, 1 and more."""

_MLP = "self.net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))"


def _init(test: str, draw: str = "nn.init.kaiming_normal_(m.weight)", name: str = "init") -> str:
    """A function that initialises the modules that pass a test."""
    return f"def {name}(m):\n    if {test}:\n        {draw}\n\n\n"


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
    """An initialiser is written and no weight of the model is drawn by it.

    ### Why is this bad?
    The layers keep torch's own initialisation, fan_in · Var(w) = 1/3, which loses signal from layer to
    layer where the initialiser that was meant keeps it. Nothing fails; the model only trains worse.

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
    - [A question on init_weight](https://github.com/GitLanx/Semantic-Segmentation-PyTorch/issues/1)
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
        "private method that nobody calls": _HEAD
        + _net(
            "self.net = nn.ModuleList([nn.Linear(32, 32)])[0]",
            method=_method("_initialise"),
            after="\n\ndef build():\n    return Net().train()\n",
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "kind of layer that is there": _HEAD
        + _init("isinstance(m, nn.Linear)")
        + _net(_MLP, "self.apply(init)"),
        "called in the constructor": _HEAD + _net(_MLP, "self.start()", method=_method("start")),
        "called from outside": _HEAD
        + _net(_MLP, method=_method("start"), after="\n\nnet = Net()\nnet.start()\n"),
        "called in a base class": _HEAD
        + "class Base(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        + "        self.build()\n        self.start()\n\n\n"
        + _net(method=_method("start") + f"\n    def build(self):\n        {_MLP}\n").replace(
            "Net(nn.Module)", "Net(Base)"
        ),
        "called by name": _HEAD
        + _net(_MLP, "getattr(self, 'start')()", method=_method("start"), after="\n\nnet = Net()\n"),
        "the other function matches": _HEAD
        + _init("isinstance(m, nn.Conv2d)", name="first")
        + _init("isinstance(m, nn.Linear)", name="second")
        + _net(_MLP, "self.apply(first)", "self.apply(second)"),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report initialisers of a model whose weights are all as torch made them."""
        graph = model.graph
        weight = _untouched(graph)
        for each in graph.unapplied if weight is not None else ():
            if weight is None or each.place.path != graph.place.path:
                continue
            claim = Claim(Metric.WEIGHT_VARIANCE, f"{graph.name}:{weight.path}", _BOUND, 1 / 3)
            what = "no module passes the tests of" if each.reason == "unmatched" else "nothing calls"
            yield self.finding(
                each.place.span, f"{what} {each.name}: {weight.path} is as torch made it", claim
            )


def _untouched(graph: ModelGraph) -> Parameter | None:
    """A weight of a layer, if all of them are as the layers' constructors leave them."""
    weights = [p for p in graph.parameters if p.shape is None or len(p.shape) > 1]
    mixing = [node for node in graph.nodes if node.op in ("linear", "conv1d", "conv2d", "conv3d")]
    if not mixing or any(p.initial.scheme != "default" for p in weights):
        return None
    return mixing[0].parameters.get("weight")
