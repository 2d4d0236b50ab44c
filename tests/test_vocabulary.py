"""Every layer of torch.nn and every function of torch.nn.functional is read, or is named here."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradlint.flow.propagate import propagate
from gradlint.records.graph import ModelGraph

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
measure = pytest.importorskip("measure")
models = pytest.importorskip("random_models")
nn, F = torch.nn, torch.nn.functional

NET = """
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize
from torch.utils.checkpoint import checkpoint, checkpoint_sequential


class Symmetric(nn.Module):
    def forward(self, w):
        return w.triu() + w.triu(1).T


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.vector = nn.Parameter(torch.full((1,), 0.25))
        self.matrix = nn.Parameter(torch.randn(4, 4))
        self.cube = nn.Parameter(torch.randn(4, 4, 4))
        self.kernel = nn.Parameter(torch.randn(4, 4, 3))
        self.square = nn.Parameter(torch.randn(4, 4, 3, 3))
        self.box = nn.Parameter(torch.randn(4, 4, 3, 3, 3))
        self.inner = nn.Linear(4, 4)
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.part = PART

    def forward(self, x, y):
        return FORWARD
"""

EMPTY = """
    Identity Sigmoid Tanh ReLU ReLU6 LeakyReLU PReLU RReLU ELU CELU SELU GELU SiLU Mish Softplus
    Softsign Softmax2d LogSigmoid Hardsigmoid Hardtanh Hardswish Hardshrink Softshrink Tanhshrink
    GLU Dropout Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout Flatten
    CosineSimilarity LazyBatchNorm1d LazyBatchNorm2d LazyBatchNorm3d LazyInstanceNorm1d
    LazyInstanceNorm2d LazyInstanceNorm3d
