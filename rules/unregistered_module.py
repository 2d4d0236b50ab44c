"""GRD703 unregistered-module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Claim, Finding, Metric, Related, Severity
from gradlint.rule.container import registered
from gradlint.rule.rule import Rule
from gradlint.semantics.registration import strays
from gradlint.semantics.trace import ModuleClass

_ATTRIBUTE = "(?:" + "|".join(rf"(?<=self\.\w{{{n}}})" for n in range(1, 33)) + r"|(?<=\]))"
_NUMBERS = r"(?!dict\(|sum\(|int\(|float\(|str\(|len\(|range\(|max\(|min\(|math\.|np\.|torch\.[a-z]\w*\()"
_STORED = r"(?=[\s\S]{0,800}?\n\s+self\.\w+ = [a-z_]\w*\n)"
_MADE = _NUMBERS + r"[A-Za-z_][\w.]*\("

_BLOCK = """
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.GRU(8, 8)
"""


def _net(*constructor: str, used: str = "[layer(x) for layer in self.layers]") -> str:
    """A module with these lines in its constructor."""
    head = (
        "from torch import nn\n\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    )
    body = "".join(f"        {line}\n" for line in constructor)
    return f"{head}{body}\n    def forward(self, x):\n        return {used}\n"


class UnregisteredModule(Rule):
    """Layers or parameters are kept in a plain list, tuple or dict of a module.

    ### Why is this bad?
    A module finds its parts among its attributes: modules, parameters and torch's own containers. What
    lies in a list or dict of Python is invisible: `parameters()` leaves it out, so the optimizer never
    moves it, `cuda()` leaves it where it is, `state_dict()` does not save it, `eval()` does not reach
    its dropout. The forward pass runs all the same.

    ### How it is verified
    An object is made: of the parameters under the attribute, none is among those of the module.

    ### When it is fine
    Where the modules are registered otherwise (`add_module`, an attribute each, `nn.Sequential(*layers)`),
    are kept out on purpose (frozen, in `eval()`, used under `no_grad`, or their parameters gathered by
    hand), or have nothing to train, like activations.

    ### Fix safety
    Unsafe: the parameters are trained, moved and saved from then on, and old checkpoints lack them.

    ### References
    - [torch.nn.ModuleList](https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleList.html)
    - [torch.nn.ParameterList](https://docs.pytorch.org/docs/stable/generated/torch.nn.ParameterList.html)
    """

    id = "GRD703"
    name = "unregistered-module"
    severity = Severity.ERROR
    help = "keep them in nn.ModuleList, nn.ModuleDict or nn.ParameterList"
    triggers: ClassVar[Mapping[str, str]] = {
        " = [": rf"{_ATTRIBUTE} = \[[\s\[(]*{_MADE}| = \[\s*(?:torch\.)?nn\.{_STORED}",
        " = (": rf"{_ATTRIBUTE} = \([\s\[(]*{_MADE}",
        " = {": rf"{_ATTRIBUTE} = \{{\s*[^:{{}}]*:\s*[\s\[(]*{_MADE}",
        " = dict(": rf"{_ATTRIBUTE} = dict\(\s*\w+={_MADE}",
        " = list(": rf"{_ATTRIBUTE} = list\([\s\[(]*{_MADE}",
        ".append(": rf"{_ATTRIBUTE}\.append\(\s*\w|\.append\(\s*(?:torch\.)?nn\.{_STORED}",
        " += [": rf"{_ATTRIBUTE} \+= \[\s*(?:\w+\.)*[A-Z]\w*\(",
        ".extend(": rf"{_ATTRIBUTE}\.extend\(\s*\[?\s*(?:\w+\.)*[A-Z]\w*\(",
        "] = ": r"\] = (?:\w+\.)?nn\.\w+\(",
    }
    bad: ClassVar[Mapping[str, str]] = {
        "comprehension": _net("self.layers = [nn.Linear(8, 8) for _ in range(4)]"),
        "appended": _net(
            "self.layers = []", "for n in (8, 16):", "    self.layers.append(nn.Linear(8, n).to('cpu'))"
        ),
        "filled by key": _net(
            "self.heads = {}", "self.heads[str(id(self))] = nn.GRU(8, 1)", used="self.heads[x](x)"
        ),
        "an optimizer of something else": _net(
            "self.head = nn.Linear(8, 8)",
            "self.layers = [nn.Linear(8, 8)]",
        )
        + "\n    def configure_optimizers(self):\n        return optim.Adam(self.head.parameters())\n",
        "tuple of parameters": (
            "import torch as t\n\nclass Scale(t.nn.Module):\n    def __init__(self, x):\n"
            "        super().__init__()\n"
            "        self.pair = (t.nn.Parameter(t.ones(4)), t.nn.Parameter(x))\n\n"
            "    def forward(self, x):\n        return x * self.pair[0] + self.pair[1]\n"
        ),
        "local list": _net(
            "blocks = []",
            "for n in (8, 16):",
            "    blocks.append(nn.Sequential(nn.Flatten(), nn.Linear(8, n)))",
            "self.layers = blocks",
        ),
        "own modules": _net("self.layers = {'a': Block()}", used="self.layers[x](x)") + _BLOCK,
    }
    good: ClassVar[Mapping[str, str]] = {
        "module list": _net("self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(4)])"),
        "only to build a sequence": _net(
            "layers = [nn.Linear(8, 8)]",
            "layers += [nn.ReLU(), nn.Linear(8, 1)]",
            "self.net = nn.Sequential(*layers)",
            "self.layers = layers",
        ),
        "registered by name": _net(
            "self.layers = []",
            "for i in range(4):",
            "    layer = nn.Linear(8, 8)",
            "    self.add_module(f'layer{i}', layer)",
            "    self.layers.append(layer)",
        ),
        "attributes as well": _net(
            "self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)", "self.layers = [self.a, self.b]"
        ),
        "set by name": _net(
            "self.layers = [nn.Linear(8, 8) for _ in self.sizes]",
            "for i, layer in enumerate(self.layers):",
            "    setattr(self, f'layer{i}', layer)",
        ),
        "frozen": _net("self.layers = [nn.Linear(8, 8).eval().requires_grad_(False)]"),
        "without gradient": (
            "import torch\nfrom torch import nn\n\nclass Net(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n        self.layers = [nn.Linear(8, 8)]\n\n    @torch.no_grad()\n"
            "    def forward(self, x):\n        return self.layers[0](x)\n"
        ),
        "nothing to train": _net("self.layers = [nn.ReLU(), nn.Tanh()]"),
        "handed out": _net("self.layers = [nn.Linear(8, 8)]")
        + "\n    def trained(self):\n        return self.layers\n",
        "gathered by hand through another object": _net("self.layers = [nn.Linear(8, 1)]")
        + "\n    def trained(self):\n        return optim.Adam(self.all.parameters())\n",
        "gathered by hand": _net("self.layers = [nn.Linear(8, 1), nn.Linear(8, 1)]")
        + "\n    def trained(self):\n        return [list(layer.parameters()) for layer in self.layers]\n",
    }
    fixed: ClassVar[Mapping[str, str]] = {
        "comprehension": _net("self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(4)])"),
        "appended": _net(
            "self.layers = nn.ModuleList()",
            "for n in (8, 16):",
            "    self.layers.append(nn.Linear(8, n).to('cpu'))",
        ),
        "tuple of parameters": (
            "import torch as t\n\nclass Scale(t.nn.Module):\n    def __init__(self, x):\n"
            "        super().__init__()\n"
            "        self.pair = t.nn.ParameterList([t.nn.Parameter(t.ones(4)), t.nn.Parameter(x)])\n\n"
            "    def forward(self, x):\n        return x * self.pair[0] + self.pair[1]\n"
        ),
        "own modules": _net("self.layers = nn.ModuleDict({'a': Block()})", used="self.layers[x](x)") + _BLOCK,
    }

    def check(self, module: ModuleClass) -> Iterator[Finding]:
        """Report collections whose members a method uses and nothing registers."""
        for stray in strays(module):
            if stray.store.site.path != module.construction.scope.path:
                continue
            what = "parameters" if stray.are_parameters else "modules"
            message = f"self.{stray.attribute} is no module: parameters() misses the {what} in it"
            subject = f"{module.type.definition.name}.{stray.attribute}"
            claim = Claim(Metric.REGISTERED_PARAMETERS, subject, 0.0, 0.0)
            related = (Related(stray.reads[0], "used here"),)
            place = stray.store.operand.node.span
            yield self.finding(place, message, claim, related=related, fix=registered(module, stray))
