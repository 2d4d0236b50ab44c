"""Checking a text that lies in no file: an editor's buffer, a rule's example."""

from __future__ import annotations

from collections.abc import Sequence

from gradlint.config.select import rating
from gradlint.config.settings import Settings
from gradlint.lint.inspect import Inspector, triggers_of
from gradlint.records.finding import Finding
from gradlint.rule.rule import Rule
from gradlint.semantics.project import Project
from gradlint.source.source import Source
from gradlint.source.triage import matches
from gradlint.syntax.extract import extract, lower_omitted


def check_text(text: str, rules: Sequence[type[Rule]], path: str = "<text>.py") -> tuple[Finding, ...]:
    """What `rules` find in `text` with default thresholds; raises SyntaxError where it is no Python."""
    facts = extract(text, matches(text, triggers_of(rules)), outline=True)
    if facts.error:
        raise SyntaxError(facts.error)
    project = Project(lambda _: facts, lambda _, omitted: lower_omitted(text, omitted))
    found = Inspector(project, rules).inspect(project.scope(path), Source(path, text)).findings
    selection = {rule.id: rating(rule, Settings()) for rule in rules}
    return tuple(f for f in found if f.rule not in selection or selection[f.rule].admits(f))
