"""What installed distributions announce, read without the cost of `importlib.metadata`.

Importing `importlib.metadata` takes longer than everything else the registry does. The usual
installation is a folder of `*.dist-info` folders, which a directory listing answers; whatever is
rarer (zip archives, eggs, finders of their own) goes the standard way.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_SEPARATORS = re.compile(r"[-_.]+")


class EntryPoint(NamedTuple):
    """One line of a distribution's `entry_points.txt`."""

    distribution: str
    name: str
    value: str


class _UnusualError(Exception):
    """A place on the path that only `importlib.metadata` can read."""


def entry_points(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of `group`; of two distributions with one name the first on the path counts."""
    if not any(map(_finds_distributions, sys.meta_path)):
        try:
            if found := tuple(_scan(group, sys.path)):
                return found
        except _UnusualError:
            pass
    return _ask_the_standard_library(group)


def _finds_distributions(finder: object) -> bool:
    return hasattr(finder, "find_distributions") and getattr(finder, "__name__", "") != "PathFinder"


def _scan(group: str, path: Sequence[str]) -> Iterator[EntryPoint]:
    seen: set[str] = set()
    for folder in path:
        for entry in _metadata_folders(folder):
            distribution = _SEPARATORS.sub("_", entry.name.rpartition(".")[0].partition("-")[0]).lower()
            if distribution not in seen:
                seen.add(distribution)
                for name, value in _parse(_read(Path(entry.path, "entry_points.txt")), group):
                    yield EntryPoint(distribution, name, value)


def _metadata_folders(folder: str) -> list[os.DirEntry[str]]:
    if folder.endswith(".egg"):
        raise _UnusualError
    try:
        with os.scandir(folder or ".") as entries:
            found = [entry for entry in entries if entry.name.endswith((".dist-info", ".egg-info"))]
    except NotADirectoryError:
        raise _UnusualError from None
    except OSError:
        return []
    return sorted(found, key=lambda entry: entry.name)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _parse(text: str, group: str) -> Iterator[tuple[str, str]]:
    if group not in text:
        return
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[] ")
        elif section == group and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()


def _ask_the_standard_library(group: str) -> tuple[EntryPoint, ...]:
    from importlib.metadata import entry_points as standard

    return tuple(
        EntryPoint(point.dist.name if point.dist else "", point.name, point.value)
        for point in standard(group=group)
    )
