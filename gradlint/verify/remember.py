"""What earlier runs of targets showed, kept as long as nothing that it rests on changes."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import msgspec

from gradlint.lint.cache import Cache
from gradlint.lint.outcome import digest, digest_of_folder
from gradlint.verify.client import Worker
from gradlint.verify.worker.protocol import Reply, Task


class Memory:
    """Answers from a cache folder where a task was answered before, else from a worker.

    A reply is kept with the digests of the files that were imported or opened for it, and of which files
    their folders hold; one that tells of a failure is not kept, since the next run may have more time or
    memory. Without a folder nothing is.
    """

    def __init__(self, worker: Worker, python: str, folder: str | None) -> None:
        self._worker = worker
        self._environment = environment(python)
        self._cache = Cache(folder) if folder is not None else None

    def ask(self, task: Task) -> Reply:
        """What came of a task, now or earlier. Raises `WorkerError`."""
        if self._cache is None:
            return self._worker.ask(task)
        key = self._key(task)
        found = self._cache.get_many([key]).get(key)
        known = _decoded(found) if found is not None else None
        if known is not None:
            return replace(known, number=task.number)
        reply = self._worker.ask(task)
        if reply.failure is None:
            self._cache.put_many({key: _encoded(reply)})
        return reply

    def close(self) -> None:
        """Let go of the cache."""
        if self._cache is not None:
            self._cache.close()

    def _key(self, task: Task) -> str:
        fields = asdict(replace(task, number=0))
        content = _content(task.path)
        return digest(f"verify\0{_code()}\0{self._environment}\0{json.dumps(fields)}\0{content}".encode())


def environment(python: str) -> str:
    """Changes with the interpreter and with what is installed for it."""
    prefix = os.path.dirname(os.path.dirname(os.path.abspath(python)))
    folders = glob.glob(os.path.join(prefix, "lib*", "python*", "site-packages"))
    return "\0".join([python, *[f"{path}:{_changed(path)}" for path in (python, *sorted(folders))]])


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


@cache
def _code() -> str:
    """Changes with the code that measures."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return digest(b"\0".join(path.read_bytes() for path in files))


def _content(path: str) -> str:
    try:
        return digest(Path(path).read_bytes())
    except OSError:
        return digest_of_folder(path)


def _encoded(reply: Reply) -> bytes:
    return json.dumps({"reply": asdict(reply), "files": dict(_digests(reply.files))}).encode()


def _digests(paths: Iterable[str]) -> Iterable[tuple[str, str]]:
    folders = {os.path.dirname(path) for path in paths if path.endswith(".py")}
    return ((path, _content(path)) for path in sorted({*paths, *folders}))


def _decoded(data: bytes) -> Reply | None:
    """A reply that was kept, None where a file that it rests on has changed."""
    entry = json.loads(data)
    files: dict[str, str] = entry["files"]
    if any(_content(path) != known for path, known in files.items()):
        return None
    return msgspec.convert(entry["reply"], Reply)
