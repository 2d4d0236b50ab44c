"""What holds of every rule: its examples, its names, its documentation."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from pathlib import Path

import pytest

from gradlint.lint.check_text import check_text
from gradlint.rule.registry import load
from gradlint.rule.rule import Rule

RULES = load()
META = {"GRD001", "GRD002", "GRD003"}
HEADINGS = ["Why is this bad?", "How it is verified", "When it is fine", "Fix safety", "References"]
CASES = [
    pytest.param(rule, kind, name, code, id=f"{rule.id}-{kind}-{name}")
    for rule in RULES
    if rule.id not in META
    for kind in ("bad", "good")
    for name, code in getattr(rule, kind).items()
]


@pytest.mark.parametrize(("rule", "kind", "name", "code"), CASES)
def test_examples(rule: type[Rule], kind: str, name: str, code: str) -> None:
    found = Counter(finding.rule for finding in check_text(code, RULES))
    if kind == "bad":
        assert found[rule.id] >= 1, f"not found in:\n{code}"
    else:
        assert found[rule.id] == 0, f"false alarm in:\n{code}"
        assert "GRD000" not in found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
class TestEveryRule:
    def test_names_agree(self, rule: type[Rule]) -> None:
        stem = Path(inspect.getfile(rule)).stem
        assert stem == rule.name.replace("-", "_")
        assert rule.__name__ == "".join(part.capitalize() for part in rule.name.split("-"))
        assert re.fullmatch(r"GRD\d{3}", rule.id)

    def test_is_documented_under_the_fixed_headings(self, rule: type[Rule]) -> None:
        text = inspect.getdoc(rule) or ""
        assert re.findall(r"^### (.+)$", text, re.MULTILINE) == HEADINGS
        assert (inspect.getmodule(rule).__doc__ or "").startswith(f"{rule.id} {rule.name}")
        assert rule.help, "a finding needs advice"

    def test_has_five_cases_of_each_kind(self, rule: type[Rule]) -> None:
        assert len(rule.bad) >= 5
        assert len(rule.good) >= 5
        texts = [*rule.bad.values(), *rule.good.values()]
        assert len(texts) == len(set(texts)), "a case stands twice"

    def test_holds_no_state(self, rule: type[Rule]) -> None:
        assert vars(rule()) == {}
        assert "__init__" not in vars(rule)


_PLAIN = """\
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()
        )
        self.head = nn.Linear(64, 2)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x):
        return self.head(self.layers(x))
"""

_SCALED = """\
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k = nn.Linear(64, 64), nn.Linear(64, 64)
        nn.init.normal_(self.q.weight)
        nn.init.normal_(self.k.weight)

    def forward(self, x):
        scores = self.q(x) @ self.k(x).transpose(-2, -1) * {}
        return scores.softmax(-1) @ x
"""


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param(_PLAIN, {"GRD202"}, id="a gradient of zero is not for the depth"),
        pytest.param(_SCALED.format("1.0"), {"GRD106"}, id="scores that nothing scales"),
        pytest.param(_SCALED.format("64**-0.5"), set(), id="scaled scores of large weights"),
    ],
)
def test_a_rule_speaks_of_its_own_defect_only(code: str, expected: set[str]) -> None:
    assert {finding.rule for finding in check_text(code, RULES)} == expected
