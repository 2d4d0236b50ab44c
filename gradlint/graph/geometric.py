"""Functions of torch_geometric and its companions that are known by what they compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gradlint.graph.layers import LAYERS
from gradlint.graph.values import Anything, tuple_of
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.value import Known, Reference, Value

if TYPE_CHECKING:
    from gradlint.graph.interpret import GraphFacts

SCATTER = "torch_geometric.utils.scatter"
_PACKAGES = ("torch_geometric.", "torch_scatter.", "torch_sparse.")

REDUCES = {
    "add": "sum",
    "sum": "sum",
    **{name: name for name in ("mean", "max", "min", "mul", "var", "std", "median", "softmax", "powermean")},
}
"""Aggregations that have no weights, by how they reduce the messages to a node."""

_SCATTERING = {
    "scatter": "sum",
    "segment": "sum",
    "segment_coo": "sum",
    "segment_csr": "sum",
    **{f"{kind}_{how}": REDUCES[how] for kind in ("scatter", "segment") for how in ("add", "sum", "mean")},
    **{f"scatter_{how}": how for how in ("max", "min", "mul", "std")},
    **{f"global_{how}_pool": REDUCES[how] for how in ("add", "mean", "max")},
}
"""Functions that reduce rows by the group that each belongs to, and how unless they are told."""

_WITH_ARGUMENT = frozenset({"scatter_max", "scatter_min"})
"""These also give which row it was."""

_MULTIPLYING = frozenset({"spmm", "matmul"})
"""Products of an adjacency matrix and features: each node gets a sum of others."""

_ASKING = frozenset({"is_sparse", "is_torch_sparse_tensor"})
"""Questions about how a graph is given: by its edges."""

_REWIRING = frozenset({"add_self_loops", "add_remaining_self_loops", "remove_self_loops"})
"""These give edges and their weights, though there be none."""

_INTERNAL = {
    "torch_geometric.nn.conv.message_passing": frozenset({"MessagePassing"}),
    "torch_geometric.nn.resolver": frozenset({"activation_resolver"}),
    "torch_geometric.utils._scatter": frozenset({"scatter"}),
    "torch_geometric.utils._segment": frozenset({"segment"}),
    "torch_geometric.utils._softmax": frozenset({"softmax"}),
    "torch_geometric.utils._spmm": frozenset({"spmm"}),
    "torch_geometric.utils._to_dense_batch": frozenset({"to_dense_batch"}),
    "torch_geometric.utils.sparse": _ASKING,
    "torch_geometric.utils._coalesce": frozenset({"coalesce"}),
    "torch_geometric.utils._degree": frozenset({"degree"}),
    "torch_geometric.utils.dropout": frozenset({"dropout_adj"}),
    "torch_geometric.utils.loop": _REWIRING,
    "torch_geometric.utils.num_nodes": frozenset({"maybe_num_nodes"}),
    "torch_geometric.utils.undirected": frozenset({"to_undirected"}),
}
"""Definitions of the package that are not read but known."""

_ACTIVATIONS = {
    _type.lower(): f"torch.nn.{_type}" for _type, _kind in LAYERS.items() if _kind.shapes is None
} | {"prelu": "torch.nn.PReLU", "swish": "torch.nn.functional.silu"}


def stands_for(module: str, name: str) -> Reference | None:
    """The name under which a definition is known by what it computes."""
    return Reference(f"{module}.{name}") if name in _INTERNAL.get(module, ()) else None


class Geometric:
    """Calls of these functions, as nodes of a graph."""

    def __init__(self, facts: GraphFacts) -> None:
        self._facts = facts

    def function(self, name: str, arguments: Arguments, site: Site) -> Value | None:
        """The result of a function; None for all others."""
        if not name.startswith(_PACKAGES):
            return None
        last = name.rpartition(".")[2]
        if last in _ASKING:
            return Known(False)
        handler = _HANDLERS.get(last)
        if handler is not None:
            return handler(self, arguments, site)
        if last not in _SCATTERING or not arguments.positional:
            return None
        first, *rest = arguments.positional
        made = self._reduced(first, rest, _SCATTERING[last], arguments, site)
        return tuple_of([made, Anything()], site.node) if last in _WITH_ARGUMENT else made

    def _reduced(
        self, data: Operand, others: Sequence[Operand], how: str, arguments: Arguments, site: Site
    ) -> Value:
        """Rows reduced by groups, `how` unless an argument tells it."""
        told = arguments.keywords.get("reduce")
        text = told.value.value if told is not None and isinstance(told.value, Known) else None
        reduce = how if told is None else REDUCES.get(str(text))
        recorder = self._facts.recorder
        made = recorder.emit("scatter", (recorder.signal(data.value, site),), site, {"reduce": reduce})
        recorder.depend(made.number, [operand.value for operand in others])
        return made

    def _multiplied(self, arguments: Arguments, site: Site) -> Value | None:
        """An adjacency matrix times features."""
        if len(arguments.positional) < 2:
            return None
        matrix, features, *_ = arguments.positional
        return self._reduced(features, (matrix,), "sum", arguments, site)

    def _batched(self, arguments: Arguments, site: Site) -> Value | None:
        """`to_dense_batch`: rows with zeros between them, and where they are."""
        if not arguments.positional:
            return None
        rows, *others = arguments.positional
        recorder = self._facts.recorder
        made = recorder.emit("masked", (recorder.signal(rows.value, site),), site)
        recorder.depend(made.number, [operand.value for operand in others])
        return tuple_of([made, Anything()], site.node)

    def _edges(self, arguments: Arguments, site: Site, always_weighted: bool = True) -> Value | None:
        """Other edges between the same nodes, each with a given weight or a constant one."""
        edges = arguments.get(0, "edge_index")
        weight = arguments.get(1, "edge_attr") or arguments.keywords.get("edge_weight")
        if edges is None:
            return None
        if weight is None or (isinstance(weight.value, Known) and weight.value.value is None):
            is_pair = always_weighted or weight is not None
            return tuple_of([edges.value, Known(None)], site.node) if is_pair else edges.value
        recorder = self._facts.recorder
        made = recorder.emit("masked", (recorder.signal(weight.value, site),), site)
        return tuple_of([edges.value, made], site.node)

    def _merged(self, arguments: Arguments, site: Site) -> Value | None:
        """These give weights only where there are some."""
        return self._edges(arguments, site, always_weighted=False)

    def _counted(self, arguments: Arguments, site: Site) -> Value:
        """`degree`: how often each number comes."""
        return self._facts.recorder.emit("constant", (), site, {"value": None})

    def _activation(self, arguments: Arguments, site: Site) -> Value | None:
        """`activation_resolver`: an activation by its name, or what was given instead of a name."""
        query = arguments.get(0, "query")
        value = Known("relu") if query is None else query.value
        if not isinstance(value, Known) or not isinstance(value.value, str):
            return value
        name = _ACTIVATIONS.get(value.value.lower().replace("_", "").replace("-", "").replace(" ", ""))
        if name is None:
            return None
        if not name.startswith("torch.nn.functional."):
            keywords = {key: operand for key, operand in arguments.keywords.items() if key != "query"}
            rest = Arguments(arguments.positional[1:], keywords, arguments.open)
            return self._facts.evaluator.call(Reference(name), rest, site)
        return Reference(name)


_HANDLERS: dict[str, Callable[[Geometric, Arguments, Site], Value | None]] = {
    "activation_resolver": Geometric._activation,
    "to_dense_batch": Geometric._batched,
    "coalesce": Geometric._merged,
    "to_undirected": Geometric._merged,
    "dropout_adj": Geometric._edges,
    "degree": Geometric._counted,
    "maybe_num_nodes": lambda geometric, arguments, site: Anything(),
    **dict.fromkeys(_MULTIPLYING, Geometric._multiplied),
    **dict.fromkeys(_REWIRING, Geometric._edges),
}
