"""What is claimed of networks written by hand, held against the code itself."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gradlint.flow.handwritten import Handwritten, beyond, drawings, layers
from gradlint.graph.handwritten import Networks
from gradlint.lint.check_text import check_text
from gradlint.lint.examine import Examiner
from gradlint.records.evidence import Verdict
from gradlint.rule.registry import load
from gradlint.semantics.project import Project
from gradlint.source.triage import is_of_interest
from gradlint.syntax.extract import extract, lower_omitted
from gradlint.verify.request import Request
from gradlint.verify.stamp import stamped

pytestmark = pytest.mark.torch
np = pytest.importorskip("numpy")

(RULE,) = [rule for rule in load() if rule.id == "GRD901"]
KNEES = {"sigmoid": 6.0, "tanh": 3.0}


def networks(code: str) -> list[Handwritten]:
    """All that a text computes with arrays."""
    facts = extract(code, {}, outline=True)
    project = Project(lambda _: facts, lambda _, omitted: lower_omitted(code, omitted))
    found = Networks(project).networks(project.scope("<text>.py"))
    return [Handwritten(graph, graph.weights) for graph in found]


def ran(code: str) -> dict[str, Any]:
    """The names of a module after it ran."""
    module = ModuleType("example")
    np.random.seed(0)
    exec(compile(code, "<example>", "exec"), module.__dict__)
    return vars(module)


def arguments(code: str, inputs: int) -> Any:
    """What goes into the activation of a class's first layer, of standardised input."""
    net = ran(code)["Net"]()
    return np.random.randn(200, inputs) @ net.w1 + net.b1


@pytest.mark.parametrize("name", ["standard normal", "not centred", "wide uniform", "not centred, generator"])
def test_as_many_arguments_are_saturated_as_foretold(name: str) -> None:
    code = RULE.bad[name]
    z = np.abs(arguments(code, 256))
    (finding,) = check_text(code, [RULE])
    (drawing,) = [d for network in networks(code) for d in drawings(layers(network)) if d.share][:1]
    assert finding.claim is not None
    assert np.mean(z > KNEES[drawing.activation.op]) == pytest.approx(finding.claim.predicted, abs=0.06)


@pytest.mark.parametrize("name", ["scaled by the inputs", "small", "centred"])
def test_next_to_none_are_saturated_where_nothing_is_found(name: str) -> None:
    code = RULE.good[name]
    assert not check_text(code, [RULE])
    assert np.mean(np.abs(arguments(code, 256)) > 3.0) < 0.05


def test_the_signal_grows_as_foretold() -> None:
    code = RULE.bad["normal before rectifier"]
    net = ran(code)["Net"]()
    x = np.random.randn(500, 256)
    growth = math.log10(np.sqrt(np.mean(net.forward(x) ** 2)))
    (finding,) = check_text(code, [RULE])
    assert finding.claim is not None
    assert growth == pytest.approx(finding.claim.predicted, abs=0.15)


def test_a_chain_loses_as_much_as_foretold() -> None:
    code = RULE.bad["chain of sigmoids"]
    weights = ran(code)["weights"]
    x, slopes = np.random.randn(100, 64), []
    for w in weights:
        x = 1 / (1 + np.exp(-x @ w))
        slopes.append(x * (1 - x))
    last = delta = np.random.randn(*x.shape) * slopes[-2]
    for w, slope in zip(weights[-2:0:-1], slopes[-3::-1], strict=True):
        delta = delta @ w.T * slope
    (finding,) = check_text(code, [RULE])
    assert finding.claim is not None
    measured = math.log10(np.linalg.norm(delta) / np.linalg.norm(last))
    assert measured == pytest.approx(finding.claim.predicted, abs=0.5)


@pytest.mark.parametrize(("kind", "name"), [("bad", "unguarded softmax"), ("good", "largest taken off")])
def test_softmax_overflows_as_foretold(kind: str, name: str) -> None:
    code = getattr(RULE, kind)[name]
    with np.errstate(all="ignore"):
        result = ran(code)["softmax"](np.array([[1000.0, 0.0]]))
    assert bool(np.isnan(result).any()) == (kind == "bad")


def test_data_that_is_drawn_is_no_weight() -> None:
    assert not [d for network in networks(RULE.good["random data"]) for d in drawings(layers(network))]


def test_the_share_beyond_a_knee_is_that_of_a_gaussian() -> None:
    z = np.random.default_rng(0).normal(1.5, 4.0, 200_000)
    assert beyond(6.0, 1.5, 16.0) == pytest.approx(float(np.mean(np.abs(z) > 6.0)), abs=0.005)


def test_files_that_name_no_framework_are_read_for_their_arrays_only(tmp_path: Path) -> None:
    code = RULE.bad["standard normal"] + "\n\ndef entropy(p):\n    return (p.softmax(-1).log() * p).sum()\n"
    path = tmp_path / "net.py"
    path.write_text(code)
    outcome = Examiner(load()).examine(str(path), code.encode(), is_named=False)
    assert {finding.rule for finding in outcome.findings} == {"GRD901"}
    named = Examiner(load()).examine(str(path), code.encode(), is_named=True)
    assert {finding.rule for finding in named.findings} > {"GRD901"}


@pytest.mark.parametrize(
    ("code", "is_read"),
    [
        ("import numpy as np\nw = np.random.randn(9, 9)\nnp.tanh(w @ w)\n", True),
        ("import numpy as np\nw = np.random.randn(9, 9)\nprint(w.mean())\n", False),
        ("import random\nx = random.random()\nprint(a.dot(b), exp(x))\n", False),
    ],
)
def test_only_files_that_may_hold_a_network_are_read(code: str, is_read: bool) -> None:
    assert is_of_interest(code.encode()) == is_read


SCRIPT = """\
import numpy as np

def sigmoid(z):
    return 1 / (1 + np.exp(-z))

HEAD
    np.random.seed(0)
    weights = np.random.randn(400, 300)
    data = np.random.randn(64, 400)
    print(sigmoid(data @ weights))
    raise SystemExit("no need to come here")
"""


@pytest.mark.parametrize("head", ["if __name__ == '__main__':", "if True:"])
def test_a_script_is_run_as_far_as_its_network_needs(tmp_path: Path, head: str) -> None:
    pytest.importorskip("torch")
    path = tmp_path / "net.py"
    path.write_text(SCRIPT.replace("HEAD", head))
    findings = check_text(path.read_text(), [RULE])
    (finding,) = stamped({str(path): findings}, Request(sys.executable))[str(path)]
    assert finding.claim is not None and finding.evidence is not None
    assert finding.evidence.verdict is Verdict.CONFIRMED, finding.evidence.reason
    assert finding.evidence.measured == pytest.approx(finding.claim.predicted, abs=0.02)
