"""What the rules about precision claim, held against real steps of training, on the processor."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gradlint.lint.check_text import check_text
from gradlint.records.finding import Claim, Metric
from gradlint.rule.registry import load
from gradlint.rule.rule import Rule
from gradlint.verify.judge import agrees, is_beyond

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
hooks = pytest.importorskip("torch.optim.optimizer")

WIDTHS = {"GRD406": (64, 1), "GRD401": (64, 64), "GRD402": (64, 10), "GRD403": (8, 2), "GRD404": (8, 2)}
RULES = [rule for rule in load() if rule.id in WIDTHS]
ITERATIONS = 8


class Autocast(torch.autocast):  # type: ignore[misc, name-defined]
    """Computes on the processor, by default in what the device that is named would compute in."""

    is_on = True

    def __init__(self, device_type: str = "cuda", dtype: Any = None, enabled: bool = True, **kw: Any) -> None:
        default = torch.bfloat16 if device_type == "cpu" else torch.float16
        super().__init__("cpu", dtype=dtype or default, enabled=enabled and self.is_on)


class Scaler(torch.amp.GradScaler):  # type: ignore[misc, name-defined]
    is_on = True

    def __init__(self, device: str = "cpu", *args: Any, enabled: bool = True, **kw: Any) -> None:
        super().__init__("cpu", *args, enabled=enabled and self.is_on, **kw)


class Steps:
    """Runs a script and sees what its optimizer is given first, and what comes of it."""

    def __init__(
        self, code: str, width: tuple[int, int], patch: pytest.MonkeyPatch, looked_at: int = 1
    ) -> None:
        self.code, self.width, self.patch = code, width, patch
        self._left = looked_at
        self.gradients: list[Any] | None = None
        self.lost = math.nan
        self._prepare()

    def _prepare(self) -> None:
        for name in ("autocast", "amp.autocast"):
            self.patch.setattr(f"torch.{name}", Autocast)
        old = lambda enabled=True, dtype=None: Autocast("cuda", dtype, enabled)  # noqa: E731
        self.patch.setattr("torch.cuda.amp.autocast", old)
        for name in ("amp.GradScaler", "cuda.amp.GradScaler"):
            self.patch.setattr(f"torch.{name}", Scaler)
        self.patch.setattr("torch.cuda.is_available", lambda: True)
        self.patch.setattr(torch.nn.Module, "cuda", lambda module, *_: module)
        self.patch.setattr(Autocast, "is_on", True)
        self.patch.setattr(Scaler, "is_on", True)

    def run(self, iterations: int = ITERATIONS) -> None:
        torch.manual_seed(0)
        features, classes = self.width
        batches = [(torch.randn(32, features), torch.randint(0, classes, (32,))) for _ in range(iterations)]
        if "mask" in self.code:
            batches = [(torch.randn(2, 9, features), torch.ones(9, 9).tril()) for _ in batches]
        elif "for x in loader" in self.code:
            batches = [x for x, _ in batches]
        before = hooks.register_optimizer_step_pre_hook(self._before)
        after = hooks.register_optimizer_step_post_hook(self._after)
        try:
            exec(compile(self.code, "train.py", "exec"), {"loader": batches, "longest": 1.0})
        finally:
            before.remove()
            after.remove()

    def _before(self, optimizer: Any, *_: Any) -> None:
        self._left -= 1
        self._first = self._left == 0
        if not self._first:
            return
        weights = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        self.gradients = [p.grad.detach().float().clone() for p in weights]
        self._weights, self._start = weights, [p.detach().clone() for p in weights]
        copies = [torch.nn.Parameter(p.detach().float()) for p in weights]
        for copy, gradient in zip(copies, self.gradients, strict=True):
            copy.grad = gradient.clone()
        taken = inspect.signature(type(optimizer)).parameters.keys() - {"fused", "foreach"}
        reference = type(optimizer)(copies, **{k: v for k, v in optimizer.defaults.items() if k in taken})
        groups, state = reference.state_dict()["param_groups"], optimizer.state_dict()["state"]
        reference.load_state_dict({"state": state, "param_groups": groups})
        self._reference = copies, reference

    def _after(self, optimizer: Any, *_: Any) -> None:
        if not self._first or any(optimizer is each for each in (self._reference[1],)):
            return
        self._first = False
        copies, reference = self._reference
        starts = [copy.detach().clone() for copy in copies]
        reference.step()
        changed = lost = 0
        for weight, start, copy, origin in zip(self._weights, self._start, copies, starts, strict=True):
            if weight.dtype == torch.float16:
                moved = copy.detach() != origin
                changed += int(moved.sum())
                lost += int((moved & ((weight.detach() == start) | ~weight.detach().isfinite())).sum())
        self.lost = lost / changed if changed else 0.0


def step_scale(run: Callable[[], Steps], patch: pytest.MonkeyPatch) -> float:
    scaled, plain = run(), run()
    scaled.run()
    patch.setattr(Scaler, "is_on", False)
    plain.run()
    if not scaled.gradients or not plain.gradients:
        return math.nan
    return math.log10(_norm(scaled.gradients) / _norm(plain.gradients))


def _norm(gradients: list[Any]) -> float:
    return math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))


def flushed(run: Callable[[], Steps], patch: pytest.MonkeyPatch) -> float:
    whole = torch.Tensor.backward
    scales: list[float] = []

    def backward(loss: Any, *arguments: Any, **settings: Any) -> None:
        scale = scales[0] if scales else 1.0
        whole(loss * (0.001 * scale / float(loss.detach())), *arguments, **settings)

    half, single = run(), run()
    patch.setattr(torch.Tensor, "backward", backward)
    if "scaler.scale(" in half.code:
        scales.append(65536.0)
    half.run()
    patch.setattr(Autocast, "is_on", False)
    patch.setattr(torch.nn.Module, "half", lambda module: module)
    patch.setattr(torch.Tensor, "half", lambda tensor: tensor)
    single.run()
    if not half.gradients or not single.gradients:
        return math.nan
    pairs = list(zip(half.gradients, single.gradients, strict=True))
    there = sum(int((exact != 0).sum()) for _, exact in pairs)
    return sum(int(((exact != 0) & (found == 0)).sum()) for found, exact in pairs) / there


def lost_updates(run: Callable[[], Steps], patch: pytest.MonkeyPatch) -> float:
    steps = run()
    steps.run()
    return steps.lost


def raises(run: Callable[[], Steps], patch: pytest.MonkeyPatch) -> float:
    try:
        run().run()
    except (RuntimeError, ValueError):
        return 1.0
    return 0.0


MEASURES = {
    Metric.STEP_SCALE: step_scale,
    Metric.FLUSHED_GRADIENTS: flushed,
    Metric.LOST_UPDATES: lost_updates,
    Metric.RAISES: raises,
}


SPOILT = frozenset({"where a layer comes too late, and the scaler is never told"})
"""Examples that raise for another reason than the one that is measured."""


def _scripts(kind: str) -> Iterator[Any]:
    for rule in RULES:
        for name, code in getattr(rule, kind).items():
            if (
                name not in SPOILT
                and "for x" in code
                and not any(
                    word in code for word in ("def fit", "class ", "apex", "transformers", "amp_tools")
                )
            ):
                yield pytest.param(rule, code, id=f"{rule.id}-{name}")


def _measured(rule: type[Rule], code: str, claim: Claim, patch: pytest.MonkeyPatch) -> float:
    found = re.fullmatch(r"steps=(\d+)", claim.condition)
    looked_at = int(found[1]) if found and claim.metric is Metric.LOST_UPDATES else 1
    return MEASURES[claim.metric](lambda: Steps(code, WIDTHS[rule.id], patch, looked_at), patch)


def _claims(rule: type[Rule], code: str) -> list[Claim]:
    return [finding.claim for finding in check_text(code, [rule]) if finding.claim is not None]


@pytest.mark.parametrize(("rule", "code"), list(_scripts("bad")))
def test_bad_cases_are_confirmed(rule: type[Rule], code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for claim in _claims(rule, code):
        value = _measured(rule, code, claim, monkeypatch)
        assert is_beyond(value, claim), f"measured {value:.3g}, refutes {claim}"
        assert agrees(value, claim), f"measured {value:.3g}, not as predicted: {claim}"


UNMEASURED = (
    *("epsilon of", "clamped", "clipped and stepped without", "unscaled, then stepped without"),
    *("only where mixed precision is on", "a loss that the library does not scale"),
)
"""Cases whose harm depends on the gradients (tiny, clipped, or beyond float16), a switch, or a library."""


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_claims_something(rule: type[Rule]) -> None:
    silent = [name for name, code in rule.bad.items() if not _claims(rule, code)]
    assert all(any(part in name for part in UNMEASURED) for name in silent), silent


@pytest.mark.parametrize(("rule", "code"), list(_scripts("good")))
def test_good_cases_are_refuted(rule: type[Rule], code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = {claim.metric: claim for bad in rule.bad.values() for claim in _claims(rule, bad)}
    for claim in claims.values():
        with monkeypatch.context() as patch:
            value = _measured(rule, code, claim, patch)
        assert math.isnan(value) or not is_beyond(value, claim), f"measured {value:.3g}, as in {claim}"
