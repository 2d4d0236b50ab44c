"""What the processes below this one are and take, on Linux."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator

_SUBREAPER = 36
_DEATH_SIGNAL = 1
MARK = "GRADLINT_WORKER"
"""The variable of the environment that marks a worker and all that it begins, by a token of its own."""
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def adopt_orphans() -> None:
    """Become the parent of what the tasks' processes leave behind."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Have this process killed as soon as its parent ends."""
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def kill_marked(token: str, seconds: float = 5.0) -> None:
    """End the processes that a worker with this token began, whoever is their parent; wait until they are."""
    deadline = time.monotonic() + seconds
    while True:
        left = _marked(token)
        if not left or time.monotonic() > deadline:
            return
        for process in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.01)


def _marked(token: str) -> list[int]:
    mark = f"{MARK}={token}".encode()
    numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [number for number in numbers if mark in _contents(f"/proc/{number}/environ").split(b"\0")]


def descendants(root: int) -> list[int]:
    """All processes that descend from `root`."""
    parents = dict(_parents())
    found = {root}
    while True:
        new = {process for process, parent in parents.items() if parent in found} - found
        if not new:
            return list(found - {root})
        found |= new


def _parents() -> Iterator[tuple[int, int]]:
    for name in os.listdir("/proc"):
        text = _contents(f"/proc/{name}/stat") if name.isdigit() else b""
        if text:
            yield int(name), int(text.rpartition(b")")[2].split()[1])


def _contents(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def resident() -> int:
    """The bytes of memory that the processes below this one hold each beyond what this one does."""
    own = _private(os.getpid())
    return sum(max(0, _private(process) - own) for process in descendants(os.getpid()))


def _private(process: int) -> int:
    fields = _contents(f"/proc/{process}/statm").split()
    return (int(fields[1]) - int(fields[2])) * _PAGE if fields else 0


def kill_descendants() -> None:
    """End everything below this process, also what is begun meanwhile."""
    while True:
        left = descendants(os.getpid())
        if not left:
            return
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        _reap()


def _reap() -> None:
    while True:
        try:
            done, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not done:
            return
