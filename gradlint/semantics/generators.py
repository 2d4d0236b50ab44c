"""Generators: they are run by what takes their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from gradlint.records import ir
from gradlint.semantics.evaluated import Generator
from gradlint.semantics.scope import Frame
from gradlint.semantics.value import (
    Known,
    Value,
)

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator


class Receiver(Struct, frozen=True):
    """What takes the values that a generator yields: the body of a loop, or of a `with` block."""

    receive: Callable[[Value], None]
    is_block: bool = False


class Generators:
    """Runs generators, value by value."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._core = evaluator
        self._interpretation = evaluator.interpretation
        self._awaiting: list[Receiver] = []

    def suspend(self, node: ir.Suspend, frame: Frame) -> Value:
        """The value of `yield`, `yield from` or `await`."""
        value = self._core.evaluate(node.value, frame) if node.value is not None else Known(None)
        if node.kind == "await":
            return value
        if self._awaiting and node.kind == "yield":
            self._hand_over(value)
        elif self._awaiting and isinstance(value, Generator):
            self.resume(value, self._awaiting[-1])
        else:
            frame.returned.append(value)
        return self._interpretation.unknown(())

    def _hand_over(self, value: Value) -> None:
        """What waits for the values of a generator goes on with one of them."""
        *others, receiver = self._awaiting
        self._awaiting, outer = others, self._awaiting
        generator = self._core.running.pop()
        self._interpretation.suspends(receiver.is_block)
        try:
            receiver.receive(value)
        finally:
            self._core.running.append(generator)
            self._awaiting = outer
        self._interpretation.resumes()

    def resume(self, generator: Generator, receiver: Receiver) -> None:
        """Run a generator; whatever it yields is received before it goes on."""
        shape = generator.shape
        if shape is not None:
            receiver = Receiver(_composed(shape, receiver.receive), receiver.is_block)
        self._awaiting.append(receiver)
        try:
            self._core.functions.called(generator.closure, generator.arguments, generator.site)
        finally:
            self._awaiting.pop()


def _composed(shape: Callable[[Value], Value], receive: Callable[[Value], None]) -> Callable[[Value], None]:
    return lambda value: receive(shape(value))
