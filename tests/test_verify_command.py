"""`gradlint verify` as it is called: what it says about mistakes, what it leaves behind, what it prints."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from gradlint.cli.main import run
from gradlint.cli.targets import targets
from gradlint.lint.result import FileReport, LintResult
from gradlint.records.evidence import Evidence, Verdict
from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.records.span import Span
from gradlint.report.options import RenderOptions
from gradlint.report.render import render
from gradlint.source.source import Source

ROOT = Path(__file__).parent.parent
CODE = """
from torch import nn

class Net(nn.Module):
    def __init__(self, width=64, depth=8):
        super().__init__()
        parts = []
        for _ in range(depth):
            parts += [nn.Linear(width, width), nn.Sigmoid()]
        self.layers = nn.Sequential(*parts)

    def forward(self, x):
        return self.layers(x)

class Other(Net):
    def __init__(self, **settings):
        super().__init__(**settings)

def make_net(width):
    return Net(width)
"""
ALONE = CODE.partition("class Other")[0]
MISTAKES = {
    "model.py::Net --arg widht=3": "`--arg widht`: `Net` takes `width`, `depth`; did you mean `width`?",
    "model.py::make_net --arg with=3": "`--arg with`: `make_net` takes `width`; did you mean `width`?",
    "model.py::Net --input y=float32[2]": "`--input y`: `Net.forward` takes `x`",
    "model.py::Net --input y.first=float32[2]": "`--input y`: `Net.forward` takes `x`",
    "model.py::Net --input x": "`--input x`: expected NAME=FORM",
    "model.py::Net --input x.=float32[2]": "`x.` is no name of an input",
    "model.py::Net --input x.y.z=float32[2]": "`x.y.z`: only a field of an input can be given",
    "model.py::Net --input x=float32[2] --input x=float32[3]": "`--input`: `x` is given more than once",
    "model.py::Net --input x=float32[2] --input x.y=float32[3]": "`x` and `x.y`: what has fields is made of",
    "model.py::Net --input x=float32[0,8]": "`float32[0,8]` holds nothing: every size is 1 or more",
    "model.py::Net --input x=float33[2]": "`float33[2]` is no input such as",
    "model.py::Net --arg width=3 --arg width=4": "`--arg`: `width` is given more than once",
    "model.py::Net --input x=float[2]": "`--input x=float[2]`: `float[2]` is no input such as",
    "model.py::Net --arg n=(": "`--arg n=(`: `(` is no Python expression: '(' was never closed",
    "model.py::Net --arg =3": "expected NAME=VALUE",
    "model.py::Nat": "no model `Nat` in model.py; did you mean `Net`?",
    "model.py::zzz": "no model `zzz` in model.py; it has `Net`, `Other`",
    "mdel.py": "no such file or folder: `mdel.py`; did you mean `model.py`?",
    ".": "`.` is not a file; name one, or a model in it",
    "empty.py": "`empty.py` defines no model",
    "broken.py": r"`broken.py` cannot be read: .* \(line 2\)",
    "model.py --device gpu": "`--device`: unknown device `gpu`",
    "model.py --dtype int8": "`--dtype`: unknown value `int8`",
    "model.py --report=": "`--report` names no file",
    "model.py --report -": "`--report -`: the page is written to a file",
    "model.py --color blue": "`--color`: unknown value `blue`; it may be auto, always, never",
    "model.py --output-format xml": "`--output-format`: unknown value `xml`",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "model.py").write_text(CODE)
    (tmp_path / "empty.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("x = 1\ndef (:\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("words", "message"), MISTAKES.items(), ids=MISTAKES)
def test_a_mistake_is_told_before_anything_runs(
    folder: Path, capsys: pytest.CaptureFixture[str], words: str, message: str
) -> None:
    assert run(["verify", *words.split(), "--isolated", "--python", "no-such-python"]) == 2
    printed = capsys.readouterr()
    pattern = message if "\\" in message else re.escape(message)
    assert re.search(pattern, printed.err), printed.err
    assert not printed.out


def test_an_argument_may_be_for_one_of_several_models(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`Other` takes anything, so that every name may be meant for it; the worker is what is missing then."""
    assert run(["verify", "model.py", "--arg", "size=3", "--isolated", "--python", "no-such-python"]) == 2
    assert "`no-such-python` cannot be run" in capsys.readouterr().err


def cell(code: str) -> dict[str, object]:
    return {"cell_type": "code", "source": code, "metadata": {}, "outputs": [], "execution_count": None}


