"""The project: which file a dotted module name means, and that module's names."""

from __future__ import annotations

import os
from collections.abc import Callable
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


class Project:
    """Modules by name, read when they are first asked for.

    `load` gives the facts of a file, `lower` what the facts of one left out.
    `absent` gathers the files that were looked for in vain since it was last cleared, `importers`
    for every file those that asked for its names.
    """

    def __init__(
        self,
        load: Callable[[str], FileFacts],
        lower: Callable[[str, ir.Omitted], tuple[ir.Statement, ...]],
    ) -> None:
        self._load = load
        self._lower = lower
        self._scopes: dict[str, ModuleScope] = {}
        self._found: dict[tuple[str, str], tuple[str | None, tuple[str, ...]]] = {}
        self.absent: set[str] = set()
        self.importers: dict[str, set[str]] = {}

    def scope(self, path: str) -> ModuleScope:
        """The module in the file at `path`."""
        known = self._scopes.get(path)
        if known is None:
            name, is_package = module_name(path)
            known = ModuleScope(path, name, self._load(path), partial(self._lower, path), is_package)
            self._scopes[path] = known
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
        path, missed = self._found[root, name]
        self.absent.update(missed)
        return None if path == importer.path else path

    def resolve(self, name: str, importer: ModuleScope) -> ModuleScope | None:
        """The module of the project that `name` means in `importer`, or None."""
        path = self.locate(name, importer)
        if path is None:
            return None
        self.importers.setdefault(path, set()).add(importer.path)
        return self.scope(path)


def _search(name: str, root: str, importer: ModuleScope) -> tuple[str | None, tuple[str, ...]]:
    """The file of the module called `name`, and what would have come first had it existed."""
    top = name.partition(".")[0]
    own = importer.name.partition(".")[0]
    if os.path.basename(root) in ("site-packages", "dist-packages") and top != own:
        return None, ()
    relative = name.replace(".", os.sep)
    missed: list[str] = []
    for base in (root, os.path.join(root, "src")):
        package = os.path.join(base, top)
        if not os.path.exists(package) and not os.path.isfile(package + ".py"):
            missed.extend((package, package + ".py"))
            continue
        for candidate in (os.path.join(base, relative, "__init__.py"), os.path.join(base, relative + ".py")):
            if os.path.isfile(candidate):
                return candidate, tuple(missed)
            missed.append(candidate)
    return None, tuple(missed)


def import_root(path: str) -> str:
    """The folder from which the module at `path` is imported: above its outermost package."""
    return _above_packages(path if os.path.isabs(path) else os.path.abspath(path))


@lru_cache(maxsize=4096)
def _above_packages(path: str) -> str:
    folder = os.path.dirname(os.path.normpath(path))
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
