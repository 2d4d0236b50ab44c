"""Joins findings on real code with our judgement of each and writes docs/precision.md.

    python benchmarks/lintcheck.py --write found.jsonl
    python benchmarks/precision.py found.jsonl --write

Judgements stand in `judgements.tsv`: package, path, source line, rule, verdict (true, disputed, false),
reason. Findings without a judgement are listed, and the status is 1.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from corpus import PACKAGES
from stored_findings import Stored, read

HERE = Path(__file__).parent
JUDGEMENTS = HERE / "judgements.tsv"
PAGE = HERE.parent / "docs" / "precision.md"
REPOSITORIES = "## The corpus of generated files"
"""Where the parts of the page begin that `generated_files.py` and `repositories.py` write."""
VERDICTS = ("true", "disputed", "false")


class Judged(NamedTuple):
    """A finding with what we think of it."""

    finding: Stored
    verdict: str
    reason: str


def main() -> int:
    options = _options()
    judgements = _judgements()
    judged, open_ones = [], []
    for finding in read(options.found):
        key = (finding.package, finding.path, finding.text.strip(), finding.rule)
        if key in judgements:
            judged.append(Judged(finding, *judgements[key]))
        else:
            open_ones.append(finding)
    for finding in open_ones:
        row = (finding.package, finding.path, finding.text.strip(), finding.rule, "?", finding.message)
        print("\t".join(row))
    if options.write and not open_ones:
        _, heading, repositories = PAGE.read_text(encoding="utf-8").partition(REPOSITORIES)
        PAGE.write_text("\n".join(page(judged)) + f"\n\n{heading}{repositories}", encoding="utf-8")
    print(f"{len(judged)} judged, {len(open_ones)} open", file=sys.stderr)
    return 1 if open_ones else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("found", type=Path)
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


def _judgements() -> dict[tuple[str, ...], tuple[str, str]]:
    with JUDGEMENTS.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE) if row]
    return {tuple(row[:4]): (row[4], row[5]) for row in rows}


def page(judged: Sequence[Judged]) -> Iterator[str]:
    """The page, line by line."""
    weighty, notes = _parted(judged)
    share = _share(weighty)
    true, disputed, found = _share(notes)
    yield from (
        "# Precision on real code",
        "",
        "Every finding of the rules on the wheels below was read in its context and judged:",
        "",
        "- **true**: on input of the kind that the code is made for, a backward pass through this line gives",
        "  a gradient that is inf or nan, or the rule's statement holds otherwise;",
        "- **disputed**: the statement holds, but the input is data, the code is meant for inference, or the",
        "  point is reached so rarely that a reasonable author may leave it;",
        "- **false**: the point cannot be reached, or no gradient passes.",
        "",
        f"**Of {share[2]} warnings and errors {share[0]} are true ({share[0] / max(share[2], 1):.0%}), "
        f"{share[1]} are disputed, {share[2] - share[0] - share[1]} are false.** Notes, which fail no run,",
        f"are for what holds at a point that the code may never meet: of {found} of them {true} are true,",
        f"{disputed} are disputed, {found - true - disputed} are false.",
        "",
        "Packages: " + ", ".join(f"{package.name} {package.version}" for package in PACKAGES) + ".",
        "",
        "## Warnings and errors per rule",
        "",
        *_table(weighty, "Rule", lambda row: row.finding.title),
        "",
        "## Warnings and errors per package",
        "",
        *_table(weighty, "Package", lambda row: row.finding.package),
        "",
        "## Notes per rule",
        "",
        *_table(notes, "Rule", lambda row: row.finding.title),
        "",
        "## Every warning and error",
        "",
        *_listed(weighty),
        "",
        "## Every note",
        "",
        *_listed(notes),
    )


def _parted(judged: Iterable[Judged]) -> tuple[list[Judged], list[Judged]]:
    """Warnings and errors, and notes."""
    parts: tuple[list[Judged], list[Judged]] = ([], [])
    for row in judged:
        parts[row.finding.severity == "note"].append(row)
    return parts


def _share(judged: Iterable[Judged]) -> tuple[int, int, int]:
    """How many are true, are disputed, and are."""
    counts = Counter(row.verdict for row in judged)
    return counts["true"], counts["disputed"], counts.total()


def _table(judged: Sequence[Judged], title: str, group: Callable[[Judged], str]) -> Iterator[str]:
    yield from (f"| {title} | Findings | True | Disputed | False |", "|---|---|---|---|---|")
    counts = Counter((group(row), row.verdict) for row in judged)
    for name in sorted({group(row) for row in judged}):
        found = [counts[name, verdict] for verdict in VERDICTS]
        yield f"| {name} | {sum(found)} | " + " | ".join(map(str, found)) + " |"


def _listed(judged: Iterable[Judged]) -> Iterator[str]:
    yield from ("| Where | Rule | Verdict | Why |", "|---|---|---|---|")
    for finding, verdict, reason in judged:
        yield f"| {finding.package}: {finding.path}:{finding.line} | {finding.rule} | {verdict} | {reason} |"


if __name__ == "__main__":
    sys.exit(main())
