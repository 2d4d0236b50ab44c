"""What the rules about gradients that are not finite claim, held against real backward passes."""

from __future__ import annotations

import ast
import inspect
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from gradlint.lint.check_text import check_text
from gradlint.records.finding import Claim, Metric
from gradlint.rule.registry import load
from gradlint.rule.rule import Rule

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
battery = pytest.importorskip("gradlint.verify.worker.battery")

NOT_GRADIENTS = {"GRD609"}
RULES = [rule for rule in load() if rule.id.startswith("GRD6") and rule.id not in NOT_GRADIENTS]


class Outcome(NamedTuple):
    """Gradients by the name of the input or parameter, and the output's tensors."""

    gradients: dict[str, Any]
    values: list[Any]

    def broken(self, metric: Metric) -> list[str]:
        """The names that `metric` finds not finite."""
        if metric is Metric.NON_FINITE_VALUE:
            return ["output" for value in self.values if not value.isfinite().all()]
        return [name for name, gradient in self.gradients.items() if not gradient.isfinite().all()]


class Subject:
    """A function or method of an example, with shapes of its inputs for which it runs."""

    def __init__(self, code: str, name: str = "") -> None:
        self._namespace: dict[str, Any] = {"__name__": "example"}
        exec(compile(code, "<example>", "exec"), self._namespace)
        self.owner, self.function = self._resolve(name or _last_definition(code))
        self.parameters = [
            (p.name, str(p.annotation))
            for p in inspect.signature(self.function).parameters.values()
            if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        ]
        self.shapes = self._fitting()

    def _resolve(self, name: str) -> tuple[Any, Callable[..., Any]]:
        first, _, member = name.partition(".")
        found = self._namespace[first]
        if not isinstance(found, type):
            return None, found
        torch.manual_seed(0)
        owner = found()
        return owner, getattr(owner, member or "forward")

    def _fitting(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The first shapes of numbers and of masks with which the function runs."""
        shapes = [(shape, mask) for shape in battery.FLOAT_SHAPES for mask in battery.mask_shapes(shape)]
        errors = []
        for pair in shapes:
            error = self._failure(*pair)
            if error is None:
                return pair
            errors.append(error)
        raise AssertionError(f"no shape fits: {errors[0]}")

    def _failure(self, shape: tuple[int, ...], mask_shape: tuple[int, ...]) -> Exception | None:
        numbers, masks = battery.BATTERY["randn"][0]
        try:
            self._run(numbers, masks, shape, mask_shape)
        except (RuntimeError, ValueError, IndexError) as error:
            return error
        return None

    def outcomes(self, condition: str) -> Iterator[Outcome]:
        """One outcome for each variant of the battery's entry."""
        for numbers, masks in battery.BATTERY[condition]:
            yield self._run(numbers, masks, *self.shapes)

    def _run(self, numbers: Any, masks: Any, shape: tuple[int, ...], mask_shape: tuple[int, ...]) -> Outcome:
        torch.manual_seed(1)
        inputs = {}
        for name, annotation in self.parameters:
            if "Bool" in annotation:
                inputs[name] = masks(mask_shape)
            elif "Long" in annotation:
                inputs[name] = torch.arange(math.prod(mask_shape)).reshape(mask_shape) % shape[-1]
            else:
                inputs[name] = numbers(shape).requires_grad_()
        sources = dict(inputs)
        if self.owner is not None:
            self.owner.zero_grad()
            sources |= {f"self.{name}": p for name, p in self.owner.named_parameters()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = [value for value in _tensors(self.function(**inputs)) if value.is_floating_point()]
            projected = [(value * torch.randn(value.shape)).sum() for value in values if value.requires_grad]
            if projected:
                torch.stack(projected).sum().backward()
        gradients = {name: source.grad for name, source in sources.items() if source.grad is not None}
        return Outcome(gradients, [value.detach() for value in values])


def _last_definition(code: str) -> str:
    found = [node for node in ast.parse(code).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    return found[-1].name


def _tensors(value: Any) -> Iterator[Any]:
    if isinstance(value, torch.Tensor):
        yield torch.view_as_real(value) if value.is_complex() else value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def _cases(kind: str) -> list[Any]:
    return [
        pytest.param(rule, code, id=f"{rule.id}-{name}")
        for rule in RULES
        for name, code in getattr(rule, kind).items()
    ]


def _claims(rule: type[Rule], code: str) -> list[Claim | None]:
    return [finding.claim for finding in check_text(code, [rule])]


def _is_measurable(rule: type[Rule]) -> bool:
    """Whether the rule makes any claim; if not, its documentation must say so."""
    measurable = any(any(_claims(rule, code)) for code in rule.bad.values())
    section = (inspect.getdoc(rule) or "").partition("### How it is verified")[2].partition("###")[0]
    assert measurable or "no claim" in section.lower()
    return measurable


@pytest.mark.parametrize(("rule", "code"), _cases("bad"))
def test_bad_cases_break(rule: type[Rule], code: str) -> None:
    if not _is_measurable(rule):
        return
    claims = _claims(rule, code)
    assert claims and None not in claims, "a finding without a claim"
    assert all(claim is not None and _confirmed(code, claim) for claim in claims)


def _confirmed(code: str, claim: Claim) -> bool:
    """Whether the very input or parameter is not finite, in the very way, on the very entry."""
    name, _, source = claim.subject.partition(":")
    subject = Subject(code, name)
    conditions = battery.BATTERY if claim.condition in ("", "any") else [claim.condition]
    for condition in conditions:
        for outcome in subject.outcomes(condition):
            if claim.metric is Metric.NON_FINITE_VALUE:
                if outcome.broken(claim.metric):
                    return True
                continue
            gradient = outcome.gradients.get(source)
            if gradient is not None and bool(_foretold(gradient, claim.predicted).any()):
                return True
    raise AssertionError(f"refuted: {claim}")


def _foretold(gradient: Any, predicted: float) -> Any:
    return gradient.isnan() if math.isnan(predicted) else gradient.isinf()


@pytest.mark.parametrize(("rule", "code"), _cases("good"))
def test_good_cases_hold(rule: type[Rule], code: str) -> None:
    if not _is_measurable(rule):
        return
    subject = Subject(code)
    claimed = {claim.metric for bad in rule.bad.values() for claim in _claims(rule, bad) if claim}
    broken = {
        f"{name} of {metric.value} on {condition}"
        for condition in battery.BATTERY
        for outcome in subject.outcomes(condition)
        for metric in {Metric.NON_FINITE_GRADIENT, *claimed}
        for name in outcome.broken(metric)
    }
    assert not broken
