"""Shows what a change does to the findings on real code: the diff of findings between two versions.

    python benchmarks/lintcheck.py                        # check the pinned packages, count per rule
    python benchmarks/lintcheck.py --write before.jsonl   # and store what was found
    python benchmarks/lintcheck.py before.jsonl           # what changed since then
    python benchmarks/lintcheck.py main                   # what the working tree changes against a revision
    python benchmarks/lintcheck.py v0.1.0 main            # between two revisions

The status is 1 where findings differ and 2 where a version cannot be run. The running interpreter must
have gradlint installed, editable for the working tree to count; revisions are installed below the cache
folder, beside it.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from subprocess import CalledProcessError

from corpus import BY_NAME, default_cache, obtain
from stored_findings import Stored, difference, read, write
from versions import check_with, installed_revision


def main() -> int:
    options = _options()
    packages = {name: obtain(BY_NAME[name], options.corpus) for name in options.packages or BY_NAME}
    new = _findings(options.new, packages, options)
    if options.write:
        write(options.write, new)
    if options.old is None:
        _summarise(new)
        return 0
    old = _findings(options.old, packages, options)
    added, removed = difference(old, new)
    _show(added, removed)
    print(f"{len(old)} → {len(new)} findings: {len(added)} added, {len(removed)} removed")
    return 1 if added or removed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    version = "a stored file or a git revision"
    parser.add_argument("old", nargs="?", help=f"{version}; without one nothing is compared")
    parser.add_argument("new", nargs="?", help=f"{version}; the working tree unless given")
    parser.add_argument("--write", type=Path, metavar="FILE", help="store the newer findings as JSON lines")
    parser.add_argument("--packages", nargs="+", choices=sorted(BY_NAME), help="only these packages")
    parser.add_argument("--corpus", type=Path, default=default_cache() / "corpus", help="the unpacked wheels")
    parser.add_argument("--revisions", type=Path, default=default_cache() / "revisions")
    options = parser.parse_args()
    options.corpus, options.revisions = options.corpus.absolute(), options.revisions.absolute()
    return options


def _findings(
    version: str | None, packages: dict[str, Path], options: argparse.Namespace
) -> tuple[Stored, ...]:
    """What `version` finds in `packages`; None is the version of the running interpreter."""
    if version is not None and Path(version).is_file():
        return tuple(finding for finding in read(Path(version)) if finding.package in packages)
    source = None if version is None else installed_revision(version, options.revisions)
    found: list[Stored] = []
    for name, root in packages.items():
        print(f"{version or 'working tree'}: {name}", file=sys.stderr)
        found.extend(check_with(source, name, root))
    return tuple(found)


def _summarise(findings: Sequence[Stored]) -> None:
    for rule, count in sorted(Counter(finding.title for finding in findings).items()):
        print(f"{count:6} {rule}")
    print(f"{len(findings):6} findings")


def _show(added: Sequence[Stored], removed: Sequence[Stored]) -> None:
    """Both lists, rule by rule, each finding with the line that it stands on."""
    changes = [("+", finding) for finding in added] + [("-", finding) for finding in removed]
    for title in sorted({finding.title for _, finding in changes}):
        concerned = [(sign, finding) for sign, finding in changes if finding.title == title]
        counts = Counter(sign for sign, _ in concerned)
        print(f"{title}: {counts['+']} added, {counts['-']} removed")
        for sign, finding in sorted(concerned, key=lambda change: (change[1].place, change[0])):
            print(f"  {sign} {finding.path}:{finding.line}: {finding.message}\n        {finding.text}")
        print()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CalledProcessError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
