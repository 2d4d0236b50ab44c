"""What a command costs: the CPU time of its whole process tree, wall time and peak memory.

The command runs below a fresh process of its own, this file as a script, because the operating
system adds up the cost of a process's finished descendants but never sets the sum back.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024
"""The unit in which the operating system counts resident memory."""

_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: seconds of CPU and wall time, and the bytes of the process that held the most."""

    cpu: float
    wall: float
    peak: int


class CommandFailedError(Exception):
    """A command ended with a status that does not belong to a complete run."""


def measure(command: Sequence[str], cwd: Path, statuses: Collection[int] = (0,)) -> Sample:
    """Run `command` once; raises `CommandFailedError` where its status is not among `statuses`."""
    meter = [sys.executable, "-I", "-S", __file__, *command]
    answer = json.loads(subprocess.run(meter, cwd=cwd, check=True, stdout=subprocess.PIPE).stdout)
    if answer["status"] not in statuses:
        raise CommandFailedError(f"{' '.join(command)}: status {answer['status']}\n{answer['errors']}")
    return Sample(answer["cpu"], answer["wall"], answer["peak"])


def median(samples: Sequence[Sample]) -> Sample:
    """The median of each quantity by itself."""
    return Sample(
        statistics.median(sample.cpu for sample in samples),
        statistics.median(sample.wall for sample in samples),
        int(statistics.median(sample.peak for sample in samples)),
    )


def _run(command: Sequence[str]) -> dict[str, object]:
    """Run a command and everything that it starts to the end."""
    _adopt_orphans()
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        status = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=errors).returncode
        wall = time.perf_counter() - start
        _await_orphans()
        errors.seek(0)
        message = errors.read()[-2000:].decode(errors="replace")
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * BYTES_PER_UNIT
    return {"status": status, "errors": message, "cpu": cpu, "wall": wall, "peak": peak}


def _adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends first: servers of process pools, on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _await_orphans() -> None:
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass


if __name__ == "__main__":
    print(json.dumps(_run(sys.argv[1:])))
