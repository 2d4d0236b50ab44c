"""Notebooks and plain files: what is read is Python, and what is written back changes nothing else."""

from __future__ import annotations

import ast
import json
import re
import tokenize
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlint.source.lines import dominant_newline
from gradlint.source.magics import without_magics
from gradlint.source.read import decode, encode, read
from gradlint.source.source import SourceError

PYTHON = (
    "x = 1",
    "",
    "\f",
    "# what?",
    "def f():\n    return 2",
    "s = '''\n%not a magic\n!nor this\nwhat?\n'''",
    "y = (7\n% 4)",
    "if x:\n    pass",
    "z = 'é\u2028ü'",
    "w = x \\\n  + 1",
    "x = 1\r",
    "t = 'a' # ?",
)
INDENTED = (
    "\n  a = [1,\n    2]\n  for i in a:\n    %time i",
    "    x = 1\r\n    if x:\r\n\r\n        y = 2\r\n    # done",
    "\tu = 1\n\t!ls",
)
MAGIC = (
    "%matplotlib inline",
    "!ls -l",
    "?print",
    "print?",
    "x.append??",
    "a, b = %magic 1",
    "x = !ls \\\n| cat",
    "if 1:\n    !pip install torch",
    "%time f(\n",
    "%timeit -n 3 x",
    ";f 1",
    "x: int = !ls",
    "%config InlineBackend.x = 'retina'",
)
CELLS = ("%%bash\necho 'a\n", "%%time\nx = 1", "\n%%html\n<p>", "%sql\nSELECT 1", "%%timeit\n!ls\n", "")

codes = st.one_of(
    st.lists(st.sampled_from(PYTHON + MAGIC), max_size=5).map("\n".join),
    st.sampled_from(CELLS + INDENTED),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30),
)
texts = st.text(st.characters(codec="utf-8"), max_size=10)


@dataclass(frozen=True)
class Notebook:
    """A notebook of format 3 or 4 in any layout that its writers use."""

    cells: list[dict[str, Any]]
    version: int
    layout: dict[str, Any]
    end: str

    def dump(self) -> bytes:
        sheet = {"cells": self.cells}
        holder = sheet if self.version == 4 else {"worksheets": [sheet, {"cells": []}]}
        book = {"metadata": {"language_info": {"name": "python"}}, "nbformat": self.version} | holder
        return (json.dumps(book, **self.layout) + self.end).encode()

    def with_code(self, number: int, code: str) -> Notebook:
        cell = self.cells[number - 1]
        key = "source" if "source" in cell else "input"
        form = code if isinstance(cell[key], str) else code.splitlines(keepends=True)
        return replace(self, cells=[*self.cells[: number - 1], cell | {key: form}, *self.cells[number:]])

    def code(self, number: int) -> str:
        cell = self.cells[number - 1]
        return "".join(cell.get("source", cell.get("input", "")))


@st.composite
def notebooks(draw: st.DrawFn) -> Notebook:
    kinds = st.sampled_from(["code", "markdown", "raw"])
    cells = draw(st.lists(st.tuples(codes, kinds, st.booleans()), max_size=4))
    version = draw(st.sampled_from([3, 4]))
    key = "source" if version == 4 else "input"
    records: list[dict[str, Any]] = [
        {
            "outputs": [{"text": draw(texts), "data": float("nan")}],
            "cell_type": kind,
            key if kind == "code" else "source": code if whole else code.splitlines(keepends=True),
            "metadata": {"cells": draw(texts)},
        }
        for code, kind, whole in cells
    ]
    layouts: list[dict[str, Any]] = [{"indent": 1}, {"indent": "\t"}, {"separators": (",", ":")}, {}]
    layout = draw(st.sampled_from(layouts)) | {"ensure_ascii": draw(st.booleans())}
    return Notebook(records, version, layout, draw(st.sampled_from(["", "\n"])))


