"""Texts that are put together: those of constants, and those of which parts are not known."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from string import Formatter

from gradlint.semantics.interpretation import Arguments
from gradlint.semantics.value import Items, Known, Method, Value

HOLE = "…"
"""Stands in a text for a part that is not known."""

_DIRECTIVE = re.compile(r"%%|%(?:\((\w+)\))?[-+ #0]*\d{0,2}(?:\.\d{1,2})?[a-zA-Z]")

Part = str | int | None
"""A part of a pattern as it stands there, the position of the argument that is filled in, or neither."""


def fields(pattern: str) -> list[Part] | None:
    """The parts of `pattern.format(…)`; None where it is no such pattern."""
    found: list[Part] = []
    try:
        for literal, field, spec, conversion in Formatter().parse(pattern):
            found.append(literal)
            if field is not None:
                is_plain = not spec and not conversion and (field == "" or field.isdecimal())
                automatic = sum(isinstance(part, int) for part in found)
                found.append((int(field) if field else automatic) if is_plain else None)
    except ValueError:
        return None
    return found


def directives(pattern: str) -> list[Part]:
    """The parts of `pattern % …`."""
    found: list[Part] = []
    end = 0
    for match in _DIRECTIVE.finditer(pattern):
        found.append(pattern[end : match.start()])
        end = match.end()
        is_plain = match.group() in ("%d", "%s", "%i")
        taken = sum(not isinstance(part, str) for part in found)
        found.append("%" if match.group() == "%%" else taken if is_plain else None)
    return [*found, pattern[end:]]


def formatted(pattern: str, positional: Sequence[object], named: Mapping[str, object]) -> str | None:
    """`pattern.format(*positional, **named)`; None where numbers in the pattern might make it long."""
    values = [*positional, *named.values()]
    if re.search(r"\d{3}", pattern) or not all(isinstance(value, (str, int, float)) for value in values):
        return None
    try:
        return pattern.format(*positional, **named)
    except (ValueError, LookupError, AttributeError, TypeError):
        return None


def is_partly_known(pattern: str) -> bool:
    """Whether something but holes stands in a text."""
    return HOLE in pattern and bool(pattern.replace(HOLE, ""))


def may_be(pattern: str, text: str) -> bool:
    """Whether what a text with holes stands for may be `text`, which may have holes itself."""
    if HOLE not in pattern and HOLE not in text:
        return pattern == text
    return _fills(pattern, text) or _fills(text, pattern)


def _fills(pattern: str, text: str) -> bool:
    parts = [re.escape(part) for part in pattern.split(HOLE)]
    return re.fullmatch(".*".join(parts), text, re.DOTALL) is not None


def filled_in(method: Method, arguments: Arguments) -> list[Value] | None:
    """The parts of `pattern.format(…)`, for those that are not known something that is no constant."""
    pattern = method.receiver.value if isinstance(method.receiver, Known) else None
    if method.name != "format" or not isinstance(pattern, str) or arguments.open:
        return None
    return _filled(fields(pattern), [operand.value for operand in arguments.positional], method)


def substituted(pattern: str, given: Value) -> list[Value] | None:
    """The parts of `pattern % given`, likewise."""
    values = given.items if isinstance(given, Items) and given.kind == "tuple" else [given]
    return _filled(directives(pattern), values, given)


def _filled(parts: Sequence[Part] | None, given: Sequence[Value], other: Value) -> list[Value] | None:
    return None if parts is None else [_part(part, given, other) for part in parts]


def _part(part: Part, given: Sequence[Value], other: Value) -> Value:
    if isinstance(part, str):
        return Known(part)
    return given[part] if part is not None and part < len(given) else other