"""
LAYERS = {
    **dict.fromkeys(EMPTY.split(), ""),
    **{f"{kind}{d}d": "4, 6, 3" for kind in ("Conv", "ConvTranspose", "LazyConv") for d in (1, 2, 3)},
    **{f"{kind}{d}d": "4" for kind in ("BatchNorm", "InstanceNorm") for d in (1, 2, 3)},
    **{f"{kind}Pool{d}d": "2" for kind in ("Max", "Avg", "AdaptiveMax", "AdaptiveAvg") for d in (1, 2, 3)},
    **{
        f"{kind}Pad{d}d": "1" for kind in ("Zero", "Reflection", "Replication", "Circular") for d in (1, 2, 3)
    },
    **{f"LPPool{d}d": "2, 2" for d in (1, 2, 3)},
    **{f"MaxUnpool{d}d": "2" for d in (1, 2, 3)},
    **{f"ConstantPad{d}d": "1, 0.0" for d in (1, 2, 3)},
    **{f"FractionalMaxPool{d}d": "2, output_size=3" for d in (2, 3)},
    **{f"{kind}{cell}": "4, 6" for kind in ("RNN", "LSTM", "GRU") for cell in ("", "Cell")},
    **{f"Transformer{kind}Layer": "8, 2" for kind in ("Encoder", "Decoder")},
    **{
        f"Transformer{kind}": f"nn.Transformer{kind}Layer(8, 2), 2, nn.LayerNorm(8)"
        for kind in ("Encoder", "Decoder")
    },
    "Linear": "4, 6",
    "LazyLinear": "6",
    "Bilinear": "4, 4, 6",
    "Embedding": "9, 4",
    "EmbeddingBag": "9, 4",
    "Threshold": "0.1, 0.0",
    "Softmax": "-1",
    "LogSoftmax": "-1",
    "Softmin": "-1",
    "Unflatten": "1, (2, 2)",
    "SyncBatchNorm": "4",
    "LayerNorm": "4",
    "GroupNorm": "2, 4",
    "RMSNorm": "4",
    "LocalResponseNorm": "2",
    "CrossMapLRN2d": "2",
    "PixelShuffle": "2",
    "PixelUnshuffle": "2",
    "ChannelShuffle": "2",
    "Unfold": "2",
    "Upsample": "scale_factor=2",
    "UpsamplingNearest2d": "2",
    "UpsamplingBilinear2d": "2",
    "Fold": "(4, 4), 2",
    "MultiheadAttention": "8, 2",
    "Transformer": "8, 2, 2, 2",
    "PairwiseDistance": "",
}
"""Layers by what their constructors are given."""

NO_SIZE = {f"LazyConvTranspose{d}d": "6, 3" for d in (1, 2, 3)} | {"PairwiseDistance": ""}
"""Layers whose scale depends on a number of features that the code does not state."""

NOT_READ = {
    **dict.fromkeys(("RNNBase", "RNNCellBase", "NLLLoss2d"), "not for use"),
    **dict.fromkeys(("Module", "Container", "DataParallel"), "holds another one"),
    **dict.fromkeys(
        ("Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"), "a container"
    ),
    "AdaptiveLogSoftmaxWithLoss": "a loss",
    "LinearCrossEntropyLoss": "a loss",
}
"""What else torch.nn holds, and why it does not stand above."""

TWO = "x, y"
GIVEN = dict.fromkeys(
    ("Bilinear", "CosineSimilarity", "PairwiseDistance", "Transformer", "TransformerDecoder"), TWO
) | dict.fromkeys(("TransformerDecoderLayer", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"), TWO)
GIVEN["MultiheadAttention"] = "x, x, x"


def graph_of(forward: str, part: str = "nn.Identity()") -> ModelGraph:
    return net_of(NET.replace("PART", part).replace("FORWARD", forward))


def net_of(code: str) -> ModelGraph:
    graph: ModelGraph = next(graph for graph in measure.graphs(code) if graph.name == "Net")
    return graph


def uncertain(graph: ModelGraph) -> list[str]:
    flow = propagate(graph)
    return [node.op for node, one in zip(graph.nodes, flow.moments, strict=True) if not one.is_certain]


@pytest.mark.parametrize("name", sorted(LAYERS | NO_SIZE))
def test_layers_are_read(name: str) -> None:
    graph = graph_of(f"self.part({GIVEN.get(name, 'x')})", f"nn.{name}({(LAYERS | NO_SIZE)[name]})")
    assert not graph.reasons
    assert len(graph.nodes) > 1
    assert bool(uncertain(graph)) == (name in NO_SIZE)


def test_every_class_of_torch_is_named() -> None:
    classes = {
        name for name, value in vars(nn).items() if isinstance(value, type) and issubclass(value, nn.Module)
    }
    losses = {name for name in classes if name.endswith("Loss")}
    assert classes - losses <= LAYERS.keys() | NO_SIZE.keys() | NOT_READ.keys()
    assert not (LAYERS | NO_SIZE).keys() & NOT_READ.keys()


PLAIN = """
    relu relu_ relu6 elu elu_ selu selu_ celu celu_ leaky_relu leaky_relu_ rrelu rrelu_ hardtanh
    hardtanh_ hardswish hardsigmoid hardshrink softshrink tanhshrink softsign softplus logsigmoid
    gelu glu silu mish tanh sigmoid gumbel_softmax normalize dropout dropout1d dropout2d dropout3d
    alpha_dropout feature_alpha_dropout instance_norm
