"""The layers of torch.nn: what each computes, its settings with torch's defaults, its weights."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from gradlint.graph.values import Shape
from gradlint.records.graph import Setting
from gradlint.records.losses import LOSS_LAYERS, LOSSES

Settings = dict[str, Setting]
Shapes = dict[str, Shape]
REQUIRED = "…"
"""The default of a setting that has none."""


class Kind(Struct, frozen=True):
    """A class of torch.nn: its op, the parameters of its constructor, the shapes of its weights."""

    op: str
    signature: tuple[tuple[str, Setting], ...] = ()
    shapes: Callable[[Settings], Shapes] | None = None


def _size(settings: Settings, name: str) -> int | None:
    value = settings.get(name)
    return value if isinstance(value, int) else None


def _linear(s: Settings) -> Shapes:
    out = _size(s, "out_features")
    return _with_bias(s, {"weight": (out, _size(s, "in_features"))}, out)


def _bilinear(s: Settings) -> Shapes:
    out = _size(s, "out_features")
    return _with_bias(s, {"weight": (out, _size(s, "in1_features"), _size(s, "in2_features"))}, out)


def _with_bias(s: Settings, shapes: Shapes, width: int | None) -> Shapes:
    if s.get("bias") is not False:
        shapes["bias"] = (width,)
    return shapes


def kernel(settings: Settings, dimensions: int) -> tuple[int | None, ...]:
    """The kernel's size along every dimension."""
    size = settings.get("kernel_size")
    if isinstance(size, tuple):
        return size
    return (size if isinstance(size, int) else None,) * dimensions


def _convolution(dimensions: int, transposed: bool) -> Callable[[Settings], Shapes]:
    def shapes(s: Settings) -> Shapes:
        groups = _size(s, "groups")
        first, second = _size(s, "out_channels"), _size(s, "in_channels")
        if transposed:
            first, second = second, first
        per_group = second // groups if second is not None and groups else None
        weight = (first, per_group, *kernel(s, dimensions))
        return _with_bias(s, {"weight": weight}, _size(s, "out_channels"))

    return shapes


def _embedding(s: Settings) -> Shapes:
    return {"weight": (_size(s, "num_embeddings"), _size(s, "embedding_dim"))}


def _affine(switch: str, width: str, bias: bool = True) -> Callable[[Settings], Shapes]:
    def shapes(s: Settings) -> Shapes:
        if s.get(switch) is False:
            return {}
        size = s.get(width)
        shape: Shape = size if isinstance(size, tuple) else (size if isinstance(size, int) else None,)
        has_bias = bias and s.get("bias") is not False
        return {"weight": shape, "bias": shape} if has_bias else {"weight": shape}

    return shapes


def _prelu(s: Settings) -> Shapes:
    return {"weight": (_size(s, "num_parameters"),)}


def _recurrent(gates: int) -> Callable[[Settings], Shapes]:
    def shapes(s: Settings) -> Shapes:
        hidden, width = _size(s, "hidden_size"), _size(s, "input_size")
        rows = None if hidden is None else gates * hidden
        found: Shapes = {}
        for layer in range(_size(s, "num_layers") or 1):
            for suffix in ("", "_reverse") if s.get("bidirectional") else ("",):
                columns = width if layer == 0 else hidden
                if layer and columns is not None and s.get("bidirectional"):
                    columns *= 2
                found[f"weight_ih_l{layer}{suffix}"] = (rows, columns)
                found[f"weight_hh_l{layer}{suffix}"] = (rows, hidden)
                if s.get("bias") is not False:
                    found[f"bias_ih_l{layer}{suffix}"] = found[f"bias_hh_l{layer}{suffix}"] = (rows,)
        return found

    return shapes


