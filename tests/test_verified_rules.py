"""Through the worker every bad example is confirmed and no good one is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from gradlint.lint.check_text import check_text
from gradlint.records.evidence import Verdict
from gradlint.records.finding import Claim, Finding, Metric
from gradlint.rule.registry import load
from gradlint.rule.rule import Rule
from gradlint.verify.client import Worker
from gradlint.verify.judge import agrees
from gradlint.verify.plan import TRAINING, Target, claims_by_target, graphs, trained_target
from gradlint.verify.request import Request
from gradlint.verify.stamp import SCRIPTS, measured

pytestmark = pytest.mark.torch
pytest.importorskip("torch")

REQUEST = Request(sys.executable, seconds=60.0)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(sys.executable) as worker:
        yield worker


def _claimed(rule: type[Rule], code: str, path: str) -> list[Finding]:
    try:
        found = check_text(code, [rule], path)
    except SyntaxError:
        return []
    return [finding for finding in found if finding.claim is not None]


OF_LOOPS = frozenset(
    {"GRD301", "GRD304", "GRD401", "GRD402", "GRD403", "GRD404", "GRD406", "GRD407", "GRD408", "GRD806"}
    | {f"GRD{number}" for number in range(501, 512)}
)

CASES = [
    pytest.param(rule, code, id=f"{rule.id}-{name}")
    for rule in load()
    if rule.id not in OF_LOOPS
    for name, code in rule.bad.items()
]


@pytest.mark.parametrize(("rule", "code"), CASES)
def test_bad_examples_are_confirmed(worker: Worker, tmp_path: Path, rule: type[Rule], code: str) -> None:
    path = tmp_path / "example.py"
    path.write_text(code)
    known = {graph.name: graph for graph in graphs(str(path))}
    for (name, _), claims in claims_by_target(_claimed(rule, code, str(path))).items():
        target = Target(str(path), name, known.get(name))
        for claim, found in zip(claims, measured(worker, target, claims, REQUEST), strict=True):
            assert found.verdict in allowed(name), f"{claim}\n{found}"


@pytest.mark.parametrize("rule", [rule for rule in load() if rule.id in OF_LOOPS], ids=lambda rule: rule.id)
def test_loops_are_worse_than_with_the_remedy(worker: Worker, tmp_path: Path, rule: type[Rule]) -> None:
    """As written a loop shows what is claimed, and with the remedy it does not."""
    asked: dict[tuple[str, str], list[Claim]] = {}
    for number, code in enumerate(rule.bad.values()):
        path = tmp_path / f"example{number}.py"
        path.write_text(code)
        for (name, kind), claims in claims_by_target(_claimed(rule, code, str(path))).items():
            assert kind == TRAINING
            asked.setdefault((str(path) if name else "", name), []).extend(claims)
    assert asked
    for (path_, _), claims in asked.items():
        _check_loops(worker, path_, claims)


def _check_loops(worker: Worker, path: str, claims: list[Claim]) -> None:
    healed = [_healed(claim) for claim in claims if claim.predicted]
    found = measured(worker, trained_target(path, claims[0]), [*claims, *healed], REQUEST)
    for claim, evidence in zip(claims, found[: len(claims)], strict=True):
        assert evidence.verdict is Verdict.CONFIRMED, f"{claim}\n{evidence}"
        assert evidence.measured is not None and agrees(evidence.measured, claim), f"{claim}\n{evidence}"
    for claim, evidence in zip(healed, found[len(claims) :], strict=True):
        is_of_order = claim.metric is Metric.SCHEDULE_LEAD
        is_weak = "stand-in" in evidence.built and not is_of_order
        doubted = Verdict.INCONCLUSIVE if is_weak else Verdict.REFUTED
        assert evidence.verdict in (Verdict.REFUTED, doubted), f"{claim}\n{evidence}"


def _healed(claim: Claim) -> Claim:
    """The same claim about the loop with its remedy."""
    assert claim.rehearsal is not None
    return replace(claim, rehearsal=replace(claim.rehearsal, written=claim.rehearsal.remedied))


WITHIN = """
import torch
from torch import nn

def fit(steps=3):
    judge = nn.Linear(4, 1)
    for _ in range(steps):
        torch.log(torch.sigmoid(judge(torch.randn(8, 4)))).mean().backward()
"""


def test_what_is_at_nothing_given_is_not_refuted(worker: Worker, tmp_path: Path) -> None:
    """No input of such a function can be made large, so that a run of it tells nothing."""
    path = tmp_path / "within.py"
    path.write_text(WITHIN)
    (rule,) = [rule for rule in load() if rule.id == "GRD603"]
    claims = [found.claim for found in _claimed(rule, WITHIN, str(path)) if found.claim is not None]
    assert claims
    for found in measured(worker, Target(str(path), "fit"), claims, REQUEST):
        assert found.verdict is Verdict.NOT_EXERCISED, found


def allowed(name: str) -> tuple[Verdict, ...]:
    """The verdicts that a bad example may get: confirmed, or none where it cannot be run by itself."""
    if name in SCRIPTS:
        return (Verdict.NOT_EXERCISED, Verdict.CONFIRMED)
    return (Verdict.CONFIRMED,)
