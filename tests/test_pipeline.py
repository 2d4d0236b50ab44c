"""The pipeline: caching, parallel work, selection and failures change nothing in what is found."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

import gradlint
from gradlint.config.select import Rating
from gradlint.lint import examine, spread
from gradlint.lint.check_text import check_text
from gradlint.lint.outcome import Outcome, Task
from gradlint.lint.pipeline import Linter
from gradlint.records.failure import INTERNAL_ERROR
from gradlint.records.finding import Finding, Severity
from gradlint.rule.registry import load
from gradlint.rule.rule import Rule
from gradlint.semantics.trace import Trace
from gradlint.source.source import Source

BAD = "import torch\n\n\ndef f(x):\n    return torch.sqrt((x ** 2).sum())\n"
GOOD = "import torch\n\n\ndef f(x):\n    return x.norm()\n"


def tree(folder: Path) -> Path:
    for number in range(30):
        package = folder / f"p{number % 3}"
        package.mkdir(parents=True, exist_ok=True)
        (package / f"m{number}.py").write_text(BAD if number % 2 else GOOD, encoding="utf-8")
    (folder / "p0" / "broken.py").write_text("import torch\ndef f(:\n", encoding="utf-8")
    (folder / "p0" / "other.py").write_text("def f(:\n", encoding="utf-8")
    return folder


def key(findings: list[Finding]) -> list[tuple[str, str, int]]:
    return [(finding.path, finding.rule, finding.span.line) for finding in findings]


def check(folder: Path, cache: Path | None = None, **options: object) -> list[tuple[str, str, int]]:
    cache_dir = None if cache is None else str(cache)
    return key(gradlint.check([str(folder)], isolated=True, cache_dir=cache_dir, **options))  # type: ignore[arg-type]


def test_every_file_is_reported_and_a_broken_one_does_not_stop_the_rest(tmp_path: Path) -> None:
    found = check(tree(tmp_path))
    assert sorted({rule for _, rule, _ in found}) == ["GRD001", "GRD601"]
    assert len(found) == 16


FREEZING = """
import torchvision


class Part:
    def build(self, freeze=True):
        model = torchvision.models.resnet18()
        for parameter in model.parameters():
            parameter.require_grad = not freeze
        return model


Part().build()
"""


def test_a_claim_names_the_function_that_a_script_calls(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(FREEZING, encoding="utf-8")
    (found,) = gradlint.check([str(tmp_path)], isolated=True, select=["GRD704"])
    assert found.claim is not None
    assert found.claim.subject == "Part.build:parameters"


def test_a_file_without_a_framework_is_read_only_when_it_is_named(tmp_path: Path) -> None:
    other = tree(tmp_path) / "p0" / "other.py"
    assert [f.rule for f in gradlint.check([str(other)], isolated=True)] == ["GRD001"]


def test_parallel_work_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = check(tree(tmp_path))
    monkeypatch.setattr(spread, "WORTH_A_PROCESS", 100)
    assert check(tmp_path, jobs=2) == alone
    with ThreadPoolExecutor(2) as executor:
        assert check(tmp_path, executor=executor) == alone
    with ProcessPoolExecutor(1) as executor:
        assert check(tmp_path, executor=executor) == alone


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are examined, and not taken from a cache."""
    examined: list[str] = []
    original = examine._examine_file

    def counted(examiner: examine.Examiner, task: Task) -> Outcome:
        examined.append(Path(task.path).name)
        return original(examiner, task)

    monkeypatch.setattr(examine, "_examine_file", counted)
    return examined


def test_a_warm_run_finds_the_same_and_examines_nothing(tmp_path: Path, calls: list[str]) -> None:
    folder, cache = tree(tmp_path / "code"), tmp_path / "cache"
    cold = check(folder, cache)
    calls.clear()
    assert check(folder, cache) == cold
    assert calls == []
    assert check(folder, cache, select=["GRD001"]) == [row for row in cold if row[1] == "GRD001"]
    assert calls == [], "a change of selection examines nothing anew"
    (folder / "p1" / "m1.py").write_text(GOOD, encoding="utf-8")
    assert len(check(folder, cache)) == len(cold) - 1
    assert calls == ["m1.py"]


