"""How an input may be changed, by the error that it led to."""

from __future__ import annotations

import ast
import contextlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from . import patterns
from .blame import lines
from .forms import BOOL, FLOAT, INT, LIST, SIDES, VALUE, Form, Wanted, wanted
from .lengths import stated_sizes
from .messages import WANTS_FLOATS, WANTS_NUMBER, WANTS_TENSORS, WANTS_TRUTH, WANTS_WHOLE_NUMBERS

Forms = Mapping[str, Form]
_MOST = 14
_LARGEST = 2**24
"""So many elements of an input."""


@dataclass
class Misfit:
    """An error, the inputs that led to it, and the modules that were running, outermost first.

    `given` are the inputs by the names of their forms, `whole` by those that forward has for them.
    """

    error: BaseException
    given: Mapping[str, Any]
    stack: list[tuple[nn.Module, Any]]
    whole: Mapping[str, Any]


def adapted(misfit: Misfit, forms: Forms) -> list[tuple[str, Form]]:
    """Changes of one input each, the likeliest first."""
    found: dict[tuple[str, str], tuple[str, Form]] = {}
    for name, form in _changes(misfit, forms):
        if form != forms[name] and all(0 < size <= 4096 for size in form.shape) and _is_small(form):
            found.setdefault((name, repr(form)), (name, form))
    return list(found.values())[:_MOST]


def _is_small(form: Form) -> bool:
    return math.prod(form.shape) <= _LARGEST


def _changes(misfit: Misfit, forms: Forms) -> Iterator[tuple[str, Form]]:
    yield from _for_layer(misfit, forms)
    text = str(misfit.error)
    yield from _larger(text, forms)
    yield from _for_pattern(text, misfit, forms)
    yield from _for_sizes(misfit, forms)
    for name in _blamed(misfit, forms):
        yield from ((name, form) for form in _by_message(text, forms[name], misfit.error))
    yield from _for_shapes(text, forms)


def _larger(text: str, forms: Forms) -> Iterator[tuple[str, Form]]:
    """Images twice as large, where nothing is left of them."""
    for name, form in forms.items() if _TOO_SMALL.search(text) else ():
        if form.kind == FLOAT and len(form.shape) > 2:
            yield name, replace(form, shape=(*form.shape[:2], *[2 * side for side in form.shape[2:]]))


_TOO_SMALL = re.compile(r"Kernel size can't be greater|[Oo]utput size is too small|smaller than kernel size")


def _blamed(misfit: Misfit, forms: Forms) -> list[str]:
    """The inputs that are on the lines of the error, the innermost line first; then the others."""
    found: list[str] = []
    for line in lines(misfit.error):
        for name in line.names:
            value = line.frame.f_locals.get(name)
            found += [n for n, given in misfit.given.items() if given is value and value is not None]
    return list(dict.fromkeys([*found, *forms]))


# Layers of torch say what they take


def _for_layer(misfit: Misfit, forms: Forms) -> Iterator[tuple[str, Form]]:
    if not misfit.stack:
        return
    module, inputs = misfit.stack[-1]
    layer = wanted(module)
    x = inputs[0] if inputs else None
    if layer is None or not isinstance(x, torch.Tensor):
        return
    own = [n for n, v in misfit.given.items() if v is x]
    alike = [n for n, v in misfit.given.items() if isinstance(v, torch.Tensor) and v.shape == x.shape]
    for name in dict.fromkeys([*own, *alike]):
        yield from ((name, form) for form in _as_wanted(forms[name], layer))
    if not own and x.dim() and layer.size:
        yield from _derived(x, layer, forms)


def _for_pattern(text: str, misfit: Misfit, forms: Forms) -> Iterator[tuple[str, Form]]:
    """Inputs of the shape that a pattern of einops takes: the layer's that is running, or the error's."""
    known = patterns.stated(text) or (patterns.of_layer(misfit.stack[-1][0]) if misfit.stack else None)
    for name in _blamed(misfit, forms) if known is not None else ():
        form = forms[name]
        if known is not None and form.kind == FLOAT and form.shape:
            for width, side in ((form.shape[-1], SIDES[0]), (0, SIDES[0]), (0, SIDES[2])):
                shape = patterns.shape(*known, form.shape[0], width, side)
                yield from [(name, replace(form, shape=shape))] if shape is not None else []


