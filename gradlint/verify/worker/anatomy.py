"""What is told of a model after its runs: its modules by path, and how large it is.

The model itself is not kept: a large one takes the memory that its next copy needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from .protocol import Layer
from .subject import Subject


@dataclass(frozen=True)
class Anatomy:
    """The classes of a model's modules by path, the paths of those without modules, numbers of elements."""

    kinds: dict[str, str]
    leaves: frozenset[str]
    parameters: int
    trained: int


def anatomy(model: nn.Module) -> Anatomy:
    """The anatomy of a model."""
    modules = dict(model.named_modules())
    leaves = [path for path, module in modules.items() if next(module.children(), None) is None]
    held = [p for p in model.parameters() if not nn.parameter.is_lazy(p)]
    trained = [p.numel() for p in held if p.requires_grad]
    kinds = {path: type(module).__name__ for path, module in modules.items()}
    return Anatomy(kinds, frozenset(leaves), sum(p.numel() for p in held), sum(trained))


def layers(subject: Subject, known: Anatomy) -> list[Layer]:
    """Every call of a module without modules of its own, in the order of the run."""
    return [
        Layer(path, known.kinds[path], _decades(call.rms), _decades(call.delta), elements=call.count)
        for path, call in subject.run().order
        if path in known.leaves
    ]


def _decades(size: float) -> float | None:
    return math.log10(size) if size and math.isfinite(size) else None
