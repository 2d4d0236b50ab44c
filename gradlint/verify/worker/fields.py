"""Inputs that hold several others by name: a dict of tensors, or an object with tensors as attributes.

Among the forms of inputs, `batch.image` is the field `image` of the input `batch`.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from .blame import Line, function_of, lines
from .forms import Form
from .lengths import ENTRY

Forms = Mapping[str, Form]
_LISTING = ("items", "keys", "values")


class Fields(dict):  # type: ignore[type-arg]
    """Values by key or attribute; `missed` are the names that were asked for in vain."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.__dict__["missed"] = []

    def __missing__(self, name: Any) -> Any:
        self.missed.append(name)
        raise KeyError(name)

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        if not name.startswith("__"):
            self.missed.append(name)
        raise AttributeError(name)

    __setattr__ = dict.__setitem__


def gathered(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of inputs by name, fields of one input together."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        head, _, field = name.partition(".")
        if field:
            found.setdefault(head, Fields())[field] = value
        else:
            found[name] = value
    return found


def with_fields(
    error: BaseException,
    given: Mapping[str, Any],
    forms: Forms,
    names: Sequence[str],
    form_of: Callable[[str], Form],
) -> Iterator[Forms]:
    """The forms with the fields that an error tells of; `names` are those where it tells of no name.

    `given` are the values by the names of the inputs, `form_of` says what form a field of a name has.
    """
    for name, value in given.items():
        asked = value.missed if isinstance(value, Fields) else _asked(lines(error), value, names)
        asked = [each for each in asked if isinstance(each, str) and each.isidentifier()]
        new = {f"{name}.{each}": form_of(each) for each in asked}
        if new and not new.keys() <= forms.keys():
            yield {n: f for each in forms for n, f in _replaced(each, forms[each], name, new, forms)}


def _replaced(each: str, form: Form, name: str, new: Forms, forms: Forms) -> Iterator[tuple[str, Form]]:
    """What stands in the place of one of the forms where an input gets new fields."""
    if each != name:
        yield each, form
    last = [known for known in forms if known == name or known.startswith(f"{name}.")][-1]
    if each == last:
        yield from new.items()


def _asked(passed: Sequence[Line], value: Any, names: Sequence[str]) -> list[str]:
    """The names that functions ask of a tensor as of an object with attributes, or of a dict."""
    found: list[str] = []
    for line in passed if isinstance(value, torch.Tensor) else ():
        for node in function_of(line):
            if isinstance(node, (ast.Attribute, ast.Subscript)) and _is(node.value, value, line):
                found += _name_of(node, names)
    return found


def _name_of(node: ast.Attribute | ast.Subscript, names: Sequence[str]) -> Sequence[str]:
    if isinstance(node, ast.Subscript):
        key = node.slice.value if isinstance(node.slice, ast.Constant) else None
        return [key] if isinstance(key, str) else []
    if node.attr in _LISTING:
        return list(names) or [ENTRY]
    return [] if hasattr(torch.Tensor, node.attr) else [node.attr]


def _is(node: ast.expr, value: Any, line: Line) -> bool:
    """Whether a variable on a line is a value."""
    with contextlib.suppress(Exception):
        return isinstance(node, ast.Name) and line.value(node) is value
    return False
