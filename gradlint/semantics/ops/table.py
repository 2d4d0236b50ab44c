"""The table from primitive to transfer function, and the names that lead into it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from gradlint.semantics.tensor import Application, Facts
from gradlint.semantics.value import Reference, Value

Transfer = Callable[[Application], Facts | None]

TRANSFER: dict[str, Transfer] = {}
"""Canonical name to transfer function; a function returns None when the call is not that primitive."""

NON_DIFFERENTIABLE: set[str] = set()
"""Primitives whose results carry no gradient."""


def transfer(
    *names: str, differentiable: bool = True, keeps_zero: bool = False
) -> Callable[[Transfer], Transfer]:
    """Enter a transfer function under its canonical names; a name may have one entry only.

    `keeps_zero` tells that rows of zeros give rows of zeros.
    """

    def enter(function: Transfer) -> Transfer:
        for name in names:
            if name in TRANSFER:
                raise ValueError(f"two transfer functions for {name}")
            TRANSFER[name] = _keeping_zero(function) if keeps_zero else function
            if not differentiable:
                NON_DIFFERENTIABLE.add(name)
        return function

    return enter


def _keeping_zero(function: Transfer) -> Transfer:
    def keeping(a: Application) -> Facts | None:
        facts, vanishes = function(a), a.facts(0).vanishes
        return facts if facts is None or not vanishes else replace(facts, vanishes=facts.vanishes | vanishes)

    return keeping


_ALIASES = {
    "absolute": "abs",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arctanh": "atanh",
    "arctan2": "atan2",
    "clip": "clamp",
    "clamp_max": "clamp_max",
    "clamp_min": "clamp_min",
    "divide": "div",
    "true_divide": "div",
    "truediv": "div",
    "expit": "sigmoid",
    "float_power": "pow",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "not_equal": "ne",
    "multiply": "mul",
    "negative": "neg",
    "subtract": "sub",
    "inverse": "linalg.inv",
    "psi": "digamma",
    "swish": "silu",
    "bmm": "matmul",
    "mm": "matmul",
    "linalg.matmul": "matmul",
    "norm": "norm",
    "linalg.norm": "norm",
    "linalg.vector_norm": "norm",
    "linalg.matrix_norm": "norm",
    "symeig": "linalg.eigh",
    "svd": "linalg.svd",
    "logical_not": "invert",
    "bitwise_not": "invert",
    "bitwise_and": "and_",
    "logical_and": "and_",
    "bitwise_or": "or_",
    "logical_or": "or_",
    "permute_dims": "permute",
    "swapaxes": "transpose",
    "swapdims": "transpose",
    "concat": "cat",
    "concatenate": "cat",
    "hstack": "cat",
    "vstack": "cat",
    "moveaxis": "permute",
    "movedim": "permute",
    "special_logit": "logit",
    "bool": "as_bool",
    "type": "to",
    "type_as": "to",
    "dist": "norm",
}

_TRAILING = frozenset({"and_", "or_", "requires_grad_"})

_CASTS = {"torch.bool": "as_bool"} | {
    f"torch.{name}": "long" for name in ("long", "int", "short", "uint8", "int8", "int16", "int32", "int64")
}

_PREFIXES = ("torch.nn.functional.", "torch.special.", "torch.Tensor.", "torch._C._nn.")

_MODULES = {
    "torch.nn.ReLU": "relu",
    "torch.nn.ReLU6": "relu6",
    "torch.nn.Sigmoid": "sigmoid",
    "torch.nn.Hardsigmoid": "hardsigmoid",
    "torch.nn.Tanh": "tanh",
    "torch.nn.Hardtanh": "hardtanh",
    "torch.nn.Softplus": "softplus",
    "torch.nn.Softmax": "softmax",
    "torch.nn.Softmin": "softmin",
    "torch.nn.LogSoftmax": "log_softmax",
    "torch.nn.LogSigmoid": "logsigmoid",
    "torch.nn.CosineSimilarity": "cosine_similarity",
    "torch.nn.PairwiseDistance": "pairwise_distance",
    "torch.nn.Identity": "clone",
    "torch.nn.Dropout": "dropout",
    "torch.nn.GELU": "gelu",
    "torch.nn.SiLU": "silu",
    "torch.nn.ELU": "elu",
    "torch.nn.LeakyReLU": "leaky_relu",
    "torch.nn.MSELoss": "mse_loss",
    "torch.nn.L1Loss": "l1_loss",
    "torch.nn.SmoothL1Loss": "smooth_l1_loss",
    "torch.nn.HuberLoss": "huber_loss",
    "torch.nn.Flatten": "flatten",
    "torch.nn.Unflatten": "unflatten",
}


def canonical(name: str) -> str:
    """The primitive that a qualified name (`torch.special.expit`) or a method's name stands for."""
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            name = name[len(prefix) :]
            break
    else:
        name = name.removeprefix("torch.")
    if name.endswith("_") and not name.endswith("__") and name not in _TRAILING:
        name = name[:-1]
    return _ALIASES.get(name, name)


def cast(primitive: str, values: Sequence[Value]) -> str:
    """The primitive that a conversion to a type is: to integers or truth values no gradient flows."""
    if primitive in ("to", "view"):
        for value in values[1:]:
            if isinstance(value, Reference) and value.name in _CASTS:
                return _CASTS[value.name]
    return primitive


def module_primitive(name: str) -> str | None:
    """The primitive that calling an object of a torch.nn class applies, where there is one."""
    return _MODULES.get(name)
