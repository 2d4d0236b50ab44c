"""Forms of inputs, and which form a model's layers take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from . import patterns

_randn, _randint = torch.randn, torch.randint
"""Taken before a target can change torch."""
FLOAT, INT, BOOL, LIST, VALUE = "float", "int", "bool", "list", "value"


@dataclass(frozen=True)
class Form:
    """One input: random numbers of a shape, or a list of inputs, or a fixed value.

    `batch` is the axis that counts samples, -1 where none does; whole numbers lie between `low` and
    `high`, which is left out.
    `origin` says where the form is from.
    """

    kind: str
    shape: tuple[int, ...] = ()
    high: int = 2
    low: int = 0
    batch: int = 0
    items: tuple[Form, ...] = ()
    value: Any = None
    origin: str = "inferred"

    def sized(self, batch: int) -> Form:
        """The form for so many samples."""
        if self.kind == LIST:
            return replace(self, items=tuple([item.sized(batch) for item in self.items]))
        if self.batch < 0 or not self.shape:
            return self
        shape = list(self.shape)
        shape[self.batch] = batch
        return replace(self, shape=tuple(shape))

    def draw(self, dtype: torch.dtype) -> Any:
        """A value of this form; floating ones take part in the gradient."""
        if self.kind == FLOAT:
            return _randn(self.shape).to(dtype).requires_grad_()
        if self.kind == INT:
            return _randint(self.low, max(self.high, self.low + 1), self.shape)
        if self.kind == BOOL:
            return torch.ones(self.shape, dtype=torch.bool)
        if self.kind == LIST:
            return [item.draw(dtype) for item in self.items]
        return self.value

    def describe(self, dtype: str) -> str:
        """As it is written on the command line: float32[8, 3, 32, 32]."""
        if self.kind == LIST:
            return f"[{', '.join(item.describe(dtype) for item in self.items)}]"
        if self.kind == VALUE:
            return repr(self.value)[:60]
        name = {FLOAT: dtype, INT: f"int64<{self.high}", BOOL: "bool"}[self.kind]
        return f"{name}[{','.join(map(str, self.shape))}]"

    def with_dim(self, axis: int, size: int) -> Form:
        """The same with another size of one axis."""
        shape = list(self.shape)
        shape[axis] = size
        return replace(self, shape=tuple(shape))


@dataclass(frozen=True)
class Wanted:
    """What a layer takes: `size` at `axis`, one of some ranks; `high` where it takes whole numbers."""

    axis: int = -1
    size: int = 0
    ranks: tuple[int, ...] = ()
    high: int = 0


def wanted(module: nn.Module) -> Wanted | None:
    """What a layer of torch takes, as its attributes tell; None for others."""
    if isinstance(module, nn.Linear):
        return Wanted(-1, module.in_features)
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        return Wanted(high=module.num_embeddings)
    if isinstance(module, nn.modules.conv._ConvNd):
        return Wanted(1, module.in_channels, (len(module.kernel_size) + 2,))
    if isinstance(module, (nn.BatchNorm1d, nn.SyncBatchNorm)):
        return Wanted(1, module.num_features, (2, 3))
    if isinstance(module, nn.modules.batchnorm._NormBase):
        rank = next((r for r, k in ((3, "1d"), (4, "2d"), (5, "3d")) if type(module).__name__.endswith(k)), 4)
        return Wanted(1, module.num_features, (rank,))
    if isinstance(module, nn.LayerNorm):
        return Wanted(-1, int(module.normalized_shape[-1]))
    if isinstance(module, nn.GroupNorm):
        return Wanted(1, module.num_channels)
    if isinstance(module, nn.RNNBase):
        return Wanted(-1, module.input_size, (3, 2))
    if isinstance(module, nn.RNNCellBase):
        return Wanted(-1, module.input_size, (2, 1))
    if isinstance(module, nn.MultiheadAttention):
        return Wanted(-1, module.embed_dim, (3, 2))
    if isinstance(module, nn.Bilinear):
        return Wanted(-1, module.in1_features)
    return None


SIDES = (32, 16, 64, 28, 224)
LENGTH = 16


def likely(model: nn.Module, batch: int, steps: int = 0, side: int = SIDES[0]) -> Iterator[Form]:
    """Forms of the first input, by the layers in the order of their construction."""
    found = list(_of_pattern(model, batch, side))
    layers = [each for each in map(wanted, model.modules()) if each is not None and (each.size or each.high)]
    for layer in layers[:3]:
        found += _forms(layer, batch, steps or LENGTH, side)
    yield from dict.fromkeys(found)


def _of_pattern(model: nn.Module, batch: int, side: int) -> Iterator[Form]:
    """The form that the pattern of a first layer takes, for the layer behind it."""
    modules = [each for each in model.modules() if next(each.children(), None) is None]
    known = patterns.of_layer(modules[0]) if modules else None
    if known is not None:
        behind = next((each.size for each in map(wanted, modules[1:]) if each is not None), 0)
        shape = patterns.shape(*known, batch, behind, side)
        yield from [Form(FLOAT, shape)] if shape is not None else []


def _forms(layer: Wanted, batch: int, steps: int, side: int) -> list[Form]:
    if layer.high:
        return [Form(INT, (batch, steps), layer.high), Form(INT, (batch,), layer.high)]
    if layer.axis == 1 and layer.ranks and layer.ranks[0] > 2:
        sides = {3: 2 * side, 4: side, 5: side // 2}[layer.ranks[0]]
        return [Form(FLOAT, (batch, layer.size, *(sides,) * (layer.ranks[0] - 2)))]
    flat, long = Form(FLOAT, (batch, layer.size)), Form(FLOAT, (batch, steps, layer.size))
    if layer.axis == 1:
        return [flat, Form(FLOAT, (batch, layer.size, side, side))]
    return [long, flat] if layer.ranks[:1] == (3,) else [flat, long]
