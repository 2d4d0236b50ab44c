"""Functions and methods of torch on tensors: the op that each is, and its settings with their defaults."""

from __future__ import annotations

import math

from msgspec import Struct

from gradlint.graph.layers import LAYERS
from gradlint.records.graph import Setting
from gradlint.records.losses import LOSSES


class Form(Struct, frozen=True):
    """A function by the op that it computes; `signature` are its parameters behind the data."""

    op: str
    signature: tuple[tuple[str, Setting], ...] = ()
    data: int = 1


_INDICES: tuple[str, Setting] = ("return_indices", False)
_DIM: tuple[tuple[str, Setting], ...] = (("dim", None), ("keepdim", False))

UNARY: dict[str, Form] = {
    kind.op: Form(kind.op, tuple([(name, default) for name, default in kind.signature if default != "…"]))
    for kind in LAYERS.values()
    if kind.shapes is None and kind.op not in (*LOSSES, "reshape", "unknown", "identity", "pad", "upsample")
}
UNARY |= {
    "threshold": Form("threshold", (("threshold", None), ("value", None))),
    "dropout": Form("dropout", (("p", 0.5), ("training", True))),
    "dropout1d": Form("dropout1d", (("p", 0.5), ("training", True))),
    "dropout2d": Form("dropout2d", (("p", 0.5), ("training", True))),
    "dropout3d": Form("dropout3d", (("p", 0.5), ("training", True))),
    "feature_dropout": Form("dropout2d", (("p", 0.5), ("training", True))),
    "drop_path": Form("drop_path", (("p", 0.0), ("training", True))),
    "normalize": Form("normalize", (("p", 2.0), ("dim", 1), ("eps", 1e-12))),
    "prelu": Form("prelu", (("weight", None),)),
    "clamp": Form("clamp", (("min", -math.inf), ("max", math.inf))),
    "clip": Form("clamp", (("min", -math.inf), ("max", math.inf))),
    "clamp_min": Form("clamp", (("min", None),)),
    "clamp_max": Form("clamp", (("max", None),)),
    "interpolate": Form("upsample", (("size", None), ("scale_factor", None), ("mode", "nearest"))),
    "upsample": Form("upsample", (("size", None), ("scale_factor", None), ("mode", "nearest"))),
    "upsample_nearest": Form("upsample", (("size", None), ("scale_factor", None))),
    "upsample_bilinear": Form("upsample", (("size", None), ("scale_factor", None), ("mode", "bilinear"))),
    "fold": Form(
        "fold", (("output_size", None), ("kernel_size", None), ("dilation", 1), ("padding", 0), ("stride", 1))
    ),
    "local_response_norm": Form(
        "local_response_norm", (("size", None), ("alpha", 1e-4), ("beta", 0.75), ("k", 1.0))
    ),
    "gumbel_softmax": Form("gumbel_softmax", (("tau", 1.0), ("hard", False))),
    "expit": Form("sigmoid"),
    "pad": Form("pad", (("pad", None), ("mode", "constant"), ("value", 0.0))),
    "glu": Form("glu", (("dim", -1),)),
    "softmax": Form("softmax", (("dim", None),)),
    "log_softmax": Form("log_softmax", (("dim", None),)),
    "cumsum": Form("cumsum", (("dim", None),)),
    "expand": Form("expand"),
    "expand_as": Form("expand"),
    "repeat": Form("expand"),
    "tile": Form("expand"),
    "repeat_interleave": Form("expand"),
    "broadcast_to": Form("expand"),
    "pixel_shuffle": Form("pixel_shuffle", (("upscale_factor", None),)),
    "pixel_unshuffle": Form("pixel_unshuffle", (("downscale_factor", None),)),
    "detach": Form("detach"),
    "detach_": Form("detach"),
    "logsumexp": Form("logsumexp", _DIM),
    "pow": Form("pow", (("exponent", None),)),
}
UNARY |= {
    name: Form(name)
    for name in (
        *("exp", "log", "sqrt", "rsqrt", "square", "abs", "sin", "cos", "neg", "reciprocal"),
        *("log1p", "expm1", "log2", "log10", "erf", "sinh", "cosh", "tan", "atan", "asin", "acos"),
    )
}
UNARY |= {name: Form("upsample") for name in ("grid_sample",)}
UNARY |= {name: Form("reshape") for name in ("pack_padded_sequence", "pad_sequence", "resize", "resize_as")}
UNARY["negative"] = UNARY["neg"]
UNARY["absolute"] = UNARY["abs"]
for _n in (1, 2, 3):
    _pool: tuple[tuple[str, Setting], ...] = (("kernel_size", None), ("stride", None), ("padding", 0))
    UNARY |= {
        f"max_pool{_n}d": Form("max_pool", (*_pool, ("dilation", 1), ("ceil_mode", False), _INDICES)),
        f"max_pool{_n}d_with_indices": Form("max_pool", (*_pool, (_INDICES[0], True))),
        f"fractional_max_pool{_n}d": Form("max_pool", (("kernel_size", None),)),
        f"max_unpool{_n}d": Form("max_unpool", (("indices", None), *_pool)),
        f"lp_pool{_n}d": Form("lp_pool", (("norm_type", None), *_pool[:2])),
        f"avg_pool{_n}d": Form("avg_pool", _pool),
        f"adaptive_avg_pool{_n}d": Form("adaptive_avg_pool", (("output_size", None),)),
        f"adaptive_max_pool{_n}d": Form("adaptive_max_pool", (("output_size", None),)),
    }
