"""What a training does is the same in whatever form of the language it is said."""

from __future__ import annotations

import pytest

from gradlint.lint.check_text import check_text
from gradlint.rule.registry import load

RULES = tuple(rule for rule in load() if rule.id in ("GRD403", "GRD501", "GRD502", "GRD503"))
_SETUP = (
    "import asyncio\nimport contextlib\nimport threading\nfrom functools import partial\n\n"
    "import torch\nfrom torch import nn\n\nmodel = nn.Linear(3, 3)\n"
    "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
)
_LOOP = "for x in data:\n    loss = model(x).sum()\n"


def found(before: str, *body: str) -> set[str]:
    """The rules that find something in a loop with these lines."""
    text = _SETUP + before + _LOOP + "".join(f"    {line}\n" for line in body)
    return {finding.rule for finding in check_text(text, RULES)}


# what zeroes, before the loop and in it
ZEROING = {
    "a method that was kept": ("zero = optimizer.zero_grad\n", "zero()"),
    "several that were kept": ("zero, step = optimizer.zero_grad, optimizer.step\n", "zero()"),
    "one of a table": ("do = {'zero': optimizer.zero_grad}\n", "do.get('zero')()"),
    "one of two": ("", "(optimizer.zero_grad if flag else model.zero_grad)()"),
    "by name": ("", "getattr(optimizer, 'zero_grad')()"),
    "with arguments": ("zero = partial(optimizer.zero_grad, set_to_none=True)\n", "zero()"),
    "given to unknown code": ("", "threading.Thread(target=optimizer.zero_grad).start()"),
    "a function given to unknown code": (
        "def after():\n    optimizer.zero_grad()\n",
        "contextlib.ExitStack().callback(after)",
    ),
    "unbound": ("", "torch.optim.SGD.zero_grad(optimizer)"),
    "one of which the name is not known": ("", "getattr(optimizer, name)()"),
    "one of a table by a name that is not known": ("", "{'a': optimizer.zero_grad}.get(name, print)()"),
    "in every part": ("", "model.apply(lambda part: part.zero_grad())"),
    "all gradients at once": ("", "torch._foreach_zero_([p.grad for p in model.parameters()])"),
    "by an object that is not known": ("", "globals()['optimizer'].zero_grad()"),
    "code in a text": ("", "exec('optimizer.zero_grad()')"),
    "after every step": ("optimizer.register_step_post_hook(lambda o, *_: o.zero_grad())\n", "pass"),
    "a step that was replaced": (
        "plain = optimizer.step\n"
        "def step():\n    plain()\n    optimizer.zero_grad()\noptimizer.step = step\n",
        "pass",
    ),
}


@pytest.mark.parametrize("name", ZEROING)
def test_zeroing(name: str) -> None:
    before, line = ZEROING[name]
    assert not found(before, line, "loss.backward()", "optimizer.step()")


# what zeroes for certain: between a backward pass and a step, that is found
CERTAIN = [
    "a method that was kept",
    "several that were kept",
    "one of a table",
    "by name",
    "unbound",
    "with arguments",
]


@pytest.mark.parametrize("name", CERTAIN)
def test_zeroing_at_the_wrong_place(name: str) -> None:
    before, line = ZEROING[name]
    assert found(before, "loss.backward()", line, "optimizer.step()") == {"GRD502"}


@pytest.mark.parametrize("line", ["step()", "(lambda: step())()", "[do() for do in (step,)]"])
def test_a_step_that_was_kept(line: str) -> None:
    before = "step = optimizer.step\n"
    assert found(before, "loss.backward()", line) == {"GRD501"}
    assert not found(before, "optimizer.zero_grad()", "loss.backward()", line)


def test_a_backward_pass_that_was_kept() -> None:
    assert not found("", "optimizer.zero_grad()", "back = loss.backward", "back()", "optimizer.step()")
    assert found("", "back = loss.backward", "back()", "optimizer.step()") == {"GRD501"}


def test_methods_that_are_kept_in_the_loop() -> None:
    kept = ["back = loss.backward", "back()", "step = optimizer.step", "step()"]
    assert found("", *kept) == {"GRD501"}
    assert not found("", "zero = optimizer.zero_grad", "zero()", *kept)
