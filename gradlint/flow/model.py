"""A model as rules see it: what it computes, and what becomes of signal and gradient."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import cached_property

from msgspec import Struct

from gradlint.flow.attribution import SUMS, Growth, Step, growth, operation, steps
from gradlint.flow.chain import Chain, chain_to_head, longest_chain
from gradlint.flow.faults import Fault, faults
from gradlint.flow.propagate import GradientFlow, propagate
from gradlint.flow.unrolled import Repeated, losing
from gradlint.records.graph import ModelGraph, Node, Place


class Model(Struct, frozen=True, dict=True):
    """One model of the file that is checked; its flow is predicted when a rule first asks for it.

    `look_elsewhere` tells whether code outside of the model may draw its weights anew; `build` gives its
    graph where its constructor iterates so often at a place of which that is not known, `undecided` the name
    that decides it, None where the code says how often.
    """

    graph: ModelGraph
    look_elsewhere: Callable[[], bool] = lambda: False
    build: Callable[[Place, int], ModelGraph | None] = lambda place, times: None
    undecided: Callable[[Place], str | None] = lambda place: ""

    def deepened(self, place: Place, times: int) -> Model | None:
        """The same model with so many iterations at a place of which their number is not known."""
        graph = self.build(place, times)
        if graph is self.graph:
            return self
        return None if graph is None else Model(graph, self.look_elsewhere)

    @cached_property
    def is_initialised_elsewhere(self) -> bool:
        """Whether code outside of the model may draw its weights anew; other files are read for it."""
        return self.look_elsewhere()

    @cached_property
    def flow(self) -> GradientFlow:
        """Moments and gradients at initialisation, for standardised inputs."""
        return propagate(self.graph)

    @cached_property
    def chain(self) -> Chain | None:
        """The longest chain of weighted layers before the head."""
        return longest_chain(self.flow)

    @cached_property
    def faults(self) -> tuple[Fault, ...]:
        """The calls that initialise weights so that signal or gradient move by a decade or more."""
        return tuple(faults(self.flow, self.chain))

    def is_initialised_to(self, sign: int) -> bool:
        """Whether an initialiser that the code calls is to blame for a loss (-1) or a growth (1)."""
        return any(fault.is_spoken_of and fault.move.sign == sign for fault in self.faults)

    @cached_property
    def repeated(self) -> tuple[Repeated, ...]:
        """The layers that are repeated how often is not known, where each of them loses gradient."""
        return tuple(losing(self))

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """What the nodes along the chain do to the gradient; empty where there is no chain."""
        return () if self.chain is None else steps(self.flow, self.chain)

    def grown_by(self, operations: Collection[str]) -> Iterator[tuple[list[Node], Growth]]:
        """Along the chain, and on to the head: the nodes of these operations, one after another, and what
        becomes of the signal's scale, where that is certain.
        """
        if not any(operation(node) in operations for node in self.graph.nodes):
            return
        for chain in (self.chain, chain_to_head(self.flow)):
            found = () if chain is None else steps(self.flow, chain)
            grown = None if chain is None else growth(self.flow, chain, found)
            if grown is not None:
                yield [step.node for step in found if step.is_direct and step.op in operations], grown

    def direct(self, operations: Collection[str]) -> list[Node]:
        """The nodes of these operations that the whole gradient of the chain passes, one after another."""
        return [step.node for step in self.steps if step.is_direct and step.op in operations]

    def loses_most_at(self, operations: Collection[str]) -> bool:
        """Whether these operations make the better half of what the chain loses for certain."""
        lost = sum(step.decades.hi for step in self.steps if step.is_direct and step.op in operations)
        return self.chain is not None and 2 * lost <= self.chain.decades.hi < 0

    @property
    def gains_at_sums(self) -> bool:
        """Whether sums of residual blocks make the better half of what the gradient gains for certain."""
        sums = [step for step in self.steps if not step.is_direct and step.op in SUMS]
        gained = sum(step.decades.lo for step in sums)
        return self.chain is not None and 2 * gained >= self.chain.decades.lo > 0

    @property
    def is_passed_by_all(self) -> bool:
        """Whether the last layer of the chain is passed by the whole gradient, so that the steps make S."""
        return self.chain is not None and [step.node.number for step in self.steps[-1:]] == [self.chain.last]