def _cell(gates: int) -> Callable[[Settings], Shapes]:
    def shapes(s: Settings) -> Shapes:
        hidden = _size(s, "hidden_size")
        rows = None if hidden is None else gates * hidden
        found: Shapes = {"weight_ih": (rows, _size(s, "input_size")), "weight_hh": (rows, hidden)}
        if s.get("bias") is not False:
            found["bias_ih"] = found["bias_hh"] = (rows,)
        return found

    return shapes


def _attention(s: Settings) -> Shapes:
    width = _size(s, "embed_dim")
    rows = None if width is None else 3 * width
    found: Shapes = {"in_proj_weight": (rows, width)}
    if s.get("bias") is not False:
        found["in_proj_bias"] = (rows,)
    return found


_CONV: tuple[tuple[str, Setting], ...] = (
    ("in_channels", REQUIRED),
    ("out_channels", REQUIRED),
    ("kernel_size", REQUIRED),
    ("stride", 1),
    ("padding", 0),
)
_RECURRENT: tuple[tuple[str, Setting], ...] = (
    ("input_size", REQUIRED),
    ("hidden_size", REQUIRED),
    ("num_layers", 1),
    ("bias", True),
    ("batch_first", False),
    ("dropout", 0.0),
    ("bidirectional", False),
)
_CELL: tuple[tuple[str, Setting], ...] = (("input_size", REQUIRED), ("hidden_size", REQUIRED), ("bias", True))
_LOCAL: tuple[tuple[str, Setting], ...] = (("size", REQUIRED), ("alpha", 1e-4), ("beta", 0.75), ("k", 1.0))
_NORM: tuple[tuple[str, Setting], ...] = (("eps", 1e-5), ("momentum", 0.1))
_TRANSPOSED: tuple[tuple[str, Setting], ...] = (
    ("output_padding", 0),
    ("groups", 1),
    ("bias", True),
    ("dilation", 1),
)
_POOL: tuple[tuple[str, Setting], ...] = (("kernel_size", REQUIRED), ("stride", None), ("padding", 0))

