"""The module in which a target is defined, run as far as its definitions need it.

Statements run one by one. An import of what is not installed binds stand-ins; another statement that
fails is left out, and what it would have bound is remembered with its error.
"""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import re
import sys
import types
from collections.abc import Sequence
from typing import Any

from torch import nn

from . import redirect
from .absent import Absent
from .command_line import answer_with_defaults
from .guesses import guess
from .sites import TREE
from .slicing import assigned, bound, needed_by, sliced

_FUTURE = 0x1FF0000
"""The bits of code objects that stand for imports from __future__."""
FAILED = "__gradlint_failed__"
"""Where a loaded module keeps the errors of statements by the names that these bind."""
GUESSED = "__gradlint_guessed__"
"""Where it keeps the sizes that are guessed in place of what could not be computed."""
_PATIENT = (SystemExit, Exception)


def load(path: str, name: str, roots: Sequence[str], text: str | None = None) -> types.ModuleType:
    """The module at `path` with what its definition called `name` needs."""
    answer_with_defaults()
    if text is None:
        text = importlib.util.decode_source(_bytes(path))
    package, stem = _dotted_name(path, _levels(text))
    folders = [package[1], *roots, os.path.dirname(path)]
    sys.path[:0] = dict.fromkeys(folders)
    sys.meta_path.insert(0, _Finder(tuple(dict.fromkeys(folders))))
    full = f"{package[0]}.{stem}" if package[0] else stem
    _open_packages(package[0])
    known = sys.modules.get(full)
    if known is not None and {FAILED, name.partition(".")[0]} <= vars(known).keys():
        return known  # its package has imported it already, and what it registers is registered
    module = types.ModuleType(full)
    module.__file__ = path
    module.__package__ = package[0]
    sys.modules[full] = module
    run(module, text, path, name)
    return module


def _bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _levels(text: str) -> int:
    """How many folders up a module imports from."""
    return max(
        [node.level for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)], default=0
    )


def _dotted_name(path: str, levels: int) -> tuple[tuple[str, str], str]:
    """The package of a file with the folder that it is imported from, and the file's own name.

    Folders up to that from which the file imports by relative names are packages without an __init__.
    """
    folder, file = os.path.split(os.path.abspath(path))
    words: list[str] = []
    while os.path.basename(folder).isidentifier() and (
        len(words) < levels or os.path.exists(os.path.join(folder, "__init__.py"))
    ):
        words.insert(0, os.path.basename(folder))
        folder = os.path.dirname(folder)
    return (".".join(words), folder), os.path.splitext(file)[0].replace("-", "_").replace(".", "_")


def _open_packages(name: str) -> None:
    """Import a package and those around it; one that fails is left empty, but can be searched."""
    words = name.split(".") if name else []
    for count in range(1, len(words) + 1):
        package = ".".join(words[:count])
        try:
            importlib.import_module(package)
        except _PATIENT:
            spec = importlib.util.find_spec(package)
            module = types.ModuleType(package)
            module.__path__ = list(spec.submodule_search_locations or ()) if spec else []
            sys.modules[package] = module


def run(module: types.ModuleType, text: str, path: str, wanted: str) -> None:
    """Run the statements of a module that a definition needs."""
    _run_files.add(os.path.abspath(path))
    tree = ast.parse(text, path)
    failed: dict[str, BaseException] = {}
    module.__dict__[FAILED] = failed
    flags = 0
    for each in tree.body:
        if isinstance(each, ast.ImportFrom) and each.module == "__future__":
            flags |= compile(ast.Module([each], []), path, "exec", dont_inherit=True).co_flags & _FUTURE
    module.__dict__[TREE] = tree
    if any(word in text for word in redirect.WORDS):
        redirect.activate()
    guessed = module.__dict__[GUESSED] = {}
    needed = needed_by(tree, wanted)
    for statement in sliced(tree, wanted):
        _run(statement, module.__dict__, path, flags, failed)
        name = _size_bound(statement)
        if name in failed and name in needed:
            module.__dict__[name] = guessed[name] = guess(name, int)


_OF = "in|out|input|output|hidden|embed|embedding|emb|vocab|vocabulary|seq|sequence|max|latent|d"
_WHAT = "size|dims?|len|length|width|height|features|channels|units|model"
_SIZE = re.compile(
    rf"(n|num|nb|number)_(of_)?[a-z_]+|(image|img)_size|({_OF})_({_WHAT})",
    re.IGNORECASE,
)
"""Names that nothing but a size has."""


