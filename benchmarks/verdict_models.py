"""Small models as people write them, to be trained and to be judged: what verdicts.py compares.

Each is a text with a class `Net` and the loop that would train it. None was chosen or changed for what
gradlint says of it.
"""

from __future__ import annotations

from dataclasses import dataclass

CLASSES = 4
TEXT = """import math

import torch
import torch.nn.functional as F
from torch import nn

{before}
class Net(nn.Module):
    def __init__(self):
        super().__init__()
{made}

    def forward(self, x):
{forward}


def train(batches):
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for x, y in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
"""


@dataclass(frozen=True)
class Model:
    """A model: what it is, the kind of its input (with a length of sequences), and its text."""

    name: str
    kind: str
    text: str


def _lines(text: str) -> str:
    return "\n".join(" " * 8 + line if line else "" for line in text.strip("\n").split("\n"))


def _net(name: str, made: str, forward: str, kind: str = "vector", before: str = "") -> Model:
    return Model(name, kind, TEXT.format(before=before, made=_lines(made), forward=_lines(forward)))


def _stack(name: str, layers: str, depth: int, init: str = "", width: int = 32) -> Model:
    """A perceptron: the lines of one layer repeated, an initialisation of its linear layers, a head."""
    made = f"""
layers = [nn.Linear(16, {width})]
for _ in range({depth - 1}):
    layers += [{layers.removesuffix(", ")}, nn.Linear({width}, {width})]
self.body = nn.Sequential(*layers, {layers.removesuffix(", ")})
self.head = nn.Linear({width}, {CLASSES})"""
    if init:
        made += f"\nfor m in self.body:\n    if isinstance(m, nn.Linear):\n        {init}"
    return _net(name, made, "return self.head(self.body(x))")


def _convolutions(name: str, layers: str, depth: int, init: str = "", width: int = 16) -> Model:
    """Convolutions of one resolution, a mean over all positions, a head."""
    made = f"""
layers = [nn.Conv2d(3, {width}, 3, padding=1), {layers}]
for _ in range({depth - 1}):
    layers += [nn.Conv2d({width}, {width}, 3, padding=1), {layers}]
self.body = nn.Sequential(*layers)
self.head = nn.Linear({width}, {CLASSES})"""
    if init:
        made += f"\nfor m in self.body:\n    if isinstance(m, nn.Conv2d):\n        {init}"
    return _net(name, made, "return self.head(self.body(x).mean(dim=(2, 3)))", "image")


def _recurrent(name: str, layer: str, length: int, read: str = "out[:, -1]", init: str = "") -> Model:
    made = f"self.rnn = {layer}\nself.head = nn.Linear(32, {CLASSES})\n{init}"
    forward = f"x = x.view(-1, {length}, 8)\nout, _ = self.rnn(x)\nreturn self.head({read})"
    return _net(name, made, forward, f"sequence {length}")


def _residual(name: str, branch: str, step: str, depth: int, scale: str = "", init: str = "") -> Model:
    """Blocks that add a branch to what they are given."""
    before = f"""
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(32)
        self.scale = nn.Parameter({scale or "torch.ones(1)"})
        self.branch = nn.Sequential({branch})
{_lines(init)}

    def forward(self, x):
        return {step}

"""
    made = f"""
self.first = nn.Linear(16, 32)
self.blocks = nn.Sequential(*[Block() for _ in range({depth})])
self.head = nn.Linear(32, {CLASSES})"""
    return _net(name, made, "return self.head(self.blocks(self.first(x)))", before=before)


def _output(name: str, result: str) -> Model:
    """A shallow network whose logits are changed before they are returned."""
    made = f"self.a = nn.Linear(16, 32)\nself.b = nn.Linear(32, {CLASSES})"
    return _net(name, made, f"logits = self.b(torch.relu(self.a(x)))\nreturn {result}")


def _features(name: str, lines: str, out: int = 32) -> Model:
    """A shallow network with something computed between its layers."""
    made = f"self.a = nn.Linear(16, 32)\nself.b = nn.Linear({out}, {CLASSES})"
    return _net(name, made, f"h = self.a(x)\n{lines}\nreturn self.b(h)")


HE = "nn.init.kaiming_normal_(m.weight, nonlinearity='relu')\n        nn.init.zeros_(m.bias)"
XAVIER = "nn.init.xavier_uniform_(m.weight)\n        nn.init.zeros_(m.bias)"
WIDE = "nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32)"
RNN, GRU, LSTM = (f"nn.{cell}(8, 32, batch_first=True)" for cell in ("RNN", "GRU", "LSTM"))
HE_BRANCH = (
    "for m in self.branch:\n    if isinstance(m, nn.Linear):\n        nn.init.kaiming_normal_(m.weight)"
)
HEADS = "self.embed = nn.Embedding(20, 32)\nself.q, self.k, self.v = (nn.Linear(32, 32) for _ in 'qkv')"
ATTEND = "x = self.embed(x)\nq, k, v = self.q(x), self.k(x), self.v(x)\n"