UNARY |= {
    name: Form("reshape")
    for name in (
        *("view", "reshape", "flatten", "permute", "transpose", "t", "squeeze", "unsqueeze", "contiguous"),
        *("movedim", "moveaxis", "swapaxes", "swapdims", "unflatten", "view_as", "reshape_as", "roll"),
        *("flip", "cuda", "cpu", "clone"),
        *("rearrange", "requires_grad_", "adjoint", "rot90", "tensor_split_as", "channel_shuffle", "ravel"),
        *("pack_one", "unpack_one", "as_strided", "view_as_real", "view_as_complex"),
        *(
            "coalesce",
            "to_dense",
            "to_sparse",
            "unfold",
            "refine_names",
            "rename",
            "align_to",
            "unsqueeze_",
            "squeeze_",
            "transpose_",
        ),
    )
}
UNARY |= {name: Form("reshape", (("to", name),)) for name in ("float", "double", "half", "bfloat16")}
UNARY |= {name: Form("reshape", (("to", None),)) for name in ("to", "type", "type_as")}
UNARY |= {name: Form(name, _DIM) for name in ("sum", "mean", "prod", "var", "std", "norm", "amax", "amin")}
UNARY["reduce"] = UNARY["mean"]
UNARY["vector_norm"] = Form("norm", (("ord", 2.0), *_DIM))
UNARY["nan_to_num"] = Form("identity")
UNARY["nanmean"], UNARY["nansum"] = UNARY["mean"], UNARY["sum"]
UNARY |= {
    name: Form("select")
    for name in (
        "narrow",
        "select",
        "gather",
        "index_select",
        "masked_select",
        "take",
        "diagonal",
        "tril",
        "triu",
    )
}

UNBOUNDED = {
    **dict.fromkeys(
        (
            *(
                "addcdiv",
                "addcmul",
                "angle",
                "atan2",
                "cdist",
                "cholesky",
                "complex",
                "conj",
                "cosh",
                "cross",
            ),
            *("cumprod", "det", "diag", "diag_embed", "digamma", "dist", "erfc", "erfinv", "fft", "fft2"),
            *("fftn", "fmod", "frac", "hypot", "ifft", "ifft2", "ifftn", "imag", "index_copy", "index_put"),
            *("inverse", "irfft", "irfft2", "irfftn", "istft", "kron", "lgamma", "logaddexp", "logdet"),
            *("logit", "logcumsumexp", "matrix_exp", "matrix_power", "outer", "ger", "pinverse", "polar"),
            *("put_along_dim", "quantile", "remainder", "renorm", "rfft", "rfft2", "rfftn", "scatter_reduce"),
            *(
                "solve",
                "solve_triangular",
                "stft",
                "take_along_dim",
                "tensordot",
                "trace",
                "trapezoid",
                "xlogy",
            ),
        ),
        1,
    ),
    **dict.fromkeys(("cummax", "cummin", "eig", "eigh", "qr", "slogdet"), 2),
    "svd": 3,
}
"""Functions through which a gradient passes, of which nothing is promised; how many results they have."""