"""
FUNCTIONS = {
    **dict.fromkeys(PLAIN.split(), "x"),
    **dict.fromkeys(("softmax", "log_softmax", "softmin"), "x, dim=-1"),
    **dict.fromkeys(("threshold", "threshold_"), "x, 0.1, 0.0"),
    **dict.fromkeys(
        ("upsample", "interpolate", "upsample_nearest", "upsample_bilinear"), "x, scale_factor=2"
    ),
    **{f"max_pool{d}d": "x, 2, 2" for d in (1, 2, 3)},
    **{f"{kind}_pool{d}d": "x, 2" for kind in ("avg", "adaptive_avg", "adaptive_max") for d in (1, 2, 3)},
    **{f"lp_pool{d}d": "x, 2, 2" for d in (1, 2, 3)},
    **{f"max_unpool{d}d": "x, y, 2" for d in (1, 2, 3)},
    **{f"fractional_max_pool{d}d": "x, 2, output_size=3" for d in (2, 3)},
    **{f"conv{d}d": f"x, self.{kernel}" for d, kernel in enumerate(("kernel", "square", "box"), 1)},
    **{f"conv_transpose{d}d": f"x, self.{kernel}" for d, kernel in enumerate(("kernel", "square", "box"), 1)},
    "prelu": "x, self.vector",
    "linear": "x, self.matrix",
    "bilinear": "x, y, self.cube",
    "embedding": "x, self.matrix",
    "embedding_bag": "x, self.matrix",
    "cosine_similarity": "x, y",
    "batch_norm": "x, None, None, training=True",
    "layer_norm": "x, (4,)",
    "group_norm": "x, 2",
    "rms_norm": "x, (4,)",
    "local_response_norm": "x, 2",
    "pad": "x, (1, 1)",
    "pixel_shuffle": "x, 2",
    "pixel_unshuffle": "x, 2",
    "channel_shuffle": "x, 2",
    "fold": "x, (4, 4), 2",
    "unfold": "x, 2",
    "scaled_dot_product_attention": "x, x, x",
    "grid_sample": "x, y",
}
NOT_FUNCTIONS = """
    pairwise_distance pdist one_hot affine_grid conv_tbc multi_head_attention_forward
    assert_int_or_pair boolean_dispatch handle_torch_function has_torch_function
    has_torch_function_unary grouped_mm scaled_mm has_torch_function_variadic native_channel_shuffle
    scaled_grouped_mm linear_cross_entropy hardtanh__
