"""IPython's own syntax, taken out of a notebook cell so that Python remains."""

from __future__ import annotations

import re
from collections.abc import Iterator

PYTHON_CELLS = frozenset(
    {"capture", "debug", "ipytest", "prun", "pypy", "python", "python3", "time", "timeit"}
)
FOREIGN_LANGUAGES = frozenset({"fs", "md", "r", "scala", "sh", "sql"})

INDENT = re.compile(r"(?:[ \t]*\n)*([ \t]+)\S")
PERHAPS = re.compile(r"^[ \t\f]*[%!?,;/]|\?[ \t]*$|=[ \t]*[!%]|^\f$", re.MULTILINE)
CELL_MAGIC = re.compile(r"\s*(%%?)(\w*)")
ESCAPE = re.compile(r"[ \t\f]*[%!?,;/]")
HELP = re.compile(r"[ \t\f]*%{0,2}(?!\d)[\w.*\[\]-]+\?{1,2}[ \t]*$", re.MULTILINE)
ASSIGNMENT = re.compile(r"[ \t\f]*([^=!<>#\"'()\n]+?)[ \t]*=[ \t]*[!%]")
TOKEN = re.compile(
    r'''"""(?:\\.|[^\\])*?(?:"""|\Z)|\'\'\'(?:\\.|[^\\])*?(?:\'\'\'|\Z)'''
    r"""|"(?:\\.|[^\\"\n])*"?|'(?:\\.|[^\\'\n])*'?"""
    r"""|\#[^\n]*|(?P<open>[(\[{])|(?P<close>[)\]}])|\\\n|(?P<end>\n)|[^"'\#()\[\]{}\\\n]+|.""",
    re.DOTALL,
)


def without_magics(cell: str) -> str:
    """The cell with the same number of lines, each magic, shell or help line made harmless Python.

    What replaces a line is unlike every other line of the cell, so that it can be put back. A cell
    in another language becomes comments.
    """
    if not PERHAPS.search(cell):
        return cell
    if _is_foreign(cell):
        return without_code(cell)
    lines = ["" if line == "\f" else line for line in cell.split("\n")]
    for number in _logical_lines(cell):
        replacement = _replacement(lines[number], number)
        if replacement is not None:
            _replace(lines, number, replacement)
    return "\n".join(lines)


def without_indentation(cell: str) -> str:
    """The cell without the indentation of its first line in any line, as IPython runs it.

    Columns stay what they are: a form feed, which begins a line anew for Python, ends what is taken away.
    """
    indent = INDENT.match(cell)
    if indent is None:
        return cell
    return re.sub(rf"^{indent[1]}(?=[ \t]*\S)", f"{indent[1][:-1]}\f", cell, flags=re.MULTILINE)


def with_indentation(cell: str, line: str) -> str:
    """A line of the cell without indentation, as the cell itself has its lines."""
    indent = INDENT.match(cell)
    shown = "" if indent is None else f"{indent[1][:-1]}\f"
    return f"{indent[1]}{line.removeprefix(shown)}" if indent and line.startswith(shown) else line


def without_code(cell: str) -> str:
    """A comment for every line of a cell that is not Python."""
    return "\n".join(f"# %{number}" for number in range(cell.count("\n") + 1))


def _is_foreign(cell: str) -> bool:
    """Whether a magic in the first line hands the whole cell to something that is not Python."""
    magic = CELL_MAGIC.match(cell)
    if magic is None:
        return False
    marker, name = magic.groups()
    return name not in PYTHON_CELLS if marker == "%%" else name in FOREIGN_LANGUAGES


def _logical_lines(cell: str) -> Iterator[int]:
    """The numbers, from 0, of the lines where no string, bracket or statement is being continued."""
    at = line = 0
    while at < len(cell):
        yield line
        end = _end_of_magic(cell, at) or _end_of_statement(cell, at)
        line += cell.count("\n", at, end)
        at = end


def _end_of_magic(cell: str, at: int) -> int | None:
    """Where the magic that begins at `at` ends, with the lines that its backslashes draw in."""
    if not any(form.match(cell, at) for form in (ESCAPE, HELP, ASSIGNMENT)):
        return None
    while (end := cell.find("\n", at)) > 0 and cell[end - 1] == "\\":
        at = end + 1
    return end + 1 if end >= 0 else len(cell)


def _end_of_statement(cell: str, at: int) -> int:
    depth = 0
    for token in TOKEN.finditer(cell, at):
        kind = token.lastgroup
        if kind == "end" and depth <= 0:
            return token.end()
        depth += {"open": 1, "close": -1}.get(kind or "", 0)
    return len(cell)


def _replacement(line: str, number: int) -> str | None:
    """Python in place of the magic in `line`; None where there is no magic."""
    indent = line[: len(line) - len(line.lstrip())]
    if ESCAPE.match(line) or HELP.match(line):
        return f"{indent}pass  # %{number}"
    if assignment := ASSIGNMENT.match(line):
        return f"{indent}{assignment[1]} = get_ipython()  # %{number}"
    return None


def _replace(lines: list[str], number: int, replacement: str) -> None:
    continued = lines[number].endswith("\\")
    lines[number] = replacement
    while continued and number + 1 < len(lines):
        number += 1
        continued = lines[number].endswith("\\")
        lines[number] = f"# %{number}"
