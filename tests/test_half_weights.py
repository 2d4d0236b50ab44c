"""What becomes of weights in float16 depends on the optimizer that changes them; the message says what."""

from __future__ import annotations

import re

import pytest

from gradlint.lint.check_text import check_text
from gradlint.rule.registry import load

RULES = load()
LOST, REFUSED, ZERO = "steps below 1/4096", "refuses to unscale", "the epsilon 1e-08 of AdamW is 0"

TRAINER = """
import torch
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

def main(dataset):
    model = AutoModelForCausalLM.from_pretrained("gpt2", torch_dtype=torch.float16)
    arguments = TrainingArguments(output_dir="out"SETTINGS)
    Trainer(model=model, args=arguments, train_dataset=dataset).train()
"""
LOOP = """
import torch

def main(loader, options):
    model = torch.nn.Linear(16, 4).half()
    optimizer = torch.optim.AdamW(model.parameters()SETTINGS)
    for x, y in loader:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
"""
CASES = {
    "by default": (TRAINER, "", LOST),
    "not fused": (TRAINER, ', optim="adamw_torch"', ZERO),
    "not fused, a larger epsilon": (
        TRAINER,
        ', optim="adamw_torch", adam_epsilon=1e-4, learning_rate=1e-3',
        "",
    ),
    "large steps": (TRAINER, ", learning_rate=1e-3", ""),
    "descent": (TRAINER, ', optim="sgd", learning_rate=0.1', LOST),
    "scaled": (TRAINER, ", fp16=True", REFUSED),
    "one that keeps float32": (TRAINER, ', optim="adafactor"', ""),
    "one that is not known": (TRAINER, ", optim=dataset.optim", ""),
    "torch": (LOOP, "", ZERO),
    "torch, fused": (LOOP, ", lr=5e-5, fused=True", LOST),
    "torch, fused, large steps": (LOOP, ", lr=1e-3, fused=True", ""),
    "torch, not fused by name": (LOOP, ", fused=None", ZERO),
    "torch, options that are not known": (LOOP, ", lr=1e-3, **options", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_the_cause_is_that_of_the_optimizer(case: str) -> None:
    code, settings, message = CASES[case]
    found = [f.message for f in check_text(code.replace("SETTINGS", settings), RULES) if f.rule == "GRD402"]
    assert len(found) == bool(message)
    assert all(re.search(re.escape(message), each) for each in found)


@pytest.mark.torch
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("rate", [5e-5, 1e-2])
def test_fused_kernels_lose_small_steps_and_divide_by_no_zero(fused: bool, rate: float) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)).half()
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, fused=fused)
    for _ in range(5):
        x, y = torch.randn(32, 64).half(), torch.randint(0, 10, (32,))
        before = [p.detach().clone() for p in net.parameters()]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x).float(), y).backward()
        optimizer.step()
    size = sum(p.numel() for p in net.parameters())
    finite = sum(int(p.isfinite().sum()) for p in net.parameters()) / size
    same = sum(int((a == b).sum()) for a, b in zip(before, net.parameters(), strict=True)) / size
    assert (finite == 1) is fused
    assert not fused or ((same > 0.3) if rate < 1e-4 else (same < 0.02))
