"""What to change about the values of an attempt, by the error that it ended in."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .blame import Line, asked_of, guards, lines, mentions, sources_of, sources_of_attributes
from .guesses import by_name, is_configuration
from .lengths import ENTRY, expected, is_length, of_another_length, of_lengths, of_sizes
from .messages import WANTS_SEQUENCE
from .parts import having, instead, part
from .stand_in import Settings

if TYPE_CHECKING:
    from typing import TypeGuard

Change = dict  # what to choose, by the name of the argument or setting
_MOST = 12
_OF_TEXT = ("lower", "upper", "split", "startswith", "endswith", "strip")
"""Methods of nothing but text."""


def mended(error: BaseException, slots: dict[str, Any], size: int) -> list[dict[str, Any]]:
    """Changes that may help a constructor, the likeliest first."""
    changes = (each for line in lines(error) for each in chain(*_on_line_each(error, line, slots, size)))
    text = str(error)
    stated = chain(_lacking(error, slots, size), of_sizes(text, slots), _whole(text, slots))
    return _first(_MOST, chain(stated, changes, _lacking_alike(error, slots)))


def mended_in_turn(error: BaseException, slots: dict[str, Any], size: int) -> list[dict[str, Any]]:
    """Changes of what a model was constructed with that may help its run, every value in its turn."""
    changes = (each for line in lines(error) for each in _in_turn(_on_line_each(error, line, slots, size)))
    return _first(2 * _MOST, chain(of_sizes(str(error), slots), changes))


def _first(count: int, changes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first changes that differ."""
    found: list[dict[str, Any]] = []
    for change in changes:
        if len(found) >= count:
            break
        if not any(_same(change, each) for each in found):
            found.append(change)
    return found


