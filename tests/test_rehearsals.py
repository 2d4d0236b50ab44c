"""Training loops are run again as they are: their events, their models, and what stands in for these."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gradlint.api import check
from gradlint.records.evidence import Evidence, Verdict
from gradlint.records.finding import Finding
from gradlint.records.rehearsal import Rehearsal
from gradlint.verify.client import Worker
from gradlint.verify.request import Request
from gradlint.verify.stamp import answered

HEAD = "import torch\nfrom torch import nn\n"
MADE = "model = nn.Linear(8, 2)\noptimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
PASS = "    nn.functional.cross_entropy(model(x), y).backward()\n"
FOR = "for i, (x, y) in enumerate(loader):\n"


def found(tmp_path: Path, code: str, rule: str, **others: str) -> list[Finding]:
    """What a rule finds in a file beside others."""
    for name, text in {**others, "train": code}.items():
        (tmp_path / f"{name}.py").write_text(text)
    return check(str(tmp_path / "train.py"), select=[rule], preview=True, isolated=True, jobs=1)


def rehearsal(tmp_path: Path, code: str, rule: str) -> Rehearsal:
    (finding,) = found(tmp_path, code, rule)
    assert finding.claim is not None and finding.claim.rehearsal is not None
    return finding.claim.rehearsal


def kinds(acts: Sequence[object]) -> list[str]:
    return [getattr(act, "kind", "") for act in acts]


def test_a_round_has_as_many_iterations_as_make_a_step(tmp_path: Path) -> None:
    code = HEAD + MADE + FOR + PASS + "    if i % 4 == 3:\n        optimizer.step()\n"
    program = rehearsal(tmp_path, code, "GRD501").written
    assert kinds(program.cycle) == [*["forward", "backward"] * 4, "step"]


def test_what_begins_an_accumulation_begins_a_round(tmp_path: Path) -> None:
    code = HEAD + MADE + FOR + "    if i % 4 == 0:\n        optimizer.zero_grad()\n" + PASS
    program = rehearsal(tmp_path, code + "    if i % 4 == 3:\n        optimizer.step()\n", "GRD506").written
    assert kinds(program.cycle) == ["zero", *["forward", "backward"] * 4, "step"]


def test_a_branch_that_the_finding_needs_is_taken(tmp_path: Path) -> None:
    code = HEAD + MADE + FOR + "    if fast:\n        continue\n" + PASS + "    optimizer.step()\n"
    assert kinds(rehearsal(tmp_path, code, "GRD501").written.cycle) == ["forward", "backward", "step"]


def test_what_happens_once_happens_before(tmp_path: Path) -> None:
    loop = "    for x, y in loader:\n    " + PASS + "        optimizer.step()\n"
    code = HEAD + MADE + "for epoch in range(9):\n    optimizer.zero_grad()\n" + loop
    program = rehearsal(tmp_path, code, "GRD501").written
    assert kinds(program.before) == ["zero"]
    assert kinds(program.cycle) == ["forward", "backward", "step"]


def test_a_function_without_a_loop_is_called_again(tmp_path: Path) -> None:
    body = "    loss.backward()\n    optimizer.zero_grad()\n    optimizer.step()\n"
    code = HEAD + "def update(model, optimizer, loss):\n" + body
    program = rehearsal(tmp_path, code, "GRD502").written
    assert kinds(program.cycle) == ["forward", "backward", "zero", "step"]


def test_the_remedy_changes_nothing_else(tmp_path: Path) -> None:
    made = rehearsal(tmp_path, HEAD + MADE + FOR + PASS + "    optimizer.step()\n", "GRD501")
    assert kinds(made.remedied.cycle) == [*kinds(made.written.cycle), "zero"]
    assert made.remedied.cycle[:-1] == made.written.cycle


def test_a_step_with_a_closure_is_not_run(tmp_path: Path) -> None:
    closure = (
        "    def closure():\n        loss = model(x).mean()\n        loss.backward()\n        return loss\n"
    )
    code = HEAD + MADE.replace("SGD", "LBFGS") + FOR + closure + "    optimizer.step(closure)\n"
    (finding,) = found(tmp_path, code, "GRD501")
    assert finding.claim is None


# what is run


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    pytest.importorskip("torch")
    with Worker(sys.executable) as worker:
        yield worker


NET = """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        BEGIN
        self.inner, self.outer = nn.Linear(8, width), nn.Linear(width, 3)

    def forward(self, x):
        return self.outer(self.inner(x).relu())
"""
TRAIN = """\
import torch
from torch import nn
from net import Net

def fit(loader):
    model = Net(24)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for x, y in loader:
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

