"""A task in a process of its own: watched, limited, and cleaned up after."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import selectors
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass, field, replace
from typing import Any

from .processes import adopt_orphans, kill_descendants, resident
from .protocol import Answer, Argument, Built, Failure, Layer, Reply, Task, encode

_TICK = 0.05
_KEPT = 4000
"""So many bytes of what a target prints are kept, from its end."""
_AT_ONCE = 1 << 20
_PIPE_SIZE = 1031
"""The command that sets how much a pipe holds, which Python knows by name from 3.10 on."""
_MEGA = 1 << 20


@dataclass
class Channel:
    """What comes from the process: stages and the reply, line by line, and what it prints."""

    folder: str
    messages: int
    output: int
    line: bytes = b""
    printed: bytes = b""
    stage: str = "starting"
    reply: dict[str, Any] = field(default_factory=dict)

    def take(self, descriptor: int) -> bool:
        """Read what is there; False at the end."""
        try:
            data = os.read(descriptor, _AT_ONCE)
        except BlockingIOError:
            return True
        if descriptor == self.output:
            self.printed = (self.printed + data)[-_KEPT:]
            return bool(data)
        *lines, self.line = (self.line + data).split(b"\n")
        for line in lines:
            self._read(line)
        return True

    def _read(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            return
        if "stage" in message:
            self.stage = message["stage"]
        else:
            self.reply = message["reply"]


def run_apart(task: Task, requests: int = -1) -> Reply:
    """The reply to a task; where its process gave none, why.

    It is ended where the pipe of `requests` is closed at its other end: nobody waits for the reply then.
    """
    adopt_orphans()
    folder = tempfile.mkdtemp(prefix="gradlint-")
    pipe = os.path.join(folder, "reply")
    os.mkfifo(pipe)
    messages = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    output, written = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if not child:
        _enter(task, pipe, written, os.path.join(folder, "work"))
    os.close(written)
    os.set_blocking(output, False)
    with contextlib.suppress(OSError):
        fcntl.fcntl(output, _PIPE_SIZE, _AT_ONCE)
    channel = Channel(folder, messages, output)
    try:
        ended = _watch(task, channel, child, requests)
    finally:
        kill_descendants()
        for descriptor in (messages, output):
            os.close(descriptor)
        shutil.rmtree(folder, ignore_errors=True)
    reply = _reply(task, channel, ended)
    printed = channel.printed.decode("utf-8", "replace")
    return replace(reply, printed=printed, seconds=time.monotonic() - started)


def _enter(task: Task, pipe: str, written: int, work: str) -> None:
    """The forked process: it never comes back from here."""
    try:
        from .confine import confine

        os.setsid()
        for number in (1, 2):
            os.dup2(written, number)
        os.mkdir(work)
        confine(task, work)
        from .perform import perform

        reply = perform(task, lambda stage: _tell(pipe, json.dumps({"stage": stage}) + "\n"))
        _tell(pipe, f'{{"reply": {encode(reply).rstrip()}}}\n')
    except BaseException as error:
        failure = Failure("running", f"{type(error).__name__}: {error}"[:500])
        reply = Reply(task.number, None, [], [], failure)
        _tell(pipe, f'{{"reply": {encode(reply).rstrip()}}}\n')
    finally:
        os._exit(0)


def _tell(pipe: str, text: str) -> None:
    """Write to the pipe, which is opened anew each time: a target may have closed what was open."""
    try:
        descriptor = os.open(pipe, os.O_WRONLY)
    except OSError:
        return
    data = text.encode()
    while data:
        data = data[os.write(descriptor, data) :]
    os.close(descriptor)


def _watch(task: Task, channel: Channel, child: int, requests: int) -> str:
    """How the process ended: "" by itself with a reply, else what happened."""
    deadline = time.monotonic() + task.seconds
    with selectors.DefaultSelector() as selector:
        for descriptor in (channel.messages, channel.output):
            selector.register(descriptor, selectors.EVENT_READ)
        looked = 0.0
        while True:
            for key, _ in selector.select(_TICK):
                if not channel.take(key.fd):
                    selector.unregister(key.fd)
            if channel.reply:
                return ""
            if time.monotonic() < looked + _TICK:
                continue
            looked = time.monotonic()
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                channel.take(channel.messages)
                return "" if channel.reply else _ending(status)
            if is_abandoned(requests):
                return "nobody waits for it any more"
            if time.monotonic() > deadline:
                return f"was still running after {task.seconds:g} s ({_help(channel.stage)})"
            if task.megabytes and resident() > task.megabytes * _MEGA:
                return f"took more than {task.megabytes} MB of memory (--verify-memory)"


def _help(stage: str) -> str:
    """The options that let a stage end in time."""
    has_inputs = stage.startswith(("searching inputs", "measuring with"))
    return "--verify-timeout, or smaller inputs by --input" if has_inputs else "--verify-timeout"


def is_abandoned(pipe: int) -> bool:
    """Whether nobody can write to a pipe any more; False of none."""
    look = select.poll()
    if pipe >= 0:
        look.register(pipe, 0)
    return any(event & select.POLLHUP for _, event in look.poll(0))


def _ending(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"crashed: {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ended the process with exit code {os.WEXITSTATUS(status)}"


def _reply(task: Task, channel: Channel, ended: str) -> Reply:
    if ended:
        return Reply(task.number, None, [], [], Failure(channel.stage, ended))
    fields = channel.reply
    built = fields["built"]
    if built is not None:
        for name in ("arguments", "inputs"):
            built[name] = [Argument(**item) for item in built[name]]
        fields["built"] = Built(**built)
    fields["answers"] = [Answer(**item) for item in fields["answers"]]
    fields["layers"] = [Layer(**item) for item in fields["layers"]]
    if fields["failure"] is not None:
        fields["failure"] = Failure(**fields["failure"])
    return Reply(**fields)
