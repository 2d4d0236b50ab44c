"""How bad a finding is depends on what reaches the place, and on who calls it."""

from __future__ import annotations

import pytest

from gradlint.lint.check_text import check_text
from gradlint.rule.registry import load

HEAD = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.table = nn.Embedding(9, 4, padding_idx=0)
        self.weight = weight

    def forward(self, x, y, ids: torch.LongTensor, mask: torch.BoolTensor):
        h = {}
        return h / h.norm(dim=-1, keepdim=True)
"""


def severities(text: str) -> set[str]:
    about_values = [rule for rule in load() if rule.id.startswith("GRD6")]
    return {f"{finding.rule} {finding.severity.value}" for finding in check_text(text, about_values)}


@pytest.mark.parametrize("features", ["self.layer(x)", "self.weight(x).out[0]"])
def test_norms_of_what_layers_compute_are_notes(features: str) -> None:
    assert severities(HEAD.format(features)) == {"GRD604 note"}


@pytest.mark.parametrize(
    "features",
    (
        *("x", "2 * x", "x - y", "self.layer(x) - self.layer(y)", "self.layer(x) * mask"),
        *("self.table(ids)", "self.layer(x).relu()", "x @ self.layer.weight"),
    ),
)
def test_norms_that_some_input_makes_zero_are_warnings(features: str) -> None:
    assert severities(HEAD.format(features)) == {"GRD604 warning"}


@pytest.mark.parametrize("cast", ["", ".bool()", ".bool().transpose(0, 1)[..., None]"])
def test_a_mask_made_of_lengths_is_one_when_it_is_made_a_truth_value_again(cast: str) -> None:
    text = (
        "import torch\n\ndef mean(x, lengths):\n"
        f"    mask = (torch.arange(9) < lengths[:, None]){cast}\n"
        "    return (x * mask.float()).sum() / mask.sum()\n"
    )
    assert severities(text) == {"GRD604 note"}


def test_what_is_read_from_a_file_carries_no_gradient() -> None:
    text = "import torch\n\ndef scaled(path):\n    x = {}\n    return (x - x.mean(0)) / x.std(0)\n"
    assert severities(text.format("torch.load(path)")) == set()
    assert severities(text.format("path.double()")) == {"GRD607 warning"}


HELPER = """
import torch
from torch import nn

def _unit(x):
    return x / x.pow(2).sum(-1, keepdim=True).sqrt()

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return {}

    @torch.no_grad()
    def predict(self, x):
        return self._scaled(x).argmax(-1)

    def _scaled(self, x):
        return {}
"""


@pytest.mark.parametrize(
    ("trained", "predicted", "expected"),
    [
        ("_unit(self.layer(x))", "x", "GRD601 note"),
        ("_unit(self.layer(x)) + _unit(x)", "x", "GRD601 error"),
        ("self.layer(x)", "_unit(x)", ""),
        ("self._scaled(x)", "_unit(x)", "GRD601 error"),
        ("_unit(self.layer(x))", "x / x.norm()", "GRD601 note"),
        ("_unit(self.layer(self._scaled(x)))", "(1 - x.sigmoid()).log()", "GRD601 note; GRD603 warning"),
        ("_unit(self.layer(x))", "_unit(x)", "GRD601 note"),
    ],
)
def test_private_helpers_are_judged_by_their_callers(trained: str, predicted: str, expected: str) -> None:
    assert severities(HELPER.format(trained, predicted)) == set(
        expected.replace(" GRD", ";GRD").split(";")
    ) - {""}


SAMPLER = """
import torch
from torch import nn

class Sampler(nn.Module):
    @torch.no_grad()
    def sample(self, x, times):
        for time in times:
            x = self.step(x, time)
        return x

    def targets(self, x):
        with torch.inference_mode():
            return self.taught(x)

class Net(Sampler):
    def forward(self, x):
        return {}

    def step(self, x, time):
        return x - self.spread(time) * x

    def taught(self, x):
        return self.spread(x) * x

    def spread(self, x):
        return torch.sqrt((x ** 2).sum()) if x.ndim else self.spread(x[None])
"""


@pytest.mark.parametrize(
    ("trained", "expected"),
    [
        ("self.net(x)", set()),
        ("self.net(self.sample(x, x))", set()),
        ("self.step(x, 1)", {"GRD601 error"}),
        ("self.net(x) * super().taught(x)", {"GRD601 error"}),
        ("torch.vmap(self.spread)(x)", {"GRD601 error"}),
    ],
)
def test_methods_that_are_only_named_without_gradients_have_none(trained: str, expected: set[str]) -> None:
    assert severities(SAMPLER.format(trained)) == expected


def test_the_root_of_a_sigmoid_is_hardly_ever_zero() -> None:
    root = "import torch\n\ndef f(x):\n    return {}\n"
    assert severities(root.format("x.sigmoid().sqrt()")) == {"GRD601 note"}
    assert severities(root.format("(1 - x.sigmoid()).sqrt()")) == {"GRD601 error"}


MASKED = """
import torch
from torch import nn

