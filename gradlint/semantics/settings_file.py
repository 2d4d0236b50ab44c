"""Files of settings that code reads by a literal path: JSON, TOML and YAML, and what Hydra composes of them.

What is read is plain data; UNKNOWN stands for what is said only when the program is run.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

UNKNOWN = object()
"""A setting of which the value is not known."""

_FILES = 500
"""Files that are put together, those that are named again counted again."""

_LARGEST = 1_000_000
"""Bytes of a file that is read."""

_MOST = 20_000
"""Values of a file, aliases and references followed."""

_DEEPEST = 8
_MARKS = (".git", "pyproject.toml", "setup.py", "requirements.txt")
_REFERENCE = re.compile(r"\$\{(\w+(?:\.\w+)*)\}")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+")
"""Numbers for YAML 1.2 and OmegaConf that are texts for YAML 1.1, which PyYAML reads."""

_GLOBAL = re.compile(r"^#\s*@package\s+_global_", re.MULTILINE)
_PACKAGE = re.compile(r"^#\s*@package\b", re.MULTILINE)


class Folder(Struct, frozen=True):
    """Where relative paths begin: at the code's own folder, above its package, or at the repository's.

    `sought` gathers every file that was looked for, whether it is there or not, `count` those that were
    put together.
    """

    bases: tuple[str, ...]
    sought: set[str]
    count: list[str] = []

    def find(self, name: str) -> str | None:
        """The file that a path means; None where there is none, or where it may mean one of several."""
        found = {path for base in self.bases if (path := self._file(os.path.join(base, name))) is not None}
        return found.pop() if len(found) == 1 else None

    def _file(self, path: str) -> str | None:
        path = os.path.abspath(path)
        self.sought.add(path)
        return path if os.path.isfile(path) else None


def repository(folder: str) -> tuple[str, set[str]]:
    """The folder of the repository or the distribution that a folder is in, and what was looked for.

    It is the folder itself where there is none.
    """
    found, sought = folder, set[str]()
    while True:
        marks = [os.path.join(found, mark) for mark in _MARKS]
        there = next((mark for mark in marks if os.path.exists(mark)), None)
        if there is not None:
            inside = os.path.join(there, "HEAD") if os.path.isdir(there) else there
            return found, {*sought, *marks[: marks.index(there)], inside}
        sought.update(marks)
        if os.path.dirname(found) == found:
            return folder, sought
        found = os.path.dirname(found)


def decoded(text: str, kind: str) -> Any:
    """The data of a text in this format ("json", "toml", "yaml"); UNKNOWN where it is none."""
    import msgspec

    try:
        if kind == "json":
            return msgspec.json.decode(text)
        found = msgspec.toml.decode(text) if kind == "toml" else msgspec.yaml.decode(text)
        return found if _size(found, {}) <= _MOST else UNKNOWN
    except Exception:  # what PyYAML makes values with raises errors of any kind
        return UNKNOWN


def _size(data: Any, known: dict[int, float]) -> float:
    """How many values there are, aliases written out; inf where data contain themselves."""
    if not isinstance(data, (dict, list)):
        return 1
    if id(data) not in known:
        known[id(data)] = math.inf
        parts = data.values() if isinstance(data, dict) else data
        known[id(data)] = 1 + sum([_size(part, known) for part in parts])
    return known[id(data)]


def text_at(path: str) -> str | None:
    """What a file says; None where it cannot be read or says too much."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_LARGEST + 1)
    except (OSError, UnicodeDecodeError):
        return None
    return text if len(text) <= _LARGEST else None


def kind_of(path: str) -> str:
    """The format that the name of a file tells, empty for another."""
    suffix = path.rpartition(".")[2].lower()
    return {"yml": "yaml"}.get(suffix, suffix) if suffix in ("json", "toml", "yaml", "yml") else ""


def read(path: str, kind: str = "") -> Any:
    """The data in a file; UNKNOWN where it cannot be read."""
    text = text_at(path)
    format = kind or kind_of(path)
    return decoded(text, format) if text is not None and format else UNKNOWN


def resolved(data: Any) -> Any:
    """Data with OmegaConf's numbers, references within it followed, and what is missing (`???`) unknown."""
    try:
        return _resolved(data, data, _DEEPEST, iter(range(_MOST)))
    except StopIteration:
        return UNKNOWN


