"""Through the worker every bad example is confirmed and no good one is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gradlint.lint.check_text import check_text
from gradlint.records.evidence import Verdict
from gradlint.records.finding import Claim, Metric
from gradlint.rule.registry import load
from gradlint.rule.rule import Rule
from gradlint.verify.client import Worker
from gradlint.verify.plan import TRAINING, Target, claims_by_target, graphs, kind_of
from gradlint.verify.request import Request
from gradlint.verify.stamp import measured

pytestmark = pytest.mark.torch
pytest.importorskip("torch")

OF_STEPS = {Metric.STEP_SCALE, Metric.FLUSHED_GRADIENTS, Metric.LOST_UPDATES, Metric.RAISES}
"""What whole steps of training show; test_training_truth takes the steps of the examples."""

REQUEST = Request(sys.executable, seconds=60.0)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(sys.executable) as worker:
        yield worker


def _claims(rule: type[Rule], code: str) -> list[Any]:
    try:
        found = check_text(code, [rule])
    except SyntaxError:
        return []
    return [
        finding for finding in found if finding.claim is not None and finding.claim.metric not in OF_STEPS
    ]


CASES = [
    pytest.param(rule, code, id=f"{rule.id}-{name}") for rule in load() for name, code in rule.bad.items()
]


@pytest.mark.parametrize(("rule", "code"), CASES)
def test_bad_examples_are_confirmed(worker: Worker, tmp_path: Path, rule: type[Rule], code: str) -> None:
    path = tmp_path / "example.py"
    path.write_text(code)
    known = {graph.name: graph for graph in graphs(str(path))}
    for (name, _), claims in claims_by_target(_claims(rule, code)).items():
        target = Target(str(path), name, known.get(name))
        for claim, found in zip(claims, measured(worker, target, claims, REQUEST), strict=True):
            assert found.verdict in allowed(rule, name, claim), f"{claim}\n{found}"


NOT_MEASURED = {
    "GRD704": (Verdict.CONFIRMED, Verdict.COULD_NOT_RUN),  # a class without a forward pass
    "GRD706": (Verdict.CONFIRMED, Verdict.NOT_EXERCISED),  # a trainer that is given by its attributes
    "GRD901": (Verdict.COULD_NOT_RUN, Verdict.NOT_EXERCISED),  # written with arrays
}


def allowed(rule: type[Rule], name: str, claim: Claim) -> tuple[Verdict, ...]:
    """The verdicts that a bad example may get: confirmed, or none where it cannot be run by itself."""
    if name == "<module>" or kind_of(claim) == TRAINING:
        return (Verdict.NOT_EXERCISED,)
    return NOT_MEASURED.get(rule.id, (Verdict.CONFIRMED,))
