"""The project: which file a dotted module name means, and that module's names."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from pathlib import Path

from gradlint.records import ir
from gradlint.records.facts import FileFacts
from gradlint.semantics.scope import ModuleScope

_FOREIGN = frozenset(
    {
        *(
            "torch",
            "numpy",
            "scipy",
            "pandas",
            "sklearn",
            "matplotlib",
            "PIL",
            "cv2",
            "einops",
            "tqdm",
            "wandb",
        ),
        *(
            "abc",
            "collections",
            "contextlib",
            "copy",
            "dataclasses",
            "enum",
            "functools",
            "itertools",
            "json",
        ),
        *("math", "os", "random", "re", "sys", "typing", "warnings"),
    }
)

INITIAL = "__init__"
"""The name of the module that is a package itself."""

Entry = tuple[str, str]
"""A folder, and what a module or a folder with modules in it is called."""


class Project:
    """Modules by name, read when they are first asked for.

    `load` gives the facts of a file, `lower` what the facts of one left out.
    `sought` gathers for every file where the modules that it names were looked for, and the folder from
    which it is imported; `importers` for every file those that asked for its names.
    """

    def __init__(
        self,
        load: Callable[[str], FileFacts],
        lower: Callable[[str, ir.Omitted], tuple[ir.Statement, ...]],
    ) -> None:
        self._load = load
        self._lower = lower
        self._scopes: dict[str, ModuleScope] = {}
        self._found: dict[tuple[str, str], tuple[str | None, tuple[Entry, ...]]] = {}
        self.sought: defaultdict[str, set[Entry]] = defaultdict(set)
        self.importers: dict[str, set[str]] = {}

    def scope(self, path: str) -> ModuleScope:
        """The module in the file at `path`."""
        known = self._scopes.get(path)
        if known is None:
            name, is_package = module_name(path)
            known = ModuleScope(path, name, self._load(path), partial(self._lower, path), is_package)
            self._scopes[path] = known
            self.sought[path].update(_above(path))
        return known

    def forget(self, path: str) -> None:
        """Read the file at `path` anew when it is next asked for."""
        self._scopes.pop(path, None)

    def locate(self, name: str, importer: ModuleScope) -> str | None:
        """The file of the project's module that `name` means in `importer`, or None."""
        if not name or name.partition(".")[0] in _FOREIGN:
            return None
        root = import_root(importer.path)
        if (root, name) not in self._found:
            self._found[root, name] = _search(name, root, importer)
        path, sought = self._found[root, name]
        self.sought[importer.path].update(sought)
        return None if path == importer.path else path

    def resolve(self, name: str, importer: ModuleScope) -> ModuleScope | None:
        """The module of the project that `name` means in `importer`, or None."""
        path = self.locate(name, importer)
        if path is None:
            return None
        self.importers.setdefault(path, set()).add(importer.path)
        return self.scope(path)


def _search(name: str, root: str, importer: ModuleScope) -> tuple[str | None, tuple[Entry, ...]]:
    """The file of the module called `name`, and where it was looked for."""
    top = name.partition(".")[0]
    own = importer.name.partition(".")[0]
    if os.path.basename(root) in ("site-packages", "dist-packages") and top != own:
        return None, ()
    sought: list[Entry] = []
    for parts in (name.split("."), ["src", *name.split(".")]):
        sought += _along(root, parts)
        base = os.path.join(root, *parts)
        for candidate in (os.path.join(base, INITIAL + ".py"), base + ".py"):
            if os.path.isfile(candidate):
                return candidate, tuple(sought)
    return None, tuple(sought)


def _along(root: str, parts: Iterable[str]) -> Iterator[Entry]:
    """What decides which file a dotted name means below a folder, as far as there are folders."""
    for part in (*parts, INITIAL):
        if not os.path.isdir(root):
            return
        yield root, part
        root = os.path.join(root, part)


def _above(path: str) -> Iterator[Entry]:
    """What decides from which folder the file at `path` is imported."""
    root, folder = import_root(path), os.path.dirname(os.path.abspath(path))
    while folder != root:
        yield folder, INITIAL
        folder = os.path.dirname(folder)
    yield folder, INITIAL


def import_root(path: str) -> str:
    """The folder from which the module at `path` is imported: above its outermost package."""
    return _above_packages(os.path.dirname(os.path.abspath(path)))


def look_again() -> None:
    """Forget which folders were packages."""
    _above_packages.cache_clear()


@lru_cache(maxsize=4096)
def _above_packages(folder: str) -> str:
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        parent = os.path.dirname(folder)
        if parent == folder:
            break
        folder = parent
    return folder


def module_name(path: str) -> tuple[str, bool]:
    """The dotted name of the file at `path`, and whether it is a package."""
    absolute = Path(os.path.abspath(path))
    parts = list(absolute.relative_to(import_root(path)).with_suffix("").parts)
    if parts[-1] == "__init__":
        return ".".join(parts[:-1]), True
    return ".".join(parts), False