def test_targets_are_described_as_the_schema_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A notebook with a cell that is no Python, and two files; one target cannot be built."""
    pytest.importorskip("torch")
    cells = [cell("%matplotlib inline"), cell(ALONE), cell("this is no python ("), cell("Net(depth=3)")]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "net.ipynb").write_text(json.dumps(notebook))
    (folder / "alone.py").write_text(ALONE)
    words = ["verify", "net.ipynb", "alone.py", "model.py::make_net", "--arg", "width=nn.Nope", "--isolated"]
    assert run([*words, "--output-format", "json", "--report", "page.html"]) == 2
    printed = capsys.readouterr()
    assert "net.ipynb: cell 3 is left out: '(' was never closed" in printed.err
    found = json.loads(printed.out)
    schema = json.loads((ROOT / "docs" / "verify.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    for each in found:
        jsonschema.Draft7Validator(schema).validate(each)
    assert [each["verdict"] for each in found] == ["could not run"] * 3
    assert all("width=nn.Nope cannot be evaluated" in each["reason"] for each in found)
    assert (folder / "page.html").read_text(encoding="utf-8").count("could not run: constructing") == 3

    assert run(["verify", "net.ipynb", "--isolated", "--output-format", "json", "--report", "page.html"]) == 1
    one = json.loads(capsys.readouterr().out)
    jsonschema.Draft7Validator(schema).validate(one)
    assert one["verdict"] == "at risk"
    assert len(one["layers"]) == 16
    assert one["findings"][0]["evidence"]["verdict"] == "confirmed"
    assert one["findings"][0]["cell"] == 2
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert page.count('class="plot"') == 2
    assert "<mark>nn.Sigmoid()</mark>" in page


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the processes of Linux")
def test_an_interrupted_run_says_so_and_leaves_nothing(folder: Path) -> None:
    pytest.importorskip("torch")
    endless = ALONE.replace(
        "        return self", "        while True: open(marker, 'w').write('x')\n        return self"
    )
    marker = folder / "started"
    (folder / "endless.py").write_text(f"marker = {str(marker)!r}\n{endless}")
    words = [sys.executable, "-m", "gradlint", "verify", "endless.py", "--isolated"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[1].strip().endswith("interrupted")
    assert process.returncode == 130
    marker.unlink()
    time.sleep(0.2)
    assert not marker.exists()


@pytest.mark.parametrize("form", ["concise", "grouped"])
def test_short_forms_tell_the_verdict(form: str) -> None:
    claim = Claim(Metric.DEPTH_GAIN, "Net:a->b", -3.0, -5.0)
    evidence = Evidence(Verdict.CONFIRMED, -5.1, 0.0, 1, "cpu", "float32", "Net()")
    finding = Finding("GRD101", "x", Severity.ERROR, "m", Span(1, 1, 1, 2), claim=claim, evidence=evidence)
    result = LintResult((FileReport("a.py", (finding,)),), (), lambda _: Source("a.py", ""))
    assert "m [measured: -5.1 (1 seed, cpu float32): confirmed] [x]" in render(form, result, RenderOptions())


@pytest.mark.parametrize("words", [["check", "model.py"], ["verify", "model.py"], ["graph", "model.py::Net"]])
def test_colours_are_chosen_for_every_command(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    own = [] if words[0] == "graph" else ["--isolated"]
    (folder / "model.py").write_text(ALONE)
    run([*words, *own, "--color", "always"])
    colored = capsys.readouterr().out
    run([*words, *own, "--color", "never"])
    plain = capsys.readouterr().out
    assert "\x1b[" in colored and "\x1b" not in plain
    assert re.sub(r"\x1b\[[\d;]*m", "", colored) == plain


@pytest.mark.parametrize("path", ["", "-"])
def test_a_page_needs_a_file(folder: Path, capsys: pytest.CaptureFixture[str], path: str) -> None:
    assert run(["check", "model.py", "--isolated", f"--report={path}"]) == 2
    assert "`--report" in capsys.readouterr().err


POOLED = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        layers = [nn.Conv2d(3, 32, 3, padding=1), nn.ReLU()]
        for _ in range(3):
            layers += [nn.Conv2d(32, 32, 3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(32, 32)
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        x = POOL
        return self.head(self.linear(x).relu())
"""


