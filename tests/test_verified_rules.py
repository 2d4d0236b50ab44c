"""Through the worker every bad example is confirmed and no good one is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gradlint.lint.check_text import check_text
from gradlint.records.evidence import Verdict
from gradlint.rule.registry import load
from gradlint.rule.rule import Rule
from gradlint.verify.client import Worker
from gradlint.verify.plan import Target, claims_by_target, graphs, task
from gradlint.verify.request import Request
from gradlint.verify.stamp import evidence

pytestmark = pytest.mark.torch
pytest.importorskip("torch")

REQUEST = Request(sys.executable, seconds=60.0)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(sys.executable) as worker:
        yield worker


def _claims(rule: type[Rule], code: str) -> list[Any]:
    try:
        return [finding for finding in check_text(code, [rule]) if finding.claim is not None]
    except SyntaxError:
        return []


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
        reply = worker.ask(task(0, target, claims, REQUEST))
        for claim, found in zip(claims, evidence(reply, claims, str(path), name), strict=True):
            assert found.verdict is Verdict.CONFIRMED, f"{claim}\n{found}"
