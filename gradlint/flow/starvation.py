"""Zeros that meet zeros: parameters that start at zero and get no gradient, for ever or at first.

A product with a factor of zero passes no gradient to the other factor. Where both start at zero, both
stay there; where only one does, it moves with the first step and the other one with the second.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from itertools import pairwise

from gradlint.flow.propagate import is_weighted
from gradlint.records.graph import ModelGraph, Node, Parameter

_KEEPS_ZERO = frozenset(
    {
        *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "celu", "selu", "gelu", "silu", "mish"),
        *("tanh", "hardswish", "softsign", "tanhshrink", "softshrink", "hardshrink", "identity", "glu"),
        *("neg", "abs", "sin", "square", "reshape", "expand", "select", "detach", "scale", "masked"),
        *("dropout", "dropout1d", "dropout2d", "dropout3d", "drop_path", "feature_alpha_dropout"),
        *("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool", "upsample", "pixel_shuffle"),
        *("pixel_unshuffle", "sum", "mean", "max", "min"),
    }
)
_FLAT_AT_ZERO = frozenset({"relu", "relu6", "abs", "square", "hardshrink", "softshrink"})
"""Functions whose derivative at 0 is 0, as torch takes it."""

_NORMS = frozenset({"batch_norm", "instance_norm", "layer_norm", "rms_norm", "group_norm"})
_SUMS = frozenset({"add", "sub", "cat", "stack", "join"})
_PRODUCTS = frozenset({"mul", "matmul", "bmm", "einsum"})


def is_zero(parameter: Parameter) -> bool:
    """Whether all elements are 0 once the model is constructed."""
    initial = parameter.initial
    return initial.scheme == "zeros" or (initial.scheme == "constant" and initial.settings.get("val") == 0)


def starved(graph: ModelGraph) -> list[Parameter]:
    """The parameters, biases aside, that start at zero and stay there, in the order of their use."""
    *_, zeros = _still_zero(graph)
    return list({held.path: held for _, held in _used(graph, zeros)}.values())


def woken(graph: ModelGraph) -> list[list[tuple[Node, Parameter]]]:
    """The parameters that start at zero by the step of training that moves them first, biases aside.

    Each stands with the nodes that use it; those that stay at zero are left out.
    """
    if not any(_used(graph, {p.path for p in graph.parameters if is_zero(p)})):
        return []
    stages = list(_still_zero(graph))
    return [list(_used(graph, before - after)) for before, after in pairwise(stages)]


def _still_zero(graph: ModelGraph) -> Iterator[set[str]]:
    """The paths of the parameters that are zero at first, and after each step that moves some of them."""
    zeros = {p.path for p in graph.parameters if p.path and p.is_trained and is_zero(p)}
    yield zeros
    while zeros and not zeros <= (without := _Pass(graph, zeros).without_gradient()):
        zeros = zeros & without
        yield zeros


def _used(graph: ModelGraph, paths: Set[str]) -> Iterator[tuple[Node, Parameter]]:
    """The uses of these parameters, but for biases, in order."""
    for node in graph.nodes:
        for name, parameter in node.parameters.items():
            if parameter.path in paths and name != "bias":
                yield node, parameter


class _Pass:
    """One step of training, in which the parameters at the paths `zeros` are 0 and the others are not."""

    def __init__(self, graph: ModelGraph, zeros: Set[str]) -> None:
        self._graph = graph
        self._zeros = zeros
        self._silent: list[bool] = []
        for node in graph.nodes:
            self._silent.append(self._is_silent(node))

    def without_gradient(self) -> set[str]:
        """The paths of the parameters whose gradient is 0 in every use."""
        reached = self._reached()
        uses = list(self._uses(reached))
        return {path for path, gets in uses} - {path for path, gets in uses if gets}

    def _is_silent(self, node: Node) -> bool:
        """Whether the output of a node is 0 for every input of the model."""
        inputs = [self._silent[number] for number in node.inputs]
        if node.op == "parameter":
            return self._has_zero(node, "value")
        if is_weighted(node) or node.op in _NORMS:
            is_unbiased = "bias" not in node.parameters or self._has_zero(node, "bias")
            is_known = bool(node.parameters) or node.op in _NORMS
            return is_known and is_unbiased and (self._has_zero(node, "weight") or any(inputs[:1]))
        if node.op in _PRODUCTS:
            return any(inputs)
        if node.op == "attention":
            return len(inputs) > 2 and inputs[2]
        if node.op in _SUMS:
            return bool(inputs) and all(inputs)
        return node.op in _KEEPS_ZERO and any(inputs[:1])

    def _has_zero(self, node: Node, name: str) -> bool:
        parameter = node.parameters.get(name)
        return parameter is not None and parameter.path in self._zeros

    def _reached(self) -> list[bool]:
        """For every node whether a gradient arrives at its output."""
        reached = [False] * len(self._graph.nodes)
        for number in self._graph.outputs:
            reached[number] = True
        for node in reversed(self._graph.nodes):
            for slot, number in enumerate(node.inputs):
                if reached[node.number] and not self._blocks(node, slot):
                    reached[number] = True
        return reached

    def _blocks(self, node: Node, slot: int) -> bool:
        """Whether a node multiplies the gradient of an input by 0."""
        others = [self._silent[number] for at, number in enumerate(node.inputs) if at != slot]
        if node.op in _PRODUCTS:
            return any(others)
        if node.op == "attention":
            return slot < 2 and len(others) > 1 and others[1]
        if node.op in _FLAT_AT_ZERO:
            return self._silent[node.inputs[slot]]
        return (is_weighted(node) or node.op in _NORMS) and self._has_zero(node, "weight")

    def _uses(self, reached: list[bool]) -> Iterator[tuple[str, bool]]:
        """Every parameter of every node, and whether it gets a gradient there."""
        for node in self._graph.nodes:
            is_fed = not node.inputs or not self._silent[node.inputs[0]] or node.op == "embedding"
            for name, parameter in node.parameters.items():
                yield parameter.path, reached[node.number] and (is_fed or name != "weight")
