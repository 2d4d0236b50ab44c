"""`gradlint rule` and `gradlint rules`: the documentation of the rules."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from inspect import cleandoc
from typing import Any

from gradlint.cli.arguments import Values
from gradlint.cli.errors import UsageError, require_choice
from gradlint.cli.terminal import print_out
from gradlint.rule.registry import find, load
from gradlint.rule.rule import Rule

FORMATS = ("text", "json")


def explain(values: Values) -> int:
    """Print the documentation of the rules that were named, or of all."""
    require_choice("--output-format", values["output_format"], FORMATS)
    known = load()
    wanted = known if values.get("all") else tuple(find(name, known) for name in values.get("rules", ()))
    if not wanted:
        raise UsageError("name a rule, or give --all; `gradlint rules` lists them")
    if values["output_format"] == "json":
        shown = [_described(rule) for rule in wanted]
        print_out(_json(shown if values.get("all") or len(shown) > 1 else shown[0]))
    else:
        _print_markdown("\n\n".join(map(page, wanted)))
    return 0


def list_rules(values: Values) -> int:
    """Print a table of the rules."""
    require_choice("--output-format", values["output_format"], FORMATS)
    known = load()
    if values["output_format"] == "json":
        print_out(_json([_described(rule) for rule in known]))
    else:
        print_out(_table(known))
    return 0


def page(rule: type[Rule]) -> str:
    """A rule's documentation in Markdown."""
    summary, _, body = cleandoc(rule.__doc__ or "").partition("\n\n")
    facts = [f"severity {rule.severity.value}"]
    facts += ["fix available"] if rule.fixed else []
    facts += ["in preview"] if rule.preview else []
    examples = [
        _example(title, cases) for title, cases in (("Flagged", rule.bad), ("Not flagged", rule.good))
    ]
    sections = [f"# {rule.id} {rule.name}", summary, f"*{', '.join(facts)}*", body.strip(), *examples]
    return "\n\n".join(section for section in sections if section)


def _example(title: str, cases: Any) -> str:
    """The first of the cases as a section; empty where there is none."""
    code = next(iter(cases.values()), "")
    return f"### {title}\n\n```python\n{cleandoc(code)}\n```" if code else ""


def _described(rule: type[Rule]) -> dict[str, Any]:
    return {
        "code": rule.id,
        "name": rule.name,
        "summary": rule.summary(),
        "severity": rule.severity.value,
        "preview": rule.preview,
        "fixable": bool(rule.fixed),
        "help": rule.help or None,
        "url": rule.url(),
        "documentation": cleandoc(rule.__doc__ or ""),
        "bad": dict(rule.bad),
        "good": dict(rule.good),
    }


def _table(rules: Iterable[type[Rule]]) -> str:
    """A row per rule: code, severity, marks for a fix and for preview, name, summary."""
    rows = [
        (
            rule.id,
            rule.severity.value,
            f"{'*' if rule.fixed else ' '}{'p' if rule.preview else ' '}",
            rule.name,
            rule.summary(),
        )
        for rule in rules
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)), row[4]])
        for row in rows
    ]
    return "\n".join([*lines, "", "* has a fix   p in preview", ""])


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _print_markdown(text: str) -> None:
    if not sys.stdout.isatty():
        print_out(f"{text}\n")
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))
