"""JSON text that every parser accepts."""

from __future__ import annotations

from math import inf, isfinite

import msgspec

_SPECIAL = {inf: "Infinity", -inf: "-Infinity"}


def number(value: float) -> float | str:
    """`value`, or the name that Protocol Buffers' JSON gives to an infinity or NaN."""
    return value if isfinite(value) else _SPECIAL.get(value, "NaN")


def encode(document: object, *, indent: int = 2) -> str:
    """`document` as JSON, on one line where `indent` is 0; lone surrogates become U+FFFD."""
    try:
        encoded = msgspec.json.encode(document)
    except UnicodeEncodeError:
        encoded = msgspec.json.encode(_encodable(document))
    return (msgspec.json.format(encoded, indent=indent) if indent else encoded).decode("utf-8") + "\n"


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_encodable(key): _encodable(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encodable(entry) for entry in value]
    return value