@pytest.mark.parametrize("pool", ["self.pool(self.layers(x)).flatten(1)", "self.layers(x).mean((2, 3))"])
def test_what_global_pooling_distributes_is_told_by_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pool: str
) -> None:
    """Of 6 x 6 positions: predicted and measured agree at every layer, and over the whole depth."""
    pytest.importorskip("torch")
    (tmp_path / "pooled.py").write_text(POOLED.replace("POOL", pool))
    words = ["verify", str(tmp_path / "pooled.py"), "--input", "x=float32[64,3,6,6]", "--isolated"]
    assert run([*words, "--output-format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for layer in found["layers"]:
        assert layer["measured_gradient"] == pytest.approx(layer["predicted_gradient"], abs=0.25)
    (gain,) = [each for each in found["measured"] if each["metric"] == "depth-gain"]
    assert gain["measured"] == pytest.approx(gain["predicted"], abs=0.25)


DEPTHS = {3: [], 12: ["10 sigmoid activations"]}


@pytest.mark.parametrize("depth", DEPTHS)
def test_findings_are_those_of_the_arguments_that_are_given(
    folder: Path, capsys: pytest.CaptureFixture[str], depth: int
) -> None:
    """Not of the eight layers that there are by default; what a comment silences stays silent."""
    pytest.importorskip("torch")
    (folder / "model.py").write_text(ALONE)
    words = ["verify", "model.py::Net", "--isolated", "--output-format", "json", "--arg", f"depth={depth}"]
    assert run(words) == bool(DEPTHS[depth])
    found = json.loads(capsys.readouterr().out)
    messages = [each["message"] for each in found["findings"]]
    assert len(messages) == len(DEPTHS[depth])
    assert all(start in message for start, message in zip(DEPTHS[depth], messages, strict=True))
    (folder / "model.py").write_text(
        ALONE.replace("nn.Sigmoid()]", "nn.Sigmoid()]  # gradlint: ignore[GRD101]")
    )
    run(words)
    assert not json.loads(capsys.readouterr().out)["findings"]


MADE = {
    "made.py::net": "net = Net(16, depth=2)",
    "made.py::make": "def make():\n    return Net(16, depth=2)",
    "made.py::steps": "steps = nn.Sequential(nn.Linear(16, 16), nn.Sigmoid(), nn.Linear(16, 16))",
}


@pytest.mark.parametrize("target", MADE)
def test_graph_and_verify_take_the_same_targets(
    folder: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    """A variable that holds a model, and a function that returns one, from a class of another file."""
    (folder / "made.py").write_text(f"from torch import nn\nfrom model import Net\n\n{MADE[target]}\n")
    assert run(["graph", target, "--format", "json"]) == 0
    (graph,) = json.loads(capsys.readouterr().out)
    assert [node["settings"].get("in_features") for node in graph["nodes"] if node["op"] == "linear"] == [
        16,
        16,
    ]
    assert [each.name for each in targets(target)] == [graph["name"]] == [target.partition("::")[2]]


def test_graph_says_what_only_running_shows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "made.py").write_text("from model import Net\n\ndef main():\n    net = Net(16)\n")
    assert run(["graph", "made.py::main"]) == 2
    assert "`gradlint verify made.py::main` runs it" in capsys.readouterr().err


LIGHTNING = """
from torch import nn

class Base(nn.Module):
    def forward(self, *args, **kwargs):
        return super().forward(*args, **kwargs)

class Lit(BASE):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 4)

    def training_step(self, batch, number):
        return self.net(batch).sum()
"""


@pytest.mark.torch
@pytest.mark.parametrize("base", ["nn.Module", "Base"])
def test_a_class_without_forward_is_skipped(
    folder: Path, capsys: pytest.CaptureFixture[str], base: str
) -> None:
    """In a line; it decides the exit code where nothing else is there to do so."""
    code = LIGHTNING.replace("BASE", base)
    code = code if base == "Base" else code.replace("(nn.Module):\n    def forward", ":\n    def forward")
    (folder / "lit.py").write_text(
        f"{code}\nclass Net(nn.Sequential):\n    def __init__(self):\n"
        "        super().__init__(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.Linear(16, 4))\n"
    )
    assert run(["verify", "lit.py::Lit", "--isolated"]) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Lit(") and line.endswith(": skipped: the class has no forward")
    assert run(["verify", "lit.py", "--isolated"]) == 0
    assert line in capsys.readouterr().out.splitlines()


SETUP = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"
MAKE = "net = nn.Sequential(nn.Linear(10, 3), nn.Softmax(dim=1))\nopt = torch.optim.SGD(net.parameters())\n"
FIT = "for x, y in loader:\n    loss = F.cross_entropy(net(x), y)\n    loss.backward()\n    opt.step()\n"


@pytest.mark.parametrize("name", ["train.ipynb", "train.py"])
def test_claims_about_scripts_say_so_with_lines_of_their_cells(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    cells = [SETUP, "from data import loader\n", MAKE, FIT]
    book = {
        "metadata": {"language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
        "cells": [{"cell_type": "code", "metadata": {}, "outputs": [], "source": cell} for cell in cells],
    }
    (folder / name).write_text(json.dumps(book) if name.endswith("ipynb") else "".join(cells))
    run(["check", name, "--isolated", "--output-format", "json"])
    found = {each["code"]: each["claim"] for each in json.loads(capsys.readouterr().out)}
    assert found["GRD801"]["subject"] == "the script:softmax->cross_entropy"
    lines = "step@4->backward@3" if name.endswith("ipynb") else "step@10->backward@9"
    assert found["GRD501"]["subject"] == f"the script:{lines}"
