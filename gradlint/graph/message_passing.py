"""Message passing of torch_geometric: `propagate` hands functions of a layer the arguments they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from gradlint.graph.geometric import REDUCES, SCATTER
from gradlint.graph.values import Anything, Drawn, Signal, Weight, tuple_of
from gradlint.records import ir
from gradlint.semantics.classes import MESSAGE_PASSING
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.value import Closure, Instance, Items, Known, Partial, Reference, Value

if TYPE_CHECKING:
    from gradlint.graph.interpret import GraphFacts

_METHODS = frozenset({"propagate", "edge_updater", "message", "aggregate", "update", "edge_update"})


def is_message_passing(value: Instance) -> bool:
    """Whether an object derives from `MessagePassing`."""
    return value.type.derives_from(MESSAGE_PASSING)


class Passing(Struct, frozen=True):
    """One call of `propagate`: what it was given by name, along the edges of a graph."""

    receiver: Instance
    edges: Value
    given: Mapping[str, Value]
    is_open: bool
    site: Site


class MessagePassing:
    """Runs what `propagate` runs."""

    def __init__(self, facts: GraphFacts) -> None:
        self._facts = facts

    def _construct(self, receiver: Instance, arguments: Arguments, site: Site) -> Value:
        aggr = arguments.get(0, "aggr")
        how = aggr.value if aggr is not None else Known("sum") if not arguments.open else Anything()
        flow = arguments.get(1, "flow")
        stored = {
            "aggr": how,
            "aggr_module": self._aggregation(how, site.node),
            "flow": flow.value if flow is not None else Known("source_to_target"),
            "node_dim": Known(-2),
            "explain": Known(False),
        }
        for name, value in stored.items():
            self._facts.evaluator.heap.write(receiver.attributes, name, value)
        return Known(None)

    def _aggregation(self, how: Value, node: ir.Expression) -> Value:
        """What stands for the module that reduces messages: called with these and an index."""
        if isinstance(how, Items):
            return Items("list", [self._aggregation(each, node) for each in how.items], node, how.open)
        if not isinstance(how, Known) or not isinstance(how.value, str):
            return how
        if how.value not in REDUCES:
            return Anything(f"an aggregation {how.value}")
        return Partial(Reference(SCATTER), (), {"reduce": how}, node)

    def method(self, receiver: Instance, name: str, arguments: Arguments, site: Site) -> Value | None:
        """A method that the base has; None for all others."""
        if name == "__init__":
            return self._construct(receiver, arguments, site)
        if name not in _METHODS:
            return None
        if name == "propagate":
            return self._propagate(receiver, arguments, site)
        if name == "edge_updater":
            passing = self._passing(receiver, arguments, site)
            return self._run(passing, "edge_update", ())
        first = arguments.positional[0].value if arguments.positional else None
        if name == "aggregate" and first is not None:
            return self._aggregate(receiver, arguments, site)
        given = arguments.get(0, "x_j" if name == "message" else "inputs")
        return given.value if given is not None else Anything(f"a method {name}")

    def _propagate(self, receiver: Instance, arguments: Arguments, site: Site) -> Value:
        passing = self._passing(receiver, arguments, site)
        is_fused = "x" not in passing.given and receiver.type.member("message") is None
        if is_fused and receiver.type.member("message_and_aggregate") is not None:
            reduced = self._run(passing, "message_and_aggregate", (passing.edges,))
        else:
            reduced = self._run(passing, "aggregate", (self._run(passing, "message", ()),))
        return self._run(passing, "update", (reduced,))

    def _passing(self, receiver: Instance, arguments: Arguments, site: Site) -> Passing:
        positional = list(arguments.positional)
        if (
            positional
            and isinstance(positional[0].value, Known)
            and isinstance(positional[0].value.value, str)
        ):
            positional.pop(0)  # early versions took the aggregation here
        given = {name: operand.value for name, operand in arguments.keywords.items()}
        edges = positional[0].value if positional else given.pop("edge_index", Anything())
        return Passing(receiver, edges, given, arguments.open, site)

    def _run(self, passing: Passing, name: str, first: Sequence[Value]) -> Value:
        """Call a function of the layer with `first` and what it names further."""
        evaluator, node = self._facts.evaluator, passing.site.node
        member = passing.receiver.type.member(name)
        if not isinstance(member, Closure):
            named = {} if name == "update" else dict(self._defaults(passing, name))
            arguments = Arguments(tuple([Operand(value, node) for value in first]), named)
            return self.method(passing.receiver, name, arguments, passing.site) or Anything()
        taken = evaluator.bound(member, passing.receiver)
        parameters = member.function.parameters[(taken.receiver is not None) + len(first) :]
        named = {
            parameter.name: Operand(value, node)
            for parameter in parameters
            if (value := self._collected(passing, parameter.name)) is not None
        }
        positional = tuple([Operand(value, node) for value in first])
        return evaluator.call(taken, Arguments(positional, named, passing.is_open), passing.site)

    def _defaults(self, passing: Passing, name: str) -> Iterator[tuple[str, Operand]]:
        """What the functions of the base itself name."""
        for parameter in ("x_j",) if name == "message" else ("index",):
            value = self._collected(passing, parameter)
            if value is not None:
                yield parameter, Operand(value, passing.site.node)

    def _collected(self, passing: Passing, name: str) -> Value | None:
        """What `propagate` hands a function for one of its parameters; None leaves that to its default."""
        end = _end(passing, name)
        if name in ("index", "edge_index_i", "edge_index_j"):
            return self._ends(passing, _end(passing, "_j" if name.endswith("_j") else "_i") or 0)
        if name == "edge_index":
            return passing.edges
        if name in ("ptr", "adj_t"):
            return Known(None)
        if name in ("size_i", "size_j", "dim_size"):
            return Anything()
        if name == "size":
            return tuple_of([Anything(), Anything()], passing.site.node)
        if end is None or name in passing.given:
            return passing.given.get(name)
        value = passing.given.get(name[:-2])
        return None if value is None else self._lifted(passing, value, end)

    def _lifted(self, passing: Passing, value: Value, end: int) -> Value:
        """The rows of the nodes at one end of every edge."""
        if isinstance(value, Items) and len(value.items) == 2 and not value.open:
            value = value.items[end]
        if isinstance(value, (Weight, Drawn)):
            value = self._facts.recorder.signal(value, passing.site)
        if not isinstance(value, Signal):
            return value
        made = self._facts.recorder.emit("gather", (value,), passing.site)
        self._facts.recorder.depend(made.number, (passing.edges,))
        return made

    def _ends(self, passing: Passing, end: int) -> Value:
        edges = Operand(passing.edges, passing.site.node)
        return self._facts.index(edges, Known(end), passing.site)

    def _aggregate(self, receiver: Instance, arguments: Arguments, site: Site) -> Value:
        """The aggregation that the layer was constructed with, of messages; several are concatenated."""
        how = receiver.attributes.get("aggr_module", Anything("an aggregation"))
        call = self._facts.evaluator.call
        if isinstance(how, Anything):
            return self._facts.recorder.unknown(how.reason or "an aggregation", arguments.values(), site)
        if not isinstance(how, Items):
            return call(how, arguments, site)
        parts: list[Value] = [call(each, arguments, site) for each in how.items]
        listed = Operand(Items("list", parts, site.node, how.open), site.node)
        return self._facts.applier.function(
            "cat", Arguments((listed,), {"dim": Operand(Known(-1), site.node)}), site
        )


def _end(passing: Passing, name: str) -> int | None:
    """The row of the edge index that a name speaks of: j sends to i."""
    flow = passing.receiver.attributes.get("flow")
    is_reversed = isinstance(flow, Known) and flow.value == "target_to_source"
    ends = {"_j": 0, "_i": 1}
    end = ends.get(name[-2:])
    return None if end is None else end ^ is_reversed