def _size_bound(statement: ast.stmt) -> str:
    """The variable that a statement binds, if its name is that of a size; else nothing."""
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if len(targets) == 1 and isinstance(targets[0], ast.Name) and _SIZE.fullmatch(targets[0].id):
        return targets[0].id
    return ""


def _run(
    statement: ast.stmt, names: dict[str, Any], path: str, flags: int, failed: dict[str, BaseException]
) -> None:
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        for alias in statement.names:
            _bind(statement, alias, names, path, flags)
        return
    try:
        exec(compile(ast.Module([statement], []), path, "exec", flags, dont_inherit=True), names)
    except _PATIENT as error:
        failed.update({name: error for name in bound(statement) if name not in names})
        for name in assigned(statement):
            if name in names and not _survives(names[name], statement):
                del names[name]
                failed[name] = error


_FIXED = (types.ModuleType, types.FunctionType, type, Absent)
_ADDING = frozenset({"append", "extend", "insert", "add_module", "register_module"})


def _survives(value: Any, statement: ast.stmt) -> bool:
    """Whether what a name stands for is of use though a statement that changes it failed.

    What was filled in part is not what the code makes; a model whose weights could not be loaded is.
    """
    if isinstance(value, _FIXED):
        return True
    if not isinstance(value, nn.Module) or not isinstance(statement, ast.Expr):
        return False
    called = statement.value.func if isinstance(statement.value, ast.Call) else None
    return isinstance(called, ast.Attribute) and called.attr not in _ADDING


def _bind(
    statement: ast.Import | ast.ImportFrom, alias: ast.alias, names: dict[str, Any], path: str, flags: int
) -> None:
    """Import one name; where that fails, bind a stand-in."""
    if isinstance(statement, ast.ImportFrom):
        single: ast.stmt = ast.ImportFrom(statement.module, [alias], statement.level)
        origin = "." * statement.level + (statement.module or "")
    else:
        single, origin = ast.Import([alias]), ""
    ast.copy_location(single, statement)
    try:
        exec(compile(ast.Module([single], []), path, "exec", flags, dont_inherit=True), names)
    except _PATIENT:
        full = f"{origin}.{alias.name}" if origin else alias.name
        shown = alias.asname or (alias.name if origin else alias.name.partition(".")[0])
        if alias.name != "*":
            names[shown] = Absent(full if alias.asname or origin else shown)


def imported() -> list[str]:
    """The files of the project that were run."""
    return sorted(_run_files)


def opened() -> list[str]:
    """The files that were run or opened for reading, or looked for in vain, installed packages left out."""
    return sorted(_run_files | _opened)


_run_files: set[str] = set()
_opened: set[str] = set()


def note_opened() -> None:
    """From now on note which files are opened, until the process ends."""
    sys.addaudithook(_note)


def _note(event: str, given: Any) -> None:
    if event != "open" or not all(isinstance(each, str) for each in given[:2]) or set(given[1]) & set("wax+"):
        return
    path = os.path.abspath(given[0])
    if not path.startswith(_PASSING) and "site-packages" not in path:
        _opened.add(path)


_PASSING = (
    *(os.path.dirname(os.path.abspath(file)) + os.sep for file in (__file__, os.__file__)),
    *(os.path.join(prefix, "") for prefix in (sys.prefix, sys.base_prefix)),
    *("/proc/", "/dev/", "/sys/"),
)
"""What belongs to the worker, to the interpreter or to the system."""


class _Loader(importlib.machinery.SourceFileLoader):
    """Runs a module of the project as its definitions need it."""

    def exec_module(self, module: types.ModuleType) -> None:
        run(module, importlib.util.decode_source(self.get_data(self.path)), self.path, "")


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of the project, which are run in part; others are left to Python."""

    def __init__(self, folders: tuple[str, ...]) -> None:
        self._folders = tuple(os.path.realpath(folder) + os.sep for folder in folders)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of a module that lies in one of the folders, and not among installed packages."""
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            return None
        origin = os.path.realpath(spec.origin or "")
        if "site-packages" in origin or not origin.startswith(self._folders):
            return None
        if origin.startswith(os.path.dirname(os.__file__) + os.sep):
            return None
        spec.loader = _Loader(spec.name, spec.loader.path)
        return spec
