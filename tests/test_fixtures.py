"""Every mark `# expect: GRDnnn` in the fixtures is found, and nothing that is not marked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import gradlint

FOLDER = Path(__file__).parent.parent / "fixtures"
FILES = sorted(
    path for path in FOLDER.rglob("*") if path.suffix in (".py", ".ipynb") and "golden" not in path.parts
)
MARK = re.compile(r"#\s*expect:\s*(GRD\d{3}(?:,\s*GRD\d{3})*)")


def expected(path: Path) -> list[tuple[int | None, int, str]]:
    if path.suffix == ".py":
        texts = [(None, path.read_text(encoding="utf-8"))]
    else:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = [(number, "".join(cell["source"])) for number, cell in enumerate(cells, 1)]  # type: ignore[misc]
    return sorted(
        (cell, line, code)
        for cell, text in texts
        for line, row in enumerate(text.split("\n"), 1)
        for mark in MARK.findall(row)
        for code in re.split(r",\s*", mark)
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_findings_are_the_marks(path: Path) -> None:
    found = gradlint.check([str(path)], isolated=True)
    assert sorted((finding.cell, finding.span.line, finding.rule) for finding in found) == expected(path)


def test_there_is_a_fixture_for_every_rule() -> None:
    from gradlint.rule.registry import load

    marked = {code for path in FILES for _, _, code in expected(path)}
    missing = {rule.id for rule in load() if not rule.preview} - marked - {"GRD001"}
    assert not missing
