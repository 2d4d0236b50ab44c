"""What the command knows, shown: settings and the limits of the analysis."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from gradlint.cli.errors import missing
from gradlint.cli.session import Session
from gradlint.cli.terminal import print_error, print_out
from gradlint.config.options import IGNORES, OPTIONS, SEVERITIES, TARGETS, VERSION, Option
from gradlint.config.settings import Settings, TargetSettings
from gradlint.lint.result import LintResult
from gradlint.report.summary import count


def show_settings(session: Session) -> int:
    """Print, as a configuration file, the settings that hold for each of the paths."""
    absent = tuple(path for path in session.paths if not os.path.exists(path))
    if absent:
        raise missing(absent)
    for path in session.paths:
        is_folder = os.path.isdir(path)
        settings = session.configurations.for_folder(path if is_folder else os.path.dirname(path))
        rules = session.configurations.select(os.path.join(path, "") if is_folder else path)
        print_out(
            f"# {path}, with patterns from {settings.root}\n{_as_toml(settings)}# active: {' '.join(rules)}\n"
        )
    return 0


def _as_toml(settings: Settings) -> str:
    values = [(option, getattr(settings, option.field)) for option in OPTIONS]
    return "".join(
        f"{option.key} = {_value(option, value)}\n" for option, value in values if value is not None
    )


def _value(option: Option, value: Any) -> str:
    if option.kind is VERSION:
        return json.dumps(".".join(map(str, value)))
    if option.kind in (IGNORES, SEVERITIES):
        return _table([(key, json.dumps(entry)) for key, entry in dict(value).items()])
    if option.kind is TARGETS:
        return _table([(target.name, _target(target)) for target in value])
    return json.dumps(value, ensure_ascii=False)


def _table(entries: Sequence[tuple[str, str]]) -> str:
    return f"{{ {', '.join(f'{json.dumps(key)} = {entry}' for key, entry in entries)} }}" if entries else "{}"


def _target(target: TargetSettings) -> str:
    inputs = [(name, f"{dtype}[{','.join(map(str, shape))}]") for name, dtype, shape in target.inputs]
    parts = (("arguments", target.arguments), ("inputs", inputs))
    return _table([(key, _table([(n, json.dumps(text)) for n, text in pairs])) for key, pairs in parts])


def show_coverage(result: LintResult) -> None:
    """Tell on the standard error how many files were analysed, and what was not understood."""
    lines = [f"{count(result.files, 'file')}, {result.parsed} analysed"]
    widest = max((len(str(number)) for number in result.coverage.values()), default=0)
    by_count = sorted(result.coverage.items(), key=lambda entry: (-entry[1], entry[0]))
    lines += [f"{number:>{widest}}  {reason}" for reason, number in by_count]
    print_error("\n".join(lines))
