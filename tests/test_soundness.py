"""What the op table promises of results holds of what torch computes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gradlint.records import ir
from gradlint.records.span import Span
from gradlint.semantics.analyse import Analysis
from gradlint.semantics.interpretation import Operand, Site
from gradlint.semantics.ops import TRANSFER
from gradlint.semantics.project import Project
from gradlint.semantics.tensor import MASK, Application, Facts, Tensor, Witness, facts_of
from gradlint.semantics.trace import Trace
from gradlint.semantics.value import Items, Known, Value
from gradlint.source.triage import matches
from gradlint.syntax.extract import extract, lower_omitted

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
torch_ops = pytest.importorskip("torch_ops")
battery = pytest.importorskip("gradlint.verify.worker.battery")

NODE = ir.Unknown(Span(1, 1, 1, 1), "nothing")
ZERO, ONE = Witness("zero", "zeros"), Witness("one", "equal rows")
LARGEST = 1000.0
TOLERANCE = 1e-4


def test_every_primitive_is_covered() -> None:
    assert set(TRANSFER) == set(torch_ops.OPS)


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    """What may be known of an operand, its witnesses only where they can be true."""
    ends = st.sampled_from([-math.inf, -2.5, -1.0, 0.0, 0.5, 1.0, 3.0, math.inf])
    lo, hi = sorted((draw(ends), draw(ends)))
    assume(lo < hi)
    has_zero, has_one = lo <= 0 <= hi, lo <= 1 <= hi or lo <= -1 <= hi
    return Facts(
        lo,
        hi,
        ZERO if has_zero and draw(st.booleans()) else None,
        ONE if has_one and draw(st.booleans()) else None,
        vanishes=frozenset({"zeros"}) if has_zero and draw(st.booleans()) else frozenset(),
    )


def _application(name: str, op: Any, known: list[Facts]) -> Application:
    values: list[Value] = [Tensor(number, fact) for number, fact in enumerate(known)]
    if op.form == "list":
        values = [Items("list", values, NODE)]
    if op.form == "einsum":
        values = [Known("ij,kj->ik"), *values]
    values += [Known(argument) for argument in op.arguments]
    keywords = {key: Operand(Known(value), NODE) for key, value in op.keywords.items()}
    operands = tuple([Operand(value, NODE) for value in values])
    return Application(name, "function", operands, keywords, Site(NODE, ""))


def _elements(fact: Facts) -> list[float]:
    """Numbers in an interval, the telling ones among them."""
    lo, hi = max(fact.lo, -LARGEST), min(fact.hi, LARGEST)
    inside = [number for number in (0.0, 1.0, -1.0, 0.3, -0.7, 2.0) if lo <= number <= hi]
    return [*inside, lo, hi, (lo + hi) / 2]


def _tensors(fact: Facts, is_mask: bool) -> Iterator[Any]:
    """Tensors of an interval: constant ones, and some that mix its numbers."""
    if is_mask:
        yield from (torch.full((4, 4), True), torch.full((4, 4), False), torch.eye(4).bool())
        return
    elements = _elements(fact)
    yield from (torch.full((4, 4), element, dtype=torch.float64) for element in elements)
    mixed = [elements[i % len(elements)] for i in range(16)]
    yield torch.tensor(mixed, dtype=torch.float64).reshape(4, 4)
    apart = torch.diag(torch.full((4,), max(elements) - min(elements), dtype=torch.float64))
    yield from (min(elements) + apart, max(elements) - apart)


def _common(known: list[Facts], masks: frozenset[int]) -> Iterator[list[Any]]:
    """The same tensor for all operands."""
    lo, hi = max([f.lo for f in known], default=0.0), min([f.hi for f in known], default=0.0)
    if len(known) > 1 and lo <= hi and not masks:
        yield from ([tensor] * len(known) for tensor in _tensors(Facts(lo, hi), False))


def _operands(op: Any, known: list[Facts]) -> Iterator[list[Any]]:
    """Combinations of tensors of the operands."""
    choices = [list(_tensors(fact, i in op.masks)) for i, fact in enumerate(known)]
    for position in range(max([len(choice) for choice in choices], default=1)):
        for shift in range(3):
            yield [choice[(position + shift * i) % len(choice)] for i, choice in enumerate(choices)]
    yield from _common(known, op.masks)


def _results(op: Any, known: list[Facts]) -> Iterator[tuple[list[Any], Any]]:
    """Operands and what torch makes of them."""
    for tensors in _operands(op, known):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = op.call(*[tensor.clone() for tensor in tensors])
        yield tensors, result.to(torch.float64)


def _cases() -> list[Any]:
    return [
        pytest.param(name, op, id=f"{name}-{i}")
        for name in TRANSFER
        for i, op in enumerate(torch_ops.OPS.get(name, ()))
    ]


@pytest.mark.parametrize(("name", "op"), _cases())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_results_lie_in_the_interval_and_reach_what_is_claimed(
    name: str, op: Any, data: st.DataObject
) -> None:
    known = [MASK if i in op.masks else data.draw(facts()) for i in range(op.tensors)]
    promised = TRANSFER[name](_application(name, op, known))
    assert promised is not None
    zero = one = vanished = False
    for tensors, result in _results(op, known):
        finite = result[~result.isnan()]
        slack = TOLERANCE * (1 + finite.abs().clamp(max=1e6))
        assert bool((finite >= promised.lo - slack).all() and (finite <= promised.hi + slack).all()), tensors
        zero = zero or bool((result == 0).any())
        one = one or bool(((result.abs() - 1).abs() < TOLERANCE).any())
        empty = [not tensor.any() for tensor, fact in zip(tensors, known, strict=True) if fact.vanishes]
        vanished = vanished or (all(empty) and bool(((result == 0) | result.isnan()).all()))
    assert zero or promised.zero is None
    assert one or promised.one is None
    assert vanished or "zeros" not in promised.vanishes


LEAVES = (
    "x",
    "y",
    "x[:, None]",
    "x[None]",
    "y.detach()",
    "torch.relu(x)",
    "(x > 0).float()",
    "x.softmax(dim=-1)",
)
UNARY = (
    "({0}).abs()",
    "({0}) ** 2",
    "({0}).square()",
    "({0}).tanh()",
    "({0}).sigmoid()",
    "({0}).clamp(min=0)",
    "({0}).clamp(-1, 1)",
    "({0}).cos()",
    "({0}) + 1",
    "({0}) + 2",
    "({0}) * 2",
    "1 - ({0})",
    "-({0})",
    "({0}).sum(-1, keepdim=True)",
    "({0}).mean(-1, keepdim=True)",
    "({0}).var(-1, keepdim=True)",
    "({0}).std(-1, keepdim=True)",
    "({0}).norm(dim=-1, keepdim=True)",
    "({0}).amax(-1, keepdim=True)",
    "({0}).relu()",
    "({0}).log1p()",
    "F.normalize({0}, dim=-1)",
    "({0}) - ({0}).mean(-1, keepdim=True)",
    "({0}) / ({0}).norm(dim=-1, keepdim=True)",
)
BINARY = (
    "({0}) + ({1})",
    "({0}) - ({1})",
    "({0}) * ({1})",
    "({0}) / ({1})",
    "torch.maximum({0}, {1})",
    "torch.where({0} > 0, {0}, {1})",
    "(({0}) * ({1})).sum(-1, keepdim=True)",
    "F.cosine_similarity({0}, {1}, dim=-1)",
    "F.mse_loss({0}, {1})",
    "({0}).hypot({1})",
)


def _programs() -> st.SearchStrategy[str]:
    leaves = st.sampled_from(LEAVES)
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(str.format, st.sampled_from(UNARY), inner),
            st.tuples(st.sampled_from(BINARY), inner, inner)
            .filter(lambda parts: parts[1] != parts[2])
            .map(lambda parts: parts[0].format(*parts[1:])),
        ),
        max_leaves=4,
    )


def _known_of(code: str) -> Facts:
    """What the analysis knows of the result of the one function in a module."""
    facts = extract(code, matches(code, (("return", ""),)), outline=True)
    project = Project(lambda _: facts, lambda _, omitted: lower_omitted(code, omitted))
    traces = [s for s in Analysis(project).subjects(project.scope("<text>.py")) if isinstance(s, Trace)]
    return facts_of(traces[0].returned)


@settings(max_examples=250, deadline=None)
@given(_programs())
def test_what_is_known_of_a_program_holds_on_the_battery(expression: str) -> None:
    code = f"import torch\nimport torch.nn.functional as F\n\ndef f(x, y):\n    return {expression}\n"
    known = _known_of(code)
    function: dict[str, Any] = {}
    exec(code, function)
    reached: dict[str, list[Any]] = {}
    for condition, variants in battery.BATTERY.items():
        for numbers, _ in variants:
            torch.manual_seed(3)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = function["f"](numbers((4, 4)), numbers((4, 4))).double()
            finite = result[result.isfinite()]
            slack = TOLERANCE * (1 + finite.abs())
            assert bool((finite >= known.lo - slack).all() and (finite <= known.hi + slack).all()), condition
            reached.setdefault(condition, []).append(result)
    _assert_reached(known.zero, reached, lambda result: (result == 0).any())
    _assert_reached(known.one, reached, lambda result: ((result.abs() - 1).abs() < TOLERANCE).any())
    for condition in known.vanishes - {"all masked"}:
        rows = [(result == 0) | ~result.isfinite() for result in reached[condition]]
        assert any(bool((row.all(-1) if row.dim() else row).any()) for row in rows), condition


def _assert_reached(witness: Witness | None, reached: dict[str, list[Any]], at: Any) -> None:
    """Whether a witness tells the truth; large inputs need not make every operand large."""
    if witness is not None and witness.condition in ("zeros", "equal rows", "randn"):
        assert any(bool(at(result) or result.isnan().any()) for result in reached[witness.condition]), witness
