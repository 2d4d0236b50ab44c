"""Spreading examinations over processes, or over whatever an executor offers."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, Executor, as_completed

from msgspec import Struct

from gradlint.lint.examine import examine_files
from gradlint.lint.outcome import Outcome, Task
from gradlint.records.failure import internal_error

WORTH_A_PROCESS = 2_000_000
"""Bytes of source that one further process must get to be worth its start."""

CHUNKS_PER_PROCESS = 4
"""So that all processes end at about the same time; each chunk reads anew what its files import."""


class Work(Struct, frozen=True):
    """How to do the work: where to keep outcomes, on how many processes, and whom to tell."""

    cache_dir: str | None
    fingerprint: str
    jobs: int
    executor: Executor | None = None
    progress: Callable[[int, int], None] | None = None

    def tell(self, done: int, total: int) -> None:
        """`done` of `total` files are examined."""
        if self.progress is not None:
            self.progress(done, total)


def examine_all(tasks: Sequence[Task], sizes: Sequence[int], work: Work) -> dict[str, Outcome]:
    """The outcome of every task by path; `sizes` are in bytes."""
    if work.executor is not None:
        return _spread(tasks, sizes, work, work.executor, work.jobs)
    workers = min(work.jobs, sum(sizes) // WORTH_A_PROCESS)
    if workers > 1:
        with process_pool(workers) as pool:
            return _spread(tasks, sizes, work, pool, workers)
    count = iter(range(1, len(tasks) + 1))
    outcomes = examine_files(
        tasks, work.cache_dir, work.fingerprint, lambda: work.tell(next(count), len(tasks))
    )
    return {task.path: outcome for task, outcome in zip(tasks, outcomes, strict=True)}


def _spread(
    tasks: Sequence[Task], sizes: Sequence[int], work: Work, executor: Executor, workers: int
) -> dict[str, Outcome]:
    count = workers * CHUNKS_PER_PROCESS
    pending = {
        executor.submit(_examine_chunk, chunk, work.cache_dir, work.fingerprint): chunk
        for chunk in chunks(tasks, sizes, count)
    }
    found: dict[str, Outcome] = {}
    for future in as_completed(pending):
        chunk = pending[future]
        try:
            outcomes = future.result()
        except BrokenExecutor:
            outcomes = [_examine_alone(task, work.fingerprint) for task in chunk]
        found.update({task.path: outcome for task, outcome in zip(chunk, outcomes, strict=True)})
        work.tell(len(found), len(tasks))
    return found


def _examine_chunk(tasks: Sequence[Task], cache_dir: str | None, fingerprint: str) -> list[Outcome]:
    """Examine files in a process that goes on afterwards, and give back the memory that this took."""
    outcomes = examine_files(tasks, cache_dir, fingerprint)
    gc.collect()
    return outcomes


def _examine_alone(task: Task, fingerprint: str) -> Outcome:
    """Examine one file in a process of its own, after a process that had it among others died."""
    with process_pool(1) as pool:
        try:
            (outcome,) = pool.submit(examine_files, [task], None, fingerprint).result()
        except BrokenExecutor:
            return Outcome((internal_error("the process that analysed this file died"),))
        return outcome


def chunks(tasks: Sequence[Task], sizes: Sequence[int], count: int) -> Iterable[list[Task]]:
    """Cut `tasks` into about `count` runs of neighbours with about the same number of bytes."""
    share = max(sum(sizes) / max(count, 1), 1.0)
    chunk: list[Task] = []
    filled = 0.0
    for task, size in zip(tasks, sizes, strict=True):
        chunk.append(task)
        filled += size
        if filled >= share:
            yield chunk
            chunk, filled = [], 0.0
    if chunk:
        yield chunk


def process_pool(workers: int) -> Executor:
    """A pool of processes; forked where that is safe, which starts them at once."""
    import multiprocessing
    import threading
    from concurrent.futures import ProcessPoolExecutor

    may_fork = sys.platform == "linux" and threading.active_count() == 1
    context = multiprocessing.get_context("fork" if may_fork else "spawn")
    return ProcessPoolExecutor(workers, mp_context=context)