def _in_turn(several: Sequence[Iterator[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    for each in zip_longest(*several):
        yield from (change for change in each if change is not None)


def _on_line_each(
    error: BaseException, line: Line, slots: dict[str, Any], size: int
) -> list[Iterator[dict[str, Any]]]:
    """Changes for a line that an error passed: those of order, then those of each value on it."""
    values = {slot: _values(error, slots[slot], line, slot, size) for slot in _on_line(line, slots)}
    return [_in_order(line, slots), *[_named(slot, found) for slot, found in values.items()]]


def _named(slot: str, values: Iterator[Any]) -> Iterator[dict[str, Any]]:
    yield from ({slot: value} for value in values)


def _lacking(error: BaseException, slots: dict[str, Any], size: int) -> Iterator[dict[str, Any]]:
    """Names that are taken along with any others, and that something behind needs."""
    text, names = str(error), list[str]()
    if isinstance(error, TypeError) and "missing" in text:
        names = re.findall(r"'(\w+)'", text.partition("missing")[2])
    elif isinstance(error, KeyError) and error.args and isinstance(error.args[0], str):
        names = [error.args[0]]
    elif isinstance(error, (AssertionError, ValueError)):
        quoted = [name for name in re.findall(r"`(\w+)`", text) if name not in slots]
        yield from ({name: by_name(name, size, name)} for name in quoted)
    wanted = [name for name in names if name.isidentifier() and name not in slots]
    if wanted:
        yield {name: by_name(name, size, name) for name in wanted}


def _whole(text: str, slots: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Whole numbers for what is none, where a message says that one is needed."""
    if re.search(
        r"got float|'float' object cannot be interpreted as an integer|found element of type float", text
    ):
        yield from ({slot: _FEW} for slot, value in slots.items() if type(value) is float and "." not in slot)


_FEW = 3
_WANTS_WHOLE = re.compile(r"got float|'float' object cannot be interpreted as an int|element of type float")


def _lacking_alike(error: BaseException, slots: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Texts for what equals a number that a method of text is asked of, what was read last first."""
    found = re.search(r"'(int|float)' object has no attribute '(\w+)'", str(error))
    for line in lines(error)[:1] if found and found[2] in _OF_TEXT else ():
        values = [line.frame.f_locals.get(name) for name in line.names]
        alike = [slot for slot, value in slots.items() if type(value) in (int, float) and value in values]
        yield from ({slot: text} for slot in reversed(alike) for text in _texts(line))


def _texts(line: Line) -> list[str]:
    """The texts that methods on a line are given, such as what a text should begin with, and none."""
    nodes = ast.walk(line.tree) if line.tree is not None else ()
    calls = [node for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    given = [each.value for call in calls for each in call.args if isinstance(each, ast.Constant)]
    return [*[text for text in given if isinstance(text, str)], ""]


def _same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return repr(first) == repr(second)


def _on_line(line: Line, slots: dict[str, Any]) -> list[str]:
    """The slots that a line names, in the order of the line; first those that hold nothing."""
    leaves: dict[str, list[str]] = {}
    for slot in slots:
        leaves.setdefault(slot.rpartition(".")[2], []).append(slot)
    names = dict.fromkeys((*line.names, *sources_of(line), *sources_of_attributes(line), *guards(line)))
    found = [slot for name in names for slot in leaves.get(name, ())]
    return sorted(found, key=lambda slot: slots[slot] is not None)


def _values(error: BaseException, value: Any, line: Line, slot: str, size: int) -> Iterator[Any]:
    text = str(error)
    if is_configuration(value):
        yield type(value)()
        return
    if value is None:
        yield by_name(slot.rpartition(".")[2], size, slot)
    if "has no len" in text and line.tree is not None:
        calls = [node for node in ast.walk(line.tree) if is_length(node, "")]
        if calls and not any(mentions(node, slot.rpartition(".")[2]) for node in calls):
            return
        yield from of_lengths(line, slot, value)
    if isinstance(error, TypeError):
        yield from _of_another_type(text, value, slot, size)
    yield from _of_asserted_kind(line, slot, value, size)
    if isinstance(error, AttributeError):
        yield from _with_attribute(text, value, slot, line, size)
    elif isinstance(value, nn.Module):
        yield from instead(value, asked_of(line, slot.rpartition(".")[2]), size)
    if type(value) is dict and not value:
        yield {ENTRY: by_name(slot.rpartition(".")[2], size, slot)}
    if isinstance(error, (IndexError, ValueError)) and isinstance(value, (list, tuple)):
        yield from of_another_length(text, line, slot, value)
    if isinstance(
        error,
        (
            ValueError,
            KeyError,
            AssertionError,
            NotImplementedError,
            UnboundLocalError,
            RuntimeError,
            Exception,
        ),
    ):
        yield from compared(line, slot, value)
    if type(value) is int and is_about_order(line):
        yield from (each for each in (value - 1, value + 1) if each >= 0)
    if isinstance(error, KeyError):
        yield from _keys(line)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _other_numbers(value, size)
    if isinstance(value, bool):
        yield not value


def _of_another_type(text: str, value: Any, slot: str, size: int) -> Iterator[Any]:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if WANTS_SEQUENCE.search(text):
        if is_number:
            for count in (expected(text) or 4, 2, 3, 5):
                yield [value] * count
        yield Settings(slot, size)
    if "not callable" in text:
        yield from (nn.ReLU, nn.Identity(), nn.BatchNorm2d, nn.Linear, nn.Conv2d)
    if "not a Module subclass" in text or "is not a subclass" in text:
        yield nn.Identity()
    if isinstance(value, (list, tuple)) and re.search(r"'(list|tuple)'", text):
        yield value[0] if value else size
    if value is None or isinstance(value, (nn.Module, type, str, dict)):
        yield size
    if "must be" in text or "expected" in text:
        yield from ([size, size], str(value), float(size) if is_number else size)


def _of_asserted_kind(line: Line, slot: str, value: Any, size: int) -> Iterator[Any]:
    """What isinstance asks for on the line that raised."""
    name = slot.rpartition(".")[2]
    for node in ast.walk(line.tree) if line.tree is not None else ():
        if not isinstance(node, ast.Call) or ast.unparse(node.func) != "isinstance" or len(node.args) != 2:
            continue
        if mentions(node.args[0], name):
            for kind in _kinds(node.args[1], line):
                yield from _of_kind(kind, value, size)


def _kinds(node: ast.AST, line: Line) -> tuple[type, ...]:
    try:
        found = line.value(node)
    except Exception:
        return ()
    return tuple(
        [each for each in (found if isinstance(found, tuple) else (found,)) if isinstance(each, type)]
    )


def _of_kind(kind: type, value: Any, size: int) -> Iterator[Any]:
    """Values of a type that are like another one."""
    if isinstance(value, kind):
        return
    if kind in (tuple, list):
        item = value if isinstance(value, (int, float, str)) else size
        yield from (kind([item] * count) for count in (4, 3, 2, 5))
    elif kind in (int, float, str, bool):
        yield kind(size)
    elif issubclass(kind, nn.Module) and (made := part(kind, size)) is not None:
        yield made


def _with_attribute(text: str, value: Any, slot: str, line: Line, size: int) -> Iterator[Any]:
    found = re.search(r"(?:'(\w+)' object )?has no attribute '(\w+)'", text)
    name = found[2] if found else ""
    is_meant = found is not None and found[1] in (None, type(value).__name__)
    if name and is_meant and not hasattr(torch.Tensor, name) and not isinstance(value, (str, list, tuple)):
        yield from having(name, asked_of(line, slot), line.frame.f_globals, size)
    if hasattr(torch.Tensor, name) and not hasattr(nn.Module, name):
        yield torch.randn(size, size)
    elif name in ("append", "extend", "sort"):
        yield [value] * 4 if isinstance(value, int) else []
    elif name in _OF_TEXT:
        yield from _texts(line)
    elif hasattr(nn.Module, name) or name in (
        "weight",
        "out_channels",
        "in_channels",
        "in_features",
        "out_features",
    ):
        yield nn.Conv2d(size, size, 1) if "channels" in name else nn.Linear(size, size)
    if not isinstance(value, Settings):
        yield Settings(slot, size)


def compared(line: Line, slot: str, value: Any) -> Iterator[Any]:
    """What the function that raised compares the argument with, or looks up with it."""
    name = slot.rpartition(".")[2]
    try:
        import inspect
        import textwrap

        tree = ast.parse(textwrap.dedent(inspect.getsource(line.frame.f_code)))
    except (OSError, SyntaxError, TypeError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and _is_remainder(node.left):
            yield from _multiples(node.left, name, line, value)
        elif isinstance(node, ast.Compare) and mentions(node.left, name):
            for other in node.comparators:
                yield from _constants(other, line, value)
        elif isinstance(node, ast.Subscript) and mentions(node.slice, name):
            try:
                holder = line.value(node.value)
            except Exception:
                continue
            if isinstance(holder, dict) and not isinstance(holder, Settings):
                yield from list(holder)[:3]


def _in_order(line: Line, slots: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Of two equal numbers on a line that compares which is the larger one: the first places in order."""
    numbers = [slot for slot in _on_line(line, slots) if type(slots[slot]) is int]
    if is_about_order(line) and len(numbers) == 2 and len({slots[slot] for slot in numbers}) == 1:
        yield from (dict(zip(each, (0, 1))) for each in (numbers, numbers[::-1]))


def is_about_order(line: Line) -> bool:
    """Whether a line compares which of two values is the larger one."""
    nodes = ast.walk(line.tree) if line.tree is not None else ()
    return any(isinstance(node, (ast.Lt, ast.LtE, ast.Gt, ast.GtE)) for node in nodes)


def _is_remainder(node: ast.AST) -> TypeGuard[ast.BinOp]:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod)


def _multiples(node: ast.BinOp, name: str, line: Line, value: Any) -> Iterator[Any]:
    """Of a remainder that should vanish: multiples of the divisor for what is divided."""
    try:
        divisor = line.value(node.right)
    except Exception:
        return
    if mentions(node.left, name) and isinstance(divisor, int) and isinstance(value, int):
        yield from (divisor * count for count in (4, 1, 2, 3, 8) if divisor * count != value)


def _constants(node: ast.AST, line: Line, value: Any) -> Iterator[Any]:
    try:
        found = line.value(node)
    except Exception:
        return
    if isinstance(found, (list, tuple, set, frozenset, dict)):
        yield from list(found)[:4]
    elif isinstance(found, (int, float, str)) and not (found == value and type(found) is type(value)):
        yield found


def _keys(line: Line) -> Iterator[Any]:
    for node in ast.walk(line.tree) if line.tree is not None else ():
        if isinstance(node, ast.Subscript):
            try:
                holder = line.value(node.value)
            except Exception:
                continue
            if isinstance(holder, dict) and not isinstance(holder, Settings):
                yield from list(holder)[:4]


def _other_numbers(value: Any, size: int) -> Iterator[Any]:
    for other in (1, 2, 3, 4, 8, 16, 32, 64, 128, 256, 0, 0.5):
        if other != value:
            yield other
