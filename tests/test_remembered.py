"""What is known of calls that come again, of arguments handed on, of what changes beside, and of names."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradlint.lint.models import models
from gradlint.records.graph import ModelGraph

HEAD = "import torch\nfrom torch import nn\n\n"

INITIALISED = """
def draw(weight, std=0.02):
    with torch.no_grad():
        return weight.normal_(0, std)

def init(layer, std=0.02):
    if isinstance(layer, nn.Linear):
        draw(layer.weight, std)
        nn.init.zeros_(layer.bias)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        init(self.first)
        init(self.second)
        init(self.third, 0.5)

    def forward(self, x):
        return self.third(self.second(self.first(x)))
"""

REPLACING = """
def tied(first, second):
    second.weight = first.weight
    nn.init.zeros_(second.bias)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = [nn.Linear(8, 8) for _ in range(4)]
        tied(self.a, self.b)
        tied(self.c, self.d)

    def forward(self, x):
        return self.d(self.c(self.b(self.a(x))))
"""

RATES = """
class Block(nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.drop = nn.Dropout(rate)
        self.linear = nn.Linear(8, 8)

    def forward(self, x):
        return self.drop(self.linear(x))

class Net(nn.Module):
    def __init__(self, depths=(1, 2), rate=0.2):
        super().__init__()
        RATES
        self.blocks = nn.Sequential(*[Block(rates[i]) for i in range(3)])

    def forward(self, x):
        return self.blocks(x)
"""

HANDED_ON = """
class Block(nn.Module):
    def __init__(self, dim, count):
        super().__init__()
        self.layers = nn.Sequential(*[nn.Linear(dim, dim) for _ in range(count)])

    def forward(self, x):
        return self.layers(x)

def build(cls, variant, **kwargs):
    if variant in unknown():
        kwargs.setdefault("bias", True)
    return cls(**kwargs)

def small(**kwargs):
    return build(Block, "small", **dict(dict(dim=8, count=3), **kwargs))
"""


def _read(folder: Path, code: str, name: str = "Net") -> ModelGraph:
    path = folder / "net.py"
    path.write_text(HEAD + code)
    (graph,) = models(str(path), name)
    return graph


def _stds(graph: ModelGraph) -> dict[str, object]:
    return {p.path: p.initial.settings.get("std") for p in graph.parameters if p.path.endswith("weight")}


def test_what_draws_one_layer_draws_its_like(tmp_path: Path) -> None:
    graph = _read(tmp_path, INITIALISED)
    assert _stds(graph) == {"first.weight": 0.02, "second.weight": 0.02, "third.weight": 0.5}
    biases = [p.initial.scheme for p in graph.parameters if p.path.endswith("bias")]
    assert biases == ["zeros"] * 3


def test_weights_that_are_put_elsewhere_are_those_of_the_call(tmp_path: Path) -> None:
    graph = _read(tmp_path, REPLACING)
    used = [node.parameters["weight"].path for node in graph.nodes if node.op == "linear"]
    assert used == ["a.weight", "a.weight", "c.weight", "c.weight"]


@pytest.mark.parametrize(
    "rates",
    [
        "rates = [x.item() for x in torch.linspace(0, rate, sum(depths))]",
        "rates = torch.linspace(0, rate, 3).tolist()",
        "rates = torch.linspace(0, rate, steps=3)",
        "rates = sum([r.tolist() for r in torch.linspace(0, rate, sum(depths)).split(depths)], [])",
        "rates = sum([r.tolist() for r in torch.linspace(0, rate, 3).cpu().split(2)], [])",
    ],
)
def test_rates_grow_along_the_depth(tmp_path: Path, rates: str) -> None:
    graph = _read(tmp_path, RATES.replace("RATES", rates))
    found = [node.settings.get("p") for node in graph.nodes if node.op == "dropout"]
    assert found == pytest.approx([0.0, 0.1, 0.2])


def test_a_rate_that_is_not_known_leaves_the_depth_known(tmp_path: Path) -> None:
    unknown = "rates = [x.item() for x in torch.linspace(0, unknown(), sum(depths))]"
    graph = _read(tmp_path, RATES.replace("RATES", unknown))
    assert [node.settings.get("p") for node in graph.nodes if node.op == "dropout"] == [None] * 3


def test_arguments_that_callers_write_down_are_taken(tmp_path: Path) -> None:
    graph = _read(tmp_path, HANDED_ON, "Block")
    assert [node.op for node in graph.nodes] == ["input", "linear", "linear", "linear"]
    assert graph.arguments == {"dim": "8", "count": "3"}


CHANGED_BESIDE = """
STDS = [0.1, 0.2, 0.3]
HELD = []

class Counter:
    def __init__(self):
        self.count = 0

    def tick(self):
        self.count += 1
        return self.count

COUNTER = Counter()

def by_list(layer):
    nn.init.normal_(layer.weight, std=STDS.pop())

def by_object(layer):
    nn.init.normal_(layer.weight, std=0.1 * COUNTER.tick())

def by_default(layer, count=[0]):
    count[0] += 1
    nn.init.normal_(layer.weight, std=0.1 * count[0])

def hold(layer):
    HELD.append(layer)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8, bias=False) for _ in range(3)])
        for layer in self.layers:
            INIT(layer)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x
