"""Jupyter notebooks: their code cells as one text, and an edit of that text back into the cells."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from msgspec import Struct

from gradlint.source.jsontext import elements, members, skip_blanks
from gradlint.source.lines import restore, with_line_feeds
from gradlint.source.magics import with_indentation, without_code, without_indentation, without_magics
from gradlint.source.source import Cell, Source, SourceError

SEPARATOR = "\n\f\n"
"""Stands between cells: a line that is blank to Python and occurs in no cell."""

MARK = "\ufeff"


class _CodeCell(Struct, frozen=True):
    """A code cell: its number among all cells, from 1, its code in the file and as Python."""

    number: int
    code: str
    python: str


def decode_notebook(path: str, data: bytes) -> Source:
    """The Python code of a notebook of format 3 or 4; no cells where the kernel speaks another language.

    Raises `SourceError` where the file is not a notebook.
    """
    cells = _code_cells(_load(data))
    records: list[Cell] = []
    line = 1
    for cell in cells:
        count = cell.python.count("\n") + 1
        records.append(Cell(cell.number, line, count))
        line += count + 1
    text = SEPARATOR.join(cell.python for cell in cells)
    return Source(path, text, cells=tuple(records), original=data)


def encode_notebook(source: Source, text: str) -> bytes:
    """The notebook with `text` in its code cells and everything else as it was, byte for byte.

    Raises `SourceError` where the text has not the cells of the source.
    """
    original = source.original.decode("utf-8")
    cells = _code_cells(_load(source.original))
    codes = text.split(SEPARATOR) if cells or text else []
    if len(codes) != len(cells):
        raise SourceError("the edit does not keep the notebook's cells apart")
    changed = {
        cell.number: restore(
            cell.code,
            cell.python.split("\n"),
            code,
            partial(with_indentation, with_line_feeds(cell.code)),
        )
        for cell, code in zip(cells, codes, strict=True)
        if code != cell.python
    }
    return _with_codes(original, changed).encode("utf-8")


def cell_codes(data: bytes) -> dict[int, str]:
    """The code of each code cell as the notebook holds it, magics included, by the cell's number.

    Raises `SourceError` where the file is not a notebook.
    """
    return {cell.number: with_line_feeds(cell.code) for cell in _code_cells(_load(data))}


def _load(data: bytes) -> dict[str, Any]:
    try:
        notebook = json.loads(data.decode("utf-8").removeprefix(MARK))
    except UnicodeDecodeError as error:
        raise SourceError("a notebook must be UTF-8", data.count(b"\n", 0, error.start) + 1) from None
    except json.JSONDecodeError as error:
        raise SourceError(f"not a notebook: {error.msg}", error.lineno, error.colno) from None
    except RecursionError:
        raise SourceError("not a notebook: nested too deeply") from None
    if not isinstance(notebook, dict) or not {"cells", "worksheets"} & notebook.keys():
        raise SourceError("not a notebook: no cells")
    return notebook


def _code_cells(notebook: dict[str, Any]) -> list[_CodeCell]:
    """The code cells in order; raises `SourceError` where the structure is not a notebook's."""
    try:
        if not _speaks_python(notebook.get("metadata", {})):
            return []
        cells = [
            _code_cell(number, cell)
            for number, cell in enumerate(_cells(notebook), 1)
            if cell["cell_type"] == "code"
        ]
        "".join(cell.python for cell in cells).encode("utf-8")
    except UnicodeEncodeError:
        raise SourceError("not a notebook: a cell holds half of a surrogate pair") from None
    except (AttributeError, KeyError, TypeError):
        raise SourceError(f"not a notebook: {_misshapen(notebook)}") from None
    return cells


