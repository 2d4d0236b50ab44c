"""The pipeline: from files to what is reported of them.

Examining a file does not depend on any setting, so its outcome is cached by content; selecting,
silencing and weighing what was found is cheap and is done on every run.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from gradlint.config.select import Rating, Selection
from gradlint.lint import suppress
from gradlint.lint.cache import Cache
from gradlint.lint.gather import gathered
from gradlint.lint.outcome import (
    Given,
    Outcome,
    Said,
    Task,
    cells_of,
    digest,
    digest_of_folder,
    is_current,
    outcome_key,
)
from gradlint.lint.result import FileReport
from gradlint.records.failure import INTERNAL_ERROR
from gradlint.records.finding import Claim, Edit, Finding, Fix, Related
from gradlint.records.span import Span
from gradlint.records.suppression import SuppressionUse
from gradlint.records.version import VERSION
from gradlint.rule.rule import Rule, subject_of
from gradlint.source.listing import listing
from gradlint.source.source import Source
from gradlint.source.triage import is_of_interest

if TYPE_CHECKING:
    from concurrent.futures import Executor


class Linter:
    """Runs all installed rules over files and reports what a selection of them found."""

    def __init__(
        self,
        rules: Sequence[type[Rule]],
        select: Callable[[str], Selection],
        *,
        cache_dir: str | None = None,
        jobs: int = 0,
        executor: Executor | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._rules = rules
        self._select = select
        self._cache_dir = cache_dir
        self._jobs = jobs or os.cpu_count() or 1
        self._executor = executor
        self._progress = progress
        self._fingerprint = fingerprint(rules)
        self._on_training = {rule.id for rule in rules if subject_of(rule).__name__ == "TrainingLoop"}
        self._on_suppression = [rule for rule in rules if subject_of(rule) is SuppressionUse]
        self._digests: dict[str, str] = {}
        self._said: dict[str, Said] = {}
        self.coverage: Counter[str] = Counter()
        self.parsed = 0

    def check_files(self, paths: Sequence[str], named: frozenset[str] = frozenset()) -> Iterator[FileReport]:
        """One report per file, in the order of `paths`; `named` are those that the user named."""
        tasks = {path: Task(os.path.abspath(path), path in named) for path in paths}
        examined = self._outcomes(tasks.values())
        outcomes = gathered({task.path: examined[task.path] for task in tasks.values()}, self._on_training)
        for path, task in tasks.items():
            outcome = outcomes[task.path]
            self.parsed += outcome.parsed
            self.coverage.update(outcome.reasons)
            yield self.report(path, outcome)

    def check_source(self, source: Source, given: Given = {}) -> Outcome:  # noqa: B006
        """The outcome for a text that is not on disk, or not in this state, or of models with arguments."""
        from gradlint.lint.examine import Examiner

        return Examiner(self._rules, given=given).examine_source(source)

    def report(self, path: str, outcome: Outcome) -> FileReport:
        """What is reported of a file, in the coordinates of its cells."""
        kept, silenced = self.judge(path, outcome)
        source = Source(path, "", cells=cells_of(outcome))
        shown = display_path(path)
        return FileReport(
            shown,
            tuple([placed(finding, source, shown) for finding in kept]),
            tuple([placed(finding, source, shown) for finding in silenced]),
        )

    def judge(self, path: str, outcome: Outcome) -> tuple[list[Finding], list[Finding]]:
        """The findings that stay and those that a comment silenced, in the joined text."""
        if not outcome.findings and not outcome.suppressions:
            return [], []
        selection = self._select(path)
        chosen = [f for f in outcome.findings if f.rule == INTERNAL_ERROR or _is_chosen(f, selection)]
        applied = suppress.apply(chosen, outcome.suppressions)
        meta = suppress.apply(self._on_suppressions(outcome, applied, selection), outcome.suppressions)
        kept = [*applied.kept, *meta.kept]
        weighed = [replace(f, severity=_rating(f, selection).severity or f.severity) for f in kept]
        weighed.sort(key=lambda finding: (finding.span, finding.rule))
        return weighed, [*applied.silenced, *meta.silenced]

    def _on_suppressions(
        self, outcome: Outcome, applied: suppress.Applied, selection: Selection
    ) -> Iterator[Finding]:
        """The findings of the rules about suppressions; none where a rule failed, which may need them."""
        if not outcome.suppressions or any(f.rule == INTERNAL_ERROR for f in outcome.findings):
            return
        meta = [rule for rule in self._on_suppression if rule.id in selection]
        for use in suppress.uses(outcome.suppressions, applied.used, selection, self._rules):
            for rule in meta:
                yield from rule().check(use)

    # outcomes

    def _outcomes(self, tasks: Iterable[Task]) -> dict[str, Outcome]:
        """The outcome for every task, from the cache or anew, by absolute path."""
        found: dict[str, Outcome] = {}
        waiting: list[Task] = []
        sizes: list[int] = []
        contents = {task: self._read(task.path) for task in tasks}
        cached = self._cached([(t.path, digest(c)) for t, c in contents.items() if c is not None])
        for task, content in contents.items():
            if content is not None and not task.is_named and not is_of_interest(content):
                found[task.path] = Outcome()
            elif task.path in cached:
                found[task.path] = cached[task.path]
            else:
                waiting.append(task)
                sizes.append(len(content or b""))
        found.update(self._examine(waiting, sizes))
        return found

    def _read(self, path: str) -> bytes | None:
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError:
            return None

    def _cached(self, files: Sequence[tuple[str, str]]) -> dict[str, Outcome]:
        if self._cache_dir is None:
            return {}
        self._digests.update(files)
        keys = {path: outcome_key(path, content, self._fingerprint) for path, content in files}
        cache = Cache(self._cache_dir)
        stored = cache.get_many(list(keys.values()))
        cache.close()
        decoder = msgspec.msgpack.Decoder(Outcome)
        found: dict[str, Outcome] = {}
        for path, key in keys.items():
            if key in stored:
                try:
                    outcome = decoder.decode(stored[key])
                except msgspec.DecodeError:
                    continue
                if is_current(outcome, self._digest_of, self._said_in):
                    found[path] = outcome
        return found

    def _digest_of(self, path: str) -> str:
        if path not in self._digests:
            content = self._read(path)
            self._digests[path] = digest_of_folder(path) if content is None else digest(content)
        return self._digests[path]

    def _said_in(self, path: str) -> Said:
        """What a file or a folder that has changed says."""
        if path not in self._said:
            from gradlint.lint.examine import said_in

            content = self._read(path)
            self._said[path] = Said(text=listing(path) or "") if content is None else said_in(path, content)
        return self._said[path]

    def _examine(self, tasks: Sequence[Task], sizes: Sequence[int]) -> dict[str, Outcome]:
        if not tasks:
            return {}
        from gradlint.lint.spread import Work, examine_all

        work = Work(self._cache_dir, self._fingerprint, self._jobs, self._executor, self._progress)
        return examine_all(tasks, sizes, work)


def _rating(finding: Finding, selection: Selection) -> Rating:
    return selection.get(finding.rule, Rating())


def _is_chosen(finding: Finding, selection: Selection) -> bool:
    return finding.rule in selection and selection[finding.rule].admits(finding)


def fingerprint(rules: Sequence[type[Rule]]) -> str:
    """Changes whenever the analysis or a rule may have changed."""
    package = Path(__file__).parent.parent
    files = {str(path) for path in package.rglob("*.py")}
    files |= {module.__file__ for rule in rules if (module := sys.modules[rule.__module__]).__file__}
    states = [(path, os.stat(path)) for path in sorted(files)]
    text = "\0".join([f"{path}:{state.st_size}:{state.st_mtime_ns}" for path, state in states])
    return digest(f"{VERSION}\0{sys.version_info[:2]}\0{text}".encode())


def display_path(path: str) -> str:
    """The path as reports show it: relative to the working directory where it lies below, with slashes."""
    if os.path.isabs(path):
        relative = os.path.relpath(path)
        path = path if relative.startswith("..") else relative
    return Path(os.path.normpath(path)).as_posix()


def placed(finding: Finding, source: Source, shown: str) -> Finding:
    """The finding as it is reported: with its path and, in a notebook, in the coordinates of its cell."""
    if not source.cells:
        return replace(finding, path=shown, related=_related_paths(finding))
    cell, _ = source.locate(finding.span.line)
    shift = partial(_within_cell, source)
    fix = finding.fix
    if fix is not None:
        edits = [Edit(shift(edit.span), edit.parts, source.locate(edit.span.line)[0]) for edit in fix.edits]
        fix = Fix(fix.title, fix.applicability, tuple(edits))
    related = [
        r if r.path else replace(r, span=shift(r.span), cell=source.locate(r.span.line)[0])
        for r in _related_paths(finding)
    ]
    claim = _claim_within(source, finding.claim, cell)
    span = shift(finding.span)
    return replace(finding, path=shown, cell=cell, span=span, related=tuple(related), fix=fix, claim=claim)


def _claim_within(source: Source, claim: Claim | None, cell: int | None) -> Claim | None:
    """A claim about a loop with lines of cells; "step@cell 2:3" in another cell than its finding."""
    if claim is None or claim.rehearsal is None:
        return claim

    def moved(found: re.Match[str]) -> str:
        number, line = source.locate(int(found[1]))
        return f"@{line}" if number == cell else f"@cell {number}:{line}"

    return replace(claim, subject=re.sub(r"@(\d+)\b", moved, claim.subject))


def _related_paths(finding: Finding) -> tuple[Related, ...]:
    return tuple([replace(r, path=display_path(r.path)) if r.path else r for r in finding.related])


def _within_cell(source: Source, span: Span) -> Span:
    first = source.locate(span.line)[1]
    return Span(first, span.column, first + span.end_line - span.line, span.end_column)
