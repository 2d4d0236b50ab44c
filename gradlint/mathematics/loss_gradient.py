"""What an activation before a loss leaves of the gradient where a sample is confidently wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

FAR = 10.0
"""The true class has the logit -FAR, one wrong class FAR, all others 0."""

Vector = list[float]


def gradient_left(activation: str, loss: str, classes: int) -> float:
    """|∂L/∂z₀| / |∂L*/∂z₀| for logits z = (-FAR, FAR, 0, …), where class 0 is the true one.

    L is the loss, summed over the elements, of the activation of z; L* the loss that takes z itself:
    cross-entropy, or binary cross-entropy where both work on each element by itself.
    """
    z = [-FAR, FAR, *[0.0] * (classes - 2)][: max(classes, 1)]
    by_element = activation != "softmax" and loss not in _OVER_CLASSES
    fused = _sigmoid(z[0]) - 1 if by_element or classes < 2 else _softmax(z)[0] - 1
    return abs(_through(activation, z, _LOSSES[loss]) / fused)


def least_cross_entropy(highest: float, lowest: float, classes: int) -> float:
    """-log of the largest probability that softmax gives for logits between these bounds."""
    return math.log1p((classes - 1) * math.exp(lowest - highest))


def _through(activation: str, z: Vector, loss: Callable[[Vector], Vector]) -> float:
    """∂L/∂z₀ = Σ ∂L/∂aᵢ ∂aᵢ/∂z₀; for softmax p₀ (g₀ - Σ pᵢ gᵢ)."""
    if activation == "softmax":
        p = _softmax(z)
        g = loss(p)
        return p[0] * (g[0] - sum([a * b for a, b in zip(p, g, strict=True)]))
    value, slope = _ELEMENTWISE[activation]
    return loss([value(each) for each in z])[0] * slope(z[0])


def _softmax(z: Sequence[float]) -> Vector:
    top = max(z)
    powers = [math.exp(each - top) for each in z]
    return [power / sum(powers) for power in powers]


def _sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def _clip(lo: float, hi: float) -> Callable[[float], float]:
    return lambda z: min(max(z, lo), hi)


def _within(lo: float, hi: float) -> Callable[[float], float]:
    return lambda z: float(lo < z < hi)


_ELEMENTWISE: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "sigmoid": (_sigmoid, lambda z: _sigmoid(z) * _sigmoid(-z)),
    "tanh": (math.tanh, lambda z: 1 - math.tanh(z) ** 2),
    "relu": (_clip(0, math.inf), _within(0, math.inf)),
    "relu6": (_clip(0, 6), _within(0, 6)),
    "hardtanh": (_clip(-1, 1), _within(-1, 1)),
    "hardsigmoid": (lambda z: min(max(z / 6 + 0.5, 0), 1), lambda z: _within(-3, 3)(z) / 6),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z: (1 + abs(z)) ** -2),
}

_LOSSES: dict[str, Callable[[Vector], Vector]] = {
    "cross_entropy": lambda a: [q - (i == 0) for i, q in enumerate(_softmax(a))],
    "binary_cross_entropy_with_logits": lambda a: [_sigmoid(v) - (i == 0) for i, v in enumerate(a)],
    "multilabel_soft_margin_loss": lambda a: [_sigmoid(v) - (i == 0) for i, v in enumerate(a)],
    "nll_loss": lambda a: [-float(i == 0) for i in range(len(a))],
    "kl_div": lambda a: [-float(i == 0) for i in range(len(a))],
    "mse_loss": lambda a: [2 * (v - (i == 0)) for i, v in enumerate(a)],
    "l1_loss": lambda a: [math.copysign(1.0, v - (i == 0)) for i, v in enumerate(a)],
    "smooth_l1_loss": lambda a: [min(max(v - (i == 0), -1.0), 1.0) for i, v in enumerate(a)],
    "huber_loss": lambda a: [min(max(v - (i == 0), -1.0), 1.0) for i, v in enumerate(a)],
}
"""∂L/∂a for the target that is 1 at class 0 and else 0."""

_OVER_CLASSES = frozenset({"cross_entropy", "nll_loss", "kl_div"})
