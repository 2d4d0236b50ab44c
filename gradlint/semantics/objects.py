"""Objects of torch that are no tensors: modules, optimizers, and what their methods do."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from gradlint.records import ir
from gradlint.semantics.interpretation import Arguments, Operand, known
from gradlint.semantics.value import Constructed, Value

PARAMETER = "torch.nn.Parameter"
"""The primitive that makes a parameter, by whatever name the code calls it."""

_PARAMETERS = frozenset({PARAMETER, "torch.nn.parameter.Parameter"})
_TENSOR_CLASS = re.compile(
    r"torch\.(?:cuda\.)?(?:Byte|Char|Short|Int|Long|Half|Float|Double|BFloat16|Bool)?Tensor"
)
_VARIABLES = frozenset({"torch.autograd.Variable", "torch.autograd.variable.Variable"})

_REPARAMETRISING = frozenset({"weight_norm", "spectral_norm", "orthogonal"})

_REGISTERING = {
    "add_module": "module",
    "register_module": "module",
    "register_parameter": "param",
    "register_buffer": "tensor",
}
"""Methods of a module that store an attribute, and the name of the parameter that holds it."""

SAME_OBJECT = frozenset(
    {"to", "cuda", "cpu", "xpu", "float", "half", "double", "bfloat16", "type", "train", "apply", "to_empty"}
)
"""Methods of a module that return the module itself and leave its parameters trainable."""

LEAVES = frozenset({"tensor", "as_tensor", "Variable", "requires_grad_", PARAMETER})
"""Primitives that make or switch a leaf of the graph."""


def creation(name: str) -> str | None:
    """The primitive for calling a class of torch whose objects are tensors, or None."""
    if name in _PARAMETERS:
        return PARAMETER
    if name in _VARIABLES:
        return "Variable"
    return "tensor" if _TENSOR_CLASS.fullmatch(name) else None


def copied(name: str, arguments: Arguments) -> Value | None:
    """The module that a function gives back for a module: a copy, or the same with another weight."""
    module = arguments.positional[0].value if arguments.positional else None
    if not isinstance(module, Constructed) or not is_layer(module):
        return None
    if name in ("copy.deepcopy", "copy.copy"):
        return replace(module)
    return module if name.rpartition(".")[2] in _REPARAMETRISING and "nn.utils" in name else None


def registered(name: str, arguments: Arguments) -> tuple[str, Operand] | None:
    """The attribute (empty if not known) that a method of a module stores, and what it stores."""
    if name not in _REGISTERING:
        return None
    stored = arguments.get(1, _REGISTERING[name])
    attribute = known(arguments.get(0, "name"))
    return None if stored is None else (attribute if isinstance(attribute, str) else "", stored)


def is_layer(value: Value) -> bool:
    """Whether `value` is a module of torch.nn or of the project."""
    return isinstance(value, Constructed) and (value.type is not None or value.name.startswith("torch.nn."))


def one_of(modules: Sequence[Value], node: ir.Expression | None = None) -> Constructed:
    """A module of which only the parts are known: what branches chose from, what a container was given."""
    first = modules[0]
    node = first.node if node is None and isinstance(first, Constructed) else node
    assert node is not None
    return Constructed("torch.nn.Module", tuple(modules), {}, node)


def leaf_gradient(primitive: str, switch: Operand | None) -> bool | None:
    """Whether a leaf requires a gradient that was made or switched with `requires_grad=switch`."""
    if switch is None:
        return primitive in ("requires_grad_", PARAMETER)
    value = known(switch)
    return value if isinstance(value, bool) else None


def is_optimizer(name: str) -> bool:
    """Whether a class outside the project is one of torch's optimizers."""
    return name.startswith("torch.optim.") and name.count(".") <= 3 and name.rpartition(".")[2][:1].isupper()