"""


@pytest.mark.parametrize(
    ("init", "stds"),
    [("by_list", [0.3, 0.2, 0.1]), ("by_object", [0.1, 0.2, 0.3]), ("by_default", [None] * 3)],
)
def test_what_changes_more_than_its_arguments_is_run_again(
    tmp_path: Path, init: str, stds: list[object]
) -> None:
    found = list(_stds(_read(tmp_path, CHANGED_BESIDE.replace("INIT", init))).values())
    assert found == (stds if None in stds else pytest.approx(stds))


COUNTED = """
class Block(nn.Module):
    made = 0

    def __init__(self):
        super().__init__()
        Block.made += 1
        self.linear = nn.Linear(8, 8, bias=False)
        nn.init.normal_(self.linear.weight, std=0.1 ** Block.made)

    def forward(self, x):
        return self.linear(x)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(Block(), Block())

    def forward(self, x):
        return self.blocks(x)
"""


def test_counters_of_classes_are_not_known(tmp_path: Path) -> None:
    assert list(_stds(_read(tmp_path, COUNTED)).values()) == [None, None]


WRITTEN = """
import numpy as np

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8, bias=False) for _ in range(3)])
        WRITE

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x
"""


@pytest.mark.parametrize(
    "write",
    [
        "[nn.init.orthogonal_(self.layers[i].weight) for i in np.arange(3)]",
        "for layer, std in zip(self.layers, np.full(3, 0.5)): nn.init.normal_(layer.weight, std=std)",
        "for layer in self.layers: layer.weight = nn.Parameter(layer.weight.detach() * unknown())",
        "self.layers[unknown()].weight.data = torch.ones(8, 8)",
    ],
)
def test_weights_of_which_one_is_written_are_not_default(tmp_path: Path, write: str) -> None:
    schemes = {p.initial.scheme for p in _read(tmp_path, WRITTEN.replace("WRITE", write)).parameters}
    assert "default" not in schemes


def test_a_factor_on_every_weight_is_read(tmp_path: Path) -> None:
    scaled = "for layer in self.layers: layer.weight = nn.Parameter(layer.weight.detach() * 3**0.5)"
    graph = _read(tmp_path, WRITTEN.replace("WRITE", scaled))
    assert [p.initial.factor for p in graph.parameters] == pytest.approx([3**0.5] * 3)


GATHERED = """
def add(layers, width):
    layers.append(nn.Linear(8, width))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        add(layers, 8)
        add(layers, 8)
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)
"""


def test_a_call_that_puts_layers_into_its_argument_is_run_again(tmp_path: Path) -> None:
    assert [node.op for node in _read(tmp_path, GATHERED).nodes] == ["input", "linear", "linear"]


@pytest.mark.parametrize("last", ["import torch.nn.functional as F", "from torch.nn import functional as F"])
def test_of_two_imports_the_last_is_in_force(tmp_path: Path, last: str) -> None:
    code = WRITTEN.replace("WRITE", "pass").replace("x = layer(x)", "x = F.relu(layer(x))")
    graph = _read(tmp_path, f"import torchvision.transforms.functional as F\n{last}\n{code}")
    assert [node.op for node in graph.nodes] == ["input", *["linear", "relu"] * 3]


KEPT = """
LAYERS, SHAPES = [], {"width": 8}

