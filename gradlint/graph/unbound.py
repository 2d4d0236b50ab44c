"""What names mean that nothing in a file binds: it is a part of one, or something else binds them there."""

from __future__ import annotations

from gradlint.graph.construct import CONTAINERS
from gradlint.graph.layers import LAYERS
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import Reference

_ANYWHERE = {
    "torch": "torch",
    "nn": "torch.nn",
    "F": "torch.nn.functional",
    "np": "numpy",
    "math": "math",
    "einops": "einops",
    "rearrange": "einops.rearrange",
    "Rearrange": "einops.layers.torch.Rearrange",
}
"""Names that mean the same wherever models are written."""

_ALONE = {
    "repeat": "einops.repeat",
    "DropPath": "timm.layers.DropPath",
    "drop_path": "timm.layers.drop_path",
    "trunc_normal_": "timm.layers.trunc_normal_",
    "ACT2FN": "transformers.activations.ACT2FN",
    "get_activation": "transformers.activations.get_activation",
    "apply_chunking_to_forward": "transformers.pytorch_utils.apply_chunking_to_forward",
    "BertLayerNorm": "transformers.modeling_bert.BertLayerNorm",
    "Parameter": "torch.nn.Parameter",
    "Module": "torch.nn.Module",
    "Variable": "torch.autograd.Variable",
    "partial": "functools.partial",
    "OrderedDict": "collections.OrderedDict",
}
"""Names that may mean something else where a module binds all names of another one."""


def meaning(name: str, scope: ModuleScope) -> Reference | None:
    """What an unbound name stands for, None where that cannot be said."""
    known = _ANYWHERE.get(name)
    if known is None and not scope.stars:
        is_layer = name in LAYERS or name in CONTAINERS
        known = _ALONE.get(name) or (f"torch.nn.{name}" if is_layer else None)
    return Reference(known) if known is not None else None
