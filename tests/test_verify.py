"""Models are built and run, and claims measured, in a process of their own."""

from __future__ import annotations

import ast
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import gradlint.verify.worker
from gradlint.lint.result import FileReport, LintResult
from gradlint.records.evidence import Evidence, Verdict, Verification
from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.records.span import Span
from gradlint.report import verified
from gradlint.report.options import RenderOptions
from gradlint.report.render import render
from gradlint.report.verdict import measurement
from gradlint.source.source import Source
from gradlint.verify.client import Worker
from gradlint.verify.examine import examine
from gradlint.verify.judge import verdict
from gradlint.verify.plan import Target, graphs
from gradlint.verify.request import Request, TargetSettings
from gradlint.verify.worker.protocol import Task, encode

pytestmark = pytest.mark.torch
pytest.importorskip("torch")

HEALTHY = """
from torch import nn

class Net(nn.Module):
    def __init__(self, width, depth=4):
        super().__init__()
        parts = []
        for _ in range(depth):
            parts += [nn.Linear(width, width), nn.LayerNorm(width), nn.GELU()]
        self.layers = nn.Sequential(*parts)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        return self.head(self.layers(x))
"""
VANISHING = HEALTHY.replace("nn.LayerNorm(width), nn.GELU()", "nn.Sigmoid()")
VANISHING = VANISHING.replace("width, depth=4", "width=64, depth=8")


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(sys.executable) as worker:
        yield worker


def saved(folder: Path, code: str) -> str:
    path = folder / "model.py"
    path.write_text(code)
    return str(path)


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gradlint", *words], capture_output=True, text=True, check=False
    )


def test_a_healthy_model_is_shown_with_its_numbers(worker: Worker, tmp_path: Path) -> None:
    path = saved(tmp_path, HEALTHY)
    (graph,) = graphs(path)
    found = examine(worker, Target(path, "Net", graph), Request(sys.executable))
    assert found.verdict == "healthy"
    assert [name for name, _, origin in found.arguments if origin == "guessed"] == ["width"]
    gain = next(each for each in found.measured if each.metric == "depth-gain")
    assert gain.predicted is not None and gain.measured == pytest.approx(gain.predicted, abs=0.3)
    known = [
        row for row in found.layers if row.predicted_scale is not None and row.measured_scale is not None
    ]
    assert len(known) == len(found.layers) == 13
    assert all(abs((r.predicted_scale or 0) - (r.measured_scale or 0)) < 0.2 for r in known)
    assert {row.line for row in found.layers if row.kind == "GELU"} == {9}


def test_verify_prints_the_flow_and_says_at_risk(tmp_path: Path) -> None:
    done = command("verify", f"{saved(tmp_path, VANISHING)}::Net", "--isolated")
    assert done.returncode == 1, done.stderr
    assert done.stdout.rstrip().endswith("at risk")
    assert "layers.13  Sigmoid" in done.stdout


def test_verify_gives_one_object_with_the_findings_measured(tmp_path: Path) -> None:
    path = saved(tmp_path, VANISHING)
    found = json.loads(command("verify", f"{path}::Net", "--isolated", "--output-format", "json").stdout)
    assert found["verdict"] == "at risk"
    assert found["inputs"] == [{"name": "x", "value": "float32[64,64]", "origin": "inferred"}]
    (finding,) = found["findings"]
    assert finding["code"] == "GRD101"
    assert finding["evidence"]["verdict"] == Verdict.CONFIRMED.value
    assert finding["evidence"]["measured"] == pytest.approx(finding["claim"]["predicted"], abs=0.3)


CHANGED = """
from torch import nn

class Net(nn.Module):
    def __init__(self, config, **more):
        super().__init__()
        width = config.pop("width") + more.pop("sizes").pop()
        self.layers = nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.head = nn.Linear(width, 4)

    def forward(self, x):
        return self.head(self.layers(x))
"""


