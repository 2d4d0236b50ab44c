"""A mask that is said to cover a row covers one when the code is run; masks count as independent."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gradlint.lint.check_text import check_text
from gradlint.rule.registry import find

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")

SIZE = 5
CODE = """
import torch

def attend(scores, v, m: torch.BoolTensor, p: torch.BoolTensor):
    i = torch.arange(scores.shape[-1])
    ones = torch.ones_like(scores)
    mask = {mask}
    return torch.softmax({scores}, dim=-1) @ v
"""
FILLS = (
    "scores.masked_fill(mask, float('-inf'))",
    "scores + torch.zeros_like(scores).masked_fill(mask, -torch.inf)",
    "torch.where(mask, torch.tensor(-torch.inf), scores) / 2",
    "torch.where(~mask, scores, float('-inf'))",
)
LEAVES = (
    "m",
    "p",
    "(m == 0)",
    "p[:, :]",
    "ones.tril().bool()",
    "ones.triu(diagonal=1).bool()",
    "(torch.tril(ones, -1) == 1)",
    "(ones.triu() != 1)",
    "(i[None, :] > i[:, None])",
    "(i <= i[:, None])",
    "ones.bool()",
    "torch.zeros_like(m)",
    "torch.eye(5).bool()",
)
masks = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        inner.map(lambda mask: f"(~{mask})"),
        inner.map(lambda mask: f"torch.logical_not({mask}).unsqueeze(0)[0]"),
        st.tuples(inner, st.sampled_from("&|*"), inner).map(lambda parts: f"({' '.join(parts)})"),
    ),
    max_leaves=4,
).filter(lambda mask: all(len(re.findall(rf"\b{name}\b", mask)) < 2 for name in "mp"))


@settings(max_examples=150, deadline=None)
@example("(ones.tril().bool() & (~(m | (torch.tril(ones, -1) == 1))))", FILLS[0])
@given(masks, st.sampled_from(FILLS))
def test_a_row_that_may_be_covered_can_be_covered(mask: str, scores: str) -> None:
    code = CODE.format(mask=mask, scores=scores)
    if not check_text(code, [find("fully-masked-softmax")]):
        return
    namespace: dict[str, Any] = {}
    exec(compile(code, "<example>", "exec"), namespace)
    given_masks = product((torch.zeros, torch.ones), repeat=2)
    outputs = [
        namespace["attend"](
            torch.randn(SIZE, SIZE), torch.randn(SIZE, 2), *[fill(SIZE, SIZE).bool() for fill in fills]
        )
        for fills in given_masks
    ]
    assert any(output.isnan().any() for output in outputs), code
