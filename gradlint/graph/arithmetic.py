"""Arithmetic between signals, weights and numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradlint.graph import initial
from gradlint.graph.einsum import contracted
from gradlint.graph.normed import Normed, normalised
from gradlint.graph.values import Anything, Drawn, Signal, Weight, number, signals
from gradlint.records.graph import Initial, Place, Setting
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.value import Items, Known, Value

if TYPE_CHECKING:
    from gradlint.graph.interpret import GraphFacts


class Arithmetic:
    """Turns sums, products and powers into nodes."""

    def __init__(self, facts: GraphFacts) -> None:
        self._facts = facts
        self._recorder = facts.recorder

    def one(self, op: str, value: Value, site: Site, settings: dict[str, Setting] | None = None) -> Value:
        """An operation on one signal."""
        return self._recorder.emit(op, (self._recorder.signal(value, site),), site, settings)

    def is_data(self, value: Value) -> bool:
        """Whether a value may be a tensor that came into a training pass from outside."""
        return self._facts.is_training and isinstance(value, Anything)

    def binary(self, op: str, operands: Sequence[Operand], site: Site) -> Value:
        """An operation on two values, of which one may be a number or a weight."""
        first, second = (operand.value for operand in operands)
        constant = number(second)
        if isinstance(first, (Weight, Drawn)) and not has_signal(second):
            drawn = self._drawn(op, first, second, site)
            if drawn is not None:
                return drawn
        if isinstance(second, Drawn) and op in ("mul", "add") and number(first) is not None:
            scaled = self._drawn(op, second, first, site)
            if scaled is not None:
                return scaled
        if op in ("mul", "add", "sub", "div", "pow") and not has_signal(first) and not has_signal(second):
            fresh = next((each for each in (first, second) if isinstance(each, Drawn)), None)
            other = second if fresh is first else first
            if fresh is not None and isinstance(other, Anything) and not self.is_data(other):
                return Drawn(Initial("unknown"), fresh.shape)
        if op == "pow" and has_signal(second) and not has_gradient(first):
            return self._exponential(number(first), second, site)
        if op == "pow":
            return self.one("pow", first, site, {"exponent": constant})
        if op == "matmul":
            mixed = self._mixed(first, second, site)
            if mixed is not None:
                return mixed
        if has_signal(first) and not has_gradient(second) and not self.is_data(second):
            return self._with_constant(op, first, constant, site)
        if has_signal(second) and not has_gradient(first) and not self.is_data(first):
            return self._before_constant(op, number(first), second, site)
        inputs = (self._recorder.signal(first, site), self._recorder.signal(second, site))
        found = normalised(self._recorder.nodes, op, *(each.number for each in inputs))
        if found is not None:
            return self._normed(found, site)
        return self._recorder.emit(op, inputs, site)

    def _normed(self, found: Normed, site: Site) -> Value:
        """A normalisation that is written by hand."""
        whole = (Signal(found.of, self._recorder),)
        normed = self._recorder.emit(found.op, whole, site, {"eps": found.eps})
        if found.by is None:
            return normed
        return self._recorder.emit("mul", (normed, Signal(found.by, self._recorder)), site)

    def _together(self, op: str, operands: Sequence[Operand], site: Site) -> Operand:
        return Operand(self.binary(op, operands, site), site.node)

    def biased(self, arguments: Arguments, site: Site) -> Value:
        """beta·bias + alpha·(x·w)."""
        bias, *factors = arguments.positional
        product = self._together("matmul", factors, site)
        alpha, beta = (arguments.keywords.get(name) for name in ("alpha", "beta"))
        if alpha is not None:
            product = self._together("mul", (product, alpha), site)
        if beta is not None:
            bias = self._together("mul", (bias, beta), site)
        return self.binary("add", (product, bias), site)

    def lerp(self, arguments: Arguments, site: Site) -> Value:
        """start + weight·(end - start)."""
        start, end, weight = arguments.positional
        step = self._together("sub", (end, start), site)
        return self.binary("add", (start, self._together("mul", (step, weight), site)), site)

    def _exponential(self, base: float | None, exponent: Value, site: Site) -> Value:
        """b^x = exp(x · log b)."""
        factor = math.log(base) if base is not None and base > 0 else None
        return self.one("exp", self.one("scale", exponent, site, {"factor": factor}), site)

    def _mixed(self, first: Value, second: Value, site: Site) -> Value | None:
        """`x @ w` or `w @ x`, which add up over the last but one and over the last dimension of w."""
        if isinstance(second, (Weight, Drawn)) and _is_data(first, second):
            signal, weight, shape = first, second, second.shape
        elif isinstance(first, Weight) and first.is_trained and _is_data(second, first):
            signal, weight = second, first
            shape = None if first.shape is None else (*first.shape[:-2], *first.shape[-2:][::-1])
        else:
            return None
        into, out = shape[-2:] if shape and len(shape) > 1 else (*(shape or (None,)), 1)
        return self._linear(signal, weight, into, out, site)

    def _linear(
        self, value: Value, weight: Weight | Drawn, into: int | None, out: int | None, site: Site
    ) -> Value:
        """A signal times a weight that adds up `into` elements for each of `out`."""
        settings: dict[str, Setting] = {"in_features": into, "out_features": out, "bias": False}
        signal = self._recorder.signal(value, site)
        return self._recorder.emit(
            "linear", (signal,), site, settings, None, {"weight": as_weight(weight, site)}
        )

    def einsum(self, arguments: Arguments, site: Site) -> Value:
        """Sums of products: a layer where a signal meets a weight, otherwise a product of signals."""
        values = arguments.values()
        texts = [value for value in values if isinstance(value, Known) and isinstance(value.value, str)]
        operands = [value for value in values if not any(value is text for text in texts)]
        if len(operands) == 1 and isinstance(operands[0], Items) and not operands[0].open:
            operands = operands[0].items
        equation = str(texts[0].value) if len(texts) == 1 else ""
        for at, weight in enumerate(operands if len(operands) == 2 else ()):
            other = operands[1 - at]
            if isinstance(weight, Weight) and weight.is_trained and has_signal(other):
                sizes = contracted(equation, at, weight.shape)
                if sizes is not None:
                    return self._linear(other, weight, *sizes, site)
        inputs = [self._recorder.signal(value, site) for value in operands if has_gradient(value)]
        return self._recorder.emit("einsum", inputs, site, {"equation": equation or None})

    def _drawn(self, op: str, first: Weight | Drawn, second: Value, site: Site) -> Value | None:
        """A fresh tensor or a weight times a number, a fresh tensor plus a number."""
        by = number(second)
        if op in ("add", "sub") and isinstance(first, Drawn) and by is not None:
            place = Place(site.path, site.node.span)
            return initial.shifted(first, by if op == "add" else -by, place)
        if op not in ("mul", "div") or isinstance(second, (Weight, Drawn)):
            return None
        factor = None if not by else (float(by) if op == "mul" else 1.0 / by)
        data = initial.scaled(
            first.data if isinstance(first, Weight) else first, factor, Place(site.path, site.node.span)
        )
        return self._recorder.derived(first, data) if isinstance(first, Weight) else data

    def _with_constant(self, op: str, value: Value, constant: float | None, site: Site) -> Value:
        if op in ("add", "sub"):
            shift = None if constant is None else (constant if op == "add" else -constant)
            return self.one("shift", value, site, {"value": shift})
        if op in ("mul", "div"):
            factor = constant if op == "mul" or not constant else 1.0 / constant
            return self.one("scale", value, site, {"factor": factor if constant else constant})
        return self._recorder.unknown(f"{op} with something unknown", (value,), site)

    def _before_constant(self, op: str, constant: float | None, value: Value, site: Site) -> Value:
        if op in ("add", "mul"):
            return self._with_constant(op, value, constant, site)
        if op == "sub":
            return self.one("shift", self.one("neg", value, site), site, {"value": constant})
        if op == "div":
            return self.one("scale", self.one("reciprocal", value, site), site, {"factor": constant})
        return self._recorder.unknown(f"{op} with something unknown", (value,), site)


def has_signal(value: Value) -> bool:
    """Whether there is a signal in a value."""
    return next(signals(value), None) is not None


def has_gradient(value: Value) -> bool:
    """Whether a value is made of signals, weights or fresh tensors."""
    return isinstance(value, (Weight, Drawn)) or has_signal(value)


def as_weight(value: Weight | Drawn, site: Site) -> Weight:
    """A fresh tensor as the weight of an operation."""
    if isinstance(value, Weight):
        return value
    return Weight({"data": value}, Place(site.path, site.node.span), False)


def _is_data(value: Value, weight: Value) -> bool:
    """Whether what a matrix multiplies is a signal, or the state with which a recurrence begins."""
    return has_signal(value) or (isinstance(value, Drawn) and isinstance(weight, Weight))
