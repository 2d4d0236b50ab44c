"""What a safe fix writes instead of a function that is written out by hand computes the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradlint.fix.rounds import fix_file
from gradlint.lint.check_text import check_text
from gradlint.rule.registry import load
from gradlint.source.source import Source

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
RULE = [rule for rule in load() if rule.id == "GRD603"]

OPERANDS = (
    "x",
    "-x",
    "x + y",
    "2 * x",
    "-2 * x",
    "-x / 3",
    "x @ y",
    "x.T",
    "-(x + y)",
    "-(x + y) * 2",
    "x[0]",
)
FORMS = (
    "torch.log(F.softmax({a}, dim=-1))",
    "({a}).softmax(-1).log()",
    "torch.log(torch.sigmoid({a}))",
    "(1 - torch.sigmoid({a})).log()",
    "torch.log1p(-torch.sigmoid({a}))",
    "torch.log1p(torch.exp({a}))",
    "(torch.exp({a}) + 1).log()",
    "torch.log(torch.exp({a}).sum(-1))",
    "torch.exp({a}).sum(dim=0, keepdim=True).log()",
    "torch.exp({a}) / torch.exp({a}).sum(-1, keepdim=True)",
    "torch.exp({a}) / torch.exp({a}).sum(-1).unsqueeze(-1)",
    "1 / (1 + torch.exp({a}))",
    "y[0] / (1 + torch.exp({a}))",
    "2 * y[0] / (torch.exp({a}) + 1)",
    "(y[0] + 1) / (torch.exp({a}) + 1)",
    "3 - 2 / (1 + torch.exp(-({a})))",
    "torch.exp({a}) / (1 + torch.exp({a}))",
    "(1 + torch.exp({a})) ** -1",
    "2 ** (1 / (1 + torch.exp({a})))",
    "-torch.log(1 / (1 + torch.exp({a})))",
    "(torch.exp({a}) - torch.exp(-({a}))) / (torch.exp({a}) + torch.exp(-({a})))",
)
CALLS = {
    "torch.log(torch.sigmoid(x))": "logsigmoid(x)",
    "torch.log(1 - torch.sigmoid(x))": "logsigmoid(-x)",
    "torch.log1p(-torch.sigmoid(x))": "logsigmoid(-x)",
    "torch.log(1 - 1 / (1 + torch.exp(-x)))": "logsigmoid(-x)",
    "torch.log(1 / (1 + torch.exp(-x)))": "logsigmoid(x)",
    "1 / (1 + torch.exp(-x))": "sigmoid(x)",
}


@pytest.mark.parametrize("form", CALLS)
def test_help_names_the_call_that_gives_the_same(form: str) -> None:
    (found,) = check_text(f"import torch\n\ndef f(x):\n    return {form}\n", RULE)
    assert found.help == f"use torch's {CALLS[form]}, which computes it in one step"
    own = {"logsigmoid": torch.nn.functional.logsigmoid, "sigmoid": torch.sigmoid}
    x = torch.linspace(-3, 3, 7)
    measured = eval(form, {"torch": torch, "x": x})
    torch.testing.assert_close(eval(CALLS[form], {**own, "x": x}), measured)


BODIES = ("return {form}", "z = {operand}\n    w = {named}\n    x = x + 1\n    return w + 0 * x[0]")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FORMS), st.sampled_from(OPERANDS), st.sampled_from(BODIES))
def test_fixed_code_computes_the_same(form: str, operand: str, body: str) -> None:
    body = body.format(form=form.format(a=operand), named=form.format(a="z"), operand=operand)
    code = f"import torch\nimport torch.nn.functional as F\n\ndef f(x, y):\n    {body}\n"
    fixed = fix_file(Source("case.py", code), lambda source: tuple(check_text(source.text, RULE)), False)
    assert fixed.applied, code
    torch.manual_seed(0)
    inputs = [torch.randn(3, 3, dtype=torch.float64) for _ in range(2)]
    torch.testing.assert_close(_run(fixed.source.text, inputs), _run(code, inputs))


def _run(code: str, inputs: list[Any]) -> Any:
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    return namespace["f"](*inputs)
