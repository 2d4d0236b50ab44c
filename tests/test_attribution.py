"""What a chain loses or gains is made up of what its nodes do."""

from __future__ import annotations

import pytest

from gradlint.flow.model import Model
from gradlint.records.graph import ModelGraph, Node, Place, Setting
from gradlint.records.span import Span

NOWHERE = Place("model.py", Span(1, 1, 1, 1))
SIZE: dict[str, Setting] = {"in_features": 64, "out_features": 64}


def _model(*nodes: tuple[str, tuple[int, ...]]) -> Model:
    """A model of these operations and their inputs; the last one is its output."""
    made = [Node(i, op, inputs, SIZE if op == "linear" else {}) for i, (op, inputs) in enumerate(nodes)]
    return Model(ModelGraph("Net", NOWHERE, tuple(made), (len(made) - 1,)))


def test_steps_add_up_to_what_the_chain_loses() -> None:
    layers = [(op, (2 * i + j,)) for i in range(5) for j, op in enumerate(("linear", "sigmoid"))]
    model = _model(("input", ()), *layers, ("linear", (10,)))
    assert model.chain is not None and model.is_passed_by_all
    assert sum(step.decades.hi for step in model.steps) == pytest.approx(model.chain.decades.hi)
    assert len(model.direct({"sigmoid"})) == 4
    assert model.loses_most_at({"sigmoid"}) and not model.loses_most_at({"linear"})


def test_a_gate_is_no_step_of_its_own() -> None:
    gate = [("linear", (1,)), ("sigmoid", (2,)), ("mul", (1, 3)), ("linear", (4,)), ("linear", (5,))]
    model = _model(("input", ()), ("linear", (0,)), *gate)
    assert [(step.op, step.is_direct) for step in model.steps] == [("mul", False), ("linear", True)]


def test_a_product_with_itself_is_a_square() -> None:
    head = [("linear", (2,)), ("linear", (3,))]
    product = _model(("input", ()), ("linear", (0,)), ("mul", (1, 1)), *head)
    square = _model(("input", ()), ("linear", (0,)), ("square", (1,)), *head)
    assert product.chain is not None and square.chain is not None
    assert product.chain.decades == square.chain.decades
    assert product.flow.moments[2].second == square.flow.moments[2].second
    assert [step.op for step in product.steps] == ["square", "linear"]
