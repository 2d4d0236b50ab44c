"""Through the worker no good example is confirmed."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from msgspec.structs import replace

from gradlint.flow.chain import longest_chain
from gradlint.flow.propagate import propagate
from gradlint.lint.check_text import check_text
from gradlint.records.evidence import Verdict
from gradlint.records.finding import Claim, Metric
from gradlint.records.graph import ModelGraph
from gradlint.rule.registry import load
from gradlint.rule.rule import Rule
from gradlint.verify.client import Worker
from gradlint.verify.judge import rises
from gradlint.verify.plan import LOSS, TRAINING, Target, graphs, kind_of, target_of
from gradlint.verify.request import Request
from gradlint.verify.stamp import measured

pytestmark = pytest.mark.torch
pytest.importorskip("torch")

STEPS = 6
STRIDE = 4
"""Of so many good examples one is run, so that it does not take long."""

SILENT = {
    "GRD102": ("initialised in the script",),  # by statements of the script, which are not run
    "GRD201": ("function of the file",),  # likewise
    "GRD701": (  # no gradient is meant to arrive, or one does only in training
        *("frozen", "a flag decides", "a flag decides on the mode", "a loss kept for later"),
        *("trained by another method", "a target that may be left out"),
    ),
    "GRD703": ("frozen", "without gradient", "handed out", "gathered by hand"),  # kept apart on purpose
}
"""Good examples of which nothing is claimed since it would be true: those that rules say are fine."""

UNKNOWN = "unknown length"
"""Examples of recurrences over as many steps as the data have; they are run over `STEPS`."""

REQUEST = Request(sys.executable, seconds=60.0)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(sys.executable) as worker:
        yield worker


def _claims(rule: type[Rule], code: str) -> list[Claim]:
    try:
        found = check_text(code, [rule])
    except SyntaxError:
        return []
    return [finding.claim for finding in found if finding.claim is not None]


GOOD = [
    pytest.param(rule, name, id=f"{rule.id}-{name}")
    for rule in load()
    for name in list(rule.good)[::STRIDE]
    if name not in SILENT.get(rule.id, ())
]


@pytest.mark.parametrize(("rule", "name"), GOOD)
def test_good_examples_are_not_confirmed(worker: Worker, tmp_path: Path, rule: type[Rule], name: str) -> None:
    """What the bad examples claim, asked of what the good one calls by the same name."""
    path, code = tmp_path / "example.py", rule.good[name]
    path.write_text(code)
    known = {graph.name: graph for graph in graphs(str(path))}
    asked = [moved(claim, known) for claim in mildest(rule.id) if target_of(claim) in names(code)]
    wanted = dict.fromkeys(shortened(claim) if name == UNKNOWN else claim for claim in asked)
    for (target_name, _), claims in grouped(wanted).items():
        target = Target(str(path), target_name, known.get(target_name))
        for claim, found in zip(claims, measured(worker, target, claims, REQUEST), strict=True):
            assert found.verdict is not Verdict.CONFIRMED, f"{claim}\n{found}"


@cache
def mildest(id: str) -> tuple[Claim, ...]:
    """Of the claims about a target by a metric under a condition, that which is confirmed most easily."""
    rule = next(rule for rule in load() if rule.id == id)
    found: dict[tuple[str, Metric, str, bool], Claim] = {}
    for claim in [claim for code in rule.bad.values() for claim in _claims(rule, code)]:
        key = target_of(claim), claim.metric, claim.condition, rises(claim)
        if key not in found or (claim.bound < found[key].bound) == rises(claim):
            found[key] = claim
    return tuple([claim for claim in found.values() if kind_of(claim) not in (TRAINING, LOSS)])


def moved(claim: Claim, known: Mapping[str, ModelGraph]) -> Claim:
    """A claim about a chain of layers, for the longest chain of another model of that name."""
    name = target_of(claim)
    if claim.metric is Metric.SATURATION:
        return replace(claim, subject=f"{name}:")
    if claim.metric not in (Metric.DEPTH_GAIN, Metric.ACTIVATION_SCALE) or name not in known:
        return claim
    chain = longest_chain(propagate(known[name]))
    modules = [known[name].nodes[n].module for n in (chain.first, chain.last)] if chain is not None else []
    return replace(claim, subject=f"{name}:{'->'.join(modules) if all(modules) else ''}")


def shortened(claim: Claim) -> Claim:
    """A claim over as many steps as are run where nothing says how many."""
    return replace(claim, condition=f"steps={STEPS}")


def grouped(claims: Iterable[Claim]) -> dict[tuple[str, str], list[Claim]]:
    """Claims by target and kind."""
    found: dict[tuple[str, str], list[Claim]] = {}
    for claim in claims:
        found.setdefault((target_of(claim), kind_of(claim)), []).append(claim)
    return found


def names(code: str) -> set[str]:
    """The functions and classes of a text, methods with their class."""
    tree = ast.parse(code)
    kinds = (ast.FunctionDef, ast.ClassDef)
    top = [each for each in tree.body if isinstance(each, kinds)]
    inner = [(each, part) for each in top if isinstance(each, ast.ClassDef) for part in each.body]
    methods = {f"{each.name}.{part.name}" for each, part in inner if isinstance(part, ast.FunctionDef)}
    return {each.name for each in top} | methods
