"""Fixing one file until nothing more can be fixed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec.structs import replace as struct_replace

from gradlint.fix.apply import apply_edits, is_wanted
from gradlint.records.failure import SYNTAX_ERROR
from gradlint.records.finding import Applicability, Finding
from gradlint.records.suppression import UNUSED_SUPPRESSION
from gradlint.source.source import Cell, Source

ROUNDS = 100
"""After so many changes a file is given up."""

Lint = Callable[[Source], tuple[Finding, ...]]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A finding whose fix was tried and taken back, and why."""

    finding: Finding
    reason: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """A file after fixing: its text, what is still found there, and what happened.

    Fixes that were taken back are for display only in what is still found.
    """

    source: Source
    findings: tuple[Finding, ...]
    applied: Mapping[str, int]
    """How many fixes were applied, by rule id."""
    rejected: tuple[Rejected, ...] = ()
    converged: bool = True
    """False if there was still something to fix after the last round."""


@dataclass(frozen=True, slots=True)
class _State:
    source: Source
    findings: tuple[Finding, ...]


def fix_file(source: Source, lint_one: Lint, unsafe: bool = False) -> Fixed:
    """Apply fixes round by round, checking each outcome with `lint_one`.

    A round is kept only if the file still parses, each fixed finding is gone and no other has
    come; where several fixes fail together, fewer are tried, so that only those at fault are
    rejected. Removing code may leave a suppression unused, which counts as no new finding.
    """
    state = _State(source, tuple(lint_one(source)))
    applied: Counter[str] = Counter()
    rejected: dict[object, Rejected] = {}
    rounds = 0
    while (wanted := _wanted(state, rejected, unsafe)) and rounds < ROUNDS:
        after, done, reason = _round(state, wanted, lint_one)
        if reason:
            rejected[_identity(done[0], state.source)] = Rejected(done[0], reason)
        else:
            state = after
            rounds += 1
            applied.update(finding.rule for finding in done)
    findings = tuple([_withdrawn(f) if _identity(f, state.source) in rejected else f for f in state.findings])
    return Fixed(state.source, findings, applied, tuple(rejected.values()), not wanted)


def _withdrawn(finding: Finding) -> Finding:
    if finding.fix is None:
        return finding
    return struct_replace(finding, fix=struct_replace(finding.fix, applicability=Applicability.DISPLAY_ONLY))


def _wanted(state: _State, rejected: Mapping[object, Rejected], unsafe: bool) -> list[Finding]:
    wanted = [finding for finding in state.findings if is_wanted(finding.fix, unsafe)]
    if not rejected:
        return wanted
    return [finding for finding in wanted if _identity(finding, state.source) not in rejected]


def _round(state: _State, wanted: Sequence[Finding], lint: Lint) -> tuple[_State, Sequence[Finding], str]:
    """The state after fixing some of `wanted`, and which; or why the one fix that is left fails."""
    while True:
        after, done, reason = _attempt(state, wanted, lint)
        if not reason or len(done) == 1:
            return after, done, reason
        wanted = done[: len(done) // 2]


def _attempt(state: _State, wanted: Sequence[Finding], lint: Lint) -> tuple[_State, Sequence[Finding], str]:
    fixes = {finding.fix: None for finding in wanted if finding.fix is not None}
    text, applied = apply_edits(state.source.text, tuple(fixes))
    made = set(applied)
    done = [finding for finding in wanted if finding.fix in made]
    if not done:
        return state, wanted, "its edits contradict each other"
    edited = with_text(state.source, text)
    if edited is None:
        return state, done, "it reaches over the end of a cell"
    if text == state.source.text:
        return state, done, "it changes nothing"
    after = _State(edited, tuple(lint(edited)))
    return after, done, _fault(state.findings, after.findings, done)


def _fault(before: Sequence[Finding], after: Sequence[Finding], done: Sequence[Finding]) -> str:
    """Why the findings after a round are not what they should be; empty if they are."""
    allowed = Counter(finding.rule for finding in before)
    allowed.subtract(finding.rule for finding in done)
    names = {finding.rule: finding.name for finding in after}
    surplus = Counter(finding.rule for finding in after)
    surplus.subtract(allowed)
    fixed = {finding.rule for finding in done}
    if surplus[SYNTAX_ERROR] > 0:
        return "it leaves code that does not parse"
    for rule, count in surplus.items():
        if count > 0 and rule in fixed:
            return "it does not remove the finding"
        if count > 0 and rule != UNUSED_SUPPRESSION:
            return f"it causes {rule} {names[rule]}"
    return ""


def with_text(source: Source, text: str) -> Source | None:
    """The source with another text; nothing if the text has not the same cells any more."""
    if not source.cells:
        return replace(source, text=text)
    from gradlint.source.notebook import SEPARATOR

    codes = text.split(SEPARATOR)
    if len(codes) != len(source.cells):
        return None
    cells: list[Cell] = []
    line = 1
    for cell, code in zip(source.cells, codes, strict=True):
        count = code.count("\n") + 1
        cells.append(Cell(cell.number, line, count))
        line += count + 1
    return replace(source, text=text, cells=tuple(cells))


def _identity(finding: Finding, source: Source) -> tuple[object, ...]:
    """What stays the same about a finding while other parts of the file are fixed."""
    lines = source.lines()[finding.span.line - 1 : finding.span.end_line]
    contents = [edit.content for edit in finding.fix.edits] if finding.fix else []
    return finding.rule, tuple(lines), tuple(contents)
