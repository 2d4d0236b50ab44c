"""The primitives of the op table as torch computes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812


class Op(NamedTuple):
    """How torch computes a primitive: of `tensors` tensors, then the constants.

    `arguments` are the operands after the tensors as the analysis sees them, `keywords` the named
    ones; `call` gets the tensors only. `only` are the elements that the primitive is meant for.
    """

    call: Callable[..., Any]
    tensors: int = 1
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = {}
    form: str = "function"
    masks: frozenset[int] = frozenset()


def _plain(names: str, tensors: int = 1, module: Any = torch) -> dict[str, list[Op]]:
    return {name: [Op(getattr(module, name), tensors)] for name in names.split()}


def _reduced(names: str) -> dict[str, list[Op]]:
    """Of all elements, and of rows."""
    return {
        name: [
            Op(getattr(torch, name)),
            Op(lambda x, name=name: getattr(torch, name)(x, dim=-1), keywords={"dim": -1}),
        ]
        for name in names.split()
    }


def _first(names: str, call: Callable[[Any, str], Any]) -> dict[str, list[Op]]:
    return {name: [Op(lambda x, name=name: call(x, name))] for name in names.split()}


def _created(names: str) -> dict[str, list[Op]]:
    """What makes new data of whatever kind; the analysis says nothing of it."""
    return {name: [Op(lambda: torch.randn(3), 0)] for name in names.split()}


def _axis(call: Callable[..., Any], **keywords: Any) -> Op:
    return Op(call, keywords={"dim": -1, **keywords})


def _extreme(name: str) -> list[Op]:
    function = getattr(torch, name)
    return [
        Op(function),
        Op(lambda x: function(x, -1).values, arguments=(-1,)),
        *([Op(function, 2)] if name != "median" else []),
    ]


def _decomposed(x: Any, name: str) -> Any:
    square = x @ x.mT
    outputs = torch.linalg.eigh(square) if "eig" in name or "lobpcg" in name else torch.linalg.svd(square)
    return torch.cat([output.flatten().real for output in outputs])


UNARY = (
    "abs square sqrt rsqrt reciprocal exp exp2 sigmoid tanh cos sin acos asin atan acosh atanh logit erf "
    "erfinv digamma lgamma log log2 log10 log1p expm1 sinh tan cosh neg sign sgn round floor ceil trunc "
    "isnan isinf isfinite nan_to_num clone relu detach triu tril diag"
)
ACTIVATIONS = (
    "relu6 softplus hardsigmoid hardtanh softsign logsigmoid gelu silu elu selu mish leaky_relu hardswish"
)
COMPARISONS = "eq ne lt le gt ge isclose"

OPS: dict[str, list[Op]] = {
    **_plain(UNARY),
    **_plain(ACTIVATIONS, module=F),
    **_plain("add sub mul div maximum fmax minimum fmin hypot atan2 xlogy floor_divide", 2),
    **_plain(COMPARISONS, 2),
    **_plain("mse_loss l1_loss smooth_l1_loss huber_loss", 2, F),
    **_reduced("sum nansum mean nanmean amax amin std var count_nonzero"),
    **{name: _extreme(name) for name in ("max", "min", "median")},
    **_first(
        "float double half bfloat16 int long short byte cpu contiguous", lambda x, name: getattr(x, name)()
    ),
    **_first(
        "linalg.eigh linalg.eig linalg.svd svd_lowrank pca_lowrank lobpcg linalg.eigh.eigenvectors "
        "linalg.eig.eigenvectors linalg.svd.U linalg.svd.V svd_lowrank.U svd_lowrank.V pca_lowrank.U "
        "pca_lowrank.V lobpcg.eigenvectors linalg.eigh.eigenvalues linalg.eig.eigenvalues "
        "lobpcg.eigenvalues",
        _decomposed,
    ),
    **_first("linalg.svd.S svd_lowrank.S pca_lowrank.S", lambda x, name: torch.linalg.svdvals(x)),
    **_created(
        "arange linspace logspace eye full zeros ones empty randn randint randperm zeros_like ones_like "
        "full_like empty_like randn_like new new_empty new_zeros new_ones new_full new_tensor one_hot "
        "bincount nonzero searchsorted bucketize unique tensor as_tensor from_numpy bernoulli multinomial "
        "triu_indices tril_indices hann_window hamming_window torch.nn.Parameter indices"
    ),
    "rand": [Op(lambda: torch.rand(100), 0)],
    "rand_like": [Op(torch.rand_like)],
    "pow": [
        Op(lambda x, power=power: x**power, arguments=(power,))
        for power in (2, 3, 0.5, 1.5, -1, -0.5, 0, 4.0)
    ],
    "clamp": [
        Op(lambda x, lo=lo, hi=hi: x.clamp(lo, hi), arguments=(lo, hi))
        for lo, hi in ((0.0, None), (-1.0, 1.0), (None, 1.0), (0.5, 2.0), (-1 + 1e-3, 1 - 1e-3), (0, 1))
    ],
    "clamp_min": [Op(lambda x, lo=lo: x.clamp_min(lo), arguments=(lo,)) for lo in (-1.0, 0.0, 0.1)],
    "clamp_max": [Op(lambda x, hi=hi: x.clamp_max(hi), arguments=(hi,)) for hi in (0.0, 1.0, 3.0)],
    "softmax": [_axis(lambda x: x.softmax(-1))],
    "softmin": [_axis(lambda x: F.softmin(x, -1))],
    "log_softmax": [_axis(lambda x: x.log_softmax(-1))],
    "gumbel_softmax": [_axis(lambda x: F.gumbel_softmax(x, dim=-1))],
    "logsumexp": [_axis(lambda x: x.logsumexp(-1))],
    "cumsum": [_axis(lambda x: x.cumsum(-1))],
    "prod": [Op(torch.prod), _axis(lambda x: x.prod(-1))],
    "cumprod": [_axis(lambda x: x.cumprod(-1))],
    "normalize": [_axis(lambda x: F.normalize(x, dim=-1))],
    "cosine_similarity": [Op(lambda x, y: F.cosine_similarity(x, y, dim=-1), 2, keywords={"dim": -1})],
    "norm": [
        _axis(lambda x: x.norm(dim=-1)),
        _axis(lambda x: x.norm(p=1, dim=-1), p=1),
        Op(torch.linalg.norm),
    ],
    "cdist": [Op(torch.cdist, 2)],
    "pairwise_distance": [Op(F.pairwise_distance, 2)],
    "values": [Op(lambda x: x)],
    "where": [Op(torch.where, 3, masks=frozenset({0}))],
    "masked_fill": [
        Op(lambda x, m, v=v: x.masked_fill(m, v), 2, (v,), masks=frozenset({1})) for v in (0.0, -1e9)
    ],
    "masked_select": [Op(torch.masked_select, 2, masks=frozenset({1}))],
    "index_put": [Op(lambda x, m: torch.where(m, 1.0, x), 2, (1.0,), masks=frozenset({1}))],
    "as_bool": [Op(lambda x: x.bool())],
    "floordiv": [Op(lambda x, y: x // y, 2)],
    "invert": [Op(torch.logical_not, masks=frozenset({0}))],
    "and_": [Op(torch.logical_and, 2, masks=frozenset({0, 1}))],
    "or_": [Op(torch.logical_or, 2, masks=frozenset({0, 1}))],
    "xor": [Op(torch.logical_xor, 2, masks=frozenset({0, 1}))],
    "logical_xor": [Op(torch.logical_xor, 2, masks=frozenset({0, 1}))],
    "any": [Op(lambda x: x.any())],
    "all": [Op(lambda x: x.all())],
    "argmax": [Op(torch.argmax)],
    "argsort": [Op(torch.argsort)],
    "argwhere": [Op(torch.argwhere)],
    "histc": [Op(lambda x: torch.histc(x.detach(), bins=4))],
    "isin": [Op(lambda x: torch.isin(x, torch.zeros(1, dtype=x.dtype)))],
    "argmin": [Op(torch.argmin)],
    "numel": [Op(lambda x: torch.tensor(x.numel()))],
    "size": [Op(lambda x: torch.tensor(x.size()))],
    "dim": [Op(lambda x: torch.tensor(x.dim()))],
    "item": [Op(lambda x: torch.tensor(x.sum().item()))],
    "tolist": [Op(lambda x: torch.tensor(x.tolist()))],
    "numpy": [Op(lambda x: torch.tensor(x.tolist()))],
    "matmul": [Op(lambda x, y: x @ y.mT, 2)],
    "dot": [Op(lambda x, y: torch.dot(x[0], y[0]), 2)],
    "vdot": [Op(lambda x, y: torch.vdot(x[0], y[0]), 2)],
    "inner": [Op(torch.inner, 2)],
    "linear": [Op(F.linear, 2)],
    "einsum": [Op(lambda x, y: torch.einsum("ij,kj->ik", x, y), 2, form="einsum")],
    "stft": [Op(lambda x: torch.view_as_real(torch.stft(x, 4, return_complex=True)))],
    "istft": [Op(lambda x: x)],
    "view_as_real": [Op(lambda x: torch.view_as_real(torch.complex(x, x)))],
    **_first(
        "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d",
        lambda x, name: F.conv1d(x[:, None], torch.ones(1, 1, 2, dtype=x.dtype)),
    ),
    "imag": [Op(lambda x: torch.fft.fft(x).imag)],
    "view_as_complex": [Op(lambda x: torch.stack([x, x]))],
    "interpolate": [Op(lambda x: F.interpolate(x[None], scale_factor=2.0, mode="linear"))],
    "torch.fft.fft": [Op(lambda x: torch.view_as_real(torch.fft.fft(x)))],
    "torch.fft.rfft": [Op(lambda x: torch.view_as_real(torch.fft.rfft(x)))],
    "avg_pool1d": [Op(lambda x: F.avg_pool1d(x, 2))],
    "avg_pool2d": [Op(lambda x: F.avg_pool2d(x[None], 2))],
    "adaptive_avg_pool1d": [Op(lambda x: F.adaptive_avg_pool1d(x, 2))],
    "adaptive_avg_pool2d": [Op(lambda x: F.adaptive_avg_pool2d(x[None], 1))],
    "dropout": [Op(F.dropout)],
    "dropout1d": [Op(F.dropout1d)],
    "dropout2d": [Op(lambda x: F.dropout2d(x[None, None]))],
    "dropout3d": [Op(lambda x: F.dropout3d(x[None, None, None]))],
    "alpha_dropout": [Op(F.alpha_dropout)],
    "pad": [Op(lambda x: F.pad(x, (1, 1)))],
    "cat": [Op(lambda x, y: torch.cat([x, y]), 2, form="list")],
    "stack": [Op(lambda x, y: torch.stack([x, y]), 2, form="list")],
    "Variable": [Op(lambda x: x)],
    "requires_grad_": [Op(lambda x: x)],
    "cuda": [Op(lambda x: x)],
    "to": [Op(lambda x: x.to(torch.float64))],
    "real": [Op(torch.real)],
    "flip": [Op(lambda x: x.flip(0))],
    "roll": [Op(lambda x: x.roll(1))],
    "sort": [Op(lambda x: x.sort().values)],
    "topk": [Op(lambda x: x.topk(1).values)],
    "chunk": [Op(lambda x: x.chunk(2)[0])],
    "split": [Op(lambda x: x.split(1)[0])],
    "unbind": [Op(lambda x: x.unbind()[0])],
    "gather": [Op(lambda x: x.gather(0, torch.zeros(1, 1, dtype=torch.long)))],
    "take": [Op(lambda x: x.take(torch.tensor([0])))],
    "take_along_dim": [Op(lambda x: x.take_along_dim(torch.zeros(1, 1, dtype=torch.long), 0))],
    "index_select": [Op(lambda x: x.index_select(0, torch.tensor([0])))],
    "repeat_interleave": [Op(lambda x: x.repeat_interleave(2))],
    "rearrange": [Op(lambda x: x.T)],
    "diagonal": [Op(torch.diagonal)],
    "fill_diagonal": [Op(lambda x: x.reshape(-1, 1).clone().fill_diagonal_(0.0), 1, (0.0,))],
    **_first(
        "broadcast_to expand expand_as flatten narrow permute repeat reshape squeeze t tile transpose "
        "unflatten unsqueeze view view_as",
        lambda x, name: x.reshape(-1),
    ),
}
