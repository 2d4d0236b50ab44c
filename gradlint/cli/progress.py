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
def progress_bar(
    wanted: bool, label: str = "Checking", patience: float | None = None
) -> Iterator[Callable[..., None] | None]:
    """A function to call with (done, total) and what is being done; None where no terminal would show it."""
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    bar = _Bar(label, PATIENCE if patience is None else patience)
    try:
        yield bar.advance
    finally:
        bar.close()


class _Bar:
    def __init__(self, label: str, patience: float) -> None:
        self._label = label
        self._begin = time.monotonic() + patience
        self._progress: Progress | None = None

    def advance(self, done: int, total: int, what: str = "") -> None:
        if self._progress is None:
            if time.monotonic() < self._begin:
                return
            self._progress = _open_bar(self._label, total)
        (task,) = self._progress.task_ids
        self._progress.update(task, completed=done, total=total, description=f"{self._label} {what}".rstrip())

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()


def _open_bar(label: str, total: int) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed

    text = TextColumn("{task.description}", markup=False)
    columns = (SpinnerColumn(), text, BarColumn(), MofNCompleteColumn(), Elapsed())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    progress.add_task(label, total=total)
    progress.start()
    return progress
