"""Examining files: from their text to what every rule says of them, before anything is selected.

This is the work that is spread over processes or machines, and whose outcome is cached. It knows
nothing of settings, so that a change of settings examines nothing anew.
"""

from __future__ import annotations

import gc
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec
from msgspec.structs import replace

from gradlint.lint.cache import Cache
from gradlint.lint.cells import broken_cells, cell_alone, without_cells
from gradlint.lint.deep import deep_recursion
from gradlint.lint.inspect import Inspection, Inspector, may_hold_graphs, triggers_of
from gradlint.lint.outcome import (
    Consulted,
    Given,
    Outcome,
    Said,
    Task,
    binding_digest,
    digest,
    digest_of_folder,
    outcome_key,
)
from gradlint.lint.suppress import in_effect
from gradlint.lint.suppress import parse as parse_suppressions
from gradlint.records.facts import FileFacts
from gradlint.records.failure import ParseFailure, internal_error
from gradlint.records.ir import Omitted, Statement
from gradlint.records.span import Span
from gradlint.rule.registry import load
from gradlint.rule.rule import Rule
from gradlint.semantics.answers import answer, is_question, question
from gradlint.semantics.imports import ImportedHelpers
from gradlint.semantics.neighbours import EVERYTHING, text_in, text_of
from gradlint.semantics.project import Project, look_again
from gradlint.semantics.scope import ModuleScope
from gradlint.source.listing import listing
from gradlint.source.read import decode
from gradlint.source.source import Source, SourceError
from gradlint.source.triage import Found, is_of_interest, lines_of, matches, mentions_framework, uses
from gradlint.syntax.extract import extract, lower_omitted

MOST_HELD = 3_000_000
"""Characters of source of which so much is known that some is forgotten: each takes some hundred bytes."""


_MISSING = "-"
"""The digest of all that a file says that is not there: it is another one once it is."""

WIDELY_IMPORTED = 4
"""Importers of a file that is not forgotten before all is."""