def test_every_construction_gets_arguments_of_its_own(worker: Worker, tmp_path: Path) -> None:
    """Also what a constructor takes by **: what one construction takes out is there for the next."""
    path = saved(tmp_path, CHANGED)
    (graph,) = graphs(path)
    asked = TargetSettings((("config", "{'width': 12}"), ("sizes", "[4]")))
    found = examine(worker, Target(path, "Net", graph), Request(sys.executable, given=asked))
    assert found.verdict == "healthy", found.reason
    assert found.arguments == (("config", "{'width': 12}", "--arg"), ("sizes", "[4]", "--arg"))


BRANCHED = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(16, 32)
        self.second = nn.Linear(32, 32)
        self.third = nn.Linear(32, 32)
        self.head = nn.Linear(32, 4)
        nn.init.zeros_(self.ZERO.weight)
        nn.init.zeros_(self.ZERO.bias)

    def forward(self, x):
        x = self.first(x)
        x = BODY
        return self.head(x)
"""
BEGIN_AT_ZERO = {
    "branch": ("third", "x + self.third(self.second(x).relu())", "healthy"),
    "branch in place": ("third", "x.clone().add_(self.third(self.second(x).relu()).mul(0.5))", "healthy"),
    "head": ("head", "self.third(self.second(x).relu()).relu()", "healthy"),
    "head behind what is cut": ("head", "self.third(self.second(x).relu()).detach()", "at risk"),
}


def examined(worker: Worker, folder: Path, code: str) -> Verification:
    path = saved(folder, code)
    (graph,) = graphs(path)
    return examine(worker, Target(path, "Net", graph), Request(sys.executable))


@pytest.mark.parametrize("case", BEGIN_AT_ZERO)
def test_layers_that_begin_at_zero_are_judged_by_what_they_let_by(
    worker: Worker, tmp_path: Path, case: str
) -> None:
    """The signal is that of the sum, and a gradient may take two steps to arrive; no number is never nan."""
    zero, body, verdict = BEGIN_AT_ZERO[case]
    found = examined(worker, tmp_path, BRANCHED.replace("ZERO", zero).replace("BODY", body))
    shown = verified.text(found)
    assert found.verdict == verdict, shown
    assert "nan" not in f"{shown}{verified.as_json(found, [])}".lower()
    assert [each.measured is None for each in found.measured] == [verdict == "at risk", False]
    assert all(abs(each.measured) < 1.5 for each in found.measured if each.measured is not None)
    assert ("no gradient over first → third" in shown) == (verdict == "at risk")
    assert any("after 2 steps" in note for note in found.notes) == (case == "head")


LOOPED = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(8, 16)
        self.blocks = nn.ModuleList([nn.Linear(16, 16) for _ in range(6)])
        self.scale = nn.Parameter(torch.zeros(()))
        self.head = nn.Linear(16, 10)
        nn.init.zeros_(self.head.weight)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = BODY
        return RESULT
"""
SILENT = {
    "vanishing": ("0.01 * x + 0.01 * torch.tanh(block(x))", "self.head(x)", "at risk"),
    "residual": ("x + torch.tanh(block(x))", "self.head(x)", "healthy"),
    "branches of zero": ("x + self.scale * torch.tanh(block(x))", "self.head(x)", "healthy"),
    "nothing": ("x + torch.tanh(block(x))", "self.head(x) * 0", "untrainable"),
}


@pytest.mark.parametrize("case", SILENT)
def test_a_head_that_begins_at_zero_hides_no_chain(worker: Worker, tmp_path: Path, case: str) -> None:
    body, result, verdict = SILENT[case]
    found = examined(worker, tmp_path, LOOPED.replace("BODY", body).replace("RESULT", result))
    shown = verified.text(found)
    gains = [each.measured for each in found.measured if each.metric == "depth-gain"]
    assert found.verdict == ("at risk" if verdict == "untrainable" else verdict), shown
    assert ("every one is exactly 0" in shown) == (verdict == "untrainable")
    assert "fewer than two layers" not in shown
    assert [gain is not None and abs(gain) > 3 for gain in gains] == {
        "at risk": [True],
        "healthy": [False],
        "untrainable": [],
    }[verdict]
    assert any("after 2 steps" in note for note in found.notes) == (verdict != "untrainable")


TWO_LAYERS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(64, 64)
        self.b = nn.Linear(64, 64)
        self.w = nn.Parameter(WEIGHT)

    def forward(self, x):
        BODY
