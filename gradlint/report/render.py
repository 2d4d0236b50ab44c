"""Which module renders which format; each is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, cast

from gradlint.lint.result import LintResult
from gradlint.report.options import RenderOptions

FORMATS: Mapping[str, str] = {
    "concise": "gradlint.report.concise",
    "full": "gradlint.report.full",
    "grouped": "gradlint.report.grouped",
    "json": "gradlint.report.json_array",
    "json-lines": "gradlint.report.json_lines",
    "github": "gradlint.report.github",
    "gitlab": "gradlint.report.gitlab",
    "sarif": "gradlint.report.sarif",
    "junit": "gradlint.report.junit",
    "rdjson": "gradlint.report.rdjson",
}
STATISTICS: Mapping[str, str] = {
    "concise": "gradlint.report.statistics",
    "full": "gradlint.report.statistics",
    "grouped": "gradlint.report.statistics",
    "json": "gradlint.report.statistics_json",
}


class Renderer(Protocol):
    """What every format's module offers."""

    def render(self, result: LintResult, options: RenderOptions) -> str:
        """The whole report, ending in a line feed, or empty."""


def render(
    output_format: str, result: LintResult, options: RenderOptions, *, statistics: bool = False
) -> str:
    """The report of `result`, or its counts per rule, in `output_format`; ends in a line feed, or is empty.

    The text can always be written as UTF-8: lone surrogates are escaped. Raises KeyError where the
    format is unknown or, with `statistics`, has no such form.
    """
    table = STATISTICS if statistics else FORMATS
    renderer = cast(Renderer, import_module(table[output_format]))
    return renderer.render(result, options).encode("utf-8", "backslashreplace").decode("utf-8")
