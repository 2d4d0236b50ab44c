"""How bad a finding is depends on what reaches the place, and on who calls it."""

from __future__ import annotations

import pytest

from gradlint.lint.check_text import check_text
from gradlint.records.finding import Severity
from gradlint.rule.registry import load

HEAD = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.table = nn.Embedding(9, 4, padding_idx=0)
        self.weight = weight

    def forward(self, x, y, ids: torch.LongTensor, mask: torch.BoolTensor):
        h = {}
        return h / h.norm(dim=-1, keepdim=True)
"""


def severities(text: str) -> set[str]:
    return {f"{finding.rule} {finding.severity.value}" for finding in check_text(text, load())}


@pytest.mark.parametrize("features", ["self.layer(x)", "self.weight(x).out[0]"])
def test_norms_of_what_layers_compute_are_notes(features: str) -> None:
    assert severities(HEAD.format(features)) == {"GRD604 note"}


@pytest.mark.parametrize(
    "features",
    ["x", "2 * x", "x - y", "self.layer(x) - self.layer(y)", "self.layer(x) * mask", "self.table(ids)"]
    + ["self.layer(x).relu()", "x @ self.layer.weight"],
)
def test_norms_that_some_input_makes_zero_are_warnings(features: str) -> None:
    assert severities(HEAD.format(features)) == {"GRD604 warning"}
