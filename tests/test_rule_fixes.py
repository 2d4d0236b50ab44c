"""What holds of every fix: it makes what it says, removes its finding, adds none, and is done at once."""

from __future__ import annotations

import ast
from collections import Counter

import pytest

from gradlint.fix.rounds import fix_file
from gradlint.lint.check_text import check_text
from gradlint.records.finding import Applicability, Finding
from gradlint.rule.registry import load
from gradlint.rule.rule import Rule
from gradlint.source.source import Source

RULES = load()
META = {"GRD001", "GRD002", "GRD003"}
BAD = [
    pytest.param(rule, name, code, id=f"{rule.id}-{name}")
    for rule in RULES
    if rule.id not in META
    for name, code in rule.bad.items()
]


def linted(source: Source) -> tuple[Finding, ...]:
    return check_text(source.text, RULES)


def only(rule: type[Rule], source: Source) -> tuple[Finding, ...]:
    return check_text(source.text, [rule])


@pytest.mark.parametrize(("rule", "name", "code"), BAD)
def test_a_fix_makes_what_the_rule_says(rule: type[Rule], name: str, code: str) -> None:
    fixed = fix_file(Source("case.py", code), lambda source: only(rule, source), True)
    if name in rule.fixed:
        assert fixed.source.text == rule.fixed[name]
    findings = [finding for finding in check_text(code, [rule]) if finding.fix is not None]
    applicable = [f for f in findings if f.fix and f.fix.applicability != Applicability.DISPLAY_ONLY]
    assert not fixed.rejected
    assert bool(applicable) == (fixed.source.text != code)


@pytest.mark.parametrize(("rule", "name", "code"), BAD)
def test_all_fixes_together_converge_and_add_nothing(rule: type[Rule], name: str, code: str) -> None:
    before = Counter(finding.rule for finding in check_text(code, RULES))
    once = fix_file(Source("case.py", code), linted, True)
    assert once.converged
    ast.parse(once.source.text)
    after = Counter(finding.rule for finding in once.findings)
    assert not after - before
    again = fix_file(once.source, linted, True)
    assert again.source.text == once.source.text
    assert not again.applied


LAYOUTS = {
    """return torch.log(
        torch.softmax(
            (x
            + y),  # logits
            dim=-1
        )
    )
""": """return F.log_softmax(
            (x
            + y),  # logits
            dim=-1
        )
""",
    """return torch.log(torch.sum(
        torch.exp(
            x
        ),
        dim=1,
    ))
""": """return torch.logsumexp(
        x,
        dim=1,
    )
""",
    "return torch.log(torch.exp(x)\n.sum(dim=1))\n": "return torch.logsumexp(x, dim=1)\n",
}


@pytest.mark.parametrize(("code", "expected"), LAYOUTS.items())
def test_arguments_that_stay_keep_their_layout(code: str, expected: str) -> None:
    head = "import torch\nimport torch.nn.functional as F\n\n\ndef f(x: torch.Tensor, y: torch.Tensor):\n    "
    assert fix_file(Source("a.py", head + code), linted).source.text == head + expected


def test_advice_begins_in_lower_case() -> None:
    assert not [rule.help for rule in RULES if rule.help[:1].isupper()]
    for case in BAD:
        rule, _, code = case.values
        for found in check_text(str(code), [rule]):  # type: ignore[list-item]
            texts = (found.message, found.help, *([found.fix.title] if found.fix else []))
            assert not any(text[:1].isupper() and text[1:2].islower() for text in texts), texts


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_with_fixes_asserts_one(rule: type[Rule]) -> None:
    if rule.id in META:
        return
    has_fix = any(f.fix for code in rule.bad.values() for f in check_text(code, [rule]))
    assert has_fix == bool(rule.fixed)
    assert set(rule.fixed) <= set(rule.bad)
