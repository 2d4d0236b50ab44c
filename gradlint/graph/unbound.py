"""What names mean that nothing in a file binds: it is a part of one, or something else binds them there."""

from __future__ import annotations

from collections.abc import Sequence

from gradlint.graph.construct import CONTAINERS
from gradlint.graph.layers import LAYERS
from gradlint.graph.values import Anything
from gradlint.records import ir
from gradlint.semantics.interpretation import Arguments, Site
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import Items, Known, Record, Reference, Value

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
    "ConvModule": "mmcv.cnn.ConvModule",
    "build_conv_layer": "mmcv.cnn.build_conv_layer",
    "build_norm_layer": "mmcv.cnn.build_norm_layer",
    "build_activation_layer": "mmcv.cnn.build_activation_layer",
    "Parameter": "torch.nn.Parameter",
    "Module": "torch.nn.Module",
    "Variable": "torch.autograd.Variable",
    "partial": "functools.partial",
    "OrderedDict": "collections.OrderedDict",
}
"""Names that may mean something else where a module binds all names of another one."""


class Unbound(Anything, frozen=True, eq=False):
    """What a name means that nothing in the project binds."""

    name: str = ""


class RecordClass(Anything, frozen=True, eq=False):
    """What `namedtuple` makes."""

    fields: tuple[str, ...] = ()


def record_class(fields: Value | None) -> RecordClass | None:
    """The class of tuples with these fields, a list or a text with their names."""
    if isinstance(fields, Known) and isinstance(fields.value, str):
        return RecordClass("", tuple(fields.value.replace(",", " ").split()))
    if not isinstance(fields, Items) or fields.open:
        return None
    names = [name.value for name in fields.items if isinstance(name, Known) and isinstance(name.value, str)]
    return RecordClass("", tuple(names)) if len(names) == len(fields.items) else None


def is_class_name(name: str) -> bool:
    """Whether what is called so, as far as anybody writes it that way, is a class."""
    return name[:1].isupper() and not name.isupper()


def meaning(name: str, scope: ModuleScope) -> Reference | None:
    """What an unbound name stands for, None where that cannot be said."""
    known = _ANYWHERE.get(name)
    if known is None and not scope.stars:
        is_layer = name in LAYERS or name in CONTAINERS
        known = _ALONE.get(name) or (f"torch.nn.{name}" if is_layer else None)
    return Reference(known) if known is not None else None


def record(arguments: Arguments, site: Site, fields: Sequence[str] = ()) -> Record:
    """An object that does nothing but hold what it was made of."""
    named = [*fields[: len(arguments.positional)], *[""] * (len(arguments.positional) - len(fields))]
    names = {name: at for at, name in enumerate([*named, *arguments.keywords])}
    return Record("tuple", arguments.values(), ir.Display(site.node.span, "tuple", ()), arguments.open, names)