fit(open("nothing that is there"))
"""


def seen(
    worker: Worker,
    tmp_path: Path,
    begin: str,
    code: str = TRAIN,
    seconds: float = 20.0,
    rule: str = "GRD501",
) -> Evidence:
    findings = found(tmp_path, code, rule, net=NET.replace("BEGIN", begin))
    path = str(tmp_path / "train.py")
    request = Request(sys.executable, seconds=seconds)
    (finding,) = answered(worker, {path: findings}, request)[path]
    assert finding.evidence is not None
    return finding.evidence


@pytest.mark.torch
def test_the_model_is_made_as_the_loop_makes_it(worker: Worker, tmp_path: Path) -> None:
    evidence = seen(worker, tmp_path, "pass")
    assert evidence.verdict is Verdict.CONFIRMED
    assert "Net(width=24 from call site), Adam(lr=0.001), 20 steps on input x=float32[16,8]" in evidence.built


@pytest.mark.torch
def test_what_is_given_by_name_is_given_once(worker: Worker, tmp_path: Path) -> None:
    layers = "nn.Flatten(start_dim=1), nn.Linear(10, out_features=3), nn.LogSoftmax(dim=1)"
    built = seen(worker, tmp_path, "pass", TRAIN.replace("Net(24)", f"nn.Sequential({layers})")).built
    shown = "Flatten(start_dim=1), Linear(10, out_features=3), LogSoftmax(dim=1)"
    assert built.startswith(f"Sequential({shown})"), built
    net = NET.replace("width=16", "spare=2, width=16").replace("BEGIN", "pass")
    code = TRAIN.replace("from net import Net", net.partition("\n\n")[2]).replace("Net(24)", "Net(width=24)")
    assert "Net(width=24 from call site)" in seen(worker, tmp_path, "pass", code).built


@pytest.mark.torch
def test_a_model_that_cannot_be_built_has_a_stand_in(worker: Worker, tmp_path: Path) -> None:
    evidence = seen(worker, tmp_path, "raise RuntimeError('no weights here')")
    assert evidence.verdict is Verdict.CONFIRMED
    assert "stand-in" in evidence.built and "no weights here" in evidence.built


@pytest.mark.torch
def test_why_there_is_a_stand_in_is_said_in_words(worker: Worker, tmp_path: Path) -> None:
    code = TRAIN.replace("def fit(loader):", "def fit(loader, model):").replace("    model = Net(24)\n", "")
    code = code.replace('"))', '"), make())').replace("fit(open", "from net import make\nfit(open")
    built = seen(worker, tmp_path, "pass", code).built
    assert "stand-in" in built and built.endswith("(the model is handed in)")


@pytest.mark.torch
def test_a_model_that_is_slow_gets_few_samples(worker: Worker, tmp_path: Path) -> None:
    begin = (
        "self.register_forward_pre_hook(lambda m, x: any(sum(range(10**8)) < 0 for _ in x[0][2:3]) or None)"
    )
    assert "x=float32[2,8]" in seen(worker, tmp_path, begin).built


@pytest.mark.torch
@pytest.mark.parametrize("begin", ["while True: pass", "self.forward = lambda x: 1 / 0"])
def test_a_schedule_is_played_without_the_model(worker: Worker, tmp_path: Path, begin: str) -> None:
    """Whatever it costs: the order of steps alone says how far a schedule is ahead."""
    stepped = "        schedule.step()\n        optimizer.step()\n"
    code = TRAIN.replace("        optimizer.step()\n", stepped).replace(
        "    for x", "    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 500)\n    for x"
    )
    code = code.replace("        nn.f", "        optimizer.zero_grad()\n        nn.f")
    evidence = seen(worker, tmp_path, begin, code, 20.0, "GRD511")
    assert evidence.verdict is Verdict.CONFIRMED
    assert evidence.measured == 1
    assert "any model takes these steps" in evidence.built


@pytest.mark.torch
def test_a_model_without_end_ends_at_the_limit(worker: Worker, tmp_path: Path) -> None:
    evidence = seen(worker, tmp_path, "while True: pass", seconds=2.0)
    assert evidence.verdict is Verdict.COULD_NOT_RUN
    assert "still running after 2 s" in evidence.reason


@pytest.mark.torch
def test_gradients_of_weights_that_stay_add_up(worker: Worker, tmp_path: Path) -> None:
    evidence = seen(worker, tmp_path, "pass", TRAIN.replace("Adam", "SGD").replace("1e-3", "1e-6"))
    assert evidence.measured == pytest.approx(1.301, abs=0.01)  # twenty equal gradients


ENDINGS = {
    "only as written": (ValueError("twice"), None, 1.0),
    "neither": (None, None, 0.0),
    "another error with the remedy": (ValueError("twice"), TypeError("not that"), 1.0),
    "the same error with the remedy": (ValueError("at 3"), ValueError("at 4"), None),
    "only with the remedy": (None, ValueError("twice"), None),
}


@pytest.mark.torch
@pytest.mark.parametrize("case", ENDINGS)
def test_an_error_is_that_of_the_claim_unless_the_remedy_leaves_it(case: str) -> None:
    pytest.importorskip("torch")
    from gradlint.verify.worker.compared import Stage, raises
    from gradlint.verify.worker.metrics import NotExercisedError
    from gradlint.verify.worker.protocol import Question
    from gradlint.verify.worker.rehearsal import Program, Rehearsal
    from gradlint.verify.worker.rounds import Conditions
    from gradlint.verify.worker.shown import Show

    written, remedied = Program([], []), Program([], [])
    first, second, expected = ENDINGS[case]

    class Ended(Stage):
        def tried(self, program: Program, conditions: Conditions | None = None) -> Show:
            return Show(error=first if program is written else second)

    stage = Ended(Rehearsal([], written, remedied), None, Conditions())  # type: ignore[arg-type]
    question = Question(0, "raises", "", "iterations=2", 1.0, 1.0)
    if expected is None:
        with pytest.raises(NotExercisedError):
            raises(stage, question)
    else:
        assert raises(stage, question) == expected