class Examiner:
    """Examines files one after the other; what one needs of another is read once.

    What an outcome rests on is noted only where a `cache` keeps it.
    """

    def __init__(
        self,
        rules: Sequence[type[Rule]],
        cache: Cache | None = None,
        fingerprint: str = "",
        given: Given = {},  # noqa: B006
    ) -> None:
        self._triggers = triggers_of(rules)
        self._cache = cache
        self._fingerprint = fingerprint
        self._texts: dict[str, Source] = {}
        self._digests: dict[str, str] = {}
        self._new: dict[str, bytes] = {}
        look_again()
        self._project = Project(self._facts, self._lower)
        self._inspector = Inspector(self._project, rules, given)
        self._imported = ImportedHelpers(self._project, self._text, self._hits)
        self._found: dict[str, Found] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._lines: dict[str, list[str]] = {}
        self._listed: dict[str, str] = {}
        self.held = 0
        """How many characters of source are held, with all that is known of them."""

    def examine(self, path: str, data: bytes, is_named: bool) -> Outcome:
        """The outcome for the file at `path` with these contents; never raises."""
        content = self._digests[path] = digest(data)
        if not is_named and not is_of_interest(data):
            return Outcome()
        is_framework = is_named or mentions_framework(data)
        try:
            source = decode(path, data)
        except SourceError as error:
            outcome = self.failed(str(error), error.line, error.column)
        else:
            outcome = self.examine_source(source, is_framework)
        if self._cache is not None:
            with suppress(UnicodeEncodeError):  # a path that is not text is not kept
                key = outcome_key(path, content, self._fingerprint)
                self._new[key] = msgspec.msgpack.encode(outcome)
        return outcome

    def examine_source(self, source: Source, is_framework: bool = True) -> Outcome:
        """The outcome for a decoded text; one that names no framework is read for its arrays only."""
        try:
            with deep_recursion():
                return self._examined(source, is_framework)
        except (Exception, RecursionError) as error:
            return Outcome((internal_error(f"the analysis failed: {type(error).__name__}: {error}"),))

    def _examined(self, source: Source, is_framework: bool = True) -> Outcome:
        known = self._texts.get(source.path)
        if known is not None and known.text != source.text:
            self._forget(source.path)
        self._keep(source)
        self._imported.consulted.clear()
        scope = self._project.scope(source.path)
        facts = self._with_imported_helpers(scope)
        cells = tuple([(cell.number, cell.first_line, cell.line_count) for cell in source.cells])
        if facts.error:
            return self._partly_examined(source, is_framework) or replace(
                self._unexamined(source, facts), cells=cells
            )
        may_concern = bool(facts.hits) or may_hold_graphs(source.text)
        inspection = self._inspector.inspect(scope, source, is_framework) if may_concern else Inspection(())
        shown = {(there.path, EVERYTHING) for finding in inspection.findings for there in finding.related}
        names = inspection.consulted | self._imported.consulted | {each for each in shown if each[0]}
        consulted = () if self._cache is None else self._consulted(source.path, names)
        suppressions = parse_suppressions(source.text)
        return Outcome(inspection.findings, suppressions, cells, inspection.reasons, True, consulted)

    def _unexamined(self, source: Source, facts: FileFacts) -> Outcome:
        """The outcome for a text that is not Python; nobody knows which of its suppressions are in use."""
        failed = self.failed(facts.error, facts.error_span.line, facts.error_span.column)
        return replace(failed, suppressions=in_effect(parse_suppressions(source.text), failed.findings))

    def _partly_examined(self, source: Source, is_framework: bool) -> Outcome | None:
        """The outcome for a notebook without the cells that are not Python; None where there are none."""
        broken = broken_cells(source)
        if not broken:
            return None
        rest = self._examined(without_cells(source, broken), is_framework)
        failures = [finding for failure in broken.values() for finding in self._inspector.judge(failure)]
        findings = tuple(sorted([*failures, *rest.findings], key=lambda f: (f.span, f.rule)))
        unread = [s for cell in broken for s in parse_suppressions(cell_alone(source, cell).text)]
        suppressions = (*rest.suppressions, *in_effect(unread, findings))
        return replace(rest, findings=findings, suppressions=suppressions)

    def failed(self, message: str, line: int = 1, column: int = 1) -> Outcome:
        """The outcome for a text that cannot be read."""
        line, column = max(line, 1), max(column, 1)
        failure = ParseFailure(message, Span(line, column, line, column + 1))
        return Outcome(tuple(self._inspector.judge(failure)))

    def _with_imported_helpers(self, scope: ModuleScope) -> FileFacts:
        """The module's facts with the callers of helpers in other files lowered as well."""
        text = self._texts[scope.path].text
        used = uses(text, self._imported.names(scope))
        if not set(lines_of(used)).issubset(scope.facts.hits):
            found = self._found_in(scope.path)
            both = {word: (*found.get(word, ()), *used.get(word, ())) for word in (*found, *used)}
            scope.replace_facts(extract(text, both, outline=True))
        return scope.facts

    def _consulted(self, own: str, names: Collection[tuple[str, str]]) -> tuple[Consulted, ...]:
        """What was read of other files and of folders, by their paths."""
        by_path: dict[str, dict[str, str]] = {}
        for path, name in (*names, *self._sought({own, *(path for path, _ in names)})):
            if path != own:
                self._text(path)
                by_path.setdefault(path, {})[name] = self._binding_digest(path, name)
        return tuple([Consulted(path, self._digests[path], found) for path, found in by_path.items()])

    def _sought(self, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
        """What was asked of folders on behalf of files: which of the modules that these name are there."""
        folders: defaultdict[str, set[str]] = defaultdict(set)
        for path in paths:
            for folder, name in self._project.sought.get(path, ()):
                folders[folder].add(name)
        yield from ((folder, question("holds", " ".join(sorted(found)))) for folder, found in folders.items())

    def _binding_digest(self, path: str, name: str) -> str:
        key = (path, name)
        if name == EVERYTHING:
            return self._digests[path] or _MISSING
        if is_question(name):
            return answer(name, self._listing(path) if os.path.isdir(path) else text_of(path))
        if key not in self._names:
            scope = self._project.scope(path)
            statements = (*scope.bindings.get(name, ()), *scope.stars)
            self._names[key] = binding_digest(self._lines_of(path), statements, scope.facts.changes(name))
        return self._names[key]

    def _listing(self, folder: str) -> str:
        if folder not in self._listed:
            self._listed[folder] = listing(folder) or ""
        return self._listed[folder]

    def _lines_of(self, path: str) -> list[str]:
        if path not in self._lines:
            self._lines[path] = self._text(path).split("\n")
        return self._lines[path]

    def _source(self, path: str) -> Source:
        known = self._texts.get(path)
        if known is None:
            with open(path, "rb") as file:
                data = file.read()
            self._digests[path] = digest(data)
            known = decode(path, data)
            self._keep(known)
        return known

    def _text(self, path: str) -> str:
        """The text of another file; empty where it cannot be read."""
        try:
            return self._source(path).text
        except (OSError, SourceError):
            self._digests.setdefault(path, digest_of_folder(path))
            return ""

    def _facts(self, path: str) -> FileFacts:
        return extract(self._text(path), self._found_in(path), outline=True)

    def _found_in(self, path: str) -> Found:
        if path not in self._found:
            self._found[path] = matches(self._text(path), self._triggers)
        return self._found[path]

    def _hits(self, path: str) -> tuple[int, ...]:
        return lines_of(self._found_in(path))

    def _lower(self, path: str, omitted: Omitted) -> tuple[Statement, ...]:
        return lower_omitted(self._text(path), omitted)

    def forget(self) -> None:
        """Forget the files that few others import: they are read anew if they are asked for again."""
        importers = self._project.importers
        for path in [path for path in self._texts if len(importers.get(path, ())) < WIDELY_IMPORTED]:
            self._forget(path)
        self._lines.clear()
        self._inspector.forget()

    def _keep(self, source: Source) -> None:
        if source.path not in self._texts:
            self.held += len(source.text)
        self._texts[source.path] = source

    def _forget(self, path: str) -> None:
        self.held -= len(self._texts.pop(path).text)
        self._found.pop(path, None)
        self._lines.pop(path, None)
        self._project.forget(path)

    def flush(self) -> None:
        """Hand what was found to the cache."""
        if self._cache is not None and self._new:
            self._cache.put_many(self._new)
            self._new = {}


def said_in(path: str, data: bytes) -> Said:
    """What the file at `path` says; nothing where it cannot be read.

    Any name that nothing else binds may come from where all are imported.
    """
    try:
        source = decode(path, data)
    except SourceError:
        return Said(text=text_in(data))
    facts = extract(source.text, {}, outline=True)
    scope = ModuleScope(path, "", facts, lambda omitted: ())
    lines = source.lines()
    names = {
        name: binding_digest(lines, (*bound, *scope.stars), facts.changes(name))
        for name, bound in scope.bindings.items()
    }
    return Said(names, binding_digest(lines, scope.stars), text_in(data))


def examine_files(
    tasks: Sequence[Task], cache_dir: str | None, fingerprint: str, step: Callable[[], None] | None = None
) -> list[Outcome]:
    """Examine files with all installed rules: the function that other processes run.

    With a `cache_dir` the outcomes are kept there.
    """
    cache = Cache(cache_dir) if cache_dir is not None else None
    rules = load()
    examiner = Examiner(rules, cache, fingerprint)
    outcomes = []
    with _without_collection():
        for task in tasks:
            if examiner.held > MOST_HELD:
                examiner = _with_room(examiner, lambda: Examiner(rules, cache, fingerprint))
            outcomes.append(_examine_file(examiner, task))
            if step is not None:
                step()
    examiner.flush()
    if cache is not None:
        cache.close()
    return outcomes


def _with_room(examiner: Examiner, fresh: Callable[[], Examiner]) -> Examiner:
    """The examiner with at least half of its room free, or else a fresh one."""
    examiner.forget()
    if examiner.held > MOST_HELD // 2:
        examiner.flush()
        examiner = fresh()
    gc.collect()
    return examiner


@contextmanager
def _without_collection() -> Iterator[None]:
    """Look for no cycles: trees and facts are many objects of which next to none is garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _examine_file(examiner: Examiner, task: Task) -> Outcome:
    try:
        with open(task.path, "rb") as file:
            data = file.read()
    except OSError as error:
        return examiner.failed(f"the file cannot be read: {error.strerror}")
    return examiner.examine(task.path, data, task.is_named)