def test_what_another_file_says_is_not_cached_beyond_its_change(tmp_path: Path) -> None:
    folder, cache = tmp_path / "code", tmp_path / "cache"
    folder.mkdir()
    (folder / "main.py").write_text(
        "import torch\nfrom helper import inner\n\n\ndef f(x):\n    return torch.sqrt(inner(x))\n"
    )
    assert check(folder, cache) == []
    (folder / "helper.py").write_text("def inner(x):\n    return (x ** 2).sum()\n")
    assert len(check(folder, cache)) == 1
    (folder / "helper.py").write_text("def inner(x):\n    return (x ** 2).sum() + 1e-6\n")
    assert check(folder, cache) == []
    (folder / "helper.py").write_text("from deeper import inner\n")
    (folder / "deeper.py").write_text("def inner(x):\n    return x.pow(2).sum()\n")
    assert len(check(folder, cache)) == 1
    (folder / "deeper.py").unlink()
    assert check(folder, cache) == []


NET = """\
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*[nn.Sequential(nn.Linear(64, 64), nn.ReLU()) for _ in range(12)])
        self.head, self.spare = nn.Linear(64, 2), nn.Linear(64, 2)

    def forward(self, x):
        return self.head(self.layers(x))
"""


def test_a_file_that_is_new_beside_another_counts_at_once(tmp_path: Path) -> None:
    """A layer that nothing reads, and weights that nothing draws, until a file beside them does."""
    folder, cache = tmp_path / "code", tmp_path / "cache"
    (folder / "inner").mkdir(parents=True)
    (folder / "net.py").write_text(NET, encoding="utf-8")
    assert [rule for _, rule, _ in check(folder, cache)] == ["GRD102", "GRD705"]
    (folder / "use.py").write_text("def loss(net, x):\n    return net.spare(x).mean()\n", encoding="utf-8")
    assert [rule for _, rule, _ in check(folder, cache)] == ["GRD102"]
    (folder / "train.py").write_text("from net import Net\n\nnet = Net().apply(draw)\n", encoding="utf-8")
    assert check(folder, cache) == []
    (folder / "train.py").unlink()
    (folder / "use.py").unlink()
    assert [rule for _, rule, _ in check(folder, cache)] == ["GRD102", "GRD705"]


def test_a_change_beside_a_file_that_answers_as_before_examines_it_alone(
    tmp_path: Path, calls: list[str]
) -> None:
    folder, cache = tmp_path / "code", tmp_path / "cache"
    folder.mkdir()
    (folder / "net.py").write_text(NET, encoding="utf-8")
    (folder / "use.py").write_text("import torch\n", encoding="utf-8")
    found = check(folder, cache)
    calls.clear()
    (folder / "use.py").write_text("import torch\n\nnet = torch.nn.Linear(2, 2)\n", encoding="utf-8")
    assert check(folder, cache) == found
    assert calls == ["use.py"]
    (folder / "use.py").write_text("import torch\n\nloss = net.spare(torch.ones(2))\n", encoding="utf-8")
    assert [rule for _, rule, _ in check(folder, cache)] == ["GRD102"]
    assert sorted(calls) == ["net.py", "use.py", "use.py"]


