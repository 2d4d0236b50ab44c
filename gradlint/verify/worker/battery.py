"""The inputs under which a gradient is looked at: one entry per condition that a claim can name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch

Fill = Callable[[tuple[int, ...]], torch.Tensor]


def _equal_rows(shape: tuple[int, ...]) -> torch.Tensor:
    row = torch.randn(shape[-1], generator=torch.Generator().manual_seed(7))
    return row.expand(shape).clone()


def _one_hot(shape: tuple[int, ...]) -> torch.Tensor:
    hot = torch.zeros(shape)
    hot[..., 0] = 200.0
    return hot


def _constant(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.ones(shape)


def _half_masked(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.arange(_size(shape)).reshape(shape) % 2 == 0


def _size(shape: Iterable[int]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _bool(value: bool) -> Fill:
    return lambda shape: torch.full(shape, value)


def _large(shape: tuple[int, ...]) -> torch.Tensor:
    return 1e3 * torch.randn(shape)


BATTERY: dict[str, tuple[tuple[Fill, Fill], ...]] = {
    "randn": ((torch.randn, _half_masked),),
    "zeros": ((torch.zeros, _half_masked),),
    "equal rows": ((_equal_rows, _half_masked), (_constant, _half_masked)),
    "large inputs": ((_large, _half_masked),),
    "one-hot logits": ((_one_hot, _half_masked),),
    "all masked": ((torch.randn, _bool(True)), (torch.randn, _bool(False))),
}
"""Condition to its variants: how to fill a tensor of numbers, and one of truth values.

Every input of a function is filled in the same way, so that under "equal rows" two of them are equal.
"""

FLOAT_SHAPES: tuple[tuple[int, ...], ...] = (
    *((n, n) for n in (4, 3, 8, 16, 32, 64, 10)),
    *((2, n, n) for n in (4, 3, 8, 16, 32, 64)),
    (2, 3, 8, 8),
    (2, 2, 4, 4),
    (8,),
)


def mask_shapes(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Shapes that a mask or a tensor of indices beside numbers of `shape` may have."""
    yield shape
    for length in range(len(shape) - 1, 0, -1):
        yield shape[:length]