NOT_DIFFERENTIABLE = frozenset(
    {
        *("argmax", "argmin", "argsort", "round", "floor", "ceil", "trunc", "sign", "one_hot", "bincount"),
        *("eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite", "logical_not", "logical_and"),
        *("long", "int", "bool", "byte", "short", "nonzero", "multinomial", "searchsorted", "bernoulli"),
        *("bucketize", "astype", "floor_divide", "_convert_indices_from_coo_to_csr"),
        *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"),
        *("item", "tolist", "numpy", "round_", "any", "all", "logical_or", "unique"),
    }
)
"""Functions whose results carry no gradient."""

ACTIVATIONS = frozenset(
    {
        *("softmax", "log_softmax", "softmin", "sigmoid", "logsigmoid", "hardsigmoid", "tanh", "hardtanh"),
        *("relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "softplus", "one_hot"),
    }
)
"""Functions that are applied to tensors only, so that what is unknown in a training pass must be one."""

BINARY = {
    "add": "add",
    "sub": "sub",
    "subtract": "sub",
    "rsub": "sub",
    "mul": "mul",
    "multiply": "mul",
    "div": "div",
    "divide": "div",
    "true_divide": "div",
    "matmul": "matmul",
    "mm": "matmul",
    "bmm": "matmul",
    "mv": "matmul",
    "spmm": "matmul",
    "einsum": "einsum",
    "dot": "matmul",
    "maximum": "maximum",
    "minimum": "minimum",
}
OPERATORS = {"add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "matmul": "matmul", "pow": "pow"}

FLOAT_FUNCTIONAL = {
    "add": "add",
    "add_relu": "add",
    "add_scalar": "add",
    "mul": "mul",
    "mul_scalar": "mul",
    "matmul": "matmul",
    "cat": "cat",
}
"""Methods of `FloatFunctional` by the functions that they are."""

CONSTANT = frozenset(
    {
        *(
            "arange",
            "linspace",
            "logspace",
            "tril_indices",
            "triu_indices",
            "randperm",
            "randint",
            "meshgrid",
        ),
        *("hann_window", "hamming_window", "range", "cartesian_prod", "combinations", "from_numpy"),
    }
)
"""Functions that make a tensor without a gradient."""

PIECES = frozenset({"chunk", "split", "unbind", "tensor_split", "split_with_sizes", "hsplit", "vsplit"})
"""Functions that cut a tensor into several."""

ALIASING = PIECES | {
    *("view", "view_as", "reshape", "flatten", "unflatten", "t", "transpose", "permute", "squeeze"),
    *("unsqueeze", "narrow", "select", "diagonal", "swapaxes", "movedim", "as_strided"),
}
"""Methods whose results share the memory of a tensor."""

SIZES = frozenset(
    {
        "size",
        "dim",
        "ndimension",
        "numel",
        "nelement",
        "stride",
        "get_device",
        "element_size",
        "storage_offset",
    }
)
"""Methods that tell of a tensor what has no gradient."""

METADATA = frozenset({"shape", "ndim", "dtype", "device", "requires_grad", "is_cuda", "layout", "is_sparse"})

LIKE = frozenset({"zeros_like", "ones_like", "randn_like", "rand_like", "empty_like", "full_like"})
"""Functions that make a tensor of the shape of another."""
