"""Which files a folder holds."""

from __future__ import annotations

import os


def listing(folder: str) -> str | None:
    """The names of the Python files and of the folders in a folder, a line each; None where it is none."""
    try:
        with os.scandir(folder) as entries:
            return "\n".join(sorted(e.name for e in entries if e.name.endswith(".py") or e.is_dir()))
    except OSError:
        return None
