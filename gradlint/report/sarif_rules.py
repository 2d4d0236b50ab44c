"""What SARIF says of the tool and its rules."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import cleandoc
from typing import Any

from gradlint.records.finding import Severity
from gradlint.rule.rule import Rule

LONGEST = 1024
_PROBLEM = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "recommendation"}


def driver(rules: Iterable[type[Rule]], version: str) -> dict[str, Any]:
    """The tool component, with a descriptor for each rule of the run."""
    return {
        "name": "gradlint",
        "semanticVersion": version,
        "informationUri": "https://github.com/gradlint/gradlint",
        "rules": [descriptor(rule) for rule in rules],
    }


def descriptor(rule: type[Rule]) -> dict[str, Any]:
    """A rule's name, description and help, from its docstring."""
    text = cleandoc(rule.__doc__ or rule.name)
    headline, _, body = text.partition("\n")
    return {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": _shorten(headline)},
        "fullDescription": {"text": _shorten(_reason(body) or headline)},
        "help": {"text": rule.help or headline, "markdown": text},
        "helpUri": rule.url(),
        "defaultConfiguration": {"level": rule.severity.value},
        "properties": {
            "precision": "medium" if rule.preview else "high",
            "problem.severity": _PROBLEM[rule.severity],
            "tags": ["pytorch", "gradient", *(["preview"] if rule.preview else [])],
        },
    }


def _reason(body: str) -> str:
    """The text under the first heading, or before it where there is any."""
    sections = [section.strip() for section in f"\n{body}".split("\n###")]
    first = sections[0] or (sections[1].partition("\n")[2] if len(sections) > 1 else "")
    return " ".join(first.split())


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
