"""What is known of the result of every tensor operation, one entry each."""

from __future__ import annotations

from gradlint.semantics.ops import decomposition, elementwise, reduction, structure
from gradlint.semantics.ops.table import NON_DIFFERENTIABLE, TRANSFER, canonical, module_primitive

__all__ = [
    "NON_DIFFERENTIABLE",
    "TRANSFER",
    "canonical",
    "decomposition",
    "elementwise",
    "module_primitive",
    "reduction",
    "structure",
]
