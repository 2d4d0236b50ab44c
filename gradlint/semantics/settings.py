"""What code is configured with: files that it reads, Hydra, and the defaults of its command line.

Values found here are those of a run that is told nothing else; an interpretation says what it makes of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gradlint.records import ir
from gradlint.records.span import Span
from gradlint.semantics.command_line import Supplied, option, parser
from gradlint.semantics.declared_line import application, command_line, default_of, parser_of_classes
from gradlint.semantics.extent import fits
from gradlint.semantics.interpretation import Arguments, Site, known
from gradlint.semantics.neighbours import EVERYTHING
from gradlint.semantics.project import import_root
from gradlint.semantics.registries import REGISTERING, built, new_registry
from gradlint.semantics.settings_file import (
    UNKNOWN,
    Folder,
    composed,
    entries,
    kind_of,
    read,
    repository,
    resolved,
)
from gradlint.semantics.value import Items, Known, Settings, Table, Value

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator


class FilePath(Value, frozen=True, eq=False):
    """A path that stands in the code, as `pathlib.Path` makes it."""

    path: str


class Opened(Value, frozen=True, eq=False):
    """A file that was opened, or its text, by the path that stands in the code."""

    path: str


Meaning = Callable[["Evaluator", Arguments, Site], Value | None]


def configured(evaluator: Evaluator, name: str, arguments: Arguments, site: Site) -> Value | None:
    """What a function from outside the project gives that reads settings; None for any other."""
    meaning = _FUNCTIONS.get(name)
    return meaning(evaluator, arguments, site) if meaning is not None and not arguments.open else None


# files


def _folder(evaluator: Evaluator, path: str) -> tuple[Folder, Callable[[], None]]:
    """Where files are looked for from the code at `path`; and what notes that they were."""
    own = os.path.dirname(os.path.abspath(path))
    around, sought = repository(own)
    folder = Folder(tuple(dict.fromkeys((own, import_root(path), around))), sought)
    return folder, lambda: evaluator.consulted.update((each, EVERYTHING) for each in folder.sought)


def _data(evaluator: Evaluator, path: str, code: str, kind: str = "") -> Any:
    """What stands in the file that a path means in the code; UNKNOWN where that cannot be read."""
    folder, note = _folder(evaluator, code)
    found = folder.find(path)
    note()
    return UNKNOWN if found is None else read(found, kind)


def table_in(evaluator: Evaluator, path: str, code: str) -> Table | None:
    """The table in a file that the code names; None where it cannot be read."""
    data = _data(evaluator, path, code)
    made = value_of(data, ir.Literal(Span(1, 1, 1, 1), None))
    return made if isinstance(made, Table) else None


def _path_in(value: Value) -> str | None:
    if isinstance(value, (FilePath, Opened)):
        return value.path
    return value.value if isinstance(value, Known) and isinstance(value.value, str) else None


def _opened(evaluator: Evaluator, arguments: Arguments, site: Site) -> Value | None:
    """`open("settings.yaml")`, for reading."""
    first, mode = arguments.get(0, "file"), known(arguments.get(1, "mode"))
    path = None if first is None else _path_in(first.value)
    is_read = mode is None or (isinstance(mode, str) and "r" in mode)
    return Opened(path) if path is not None and kind_of(path) and is_read else None


def _path(evaluator: Evaluator, arguments: Arguments, site: Site) -> Value | None:
    """`Path("conf", "settings.yaml")`."""
    parts = [_path_in(value) for value in arguments.values()]
    if not parts or None in parts:
        return None
    joined = os.path.join(*[part for part in parts if part is not None])
    return FilePath(joined) if kind_of(joined) else None


def _joined(evaluator: Evaluator, arguments: Arguments, site: Site) -> Value | None:
    """`os.path.join("conf", "settings.yaml")`."""
    found = _path(evaluator, arguments, site)
    return Known(found.path) if isinstance(found, FilePath) else None


def of_path(value: FilePath | Opened, name: str) -> Value | None:
    """What a method of a path, or of an open file, gives that leads to its text."""
    return Opened(value.path) if name in ("open", "read_text", "read_bytes", "read") else None


def _reader(kind: str, is_namespace: bool = False) -> Meaning:
    """A function that reads a format, from an open file, its text or a path; OmegaConf makes a namespace."""

    def meaning(evaluator: Evaluator, arguments: Arguments, site: Site) -> Value | None:
        source = next(iter(arguments.values()), None)
        path = None if source is None else _path_in(source)
        if path is None:
            return None
        data = _data(evaluator, path, site.path, kind)
        return _configuration(evaluator, resolved(data) if is_namespace else data, site, is_namespace)

    return meaning


def _configuration(evaluator: Evaluator, data: Any, site: Site, is_namespace: bool) -> Value | None:
    if not isinstance(data, dict):
        return None
    made = value_of(data, site.node, is_namespace)
    return evaluator.interpretation.settings(made) if isinstance(made, Table) and fits(made) else None


def value_of(data: Any, node: ir.Expression, is_namespace: bool = False) -> Value:
    """Data as values; a namespace lets its entries be read as attributes."""
    if isinstance(data, dict):
        found = {key: value_of(value, node, is_namespace) for key, value in entries(data)}
        is_open = len(found) < len(data)
        return Settings(found, node, is_open) if is_namespace else Table(found, node, is_open)
    if isinstance(data, list):
        held = [value_of(each, node, is_namespace) for each in data if each is not UNKNOWN]
        return Items("list", held, node, len(held) < len(data))
    return Known(data)


# Hydra


def _hydra(evaluator: Evaluator, arguments: Arguments, site: Site) -> Value | None:
    """`@hydra.main(config_path="conf", config_name="train")`."""
    path, name = known(arguments.get(0, "config_path")), known(arguments.get(1, "config_name"))
    if not isinstance(name, str) or not isinstance(path, str | None):
        return None
    folder, note = _folder(evaluator, site.path)
    beside = Folder(folder.bases[:1], folder.sought)
    data = composed(beside, path or ".", name)
    note()
    made = _configuration(evaluator, data, site, True)
    return Supplied({}, made) if made is not None else None


_YAML = ("load", "safe_load", "full_load", "unsafe_load")

_FUNCTIONS: dict[str, Meaning] = {
    "builtins.open": _opened,
    "io.open": _opened,
    "pathlib.Path": _path,
    "os.path.join": _joined,
    "json.load": _reader("json"),
    "json.loads": _reader("json"),
    **{
        f"{name}.{method}": _reader("toml")
        for name in ("tomllib", "tomli", "toml")
        for method in ("load", "loads")
    },
    **{f"yaml.{method}": _reader("yaml") for method in _YAML},
    "omegaconf.OmegaConf.load": _reader("yaml", True),
    "hydra.main": _hydra,
    **{f"{name}.Registry": new_registry for name in REGISTERING},
    **{f"{name}.build_from_cfg": built for name in REGISTERING},
    "argparse.ArgumentParser": parser,
    "click.option": option,
    "dataclasses.field": default_of,
    "typer.Typer": application,
    **dict.fromkeys(("typer.Option", "typer.Argument"), default_of),
    **dict.fromkeys(("typer.run", "tyro.cli", "fire.Fire", "jsonargparse.CLI"), command_line),
    **dict.fromkeys(("simple_parsing.parse", "draccus.parse", "pyrallis.parse"), command_line),
    **dict.fromkeys(
        ("transformers.HfArgumentParser", "transformers.hf_argparser.HfArgumentParser", "trl.TrlParser"),
        parser_of_classes,
    ),
}
