"""Lints public repositories that train, joins findings with our judgement, writes a part of a page.

    python benchmarks/repositories.py CHECKOUTS --kept findings.json --write

What is found is kept in a file, where one is named, and taken from there if that exists. CHECKOUTS is a
folder with a checkout of each repository of `repositories.tsv`, at its commit, called OWNER+NAME. Judgements
stand in `repository_judgements.tsv`: repository, path, line, rule, verdict (true, disputed, false), what
happens, a public report of it. Findings without a judgement are listed, and the status is 1. The rules on
training are applied; the rest of docs/precision.md is left as it is.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "precision.md"
HEADING = "## Public repositories that train"
RULES = (
    "GRD105,GRD301,GRD304,GRD401,GRD402,GRD403,GRD404,GRD406,GRD407,GRD408,"
    "GRD501,GRD502,GRD503,GRD504,GRD505,GRD506,GRD507,GRD508,GRD509,GRD510,GRD511,GRD806"
)


class Found(NamedTuple):
    """A finding; the line counts within `cell` in a notebook."""

    repository: str
    path: str
    line: str
    rule: str
    name: str
    severity: str


class Judgement(NamedTuple):
    """What we think of it."""

    verdict: str
    reason: str
    report: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("checkouts", type=Path)
    parser.add_argument("--kept", type=Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    found = _found_in(options.checkouts, options.kept)
    judgements = {tuple(row[:4]): Judgement(*row[4:7]) for row in _rows("repository_judgements.tsv")}
    weighty = [each for each in found if each.severity != "note"]
    open_ones = [each for each in weighty if each[:4] not in judgements]
    for each in open_ones:
        print("\t".join([*each[:4], "?"]))
    print(f"{len(weighty)} findings, {len(open_ones)} of them open", file=sys.stderr)
    if options.write and not open_ones:
        kept = PAGE.read_text(encoding="utf-8").partition(HEADING)[0]
        PAGE.write_text(kept + "\n".join(section(found, judgements)) + "\n", encoding="utf-8")
    return 1 if open_ones else 0


def _found_in(checkouts: Path, kept: Path | None) -> list[Found]:
    """All findings: those that an earlier run has kept, or those of a run."""
    if kept is not None and kept.exists():
        return [Found(*each) for each in json.loads(kept.read_text(encoding="utf-8"))]
    found = [each for name, _ in _rows("repositories.tsv") for each in _linted(checkouts, name)]
    if kept is not None:
        kept.write_text(json.dumps(found), encoding="utf-8")
    return found


def _rows(name: str) -> list[list[str]]:
    with (HERE / name).open(encoding="utf-8", newline="") as stream:
        return [row for row in csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE) if row]


def _linted(checkouts: Path, name: str) -> Iterator[Found]:
    folder = checkouts / name.replace("/", "+")
    command = [sys.executable, "-m", "gradlint", "check", "--isolated", "--no-cache", "--preview"]
    command += ["--exit-zero", "--select", RULES, "--output-format", "json-lines", "."]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout
    for line in shown.splitlines():
        yield _found(name, folder.resolve(), json.loads(line))


def _found(name: str, folder: Path, finding: dict[str, Any]) -> Found:
    path = Path(finding["filename"])
    row, cell = finding["location"]["row"], finding.get("cell")
    return Found(
        name,
        str(path.relative_to(folder) if path.is_absolute() else path),
        f"{row}" if cell is None else f"cell {cell}, {row}",
        finding["code"],
        finding["name"],
        finding["severity"],
    )


def section(found: Iterable[Found], judgements: dict[tuple[str, ...], Judgement]) -> Iterator[str]:
    """The part of the page, line by line."""
    repositories = _rows("repositories.tsv")
    judged = [(each, judgements[each[:4]]) for each in found if each.severity != "note"]
    notes = Counter(each.rule for each in found if each.severity == "note")
    counted = Counter(judgement.verdict for _, judgement in judged)
    total = max(sum(counted.values()), 1)
    yield from (
        HEADING,
        "",
        f"The rules on training (families 3 to 5, GRD105, GRD806) over {len(repositories)} repositories,",
        f"every warning and error read: **of {sum(counted.values())}, {counted['true']} are true "
        f"({counted['true'] / total:.0%}), {counted['disputed']} disputed, {counted['false']} false.**",
        "Where a finding was no risk, the rule was refined until it was silent there, and some repositories",
        "are here for a defect that was reported: the share says nothing of code that was not read.",
        "Notes: " + (", ".join(f"{count} {rule}" for rule, count in sorted(notes.items())) or "none") + ".",
        "",
        "| Where | Rule | Verdict | What happens |",
        "|---|---|---|---|",
    )
    alike: dict[tuple[str, str, Judgement], list[Found]] = {}
    for each, judgement in sorted(judged):
        alike.setdefault((each.repository, f"{each.rule} {each.name}", judgement), []).append(each)
    for (repository, rule, judgement), every in alike.items():
        report = f" ([report]({judgement.report}))" if judgement.report else ""
        where = "; ".join(f"{each.path}:{each.line}" for each in every)
        yield f"| {repository}: {where} | {rule} | {judgement.verdict} | {judgement.reason}{report} |"
    yield from ("", "Read at these commits:", "")
    for name, commit in repositories:
        yield f"- [{name}](https://github.com/{name}) {commit[:10]}"


if __name__ == "__main__":
    raise SystemExit(main())