def _misshapen(notebook: dict[str, Any]) -> str:
    """What in the structure is not as the format has it, in words."""
    if not isinstance(notebook.get("metadata", {}), dict):
        return "its metadata are no object"
    sheets = notebook.get("worksheets", [])
    if not isinstance(notebook.get("cells", []), list) or not isinstance(sheets, list):
        return "its cells are no list"
    if any(not isinstance(sheet, dict) or not isinstance(sheet.get("cells"), list) for sheet in sheets):
        return "a worksheet without a list of cells"
    number, cell = next((each for each in enumerate(_cells(notebook), 1) if not _is_cell(each[1])), (0, None))
    if not number:
        return "metadata that are no object"
    if not isinstance(cell, dict):
        return f"cell {number} is no object"
    return (
        f"cell {number} has no type" if "cell_type" not in cell else f"cell {number} has code that is no text"
    )


def _is_cell(cell: object) -> bool:
    """Whether a cell has a type and, if it holds code, code that is text."""
    if not isinstance(cell, dict) or "cell_type" not in cell:
        return False
    code = cell.get("source", cell.get("input", ""))
    lines = code if isinstance(code, list) else [code]
    return cell["cell_type"] != "code" or all(isinstance(line, str) for line in lines)


def _cells(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from notebook.get("cells", ())
    for sheet in notebook.get("worksheets", ()):
        yield from sheet["cells"]


def _code_cell(number: int, cell: dict[str, Any]) -> _CodeCell:
    code = "".join(cell.get("source", cell.get("input", "")))
    convert = without_magics if _is_python(cell) else without_code
    return _CodeCell(number, code, without_indentation(convert(with_line_feeds(code))))


def _speaks_python(metadata: dict[str, Any]) -> bool:
    """Whether the kernel's language is Python, or not told."""
    languages = (
        metadata.get("language_info", {}).get("name"),
        metadata.get("kernelspec", {}).get("language"),
    )
    return str(next(filter(None, languages), "python")).lower() in ("python", "ipython")


def _is_python(cell: dict[str, Any]) -> bool:
    """Whether the cell itself names no other language."""
    editor = cell.get("metadata", {}).get("vscode", {}).get("languageId", "python")
    return {editor, cell.get("language", "python")} == {"python"}


_COMPACT = re.compile(r'(?:\ufeff)?\s*\{\s*"(?:[^"\\]|\\.)*":\S')
"""A JSON text without a blank behind the colon of its first key."""


def _with_codes(text: str, codes: dict[int, str]) -> str:
    """The notebook's text with the code of the numbered cells replaced."""
    parts: list[str] = []
    at = 0
    gap = "" if _COMPACT.match(text) else " "
    for number, (start, end) in enumerate(_code_spans(text), 1):
        if number in codes and start < end:
            parts += [text[at:start], _rendered(text[start:end], codes[number], gap)]
            at = end
    return "".join([*parts, text[at:]])


def _code_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where each cell's code stands in the notebook's text; empty for a cell without."""
    root = dict(members(text, skip_blanks(text, len(MARK) if text.startswith(MARK) else 0)))
    sheets = [root] if "cells" in root else []
    if "worksheets" in root:
        sheets += [dict(members(text, start)) for start, _ in elements(text, root["worksheets"][0])]
    for sheet in sheets:
        for start, _ in elements(text, sheet["cells"][0]):
            cell = dict(members(text, start))
            yield cell.get("source", cell.get("input", (0, 0)))


def _rendered(raw: str, code: str, gap: str) -> str:
    """`code` as JSON, in the form of the value `raw`: one string, or a list of lines laid out alike.

    Where that does not show what stands behind a comma, it is `gap`.
    """
    escaped = raw.isascii() and "\\u" in raw
    if not raw.startswith("["):
        return json.dumps(code, ensure_ascii=escaped)
    items = [json.dumps(line, ensure_ascii=escaped) for line in code.splitlines(keepends=True)]
    places = list(elements(raw, 0))
    if not places:
        return f"[{f',{gap}'.join(items)}]"
    lead = raw[1 : places[0][0]]
    between = raw[places[0][1] : places[1][0]] if len(places) > 1 else f",{lead or gap}"
    return f"[{lead}{between.join(items)}{raw[places[-1][1] :]}"
