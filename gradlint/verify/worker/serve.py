"""The worker's main loop: torch is imported once, every task runs in a process forked from here.

Where processes cannot be forked, a worker serves one task and ends.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import sys
import threading
from typing import IO, NoReturn

from .protocol import VERSION, Failure, Hello, Reply, Task, decode_task, encode

CAN_FORK = sys.platform == "linux"


def main() -> None:
    """Answer tasks from the standard input on the standard output, which nobody else gets to see."""
    requests, replies = _private_channels()
    _send(replies, hello())
    for line in requests:
        task = decode_task(line)
        if not CAN_FORK:
            threading.Thread(target=_end_with, args=(requests.fileno(),), daemon=True).start()
        _send(replies, answer(task, requests.fileno()))
        if not CAN_FORK:
            break


def _end_with(requests: int) -> NoReturn:
    """End this process as soon as nobody can ask anything any more."""
    while os.read(requests, 1):
        pass
    os._exit(1)


def _private_channels() -> tuple[IO[str], IO[str]]:
    """The two ends of the conversation; 0, 1 and 2 lead nowhere from now on."""
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)
    return requests, replies


def _send(replies: IO[str], record: object) -> None:
    replies.write(encode(record))
    replies.flush()


def hello() -> Hello:
    """What this interpreter can do."""
    try:
        import torch

        from . import perform  # before processes are forked that need it
    except Exception as error:
        reason = f"torch cannot be imported by {sys.executable}: {error}"
        return Hello(VERSION, platform.python_version(), failure=reason)
    assert perform
    devices = ["cpu"]
    if (torch.cuda.is_available() and not CAN_FORK) or (
        CAN_FORK and torch.cuda._is_compiled() and os.path.exists("/dev/nvidiactl")
    ):
        devices.append("cuda")
    if getattr(torch.backends, "mps", None) and torch.backends.mps.is_available():
        devices.append("mps")
    return Hello(VERSION, platform.python_version(), str(torch.__version__), devices)


def answer(task: Task, requests: int = -1) -> Reply:
    """What came of a task, whatever its code does; `requests` is where it came from."""
    if CAN_FORK:
        from .fork import run_apart

        _import_for(task)
        return run_apart(task, requests)
    from .perform import perform

    try:
        return perform(task, lambda stage: None)
    except BaseException as error:
        failure = Failure("running", f"{type(error).__name__}: {error}")
        return Reply(task.number, None, [], [], failure)


def _import_for(task: Task) -> None:
    """Import once, before processes are forked, what making an optimizer imports: more than a second."""
    if any(question.rehearsal is not None for question in task.questions):
        with contextlib.suppress(Exception):
            importlib.import_module("torch._dynamo")