MODELS = (
    *[_stack(f"{depth} ReLU layers", "nn.ReLU()", depth) for depth in (2, 4, 16, 24, 32)],
    *[_stack(f"{depth} sigmoid layers", "nn.Sigmoid()", depth) for depth in (1, 2, 8, 14)],
    *[_stack(f"{depth} tanh layers", "nn.Tanh()", depth) for depth in (2, 4, 30)],
    *[_stack(f"{depth} GELU layers", "nn.GELU()", depth) for depth in (3, 16)],
    *[_stack(f"{depth} SiLU layers", "nn.SiLU()", depth) for depth in (2, 18)],
    *[_stack(f"{depth} ELU layers", "nn.ELU()", depth) for depth in (5, 40)],
    _stack("4 leaky ReLU layers", "nn.LeakyReLU(0.1)", 4),
    _stack("30 leaky ReLU layers", "nn.LeakyReLU(0.1)", 30),
    _stack("16 softplus layers", "nn.Softplus()", 16),
    _stack("10 hard sigmoid layers", "nn.Hardsigmoid()", 10),
    _stack("12 ReLU layers, He", "nn.ReLU()", 12, HE),
    _stack("20 ReLU layers, He", "nn.ReLU()", 20, HE, 64),
    _stack("10 tanh layers, Xavier", "nn.Tanh()", 10, XAVIER),
    _stack("12 sigmoid layers, Xavier", "nn.Sigmoid()", 12, XAVIER),
    _stack("8 ReLU layers, batch norm", "nn.BatchNorm1d(32), nn.ReLU()", 8),
    _stack("8 sigmoid layers, batch norm", "nn.BatchNorm1d(32), nn.Sigmoid()", 8),
    _stack("6 ReLU layers, layer norm", "nn.LayerNorm(32), nn.ReLU()", 6),
    _stack("10 tanh layers, layer norm", "nn.LayerNorm(32), nn.Tanh()", 10),
    _stack("12 sigmoid layers, layer norm", "nn.LayerNorm(32), nn.Sigmoid()", 12),
    _stack("4 ReLU layers, dropout", "nn.ReLU(), nn.Dropout(0.1)", 4),
    _stack("8 ReLU layers, std 1", "nn.ReLU()", 8, "nn.init.normal_(m.weight, std=1.0)"),
    _stack("6 ReLU layers, weights on [0, 1)", "nn.ReLU()", 6, "nn.init.uniform_(m.weight)"),
    _stack("16 linear layers, orthogonal 3", "nn.Identity()", 16, "nn.init.orthogonal_(m.weight, gain=3)"),
    _stack("6 tanh layers, orthogonal", "nn.Tanh()", 6, "nn.init.orthogonal_(m.weight)"),
    _stack("4 ReLU layers, std 1e-4", "nn.ReLU()", 4, "nn.init.normal_(m.weight, std=1e-4)"),
    _stack("3 ReLU layers, all zero", "nn.ReLU()", 3, "nn.init.zeros_(m.weight)"),
    _stack("3 tanh layers, constant", "nn.Tanh()", 3, "nn.init.constant_(m.weight, 0.05)"),
    _stack("2 ReLU layers, bias -20", "nn.ReLU()", 2, "nn.init.constant_(m.bias, -20.0)"),
    _convolutions("3 convolutions", "nn.ReLU()", 3),
    _convolutions("6 convolutions, He", "nn.ReLU()", 6, HE),
    _convolutions("8 convolutions, batch norm", "nn.BatchNorm2d(16), nn.ReLU()", 8),
    _convolutions("5 convolutions, group norm", "nn.GroupNorm(4, 16), nn.SiLU()", 5),
    _convolutions("16 convolutions", "nn.ReLU()", 16),
    _convolutions("7 convolutions, sigmoid", "nn.Sigmoid()", 7),
    _convolutions("6 convolutions, std 2", "nn.ReLU()", 6, "nn.init.normal_(m.weight, std=2.0)"),
    _residual("12 blocks, normalised before", WIDE, "x + self.branch(self.norm(x))", 12),
    _residual("8 blocks, normalised after", WIDE, "self.norm(x + self.branch(x))", 8),
    _residual("6 blocks, not normalised", WIDE, "x + self.branch(x)", 6),
    _residual("20 blocks, scale 0", WIDE, "x + self.scale * self.branch(x)", 20, "torch.zeros(1)", HE_BRANCH),
    _residual(
        "16 blocks, layer scale", WIDE, "x + self.scale * self.branch(x)", 16, "torch.full((32,), 0.1)"
    ),
    _residual("40 blocks, He, not normalised", WIDE, "x + self.branch(x)", 40, init=HE_BRANCH),
    _residual("24 blocks, gated by a sigmoid", WIDE, "x + self.branch(x) * torch.sigmoid(x)", 24),
    _recurrent("RNN, 5 steps", RNN, 5),
    _recurrent("GRU, 6 steps", GRU, 6),
    _recurrent("LSTM, 5 steps", LSTM, 5),
    _recurrent("RNN, 20 steps, orthogonal", RNN, 20, init="nn.init.orthogonal_(self.rnn.weight_hh_l0)"),
    _recurrent("LSTM, 30 steps, open gate", LSTM, 30, init="self.rnn.bias_ih_l0.data[32:64] = 3.0"),
    _recurrent("RNN, 30 steps, all read", RNN, 30, "out.mean(dim=1)"),
    _recurrent("RNN, 50 steps", RNN, 50),
    _recurrent("RNN, 40 steps, ReLU", "nn.RNN(8, 32, nonlinearity='relu', batch_first=True)", 40),
    _recurrent("GRU, 60 steps", GRU, 60),
    _recurrent("LSTM, 60 steps", LSTM, 60),
    _recurrent(
        "RNN, 40 steps, ReLU, std 0.6",
        "nn.RNN(8, 32, nonlinearity='relu', batch_first=True)",
        40,
        init="nn.init.normal_(self.rnn.weight_hh_l0, std=0.6)",
    ),
    _net(
        "transformer of 2 layers",
        f"""
self.embed = nn.Embedding(20, 32)
layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, norm_first=True, batch_first=True)
self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
self.head = nn.Linear(32, {CLASSES})""",
        "return self.head(self.encoder(self.embed(x)).mean(dim=1))",
        "tokens",
    ),
    _net(
        "scaled attention",
        f"{HEADS}\nself.head = nn.Linear(32, {CLASSES})",
        f"{ATTEND}a = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(32), dim=-1)\n"
        "return self.head((a @ v).mean(dim=1))",
        "tokens",
    ),
    _net(
        "fully masked attention",
        f"{HEADS}\nself.head = nn.Linear(32, {CLASSES})",
        f"mask = x < 18\n{ATTEND}a = (q @ k.transpose(1, 2) / math.sqrt(32))\n"
        "a = a.masked_fill(mask[:, None], float('-inf')).softmax(dim=-1)\n"
        "return self.head((a @ v).mean(dim=1))",
        "tokens",
    ),
    _net(
        "bag of words",
        f"self.embed = nn.EmbeddingBag(20, 32)\nself.head = nn.Linear(32, {CLASSES})",
        "return self.head(self.embed(x))",
        "tokens",
    ),
    _net(
        "squeeze and excite",
        f"""
self.a, self.b = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
self.squeeze, self.excite = nn.Linear(16, 4), nn.Linear(4, 16)
self.head = nn.Linear(16, {CLASSES})""",
        """
x = F.relu(self.b(F.relu(self.a(x))))
gate = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean(dim=(2, 3))))))
return self.head((x * gate[:, :, None, None]).mean(dim=(2, 3)))""",
        "image",
    ),
    _net(
        "gated linear units",
        f"self.a, self.b = nn.Linear(16, 64), nn.Linear(32, 64)\nself.head = nn.Linear(32, {CLASSES})",
        "return self.head(F.glu(self.b(F.glu(self.a(x)))))",
    ),
    _net(
        "low-rank factor at zero",
        f"""
self.a, self.head = nn.Linear(16, 32), nn.Linear(32, {CLASSES})
self.down = nn.Parameter(torch.randn(32, 4) * 0.1)
self.up = nn.Parameter(torch.zeros(4, 32))""",
        "h = F.relu(self.a(x))\nreturn self.head(h + h @ self.down @ self.up)",
    ),
    _net(
        "layers in a list",
        "self.layers = [nn.Linear(16, 32), nn.Linear(32, 32), nn.Linear(32, 4)]",
        "for layer in self.layers[:-1]:\n    x = F.relu(layer(x))\nreturn self.layers[-1](x)",
    ),
    _output("softmax before the loss", "F.softmax(logits, dim=1)"),
    _output("sigmoid before the loss", "torch.sigmoid(logits)"),
    _output("rounded logits", "logits.round()"),
    _output("one-hot of argmax", "F.one_hot(logits.argmax(dim=1), 4).float()"),
    _output("logits through numpy", "torch.tensor(logits.detach().numpy())"),
    _output("log-softmax before the loss", "F.log_softmax(logits, dim=1)"),
    _output("scaled logits", "logits / 2.0"),
    _features("square root of a ReLU", "h = torch.sqrt(F.relu(h))"),
    _features("square root of a ReLU, eps", "h = torch.sqrt(F.relu(h) + 1e-3)"),
    _features("logarithm of a ReLU", "h = torch.log(F.relu(h))"),
    _features("logarithm through where", "h = torch.where(h > 0, torch.log(h), torch.zeros_like(h))"),
    _features(
        "divided by a norm of a ReLU's rows", "h = F.relu(h)\nh = h / (h.norm(dim=1, keepdim=True) + 1e-6)"
    ),
    _features("normalised", "h = F.normalize(F.relu(h), dim=1)"),
    _features("squares of squares", "for _ in range(5):\n    h = (h * 3) ** 2"),
    _features("sine", "h = torch.sin(h)"),
)