def _as_wanted(form: Form, layer: Wanted) -> Iterator[Form]:
    """The form, changed so that a layer takes it."""
    if layer.high:
        yield replace(form, kind=INT, high=layer.high, shape=form.shape[:2] or (2, 16))
        return
    form = replace(form, kind=FLOAT)
    shape = form.shape
    if layer.ranks and len(shape) not in layer.ranks:
        shape = _of_rank(shape, layer.ranks[0])
    if not layer.ranks and len(shape) == 4:
        yield Form(FLOAT, (shape[0], layer.size))
        yield Form(FLOAT, (shape[0], 16, layer.size))
    if len(shape) > 1:
        yield replace(form, shape=shape).with_dim(layer.axis, layer.size)


def _of_rank(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """A shape of another rank: space is added or taken off behind."""
    if len(shape) >= rank:
        return shape[:rank]
    side = shape[-1] if len(shape) > 2 else 32 if rank > 3 else 16
    return (*shape, *(side,) * (rank - len(shape)))


def _derived(x: torch.Tensor, layer: Wanted, forms: Forms) -> Iterator[tuple[str, Form]]:
    """What is computed of an input does not fit: some size is to be changed in proportion."""
    if abs(layer.axis) > x.dim():
        return
    got = int(x.shape[layer.axis])
    if layer.axis == 1:
        yield from _of_channels(forms, layer.size, got)
    for name, form in forms.items():
        if form.kind not in (FLOAT, INT):
            continue
        yield from ((name, each) for each in _scaled(form, layer.size, got))


def _of_channels(forms: Forms, size: int, got: int) -> Iterator[tuple[str, Form]]:
    """Other channels where those that are put together are too few or too many; one for all but the first."""
    for count, (name, form) in enumerate(forms.items()):
        if form.kind == FLOAT and len(form.shape) > 2:
            channels = form.shape[1]
            fitting = channels * size // got if channels * size % got == 0 else 0
            wanted = (channels + size - got, fitting, 1 if count else 0)
            yield from ((name, form.with_dim(1, each)) for each in wanted if each > 0)


def _scaled(form: Form, size: int, got: int) -> Iterator[Form]:
    rank = len(form.shape)
    if rank > 3 and form.kind == FLOAT:
        side = form.shape[-1] * (size / got) ** (1 / (rank - 2))
        for each in dict.fromkeys((round(side), int(side), int(side) + 1)):
            yield replace(form, shape=(*form.shape[:2], *(max(each, 1),) * (rank - 2)))
    for axis in range(rank - 1, 0, -1):
        dim = form.shape[axis]
        if dim * size % got == 0 and dim * size // got:
            yield form.with_dim(axis, dim * size // got)
        if dim + size - got > 0:
            yield form.with_dim(axis, dim + size - got)


# Messages


_EXPECTED_RANK = (
    r"[Ee]xpected (\d)D",
    r"expected (\d)D",
    r"(\d)-?[dD] (?:input|tensor)",
    r"not enough values to unpack \(expected (\d)",
    r"too many values to unpack \(expected (\d)",
    r"expected (\d) dims",
    r"must be (\d)-?D",
    r"(?:got|has) \d+D? .*expected (\d)",
    r"number of dims don't match in permute|permute\(sparse_coo\): number of dimensions.*",
    r"input\.dim\(\) = (\d)",
)


def _by_message(text: str, form: Form, error: BaseException) -> Iterator[Form]:
    if form.kind in (FLOAT, INT, BOOL):
        yield from _of_other_kind(text, form, error)
        yield from _of_other_rank(text, form)
    yield from _no_tensor(text, form, error)


def _of_other_kind(text: str, form: Form, error: BaseException) -> Iterator[Form]:
    if WANTS_WHOLE_NUMBERS.search(text) and form.kind == FLOAT:
        yield replace(form, kind=INT, high=2)
        yield replace(form, kind=INT, high=2, shape=form.shape[:2])
        yield replace(form, kind=INT, high=2, shape=form.shape[:1])
    if isinstance(error, IndexError) and form.kind == INT and form.high > 2:
        yield replace(form, high=2)
    if WANTS_FLOATS.search(text) and form.kind in (INT, BOOL):
        yield replace(form, kind=FLOAT)
    if WANTS_TRUTH.search(text) and form.kind == FLOAT:
        yield replace(form, kind=BOOL)


def _of_other_rank(text: str, form: Form) -> Iterator[Form]:
    rank = len(form.shape)
    for pattern in _EXPECTED_RANK:
        found = re.search(pattern, text)
        if found and found.groups() and int(found[1]) != rank and 0 < int(found[1]) < 6:
            yield from (replace(form, shape=shape) for shape in _reranked(form.shape, int(found[1])))
    yield from _of_stated_shape(text, form)
    found = re.search(r"input\.dim\(\) = (\d+) is not equal to len\(dims\) = (\d+)", text)
    if found:
        yield from (replace(form, shape=shape) for shape in _reranked(form.shape, int(found[2])))
    if re.search(r"Dimension out of range|too many indices|index out of range|out of range", text):
        yield from (replace(form, shape=shape) for shape in _reranked(form.shape, rank + 1))
    if rank > 2 and re.search(r"unpack|dims|dimension|size|shape", text):
        yield replace(form, shape=(form.shape[0], form.shape[1]))
        yield replace(form, shape=(form.shape[0], form.shape[-1], form.shape[1]))


def _of_stated_shape(text: str, form: Form) -> Iterator[Form]:
    """A shape that the code states, for what it is given does not fit; or more samples."""
    found = re.search(r"shape '\[([-\d, ]+)\]' is invalid for input of size", text)
    if found:
        stated = [int(word) for word in found[1].split(",")]
        yield replace(form, shape=tuple([size if size > 0 else 2 for size in stated]))
        for axis in (1, 0, *range(2, len(form.shape))):
            if axis < len(form.shape):
                yield from (form.with_dim(axis, size) for size in stated if size > 1)
    if "out of bounds for dimension 0" in text and form.shape:
        yield form.with_dim(0, 8)


def _reranked(shape: tuple[int, ...], rank: int) -> Iterator[tuple[int, ...]]:
    if len(shape) > rank:
        yield shape[:rank]
        yield (*shape[: rank - 1], shape[-1])
    elif shape:
        middle = 16 if rank < 4 else 8
        yield (shape[0], *(middle,) * (rank - len(shape)), *shape[1:])
        yield (*shape, *(shape[-1],) * (rank - len(shape)))
        if rank - len(shape) == 2 and len(shape) == 2:
            yield (*shape, 32, 32)


def _no_tensor(text: str, form: Form, error: BaseException) -> Iterator[Form]:
    if form.kind == VALUE:
        yield Form(FLOAT, (2, 16, 16, 16))
        yield Form(FLOAT, (2, 16))
        return
    if form.kind == LIST:
        if isinstance(error, IndexError) or "not enough values" in text:
            count = _count(text) or len(form.items) + 1
            if count < 9:
                yield replace(form, items=(form.items[0],) * count)
        if "too many values" in text and _count(text):
            yield replace(form, items=form.items[: _count(text)])
        yield form.items[0]
        return
    if WANTS_TENSORS.search(text) or isinstance(error, AssertionError):
        for count in dict.fromkeys((_count(text) or 2, 2, 4)):
            if count < 9:
                yield Form(LIST, items=(form,) * count)
    if re.search(r"not callable", text):
        yield Form(VALUE, value=torch.nn.Identity())
    if WANTS_NUMBER.search(text):
        for value in (2, 16, 1, 4, 0.5):
            yield Form(VALUE, value=value)
    if isinstance(error, (AttributeError, TypeError)):
        yield Form(VALUE, value=None)


def _count(text: str) -> int:
    found = re.search(r"expected (?:at least )?(\d+)", text)
    return int(found[1]) if found else 0


def _for_sizes(misfit: Misfit, forms: Forms) -> Iterator[tuple[str, Form]]:
    """Two sizes that should be equal: an input of one of them gets the other one."""
    for a, b in (*stated_sizes(str(misfit.error)), *_compared(misfit.error)):
        for got, size in ((a, b), (b, a)):
            for name in reversed(list(forms)):
                form = forms[name]
                space = form.shape[2:]
                if len(space) > 1 and {*space} == {got}:
                    yield name, replace(form, shape=(*form.shape[:2], *[size] * len(space)))
                for axis in range(len(form.shape) - 1, 0, -1):
                    if form.shape[axis] == got:
                        yield name, form.with_dim(axis, size)
        for name, form in forms.items():
            if form.kind == FLOAT and a and b:
                yield from ((name, each) for each in _scaled(form, b, a))


def _compared(error: BaseException) -> Iterator[tuple[int, int]]:
    """The sizes that the code itself compares on the line where it raises an error."""
    for line in lines(error)[:1]:
        for node in ast.walk(line.tree) if line.tree is not None else ():
            if isinstance(node, ast.Compare) and len(node.comparators) == 1:
                with contextlib.suppress(Exception):
                    a, b = line.value(node.left), line.value(node.comparators[0])
                    if type(a) is int and type(b) is int and a != b and a > 0 and b > 0:
                        yield a, b


def _for_shapes(text: str, forms: Forms) -> Iterator[tuple[str, Form]]:
    """Images of other sizes, where the error is about shapes."""
    if re.search(r"shape|size|view", text):
        for name, form in forms.items():
            if len(form.shape) > 3:
                for side in (32, 16, 64, 28, 224, 8, 4):
                    yield name, replace(form, shape=(*form.shape[:2], *(side,) * (len(form.shape) - 2)))