def _resolved(data: Any, root: Any, depth: int, left: Iterator[int]) -> Any:
    next(left)
    if isinstance(data, dict):
        return {key: _resolved(value, root, depth, left) for key, value in data.items()}
    if isinstance(data, list):
        return [_resolved(value, root, depth, left) for value in data]
    if not isinstance(data, str):
        return data
    if _NUMBER.fullmatch(data):
        return float(data)
    found = _REFERENCE.fullmatch(data)
    if found is not None and depth:
        return _resolved(_at(root, found[1]), root, depth - 1, left)
    return UNKNOWN if "${" in data or data == "???" else data


def _at(data: Any, path: str) -> Any:
    for key in path.split("."):
        data = data.get(key, UNKNOWN) if isinstance(data, dict) else UNKNOWN
    return data


def merged(first: Any, second: Any) -> Any:
    """The second over the first, tables entry by entry."""
    if not isinstance(first, dict) or not isinstance(second, dict):
        return second
    both = {key: merged(first[key], second[key]) for key in first.keys() & second.keys()}
    return {**first, **second, **both}


# what Hydra composes


def composed(folder: Folder, path: str, name: str) -> Any:
    """The settings called `name` in Hydra's folder at `path`, with its list of defaults."""
    found = folder.find(os.path.join(path, _with_suffix(name)))
    return UNKNOWN if found is None else resolved(_whole(folder, found, os.path.dirname(found), ()))


def _with_suffix(name: str) -> str:
    return name if name.endswith((".yaml", ".yml")) else f"{name}.yaml"


def _whole(folder: Folder, path: str, root: str, above: tuple[str, ...]) -> Any:
    """One file with what its defaults name; where it does not say which comes last, disputes are unknown.

    `above` are the files that led here.
    """
    folder.count.append(path)
    if path in above or len(above) >= _DEEPEST or len(folder.count) > _FILES:
        return UNKNOWN
    data = read(path, "yaml")
    if not isinstance(data, dict):
        return UNKNOWN
    own = {key: value for key, value in data.items() if key != "defaults"}
    listed = data.get("defaults") or []
    if not isinstance(listed, list):
        return UNKNOWN
    result: Any = {}
    for entry in listed:
        part = own if entry == "_self_" else _default(folder, entry, path, root, (*above, path))
        result = UNKNOWN if part is UNKNOWN or result is UNKNOWN else merged(result, part)
    if "_self_" in listed or result is UNKNOWN:
        return result
    return _disputed(result, own)


def _disputed(first: Any, second: Any) -> Any:
    """Both together; unknown where they differ."""
    if isinstance(first, dict) and isinstance(second, dict):
        shared = {key: _disputed(first[key], second[key]) for key in first.keys() & second.keys()}
        return {**first, **second, **shared}
    return first if first == second else UNKNOWN


def _default(folder: Folder, entry: Any, path: str, root: str, above: tuple[str, ...]) -> Any:
    """What one entry of a list of defaults adds."""
    if isinstance(entry, str):
        return _group(folder, os.path.dirname(path), entry, "", root, above)
    if not isinstance(entry, dict) or len(entry) != 1:
        return UNKNOWN
    ((group, chosen),) = entry.items()
    words = str(group).split() or [""]
    if words[0] == "override" or chosen is None:
        return {} if "hydra/" in words[-1] or chosen is None else UNKNOWN
    if not isinstance(chosen, str) or "@" in words[-1] or "${" in chosen:
        return UNKNOWN
    base = root if words[-1].startswith("/") else os.path.dirname(path)
    key = words[-1].lstrip("/")
    return _group(folder, base, os.path.join(key, chosen), key.replace("/", "."), root, above)


def _group(folder: Folder, base: str, name: str, key: str, root: str, above: tuple[str, ...]) -> Any:
    """A file of settings under the key of its group, unless it says that it stands at the top."""
    path = os.path.join(base, _with_suffix(name))
    folder.sought.add(path)
    text = text_at(path) if os.path.isfile(path) else None
    if text is None:
        return UNKNOWN
    data = _whole(folder, path, root, above)
    if _GLOBAL.search(text) is not None:
        return data
    if data is UNKNOWN or _PACKAGE.search(text) is not None:
        return UNKNOWN
    for part in reversed(list(filter(None, key.split(".")))):
        data = {part: data}
    return data


def entries(data: dict[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """The entries of a table that are known."""
    return ((key, value) for key, value in data.items() if value is not UNKNOWN)
