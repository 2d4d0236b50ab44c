"""Code means what Python makes of it: what guards a value silences, what only looks alike does not.

`data/found.txt` holds programs with a finding for every log, `data/silent.txt` programs without.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gradlint.lint.examine import Examiner
from gradlint.rule.registry import load
from gradlint.source.source import Source

DATA = Path(__file__).parent / "data"
HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n\n"
RULES = load()


def programs(name: str) -> dict[str, str]:
    parts = (DATA / f"{name}.txt").read_text(encoding="utf-8").split("#: ")[1:]
    return {title: code for title, _, code in (part.partition("\n") for part in parts)}


FOUND, SILENT = programs("found"), programs("silent")


def rules_found(code: str) -> list[str]:
    return [finding.rule for finding in Examiner(RULES).examine_source(Source("p.py", HEAD + code)).findings]


@pytest.mark.parametrize("code", SILENT.values(), ids=SILENT.keys())
def test_guarded_or_unrelated(code: str) -> None:
    assert rules_found(code) == []


@pytest.mark.parametrize("code", FOUND.values(), ids=FOUND.keys())
def test_in_every_kind_of_statement(code: str) -> None:
    assert rules_found(code) == ["GRD603"] * max(1, code.count("torch.log("))