LOOP = """\
def train(model, opt, loader):
    for x, y in loader:
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        opt.step()
"""
SCRIPT = """\
import torch
from b import go
model = torch.nn.Linear(4, 4)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
def main(loader):
    go(model, opt, loader)
if __name__ == "__main__":
    print(1)
"""


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("b.py", lambda text: "from engine import train\n" + text),
        ("engine.py", lambda text: "import torch\n" + text),
        ("engine.py", lambda text: "# a line more\n" + text),
        ("b.py", lambda text: "import torch\n" + text),
    ],
)
@pytest.mark.parametrize("imports", ["", "from engine import train\n"])
def test_a_cached_run_says_what_a_fresh_one_says(
    tmp_path: Path, imports: str, path: str, change: Callable[[str], str]
) -> None:
    folder, cache = tmp_path / "code", tmp_path / "cache"
    folder.mkdir()
    (folder / "main.py").write_text(SCRIPT, encoding="utf-8")
    (folder / "engine.py").write_text(LOOP, encoding="utf-8")
    (folder / "b.py").write_text(f"{imports}def go(m, o, l):\n    train(m, o, l)\n", encoding="utf-8")
    check(folder, cache)
    (folder / path).write_text(change((folder / path).read_text(encoding="utf-8")), encoding="utf-8")

    def places(cache: Path | None) -> list[object]:
        found = gradlint.check([str(folder)], isolated=True, cache_dir=None if cache is None else str(cache))
        return [(f.path, f.rule, f.span, f.related) for f in found]

    assert places(cache) == places(None)


def test_what_is_no_file_is_no_neighbour(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    os.mkfifo(tmp_path / "pipe.py")
    found = gradlint.check([str(tmp_path / "net.py")], isolated=True)
    assert [finding.rule for finding in found] == ["GRD102", "GRD705"]


@pytest.mark.parametrize("damage", [b"", b"not a database", None])
def test_a_damaged_cache_heals(tmp_path: Path, damage: bytes | None) -> None:
    folder, cache = tree(tmp_path / "code"), tmp_path / "cache"
    cold = check(folder, cache)
    for file in [path for path in cache.rglob("*") if path.is_file()]:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if damage is None else damage)
    assert check(folder, cache) == cold
    assert check(folder, cache) == cold


class Fails(Rule):
    id = "XXX001"
    name = "fails"
    severity = Severity.WARNING
    triggers = {"sqrt": ""}

    def check(self, trace: Trace) -> Iterator[Finding]:
        raise RuntimeError("on purpose")
        yield


def test_a_rule_that_fails_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(BAD)
    rules = (*load(), Fails)
    outcome = examine.Examiner(rules).examine(str(tmp_path / "bad.py"), BAD.encode(), True)
    assert {finding.rule for finding in outcome.findings} == {"GRD601", INTERNAL_ERROR}
    (message,) = [finding.message for finding in outcome.findings if finding.rule == INTERNAL_ERROR]
    assert "XXX001" in message
    assert "on purpose" in message


def _die(tasks: list[Task], *rest: object) -> list[Outcome]:
    if any(task.path.endswith("m1.py") for task in tasks):
        os._exit(1)
    return _examine_files(tasks, *rest)  # type: ignore[arg-type]


_examine_files = examine.examine_files


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, so that the patch reaches the workers")
def test_the_death_of_a_worker_costs_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = check(tree(tmp_path))
    monkeypatch.setattr(spread, "WORTH_A_PROCESS", 100)
    monkeypatch.setattr(spread, "examine_files", _die)
    found = check(tmp_path, jobs=2)
    broken = [row for row in found if row[1] == INTERNAL_ERROR]
    assert [Path(path).name for path, _, _ in broken] == ["m1.py"]
    assert [row for row in found if row not in broken] == [row for row in alone if "m1.py" not in row[0]]


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe import torch",
        b"# -*- coding: nonsense -*-\nimport torch\n",
        b"import torch\n\x00x = 1\n",
        b"import torch\nx = '\xe9'\n",
    ],
)
def test_undecodable_files_are_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.py").write_bytes(content)
    assert [rule for _, rule, _ in check(tmp_path)] == ["GRD001"]


CELLS = (
    "%matplotlib inline\nimport torch",
    "def f(:\n    pass",
    "def g(x):\n    return torch.sqrt((x ** 2).sum())",
    "y = (  # gradlint: ignore[GRD609]",
    "!ls\nz = 'open",
    "g(torch.ones(3)).isnan()\ny == torch.nan",
    "x = 1\n\0",
)