@given(notebooks())
def test_an_unchanged_notebook_is_unchanged(notebook: Notebook) -> None:
    data = notebook.dump()
    source = decode("a.ipynb", data)
    assert encode(source, source.text) == data
    for cell in source.cells:
        places = [source.locate(cell.first_line + at) for at in range(cell.line_count)]
        assert places == [(cell.number, at) for at in range(1, cell.line_count + 1)]


@given(notebooks(), st.data())
def test_an_edit_changes_one_line_of_one_cell(notebook: Notebook, draws: st.DataObject) -> None:
    source = decode("a.ipynb", notebook.dump())
    cells = [cell for cell in source.cells if notebook.code(cell.number)]
    if not cells:
        return
    cell = draws.draw(st.sampled_from(cells))
    at = draws.draw(st.integers(0, cell.line_count - 1))
    lines = source.lines()
    lines[cell.first_line - 1 + at] = "edited = 1"
    code = re.split(r"(\r\n|\r|\n)", notebook.code(cell.number))
    code[2 * at] = "edited = 1"
    if 2 * at + 1 < len(code):
        code[2 * at + 1] = dominant_newline(notebook.code(cell.number))[0]
    assert encode(source, "\n".join(lines)) == notebook.with_code(cell.number, "".join(code)).dump()


@given(st.lists(st.sampled_from(PYTHON + MAGIC), max_size=8))
def test_magics_leave_python_with_the_same_lines(parts: list[str]) -> None:
    cell = "\n".join(part for part in parts if "\r" not in part and part != "%time f(\n")
    python = without_magics(cell)
    ast.parse(python)
    assert python.count("\n") == cell.count("\n")
    kept = [part for part in parts if part in PYTHON and "\r" not in part and part != "\f"]
    assert all(part in python for part in kept)


@pytest.mark.parametrize("cell", INDENTED)
def test_an_indented_cell_is_python_in_the_same_columns(cell: str) -> None:
    lines = cell.replace("\r\n", "\n").split("\n")
    source = decode("a.ipynb", json.dumps({"cells": [{"cell_type": "code", "source": cell}]}).encode())
    names = [node for node in ast.walk(ast.parse(source.text)) if isinstance(node, ast.Name)]
    assert names
    for node in names:
        written = lines[node.lineno - 1][node.col_offset :]
        assert written.startswith(node.id)
    edited = source.text.replace("= 1", "= 10").replace("[1", "[10")
    code = json.loads(encode(source, edited))["cells"][0]["source"]
    assert code == cell.replace("= 1", "= 10").replace("[1", "[10")


def test_cells_of_other_languages_are_blank() -> None:
    for cell in CELLS[:1] + CELLS[2:4]:
        assert ast.dump(ast.parse(without_magics(cell))) == ast.dump(ast.parse(""))
    assert without_magics(CELLS[1]) == "pass  # %0\nx = 1"
    for metadata in ({"kernelspec": {"language": "julia"}}, {"language_info": {"name": "R"}}):
        book = {"metadata": metadata, "cells": [{"cell_type": "code", "source": "x <- 1"}]}
        assert decode("a.ipynb", json.dumps(book).encode()).cells == ()
    polyglot = {
        "cells": [{"cell_type": "code", "source": "a\nb", "metadata": {"vscode": {"languageId": "sql"}}}]
    }
    assert decode("a.ipynb", json.dumps(polyglot).encode()).text == "# %0\n# %1"


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"", 1, "Expecting value"),
        (b'{"cells": [\n oops]}', 2, "Expecting value"),
        (b"[]", 1, "no cells"),
        (b'{"cells": [1]}', 1, "cell 1 is no object"),
        (b'{"cells": 1}', 1, "its cells are no list"),
        (b'{"worksheets": [{}]}', 1, "a worksheet without a list of cells"),
        (b'{"metadata": [], "cells": []}', 1, "its metadata are no object"),
        (b'{"metadata": {"kernelspec": 1}, "cells": []}', 1, "metadata that are no object"),
        (b'{"cells": [{"cell_type": "raw"}, {}]}', 1, "cell 2 has no type"),
        (b'{"cells": [{"cell_type": "code", "source": 3}]}', 1, "cell 1 has code that is no text"),
        (b'{\n"a": "\xff"}', 2, "UTF-8"),
        (b'{"cells": [{"cell_type": "code", "source": "\\ud800"}]}', 1, "surrogate"),
        (b"[" * 100_000, 1, "too deeply"),
    ],
)
def test_broken_notebooks_are_told(content: bytes, line: int, words: str) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        decode("a.ipynb", content)
    assert caught.value.line == line and "notebook" in str(caught.value)


