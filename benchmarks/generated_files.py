"""Draws a sample of the findings in generated files, joins it with our judgement, writes a part of a page.

    gradlint check --isolated --preview --output-format json-lines CHECKOUT/generated/*.py > found.jsonl
    python benchmarks/generated_files.py found.jsonl --draw
    python benchmarks/generated_files.py found.jsonl --now now.jsonl --write

CHECKOUT is one of github.com/jansel/pytorch-jit-paritybench. `now.jsonl` holds what is found in the files of
the sample after rules were mended. Judgements stand in `generated_judgements.tsv`: file, line, column, rule,
verdict, reason. What was drawn and not judged is listed, and the status is 1.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

HERE = Path(__file__).parent
JUDGEMENTS = HERE / "generated_judgements.tsv"
PAGE = HERE.parent / "docs" / "precision.md"
HEADING = "## The corpus of generated files"
NEXT = "## Public repositories that train"
SEED = 20261121
MOST, FREQUENT = 12, {"GRD601": 24, "GRD603": 24, "GRD604": 24}
"""How many findings of a rule are read, and of the rules that find most."""

NOTES = 6
"""How many notes of a rule are read."""

DRAWS = 20_000
VERDICTS = ("true", "disputed", "false")

Key = tuple[str, int, int, str]


class Location(msgspec.Struct, frozen=True):
    """Where a finding begins."""

    row: int
    column: int


class Found(msgspec.Struct, frozen=True):
    """One finding as `--output-format json-lines` gives it."""

    code: str
    name: str
    severity: str
    filename: str
    location: Location

    @property
    def key(self) -> Key:
        """What tells findings apart, wherever the checkout lies."""
        return Path(self.filename).name, self.location.row, self.location.column, self.code

    @property
    def is_note(self) -> bool:
        """Whether it fails no run."""
        return self.severity in ("note", "info")


class Stratum(NamedTuple):
    """The warnings and errors of one rule: how many there are, and those that were read."""

    rule: str
    findings: int
    verdicts: tuple[str, ...]

    def count(self, verdict: str) -> int:
        """How many of those that were read got this verdict."""
        return self.verdicts.count(verdict)


def main() -> int:
    options = _options()
    found = read(options.found)
    sample, judgements = drawn(f for f in found if not f.is_note), _judgements()
    notes = drawn((f for f in found if f.is_note), NOTES)
    missing = [finding for finding in (*sample, *notes) if finding.key not in judgements]
    if options.draw or missing:
        for finding in (*sample, *notes) if options.draw else missing:
            print(*finding.key, sep="\t")
        return 1 if missing else 0
    now = None if options.now is None else {f.key for f in read(options.now) if not f.is_note}
    lines = list(section(found, sample, notes, judgements, now))
    if options.write:
        before, _, behind = PAGE.read_text(encoding="utf-8").partition(NEXT)
        kept = before.partition(HEADING)[0]
        PAGE.write_text(kept + "\n".join(lines) + f"\n\n{NEXT}{behind}", encoding="utf-8")
    else:
        print("\n".join(lines))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("found", type=Path)
    parser.add_argument("--now", type=Path)
    parser.add_argument("--draw", action="store_true")
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


def read(path: Path) -> list[Found]:
    """The findings in a file of JSON lines."""
    return msgspec.json.Decoder(Found).decode_lines(path.read_bytes())


def _judgements() -> dict[Key, tuple[str, str]]:
    with JUDGEMENTS.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE) if row]
    return {(file, int(line), int(column), rule): (v, why) for file, line, column, rule, v, why in rows}


def drawn(found: Iterable[Found], most: int | None = None) -> list[Found]:
    """The findings to read: of each rule those that come first in an order by chance, one for each place."""
    by_rule: dict[str, dict[Key, Found]] = defaultdict(dict)
    for finding in found:
        by_rule[finding.code][finding.key] = finding
    return [
        each
        for rule, places in sorted(by_rule.items())
        for each in sorted(places.values(), key=_lot)[: most or FREQUENT.get(rule, MOST)]
    ]


def _lot(finding: Found) -> str:
    return hashlib.sha256(":".join(map(str, (SEED, *finding.key))).encode()).hexdigest()


def section(
    found: Sequence[Found],
    sample: Sequence[Found],
    notes: Sequence[Found],
    judgements: dict[Key, tuple[str, str]],
    now: set[Key] | None,
) -> Iterator[str]:
    """The part of the page, line by line."""
    counts = Counter((finding.code, finding.name, finding.is_note) for finding in found)
    weighty = {code: n for (code, _, is_note), n in counts.items() if not is_note}
    before = _strata(weighty, sample, judgements, None)
    yield from (HEADING, "", *_introduction(found, sample), "")
    yield f"- As found: {_share(before)}"
    if now is not None:
        yield f"- As the mended rules find it: {_share(_strata(weighty, sample, judgements, now))}"
    yield f"- Notes, up to {NOTES} of each rule: {_told(judgements[note.key][0] for note in notes)}."
    yield from ("", *_table(counts, before, sample, judgements, now), "")
    yield from ("| Where | Rule | Verdict | Now | Why |", "|---|---|---|---|---|")
    for finding in sample:
        verdict, why = judgements[finding.key]
        left = "" if now is None else "stays" if finding.key in now else "gone"
        file, line, _, rule = finding.key
        yield f"| {file}:{line} | {rule} | {verdict} | {left} | {why} |"


def _introduction(found: Sequence[Found], sample: Sequence[Found]) -> Iterator[str]:
    weighty = sum(not finding.is_note for finding in found)
    home = "https://github.com/jansel/pytorch-jit-paritybench"
    more = max(FREQUENT.values())
    yield f"Each file under `generated/` of [pytorch-jit-paritybench]({home})"
    yield "holds the modules of a public repository, put together automatically, seldom what trains them."
    yield f"In 2,001 such files all rules, those in preview too, found {weighty} warnings and errors and"
    yield f"{len(found) - weighty} notes. Of each rule up to {MOST} warnings and errors were drawn by chance"
    yield f"(seed {SEED}; up to {more} of {', '.join(FREQUENT)}), {len(sample)} in all, and read in"
    yield "their files. The causes of what is false were mended then; the second line below is of what the"
    yield "mended rules still find of the sample, and leaves out what they newly find elsewhere. A rule"
    yield f"counts as much as it finds. The interval holds 95% of {DRAWS:,} draws in which each rule's share"
    yield "among what was not read follows Jeffreys' posterior; findings in one file pass for independent."
    yield "Most of what is disputed is a root or a divisor that is 0 only for features, boxes or data hardly"
    yield "met, or code that is seldom differentiated."


def _strata(
    weighty: dict[str, int],
    sample: Sequence[Found],
    judgements: dict[Key, tuple[str, str]],
    now: set[Key] | None,
) -> list[Stratum]:
    """The rules with what was read of them; where `now` is given, with what is left of it."""
    strata = []
    for rule, findings in sorted(weighty.items()):
        was = [finding.key for finding in sample if finding.code == rule]
        kept = [key for key in was if now is None or key in now]
        left = round(findings * len(kept) / len(was))
        strata.append(Stratum(rule, left, tuple([judgements[key][0] for key in kept])))
    return strata


def _share(strata: Sequence[Stratum]) -> str:
    true, low, high = _estimate(strata, ("true",))
    fair, *_ = _estimate(strata, ("true", "disputed"))
    weighted = f"**{true:.0%} are true** ({low:.0%} to {high:.0%}) and {1 - fair:.1%} false"
    return f"{_told(verdict for s in strata for verdict in s.verdicts)}. Weighted, {weighted}."


def _told(verdicts: Iterable[str]) -> str:
    counts = Counter(verdicts)
    true, disputed, false = (counts[verdict] for verdict in VERDICTS)
    return f"of {counts.total()} that were read {true} are true, {disputed} disputed, {false} false"


def _estimate(strata: Sequence[Stratum], verdicts: Sequence[str]) -> tuple[float, float, float]:
    """The weighted share of some verdicts, with its interval."""
    total = sum(stratum.findings for stratum in strata if stratum.verdicts)
    hits = [(s, sum(map(s.count, verdicts)), len(s.verdicts)) for s in strata if s.verdicts]
    mean = sum(s.findings * k / n for s, k, n in hits) / total
    rng = random.Random(SEED)
    draws = sorted(sum(_possible(s.findings, k, n, rng) for s, k, n in hits) / total for _ in range(DRAWS))
    return mean, draws[DRAWS // 40], draws[-DRAWS // 40]


def _possible(findings: int, hits: int, read_ones: int, rng: random.Random) -> float:
    """How many findings of a rule may be hits, where `hits` of those that were read are."""
    rest = max(findings - read_ones, 0)
    return hits + rest * (rng.betavariate(hits + 0.5, read_ones - hits + 0.5) if rest else 0)


def _table(
    counts: Counter[tuple[str, str, bool]],
    strata: Sequence[Stratum],
    sample: Sequence[Found],
    judgements: dict[Key, tuple[str, str]],
    now: set[Key] | None,
) -> Iterator[str]:
    yield "| Rule | Warnings and errors | Notes | Read | True | Disputed | False | False that stay |"
    yield "|---|---|---|---|---|---|---|---|"
    by_rule = {stratum.rule: stratum for stratum in strata}
    for code, name in sorted({(code, name) for code, name, _ in counts}):
        stratum = by_rule.get(code, Stratum(code, 0, ()))
        wrong = [f.key for f in sample if f.code == code and judgements[f.key][0] == "false"]
        stay = "" if now is None else str(len(now.intersection(wrong)))
        cells = (stratum.findings, counts[code, name, True], len(stratum.verdicts))
        verdicts = [stratum.count(verdict) for verdict in VERDICTS]
        yield f"| {code} {name} | " + " | ".join(map(str, (*cells, *verdicts, stay))) + " |"


if __name__ == "__main__":
    sys.exit(main())
