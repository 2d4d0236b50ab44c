"""Measures gradlint beside TorchFix, Fixit, flake8 and ruff on real code, and prints the tables.

    python benchmarks/speed.py                 # everything: a quarter of an hour, mostly the slow peers
    python benchmarks/speed.py --write         # and put the tables into docs/performance.md

The first run downloads wheels and makes one virtual environment per tool, below the cache folder.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import tempfile
from pathlib import Path

from cases import COMPARED, LARGE, Bench, all_cases, run_all
from corpus import default_cache, obtain
from speed_table import render
from tools import PEERS, install_gradlint, install_peer, installed_version

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def main() -> None:
    options = _options()
    for package in (*COMPARED, LARGE):
        obtain(package, options.corpus)
    peers = [peer for peer in PEERS if peer.name.lower() not in options.without]
    for peer in peers:
        install_peer(peer, options.venvs)
    gradlint = options.gradlint or install_gradlint(options.venvs)
    with tempfile.TemporaryDirectory(prefix="gradlint-speed-") as work:
        bench = Bench(
            options.corpus, options.venvs, gradlint, Path(work), options.runs, options.slow_runs, peers
        )
        samples = run_all(all_cases(bench), bench.work)
    measured = f"{_circumstances(bench)}\n\n{render(samples, options.corpus)}"
    print(measured)
    if options.write:
        _write(measured)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    cache = default_cache()
    parser.add_argument("--runs", type=int, default=7, help="runs per case (%(default)s)")
    parser.add_argument("--slow-runs", type=int, default=1, help="runs of TorchFix and Fixit (%(default)s)")
    parser.add_argument("--without", nargs="*", default=[], help="peers to leave out, in lower case")
    parser.add_argument("--corpus", type=Path, default=cache / "corpus", help="the unpacked wheels")
    parser.add_argument("--venvs", type=Path, default=cache / "venvs", help="one environment per tool")
    parser.add_argument("--gradlint", type=Path, help="a command to measure instead of this checkout")
    parser.add_argument("--write", action="store_true", help=f"update {PAGE.name}")
    options = parser.parse_args()
    for name in ("corpus", "venvs", "gradlint"):
        if path := getattr(options, name):
            setattr(options, name, path.absolute())
    return options


def _circumstances(bench: Bench) -> str:
    """The machine, and what was run how often."""
    machine = (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    )
    version = installed_version(bench.gradlint.parent.parent, "torch-gradlint")
    options = " ".join(bench.check(Path())[1:-1])
    ours = f"- gradlint {version}, `gradlint {options}`, runs: {bench.runs}"
    theirs = [
        f"- {peer.label(bench.venvs)}, runs: {bench.slow_runs if peer.slow else bench.runs}"
        for peer in bench.peers
    ]
    return "\n".join([f"Measured on: {machine}.", "", ours, *theirs])


def _processor() -> str:
    try:
        match = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        match = None
    return match[1] if match else platform.processor() or platform.machine()


def _write(measured: str) -> None:
    """Replace what stands between the two marks of the page."""
    before, begin, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{PAGE} has lost its marks {BEGIN} and {END}")
    PAGE.write_text(f"{before}{BEGIN}\n\n{measured}\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