def test_an_edit_may_not_merge_cells() -> None:
    book = {"cells": [{"cell_type": "code", "source": "a"}, {"cell_type": "code", "source": "b"}]}
    source = decode("a.ipynb", json.dumps(book).encode())
    with pytest.raises(SourceError, match="apart"):
        encode(source, "a\nb")


endings = st.sampled_from(["\n", "\r\n", "\r"])
lines = st.lists(
    st.tuples(st.sampled_from(["x = 1", "", "'é'", "\f", "# \x0b\x1c\x85\u2028"]), endings), max_size=8
)


@given(
    lines,
    st.sampled_from(
        ["", "# coding: latin-1\n", "# -*- coding: utf8 -*-\n", "\ufeff", "#\n# vim: coding=cp1252\n"]
    ),
)
def test_a_file_is_written_back_unchanged(parts: list[tuple[str, str]], head: str) -> None:
    narrow = "coding" in head and "utf" not in head
    text = "".join(
        line.encode("ascii", "ignore").decode() + end if narrow else line + end for line, end in parts
    )
    data = (head + text).encode()
    source = decode("a.py", data)
    assert "\r" not in source.text
    assert "\ufeff" not in source.text
    assert encode(source, source.text) == data
    expected, _ = tokenize.detect_encoding(BytesIO(data).readline)
    assert "".encode(source.encoding) == "".encode(expected)
    assert source.text == data.decode(expected).replace("\r\n", "\n").replace("\r", "\n")


def test_a_new_line_ends_as_most_do_and_the_others_stay() -> None:
    source = decode("a.py", b"a\r\nb\nc\r\nd")
    assert encode(source, "a\nnew\nb\nc\nd") == b"a\r\nnew\r\nb\nc\r\nd"
    windows = decode("a.py", b"a\r\nb\r\n")
    assert encode(windows, "a\nnew\n") == b"a\r\nnew\r\n"


@pytest.mark.parametrize(
    ("data", "message", "line"),
    [
        (b"x\ny\0", "null", 2),
        (b"a\r\n\xff", "0xff is not valid utf-8", 2),
        (b"#\n# coding: klingon", "klingon", 2),
        (b"\xef\xbb\xbf# coding: latin-1", "contradicts", 1),
        (b"# coding: utf-16", "ASCII", 1),
        (b"# coding: rot13", "unknown", 1),
        (b"# coding: ascii\n\n\xe4", "0xe4 is not valid ascii", 3),
    ],
)
def test_bytes_that_are_no_text_are_told(data: bytes, message: str, line: int) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        decode("a.py", data)
    assert caught.value.line == line


def test_text_that_the_encoding_lacks_is_told(tmp_path: Path) -> None:
    source = decode("a.py", b"# coding: latin-1\nx = 1")
    with pytest.raises(SourceError, match="does not exist in latin-1") as caught:
        encode(source, "# coding: latin-1\nx = '\u2713'")
    assert caught.value.line == 2
    with pytest.raises(SourceError, match="unknown encoding: hex"):
        decode("a.py", b"# coding: hex\n")
    with pytest.raises(SourceError, match="cannot be read: Is a directory"):
        read(str(tmp_path))
