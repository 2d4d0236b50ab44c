"""Loops with known truth: a right one is silent, each defect is found by its rule."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from steps import CHANGES, Change, Design, designs, program

from gradlint.lint.check_text import check_text
from gradlint.records.finding import Severity
from gradlint.rule.registry import load

RULES = load()
NAMES = {rule.id for rule in RULES}
usual = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def found(text: str) -> set[str]:
    """The rules that warn."""
    return {f.rule for f in check_text(text, RULES) if f.severity is not Severity.NOTE}


@pytest.mark.parametrize("part", range(4))
def test_right_loops_are_silent(part: int) -> None:
    @usual
    @given(designs())
    def check(design: Design) -> None:
        text = program(design)
        compile(text, "<right>", "exec")
        assert found(text) == set(), text

    check()


@pytest.mark.parametrize(
    "change", [pytest.param(c, id=name) for name, c in CHANGES.items() if c.rule in NAMES]
)
def test_defects_are_found(change: Change) -> None:
    @usual
    @given(designs())
    def check(design: Design) -> None:
        assume(change.suits(design))
        text = program(design, change)
        compile(text, "<wrong>", "exec")
        assert change.rule in found(text), text

    check()