class Autoencoder(nn.Module):
    def masked(self, x, keep):
        mask = torch.ones(x.shape[:2])
        mask[:, :keep] = 0
        return self.encoder(x), torch.gather(mask, 1, torch.rand(x.shape[:2]).argsort(1))

    def forward_loss(self, x, pred, mask):
        return ((pred - x).square().mean(-1) * mask).sum({0}) / mask.sum({0})

    def forward(self, x, given):
        encoded, mask = self.masked(x, 4)
        return self.forward_loss(x, self.decoder(encoded), {1})
"""


@pytest.mark.parametrize(
    ("dim", "mask", "expected"),
    [("", "mask", "note"), ("1", "mask", "note"), ("", "given", "note"), ("1", "given", "warning")],
)
def test_a_mask_of_a_whole_batch_or_that_is_drawn_hardly_ever_covers_all(
    dim: str, mask: str, expected: str
) -> None:
    assert severities(MASKED.format(dim, mask)) == {f"GRD604 {expected}"}


SAVED = """
import torchaudio
from elsewhere import audio

def save(x, path, writer):
    wave = x / x.abs().max()
    {}
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("torchaudio.save(path, wave.unsqueeze(0).cpu(), 16000)", set()),
        ("audio.save(path, wave.cpu(), 16000)", set()),
        ("writer.add_audio('wave', wave, 16000)", set()),
        ("audio.compare(path, wave, 16000)", {"GRD604 warning"}),
        ("torchaudio.save(path, wave, 16000); return wave", {"GRD604 warning"}),
    ],
)
def test_no_gradient_comes_back_from_a_file(line: str, expected: set[str]) -> None:
    assert severities(SAVED.format(line)) == expected


PAIRS = """
import torch

def loss(z, labels):
    same = torch.eq(labels[:, None], labels[None]).float()
    {}
    log_prob = torch.log_softmax(z @ z.t(), 1)
    return -((log_prob * same).sum(1) / same.sum(1)).mean()
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("same = same * (1 - torch.eye(len(z)))", {"GRD604 warning"}),
        (
            "same *= torch.scatter(torch.ones_like(same), 1, torch.arange(len(z))[:, None], 0)",
            {"GRD604 warning"},
        ),
        ("same.fill_diagonal_(0)", {"GRD604 warning"}),
        ("same = same - torch.eye(len(z))", {"GRD604 warning"}),
        ("same = torch.where(same.sum(1, keepdim=True) > 1, same, 1)", set()),
        ("same = same * (1 - torch.eye(len(z))) + 1e-6", set()),
    ],
)
def test_a_row_may_have_no_partner_besides_itself(line: str, expected: set[str]) -> None:
    assert severities(PAIRS.format(line)) == expected


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        ("table[0] = torch.tensor(h.cpu().numpy())", set()),
        ("table[0].copy_(h.view(dtype=torch.int32))", set()),
        ("table[0] = torch.tensor(h.detach().numpy()) + h", {"GRD604 warning"}),
        ("table[0] = torch.tensor(elsewhere(h).numpy())", {"GRD604 warning"}),
    ],
)
def test_what_becomes_an_array_carries_no_gradient(used: str, expected: set[str]) -> None:
    text = "import torch\n\ndef f(x, table, elsewhere):\n    h = x / x.norm()\n    {}\n    return table\n"
    assert severities(text.format(used)) == expected


RECURRENT = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(32, 64), nn.Linear(64, 64)
        self.made = {made}
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        h = torch.zeros(x.size(1), 64)
        for step in x.unbind(0):
            h = {state}
        return self.head(h)

model = Net()
optimizer = torch.optim.{optimizer}(model.parameters(), lr={rate})
for x, y in loader:
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
"""
SUM = "self.inner(step) + self.outer(h)"


