"""Decompositions of matrices: operations with several outputs, each a primitive of its own."""

from __future__ import annotations

from gradlint.semantics.ops.table import transfer
from gradlint.semantics.tensor import Application, Facts, Witness

_OUTPUTS = {
    "linalg.eigh": ("eigenvalues", "eigenvectors"),
    "linalg.eig": ("eigenvalues", "eigenvectors"),
    "linalg.svd": ("S", "U", "V"),
    "svd_lowrank": ("S", "U", "V"),
    "pca_lowrank": ("S", "U", "V"),
    "lobpcg": ("eigenvalues", "eigenvectors"),
}
_POSITIONS = {2: ("eigenvalues", "eigenvectors"), 3: ("U", "S", "V")}
_SPELLINGS = {"Vh": "V", "L": "eigenvalues", "Q": "eigenvectors"}

VECTORS = tuple(f"{name}.{output}" for name, outputs in _OUTPUTS.items() for output in outputs[1:])
"""The outputs that are eigenvectors or singular vectors."""


def output_of(primitive: str, key: object) -> str | None:
    """The primitive of the output that an index or an attribute takes from a decomposition."""
    outputs = _OUTPUTS.get(primitive)
    if outputs is None:
        return None
    if isinstance(key, int):
        order = _POSITIONS[len(outputs)]
        return f"{primitive}.{order[key]}" if -len(order) <= key < len(order) else None
    name = _SPELLINGS.get(str(key), str(key))
    return f"{primitive}.{name}" if name in outputs else None


@transfer(*_OUTPUTS, *VECTORS, "linalg.eigh.eigenvalues", "linalg.eig.eigenvalues", "lobpcg.eigenvalues")
def decomposed(a: Application) -> Facts:
    """Factors of which nothing is known: they may be anything."""
    return Facts()


@transfer("linalg.svd.S", "svd_lowrank.S", "pca_lowrank.S")
def singular_values(a: Application) -> Facts:
    """Singular values are the square roots of eigenvalues that cannot be negative."""
    return Facts(0.0, zero=Witness("a singular value", "zeros"))
