"""Targets that are constructed and called as documentation does it, where guessing ends in an error."""

from __future__ import annotations

import inspect
import itertools
import types
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import nn

from .attempts import Maker
from .construct import anew, evaluated, resolve, sizes_guessed
from .fit import Fitted, arranged
from .forms import BOOL, FLOAT, INT, LIST, VALUE, Form
from .protocol import Argument
from .recipes import Recipe
from .signatures import signature_of
from .usage import Usage, usages

_MOST = 3
"""So many uses of a target are tried."""
_DIVISORS = (8, 1)
"""What large sizes are divided by, one after the other."""


def recipes(module: types.ModuleType, name: str, arguments: Sequence[Argument]) -> Iterator[Recipe]:
    """How documentation constructs a target, with the arguments that were given in place of its own."""
    target = resolve(module, name)
    if not callable(target):
        return
    for divisor in _DIVISORS:
        for usage in itertools.islice(usages(module, target, divisor), _MOST):
            with suppress(Exception, SystemExit):
                made = _recipe(module, target, usage, arguments)
                made.notes += [f"large sizes of the {usage.origin} divided by {divisor}"] * (divisor > 1)
                yield made


def _recipe(module: types.ModuleType, target: Any, usage: Usage, arguments: Sequence[Argument]) -> Recipe:
    given, origins, notes = evaluated(module, arguments)
    signature = signature_of(target)
    shown = usage.arguments(signature)
    origins = {**dict.fromkeys(shown, usage.origin), **origins}
    maker = _Documented(Maker(target, signature, given, anew=anew(module, arguments)), usage)
    return Recipe(maker, {**shown, **given}, {}, origins, [*notes, *sizes_guessed(module)], usage=usage)


class _Documented:
    """Constructs a target anew, with all that documentation constructs for it."""

    def __init__(self, maker: Maker, usage: Usage) -> None:
        self._maker, self._usage = maker, usage

    def __call__(self) -> Any:
        given = {name: self._maker.fresh(name) for name in self._maker.given}
        return self._maker.call({**self._usage.arguments(self._maker.signature), **given})


def fitted(model: nn.Module, usage: Usage, dtype: torch.dtype) -> Fitted | None:
    """The inputs that documentation calls a model with; None where it shows none, or they do not fit."""
    found: Fitted | None = None
    with suppress(Exception, SystemExit):
        shown = usage.inputs()
        if shown is not None:
            found = _as_fitted(model, *shown, usage.origin)
            positional, named = arranged(
                {name: form.draw(dtype) for name, form in found.forms.items()}, found.keywords, found.stars
            )
            with torch.no_grad():
                model(*positional, **named)
            return found
    return None


def _as_fitted(model: nn.Module, positional: list[Any], named: dict[str, Any], origin: str) -> Fitted:
    parameters = inspect.signature(model.forward).parameters
    plain = [n for n, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    star = [n for n, p in parameters.items() if p.kind is p.VAR_POSITIONAL]
    forms = {name: form_of(value, origin) for name, value in zip(plain, positional)}
    rest = positional[len(plain) :]
    if rest and star:
        forms[star[0]] = form_of(rest, origin)
    forms.update({name: form_of(value, origin) for name, value in named.items()})
    return Fitted(forms, frozenset(named), frozenset(star))


def form_of(value: Any, origin: str) -> Form:
    """The form that a value has."""
    if isinstance(value, (list, tuple)) and value and all(isinstance(v, torch.Tensor) for v in value):
        return Form(LIST, items=tuple([form_of(each, origin) for each in value]), origin=origin)
    if not isinstance(value, torch.Tensor) or value.is_complex():
        return Form(VALUE, value=value, origin=origin)
    shape = tuple(value.shape)
    if value.dtype is torch.bool:
        return Form(BOOL, shape, origin=origin)
    if value.is_floating_point():
        return Form(FLOAT, shape, origin=origin)
    high = int(value.max()) + 1 if value.numel() else 2
    return Form(INT, shape, high, low=min(int(value.min()), 0) if value.numel() else 0, origin=origin)
