"""The files that stand beside one: what they name may belong to it, whether they import it or not."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice

from gradlint.semantics.project import import_root

EVERYTHING = "*"
"""In place of a name that was looked up: all that a file says."""

MOST = 400
"""Files that are searched for a name."""


def neighbours(path: str) -> tuple[str, ...] | None:
    """The other files of the outermost package or of the folder of a file; None where these are too many."""
    if not os.path.isfile(path):
        return ()
    found = tuple(islice(_files(os.path.abspath(path)), MOST + 1))
    return None if len(found) > MOST else tuple([each for each in found if each != os.path.abspath(path)])


def rests_on(path: str, beside: Iterable[str], asked: str) -> set[tuple[str, str]]:
    """What an answer about the neighbours of a file rests on: what each is asked, and which there are."""
    folders = {os.path.dirname(each) for each in (os.path.abspath(path), *beside)}
    return {*((each, asked) for each in beside), *((each, EVERYTHING) for each in folders)}


def around(path: str) -> tuple[str, ...]:
    """The files of the folder from which a file is imported, with all folders in it; where these are too
    many, its neighbours.
    """
    if not os.path.isfile(path):
        return ()
    root = import_root(path)
    walk = (found for folder, folders, _ in os.walk(root) for found in _visible(folder, folders))
    found = tuple(islice(walk, MOST + 1))
    return found if len(found) <= MOST else neighbours(path) or ()


def _visible(folder: str, folders: list[str]) -> Iterator[str]:
    """The files of a folder; of its own folders those that may hold code stay listed."""
    folders[:] = sorted(name for name in folders if name.isidentifier() and name != "__pycache__")
    yield from _within(folder)


def _files(path: str) -> Iterator[str]:
    root = import_root(path)
    yield from _within(root)
    inside = os.path.relpath(os.path.dirname(path), root).split(os.sep)[0]
    for folder, folders, _ in os.walk(os.path.join(root, inside)) if inside != os.curdir else ():
        folders.sort()
        yield from _within(folder)


def _within(folder: str) -> Iterator[str]:
    yield from sorted(
        entry.path for entry in os.scandir(folder) if entry.name.endswith(".py") and entry.is_file()
    )


def text_of(path: str) -> str:
    """What a file says; empty where it cannot be read."""
    try:
        now = os.stat(path)
        return _text_of(path, now.st_mtime_ns, now.st_size)
    except OSError:
        return ""


def text_in(data: bytes) -> str:
    """What a file with these contents says."""
    return data.decode("utf-8", errors="replace").replace("\r\n", "\n").replace("\r", "\n")


@lru_cache(maxsize=MOST)
def _text_of(path: str, changed: int, size: int) -> str:
    """What a file says since it was changed."""
    with open(path, "rb") as file:
        return text_in(file.read())
