"""Which settings hold for a file: options over the nearest configuration file over defaults."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gradlint.config.combine import combine
from gradlint.config.error import ConfigError
from gradlint.config.layer import KeyedError, as_layer, mismatch
from gradlint.config.options import EXTEND
from gradlint.config.select import FileSelector, Selection
from gradlint.config.settings import Settings
from gradlint.config.toml_file import Table, find_file, line_of, read_table
from gradlint.rule.rule import Rule


class Configurations:
    """The settings that hold for each file: options over the nearest configuration file over defaults.

    `options` are keys as in a file, with relative paths below the working directory. `file` replaces
    the search for configuration files, `isolated` leaves them all out. Raises `ConfigError`, here or
    when settings are asked for.
    """

    def __init__(
        self,
        rules: Sequence[type[Rule]],
        options: Table | None = None,
        *,
        file: str | None = None,
        isolated: bool = False,
    ) -> None:
        self._rules = tuple(rules)
        self._options = as_layer(options or {}, os.getcwd(), self._rules)
        self._by_folder: dict[str, Settings] = {}
        self._selectors: dict[int, FileSelector] = {}
        self._bare = self._with_options(Settings(root=os.path.realpath(os.getcwd())))
        self._fixed = self._bare if isolated else None
        if file is not None and not isolated:
            self._fixed = self._with_options(self._load(os.path.realpath(file), ()))

    def for_folder(self, folder: str) -> Settings:
        """The settings that hold for the files in a folder."""
        return self._fixed or self._nearest(os.path.realpath(folder))

    def for_file(self, path: str) -> Settings:
        """The settings that hold for the file at `path`, which need not exist."""
        return self.for_folder(os.path.dirname(path))

    def select(self, path: str) -> Selection:
        """The rules that are on for the file at `path`."""
        settings = self.for_file(path)
        selector = self._selectors.get(id(settings))
        if selector is None:
            selector = self._selectors[id(settings)] = FileSelector(self._rules, settings)
        return selector.for_file(path)

    def _nearest(self, folder: str) -> Settings:
        known = self._by_folder.get(folder)
        if known is None:
            known = self._by_folder[folder] = self._find(folder)
        return known

    def _find(self, folder: str) -> Settings:
        path = find_file(folder)
        if path is not None:
            return self._with_options(self._load(path, ()))
        above = os.path.dirname(folder)
        return self._bare if above == folder else self._nearest(above)

    def _with_options(self, settings: Settings) -> Settings:
        return combine(settings, self._options)

    def _load(self, path: str, extending: tuple[str, ...]) -> Settings:
        """The settings of the file at `path`, laid over those that it extends."""
        text, table = read_table(path)
        if table is None:
            raise ConfigError("there is no table [tool.gradlint]", path)
        folder = os.path.dirname(path)
        below = Settings()
        with _telling_place(path, text):
            if EXTEND in table:
                below = self._load_extended(table[EXTEND], path, extending)
            layer = as_layer({key: table[key] for key in table if key != EXTEND}, folder, self._rules)
        return combine(below, layer | {"root": folder})

    def _load_extended(self, value: object, path: str, extending: tuple[str, ...]) -> Settings:
        if not isinstance(value, str):
            raise mismatch(EXTEND, "a string", value)
        extended = os.path.realpath(os.path.join(os.path.dirname(path), os.path.expanduser(value)))
        if extended in (*extending, path):
            raise KeyedError(EXTEND, f"`extend = {value!r}` leads back to this file")
        if not os.path.isfile(extended):
            raise KeyedError(EXTEND, f"`extend = {value!r}` names no file")
        return self._load(extended, (*extending, path))


@contextmanager
def _telling_place(path: str, text: str) -> Iterator[None]:
    """Add the file and the line of the key to an error in a table."""
    try:
        yield
    except KeyedError as error:
        raise ConfigError(error.args[0], path, line_of(error.key, text, path)) from None
