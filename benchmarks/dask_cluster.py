"""Examines files on a Dask cluster and shows that this finds the same as a plain run.

    pip install "dask[distributed]"
    python benchmarks/dask_cluster.py path/to/code --workers 4

The times are without starting the cluster; those of Dask include importing gradlint in its workers.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import Executor

from msgspec import msgpack

import gradlint
from gradlint.records.finding import Finding


def main() -> int:
    from distributed import Client, LocalCluster  # type: ignore[import-not-found, unused-ignore]

    options = _options()
    plain = _timed("plain run", options, None)
    with (
        LocalCluster(n_workers=options.workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        spread = _timed("Dask", options, client.get_executor())
    identical = msgpack.encode(plain) == msgpack.encode(spread)
    print("the findings are identical" if identical else "the findings differ")
    return 0 if identical else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("paths", nargs="+", help="files and folders")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (%(default)s)")
    return parser.parse_args()


def _timed(how: str, options: argparse.Namespace, executor: Executor | None) -> list[Finding]:
    """All findings of a run without a cache; prints what it took."""
    start = time.perf_counter()
    findings = gradlint.check(
        options.paths, isolated=True, preview=True, jobs=options.workers, executor=executor
    )
    print(f"{how}: {len(findings)} findings in {time.perf_counter() - start:.2f} s")
    return findings


if __name__ == "__main__":
    sys.exit(main())
