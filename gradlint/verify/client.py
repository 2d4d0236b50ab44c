"""The worker as gradlint sees it: started, asked, replaced when it breaks, and ended with all it began."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn

import msgspec

from gradlint.verify.worker.processes import MARK, kill_marked
from gradlint.verify.worker.protocol import VERSION, Failure, Hello, Reply, Task, encode

_WORKER = Path(__file__).parent / "worker"
_START = 120.0
"""Seconds that importing torch may take."""
CAN_FORK = sys.platform == "linux"
"""Whether one worker serves all tasks."""
_GRACE = 15.0
"""Seconds that the worker may take to end a task at its limit."""


class WorkerError(Exception):
    """The worker cannot work: no such interpreter, no torch in it, or another protocol."""


class Worker:
    """Answers tasks under an interpreter. Raises `WorkerError` where that has no torch."""

    def __init__(self, python: str) -> None:
        self._python = python
        self._token = uuid.uuid4().hex
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()
        self.hello: Hello | None = None
        self._overdue: dict[tuple[str, str, int], Reply] = {}
        self._on_term: Callable[[int, FrameType | None], Any] | int | None = None

    def __enter__(self) -> Worker:
        if threading.current_thread() is threading.main_thread():
            self._on_term = signal.signal(signal.SIGTERM, _leave)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self._process is not None:
            self._process.kill()  # what it does is not wanted any more
        self.close()
        if self._on_term is not None:
            signal.signal(signal.SIGTERM, self._on_term)

    @property
    def process(self) -> int | None:
        """The number of the worker's process, None where none runs."""
        return None if self._process is None else self._process.pid

    def ask(self, task: Task) -> Reply:
        """What came of a task; a worker that breaks is replaced for the next one.

        A target that has taken all its time is not run again.
        """
        target = (task.path, task.name, task.line)
        if target in self._overdue:
            return replace(self._overdue[target], number=task.number)
        began = time.monotonic()
        reply = self._answered(task)
        if reply.failure is not None and time.monotonic() - began >= task.seconds:
            self._overdue[target] = reply
        return reply

    def _answered(self, task: Task) -> Reply:
        process = self._started()
        try:
            assert process.stdin is not None
            process.stdin.write(encode(task))
            process.stdin.flush()
            line = self._lines.get(timeout=task.seconds + _GRACE)
        except (OSError, queue.Empty):
            line = ""
        if not line:
            self.close()
            return Reply(task.number, None, [], [], Failure("running", "the worker ended without an answer"))
        if not CAN_FORK:
            self.close()  # it serves one task
        return msgspec.convert(json.loads(line), Reply)

    def _started(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        process = self._process = self._start()
        self._lines = queue.Queue()
        threading.Thread(target=_pump, args=(process, self._lines), daemon=True).start()
        try:
            line = self._lines.get(timeout=_START)
        except queue.Empty:
            line = ""
        self.hello = _hello(line, self._python)
        return process

    def _start(self) -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(
                [self._python, str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", MARK: self._token},
                start_new_session=True,
            )
        except OSError as error:
            raise WorkerError(f"`{self._python}` cannot be run: {error.strerror} (--python)") from None

    def close(self) -> None:
        """End the worker and everything that it began."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        try:
            process.stdin.close()
            process.wait(timeout=2.0)
        except (OSError, subprocess.TimeoutExpired):
            process.kill()
        process.wait()
        if CAN_FORK:
            kill_marked(self._token)
        assert process.stdout is not None
        process.stdout.close()


def _leave(signal: int, frame: FrameType | None) -> NoReturn:
    """Asked to end: what was begun is ended first."""
    sys.exit(128 + signal)


def _pump(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put("")


def _hello(line: str, python: str) -> Hello:
    if not line:
        raise WorkerError(f"`{python}` did not start the worker (--python)")
    hello = msgspec.convert(json.loads(line), Hello)
    if hello.failure:
        raise WorkerError(f"{hello.failure}; name the interpreter of your project with --python")
    if hello.protocol != VERSION:
        raise WorkerError(f"the worker speaks protocol {hello.protocol}, not {VERSION}")
    return hello
