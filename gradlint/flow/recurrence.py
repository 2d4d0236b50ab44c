"""Recurrent layers: the gain per time step, and through the layer."""

from __future__ import annotations

import math

from msgspec import Struct
from msgspec.structs import replace

from gradlint.flow.initial import Law, law, number, recurrent
from gradlint.flow.moments import STANDARDISED, Moments
from gradlint.flow.transfer import Effect, register, setting, unknown
from gradlint.mathematics.activations import Activation, activation
from gradlint.mathematics.gaussian import Statistics, statistics
from gradlint.mathematics.interval import ANYTHING, TOP, ZERO, Interval, point
from gradlint.records.graph import Node, Parameter

_STEPS = 40
_MARGIN = 0.08
"""Relative error of the gain per step that finite width and the independence of gates leave."""


class _Cell(Struct, frozen=True):
    """σ² = fan·Var of both weights of one gate, the variance of both biases, that of the carrying gate."""

    recurrent: float
    inner: float
    bias: float
    forget: float = 0.0


class _Step(Struct, frozen=True):
    """Of one time step: rms gain of the carried state, gain of ‖δ‖² to the input, E[h²].

    `steady` is E[h²] where the input stays the same over time instead of being new at every step.
    """

    gain: float
    through: float
    second: float
    steady: float


def step_gain(node: Node, x: Moments = STANDARDISED, layer: int = 0) -> Interval:
    """The rms gain of the carried gradient per time step; below 1 it vanishes, above it may explode.

    A gated cell carries z·I plus a random matrix of radius r, and the same one every step, so the
    spectral radius counts: E[z] + r. The plain cell has z = 0 and r² = σ_w²·E[φ'²].
    """
    found = [_step(node, cell, q) for cell in _cells(node, layer) for q in {x.second.lo, x.second.hi}]
    if not found or not x.second.is_finite:
        return TOP
    gains = [each.gain for each in found]
    return Interval(min(gains) * (1 - _MARGIN), max(gains) * (1 + _MARGIN))


def forget_bias(node: Node, layer: int = 0) -> Interval:
    """What the forget gate of an LSTM or the update gate of a GRU, which carry the state on, is given on
    average before σ: the rows [H, 2H) of both biases.
    """
    hidden = number(node, "hidden_size")
    given = setting(node, "forget_bias", 0.0)
    if not hidden or given is None:
        return ANYTHING
    total = point(given)
    for name in ("bias_ih", "bias_hh"):
        parameter = recurrent_parameter(node, name, layer)
        if parameter is not None:
            total += _mean_of(parameter, hidden, 2 * hidden, recurrent(hidden))
    return total


def _mean_of(parameter: Parameter, start: int, stop: int, default: Law) -> Interval:
    """The mean of some rows of a bias, as its initialiser and then its pieces leave it."""
    mean = law(parameter, (stop * 2,), default).mean
    for piece in parameter.pieces:
        if piece.start is None or piece.stop is None:
            return ANYTHING
        if piece.start <= start and stop <= piece.stop:
            mean = law(Parameter("", None, piece.initial), None, default).mean
        elif piece.start < stop and start < piece.stop:
            return ANYTHING
    return mean


def recurrent_parameter(node: Node, name: str, layer: int = 0) -> Parameter | None:
    """A parameter of a cell, or of one layer of a recurrent module, by its name without the layer."""
    return node.parameters.get(f"{name}_l{layer}") or node.parameters.get(name)


def _cells(node: Node, layer: int = 0) -> list[_Cell]:
    hidden, inputs = number(node, "hidden_size"), number(node, "input_size")
    is_gated = node.op.startswith(("lstm", "gru"))
    forget = forget_bias(node, layer) if is_gated else ZERO
    if not hidden or not inputs or not forget.is_finite:
        return []
    default = recurrent(hidden)
    weights = [_law(node, name, default, layer) for name in ("weight_hh", "weight_ih")]
    biases = [_law(node, name, default, layer) for name in ("bias_hh", "bias_ih")]
    if not all(each.second.is_finite for each in weights + biases) or any(w.mean != ZERO for w in weights):
        return []
    bias = sum(each.variance.hi for each in biases) if is_gated else sum(each.second.hi for each in biases)
    fan = hidden * 2 if layer and node.settings.get("bidirectional") else hidden if layer else inputs
    inner = weights[1].second.hi * fan
    ends = sorted({forget.lo, forget.hi})
    return [_Cell(weights[0].second.hi * hidden, inner, bias, end) for end in ends]


def _law(node: Node, name: str, default: Law, layer: int = 0) -> Law:
    parameter = recurrent_parameter(node, name, layer)
    if parameter is None:
        return Law(ZERO, ZERO) if name.startswith("bias") and node.settings.get("bias") is False else default
    shape = tuple([size for size in parameter.shape or () if size is not None])
    return law(parameter, shape or None, default)


