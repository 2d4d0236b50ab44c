"""What the bases of a class say about it."""

from __future__ import annotations

from gradlint.semantics.value import ClassObject, Reference

MODULE_BASES = frozenset(
    {
        "torch.nn.Module",
        "torch.nn.modules.Module",
        "torch.nn.modules.module.Module",
        "pytorch_lightning.LightningModule",
        "lightning.LightningModule",
        "lightning.pytorch.LightningModule",
        "torch_geometric.nn.MessagePassing",
        "transformers.PreTrainedModel",
    }
)


def is_module(cls: ClassObject) -> bool:
    """Whether objects of `cls` are torch modules."""
    return any(
        isinstance(base, Reference) and (base.name in MODULE_BASES or _is_nn_class(base.name))
        for base in cls.lineage()
    )


def _is_nn_class(name: str) -> bool:
    return name.startswith("torch.nn.") and name.rpartition(".")[2][:1].isupper()
