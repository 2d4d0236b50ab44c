"""How far the scale of a signal strays at finite width, and what that does to the gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from msgspec import Struct
from msgspec.structs import replace

from gradlint.flow.moments import Moments
from gradlint.flow.transfer import Effect, effect_of
from gradlint.mathematics.activations import NAMES, Activation, activation
from gradlint.mathematics.gaussian import statistics
from gradlint.mathematics.interval import point
from gradlint.records.graph import Node

_DRAWN = ("linear", "conv")
_NORMS = frozenset({"batch_norm", "instance_norm", "layer_norm", "group_norm", "rms_norm", "normalize"})
_STEP = 0.5
"""By how much log q is moved at least to see what follows it."""
_FARTHEST = 2.0
"""Deviations of log q within which its effects are looked at."""
_STEEPEST = 8.0


class Fluctuation(Struct, frozen=True):
    """Variances and covariance of u = δ log q, q the second moment of a signal, and of G, what it makes
    of log ‖δ‖² so far.
    """

    scale: float = 0.0
    both: float = 0.0
    gain: float = 0.0

    def mixed(self, variance: float) -> Fluctuation:
        """Behind a layer whose random weights stray by themselves."""
        return replace(self, scale=self.scale + variance)

    def carried(self, forward: float, backward: float) -> Fluctuation:
        """Behind an operation with d log q' / d log q and d log gain / d log q: u' = a·u, G' = G + b·u."""
        both = self.both + backward * self.scale
        gain = self.gain + 2 * backward * self.both + backward * backward * self.scale
        return Fluctuation(forward * forward * self.scale, forward * both, gain)


def drawn(node: Node, x: Moments, width: int, depth: int) -> float:
    """Var[log q'] that random weights make of what an activation gives: κ/n over n features.

    κ = E[φ⁴]/E[φ²]² - 1, for a sample is n independent draws. Where samples have the share c in common, their
    mean keeps c² of that; the rest lies along n/depth directions.
    """
    shared = 1 - min(max(x.spread.centre, 0.0), 1.0)
    alike = shared * shared + (1 - shared) ** 2 * min(depth / width, 1.0)
    return alike * _kurtosis(node, x.second.centre) / width


def _kurtosis(node: Node, q: float) -> float:
    """E[φ⁴]/E[φ²]² - 1 of an activation; of a Gaussian variable for anything else."""
    function = activation(node.op, node.settings)
    if function is None or not 0 < q < math.inf:
        return 2.0
    square = statistics(function, q).second ** 2
    return statistics(_squared(function), q).second / square - 1 if square > 0 else 2.0


@lru_cache(maxsize=256)
def _squared(function: Activation) -> Activation:
    value, slope = function.value, function.slope
    return replace(
        function,
        value=lambda x: value(x) ** 2,
        slope=lambda x: 2 * value(x) * slope(x),
        bound=function.bound**2,
        steepest=math.inf,
        is_homogeneous=False,
    )


def sensitivities(node: Node, x: Moments, effect: Effect, deviation: float) -> tuple[float, float]:
    """d log q' / d log q and d log gain / d log q of an operation, the largest within some deviations."""
    step = max(_FARTHEST * deviation, _STEP)
    ends = [effect_of(node, (_scaled(x, math.exp(sign * step)),)) for sign in (-1, 1)]
    below, behind, above = [each.moments.second.centre for each in (ends[0], effect, ends[1])]
    gains = [each.gains[0].centre for each in (ends[0], effect, ends[1])]
    forward = max(_slope(below, behind, step), _slope(behind, above, step), key=abs)
    return forward, max(_slope(gains[0], gains[1], step), _slope(gains[1], gains[2], step), key=abs)


def _scaled(x: Moments, factor: float) -> Moments:
    root = point(math.sqrt(factor))
    return replace(
        x, second=x.second * point(factor), mean=x.mean * root, least_centred=x.least_centred * factor
    )


def _slope(before: float, behind: float, step: float) -> float:
    if not (0 < before < math.inf and 0 < behind < math.inf):
        return 0.0
    return min(max(math.log(behind / before) / step, -_STEEPEST), _STEEPEST)


def strays(nodes: Sequence[Node], moments: Sequence[Moments], effects: Sequence[Effect], width: int) -> float:
    """The standard deviation, in decades, that the straying scale of a signal gives to S over a chain.

    `nodes` follow one another from the first layer to the last one; where ways part, scales average out
    and nothing is added. What a norm does to q takes back what the same weights do to the gradient.
    """
    if any(node.inputs != (before.number,) for before, node in pairwise(nodes)):
        return 0.0
    found, pending, depth = Fluctuation(), 0, 0
    for at, node in enumerate(nodes):
        x = moments[node.inputs[0]] if node.inputs else moments[node.number]
        if node.op in _NORMS:
            found, pending = Fluctuation(gain=found.gain), 0
        elif at:
            found = found.carried(*sensitivities(node, x, effects[node.number], math.sqrt(found.scale)))
        if pending and (node.op in NAMES or node.op.startswith(_DRAWN)):
            found, pending = found.mixed(drawn(node, x, pending, depth)), 0
        if node.op.startswith(_DRAWN):
            pending, depth = moments[node.number].width or width, depth + 1
    return math.sqrt(found.gain) / (2 * math.log(10))