class Held:
    made = 0

HELD = Held()

def put(layer):
    LAYERS.append(layer)
    SHAPES["width"] = 16
    HELD.made = HELD.made + 1
    Held.made = 7
    return layer

class NAME(nn.Module):
    def __init__(self):
        super().__init__()
        for _ in range(COUNT):
            put(nn.Linear(SHAPES["width"], 16))
        self.layers = nn.Sequential(*LAYERS, nn.Linear(HELD.made, 1))

    def forward(self, x):
        return self.layers(x) + Held.made
"""


def test_no_model_finds_what_another_one_left_in_its_module(tmp_path: Path) -> None:
    first, _, rest = KEPT.partition("class NAME")
    classes = "".join(
        f"class {name}{rest.replace('COUNT', count)}\n" for name, count in {"One": "1", "Three": "3"}.items()
    )
    path = tmp_path / "net.py"
    path.write_text(HEAD + first + classes)
    widths = {
        graph.name: [node.settings["in_features"] for node in graph.nodes if node.op == "linear"]
        for graph in models(str(path))
    }
    assert widths == {"One": [8, 1], "Three": [8, 16, 16, 3]}


CACHED = """
import functools
from functools import lru_cache as once

@once(maxsize=None)
def layer(width, bias=False):
    return nn.Linear(width, width, bias)

class Makers:
    @functools.cache
    def norm(self, width):
        return nn.LayerNorm(width)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        makers, others = Makers(), Makers()
        self.a, self.b, self.c, self.d = layer(8), layer(8), layer(8, True), layer(8, bias=True)
        self.norms = nn.Sequential(makers.norm(8), makers.norm(8), others.norm(8))

    def forward(self, x):
        return self.norms(self.d(self.c(self.b(self.a(x)))))

class Other(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.e = nn.Linear(8, 8), layer(8)

    def forward(self, x):
        return self.e(self.a(x))
"""


def test_what_a_cached_function_gives_again_is_the_same_layer(tmp_path: Path) -> None:
    used = [
        node.parameters["weight"].path
        for node in _read(tmp_path, CACHED).nodes
        if "weight" in node.parameters
    ]
    *linear, first, second, third = used
    assert linear == ["a.weight", "a.weight", "c.weight", "d.weight"]
    assert (first, second, third) == ("norms.0.weight", "norms.0.weight", "norms.2.weight")
    assert list(_stds(_read(tmp_path, CACHED, "Other"))) == ["a.weight", "e.weight"]


RETURNED = """
class Doubling(nn.Module):
    def __init__(self, doubles):
        super().__init__()
        self.doubles = doubles

    def forward(self, x):
        return x * 2 if self.doubles else x * 5

def drawn(is_wide):
    if is_wide:
        layer = nn.Linear(8, 8)
        nn.init.normal_(layer.weight, std=0.5)
        return layer
    layer = nn.Linear(8, 8)
    nn.init.normal_(layer.weight, std=0.1)
    return layer

def doubling():
    try:
        return Doubling(doubles=True)
    except TypeError:
        return Doubling(True)

class Net(nn.Module):
    def __init__(self, is_wide):
        super().__init__()
        self.first, self.twice = drawn(is_wide), doubling()
        if is_wide:
            self.second = drawn(True)
        else:
            self.second = nn.Linear(8, 8)
            nn.init.normal_(self.second.weight, std=0.2)

    def forward(self, x):
        return self.twice(self.second(self.first(x)))
"""


def test_what_one_way_makes_and_returns_stays_as_it_made_it(tmp_path: Path) -> None:
    graph = _read(tmp_path, RETURNED)
    drawn = [node.parameters["weight"].initial for node in graph.nodes if node.op == "linear"]
    assert [(each.scheme, each.settings.get("std")) for each in drawn] == [
        ("normal", 0.5),
        ("normal", 0.1),
        ("normal", 0.5),
        ("normal", 0.2),
    ]
    assert {node.settings["factor"] for node in graph.nodes if node.op == "scale"} == {2}
