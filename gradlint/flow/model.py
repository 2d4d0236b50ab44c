"""A model as rules see it: what it computes, and what becomes of signal and gradient."""

from __future__ import annotations

from functools import cached_property

from msgspec import Struct

from gradlint.flow.chain import Chain, longest_chain
from gradlint.flow.propagate import GradientFlow, propagate
from gradlint.records.graph import ModelGraph


class Model(Struct, frozen=True, dict=True):
    """One model of the file that is checked; its flow is predicted when a rule first asks for it."""

    graph: ModelGraph

    @cached_property
    def flow(self) -> GradientFlow:
        """Moments and gradients at initialisation, for standardised inputs."""
        return propagate(self.graph)

    @cached_property
    def chain(self) -> Chain | None:
        """The longest chain of weighted layers before the head."""
        return longest_chain(self.flow)
