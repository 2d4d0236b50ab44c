"""Functions of libraries that do nothing to signals or weights, for where their own source is read.

Saving, loading, printing, dispatch to kernels and tables of documentation take thousands of steps to follow
and change nothing of what a model computes.
"""

from __future__ import annotations

from gradlint.records import ir
from gradlint.semantics.interpretation import Arguments
from gradlint.semantics.value import ClassObject, Closure, Instance, Known, Partial, Reference, Value

_FUNCTIONS = "torch.nn.functional."
_OF_MODELS = "transformers.modeling_utils.PreTrainedModel."

SILENT = frozenset(
    {
        "transformers.distributed.mixin.DistributedMixin.init_parallel_plans",
        "transformers.utils.generic.ModelOutput.__post_init__",
        "transformers.configuration_utils.PreTrainedConfig.__post_init__",
    }
) | frozenset(
    _OF_MODELS + name
    for name in (
        "get_expanded_tied_weights_keys",
        "_check_and_adjust_attn_implementation",
        "_check_and_adjust_experts_implementation",
        "_backward_compatibility_gradient_checkpointing",
        "can_generate",
        "activation_checkpointing_enable",
        "gradient_checkpointing_enable",
        "warn_if_padding_and_no_attention_mask",
    )
)
"""What a model is not changed by."""

TRANSPARENT = frozenset(
    {
        "transformers.utils.auto_docstring.auto_docstring",
        "transformers.utils.generic.can_return_tuple",
        "transformers.utils.generic.accepts_precomputed_kwargs",
        "transformers.utils.generic.merge_with_config_defaults",
        "transformers.utils.output_capturing.capture_outputs",
        "transformers.utils.output_capturing.select_hidden_states",
        "transformers.backbone_utils.filter_output_hidden_states",
        "transformers.integrations.moe.use_experts_implementation",
        "transformers.integrations.accelerate.force_accelerate_hooks",
        "transformers.integrations.hub_kernels.use_kernel_func_from_hub_with_fallback",
        "transformers.pytorch_utils.compile_compatible_method_lru_cache",
        "transformers.modeling_rope_utils.dynamic_rope_update",
        "transformers.utils.deprecation.deprecate_kwarg",
        "transformers.utils.doc.replace_return_docstrings",
        "transformers.utils.doc.add_start_docstrings_to_model_forward",
    }
)
"""Decorators behind which a function computes what it does without them."""

DISPATCHING = frozenset(
    {
        "transformers.modeling_utils.AttentionInterface.get_interface",
        "transformers.integrations.moe.ExpertsInterface.get_interface",
    }
)
"""Methods that choose among implementations of one formula, of which the last argument is the plain one."""

INITIALISING = "transformers.modeling_utils.PreTrainedModel.init_weights"
"""Applies `_init_weights` to every module of a model that was not initialised as a model of its own."""

_DRAWING = "transformers.initialization"
"""A module that wraps the functions of torch.nn.init under their own names."""

_TABLE = "transformers.activations.ACT2FN"
_ACTIVATIONS = frozenset({_TABLE, "transformers.activations.ClassInstantier"})
_EXACT = {
    **{
        name: name
        for name in ("gelu", "relu", "relu6", "leaky_relu", "silu", "tanh", "sigmoid", "mish", "hardswish")
    },
    "gelu_python": "gelu",
    "swish": "silu",
}
_BY_TANH = frozenset({"gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh"})
"""What configurations call activations, and the functions of torch.nn.functional that they mean."""


MODULES = frozenset(
    {name.rpartition(".")[0] for name in TRANSPARENT}
    | {name.rsplit(".", 2)[0] for name in SILENT | DISPATCHING}
    | {_DRAWING}
)
"""Where all these functions stand: of those in other modules nothing is known."""


def result(closure: Closure, arguments: Arguments) -> Value | None:
    """What a call gives that need not be followed."""
    name = _full_name(closure)
    if name in SILENT:
        return Known(None)
    given = arguments.values()
    return given[-1] if name in DISPATCHING and given and not arguments.open else None


def initialises(closure: Closure) -> bool:
    """Whether a method initialises all modules of its object."""
    return _full_name(closure) == INITIALISING


def original(closure: Closure) -> Reference | None:
    """The function of torch that a function only wraps."""
    name = getattr(closure.function, "name", "")
    is_wrapper = closure.scope.name == _DRAWING and name.endswith("_") and closure.owner is None
    return Reference(f"torch.nn.init.{name}") if is_wrapper else None


def item(owner: Value, key: Value, node: ir.Expression) -> Value | None:
    """The activation that a table of them holds under a name; None where `owner` is no such table."""
    if not isinstance(key, Known) or not holds_activations(owner):
        return None
    if key.value in _BY_TANH:
        return Partial(Reference(_FUNCTIONS + "gelu"), (), {"approximate": Known("tanh")}, node)
    found = _EXACT.get(key.value)
    return Reference(_FUNCTIONS + found if found else f"{_TABLE}.{key.value}")


def holds_activations(owner: Value) -> bool:
    """Whether a value is the table of activations."""
    if isinstance(owner, Instance):
        return f"{owner.type.scope.name}.{owner.type.definition.name}" in _ACTIVATIONS
    return isinstance(owner, Reference) and owner.name in _ACTIVATIONS


def is_transparent(decorator: Closure) -> bool:
    """Whether a function computes the same without a decorator."""
    return decorator.scope.name in MODULES and _full_name(decorator) in TRANSPARENT


def _full_name(closure: Closure) -> str:
    """The dotted name of a function or a method."""
    owner = f"{closure.owner.definition.name}." if isinstance(closure.owner, ClassObject) else ""
    return f"{closure.scope.name}.{owner}{getattr(closure.function, 'name', '')}"
