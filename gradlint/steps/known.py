"""What is known of optimizers by their class."""

from __future__ import annotations

_ADAPTIVE = frozenset(
    {
        *("Adam", "AdamW", "Adamax", "NAdam", "RAdam", "Adagrad", "Adadelta", "RMSprop", "SparseAdam"),
        *("FusedAdam", "Adam8bit", "AdamW8bit", "PagedAdamW", "PagedAdamW8bit"),
    }
)
_PLAIN = frozenset({"SGD", "ASGD", "FusedSGD"})
_MAKERS = ("torch.optim.", "transformers.", "apex.optimizers.", "bitsandbytes.optim.", "torch_optimizer.")


def is_adaptive(type: str) -> bool:
    """Whether an optimizer divides each step by a running size of the gradient (Adam and its kin)."""
    return type.startswith(_MAKERS) and type.rpartition(".")[2] in _ADAPTIVE


def is_descent(type: str) -> bool:
    """Whether an optimizer's steps are as long as the gradient, with momentum or without."""
    return type.startswith(_MAKERS) and type.rpartition(".")[2] in _PLAIN