"""
_ZERO, _RAISES = "every one is exactly 0", "training raises RuntimeError"
_HIDDEN = "self.b(self.a(x).relu())"
UNTRAINABLE = {
    "a dead end": (f"return torch.relu({_HIDDEN}.relu() - 100 * self.w)", "at risk", _ZERO),
    "out of range": (f"return {_HIDDEN}.mul(self.w).clamp(min=50.0)", "at risk", _ZERO),
    "saturated": (f"return torch.tanh({_HIDDEN} * 1e6 * self.w)", "at risk", _ZERO),
    "saturated over time": (
        "h = torch.zeros(len(x), 64)\n        for _ in range(20):\n"
        "            h = torch.tanh(h @ self.w + self.a(x))\n        return h",
        "at risk",
        _ZERO,
    ),
    "what lets something by": (f"return torch.relu({_HIDDEN} - 0.1 * self.w)", "healthy", "no chain"),
    "hidden by a mask": (
        f"return {_HIDDEN}.mul(self.w).masked_fill(mask, 0)",
        "not judged",
        "for mask=bool[64,64]",
    ),
    "what was guessed": (f"return {_HIDDEN}.mul(self.w) * 0", "not judged", "for spare="),
    "moved by itself": (
        f"self.w.data.mul_(0.9)\n        return {_HIDDEN}.mul(self.w) * 0",
        "healthy",
        "no chain",
    ),
    "a value that was needed": (
        "h = torch.sigmoid(self.a(x))\n        h *= self.w\n        return self.b(h)",
        "at risk",
        _RAISES,
    ),
    "a value that was needed, in every result": (
        "h = self.a(x).exp()\n        h *= 2\n        return h, h.exp() * self.w",
        "at risk",
        _RAISES,
    ),
    "a value that another result needs": (
        "h = self.a(x).exp()\n        h *= 2\n        return h, self.b(x) * self.w",
        "could not run",
        "RuntimeError",
    ),
    "weights that are written to": (
        "self.w *= 0.9\n        return self.b(self.a(x)) * self.w",
        "at risk",
        _RAISES,
    ),
    "inputs that are written to": (
        f"x -= x.mean(0)\n        return {_HIDDEN} * self.w",
        "healthy",
        "no chain",
    ),
}


@pytest.mark.parametrize("case", UNTRAINABLE)
def test_what_no_training_can_change_is_a_risk(worker: Worker, tmp_path: Path, case: str) -> None:
    """Also without a chain of layers; no risk is what an input may hide, or what does not need a gradient."""
    body, expected, said = UNTRAINABLE[case]
    weight = "torch.rand(64, 64)" if "over time" in case else "torch.ones(64)"
    code = TWO_LAYERS.replace("WEIGHT", weight).replace("BODY", body)
    code = code.replace("self):", "self, spare):") if "spare" in said else code
    found = examined(worker, tmp_path, code.replace("x):", "x, mask):") if "mask" in body else code)
    shown = verified.text(found)
    assert found.verdict == expected, shown
    assert said in shown
    assert "Hint" not in shown or expected == "could not run"


def test_claims_over_depth_wait_for_a_head_that_begins_at_zero(tmp_path: Path) -> None:
    head = "self.head = nn.Linear(width, 10)"
    code = VANISHING.replace(head, f"{head}\n        nn.init.zeros_(self.head.weight)")
    done = command("verify", f"{saved(tmp_path, code)}::Net", "--isolated", "--output-format", "json")
    (finding,) = json.loads(done.stdout)["findings"]
    assert finding["evidence"]["verdict"] == Verdict.CONFIRMED.value
    assert "after 2 steps" in finding["evidence"]["built"]


SAMPLED = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(16, 8)
        self.decoder = nn.Linear(4, 16)
        self.spare = nn.Linear(8, 8)

    def forward(self, x):
        mean, log_std = self.encoder(x).chunk(2, 1)
        sample = torch.distributions.Normal(mean, log_std.exp()).SAMPLE
        return self.decoder(sample)RESULT
"""
RUNS = {
    "sample()": ("", "at risk", ["encoder.weight", "encoder.bias"]),
    "rsample()": ("", "healthy", []),
    "sample() ": (", mean, log_std", "healthy", []),
}