"""
"""Functions that depend on a size, carry no gradient, are outdated, or serve torch itself."""


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_are_read(name: str) -> None:
    graph = graph_of(f"F.{name}({FUNCTIONS[name]})")
    assert not graph.reasons
    assert not uncertain(graph)


def test_every_function_of_torch_is_named() -> None:
    names = {name for name, value in vars(F).items() if callable(value) and name[0].islower()}
    others = {name for name in names if name.endswith(("_loss", "_with_indices", "_logits"))}
    others |= {"cross_entropy", "binary_cross_entropy", "kl_div"}
    assert names - others <= FUNCTIONS.keys() | {*NOT_FUNCTIONS.split()}


WRAPPERS = {
    "nn.utils.weight_norm(nn.Linear(4, 4))": "self.part(x)",
    "nn.utils.spectral_norm(nn.Linear(4, 4))": "self.part(x)",
    "parametrizations.weight_norm(nn.Linear(4, 4))": "self.part(x)",
    "parametrizations.spectral_norm(nn.Linear(4, 4))": "self.part(x)",
    "parametrizations.orthogonal(nn.Linear(4, 4))": "self.part(x)",
    "torch.compile(self.inner)": "self.part(x)",
    "torch.jit.script(self.inner)": "self.part(x)",
    "torch.jit.trace(self.inner, torch.randn(1, 4))": "self.part(x)",
    "nn.DataParallel(self.inner)": "self.part(x)",
    "nn.parallel.DistributedDataParallel(self.inner)": "self.part(x)",
    "torch.optim.swa_utils.AveragedModel(self.inner)": "self.part(x)",
    "1": "checkpoint(self.inner, x, use_reentrant=False)",
    "2": "checkpoint_sequential(self.layers, 2, x, use_reentrant=False)",
    "3": "nn.parallel.data_parallel(self.inner, x)",
}


@pytest.mark.parametrize("part", WRAPPERS)
def test_what_is_wrapped_is_read(part: str) -> None:
    graph = graph_of(WRAPPERS[part], part)
    assert not graph.reasons
    assert [node.op for node in graph.nodes][:2] == ["input", "linear"]


def test_a_parametrisation_decides_what_the_weight_is() -> None:
    """An orthogonal one has a gain of 1; of one that is written by hand nothing is promised."""
    orthogonal = graph_of("self.part(x)", "parametrizations.orthogonal(nn.Linear(64, 64, bias=False))")
    assert propagate(orthogonal).between(0, 1).centre == pytest.approx(0.0, abs=1e-6)
    with measure.exact(0):
        layer = nn.utils.parametrizations.orthogonal(nn.Linear(64, 64, bias=False))
        x = torch.randn(16, 64, requires_grad=True)
        delta = torch.randn(16, 64)
        (gradient,) = torch.autograd.grad((layer(x) * delta).sum(), x)
    assert float(gradient.norm() / delta.norm()) == pytest.approx(1.0, abs=1e-6)
    register = (
        "nn.Linear(4, 4)\n        parametrize.register_parametrization(self.part, 'weight', Symmetric())"
    )
    assert not propagate(graph_of("self.part(x)", register)).between(0, 1).is_finite


# the gain of those that two or more hyper-parameters decide, against a backward pass

SETTINGS = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _check(op: str, call: Any, hyper: dict[str, Any], *shapes: tuple[int, ...], noise: float = 0.03) -> None:
    twin = models.Twin()
    others = [partial(torch.randn, shape) for shape in shapes[1:]]
    numbers = [twin.input(), *[twin.emit("constant", other) for other in others]]
    last = twin.emit(op, call, *numbers, settings=hyper)
    result = twin.measure(torch.randn(shapes[0]).requires_grad_(), 0, last)
    assert result.predicted.widened(noise).contains(result.decades)
    assert result.predicted_rms.widened(noise).contains(result.rms)


@SETTINGS
@given(st.integers(1, 3))
def test_unpooling_leaves_the_gradient_of_one_place_in_a_window(kernel: int) -> None:
    def call(x: Any) -> Any:
        steps = torch.arange(0, 8 * kernel, kernel)
        places = (steps[:, None] * 8 * kernel + steps).expand_as(x)
        return F.max_unpool2d(x, places, kernel)

    _check("max_unpool", call, {"kernel_size": kernel, "stride": None}, (8, 16, 8, 8))


@SETTINGS
@given(st.integers(1, 4), st.integers(1, 3))
def test_folding_adds_up_what_overlaps(kernel: int, stride: int) -> None:
    side = kernel + stride * 7

    def call(x: Any) -> Any:
        return F.fold(x, (side, side), kernel, stride=stride)

    hyper = {"kernel_size": kernel, "stride": stride}
    _check("fold", call, hyper, (8, 4 * kernel * kernel, 64), noise=0.3 if stride > kernel else 0.03)


@SETTINGS
@given(st.floats(0.3, 3.0), st.booleans(), st.integers(2, 32))
def test_a_gumbel_softmax_has_the_gradient_of_a_soft_one(tau: float, hard: bool, width: int) -> None:
    def call(x: Any) -> Any:
        return F.gumbel_softmax(x, tau, hard)

    _check("gumbel_softmax", call, {"tau": tau, "hard": hard}, (64, width))


@SETTINGS
@given(st.floats(0.1, 5.0), st.floats(0.1, 1.0), st.floats(0.5, 3.0), st.integers(1, 5))
def test_a_local_response_norm_divides_by_its_neighbours(
    alpha: float, beta: float, k: float, size: int
) -> None:
    def call(x: Any) -> Any:
        return F.local_response_norm(x, size, alpha / 1e4, beta, k)

    hyper = {"size": size, "alpha": alpha / 1e4, "beta": beta, "k": k}
    _check("local_response_norm", call, hyper, (8, 16, 8, 8))


@SETTINGS
@given(st.integers(8, 256))
def test_similarities_and_distances_pass_what_their_widths_say(width: int) -> None:
    shapes = ((256, width), (256, width))
    _check("cosine_similarity", F.cosine_similarity, {}, *shapes, noise=0.05)
    twin = models.Twin()
    x = twin.layer("linear", nn.Linear(width, width), twin.input())
    y = twin.layer("linear", nn.Linear(width, width), 0)
    last = twin.emit("pairwise_distance", F.pairwise_distance, x, y)
    result = twin.measure(torch.randn(256, width).requires_grad_(), x, last)
    assert result.predicted.centre == 0.0
    assert math.isclose(result.decades, 0.0, abs_tol=1e-4)
    assert result.predicted_rms.widened(0.05).contains(result.rms)
