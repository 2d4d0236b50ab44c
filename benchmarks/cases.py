"""What is measured: one command per case, in the state that the case is about."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from corpus import BY_NAME, Package, files_of
from measure import Sample, measure
from tools import PEERS, Peer

from gradlint.lint.inspect import triggers_of
from gradlint.rule.registry import load
from gradlint.source.triage import matching_lines

COLD, WARM, CHANGED = "cold", "warm", "one file changed"
ANALYSED, REJECTED = "analysed", "rejected by triage"
COMPARED = (BY_NAME["timm"], BY_NAME["torchvision"])
LARGE = BY_NAME["transformers"]
SMALL_FILES = {ANALYSED: "layers/attention_pool.py", REJECTED: "models/_input.py"}
"""Files of timm with 202 and 196 lines."""


@dataclass(frozen=True, slots=True)
class Key:
    """Which figure: what is checked, by which tool, in which state."""

    subject: str
    tool: str
    state: str


@dataclass(frozen=True, slots=True)
class Case:
    """One command that is run a number of times; `prepare` gets the number of the run, from 0."""

    key: Key
    command: tuple[str, ...]
    runs: int
    prepare: Callable[[int], None] = lambda run: None
    statuses: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that the cases are made of."""

    corpus: Path
    venvs: Path
    gradlint: Path
    work: Path
    runs: int
    slow_runs: int
    peers: Sequence[Peer] = PEERS

    def check(self, path: Path, *options: str) -> tuple[str, ...]:
        """The command that checks `path` with all rules, those in preview too, and no configuration."""
        standard = ("check", "--isolated", "--preview", "--exit-zero")
        return (str(self.gradlint), *standard, *(options or ("--no-cache",)), str(path))

    def small_file(self, state: str) -> Path:
        """A file of 200 lines that some rule has something to look at in, or that triage rejects."""
        path = COMPARED[0].root(self.corpus) / SMALL_FILES[state]
        hits = matching_lines(path.read_text("utf-8"), triggers_of(load()))
        if bool(hits) is not (state == ANALYSED):
            raise ValueError(f"{path} is not {state}: name another file")
        return path


def all_cases(bench: Bench) -> list[Case]:
    """Every case, in the order in which each round runs them."""
    cases = [case for package in COMPARED for case in _on_package(bench, package)]
    cases += _on_small_files(bench)
    command = bench.check(LARGE.root(bench.corpus))
    return [*cases, Case(Key(LARGE.name, "gradlint", COLD), command, min(bench.runs, 3))]


def run_all(cases: Sequence[Case], cwd: Path) -> dict[Key, list[Sample]]:
    """Run all cases once, then all again, and so on, so that a slow minute touches every one of them."""
    samples: dict[Key, list[Sample]] = {case.key: [] for case in cases}
    for run in range(max(case.runs for case in cases)):
        for case in cases:
            if run < case.runs:
                case.prepare(run)
                sample = measure(case.command, cwd, case.statuses)
                samples[case.key].append(sample)
                _log(run, case.key, sample)
    return samples


def _log(run: int, key: Key, sample: Sample) -> None:
    what = f"{key.subject}, {key.tool}, {key.state}"
    print(f"run {run + 1}: {what}: {sample.cpu:.2f} s CPU, {sample.wall:.2f} s", file=sys.stderr, flush=True)


def _on_package(bench: Bench, package: Package) -> Iterator[Case]:
    root = package.root(bench.corpus)
    ours = partial(Key, package.name, "gradlint")
    yield Case(ours(COLD), bench.check(root), bench.runs)
    yield Case(ours(WARM), _warmed(bench, root, f"{package.folder}-warm"), bench.runs)
    yield _on_changed_file(bench, root, ours(CHANGED))
    for peer in bench.peers:
        runs = bench.slow_runs if peer.slow else bench.runs
        key = Key(package.name, peer.name, COLD)
        yield Case(key, peer.command(bench.venvs, root), runs, statuses=peer.statuses)


def _warmed(bench: Bench, root: Path, name: str) -> tuple[str, ...]:
    """The command with a cache that already knows all files."""
    command = bench.check(root, "--cache-dir", str(bench.work / name))
    subprocess.run(command, check=True, cwd=bench.work, stdout=subprocess.DEVNULL)
    return command


def _on_changed_file(bench: Bench, root: Path, key: Key) -> Case:
    """A copy of the package in which another file, of another size, changes before each run."""
    copy = bench.work / "changed" / root.name
    shutil.copytree(root, copy)
    files = [path for path in files_of(copy) if b"torch" in path.read_bytes()]
    files.sort(key=lambda path: (path.stat().st_size, path))

    def change(run: int) -> None:
        path = files[(2 * run + 1) * len(files) // (2 * bench.runs)]
        path.write_bytes(path.read_bytes() + b"\n# changed\n")

    return Case(key, _warmed(bench, copy, f"{root.name}-changed"), bench.runs, change)


def _on_small_files(bench: Bench) -> Iterator[Case]:
    for state in (ANALYSED, REJECTED):
        path = bench.small_file(state)
        yield Case(Key("one file", "gradlint", state), bench.check(path), bench.runs)
        for peer in bench.peers:
            yield Case(
                Key("one file", peer.name, state),
                peer.command(bench.venvs, path),
                bench.runs,
                statuses=peer.statuses,
            )
