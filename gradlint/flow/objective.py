"""What a loss is computed of, as rules about losses see it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from gradlint.records.graph import ModelGraph, Node
from gradlint.records.losses import LOSSES

_PASSING = frozenset(
    {
        *("identity", "reshape", "select", "expand", "cat", "stack", "join"),
        *("dropout", "dropout1d", "dropout2d", "dropout3d"),
    }
)
"""Operations behind which a probability is still one and a logit still a logit."""

_FUSED = {
    "nll_loss": ("cross_entropy", "log_softmax"),
    "cross_entropy": ("cross_entropy", "log_softmax"),
    "binary_cross_entropy": ("binary_cross_entropy_with_logits", "sigmoid"),
}
"""Losses with the activation before them that makes them the loss of the logits before it."""


_ODD = frozenset(
    {
        *(
            "identity",
            "neg",
            "sin",
            "tanh",
            "atan",
            "erf",
            "softsign",
            "hardtanh",
            "reshape",
            "select",
            "expand",
        ),
        *("scale", "detach", "linear", "matmul", "cat", "stack", "dropout", "div"),
    }
)
"""Operations of which numbers on both sides of 0 make such numbers."""


class Objective(Struct, frozen=True):
    """One pass of a function, a method or a script of the checked file that computes losses.

    `graph.outputs` are the losses; `graph.name` is that of the function, with its class, and empty for
    a script.
    """

    graph: ModelGraph

    def losses(self, *ops: str) -> Iterator[Node]:
        """The losses of these kinds, but for one of several that a setting chooses: it may choose what the
        loss is given as well.
        """
        every = [node for node in self.graph.nodes if node.op in LOSSES and node.inputs]
        for node in every:
            if node.op in (ops or LOSSES) and all(_is_another(each, node) for each in every):
                yield node

    def sources(self, number: int) -> tuple[Node, ...]:
        """What an input of a loss was computed by last, re-arranging aside; several where branches meet."""
        found: dict[int, Node] = {}
        pending, seen = [number], set[int]()
        while pending:
            node = self.graph.nodes[pending.pop()]
            if node.number in seen:
                continue
            seen.add(node.number)
            if node.op in _PASSING and node.inputs:
                pending.extend(node.inputs)
            else:
                found[node.number] = node
        return tuple(found.values())

    def classes(self, activation: Node) -> int | None:
        """How many numbers a sample has before an activation, where a layer says so."""
        for node in self.sources(activation.inputs[0]) if activation.inputs else ():
            width = node.settings.get("out_features", node.settings.get("out_channels"))
            if isinstance(width, int):
                return width
        return None

    def reconstructs(self, loss: Node) -> bool:
        """Whether the target is made of something that the model was given."""
        return len(loss.inputs) > 1 and not self._roots(loss.inputs[0]).isdisjoint(
            self._roots(loss.inputs[1])
        )

    def is_signed(self, number: int) -> bool:
        """Whether a node surely holds numbers on both sides of 0: noise, what is centred, and so on."""
        node = self.graph.nodes[number]
        if node.op == "constant":
            return node.settings.get("is_signed") is True
        if node.op == "sub" and len(node.inputs) == 2:
            data, mean = node.inputs
            if self.graph.nodes[mean].op == "mean" and self.graph.nodes[mean].inputs[:1] == (data,):
                return True
        if node.op in ("add", "sub", "mul") and node.inputs:
            return all(map(self.is_signed, node.inputs))
        return node.op in _ODD and bool(node.inputs) and self.is_signed(node.inputs[0])

    def _roots(self, number: int) -> set[int]:
        """The data that a node is computed from."""
        pending, seen, roots = [number], set[int](), set[int]()
        while pending:
            node = self.graph.nodes[pending.pop()]
            if node.number not in seen:
                seen.add(node.number)
                pending.extend(node.inputs)
                roots.update([] if node.inputs else [node.number])
        return roots

    def activation(self, loss: Node, *ops: str) -> Node | None:
        """The last of these operations before a loss, if it is one of them in every branch."""
        sources = self.sources(loss.inputs[0])
        return sources[-1] if all(node.op in ops for node in sources) else None

    def logits(self, *kinds: str) -> Iterator[tuple[Node, str, tuple[Node, ...]]]:
        """Losses of these kinds, that of logits that each amounts to, and what those were computed by last.

        The negative log-likelihood of a log-softmax is cross-entropy, the binary cross-entropy of a sigmoid
        that with logits; log-softmax changes nothing where another follows.
        """
        for loss in self.losses():
            kind, activation = _FUSED.get(loss.op, (loss.op, ""))
            sources = self.sources(loss.inputs[0])
            if all(node.op == activation for node in sources):
                sources = tuple([s for node in sources for s in self.sources(node.inputs[0])])
            elif kind != loss.op:
                continue
            if kind in kinds:
                yield loss, kind, sources


def _is_another(one: Node, other: Node) -> bool:
    """Whether two losses are of one kind, or computed at different places."""
    return one.op == other.op or one.place is None or one.place != other.place