@pytest.mark.parametrize("sample", RUNS)
def test_layers_that_run_and_get_no_gradient_are_a_risk(worker: Worker, tmp_path: Path, sample: str) -> None:
    """Layers that do not run are none, nor those whose gradient comes by another output of forward."""
    result, verdict, cut = RUNS[sample]
    code = SAMPLED.replace("SAMPLE", sample).replace("RESULT", result)
    found = examined(worker, tmp_path, code)
    assert found.verdict == verdict
    assert list(found.unused) == [*cut, "spare.weight", "spare.bias"]
    assert ("the loss takes all 3 outputs of forward" in found.notes) == bool(result)


QUANTIZED = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(16, 8)
        self.codebook = nn.Embedding(32, 8)
        self.decoder = nn.Linear(8, 16)

    def forward(self, x):
        x = self.encoder(x)
        ids = torch.cdist(x, self.codebook.weight).argmin(-1)
        quantized = self.codebook(ids).view(x.shape)
        BODY
"""
QUANTIZERS = {
    "straight through": ("return self.decoder(x + (quantized - x).detach())", "healthy"),
    "straight through, from the other side": (
        "return self.decoder(x - (x - quantized).detach())",
        "healthy",
    ),
    "replaced": (
        "self.codebook.weight = nn.Parameter(0.9 * self.codebook.weight + 0.1)\n"
        "        return self.decoder(x + quantized.detach())",
        "healthy",
    ),
    "written to": (
        "self.codebook.weight.data.mul_(0.9)\n        return self.decoder(x + quantized.detach())",
        "healthy",
    ),
    "cut": ("return self.decoder(x + quantized.detach())", "at risk"),
    "cut, with another sum": ("return self.decoder(x + (quantized - 1).detach())", "at risk"),
}


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_what_is_trained_otherwise_is_no_risk(worker: Worker, tmp_path: Path, quantizer: str) -> None:
    """Codebooks behind an estimator, and those that forward itself moves; the rest is cut off."""
    body, verdict = QUANTIZERS[quantizer]
    found = examined(worker, tmp_path, QUANTIZED.replace("BODY", body))
    assert found.verdict == verdict
    assert "codebook.weight" in found.unused


def test_what_a_model_keeps_may_be_part_of_its_loss(worker: Worker, tmp_path: Path) -> None:
    kept = "self.divergence = mean.pow(2) + log_std.exp()\n        sample ="
    code = SAMPLED.replace("sample =", kept).replace("SAMPLE", "sample()").replace("RESULT", "")
    found = examined(worker, tmp_path, code)
    assert found.verdict == "healthy"
    assert "encoder.weight" in found.unused


@pytest.mark.parametrize(("dtype", "decades"), [("float32", 30), ("float64", 170), ("bfloat16", 30)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_norms_are_known_where_squares_are_not(dtype: str, decades: int, sign: int) -> None:
    """Of 3 and 4 in a column of zeros, times a power of ten."""
    import torch

    from gradlint.verify.worker.observe import size

    value = torch.zeros(40, 2, dtype=torch.float64)
    value[[3, 39], [0, 1]] = torch.tensor([3.0, 4.0], dtype=torch.float64)
    scaled = (value * 10.0 ** (sign * decades)).to(getattr(torch, dtype))
    assert float(size(scaled)) == pytest.approx(5 * 10.0 ** (sign * decades), rel=0.01)
    assert float(size(torch.zeros_like(scaled))) == 0
    assert float(size(scaled[:0])) == 0
    assert math.isinf(float(size(torch.full_like(scaled, math.inf))))
    assert math.isnan(float(size(torch.full_like(scaled, math.nan))))


def test_a_model_that_is_slow_is_run_with_fewer_samples(worker: Worker, tmp_path: Path) -> None:
    """Several runs have to end in time: a pass of 64 samples would take 0.8 s of 20."""
    path = saved(
        tmp_path, HEALTHY.replace("return ", "__import__('time').sleep(len(x) / 80)\n        return ")
    )
    (graph,) = graphs(path)
    found = examine(worker, Target(path, "Net", graph), Request(sys.executable, seconds=20.0))
    assert found.verdict == "healthy"
    assert all(shape.startswith("float32[8,") for _, shape, _ in found.inputs)


def test_a_model_without_a_result_is_not_judged(tmp_path: Path) -> None:
    path = saved(tmp_path, HEALTHY.replace("return ", "kept = "))
    found = command("verify", path)
    assert found.returncode == 2
    assert "no result of the model carries a gradient" in found.stdout
    assert "healthy" not in found.stdout


def test_inputs_by_any_name_are_given_by_that_name(tmp_path: Path) -> None:
    code = VANISHING.replace("def forward(self, x):", "def forward(self, x, **others):")
    code = code.replace("return ", "return others['gate'].mean() * ")
    path = saved(tmp_path, code)
    name = next(
        line.partition("class ")[2].partition("(")[0] for line in code.split("\n") if "class " in line
    )
    found = command("verify", f"{path}::{name}", "--input", "gate=float32[4]")
    assert "input gate=float32[4] (--input)" in found.stdout, found.stdout + found.stderr


def test_check_stamps_findings_only_when_asked(tmp_path: Path) -> None:
    path = saved(tmp_path, VANISHING)
    plain = command("check", path, "--isolated", "--no-cache", "--output-format", "json")
    assert "evidence" not in json.loads(plain.stdout)[0]
    stamped = command("check", path, "--isolated", "--no-cache", "--verify", "--output-format", "json")
    assert json.loads(stamped.stdout)[0]["evidence"]["verdict"] == "confirmed"
    assert "runs the code" in stamped.stderr
    assert stamped.returncode == 1


def test_what_was_measured_is_remembered_until_anything_changes(tmp_path: Path) -> None:
    """The second run starts no worker: it would fail with the interpreter that is named."""
    (tmp_path / "sizes.py").write_text("WIDTH = 64\n")
    path = saved(tmp_path, "from sizes import WIDTH\n" + VANISHING.replace("width=64", "width=WIDTH"))
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    words = ["check", path, "--isolated", "--verify", "--output-format", "json", "--select", "GRD101"]
    words += ["--cache-dir", str(tmp_path / "cache"), "--python", str(python)]

    def verdicts() -> list[str]:
        return [item["evidence"]["verdict"] for item in json.loads(command(*words).stdout)]

    assert verdicts() == ["confirmed"]
    stamp = python.stat()
    python.write_text("#!/bin/sh\nexit 1\n")
    os.utime(python, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert verdicts() == ["confirmed"]
    (tmp_path / "sizes.py").write_text("WIDTH = 65\n")
    assert "did not start" in command(*words).stderr


def test_the_flow_stands_below_a_finding_where_it_is_asked_for(tmp_path: Path) -> None:
    words = (
        "check",
        saved(tmp_path, VANISHING),
        "--isolated",
        "--no-cache",
        "--verify",
        "--select",
        "GRD101",
    )
    plain = command(*words).stdout
    assert "confirmed" in plain and "│" not in plain
    shown = command(*words, "--show-flow").stdout
    assert shown.count("│") == 17
    assert plain.splitlines()[0] == shown.splitlines()[0]


REFUTED = Evidence(Verdict.REFUTED, 0.1, 0.02, 3, "cpu", "float32", "Net()")


def test_what_is_refuted_is_shown_and_fails_no_run() -> None:
    claim = Claim(Metric.DEPTH_GAIN, "Net:a->b", -3.0, -5.0)
    finding = Finding("GRD101", "x", Severity.ERROR, "m", Span(1, 1, 1, 2), claim=claim, evidence=REFUTED)
    assert finding.is_refuted
    assert measurement(REFUTED) == "0.1 ± 0.02 (3 seeds, cpu float32): refuted"
    source = Source("a.py", "x = 1\n")
    result = LintResult((FileReport("a.py", (finding,)),), (), lambda _: source)
    for form in ("full", "json", "json-lines", "sarif", "github", "junit"):
        assert "refuted" in render(form, result, RenderOptions())
    assert "Verified: 1 refuted." in render("full", result, RenderOptions())


VERDICTS = {
    -3.5: Verdict.CONFIRMED,
    -3.0: Verdict.CONFIRMED,
    -2.5: Verdict.INCONCLUSIVE,
    -1.9: Verdict.REFUTED,
    2.0: Verdict.REFUTED,
    -math.inf: Verdict.CONFIRMED,
    math.nan: Verdict.INCONCLUSIVE,
}


@pytest.mark.parametrize(("value", "expected"), VERDICTS.items())
def test_a_number_decides_by_its_side_of_the_bound_and_its_distance(value: float, expected: Verdict) -> None:
    claim = Claim(Metric.DEPTH_GAIN, "Net:a->b", -3.0, -5.0)
    assert verdict(claim, [value]) is expected
    assert verdict(claim, [value, value, 0.0]) is expected


def test_the_worker_is_written_for_python_3_9() -> None:
    folder = Path(gradlint.verify.worker.__file__).parent
    for path in folder.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert not [
            call for call in calls if any(k.arg in ("strict", "slots", "kw_only") for k in call.keywords)
        ]
        future = [n for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
        assert future or len(tree.body) == 1, path.name


def test_relative_names_are_found_in_a_folder_that_is_no_package(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "parts.py").write_text("from torch import nn\n\nclass Part(nn.Linear):\n    pass\n")
    text = "from .parts import Part\nfrom torch import nn\n\nclass Net(nn.Module):\n"
    text += "    def __init__(self):\n        super().__init__()\n        self.part = Part(4, 4)\n"
    path = saved(folder, text + "    def forward(self, x):\n        return self.part(x)\n")
    assert command("verify", f"{path}::Net", "--isolated").returncode == 0


def began(tmp_path: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """A run of a model that waits in its forward pass, and the status of the process that it waits in."""
    started = tmp_path / "started"
    waiting = f"        import os, time\n        open({str(started)!r}, 'w').write(str(os.getpid()))\n"
    path = saved(tmp_path, HEALTHY.replace("return self", "time.sleep(1000)\n        return self"))
    saved(tmp_path, Path(path).read_text().replace("        time.sleep", f"{waiting}        time.sleep"))
    run = subprocess.Popen([sys.executable, "-m", "gradlint", "verify", path, "--isolated"])
    deadline = time.monotonic() + 60
    while not (started.exists() and started.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return run, Path(f"/proc/{started.read_text()}/status")


def has_ended(status: Path) -> bool:
    try:
        return "State:\tZ" in status.read_text()
    except OSError:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the processes of Linux")
def test_nothing_is_left_when_a_run_is_ended(tmp_path: Path) -> None:
    run, status = began(tmp_path)
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=30) == 128 + signal.SIGTERM
    assert has_ended(status)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the processes of Linux")
def test_nothing_is_left_when_a_run_is_killed(tmp_path: Path) -> None:
    """Nobody is there to end what was begun: the worker and the process of the task end by themselves."""
    run, status = began(tmp_path)
    above = next(line for line in status.read_text().splitlines() if line.startswith("PPid"))
    worker = Path(f"/proc/{above.split()[1]}/status")
    run.kill()
    run.wait(timeout=30)
    deadline = time.monotonic() + 10
    while not (has_ended(status) and has_ended(worker)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert has_ended(status) and has_ended(worker)


def test_a_worker_ends_with_who_asks_where_it_cannot_fork(tmp_path: Path) -> None:
    """As on macOS: the task runs in the worker itself, while somebody can still ask."""
    path = saved(
        tmp_path, HEALTHY.replace("return self", "__import__('time').sleep(1000)\n        return self")
    )
    folder = Path(gradlint.verify.worker.__file__).parent
    code = f"import sys; sys.path.insert(0, {str(folder.parent)!r})\nfrom worker import serve\n"
    code += "serve.CAN_FORK = False\nserve.main()"
    asked = Task(0, path, "Net", [], [], [], [], "cpu", "float32", 60.0, 0, wants_flow=True)
    run = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert run.stdin is not None and run.stdout is not None
    with run.stdout:
        assert '"protocol"' in run.stdout.readline()
        run.stdin.write(encode(asked))
        run.stdin.flush()
        time.sleep(1.0)
        assert run.poll() is None
        run.stdin.close()
        assert run.wait(timeout=10) == 1
