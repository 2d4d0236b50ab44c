"""How many findings each rule has, as a table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from gradlint.lint.result import LintResult
from gradlint.report.options import RenderOptions
from gradlint.report.summary import summary, would_apply
from gradlint.report.terminal import Paint, Style


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How often a rule spoke, and how many of its findings `--fix` would remove."""

    code: str
    name: str
    count: int
    fixable: int


def tally(result: LintResult, options: RenderOptions) -> list[RuleCount]:
    """The rules that spoke, the most frequent first."""
    counts = Counter((finding.rule, finding.name) for finding in result.findings)
    fixable = Counter(finding.rule for finding in result.findings if would_apply(finding, options))
    rows = [RuleCount(code, name, number, fixable[code]) for (code, name), number in counts.items()]
    return sorted(rows, key=lambda row: (-row.count, row.code))


def render(result: LintResult, options: RenderOptions) -> str:
    """A row per rule: count, code, `[*]` where some can be fixed, name; then a summary."""
    paint = Paint(options.color)
    rows = tally(result, options)
    widest = max((len(str(row.count)) for row in rows), default=0)
    marks = {True: "[*]", False: "   "}
    lines = [
        f"{row.count:>{widest}}  {paint(row.code, Style.BOLD)}  {marks[row.fixable > 0]} {row.name}\n"
        for row in rows
    ]
    return "".join(lines) + summary(result, options)
