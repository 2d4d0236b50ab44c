"""Which rules are on for a file, and how bad their findings are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from gradlint.config.error import ConfigError, did_you_mean
from gradlint.config.settings import Settings
from gradlint.records.finding import Finding, Severity
from gradlint.rule.rule import Rule
from gradlint.source.globs import PathPatterns

ALL = "ALL"
EXACT = 100
"""The specificity of a whole code; that of a prefix is its length, that of "ALL" is zero."""


class Rating(Struct, frozen=True):
    """How a rule's findings are rated: the severity that the user set for them, if any, and the size
    that a predicted quantity must have at least.
    """

    severity: Severity | None = None
    threshold: float = 0.0

    def admits(self, finding: Finding) -> bool:
        """Whether a finding is bad enough to be reported."""
        least = finding.claim.least if finding.claim is not None else None
        return least is None or abs(least) >= self.threshold


Selection = Mapping[str, Rating]
"""The rules that are on, by code."""


def canonical(selector: str, rules: Iterable[type[Rule]]) -> str:
    """The selector as code, prefix of codes or "ALL"; raises `ConfigError` where it matches no rule."""
    known = tuple(rules)
    wanted = selector.strip()
    if wanted.upper() == ALL:
        return ALL
    for rule in known:
        if wanted.lower() in (rule.id.lower(), rule.name):
            return rule.id
    if re.fullmatch(r"[A-Z]+\d*", wanted.upper()) and any(
        rule.id.startswith(wanted.upper()) for rule in known
    ):
        return wanted.upper()
    if re.fullmatch(r"[A-Z]{1,3}\d{0,2}", wanted.upper()):
        raise ConfigError(f"no rule's code begins with `{wanted.upper()}`{_siblings(wanted.upper(), known)}")
    words = [ALL, *(word for rule in known for word in (rule.id, rule.name))]
    raise ConfigError(f"unknown rule `{selector}`{did_you_mean(selector, words)}")


def _siblings(prefix: str, rules: Iterable[type[Rule]]) -> str:
    """The end of a message about a prefix without rules: those that differ in its last character."""
    starts = {rule.id[: len(prefix)] for rule in rules if rule.id.startswith(prefix[:-1])}
    listed = [f"`{start}`" for start in sorted(starts)]
    return f"; there are {', '.join(listed)}" if len(prefix) > 1 and listed else ""


def active(rules: Sequence[type[Rule]], settings: Settings) -> Selection:
    """The rules that the settings turn on, in any file.

    Of a selecting and an ignoring entry the more specific one decides, of two alike the ignoring
    one. A rule in preview takes part if `preview` is set or its whole code is selected,
    one about a later torch than the target never.
    """
    chosen = settings.select + settings.extend_select
    return {
        rule.id: rating(rule, settings)
        for rule in rules
        if _specificity(rule, chosen) > _specificity(rule, settings.ignore)
        and (settings.preview or not rule.preview or rule.id in chosen)
        and (settings.target_torch is None or settings.target_torch >= (rule.since or (0, 0)))
    }


def _specificity(rule: type[Rule], selectors: Iterable[str]) -> int:
    """How closely the closest of the selectors names the rule; -1 where none does."""
    return max((_closeness(rule, selector) for selector in selectors), default=-1)


def _closeness(rule: type[Rule], selector: str) -> int:
    if selector == ALL:
        return 0
    if selector == rule.id:
        return EXACT
    return len(selector) if rule.id.startswith(selector) else -1


def _severity(rule: type[Rule], settings: Settings) -> Severity | None:
    """The severity of the closest entry, the last of those equally close."""
    best, severity = -1, None
    for selector, level in settings.severity:
        closeness = _closeness(rule, selector)
        if closeness >= max(best, 0):
            best, severity = closeness, level
    return severity


def rating(rule: type[Rule], settings: Settings) -> Rating:
    """How the settings rate a rule's findings."""
    threshold = getattr(settings, rule.threshold.replace("-", "_")) if rule.threshold else 0.0
    return Rating(_severity(rule, settings), threshold)


class FileSelector:
    """The rules that are on for each of the files for which one set of settings holds."""

    def __init__(self, rules: Sequence[type[Rule]], settings: Settings) -> None:
        self.everywhere = active(rules, settings)
        self._ignores = [
            (
                PathPatterns([pattern.removeprefix("!")], settings.root),
                pattern.startswith("!"),
                frozenset(rule.id for rule in rules if _specificity(rule, selectors) >= 0),
            )
            for pattern, selectors in settings.per_file_ignores
        ]

    def for_file(self, path: str) -> Selection:
        """The rules that are on for the file at `path`."""
        if not self._ignores:
            return self.everywhere
        folder, name = os.path.split(path)
        real = os.path.join(os.path.realpath(folder), name)
        off = {
            rule
            for patterns, negated, ids in self._ignores
            if patterns.match_any_part(real) is not negated
            for rule in ids
        }
        return {rule: level for rule, level in self.everywhere.items() if rule not in off}
