"""Settings laid over settings: a nearer file over the one it extends, options over files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from gradlint.config.options import OFF
from gradlint.config.settings import Settings
from gradlint.records.finding import Severity

ADDED_UP = ("per_file_ignores", "extend_exclude", "severity", "verify_targets")
"""Fields to which an upper layer adds; any other field it replaces."""

CODE_OR_PREFIX = re.compile(r"[A-Z]+\d*")

Layer = Mapping[str, Any]
"""What one source of settings sets, by field name; severities may be "off"."""


def combine(lower: Settings, upper: Layer) -> Settings:
    """The settings of `lower` with those of `upper` laid over them.

    A `select` in the upper layer replaces whatever was chosen below; without it `extend_select` and
    `ignore` change that choice, and win over any lower entry that they cover.
    """
    levels = upper.get("severity", ())
    changes = {**upper, **_chosen(lower, upper, tuple(levels))}
    changes["severity"] = tuple((rule, Severity(level)) for rule, level in levels if level != OFF)
    for name in ADDED_UP:
        changes[name] = getattr(lower, name) + tuple(changes.get(name, ()))
    return replace(lower, **changes)


def _chosen(lower: Settings, upper: Layer, levels: tuple[tuple[str, str], ...]) -> Layer:
    """The upper layer's choice of rules; a severity of "off" ignores, a closer one takes that back."""
    off = tuple(rule for rule, level in levels if level == OFF)
    on = tuple(rule for rule, level in levels if level != OFF and _any_covers(off, rule))
    ignore = (*upper.get("ignore", ()), *off)
    extended = (*upper.get("extend_select", ()), *on)
    if "select" in upper:
        return {"ignore": ignore, "extend_select": extended}
    kept = tuple(rule for rule in lower.ignore if not _any_covers(extended, rule))
    below = lower.select + lower.extend_select
    withdrawn = tuple(rule for rule in below if rule not in ignore and _any_covers(ignore, rule))
    return {"ignore": kept + ignore + withdrawn, "extend_select": lower.extend_select + extended}


def _any_covers(selectors: tuple[str, ...], other: str) -> bool:
    return any(covers(selector, other) for selector in selectors)


def covers(selector: str, other: str) -> bool:
    """Whether every rule that `other` stands for belongs to `selector`."""
    if selector in ("ALL", other):
        return True
    return bool(CODE_OR_PREFIX.fullmatch(selector)) and other != "ALL" and other.startswith(selector)
