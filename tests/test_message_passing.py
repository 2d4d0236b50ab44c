"""Layers that pass messages along the edges of a graph are read like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradlint.flow.graphs import gather, scatter
from gradlint.flow.moments import Moments
from gradlint.lint.models import models
from gradlint.mathematics.interval import TOP, point
from gradlint.records.graph import ModelGraph, Node

HEAD = """
import torch
import torch.nn as nn
from torch_geometric.nn import MessagePassing, global_mean_pool
from torch_geometric.nn.resolver import activation_resolver
from torch_geometric.utils import add_self_loops, degree, softmax, to_dense_batch
from torch_scatter import scatter_max

"""

CONVOLUTION = """
class Net(MessagePassing):
    def __init__(self):
        super().__init__({arguments})
        self.lin = nn.Linear(16, 32)
        self.mlp = nn.Sequential(nn.Linear(64, 32), activation_resolver("leaky_relu"), nn.Linear(32, 32))

    def forward(self, x, edge_index, edge_attr):
        edge_index, edge_attr = add_self_loops(edge_index, edge_attr)
        return self.propagate(edge_index, x=self.lin(x), edge_attr=edge_attr)

{functions}
"""


def graph_of(tmp_path: Path, code: str, head: str = HEAD) -> ModelGraph:
    path = tmp_path / "model.py"
    path.write_text(head + code)
    (graph,) = models(str(path), "Net")
    return graph


def convolution(tmp_path: Path, arguments: str, functions: str = "") -> ModelGraph:
    indented = "\n".join(f"    {line}" for line in functions.splitlines())
    return graph_of(tmp_path, CONVOLUTION.format(arguments=arguments, functions=indented))


def ops(graph: ModelGraph) -> list[str]:
    return [node.op for node in graph.nodes if node.op != "input"]


@pytest.mark.parametrize(
    ("arguments", "reduce"),
    [("", "sum"), ("aggr='add'", "sum"), ("'mean'", "mean"), ("aggr='max', flow='target_to_source'", "max")],
)
def test_messages_are_rows_of_nodes_reduced_as_the_constructor_says(
    tmp_path: Path, arguments: str, reduce: str
) -> None:
    graph = convolution(tmp_path, arguments)
    assert ops(graph) == ["linear", "gather", "scatter"]
    assert graph.nodes[-1].settings["reduce"] == reduce
    assert not graph.reasons


def test_functions_get_the_arguments_that_they_name(tmp_path: Path) -> None:
    graph = convolution(
        tmp_path,
        "aggr='mean'",
        """def message(self, x_i, x_j, edge_attr, index, size_i, missing=None):
    gate = softmax(edge_attr, index, num_nodes=size_i)
    both = torch.cat([x_i, x_j - x_i], dim=1)
    return gate * self.mlp(both) if missing is None else both

def update(self, aggr_out, x):
    return aggr_out + x""",
    )
    read = ["masked", "linear", "gather", "gather", "softmax", "sub", "cat"]
    assert ops(graph) == [*read, "linear", "leaky_relu", "linear", "mul", "scatter", "add"]
    total = graph.nodes[-1]
    assert [graph.nodes[number].op for number in total.inputs] == ["scatter", "linear"]
    assert [node.module for node in graph.nodes if node.op == "linear"] == ["lin", "mlp.0", "mlp.2"]


def test_each_end_of_an_edge_has_features_of_its_own(tmp_path: Path) -> None:
    graph = graph_of(
        tmp_path,
        """
class Net(MessagePassing):
    def __init__(self):
        super().__init__(aggr="sum")
        self.source, self.target = nn.Linear(16, 32), nn.Linear(16, 8)

    def forward(self, x, edge_index):
        return self.propagate(edge_index, x=(self.source(x), self.target(x)))

    def message(self, x_{end}):
        return x_{end}
""".replace("{end}", "j"),
    )
    assert [node.module for node in graph.nodes if node.op == "linear"] == ["source"]


def test_a_function_of_the_layer_takes_the_place_of_that_of_the_base(tmp_path: Path) -> None:
    several = convolution(tmp_path, "aggr=['mean', 'max']")
    assert ops(several) == ["linear", "gather", "scatter", "scatter", "cat"]
    own = convolution(
        tmp_path,
        "aggr=None",
        """def aggregate(self, inputs, index, dim_size=None):
    out, argmax = scatter_max(inputs, index, dim=0, dim_size=dim_size)
    return out

def message(self, x_j):
    return super().message(x_j).relu()""",
    )
    assert ops(own) == ["linear", "gather", "relu", "scatter"]
    assert own.nodes[-1].settings["reduce"] == "max"
    fused = convolution(
        tmp_path, "'softmax'", "def aggregate(self, inputs, index):\n    return inputs.tanh()"
    )
    assert ops(fused) == ["linear", "gather", "tanh"]


def test_an_aggregation_with_weights_of_its_own_stays_unknown(tmp_path: Path) -> None:
    graph = convolution(tmp_path, "aggr='lstm'")
    assert graph.reasons == {"an aggregation lstm": 1}


def test_edges_are_updated_by_what_they_name(tmp_path: Path) -> None:
    graph = convolution(
        tmp_path,
        "",
        """def edge_update(self, alpha_i, alpha_j):
    return (alpha_i + alpha_j).sigmoid()

def forward(self, x, edge_index):
    return self.edge_updater(edge_index, alpha=self.lin(x))""",
    )
    assert ops(graph) == ["linear", "gather", "gather", "add", "sigmoid"]


def test_functions_on_graphs_are_read_wherever_they_stand(tmp_path: Path) -> None:
    graph = graph_of(
        tmp_path,
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin, self.head = nn.Linear(16, 32), nn.Linear(32, 4)

    def forward(self, x, edge_index, batch):
        count = degree(edge_index[0]).clamp(min=1).view(-1, 1)
        dense, mask = to_dense_batch(self.lin(x) / count, batch)
        return self.head(global_mean_pool(dense, batch))
""",
    )
    assert not graph.reasons
    assert ops(graph)[-3:] == ["masked", "scatter", "linear"]


def test_only_means_have_a_bound() -> None:
    x = Moments(point(4.0), mean=point(1.0), width=32)
    mean = scatter(Node(1, "scatter", (0,), {"reduce": "mean"}), (x,))
    assert mean.moments.second.hi == 4.0
    assert mean.gains[0].hi == 1.0
    assert scatter(Node(1, "scatter", (0,), {"reduce": "sum"}), (x,)).gains == (TOP,)
    assert gather(Node(1, "gather", (0,)), (x,)).gains == (TOP,)


@pytest.mark.torch
@pytest.mark.parametrize("edges", [20, 200, 2000])
def test_torch_agrees_with_what_is_said_of_means(edges: int) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(edges)
    messages = torch.randn(edges, 8).requires_grad_()
    target = torch.randint(50, (edges,))
    count = torch.bincount(target, minlength=50).clamp(min=1)
    reduced = torch.zeros(50, 8).index_add(0, target, messages) / count.unsqueeze(1)
    delta = torch.randn(50, 8)
    (gradient,) = torch.autograd.grad(reduced, messages, delta)
    promised = scatter(Node(1, "scatter", (0,), {"reduce": "mean"}), (Moments(width=8),))
    size = float(reduced.detach().square().mean())
    assert promised.moments.second.lo <= size <= promised.moments.second.hi
    gain = float(gradient.square().sum() / delta.square().sum())
    assert promised.gains[0].lo <= gain <= promised.gains[0].hi
