"""The files that stand beside one: what they name may belong to it, whether they import it or not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from msgspec import Struct

from gradlint.semantics.project import import_root
from gradlint.source.listing import CACHED

EVERYTHING = "*"
"""In place of a name that was looked up: all that a file says."""

MOST = 400
"""Files that are searched for a name."""


class Beside(Struct, frozen=True):
    """The files beside one, None where these are too many, and the folders that were searched for them."""

    files: tuple[str, ...] | None
    folders: tuple[str, ...]

    def asked(self, question: str) -> set[tuple[str, str]]:
        """What an answer about these files rests on: what each is asked, and which there are."""
        files = {(each, question) for each in self.files or ()}
        return files | {(folder, EVERYTHING) for folder in self.folders}


def neighbours(path: str) -> Beside:
    """The other files of the outermost package or of the folder of a file."""
    own = os.path.abspath(path)
    found = _gathered(_folders(own)) if os.path.isfile(own) else Beside((), ())
    if found.files is None:
        return found
    return Beside(tuple([each for each in found.files if each != own]), found.folders)


def around(path: str) -> Beside:
    """The files of the folder from which a file is imported, with all folders in it; where these are too
    many, its neighbours.
    """
    if not os.path.isfile(path):
        return Beside((), ())
    found = _gathered(_walked(import_root(path), _may_hold_code))
    if found.files is not None:
        return found
    nearer = neighbours(path)
    return Beside(nearer.files or (), (*found.folders, *nearer.folders))


def _gathered(walk: Iterable[str]) -> Beside:
    """The Python files of folders, one after the other, until there are too many."""
    files: list[str] = []
    folders: list[str] = []
    for folder in walk:
        folders.append(folder)
        files += _within(folder)
        if len(files) > MOST:
            return Beside(None, tuple(folders))
    return Beside(tuple(files), tuple(folders))


def _folders(path: str) -> Iterator[str]:
    """The folder from which a file is imported, and those of its outermost package."""
    root = import_root(path)
    yield root
    inside = os.path.relpath(os.path.dirname(path), root).split(os.sep)[0]
    if inside != os.curdir:
        yield from _walked(os.path.join(root, inside), lambda name: name != CACHED)


def _walked(root: str, admits: Callable[[str], bool]) -> Iterator[str]:
    for folder, folders, _ in os.walk(root):
        folders[:] = sorted(filter(admits, folders))
        yield folder


def _may_hold_code(name: str) -> bool:
    return name.isidentifier() and name != CACHED


def _within(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted([e.path for e in entries if e.name.endswith(".py") and e.is_file()])
    except OSError:
        return []


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