@pytest.mark.parametrize(
    ("state", "optimizer", "rate", "severity"),
    (
        (f"torch.relu({SUM})", "Adam", 0.1, "warning"),
        (f"torch.relu({SUM})", "Adam", 1e-3, "note"),
        (SUM, "RMSprop", 0.05, "warning"),
        ("self.made(step, h)", "Adam", 0.1, "warning"),
        (f"torch.tanh({SUM})", "Adam", 0.1, "note"),
        (f"nn.functional.layer_norm(torch.relu({SUM}), (64,))", "Adam", 0.1, "note"),
        (f"torch.sigmoid(self.inner(step)) * torch.relu({SUM})", "AdamW", 0.1, "note"),
        (f"torch.tanh({SUM})", "SGD", 0.1, "warning"),
    ),
)
def test_steps_through_a_recurrence(state: str, optimizer: str, rate: float, severity: str) -> None:
    cell = "nn.RNNCell(32, 64, nonlinearity='relu')"
    text = RECURRENT.format(made=cell, state=state, optimizer=optimizer, rate=rate)
    clipping = [rule for rule in load() if rule.id == "GRD301"]
    assert [finding.severity.value for finding in check_text(text, clipping)] == [severity]


LONG = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = {made}(8, 64, batch_first=True)
        self.head = nn.Linear(64, 4)

    def forward(self, x):
        out, _ = self.rnn(x.view(-1, {steps}, 8))
        return self.head(out[:, -1])
"""


@pytest.mark.parametrize("made", ("nn.GRU", "nn.LSTM"))
@pytest.mark.parametrize(("steps", "severity"), ((12, None), (30, "note"), (45, "note"), (60, "warning")))
def test_steps_over_which_gates_carry_a_state(made: str, steps: int, severity: str | None) -> None:
    """A warning where float32 rounds away what the first step adds to the gradient of the weights."""
    about_gates = [rule for rule in load() if rule.id in ("GRD302", "GRD305")]
    found = check_text(LONG.format(made=made, steps=steps), about_gates)
    graded = [each.severity.value for each in found if each.claim and abs(each.claim.least or 0.0) >= 3]
    assert graded == ([severity] if severity else [])


def test_who_calls_a_loop_does_not_say_how_bad_its_steps_are() -> None:
    text = (
        "import torch\nfrom torch import nn\n\n\ndef fit(net, optimizer, loader):\n    for x, y in loader:\n"
        "        nn.functional.mse_loss(net(x), y).backward()\n        optimizer.step()\n"
        "        nn.utils.clip_grad_norm_(net.parameters(), 1.0)\n        optimizer.zero_grad()\n\n\n"
        "def main(loader):\n    net = nn.Linear(4, 2)\n"
        "    fit(net, torch.optim.SGD(net.parameters(), lr=0.1), loader)\n"
    )
    assert [(f.rule, f.severity.value) for f in check_text(text, load())] == [("GRD504", "error")]


METRIC = """
import torch
from torch.nn import functional as F

net = torch.nn.Linear(4, 4)

def rmse(a, b):
    return torch.sqrt(F.mse_loss(a, b))

def of_net(x, y):
    return torch.sqrt(F.mse_loss(net(x) * x, y) * (x - y).square().sum())

def trained(a, b):
    loss = torch.sqrt(F.mse_loss(a, b))
    loss.backward()
    return loss

class Model:
    def rmse(self, a, b):
        return 0

def main(x, y):
"""


@pytest.mark.parametrize(
    "call",
    [
        "with torch.no_grad():\n        print(rmse(x, y).mean())",
        "print(rmse(x, y).item())",
        "return float(rmse(x, y) / 2) + (1 - rmse(x, y).cpu()).item()",
        "return rmse(x.detach(), y.detach()) + rmse(a=x.data, b=y.detach())",
    ],
)
def test_metrics_that_are_only_called_for_their_number_have_no_gradient(call: str) -> None:
    assert _of_rmse(METRIC + f"    {call}\n") == []


@pytest.mark.parametrize(
    "call",
    [
        "return x",
        "return rmse(x, y)",
        "Model().rmse(x, y).item()",
        "print(rmse(x, y).item(), map(rmse, x, y))",
        "return rmse(x.detach(), y)",
    ],
)
def test_metrics_that_may_be_called_for_a_gradient_are_reported(call: str) -> None:
    assert _of_rmse(METRIC + f"    {call}\n") == [8]


def _of_rmse(text: str) -> list[int]:
    about_values = [rule for rule in load() if rule.id.startswith("GRD6")]
    return [f.span.line for f in check_text(text, about_values) if f.span.line == 8]


@pytest.mark.parametrize(
    ("call", "lines"),
    [
        ("print(trained(x, y).item())", {8, 11, 14}),
        ("print(of_net(x.detach(), y.detach()))", {8, 11, 14}),
        ("print(of_net(x.detach(), y.detach()).item())", {8, 14}),
    ],
)
def test_what_passes_back_itself_or_knows_a_model_is_trained_all_the_same(call: str, lines: set[int]) -> None:
    about_values = [rule for rule in load() if rule.id.startswith("GRD6")]
    assert {f.span.line for f in check_text(METRIC + f"    {call}\n", about_values)} == lines
