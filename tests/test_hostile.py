"""Whatever a target does, there is an answer in time, the next target runs, and nothing is left running."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gradlint.verify.client import Worker
from gradlint.verify.worker.processes import descendants
from gradlint.verify.worker.protocol import Question, Reply, Task

pytestmark = [pytest.mark.torch, pytest.mark.skipif(sys.platform != "linux", reason="processes are forked")]
pytest.importorskip("torch")

NET = """
import ctypes, os, signal, socket, subprocess, sys, threading, time, urllib.request
import torch
from torch import nn

class Slow(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        while True:
            pass

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)
        CONSTRUCT

    def forward(self, x):
        FORWARD
        return self.layer(x)
"""
SECONDS = 4.0
MEGABYTES = 500


class Case(NamedTuple):
    """Code in the constructor, in forward, before all; what the answer says, empty where it runs."""

    construct: str = "pass"
    forward: str = "pass"
    script: str = ""
    reason: str = ""


CASES = {
    "loops in the constructor": Case("while True: pass", reason="constructing: was still running after 4 s"),
    "loops in forward": Case(forward="while True: pass", reason="was still running"),
    "loops in backward": Case(forward="x = Slow.apply(x)", reason=", or smaller inputs by --input)"),
    "sleeps without end": Case("time.sleep(1000)", reason="was still running"),
    "ignores signals": Case(
        "[signal.signal(s, signal.SIG_IGN) for s in (15, 2, 1)]; time.sleep(1000)", reason="still running"
    ),
    "takes all memory": Case("self.x = [bytearray(1 << 20) for _ in range(1 << 20)]", reason="memory"),
    "takes all memory in tensors": Case(forward="torch.ones(1 << 40)", reason="memory"),
    "takes all memory in children": Case(
        "os.fork() and os.fork(); b = [bytearray(b'1' * (1 << 20)) for _ in range(250)]; time.sleep(100)",
        reason="more than 500 MB of memory (--verify-memory)",
    ),
    "leaves at once": Case("os._exit(3)", reason="constructing: ended the process with exit code 3"),
    "leaves in forward": Case(forward="os._exit(0)", reason="ended the process with exit code 0"),
    "exits": Case("sys.exit('goodbye')", reason="SystemExit: goodbye"),
    "crashes": Case(forward="ctypes.string_at(0)", reason="crashed: SIGSEGV"),
    "aborts": Case("os.abort()", reason="crashed: SIGABRT"),
    "kills the worker": Case("os.kill(os.getppid(), 9); time.sleep(100)", reason="ended without an answer"),
    "leaves children": Case("subprocess.Popen(['sleep', 'MARK'], start_new_session=True)"),
    "leaves orphans": Case("os.fork() or (os.setsid(), os.fork() or time.sleep(4321), os._exit(0))"),
    "leaves threads": Case("threading.Thread(target=time.sleep, args=(4321,)).start()"),
    "prints megabytes": Case("print('x' * 5_000_000); print('y' * 5_000_000, file=sys.stderr)"),
    "prints below Python": Case("os.system('head -c 5000000 /dev/zero; head -c 5000000 /dev/zero >&2')"),
    "closes all files": Case("os.closerange(0, 1000)"),
    "closes its output": Case("sys.stdout.close(); sys.stderr.close()"),
    "reads the standard input": Case("assert sys.stdin.read() == ''; assert not os.read(0, 10)"),
    "downloads": Case("urllib.request.urlopen('http://192.0.2.1/weights.pt')", reason="no network while"),
    "connects": Case("socket.create_connection(('192.0.2.1', 80))", reason="no network while verifying"),
    "downloads in a child": Case(
        "code = 'import socket; socket.create_connection((\"192.0.2.1\", 80), 9)';"
        "r = subprocess.run([sys.executable, '-c', code], stderr=-1); assert b'unreachable' in r.stderr"
    ),
    "replaces torch's functions": Case(
        script="torch.randn = torch.randn_like = torch.Tensor.norm = torch.autograd.backward = None\n"
        "torch.Tensor.backward = nn.Module.zero_grad = torch.set_default_dtype = None"
    ),
    "changes global state": Case(
        script="torch.set_default_dtype(torch.float64); torch.set_grad_enabled(False)\n"
        "torch.set_num_threads(1); os.chdir('/'); os.environ.clear(); sys.path.clear(); sys.argv = []"
    ),
    "wants CUDA": Case("self.layer = self.layer.cuda()"),
    "deletes its folder": Case(
        script="import shutil; shutil.rmtree(os.getcwd())\nDONE = 1", construct="DONE"
    ),
    "raises what is no Exception": Case(forward="raise KeyboardInterrupt", reason="KeyboardInterrupt"),
}


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(sys.executable) as worker:
        yield worker


def ask(worker: Worker, path: Path, device: str = "cpu") -> Reply:
    question = Question(0, "weight-variance", "layer.weight", "", 1.0, 1 / 3)
    return worker.ask(
        Task(
            number=0,
            path=str(path),
            name="Net",
            roots=[],
            arguments=[],
            inputs=[],
            questions=[question],
            device=device,
            dtype="float32",
            seconds=SECONDS,
            megabytes=MEGABYTES,
        )
    )


def is_healthy(reply: Reply) -> bool:
    (layer,) = [layer for layer in reply.layers if layer.module == "layer"]
    (answer,) = reply.answers
    return layer.gradient is not None and answer.values[0] == pytest.approx(1 / 3, abs=0.15)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_hostile_target_gets_its_answer_and_the_next_one_runs(
    worker: Worker, tmp_path: Path, case: Case
) -> None:
    hostile, kind = tmp_path / "hostile.py", tmp_path / "kind.py"
    code = NET.replace("CONSTRUCT", case.construct).replace("FORWARD", case.forward)
    mark = str(10_000 + os.getpid())
    hostile.write_text(code.replace("class Slow", f"{case.script}\n\nclass Slow").replace("MARK", mark))
    kind.write_text(NET.replace("CONSTRUCT", "pass").replace("FORWARD", "pass"))
    assert is_healthy(ask(worker, kind))
    started = time.monotonic()
    reply = ask(worker, hostile)
    assert time.monotonic() - started < SECONDS + 5
    if case.reason:
        assert reply.failure is not None
        assert case.reason in f"{reply.failure.stage}: {reply.failure.reason}"
    else:
        assert reply.failure is None
        assert is_healthy(reply)
    assert len(reply.printed) <= 4000
    assert is_healthy(ask(worker, kind))
    assert not running(mark)


def test_a_target_that_took_all_its_time_is_not_run_again(worker: Worker, tmp_path: Path) -> None:
    path = tmp_path / "endless.py"
    path.write_text(NET.replace("CONSTRUCT", "while True: pass").replace("FORWARD", "pass"))
    first, started = ask(worker, path), time.monotonic()
    assert ask(worker, path) == first
    assert first.failure is not None
    assert time.monotonic() - started < SECONDS / 2


def running(word: str) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if line == f"sleep {word}"]


def test_nothing_descends_from_a_worker_between_tasks(worker: Worker, tmp_path: Path) -> None:
    path = tmp_path / "orphans.py"
    construct = CASES["leaves orphans"].construct
    path.write_text(NET.replace("CONSTRUCT", construct).replace("FORWARD", "pass"))
    ask(worker, path)
    assert worker.process is not None
    assert descendants(worker.process) == []


def test_what_outlives_its_worker_is_ended_with_it(tmp_path: Path) -> None:
    path = tmp_path / "killer.py"
    construct = "subprocess.Popen(['sleep', 'MARK'], start_new_session=True); os.kill(os.getppid(), 9)"
    mark = str(20_000 + os.getpid())
    construct = construct.replace("MARK", mark)
    path.write_text(NET.replace("CONSTRUCT", construct).replace("FORWARD", "time.sleep(100)"))
    with Worker(sys.executable) as worker:
        reply = ask(worker, path)
    assert reply.failure is not None and "without an answer" in reply.failure.reason
    assert not running(mark)


def test_a_device_that_is_not_there_is_named(worker: Worker, tmp_path: Path) -> None:
    if __import__("torch").cuda.is_available():
        pytest.skip("there is CUDA here")
    path = tmp_path / "kind.py"
    path.write_text(NET.replace("CONSTRUCT", "pass").replace("FORWARD", "pass"))
    reply = ask(worker, path, "cuda")
    assert reply.failure is not None and "no CUDA device" in reply.failure.reason
