"""The project: which file a dotted module name means, and that module's names."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gradlint.records import ir
from gradlint.records.facts import FileFacts
from gradlint.semantics.scope import ModuleScope

_FOREIGN = frozenset(
    "torch numpy scipy math typing collections functools itertools os sys re json random copy abc "
    "dataclasses enum warnings contextlib einops pandas sklearn matplotlib PIL cv2 tqdm wandb".split()
)


class Project:
    """Modules by name, read when they are first asked for.

    `load` gives the facts of a file, `lower` one of the definitions that the facts left out.
    """

    def __init__(
        self,
        load: Callable[[str], FileFacts],
        lower: Callable[[str, str], tuple[ir.Statement, ...]],
    ) -> None:
        self._load = load
        self._lower = lower
        self._scopes: dict[str, ModuleScope] = {}
        self._found: dict[tuple[str, str], str | None] = {}
        self.consulted: dict[str, str | None] = {}

    def scope(self, path: str) -> ModuleScope:
        """The module in the file at `path`."""
        known = self._scopes.get(path)
        if known is None:
            name, is_package = module_name(path)
            known = ModuleScope(path, name, self._load(path), partial(self._lower, path), is_package)
            self._scopes[path] = known
        return known

    def resolve(self, name: str, importer: ModuleScope) -> ModuleScope | None:
        """The module of the project that `name` means in `importer`, or None."""
        if not name or name.partition(".")[0] in _FOREIGN:
            return None
        path = self._locate(name, importer)
        if path is None or path == importer.path:
            return None
        self.consulted[path] = None
        return self.scope(path)

    def _locate(self, name: str, importer: ModuleScope) -> str | None:
        root = import_root(importer.path)
        key = (root, name)
        if key not in self._found:
            self._found[key] = _search(name, root, importer)
        return self._found[key]


def _search(name: str, root: str, importer: ModuleScope) -> str | None:
    top = name.partition(".")[0]
    own = importer.name.partition(".")[0]
    if os.path.basename(root) in ("site-packages", "dist-packages") and top != own:
        return None
    relative = name.replace(".", os.sep)
    for base in (root, os.path.join(root, "src")):
        for candidate in (os.path.join(base, relative + ".py"), os.path.join(base, relative, "__init__.py")):
            if os.path.isfile(candidate):
                return candidate
    return None


def import_root(path: str) -> str:
    """The folder from which the module at `path` is imported: above its outermost package."""
    folder = os.path.dirname(os.path.abspath(path))
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
