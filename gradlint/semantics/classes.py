"""What the bases of a class say about it."""

from __future__ import annotations

from gradlint.records import ir
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import ClassObject, Reference, Value

MESSAGE_PASSING = frozenset(
    f"torch_geometric.nn.{where}MessagePassing" for where in ("", "conv.", "conv.message_passing.")
)
"""The base of the layers of torch_geometric, however it is imported."""

MODULE_BASES = MESSAGE_PASSING | frozenset(
    {
        "torch.nn.Module",
        "torch.nn.modules.Module",
        "torch.nn.modules.module.Module",
        "pytorch_lightning.LightningModule",
        "lightning.LightningModule",
        "lightning.pytorch.LightningModule",
        "transformers.PreTrainedModel",
    }
)


_TENSORS = ("Parameter", "Buffer")
"""How the names of classes of torch.nn end whose objects are tensors."""


def is_module(cls: ClassObject) -> bool:
    """Whether objects of `cls` are torch modules."""
    return any(
        isinstance(base, Reference) and (base.name in MODULE_BASES or _is_nn_class(base.name))
        for base in cls.lineage()
    )


def _is_nn_class(name: str) -> bool:
    last = name.rpartition(".")[2]
    return name.startswith("torch.nn.") and last[:1].isupper() and not last.endswith(_TENSORS)


_NOT_DIFFERENTIATED = frozenset(
    {
        ("torch", "Function"),
        ("torch", "Dataset"),
        ("torch", "IterableDataset"),
        ("torch", "Sampler"),
        ("torch", "Optimizer"),
        ("torch", "LRScheduler"),
        ("torchvision", "Transform"),
        ("transformers", "FeatureExtractionMixin"),
        ("transformers", "SequenceFeatureExtractor"),
        ("transformers", "ImageProcessingMixin"),
        ("transformers", "BaseImageProcessor"),
        ("transformers", "ProcessorMixin"),
        ("transformers", "LogitsProcessor"),
        ("torch_geometric", "BaseTransform"),
        ("torchmetrics", "Metric"),
        ("PIL", "ImageDraw"),
    }
)
"""Classes that prepare data, update parameters, measure, or bring a backward pass of their own."""


def is_differentiated(cls: ClassObject) -> bool:
    """Whether autograd may record what the methods of `cls` do."""
    return not any(_package_and_name(base) in _NOT_DIFFERENTIATED for base in cls.lineage())


def is_optimizer(cls: ClassObject) -> bool:
    """Whether objects of `cls` are torch optimizers."""
    return any(_package_and_name(base) == ("torch", "Optimizer") for base in cls.lineage())


def may_define_optimizer(scope: ModuleScope) -> bool:
    """Whether a module imports the base of optimizers, or derives from it by its full name."""
    return any(
        _names_optimizer(statement) for statements in scope.bindings.values() for statement in statements
    )


def _names_optimizer(statement: ir.Statement | ir.Binding) -> bool:
    if isinstance(statement, ir.Binding):
        return statement.member == "Optimizer" and "torch" in statement.module
    bases = statement.bases if isinstance(statement, ir.Class) else ()
    return any(isinstance(base, ir.Attribute) and base.name == "Optimizer" for base in bases)


def _package_and_name(base: Value) -> tuple[str, str]:
    if isinstance(base, ClassObject):
        return base.scope.name.partition(".")[0], base.definition.name
    name = base.name if isinstance(base, Reference) else ""
    return name.partition(".")[0], name.rpartition(".")[2]