LAYERS: dict[str, Kind] = {
    "Linear": Kind(
        "linear", (("in_features", REQUIRED), ("out_features", REQUIRED), ("bias", True)), _linear
    ),
    "LazyLinear": Kind("linear", (("out_features", REQUIRED), ("bias", True)), _linear),
    "Bilinear": Kind(
        "bilinear",
        (
            ("in1_features", REQUIRED),
            ("in2_features", REQUIRED),
            ("out_features", REQUIRED),
            ("bias", True),
        ),
        _bilinear,
    ),
    "Embedding": Kind(
        "embedding",
        (("num_embeddings", REQUIRED), ("embedding_dim", REQUIRED), ("padding_idx", None)),
        _embedding,
    ),
    "EmbeddingBag": Kind(
        "embedding", (("num_embeddings", REQUIRED), ("embedding_dim", REQUIRED)), _embedding
    ),
    "LayerNorm": Kind(
        "layer_norm",
        (("normalized_shape", REQUIRED), ("eps", 1e-5), ("elementwise_affine", True), ("bias", True)),
        _affine("elementwise_affine", "normalized_shape"),
    ),
    "RMSNorm": Kind(
        "rms_norm",
        (("normalized_shape", REQUIRED), ("eps", None), ("elementwise_affine", True)),
        _affine("elementwise_affine", "normalized_shape", bias=False),
    ),
    "GroupNorm": Kind(
        "group_norm",
        (("num_groups", REQUIRED), ("num_channels", REQUIRED), ("eps", 1e-5), ("affine", True)),
        _affine("affine", "num_channels"),
    ),
    "LocalResponseNorm": Kind("local_response_norm", _LOCAL),
    "CrossMapLRN2d": Kind("local_response_norm", _LOCAL),
    "PReLU": Kind("prelu", (("num_parameters", 1), ("init", 0.25)), _prelu),
    "RNN": Kind("rnn", (*_RECURRENT, ("nonlinearity", "tanh")), _recurrent(1)),
    "LSTM": Kind("lstm", (*_RECURRENT, ("proj_size", 0)), _recurrent(4)),
    "GRU": Kind("gru", _RECURRENT, _recurrent(3)),
    "RNNCell": Kind("rnn_cell", (*_CELL, ("nonlinearity", "tanh")), _cell(1)),
    "LSTMCell": Kind("lstm_cell", _CELL, _cell(4)),
    "GRUCell": Kind("gru_cell", _CELL, _cell(3)),
    "MultiheadAttention": Kind(
        "multihead_attention",
        (
            ("embed_dim", REQUIRED),
            ("num_heads", REQUIRED),
            ("dropout", 0.0),
            ("bias", True),
            ("add_bias_kv", False),
            ("add_zero_attn", False),
            ("kdim", None),
            ("vdim", None),
            ("batch_first", False),
        ),
        _attention,
    ),
    "Upsample": Kind("upsample", (("size", None), ("scale_factor", None), ("mode", "nearest"))),
    "UpsamplingNearest2d": Kind("upsample", (("size", None), ("scale_factor", None))),
    "UpsamplingBilinear2d": Kind("upsample", (("size", None), ("scale_factor", None), ("mode", "bilinear"))),
    "PixelShuffle": Kind("pixel_shuffle", (("upscale_factor", REQUIRED),)),
    "PixelUnshuffle": Kind("pixel_unshuffle", (("downscale_factor", REQUIRED),)),
    "QuantStub": Kind("identity"),
    "DeQuantStub": Kind("identity"),
    "FloatFunctional": Kind("unknown"),
    "Identity": Kind("identity"),
    "Flatten": Kind("reshape", (("start_dim", 1), ("end_dim", -1))),
    "Rearrange": Kind("reshape"),
    "Reduce": Kind("mean"),
    "Unflatten": Kind("reshape"),
    "ChannelShuffle": Kind("reshape"),
    "Fold": Kind(
        "fold",
        (
            ("output_size", REQUIRED),
            ("kernel_size", REQUIRED),
            ("dilation", 1),
            ("padding", 0),
            ("stride", 1),
        ),
    ),
    "Unfold": Kind("reshape"),
    "CosineSimilarity": Kind("cosine_similarity", (("dim", 1), ("eps", 1e-8))),
    "PairwiseDistance": Kind("pairwise_distance", (("p", 2.0), ("eps", 1e-6))),
}
for _n in (1, 2, 3):
    LAYERS |= {
        f"Conv{_n}d": Kind(
            f"conv{_n}d",
            (*_CONV, ("dilation", 1), ("groups", 1), ("bias", True), ("padding_mode", "zeros")),
            _convolution(_n, transposed=False),
        ),
        f"LazyConv{_n}d": Kind(
            f"conv{_n}d",
            (*_CONV[1:], ("dilation", 1), ("groups", 1), ("bias", True), ("padding_mode", "zeros")),
            _convolution(_n, transposed=False),
        ),
        f"ConvTranspose{_n}d": Kind(
            f"conv_transpose{_n}d",
            (*_CONV, *_TRANSPOSED),
            _convolution(_n, transposed=True),
        ),
        f"LazyConvTranspose{_n}d": Kind(
            f"conv_transpose{_n}d", (*_CONV[1:], *_TRANSPOSED), _convolution(_n, transposed=True)
        ),
        f"BatchNorm{_n}d": Kind(
            "batch_norm",
            (("num_features", REQUIRED), ("eps", 1e-5), ("momentum", 0.1), ("affine", True)),
            _affine("affine", "num_features"),
        ),
        f"LazyBatchNorm{_n}d": Kind(
            "batch_norm", (("eps", 1e-5), ("momentum", 0.1)), _affine("affine", "num_features")
        ),
        f"InstanceNorm{_n}d": Kind(
            "instance_norm",
            (("num_features", REQUIRED), ("eps", 1e-5), ("momentum", 0.1), ("affine", False)),
            _affine("affine", "num_features"),
        ),
        f"LazyInstanceNorm{_n}d": Kind(
            "instance_norm", (*_NORM, ("affine", False)), _affine("affine", "num_features")
        ),
        f"MaxPool{_n}d": Kind("max_pool", (*_POOL, ("dilation", 1), ("return_indices", False))),
        f"MaxUnpool{_n}d": Kind("max_unpool", _POOL),
        f"FractionalMaxPool{_n}d": Kind("max_pool", (("kernel_size", REQUIRED),)),
        f"AvgPool{_n}d": Kind("avg_pool", _POOL),
        f"LPPool{_n}d": Kind(
            "lp_pool", (("norm_type", REQUIRED), ("kernel_size", REQUIRED), ("stride", None))
        ),
        f"AdaptiveAvgPool{_n}d": Kind("adaptive_avg_pool", (("output_size", REQUIRED),)),
        f"AdaptiveMaxPool{_n}d": Kind("adaptive_max_pool", (("output_size", REQUIRED),)),
        f"Dropout{_n}d": Kind(f"dropout{_n}d", (("p", 0.5),)),
        f"ZeroPad{_n}d": Kind("pad", (("padding", REQUIRED),)),
        f"ReflectionPad{_n}d": Kind("pad", (("padding", REQUIRED),)),
        f"ReplicationPad{_n}d": Kind("pad", (("padding", REQUIRED),)),
        f"CircularPad{_n}d": Kind("pad", (("padding", REQUIRED),)),
        f"ConstantPad{_n}d": Kind("pad", (("padding", REQUIRED), ("value", 0.0))),
    }
