"""Functions with a backward pass of their own: subclasses of torch.autograd.Function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradlint.graph.values import Anything, Drawn, Signal, Weight, signals
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.value import ClassObject, Closure, Instance, Items, Partial, Reference, Value

if TYPE_CHECKING:
    from gradlint.graph.interpret import GraphFacts

APPLY = "torch.autograd.Function.apply"
_BASES = frozenset({"torch.autograd.Function", "torch.autograd.function.Function"})
_WITHOUT_GRADIENT = Reference("torch.no_grad")


def apply_of(cls: ClassObject, site: Site) -> Value | None:
    """What `cls.apply` is for a subclass of `Function`; None for other classes."""
    if not cls.derives_from(_BASES):
        return None
    return Partial(Reference(APPLY), (cls,), {}, site.node)


class Custom:
    """Calls of such functions."""

    def __init__(self, facts: GraphFacts) -> None:
        self._facts = facts

    def applied(self, arguments: Arguments, site: Site) -> Value:
        """`cls.apply(...)`: its forward pass runs without gradient, and the node `function` behind each of
        the results takes the arguments too, to which the backward pass gives what it likes.
        """
        (target, *given) = arguments.positional
        rest = Arguments(tuple(given), arguments.keywords, arguments.open, max(arguments.certain - 1, 0))
        cls = target.value
        if not isinstance(cls, ClassObject):
            return Anything("a function of its own")
        recorder = self._facts.recorder
        values = rest.values()
        inputs = [recorder.signal(value, site) for value in values if isinstance(value, Weight)]
        inputs += [signal for value in values for signal in signals(value)]
        return self._behind(self._forward(cls, rest, site), cls.definition.name, inputs, site)

    def _forward(self, cls: ClassObject, arguments: Arguments, site: Site) -> Value:
        """The result of `forward`, which is given a context unless `setup_context` gets that."""
        forward = cls.member("forward")
        if not isinstance(forward, Closure):
            return Anything()
        context = Operand(Instance(cls, {}), site.node)
        first = () if cls.member("setup_context") is not None else (context,)
        positional = (*first, *arguments.positional)
        given = Arguments(positional, arguments.keywords, arguments.open, arguments.certain + len(first))
        self._facts.enter(_WITHOUT_GRADIENT)
        try:
            return self._facts.evaluator.call(forward, given, site)
        finally:
            self._facts.leave(_WITHOUT_GRADIENT)

    def _behind(self, result: Value, name: str, inputs: Sequence[Signal], site: Site) -> Value:
        recorder = self._facts.recorder
        if isinstance(result, Items):
            parts = [self._behind(item, name, inputs, site) for item in result.items]
            return Items(result.kind, parts, result.node, result.open)
        if isinstance(result, (Weight, Drawn)):
            result = recorder.signal(result, site)
        if isinstance(result, Signal):
            return recorder.emit("function", (result, *inputs), site, {"name": name})
        if isinstance(result, Anything):
            return recorder.unknown(f"the function {name}", inputs, site)
        return result
