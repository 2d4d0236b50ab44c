"""The JSON schema of the configuration, for editors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from gradlint.config.layer import VERIFY
from gradlint.config.options import EXTEND, OPTIONS, Option
from gradlint.config.select import ALL
from gradlint.config.settings import Settings
from gradlint.rule.rule import Rule

PATTERN = r"^([A-Z]{1,3}\d{0,3}|[a-z][a-z0-9]*(-[a-z0-9]+)*)$"
DRAFT = "http://json-schema.org/draft-07/schema#"


def schema(rules: Sequence[type[Rule]]) -> dict[str, Any]:
    """The schema of `gradlint.toml` and of `[tool.gradlint]`; it offers these rules, but allows others."""
    properties = {option.key: _property(option) for option in OPTIONS if not _is_nested(option)}
    properties[VERIFY] = {"oneOf": [properties[VERIFY], _verify_table()]}
    properties[EXTEND] = {"type": "string", "description": "A configuration file to start from."}
    return {
        "$schema": DRAFT,
        "title": "gradlint",
        "description": "Settings of gradlint, in gradlint.toml or in [tool.gradlint] of pyproject.toml.",
        "type": "object",
        "additionalProperties": False,
        "properties": dict(sorted(properties.items())),
        "definitions": {"selector": _selector(rules)},
    }


def render(rules: Sequence[type[Rule]]) -> str:
    """The schema as the text of its file."""
    return json.dumps(schema(rules), indent=2) + "\n"


def _is_nested(option: Option) -> bool:
    return option.key.startswith(f"{VERIFY}-")


def _verify_table() -> dict[str, Any]:
    """The keys of the table [tool.gradlint.verify]."""
    nested = {o.key.removeprefix(f"{VERIFY}-"): _property(o) for o in OPTIONS if _is_nested(o)}
    enabled = _property(next(o for o in OPTIONS if o.key == VERIFY))
    return {"type": "object", "additionalProperties": False, "properties": {"enabled": enabled, **nested}}


def _property(option: Option) -> dict[str, Any]:
    default = msgspec.to_builtins(getattr(Settings(), option.field))
    shown = (
        {}
        if default in (None, [], ()) or option.key in ("per-file-ignores", "severity")
        else {"default": default}
    )
    return {**option.kind.schema, "description": option.description, **shown}


def _selector(rules: Sequence[type[Rule]]) -> dict[str, Any]:
    prefixes = sorted(
        {rule.id[:length] for rule in rules for length in range(len(rule.id) - 3, len(rule.id))}
    )
    known = [{"const": rule.id, "description": f"{rule.name}: {rule.summary()}"} for rule in rules]
    names = [{"const": rule.name, "description": f"{rule.id}: {rule.summary()}"} for rule in rules]
    return {
        "description": "The code of a rule, a prefix of codes, the name of a rule, or ALL.",
        "anyOf": [{"enum": [ALL, *prefixes]}, *known, *names, {"type": "string", "pattern": PATTERN}],
    }
