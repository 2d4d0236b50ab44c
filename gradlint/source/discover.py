"""From paths to the files that are to be checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from gradlint.source.gitignore import IgnoreFile, inherited, is_ignored, read_ignore_file, repository_excludes
from gradlint.source.globs import PathPatterns

SUFFIXES = (".py", ".ipynb", ".pyw")
CONFIGURATION_FILES = frozenset({"gradlint.toml", ".gradlint.toml", "pyproject.toml"})


class Exclusions(Protocol):
    """The settings that discovery looks at."""

    @property
    def root(self) -> str:
        """The folder that relative patterns start from."""

    @property
    def exclude(self) -> tuple[str, ...]:
        """Glob patterns of files and folders to leave out."""

    @property
    def extend_exclude(self) -> tuple[str, ...]:
        """More of them."""

    @property
    def force_exclude(self) -> bool:
        """Whether explicitly named paths can be excluded too."""

    @property
    def respect_gitignore(self) -> bool:
        """Whether what git ignores is left out."""


class Discovery(Struct, frozen=True):
    """The files found, sorted, each once.

    `missing` are named paths that do not exist, `unreadable` folders that could not be listed and
    named paths that are no files, with the reason, `explicit` the files that were named rather than
    found in a folder.
    """

    files: tuple[str, ...]
    missing: tuple[str, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()
    explicit: frozenset[str] = frozenset()


class _Folder(Struct, frozen=True):
    """A folder to be listed: what precedes its names when shown, its real path, and what holds in it."""

    prefix: str
    absolute: str
    exclusion: PathPatterns
    respect_gitignore: bool
    ignores: tuple[IgnoreFile, ...]


class _Found(Struct):
    """What a walk has gathered so far; `files` maps the real path to the shown one."""

    files: dict[str, str] = field(default_factory=dict)
    explicit: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def discover(
    paths: Sequence[str],
    settings: Exclusions,
    nested: Callable[[str], Exclusions] | None = None,
) -> Discovery:
    """The files that the named files and folders stand for.

    A named file is taken whatever its suffix, unless it is a stub, and excluded only under
    `force_exclude`. Symbolic links to folders are followed only where they were named. `nested`
    gives the settings that hold in a folder; without it `settings` hold everywhere.
    """
    found = _Found()
    settings_of = nested or (lambda _: settings)
    for path in paths:
        if os.path.isdir(path):
            _add_folder(path, settings_of, found)
        elif os.path.isfile(path) or path == os.devnull:
            _add_named_file(path, settings_of, found)
        elif os.path.exists(path):
            found.unreadable.append((path, "it is neither a file nor a folder"))
        else:
            found.missing.append(path)
    files = found.files | found.explicit
    return Discovery(
        tuple(sorted(files.values())),
        tuple(dict.fromkeys(found.missing)),
        tuple(dict.fromkeys(found.unreadable)),
        frozenset(found.explicit.values()),
    )


def _exclusion(settings: Exclusions) -> PathPatterns:
    return PathPatterns(settings.exclude + settings.extend_exclude, settings.root)


def is_excluded(path: str, settings: Exclusions) -> bool:
    """Whether a file that the user named is left out, which only happens under `force_exclude`."""
    if not settings.force_exclude:
        return False
    real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    return _exclusion(settings).match_any_part(real)


def _add_named_file(path: str, settings_of: Callable[[str], Exclusions], found: _Found) -> None:
    settings = settings_of(os.path.dirname(path) or ".")
    if not is_excluded(path, settings) and not path.endswith(".pyi"):
        found.explicit.setdefault(os.path.realpath(path), path)


def _add_folder(path: str, settings_of: Callable[[str], Exclusions], found: _Found) -> None:
    absolute = os.path.realpath(path)
    settings = settings_of(absolute)
    exclusion = _exclusion(settings)
    if settings.force_exclude and exclusion.match_any_part(absolute):
        return
    ignores = inherited(absolute) if settings.respect_gitignore else ()
    pending = [_Folder(_prefix(path), absolute, exclusion, settings.respect_gitignore, ignores)]
    while pending:
        pending += _list(pending.pop(), settings_of, found)


def _prefix(path: str) -> str:
    """What stands before the names of a folder's files when they are shown."""
    shown = path.replace(os.sep, "/").removeprefix("./")
    return shown if not shown or shown.endswith("/") else "" if shown == "." else f"{shown}/"


def _list(folder: _Folder, settings_of: Callable[[str], Exclusions], found: _Found) -> list[_Folder]:
    """Take a folder's files into `found`; its sub-folders come back."""
    try:
        with os.scandir(folder.absolute) as listing:
            entries = list(listing)
    except OSError as error:
        found.unreadable.append((folder.prefix.rstrip("/") or folder.absolute, error.strerror or str(error)))
        return []
    folder = _with_local_rules(folder, {entry.name for entry in entries}, settings_of)
    below: list[_Folder] = []
    for entry in entries:
        is_folder = entry.is_dir(follow_symlinks=False)
        if not (is_folder or entry.name.endswith(SUFFIXES)) or _is_left_out(folder, entry, is_folder):
            continue
        shown = folder.prefix + entry.name
        if is_folder:
            below.append(replace(folder, prefix=f"{shown}/", absolute=entry.path))
        elif entry.is_file(follow_symlinks=False):
            found.files[entry.path] = shown
        elif entry.is_symlink() and os.path.isfile(entry.path):
            found.files.setdefault(os.path.realpath(entry.path), shown)
    return below


def _is_left_out(folder: _Folder, entry: os.DirEntry[str], is_folder: bool) -> bool:
    return folder.exclusion.match(entry.name, entry.path) or (
        bool(folder.ignores) and is_ignored(folder.ignores, entry.path, is_folder)
    )


def _with_local_rules(folder: _Folder, names: set[str], settings_of: Callable[[str], Exclusions]) -> _Folder:
    """The folder with what its own configuration, repository and ignore file add."""
    exclusion, respect, ignores = folder.exclusion, folder.respect_gitignore, folder.ignores
    if not CONFIGURATION_FILES.isdisjoint(names):
        settings = settings_of(folder.absolute)
        exclusion, respect = _exclusion(settings), settings.respect_gitignore
    if respect and ".git" in names:
        ignores = tuple(filter(None, (repository_excludes(folder.absolute),)))
    if respect and ".gitignore" in names:
        own = read_ignore_file(os.path.join(folder.absolute, ".gitignore"), folder.absolute)
        ignores = ((own,) if own else ()) + ignores
    return _Folder(folder.prefix, folder.absolute, exclusion, respect, ignores)
