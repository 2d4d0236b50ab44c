"""Which values are trained: parameters, and modules that hold at least one."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.semantics.objects import PARAMETER, is_layer
from gradlint.semantics.tensor import Tensor, producer
from gradlint.semantics.trace import ModuleClass
from gradlint.semantics.value import Constructed, Instance, Items, Known, Table, Value

CONTAINERS = frozenset({"Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"})
_WITHOUT_PARAMETERS = (
    "Loss",
    "Pool1d",
    "Pool2d",
    "Pool3d",
    "Pad1d",
    "Pad2d",
    "Pad3d",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "ReLU",
    "ReLU6",
    "RReLU",
    "LeakyReLU",
    "ELU",
    "CELU",
    "SELU",
    "GELU",
    "SiLU",
    "Mish",
    "GLU",
    "Sigmoid",
    "Tanh",
    "Hardtanh",
    "Hardswish",
    "Hardsigmoid",
    "Softplus",
    "Softsign",
    "Softmax",
    "Softmin",
    "Softmax2d",
    "LogSoftmax",
    "LogSigmoid",
    "Tanhshrink",
    "Softshrink",
    "Hardshrink",
    "Threshold",
    "Identity",
    "Flatten",
    "Unflatten",
    "Fold",
    "Unfold",
    "Upsample",
    "PixelShuffle",
    "PixelUnshuffle",
    "ChannelShuffle",
    "CosineSimilarity",
    "PairwiseDistance",
    "Module",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LocalResponseNorm",
    "UpsamplingNearest2d",
    "UpsamplingBilinear2d",
)

_AFFINE = ("affine", "elementwise_affine")


def members_of(value: Value) -> Iterator[Value]:
    """What is in a collection, and in collections within it."""
    if isinstance(value, (Items, Table)):
        for item in value.items if isinstance(value, Items) else value.values():
            yield from members_of(item)
    else:
        yield value


def holds(value: Value, module: ModuleClass, depth: int) -> bool:
    """Whether `value` is a parameter that is trained, or a module with at least one."""
    if isinstance(value, Tensor):
        return value.grad is not False and producer(value, PARAMETER) is not None
    if not isinstance(value, Constructed) or depth == 0:
        return False
    if value.type is not None:
        built = module.build(value.type)
        parts = (*_attributes(built), *_given(value))
        return any(holds(part, module, depth - 1) for part in parts)
    name = value.name.rpartition(".")[2]
    if not is_layer(value) or _is_bare(value, name):
        return False
    if name in CONTAINERS:
        return any(holds(part, module, depth - 1) for part in _given(value))
    return not name.endswith(_WITHOUT_PARAMETERS[:7]) and name not in _WITHOUT_PARAMETERS


def _is_bare(value: Constructed, name: str) -> bool:
    """Whether a normalisation is asked to do without weights."""
    position = 2 if name in ("LayerNorm", "RMSNorm") else 3
    given = value.positional[position : position + 1] if "Norm" in name else ()
    settings = (*given, *[value.keywords[key] for key in _AFFINE if key in value.keywords])
    return any(isinstance(each, Known) and each.value is False for each in settings)


def _attributes(instance: Instance) -> Iterator[Value]:
    for value in instance.attributes.values():
        if isinstance(value, (Constructed, Tensor)):
            yield value


def _given(value: Constructed) -> Iterator[Value]:
    for part in (*value.positional, *value.keywords.values()):
        yield from members_of(part)
