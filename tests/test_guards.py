"""A value that was tested before it is used is nobody's mistake."""

from __future__ import annotations

import pytest

from gradlint.lint.check_text import check_text
from gradlint.rule.registry import load

RULES = load()

GUARDED = {
    "early return": "    if s == 0:\n        return s\n    return s.sqrt()\n",
    "branch": "    if s > 0:\n        return s.sqrt()\n    return s\n",
    "conditional expression": "    return s.sqrt() if s > 0 else s\n",
    "assertion": "    assert s > 0\n    return s.sqrt()\n",
    "any": "    if (s <= 0).any():\n        raise ValueError\n    return s.sqrt()\n",
    "replaced": "    s = torch.where(s > 0, s, torch.ones_like(s))\n    return s.sqrt()\n",
    "masked out": "    return s[s > 0].sqrt()\n",
    "filled": "    s = s.masked_fill(s == 0, 1.0)\n    return s.sqrt()\n",
    "set": "    s[s == 0] = 1.0\n    return s.sqrt()\n",
    "clamped in place": "    s.clamp_(min=1e-6)\n    return s.sqrt()\n",
    "added in place": "    s += 1e-6\n    return s.sqrt()\n",
    "unknown addend": "    return (s + offset).sqrt()\n",
    "unknown function": "    return torch.sqrt(helper(s))\n",
    "maximum": "    return torch.sqrt(torch.maximum(s, torch.tensor(1e-6)))\n",
}
UNGUARDED = {
    "other test": "    if offset is None:\n        return s\n    return s.sqrt()\n",
    "shape test": "    if s.dim() == 2:\n        return s\n    return s.sqrt()\n",
    "clamped at zero": "    return s.clamp(min=0).sqrt()\n",
    "zero added": "    return (s + 0.0).sqrt()\n",
    "in either branch": "    if offset:\n        s = (x * x).sum(-1)\n    return s.sqrt()\n",
    "after a loop": "    for _ in range(3):\n        s = s * 2\n    return (x ** 2).sum(-1).sqrt() + s\n",
}
HEAD = "import torch\nfrom elsewhere import helper\n\n\ndef f(x, offset):\n    s = x.pow(2).sum(-1)\n"


@pytest.mark.parametrize("how", GUARDED)
def test_guarded(how: str) -> None:
    assert [f.rule for f in check_text(HEAD + GUARDED[how], RULES)] == []


@pytest.mark.parametrize("how", UNGUARDED)
def test_unguarded(how: str) -> None:
    assert [f.rule for f in check_text(HEAD + UNGUARDED[how], RULES)] == ["GRD601"]


OFFSET = "import torch\n\n\ndef f(size, anchors):\n    return {}\n"


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("torch.log(size / anchors + 1e-16)", []),
        ("(size / anchors.exp() + 1e-8).sqrt()", []),
        ("torch.log(size / anchors) + 1e-16", ["GRD605"]),
        ("size / anchors + 1e-16", ["GRD605"]),
    ],
)
def test_an_epsilon_behind_a_quotient_may_be_for_what_comes_next(result: str, expected: list[str]) -> None:
    assert [f.rule for f in check_text(OFFSET.format(result), RULES)] == expected