def _step(node: Node, cell: _Cell, second: float) -> _Step:
    kind = node.op.removesuffix("_cell")
    if kind == "lstm":
        return _lstm(cell, second)
    if kind == "gru":
        return _gru(cell, second)
    return _plain(cell, second, str(node.settings.get("nonlinearity", "tanh")))


def _plain(cell: _Cell, x: float, nonlinearity: str) -> _Step:
    """h ← φ(W h + U x + b): q = σ_w²·E[φ²] + σ_u²·E[x²] + σ_b², gain √(σ_w²·E[φ'²])."""
    function, h = _function(nonlinearity), 0.0
    for _ in range(_STEPS):
        one = statistics(function, cell.recurrent * h + cell.inner * x + cell.bias)
        h = one.second
    return _Step(math.sqrt(cell.recurrent * one.slope), cell.inner * one.slope, h, h)


def _gru(cell: _Cell, x: float) -> _Step:
    """h ← z·h + (1 - z)·tanh(U x + r·W h): E[z] + √(σ_w²·(E[(1-z)²]·E[tanh'²]·E[r²] + gates))."""
    h = 0.0
    for _ in range(_STEPS):
        q = cell.recurrent * h + cell.inner * x + cell.bias
        gate, carry = _gate(q), _gate(q, cell.forget)
        renewed = 1 - 2 * carry.mean + carry.second
        new = _tanh(gate.second * cell.recurrent * h + cell.inner * x + cell.bias)
        h = carry.second * h + renewed * new.second
    candidate = renewed * new.slope
    reset = candidate * gate.slope * cell.recurrent * h
    update = carry.slope * (h + new.second)
    radius = math.sqrt(cell.recurrent * (candidate * gate.second + reset + update))
    return _Step(carry.mean + radius, cell.inner * (candidate + reset + update), h, max(h, new.second))


def _lstm(cell: _Cell, x: float) -> _Step:
    """c ← f·c + i·g, h = o·tanh(c): E[f] + √(σ_w²·E[o²]·E[tanh'(c)²]·(E[i²]·E[g'²] + gates))."""
    c = h = 0.0
    for _ in range(_STEPS):
        q = cell.recurrent * h + cell.inner * x + cell.bias
        gate, new = _gate(q), _tanh(q)
        forget = _gate(q, cell.forget)
        c = forget.second * c + gate.second * new.second
        out = _tanh(c)
        h = gate.second * out.second
    into = gate.second * new.slope + gate.slope * new.second + forget.slope * c
    read = gate.second * out.slope
    output = gate.slope * out.second
    radius = math.sqrt(cell.recurrent * (read * into + output))
    held = gate.second * new.second / (1 - forget.mean) ** 2
    steady = gate.second * _tanh(held).second
    return _Step(forget.mean + radius, cell.inner * (read * into + output), h, max(h, steady))


def _function(name: str) -> Activation:
    found = activation(name, {})
    if found is None:
        raise ValueError(name)
    return found


def _gate(variance: float, mean: float = 0.0) -> Statistics:
    return statistics(_function("sigmoid"), variance, mean)


def _tanh(variance: float) -> Statistics:
    return statistics(_function("tanh"), variance)


@register("rnn", "lstm", "gru", "rnn_cell", "lstm_cell", "gru_cell")
def recurrence(node: Node, inputs: tuple[Moments, ...]) -> Effect:
    """Outputs are bounded by tanh; δ reaches the input within one step, or adds up over several.

    The gain of one step is the least; with a gain g < 1 per step the sum is at most 1/(1 - g)².
    """
    cells = _cells(node)
    if not inputs or not cells or not inputs[0].second.is_finite:
        return unknown(inputs)
    x, gain = inputs[0], point(1.0)
    state = _to_state(node, x)
    hidden, directions = number(node, "hidden_size") or 1, 2 if node.settings.get("bidirectional") else 1
    for layer in range(number(node, "num_layers") or 1):
        found = cells if layer == 0 else _cells(node, layer)
        if not found:
            return unknown(inputs)
        cell = found[0]
        x, factor = _layer(node, cell, x)
        gain = gain * factor
    x = replace(x, width=hidden * directions, origin=None)
    return Effect(x, (gain, *[state] * (len(inputs) - 1)))


def _to_state(node: Node, x: Moments) -> Interval:
    """The gain of ‖δ‖² to the state that a cell, or the first of several steps, begins with."""
    gain = step_gain(node, x).square
    if node.op.endswith("_cell"):
        return gain
    return Interval(0.0, 1 / (1 - math.sqrt(gain.hi)) ** 2 if gain.hi < 1 else math.inf)


def _layer(node: Node, cell: _Cell, x: Moments) -> tuple[Moments, Interval]:
    steps = [_step(node, cell, q) for q in {x.second.lo, x.second.hi}]
    least = min(each.through for each in steps)
    most = max(each.through / (1 - each.gain) ** 2 if each.gain < 1 else math.inf for each in steps)
    second = Interval(min(each.second for each in steps) / 2, max(each.steady for each in steps))
    moments = replace(x, second=second, spread=Interval(0.0, 1.0), mean=ZERO)
    return moments, Interval(least, most)
