"""How many modules of paritybench the worker builds and runs without a look at their arguments and inputs.

    python benchmarks/verify_paritybench.py PARITYBENCH                          # 200 modules
    python benchmarks/verify_paritybench.py PARITYBENCH --modules 400 --seed 7   # others

Files are drawn at random, and of each at most three of the modules that run forward and backward with the
arguments that come with them. Each is given to the worker by its name and the text before the test cases.
"""

from __future__ import annotations

import argparse
import ast
import json
import multiprocessing
import os
import random
import re
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from paritybench import files
from paritybench_run import run_file

from gradlint.verify.client import Worker
from gradlint.verify.worker.protocol import Reply, Task

SECONDS = 40.0
MOST = 3
"""So many modules of a file."""


def names(path: Path) -> list[str]:
    """The classes of a file's test cases, in order."""
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "TESTCASES":
            rows = statement.value.elts if isinstance(statement.value, ast.List) else []
            return [ast.unparse(row.elts[0]) for row in rows if isinstance(row, ast.Tuple)]
    return []


def _truth(path: Path, queue: multiprocessing.Queue[list[int]]) -> None:
    """The places of the test cases that run and have something to be trained."""
    queue.put([position for position, ran in run_file(path) if ran.connected])


def truth(path: Path, kept: Path) -> list[str]:
    """The names of the modules of a file that run with what comes with them, remembered in a folder."""
    known = kept / f"{path.stem}.json"
    if not known.exists():
        queue: multiprocessing.Queue[list[int]] = multiprocessing.Queue()
        process = multiprocessing.Process(target=_truth, args=(path, queue))
        process.start()
        try:
            positions = queue.get(timeout=150)
        except Exception:
            positions = []
        process.kill()
        every = names(path)
        known.write_text(json.dumps(list(dict.fromkeys(every[i] for i in positions))))
    return list(json.loads(known.read_text()))


def task(path: Path, name: str, root: str) -> Task:
    """A question without arguments, inputs and test cases; calls in the file supply what they can.

    The file stands in a folder of its own, without the helpers of the checkout, which need much else.
    """
    folder = Path(root) / path.stem
    folder.mkdir(exist_ok=True)
    alone = folder / path.name
    alone.write_text(path.read_text(encoding="utf-8").partition("\nTESTCASES")[0])
    return Task(0, str(alone), name, [str(folder)], [], [], [], "cpu", "float32", SECONDS, 4096)


class Timed(NamedTuple):
    """A reply and the seconds of CPU that it took."""

    reply: Reply
    seconds: float


def timed(worker: Worker, question: Task) -> Timed:
    """What came of a task; its CPU time is that of the processes which the worker has ended since."""
    before = _consumed(worker.process)
    reply = worker.ask(question)
    return Timed(reply, _consumed(worker.process) - before)


def _consumed(process: int | None) -> float:
    """The seconds of CPU that the children of a process have taken."""
    if process is None:
        return 0.0
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def reason(reply: Reply) -> str:
    """Why a module did not run, numbers and names left out."""
    assert reply.failure is not None
    text = reply.failure.reason.partition(" on (")[0] + " " + reply.failure.reason.rpartition("): ")[2]
    return f"{reply.failure.stage}: " + re.sub(r"\d+|'[^']*'", "_", text)[:110]


def sample(checkout: Path, count: int, seed: int) -> Iterator[tuple[Path, str]]:
    """So many modules that run, in an order that the seed decides."""
    draw, kept = random.Random(seed), Path(tempfile.gettempdir()) / "paritybench-truth"
    kept.mkdir(exist_ok=True)
    found = 0
    for path in draw.sample(known := files(checkout), len(known)):
        names = truth(path, kept)
        chosen = draw.sample(names, min(len(names), MOST))[: count - found]
        found += len(chosen)
        yield from ((path, name) for name in chosen)
        if found >= count:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--modules", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Worker(sys.executable) as worker:
        replies = {
            (path, name): timed(worker, task(path, name, folder))
            for path, name in sample(options.checkout, options.modules, options.seed)
        }
    report(replies)


def report(results: dict[tuple[Path, str], Timed]) -> None:
    """The share that ran, how long it took, and why the others did not."""
    replies = {key: each.reply for key, each in results.items()}
    ran = [reply for reply in replies.values() if reply.failure is None]
    print(f"{len(ran)} of {len(replies)} modules built and run ({len(ran) / len(replies):.1%})")
    print(f"median {statistics.median(each.seconds for each in results.values()):.2f} s of CPU")
    failed = {key: reason(reply) for key, reply in replies.items() if reply.failure is not None}
    for text, count in Counter(failed.values()).most_common(40):
        print(f"{count:4}  {text}")
    print(
        "\n".join(f"{path.name}::{name}  {replies[path, name].failure}" for path, name in failed),
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
