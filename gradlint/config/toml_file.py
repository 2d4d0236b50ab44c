"""Configuration files on disk."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from gradlint.config.error import ConfigError

OWN_FILES = ("gradlint.toml", ".gradlint.toml")
SHARED_FILE = "pyproject.toml"

Table = Mapping[str, Any]
"""The keys of a configuration file, or of the command line, as written."""


def find_file(folder: str) -> str | None:
    """The configuration file in a folder; its own kind goes before `pyproject.toml`."""
    for name in OWN_FILES:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            return path
    path = os.path.join(folder, SHARED_FILE)
    return path if os.path.isfile(path) and read_table(path)[1] is not None else None


def read_table(path: str) -> tuple[str, Table | None]:
    """The file's text and its settings; None where a `pyproject.toml` has no table for them."""
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", path) from None
    shared = os.path.basename(path) == SHARED_FILE
    if shared and b"gradlint" not in data:
        return "", None
    text, document = _parse(path, data)
    if not shared:
        return text, document
    tools = document.get("tool")
    table = tools.get("gradlint") if isinstance(tools, dict) else None
    if table is not None and not isinstance(table, dict):
        raise ConfigError("`tool.gradlint` must be a table", path)
    return text, table


def _parse(path: str, data: bytes) -> tuple[str, dict[str, Any]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8", path, data.count(b"\n", 0, error.start) + 1) from None
    try:
        return text, _toml_parser()(text)
    except ValueError as error:
        told = re.search(r"at line (\d+)", str(error))
        line = int(told[1]) if told else text.count("\n") + 1
        raise ConfigError(f"is not TOML: {error}", path, line) from None


def _toml_parser() -> Callable[[str], dict[str, Any]]:
    if sys.version_info >= (3, 11):
        from tomllib import loads
    else:
        from tomli import loads
    return loads


def line_of(key: str, text: str, path: str) -> int | None:
    """The line on which the settings in `text` give the key."""
    start = 0 if os.path.basename(path) != SHARED_FILE else max(text.find("[tool.gradlint"), 0)
    pattern = rf"^[ \t]*(?:\[tool\.gradlint\.|\[)?[\"']?{re.escape(key)}[\"']?[ \t]*[=\].]"
    found = re.compile(pattern, re.MULTILINE).search(text, start)
    return text.count("\n", 0, found.start()) + 1 if found else None
