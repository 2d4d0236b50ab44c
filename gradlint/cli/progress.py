"""A progress bar for runs that take long enough to wonder."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress

PATIENCE = 0.7
"""Seconds before the bar appears."""


@contextmanager
def progress_bar(wanted: bool, label: str = "Checking") -> Iterator[Callable[[int, int], None] | None]:
    """A function to call with (done, total); None where no terminal would show the bar."""
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    bar = _Bar(label)
    try:
        yield bar.advance
    finally:
        bar.close()


class _Bar:
    def __init__(self, label: str) -> None:
        self._label = label
        self._start = time.monotonic()
        self._progress: Progress | None = None

    def advance(self, done: int, total: int) -> None:
        if self._progress is None:
            if time.monotonic() - self._start < PATIENCE:
                return
            self._progress = _open_bar(self._label, total)
        self._progress.update(self._progress.task_ids[0], completed=done, total=total)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()


def _open_bar(label: str, total: int) -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    progress = Progress(console=Console(stderr=True), transient=True)
    progress.add_task(label, total=total)
    progress.start()
    return progress
