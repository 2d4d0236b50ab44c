"""Functions with a backward pass of their own: subclasses of torch.autograd.Function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradlint.graph.values import Anything, Drawn, Signal, Weight, signals
from gradlint.records import ir
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.scope import assigned
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
        self._running: list[Closure] = []

    def is_kernel(self, site: Site) -> bool:
        """Whether the innermost of these forward passes calls code of an extension here.

        It has no state and takes tensors, so that what it calls by a name that is none of its own is a
        function of these; what it is given itself may be anything.
        """
        if not self._running or not isinstance(site.node, ir.Call):
            return False
        closure = self._running[-1]
        function, first = closure.function, _first_name(site.node.function)
        if site.path != closure.scope.path or not function.span.contains(site.node.span) or first is None:
            return False
        own = {parameter.name for parameter in function.parameters}
        return isinstance(function, ir.Function) and first not in own | assigned(function.body)

    def computed(self, values: Sequence[Value], site: Site) -> Value:
        """What such a function gives: nothing is promised of it."""
        recorder = self._facts.recorder
        inputs = [recorder.signal(value, site) for value in values if isinstance(value, Weight)]
        inputs += [signal for value in values for signal in signals(value)]
        return recorder.emit("kernel", inputs, site)

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
        self._running.append(forward)
        try:
            return self._facts.evaluator.call(forward, given, site)
        finally:
            self._running.pop()
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


def _first_name(node: ir.Expression) -> str | None:
    """The name that a dotted one begins with."""
    while isinstance(node, ir.Attribute):
        node = node.value
    return node.id if isinstance(node, ir.Name) else None