def notebook(*codes: str) -> bytes:
    return json.dumps({"cells": [{"cell_type": "code", "source": code} for code in codes]}).encode()


def test_a_broken_cell_hides_nothing_of_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_bytes(notebook(*CELLS))
    found = gradlint.check([str(tmp_path)], isolated=True)
    assert [(finding.cell, finding.rule, finding.span.line) for finding in found] == [
        (2, "GRD001", 1),
        (3, "GRD601", 2),
        (4, "GRD001", 1),
        (5, "GRD001", 2),
        (6, "GRD609", 2),
        (7, "GRD001", 1),
    ]
    assert found[0].span.column == len("def f(") + 1


def test_a_suppression_in_a_broken_cell_counts_only_where_it_silences(tmp_path: Path) -> None:
    codes = ("# gradlint: file-ignore[GRD601, GRD609]\n)", *CELLS[:1], *CELLS[2:3])
    (tmp_path / "a.ipynb").write_bytes(notebook(*codes, "(  # gradlint: ignore[GRD001]"))
    found = gradlint.check([str(tmp_path)], isolated=True)
    assert [(finding.cell, finding.rule) for finding in found] == [(1, "GRD002"), (1, "GRD001")]
    (tmp_path / "a.ipynb").write_bytes(notebook("import torch", "x = 1  # gradlint: ignore[GRD601]\n)"))
    assert [f.rule for f in gradlint.check([str(tmp_path)], isolated=True)] == ["GRD001"]


def test_cells_that_are_python_only_together_are_left_together(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_bytes(notebook("import torch\nif 1:\n    x = f()", "    y = x == torch.nan"))
    assert [f.rule for f in gradlint.check([str(tmp_path)], isolated=True)] == ["GRD609"]


def test_a_suppression_in_code_that_was_not_analysed_is_not_unused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(BAD + "x = 1  # gradlint: ignore[GRD601]\ndef f(:\n")
    assert [row[1:] for row in check(tmp_path)] == [("GRD001", 7)]
    (tmp_path / "a.py").write_text(BAD + "# gradlint: file-ignore[GRD001]\ndef f(:\n")
    assert check(tmp_path) == []
    rules: tuple[type[Rule], ...] = (*load(), Fails)
    text = BAD + "x = 1  # gradlint: ignore[GRD609]\n"
    linter = Linter(rules, lambda _: {rule.id: Rating() for rule in rules})
    kept, _ = linter.judge("a.py", linter.check_source(Source("a.py", text)))
    assert [finding.rule for finding in kept] == [INTERNAL_ERROR, "GRD601"]


def test_columns_count_characters(tmp_path: Path) -> None:
    (tmp_path / "wide.py").write_text(
        "import torch\n\n\ndef f(x):\n    é = '日本'; y = (x ** 2).sum().sqrt(); return y\n", encoding="utf-8"
    )
    (finding,) = gradlint.check([str(tmp_path)], isolated=True)
    line = (tmp_path / "wide.py").read_text(encoding="utf-8").splitlines()[4]
    assert line[finding.span.column - 1 : finding.span.end_column - 1] == "(x ** 2).sum().sqrt()"


MODEL = """
class Net{0}(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.first = nn.Linear(width, width)

    def init_weights(self):
        nn.init.xavier_uniform_(self.first.weight)

    def forward(self, x):
        return self.first(x)

def draw{0}(model):
    nn.init.xavier_uniform_(model.first.weight)

net{0} = Net{0}()
"""


def test_a_file_of_many_models_takes_time_in_proportion(tmp_path: Path) -> None:
    def seconds(count: int) -> float:
        text = "from torch import nn\n" + "".join(MODEL.format(number) for number in range(count))
        before = time.process_time()
        check_text(text, load(), str(tmp_path / "many.py"))
        return time.process_time() - before

    seconds(20)
    assert seconds(320) < 10 * seconds(80)
