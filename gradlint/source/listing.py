"""Which files a folder holds."""

from __future__ import annotations

import os

CACHED = "__pycache__"
"""The folder with what Python compiled, which is no code that anybody wrote."""


def listing(folder: str) -> str | None:
    """The names of the Python files and, with a slash behind, of the folders in a folder, a line each; None
    where it is none.
    """
    try:
        with os.scandir(folder) as entries:
            found = [f"{e.name}/" if e.is_dir() else e.name for e in entries if e.name != CACHED]
    except OSError:
        return None
    return "\n".join(sorted([name for name in found if name.endswith((".py", "/"))]))