LAYERS["SyncBatchNorm"] = LAYERS["BatchNorm2d"]
LAYERS |= {
    name: Kind(op, signature)
    for name, op, signature in (
        ("Dropout", "dropout", (("p", 0.5),)),
        ("DropPath", "drop_path", (("drop_prob", 0.0),)),
        ("AlphaDropout", "alpha_dropout", (("p", 0.5),)),
        ("FeatureAlphaDropout", "feature_alpha_dropout", (("p", 0.5),)),
        ("ReLU", "relu", ()),
        ("ReLU6", "relu6", ()),
        ("LeakyReLU", "leaky_relu", (("negative_slope", 0.01),)),
        ("RReLU", "rrelu", (("lower", 1 / 8), ("upper", 1 / 3))),
        ("ELU", "elu", (("alpha", 1.0),)),
        ("CELU", "celu", (("alpha", 1.0),)),
        ("SELU", "selu", ()),
        ("GELU", "gelu", (("approximate", "none"),)),
        ("SiLU", "silu", ()),
        ("Mish", "mish", ()),
        ("Softplus", "softplus", (("beta", 1.0), ("threshold", 20.0))),
        ("Sigmoid", "sigmoid", ()),
        ("LogSigmoid", "logsigmoid", ()),
        ("Hardsigmoid", "hardsigmoid", ()),
        ("Tanh", "tanh", ()),
        ("Hardtanh", "hardtanh", (("min_val", -1.0), ("max_val", 1.0))),
        ("Hardswish", "hardswish", ()),
        ("Softsign", "softsign", ()),
        ("Tanhshrink", "tanhshrink", ()),
        ("Softshrink", "softshrink", (("lambd", 0.5),)),
        ("Hardshrink", "hardshrink", (("lambd", 0.5),)),
        ("Threshold", "threshold", (("threshold", REQUIRED), ("value", REQUIRED))),
        ("GLU", "glu", (("dim", -1),)),
        ("Softmax", "softmax", (("dim", None),)),
        ("Softmax2d", "softmax", ()),
        ("Softmin", "softmin", (("dim", None),)),
        ("LogSoftmax", "log_softmax", (("dim", None),)),
    )
}
LAYERS |= {name: Kind(op, LOSSES[op].settings) for name, op in LOSS_LAYERS.items()}
